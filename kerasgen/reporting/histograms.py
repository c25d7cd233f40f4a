"""The numbers of a weight in brief."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasgen.reporting.plain import finite

BINS = 32
NOTHING: Mapping[str, Any] = {
    "min": None,
    "max": None,
    "mean": None,
    "std": None,
    "zeros": None,
    "not_finite": None,
    "counts": [],
}


def described(array: np.ndarray | None) -> dict[str, Any]:
    """The range, the moments, the share of zeros and how many numbers are in each of 32 bins from min to max.

    Only finite numbers count, `not_finite` is how many others there are. None and empty lists where nothing is known:
    the weight was not read, is empty or holds no numbers.
    """
    if array is None or not array.size or array.dtype.kind not in "fiubc":
        return dict(NOTHING)
    numbers = np.abs(array) if array.dtype.kind == "c" else array
    numbers = numbers.reshape(-1)
    fine = np.isfinite(numbers)
    count = int(fine.sum())
    if not count:
        return {**NOTHING, "not_finite": array.size}
    numbers = numbers if count == array.size else numbers[fine]
    if numbers.dtype != np.float32:
        numbers = numbers.astype(np.float64)
    low, high = float(numbers.min()), float(numbers.max())
    with np.errstate(over="ignore"):
        mean, deviation = float(numbers.mean(dtype=np.float64)), float(numbers.std(dtype=np.float64))
    return {
        "min": low,
        "max": high,
        "mean": finite(mean),
        "std": finite(deviation),
        "zeros": float(np.count_nonzero(numbers == 0)) / count,
        "not_finite": array.size - count,
        "counts": _counts(numbers, low, high),
    }


def _counts(numbers: np.ndarray, low: float, high: float) -> list[int]:
    """How many numbers each bin has; where all are equal, the first has them."""
    span = high - low
    if not span > 0 or not np.isfinite(span):
        return [numbers.size] + [0] * (BINS - 1)
    bins = ((numbers - numbers.dtype.type(low)) * numbers.dtype.type(BINS / span)).astype(np.intp)
    return [int(count) for count in np.bincount(np.clip(bins, 0, BINS - 1), minlength=BINS)]
