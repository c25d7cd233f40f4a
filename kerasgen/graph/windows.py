"""The cells of its operand that each cell of a result is computed from, along each spatial axis.

Like the rules in `kerasgen.graph.macs`, a rule takes the shapes of the node's operands and its settings. It returns a
`Reads` for each axis between the first and the last.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from kerasgen.graph.macs import Shape

# The radius of each interpolation filter, in cells of the operand.
RADIUS = {
    **{"bilinear": 1.0, "bicubic": 2.0, "lanczos3": 3.0, "lanczos5": 5.0},
    **{"area": 0.5, "gaussian": 1.5, "mitchellcubic": 2.0},
}


class Reads(NamedTuple):
    """Cell i of the result reads only cells from i * step - before to i * step + after.

    A transposed convolution or a crop may leave out the last `missing` cells, although it has all operands for them.
    """

    step: Fraction
    before: Fraction = Fraction(0)
    after: Fraction = Fraction(0)
    missing: int = 0


Rule = Callable[..., tuple[Reads, ...]]


def convolution(
    x: Shape, kernel: Shape, *_: Shape, strides: Any = None, dilation: Any = None, pad: Any = None, **__: Any
) -> tuple[Reads, ...]:
    """A convolution: the window of cell i begins at i * stride, less the padding."""
    rank = len(x) - 2
    return _windows(kernel[:rank], strides or (1,) * rank, dilation or (1,) * rank, pad)


def pooling(x: Shape, *, size: Any, strides: Any, pad: Any = None) -> tuple[Reads, ...]:
    """Pooling over windows."""
    return _windows(size, strides, (1,) * len(size), pad)


def _windows(size: Any, strides: Any, dilation: Any, pad: Any) -> tuple[Reads, ...]:
    pads = pad if isinstance(pad, (list, tuple)) else [pad] * len(size)
    return tuple(_window(*axis) for axis in zip(size, strides, dilation, pads, strict=True))


def _window(k: int, stride: int, dilation: int, pad: Any) -> Reads:
    """One axis. `same` padding depends on the size (see `kernels.same_pads`), so this allows for its extremes."""
    reach = (k - 1) * dilation
    least, most = (max(reach + 1 - stride, 0) // 2, reach // 2) if pad == "same" else (pad or (0, 0))[:1] * 2
    return Reads(Fraction(stride), Fraction(most), Fraction(reach - least))


def transposed(
    x: Shape, kernel: Shape, *_: Shape, strides: Any = None, dilation: Any = None, crop: Any = None, **__: Any
) -> tuple[Reads, ...]:
    """A transposed convolution: cell j of the operand adds to the cells from j * stride - crop on."""
    rank = len(x) - 2
    axes = zip(kernel[:rank], strides or (1,) * rank, dilation or (1,) * rank, crop or ((0, 0),) * rank, strict=True)
    spans = [((k or 1) * d - d, s, before, after) for k, s, d, (before, after) in axes]
    return tuple(
        Reads(Fraction(1, s), Fraction(reach - before, s), Fraction(before, s), max(0, s + after - reach - 1))
        for reach, s, before, after in spans
    )


def padding(x: Shape, *, pads: Any, value: Any = 0.0) -> tuple[Reads, ...]:
    """Padding with a border."""
    return tuple(Reads(Fraction(1), Fraction(before), Fraction(-before)) for before, _ in pads)


def cropping(x: Shape, *, crops: Any) -> tuple[Reads, ...]:
    """A crop."""
    return tuple(Reads(Fraction(1), Fraction(-before), Fraction(before), after) for before, after in crops)


def repeating(x: Shape, *, size: Any) -> tuple[Reads, ...]:
    """Cells that are repeated."""
    return tuple(Reads(Fraction(1, n), 1 - Fraction(1, n)) for n in size)


def upsampling(x: Shape, *, size: Any, interpolation: str, half_pixel_centers: bool = True) -> tuple[Reads, ...]:
    """Interpolation between cells.

    Raises ValueError for a factor that float32 cannot divide by exactly: the weights then depend on the position.
    """
    if any(n & (n - 1) for n in size):
        raise ValueError("interpolates by a factor that is no power of two, which rounds differently at every position")
    if not half_pixel_centers:
        return tuple(Reads(Fraction(1, n), 1 - Fraction(1, n), Fraction(1)) for n in size)
    radius = Fraction(RADIUS[interpolation])
    centres = [(Fraction(1, n), (1 - Fraction(1, n)) / 2) for n in size]  # the centre of cell i is at i / n - middle
    return tuple(Reads(step, radius + middle, radius - middle) for step, middle in centres)


def blocks_to_cells(x: Shape, *, block_size: int) -> tuple[Reads, ...]:
    """Channels that become cells."""
    return repeating(x, size=(block_size,) * (len(x) - 2))


def cells_to_blocks(x: Shape, *, block_size: int) -> tuple[Reads, ...]:
    """Cells that become channels."""
    return (Reads(Fraction(block_size), Fraction(0), Fraction(block_size - 1)),) * (len(x) - 2)


def in_place(x: Shape, *_: Shape, **__: Any) -> tuple[Reads, ...]:
    """A kernel that computes each cell from the same cell of its operands."""
    return (Reads(Fraction(1)),) * (len(x) - 2)
