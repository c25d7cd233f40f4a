"""Compares a module's outputs with the expected ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kerasgen.names import printable
from kerasgen.readers.model import ModelSpec

# The distance from 1 to the next number of each dtype.
EPSILONS: Mapping[str, float] = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "complex64": 2.0**-23,
    "complex128": 2.0**-52,
}


@dataclass(frozen=True)
class OutputReport:
    """How one output compares: the error, and where it is worst.

    `relative` is the error as a fraction of the largest expected number; `ulps` is the error in units in the last place
    of that number. If the shapes differ, the errors are infinite and `shapes` has both shapes. `given` names the set of
    inputs, if there are several. `rounding` is the distance of Keras itself from the answer in float64, if computed.
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
    rounding: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.relative <= self.tolerance

    @property
    def measure(self) -> str:
        """The error as text."""
        if self.shapes:
            return f"the shape is {self.shapes[0]}, Keras has {self.shapes[1]}"
        where = f", worst at {self.worst}: {self.got:.7g}, Keras has {self.expected:.7g}" if self.worst else ""
        size = f"{self.relative:.2g} of the largest output, {self.ulps:.2g} ULP"
        rounding = f", for Keras is {self.rounding:.2g} off float64" if self.rounding is not None else ""
        return f"error {size} ({self.tolerance:.2g} allowed{rounding}){where}"

    def __str__(self) -> str:
        """One readable line."""
        given = f" of {self.given}" if self.given else ""
        return f"{'ok' if self.ok else 'DIFFERS'} {printable(self.name)}{given}: {self.measure}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. Numbers that are not finite become None, as JSON has none."""
        data = {**asdict(self), "ok": self.ok}
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in data.items()}


def precisions(model: ModelSpec) -> Iterator[str]:
    """The dtypes that the layers of a model compute in; operations compute in the dtype of their operands."""
    operations = any(layer.kind.startswith("ops.") for layer in model.layers)
    for layer in model.layers:
        if layer.model is not None:
            yield from precisions(layer.model)
        elif (layer.kind != "InputLayer" or operations) and isinstance(layer.config.get("dtype"), str):
            yield str(layer.config["dtype"]).removeprefix("mixed_")


def allowed(dtype: str, inside: Iterable[str] = ()) -> float:
    """The error that needs no explanation, as a fraction of the largest number: the last third of the dtype's digits.

    The reason is that Keras adds in another order. `inside` lists the dtypes of the computation; the least precise one
    counts. Integers must be equal.
    """
    if dtype not in EPSILONS:
        return 0.0
    return float(max(EPSILONS.get(each, 0.0) for each in (dtype, *inside)) ** (2 / 3))


def compare(
    name: str, got: Any, expected: Any, *, tolerance: float | None = None, inside: Iterable[str] = ()
) -> OutputReport:
    """Compare one output. Different shapes, or a number that is finite on one side only, give an infinite error.

    `inside` lists the dtypes that the model computes in: the least precise one decides how close floats must be.
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
    error[error < _smallest(expected.dtype)] = 0.0
    error[np.isnan(error)] = np.inf
    worst = tuple(int(i) for i in np.unravel_index(np.argmax(error), error.shape))
    finite = np.abs(y[np.isfinite(y)])
    scale = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    absolute = float(error[worst])
    unit = float(np.spacing(np.array(scale, got.real.dtype))) if got.dtype.kind in "fc" else 1.0
    return OutputReport(
        name, absolute, absolute / scale, absolute / unit, limit, worst, float(y[worst].real), float(x[worst].real)
    )


def _smallest(dtype: np.dtype[Any]) -> float:
    """The smallest normal number: TensorFlow flushes smaller ones to 0 in float32 and float64."""
    return float(np.finfo(dtype).tiny) if dtype.kind in "fc" and dtype.itemsize >= 4 else 0.0


def flat(result: Any) -> list[Any]:
    """The outputs of a model as a list, in order."""
    if isinstance(result, Mapping):
        return list(result.values())
    return list(result) if isinstance(result, (list, tuple)) else [result]
