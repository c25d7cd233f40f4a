"""Comparing what a module answers with what it should."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kerasgen.errors import FileError, UsageError

# The largest error allowed, as a part of the largest number in the output. Sums are made in another order than Keras
# makes them, so single bits differ; half precision is computed in float32, which Keras does not do.
TOLERANCES: Mapping[str, float] = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
BATCH = 3
ANY_SIZE = 128  # stands for a size that the model leaves open


@dataclass(frozen=True)
class OutputReport:
    """How one output compares: the error, also as a part of the largest expected number, and where it is worst."""

    name: str
    absolute: float
    relative: float
    tolerance: float
    worst: tuple[int, ...]
    expected: float
    got: float

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative <= self.tolerance


def compare(name: str, got: Any, expected: Any, *, tolerance: float | None = None) -> OutputReport:
    """Compare one output; shapes that differ, or numbers that are not finite in one only, are infinite errors."""
    got, expected = np.asarray(got), np.asarray(expected)
    limit = TOLERANCES.get(expected.dtype.name, 0.0) if tolerance is None else tolerance
    if got.shape != expected.shape or not expected.size:
        same = got.shape == expected.shape
        return OutputReport(name, 0.0 if same else np.inf, 0.0 if same else np.inf, limit, (), np.nan, np.nan)
    x, y = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(invalid="ignore"):
        error = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y))
    error[np.isnan(error)] = np.inf
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
    finite = np.abs(y[np.isfinite(y)])
    scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    absolute = float(error[worst])
    return OutputReport(name, absolute, absolute / scale, limit, worst, float(y[worst]), float(x[worst]))


def random_inputs(inputs: Sequence[tuple[str, Sequence[int | None], str]], seed: int = 0) -> list[np.ndarray]:
    """An array for each input: normal floats, small whole numbers, coin flips. `inputs` is a module's INPUTS."""
    random = np.random.RandomState(seed)
    arrays = []
    for _, shape, dtype in inputs:
        sizes = [BATCH, *(ANY_SIZE if size is None else size for size in shape[1:])]
        if np.dtype(dtype).kind == "f":
            arrays.append(random.standard_normal(sizes).astype(dtype))
        else:
            arrays.append(random.randint(0, 2 if dtype == "bool" else 10, sizes).astype(dtype))
    return arrays


def load_arrays(path: Path, names: Sequence[str]) -> list[np.ndarray]:
    """The inputs in an .npy file (one input) or an .npz file (by input name, or in order)."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: not an .npy or .npz file of plain arrays") from error
    if isinstance(loaded, np.ndarray):
        arrays = {names[0]: loaded}
    else:
        with loaded:
            arrays = {name: loaded[name] for name in loaded.files}
        if set(names) - set(arrays):
            arrays = dict(zip(names, arrays.values(), strict=False))
    if set(names) - set(arrays):
        raise UsageError(f"{path}: holds {len(arrays)} arrays; the model takes {', '.join(names)}")
    return [arrays[name] for name in names]


def load_module(path: Path) -> ModuleType:
    """A generated module, run from its file under a name of its own, without a trace on disk.

    Raises FileError where there is no such file, UsageError where it is no generated module.
    """
    if not path.is_file():
        raise FileError(f"{path}: no such file")
    spec = importlib.util.spec_from_file_location(f"_kerasgen_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path}: not a Python module")
    module = importlib.util.module_from_spec(spec)
    keep, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UsageError(f"{path}: does not run: {type(error).__name__}: {' '.join(str(error).split())}") from error
    finally:
        sys.dont_write_bytecode = keep
    if not all(hasattr(module, name) for name in ("INPUTS", "OUTPUTS", "predict")):
        raise UsageError(f"{path}: not a module that kerasgen wrote: it lacks INPUTS, OUTPUTS or predict")
    return module


def flat(result: Any) -> list[Any]:
    """What a model returned, as a list in the order of its outputs."""
    if isinstance(result, Mapping):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]


Answer = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
