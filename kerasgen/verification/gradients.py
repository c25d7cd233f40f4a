"""Compares the gradients of a module with those of TensorFlow's `GradientTape` for the model itself.

Both start from the same random gradients of the outputs. The gradients of the weights are compared in the order of the
backward pass, from the last layer to the first. So the first wrong one names the layer where the backward pass goes
wrong, or the layer after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.builder import Built
from kerasgen.errors import ParityError, UsageError
from kerasgen.verification.compare import OutputReport, compare, flat
from kerasgen.verification.oracle import Oracle

TOLERANCE = 1e-4  # of the largest number of each gradient
FLOOR = 4e-3  # of the largest gradient: less is what remains of a sum that cancels. Times TOLERANCE, a few roundings


def compare_gradients(
    built: Built, module: Any, truth: Oracle, arrays: Sequence[np.ndarray], *, seed: int, tolerance: float | None
) -> tuple[OutputReport, ...]:
    """A report for the gradient of each input and each weight, in the order of the backward pass.

    Raises UsageError if the module has no gradients, ParityError if Keras or the module fails.
    """
    if not hasattr(module, "backward"):
        raise UsageError("the module has no gradients: export it with `gradients`")
    outputs = flat(module.predict(*arrays))
    random = np.random.RandomState(seed)
    outer = [
        random.uniform(-1, 1, y.shape).astype(y.dtype) if y.dtype.kind == "f" else np.zeros(y.shape) for y in outputs
    ]
    try:
        _, saved = module.forward(*arrays)
        d_inputs, d_weights = module.backward(saved, *outer)
    except Exception as error:
        raise ParityError(f"{built.file.source}: backward fails: {type(error).__name__}: {error}") from error
    of_inputs, of_variables = truth.gradients(arrays, outer)
    expected = dict(zip(d_weights, _in_order([module.W[name] for name in d_weights], of_variables), strict=True))
    got = dict(d_weights)
    floats = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    if d_inputs is not None:
        for i, array in zip(floats, flat(d_inputs), strict=True):
            name = str(module.INPUTS[i][0])
            got[name], expected[name] = array, of_inputs[i]
    return _reports(got, expected, TOLERANCE if tolerance is None else tolerance)


def _reports(got: dict[str, Any], expected: dict[str, Any], tolerance: float) -> tuple[OutputReport, ...]:
    """Errors are relative to a gradient's largest number, or to FLOOR of the largest gradient if that is more."""
    right = {name: np.zeros_like(got[name]) if array is None else array for name, array in expected.items()}
    largest = max((float(np.abs(array).max(initial=0.0)) for array in right.values()), default=0.0)
    reports = []
    for name, array in right.items():
        report = compare(f"d_{name}", got[name], array, tolerance=tolerance)
        own = float(np.abs(array).max(initial=0.0))
        if own < FLOOR * largest or not own:
            report = replace(report, relative=report.absolute / (FLOOR * largest or 1.0))
        reports.append(report)
    return tuple(reports)


def _in_order(weights: Sequence[np.ndarray], variables: Sequence[tuple[np.ndarray, Any]]) -> list[Any]:
    """The gradient of each weight, found as the gradient of the variable with the same numbers.

    Weights with equal numbers, such as fresh biases, come in the reverse order of the variables, as the layers do.
    """
    by_bytes: dict[Any, list[Any]] = defaultdict(list)
    for array, gradient in variables:
        by_bytes[array.shape, array.tobytes()].append(gradient)
    gradients = []
    for weight in weights:
        found = by_bytes[weight.shape, weight.tobytes()]
        if not found:
            raise ParityError("a weight of the module is none of the model's: it was trained, or is of another model")
        gradients.append(found.pop())
    return gradients
