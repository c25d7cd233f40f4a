"""Einsum equations like "abc,cd->abd", as in EinsumDense."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Shape

EQUATION = re.compile(r"(\.{3})?([a-zA-Z]+)(\.{3})?,([a-zA-Z]+)->(\.{3})?([a-zA-Z]+)(\.{3})?")


@dataclass(frozen=True)
class Equation:
    """An equation "ab,bc->ac" as the letters of its axes, including those of "...", and their sizes."""

    x: str
    kernel: str
    y: str
    sizes: dict[str, int | None]

    @property
    def contracted(self) -> int:
        """How many last axes of x are contracted with the kernel's first ones; 0 if the equation does more."""
        count = sum(letter in self.x and letter not in self.y for letter in self.kernel)
        plain = self.x.endswith(self.kernel[:count]) and self.y == self.x[: -count or None] + self.kernel[count:]
        return count if plain else 0

    def summed_axes(self) -> tuple[int, ...]:
        """The axes of x that are not in the output, counted from the end."""
        return tuple(axis - len(self.x) for axis, letter in enumerate(self.x) if letter not in self.y)

    def kernel_shape(self) -> Shape:
        """The kernel's shape."""
        return tuple(self.sizes[letter] for letter in self.kernel)

    def bias_shape(self, axes: str) -> Shape:
        """The shape of a bias along these axes: from the first one on, 1 for other axes."""
        if not set(axes) <= set(self.y):
            raise InvalidModelError(f"its bias is along {axes!a}, its output along {self.y!a}")
        first = min(self.y.index(letter) for letter in axes)
        return tuple(self.sizes[letter] if letter in axes else 1 for letter in self.y[first:])


def parse(equation: Any, x_shape: Shape, y_shape: Sequence[int | None]) -> Equation:
    """The equation, for an input of this shape; `y_shape` has the output sizes from the config.

    Raises InvalidModelError if they do not fit.
    """
    match = EQUATION.fullmatch(str(equation))
    misfit = InvalidModelError(f"its equation {equation!a} does not fit an input of {len(x_shape)} axes")
    if match is None:
        raise misfit
    left, x, right, kernel, y_left, y, y_right = (part or "" for part in match.groups())
    count = len(x_shape) - len(x)
    if (left, right) != (y_left, y_right) or (left and right) or count < 0 or (count and not left + right):
        raise misfit
    elided = "".join([letter for letter in string.ascii_letters if letter not in x + kernel + y][:count])
    x, y = (elided + x, elided + y) if left else (x + elided, y + elided)
    start = max(count, 1) if left else 1  # after the batch axis and the axes elided on the left
    sizes = dict(zip(x, x_shape, strict=True))
    for letter, size in zip(y[start:], y_shape, strict=False):
        if size is not None and sizes.setdefault(letter, size) not in (None, size):
            raise InvalidModelError(f"its equation {equation!a} needs {size} where the input has {sizes[letter]}")
        sizes[letter] = size if size is not None else sizes.get(letter)
    if not set(kernel + y) <= sizes.keys():
        raise misfit
    return Equation(x, kernel, y, sizes)
