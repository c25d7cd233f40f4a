"""Multiply-adds of a kernel per sample: the sizes whose product counts them, from shapes.

Each function takes the shape of the result, then those of the operands, then the kernel's settings. A size that is
known only at run time is None.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

Shape = tuple[int | None, ...]


def at_each_output(y: Shape, x: Shape, kernel: Shape, *_: Shape, **__: Any) -> Shape:
    """A convolution: the whole kernel at each cell of the result."""
    return (*y[1:-1], *kernel)


def at_each_input(y: Shape, x: Shape, kernel: Shape, *_: Shape, **__: Any) -> Shape:
    """A transposed convolution: the whole kernel at each cell of the input."""
    return (*x[1:-1], *kernel)


def gemm_at_outputs(y: Shape, x: Shape, kernel: Shape) -> Shape:
    """The rows per sample, depth and columns of a convolution as a matrix product."""
    return (*y[1:-1], math.prod(n or 1 for n in kernel[:-1]), kernel[-1])


def gemm_at_inputs(y: Shape, x: Shape, kernel: Shape) -> Shape:
    """The same for a transposed convolution."""
    return (*x[1:-1], kernel[-1], math.prod(n or 1 for n in kernel[:-1]))


def along_last_axis(y: Shape, x: Shape, *_: Shape, **__: Any) -> Shape:
    """A matrix product: a sum over the last axis for each number of the result."""
    return (*y[1:], x[-1])


def attend(y: Shape, weights: Shape, value: Shape) -> Shape:
    """Attention weights times values."""
    return (*weights[1:], value[-1])


def project(y: Shape, x: Shape, kernel: Shape, *_: Shape, axes: int = 1, **__: Any) -> Shape:
    """The last `axes` axes of the input times a kernel."""
    return (*x[1:-axes], *kernel)


def recurrent(y: Shape, x: Shape, kernel: Shape, recurrent: Shape, *_: Shape, **__: Any) -> Shape:
    """At each step the input times one kernel and the state times the other."""
    if kernel[0] is None or recurrent[0] is None:
        return (None,)
    return (x[1], kernel[0] + recurrent[0], kernel[1])


def einsum(y: Shape, *xs: Shape, subscripts: str) -> Shape:
    """The size of every axis but the batch."""
    terms, arrow, result = subscripts.partition("->")
    if not arrow or terms.count(",") != len(xs) - 1:
        return (None,)
    sizes = {axis: n for term, x in zip(terms.split(","), xs, strict=True) for axis, n in _axes(term, x)}
    batch, *_ = (axis for axis, _ in _axes(result, y))
    return tuple(n for axis, n in sizes.items() if axis != batch)


def _axes(term: str, shape: Shape) -> Iterator[tuple[str, int | None]]:
    """The axes of an operand of einsum with their sizes; those of `...` are numbered from the right."""
    before, _, after = term.partition("...")
    hidden = range(len(shape) - len(before) - len(after), 0, -1)
    yield from zip([*before, *map(str, hidden), *after], shape, strict=True)
