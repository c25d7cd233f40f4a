"""Comparing what a module answers with what it should."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.errors import FileError, UsageError
from kerasgen.kernels import check_batch
from kerasgen.names import printable
from kerasgen.readers.model import ModelSpec, leaves

# The largest error allowed, as a part of the largest number in the output. Sums are made in another order than Keras
# makes them, so single bits differ; half precision is computed in float32, which Keras does not do.
TOLERANCES: Mapping[str, float] = {
    "float64": 1e-9,
    "float32": 1e-4,
    "float16": 2e-2,
    "bfloat16": 1e-1,
    "complex64": 1e-4,
    "complex128": 1e-9,
}
BATCH = 3
ANY_SIZE = 128  # stands for a size that the model leaves open


@dataclass(frozen=True)
class OutputReport:
    """How one output compares: the error, and where it is worst.

    `relative` is the error as a part of the largest number expected, `ulps` in units in the last place of that number.
    Where the shapes differ, nothing can be compared: the errors are infinite, `shapes` has both. `given` tells which
    inputs the answer belongs to, where there are several.
    """

    name: str
    absolute: float
    relative: float
    ulps: float
    tolerance: float
    worst: tuple[int, ...]
    expected: float
    got: float
    shapes: tuple[tuple[int, ...], ...] = ()
    given: str = ""

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative <= self.tolerance

    @property
    def measure(self) -> str:
        """The error in words."""
        if self.shapes:
            return f"the shape is {self.shapes[0]}, Keras has {self.shapes[1]}"
        where = f", worst at {self.worst}: {self.got:.7g}, Keras has {self.expected:.7g}" if self.worst else ""
        size = f"{self.relative:.2g} of the largest output, {self.ulps:.2g} ULP"
        return f"error {size} ({self.tolerance:g} allowed){where}"

    def __str__(self) -> str:
        """One line for people."""
        given = f" of {self.given}" if self.given else ""
        return f"{'ok' if self.ok else 'DIFFERS'} {printable(self.name)}{given}: {self.measure}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON, which has no number that is not finite: None stands for those."""
        data = {**asdict(self), "ok": self.ok}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}


def precisions(model: ModelSpec) -> Iterator[str]:
    """The dtypes that the layers of a model compute in."""
    for layer in model.layers:
        if layer.model is not None:
            yield from precisions(layer.model)
        elif layer.kind != "InputLayer" and isinstance(layer.config.get("dtype"), str):
            yield str(layer.config["dtype"]).removeprefix("mixed_")


def allowed(dtype: str, inside: Iterable[str] = ()) -> float:
    """The tolerance for an output of this dtype, of a model that computes in those inside; whole numbers have none."""
    limit = TOLERANCES.get(dtype, 0.0)
    return max([limit, *(TOLERANCES.get(each, 0.0) for each in inside)]) if limit else 0.0


