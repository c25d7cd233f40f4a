"""The size of an axis as a model computes with it: a number, or one that grows with the batch."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """`cells + batches * N`, where N is the number of samples that the caller will pass.

    `Size(4)` is four, `Size(0, 1)` the batch, `Size(0, 12)` the batch flattened together with
    samples of twelve cells. `cells` is nan where the size is known only at run time.
    """

    cells: float
    batches: float = 0

    @classmethod
    def of(cls, number: Size | float) -> Size:
        """A number as a size. Raises TypeError or ValueError for anything else."""
        return number if isinstance(number, Size) else cls(float(number))

    @property
    def is_unknown(self) -> bool:
        """Whether it is known only at run time."""
        return math.isnan(self.cells)

    @property
    def is_number(self) -> bool:
        """Whether it is known before the model runs, whatever the batch."""
        return not (self.batches or self.is_unknown)

    def __add__(self, other: Size | float) -> Size:
        other = Size.of(other)
        return Size(self.cells + other.cells, self.batches + other.batches)

    def __sub__(self, other: Size | float) -> Size:
        return self + Size.of(other) * -1

    def __rsub__(self, other: Size | float) -> Size:
        return self * -1 + other

    def __mul__(self, other: Size | float) -> Size:
        """Raises ArithmeticError for the square of N."""
        other = Size.of(other)
        if self.batches and other.batches:
            raise ArithmeticError("the size of the batch, squared")
        return Size(self.cells * other.cells, self.cells * other.batches + self.batches * other.cells)

    __radd__ = __add__
    __rmul__ = __mul__


BATCH = Size(0, 1)
