"""The derivative of every kernel that has one, against central differences in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check


def x(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed + len(shape)).uniform(low, high, shape)


ARITHMETIC: list[tuple[Any, tuple[np.ndarray, ...]]] = [
    (np.add, (x(2, 3), x(2, 3, seed=1))),
    (np.subtract, (x(2, 3), x(2, 1))),
    (np.multiply, (x(2, 3, 4), x(2, 1, 4))),
    (np.divide, (x(2, 3), x(2, 3, low=0.5))),
]


@pytest.mark.parametrize(("kernel", "operands"), ARITHMETIC, ids=lambda part: getattr(part, "__name__", ""))
def test_arithmetic(kernel: Any, operands: tuple[np.ndarray, ...]) -> None:
    check(kernel, *operands)