def compare(
    name: str, got: Any, expected: Any, *, tolerance: float | None = None, inside: Iterable[str] = ()
) -> OutputReport:
    """Compare one output; shapes that differ, or numbers that are not finite in one only, are infinite errors.

    `inside` are the dtypes that the model computes in: the least precise decides how close a float can be.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    limit = allowed(expected.dtype.name, inside) if tolerance is None else tolerance
    if got.shape != expected.shape:
        shapes = (got.shape, expected.shape)
        return OutputReport(name, math.inf, math.inf, math.inf, limit, (), math.nan, math.nan, shapes)
    if not expected.size:
        return OutputReport(name, 0.0, 0.0, 0.0, limit, (), math.nan, math.nan)
    wide = np.complex128 if "c" in (got.dtype.kind, expected.dtype.kind) else np.float64
    x, y = got.astype(wide), expected.astype(wide)
    with np.errstate(invalid="ignore"):
        error = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0.0, np.abs(x - y))
    error[np.isnan(error)] = np.inf
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
    finite = np.abs(y[np.isfinite(y)])
    scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    absolute = float(error[worst])
    unit = float(np.spacing(np.array(scale, got.real.dtype))) if got.dtype.kind in "fc" else 1.0
    return OutputReport(
        name, absolute, absolute / scale, absolute / unit, limit, worst, float(y[worst].real), float(x[worst].real)
    )


# An input that is all of a kind: floats from normal ones, whole numbers from the number below which they stay. Nothing
# that Keras itself answers with NaN: infinities, or squares that are.
EDGES: Mapping[str, tuple[Callable[[np.ndarray], Any], Callable[[int], int]]] = {
    "zeros": (np.zeros_like, lambda below: 0),
    "ones": (np.ones_like, lambda below: 1),
    "negative numbers": (lambda normal: -1 - abs(normal), lambda below: 0),
    "large numbers": (lambda normal: 1e4 * normal, lambda below: below - 1),
    "small numbers": (lambda normal: 1e-4 * normal, lambda below: below // 2),
}


def random_inputs(
    inputs: Sequence[tuple[str, Sequence[int | None], str]],
    seed: int = 0,
    model: ModelSpec | None = None,
    batch: int = BATCH,
) -> list[np.ndarray]:
    """An array for each input: normal floats, small whole numbers, coin flips. `inputs` is a module's INPUTS.

    The inputs of a model that it looks up in a table hold whole numbers that the table has.
    """
    random = np.random.RandomState(seed)
    return [
        (random.standard_normal(sizes) if below is None else random.randint(0, below, sizes)).astype(dtype)
        for sizes, below, dtype in wanted_inputs(inputs, model, batch)
    ]


def edge_inputs(
    inputs: Sequence[tuple[str, Sequence[int | None], str]], seed: int = 0, model: ModelSpec | None = None
) -> dict[str, list[np.ndarray]]:
    """Arrays that are the edge of what a model is given, by what they are; as for `random_inputs` otherwise."""
    random = np.random.RandomState(seed)
    normal = [(random.standard_normal(sizes), below, dtype) for sizes, below, dtype in wanted_inputs(inputs, model)]
    return {
        name: [
            (floats(x) if below is None else np.full_like(x, min(whole(below), below - 1))).astype(dtype)
            for x, below, dtype in normal
        ]
        for name, (floats, whole) in EDGES.items()
    }


def wanted_inputs(
    inputs: Sequence[tuple[str, Sequence[int | None], str]], model: ModelSpec | None = None, batch: int = BATCH
) -> list[tuple[tuple[int, ...], int | None, str]]:
    """Of each input the shape to try, the number that whole numbers stay below (None: any floats), and the dtype."""
    tables = {} if model is None else _tables(model)
    wanted = []
    for index, (_, shape, dtype) in enumerate(inputs):
        sizes = (batch, *(ANY_SIZE if size is None else size for size in shape[1:]))
        below = None if np.dtype(dtype).kind in "fc" else 2 if dtype == "bool" else 10
        wanted.append((sizes, tables.get(index, below), dtype))
    return wanted


def _tables(model: ModelSpec) -> dict[int, int]:
    """By the inputs' positions, the length of the smallest table that an embedding looks the input up in."""
    lengths: dict[str, int] = {}
    for layer in model.layers:
        if layer.kind == "Embedding":
            for ref in leaves([(call.args, call.kwargs) for call in layer.calls]):
                length = int(layer.config["input_dim"])
                lengths[ref.layer] = min(length, lengths.get(ref.layer, length))
    return {i: lengths[ref.layer] for i, ref in enumerate(leaves(model.inputs)) if ref.layer in lengths}


def load_inputs(path: Path, module: Any) -> list[np.ndarray]:
    """A module's inputs from an .npy file (one input) or an .npz file (by input name, or in order)."""
    names = [name for name, _, _ in module.INPUTS]
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"": loaded}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # NumPy and zipfile raise many kinds
        raise UsageError(f"{printable(str(path))}: not an .npy or .npz file of plain arrays: {error}") from error
    if not set(names) <= set(arrays):
        if len(names) != len(arrays):
            holds = ", ".join(arrays) or "one array"
            raise UsageError(f"{printable(str(path))}: holds {holds}; the model takes {', '.join(names)}")
        arrays = dict(zip(names, arrays.values(), strict=True))
    try:
        inputs = [module.as_input(arrays[name], name, shape, dtype) for name, shape, dtype in module.INPUTS]
        check_batch(module.INPUTS, *inputs)
        return inputs
    except ValueError as error:
        raise UsageError(f"{printable(str(path))}: {error}") from error


def flat(result: Any) -> list[Any]:
    """What a model returned, as a list in the order of its outputs."""
    if isinstance(result, Mapping):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]
