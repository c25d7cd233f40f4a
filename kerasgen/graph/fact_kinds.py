"""The kinds of facts about a kernel, and what most kernels of a family have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kerasgen.graph import macs, windows
from kerasgen.graph.derivatives import conv
from kerasgen.graph.derivatives.call import Rule
from kerasgen.graph.macs import Shape

Kernel = Callable[..., Any]
ALL = sys.maxsize  # operands


@dataclass(frozen=True)
class Facts:
    """One row.

    aliases: whether the result may share memory with an operand.
    samples: how many of the leading operands may hold samples that are computed independently, so that a batch may be
        split; 0 where samples mix, or where that is unknown. The kernel's `axis` must not be the batch axis.
    activation: whether other kernels take it as their `activation`.
    limits: (low, high), if the kernel is max(low, min(high, x)).
    increasing: whether a larger number never has a smaller result, as long as no setting is negative.
    conv_axes: the number of spatial axes of a plain convolution.
    output_axes: for a kernel that multiplies by a weight and adds a bias, the axes of the weight that become the
        output channels; empty for all others.
    by_cell: whether it works on its first operand elementwise, or along its `axis` alone, by default the last.
    scales: whether it multiplies its normalised input by the second operand and adds the third.
    inverse: the kernel that undoes it.
    reshapes: "sample" if it keeps the cells of each sample in order, "all" those of the whole batch.
    linear: whether it can compute with sizes that grow with the batch: see `graph.size`.
    in_place: whether the result may be written over an operand of its shape and dtype.
    macs: the sizes whose product is its multiply-adds per sample: see `kerasgen.graph.macs`.
    gemm: the rows per sample, depth and columns, if it is a single matrix product.
    syntax: how Python writes it, if not as a call: see `kerasgen.graph.syntax`.
    moves: whether it hands the numbers of its operands on, at most mixed with those beside them or with a constant.
    saturates: whether it is flat for large numbers, which hides errors of its operand.
    near_one: whether it computes with numbers around 1 or as large as its operand where its result is tiny, as
        exp(x) - 1 does, so that the result is as exact as those are.
    cancels: the rounding error, in ε of the result, of a kernel that subtracts large numbers inside.
    ambiguous: whether there are several right results, such as vectors of either sign.
    gradient: the rule that emits its derivative, `stop` if the gradient ends at it, None if there is no rule: see
        `kerasgen.graph.derivatives`.
    reads: which cells of its operand each cell of its result reads, None if any: see `kerasgen.graph.windows`.
    """

    aliases: bool
    samples: int
    activation: bool = False
    limits: tuple[float, float] | None = None
    increasing: bool = False
    conv_axes: int | None = None
    output_axes: tuple[int, ...] = ()
    by_cell: bool = False
    scales: bool = False
    inverse: Kernel | None = None
    reshapes: str = ""
    linear: bool = False
    in_place: bool = False
    macs: Callable[..., Shape] | None = None
    gemm: Callable[[Shape, Shape, Shape], Shape] | None = None
    syntax: Callable[..., str] | None = None
    moves: bool = False
    saturates: bool = False
    near_one: bool = False
    cancels: int = 0
    ambiguous: bool = False
    gradient: Rule | None = None
    reads: windows.Rule | None = None

    @property
    def transposed(self) -> bool:
        """Whether it is a transposed convolution, whose kernel is (..., F, C)."""
        return self.output_axes == (-2,)


OPAQUE = Facts(aliases=True, samples=0)
CELLS = replace(OPAQUE, reads=windows.in_place)
APART = Facts(aliases=False, samples=1)
MOVES = Facts(aliases=True, samples=1, moves=True)
REARRANGES = Facts(aliases=True, samples=0, moves=True)
BY_CELL = replace(CELLS, by_cell=True)
LINEAR = Facts(aliases=True, samples=0, linear=True)
PIECEWISE = replace(BY_CELL, aliases=False, samples=1, activation=True)
ACTIVATION = replace(PIECEWISE, near_one=True)
SATURATES = replace(ACTIVATION, saturates=True)
UFUNC = replace(CELLS, aliases=False, samples=ALL)
DENSE = Facts(False, 1, output_axes=(-1,), macs=macs.at_each_output, gemm=macs.gemm_at_outputs, gradient=conv.dense)
CONV = replace(DENSE, gradient=conv.conv, reads=windows.convolution)
CONVOLUTION = {axes: replace(CONV, conv_axes=axes) for axes in (1, 2, 3)}
GROUPED = replace(CONV, gemm=None, gradient=conv.grouped)
DEPTHWISE = replace(GROUPED, output_axes=(-2, -1), gradient=None)
TRANSPOSED = Facts(False, 1, output_axes=(-2,), macs=macs.at_each_input, gemm=macs.gemm_at_inputs)
TRANSPOSED = replace(TRANSPOSED, gradient=conv.transposed, reads=windows.transposed)
