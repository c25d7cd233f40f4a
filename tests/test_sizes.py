"""Sizes that models compute with, alone and in arrays."""

from __future__ import annotations

import numpy as np
import pytest

from kerasgen.graph.ir import Value
from kerasgen.graph.size import BATCH, Size
from kerasgen.layers.sizes import axis_sizes, known_sizes, size_array

UNKNOWN = Size(float("nan"))


@pytest.mark.parametrize(
    ("result", "expected"),
    {
        "sum": (BATCH + 3, Size(3, 1)),
        "sum, turned round": (3 + BATCH, Size(3, 1)),
        "difference": (BATCH - 3, Size(-3, 1)),
        "difference, turned round": (3 - BATCH, Size(3, -1)),
        "nothing left": (BATCH - BATCH, Size(0)),
        "product": (BATCH * 12, Size(0, 12)),
        "product, turned round": (12 * (BATCH + 1), Size(12, 12)),
        "numbers": (Size(3) * Size(4), Size(12)),
    }.values(),
)
def test_arithmetic(result: Size, expected: Size) -> None:
    assert result == expected


@pytest.mark.parametrize("result", [UNKNOWN + 1, UNKNOWN * BATCH, BATCH * UNKNOWN, 2 - UNKNOWN, UNKNOWN - UNKNOWN])
def test_unknown_stays_unknown(result: Size) -> None:
    assert result.is_unknown
    assert not result.is_number


def test_no_square_of_the_batch() -> None:
    with pytest.raises(ArithmeticError, match="squared"):
        BATCH * BATCH
    with pytest.raises(ArithmeticError, match="squared"):
        np.prod(size_array([BATCH, 3, BATCH]))


def test_numpy_computes_with_sizes() -> None:
    shape = axis_sizes(Value("x", (None, 4, None, 3), "float32"))
    assert list(shape[[0, 1, 3]]) == [BATCH, Size(4), Size(3)]
    assert shape[2].is_unknown
    assert np.prod(shape[[0, 1, 3]]) == Size(0, 12)
    assert list(np.multiply(shape[:2], np.array([2, 5]))) == [Size(0, 2), Size(20)]
    assert list(np.concatenate((shape[:1], np.array([2, 6])))) == [BATCH, 2, 6]
    assert axis_sizes(Value("w", (None, 4), "float32", batched=False))[0].is_unknown


def test_what_an_argument_holds() -> None:
    batch = Value("n", (), "int32", sizes=size_array(BATCH))
    sizes = known_sizes([batch, 3, -1])
    assert sizes is not None
    assert list(sizes) == [BATCH, Size(3), Size(-1)]
    assert known_sizes([batch, Value("m", (), "int32")]) is None
    assert known_sizes([[1, 2], 3]) is None
