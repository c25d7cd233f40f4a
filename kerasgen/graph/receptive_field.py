"""The part of an image that the cells of each value see, if the model can run on parts of an image at all.

A part begins at cell A of the input, a multiple of `step`, and ends before cell B, such that the rest of the image is a
multiple of `step`, too. Then the windows of all layers, and padding that depends on sizes, lie as in the whole image.
Cell i of a value with stride s in the whole image is cell i - A / s in the part. Both have the same value if

    A / s + first <= i < B / s - last.

At the image's own edges, `first` and `last` do not count. At other edges of a part, they grow from layer to layer, by
the cells that each kernel reads: see `kerasgen.graph.windows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts, setting
from kerasgen.graph.ir import Graph, Node, Shape
from kerasgen.graph.windows import Reads, in_place


class Span(NamedTuple):
    """One spatial axis of a value: its stride in cells of the input, and the cells lost at either edge of a part."""

    stride: Fraction
    first: int
    last: Fraction

    def after(self, reads: Reads) -> Span:
        """The same axis of a result that reads this value."""
        first = math.floor((self.first - 1 + reads.before) / reads.step) + 1
        last = (self.last + reads.after) / reads.step + reads.missing
        return Span(self.stride * reads.step, max(first, 0), last)


Spans = tuple[Span | None, ...]  # by axis; None if it is not spatial


@dataclass(frozen=True)
class ReceptiveField:
    """What all outputs of a model read, for each spatial axis of its input, in cells of the input.

    `axes` are the spatial axes of the input. A cell reads at most `before` cells before it and `after` cells after it,
    itself included if its stride is more than one. The edges of parts are multiples of `step`. In a part of `least`
    cells, no value is empty. `outputs` has (axis, stride) for each spatial axis of each output.
    """

    axes: tuple[int, ...]
    step: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    least: tuple[int, ...]
    outputs: tuple[tuple[tuple[int, Fraction], ...], ...]


class Obstacle(NamedTuple):
    """A layer in which a cell sees the whole image, and why; `before` is the layer before it, where none does."""

    layer: str
    reason: str
    before: str = ""


def receptive_field(graph: Graph) -> ReceptiveField | list[Obstacle]:
    """What the outputs of a graph as built read of its only input, whose open sizes are its spatial axes.

    If layers cannot be computed from parts, returns those. The list is empty if that is true of none, but some layers
    could not be built.
    """
    if len(graph.inputs) != 1 or graph.memory:
        return [Obstacle("", "it has several inputs" if len(graph.inputs) > 1 else "it keeps a state between calls")]
    (image,) = graph.inputs
    if None not in image.shape[1:]:
        return [Obstacle("", f"its input {image.name!a} has no spatial axes")]
    start = Span(Fraction(1), 0, Fraction(0))
    spans: dict[str, Spans] = {image.name: (None, *(start if size is None else None for size in image.shape[1:]))}
    obstacles: list[Obstacle] = []
    unknown: set[str] = set()  # after an obstacle
    for node in _needed(graph):
        if unknown.intersection(node.reads):
            unknown.update(node.outputs)
        elif spans.keys() & {*node.reads}:
            try:
                spans.update(dict.fromkeys(node.outputs, _result(node, graph, spans)))
            except ValueError as error:
                unknown.update(node.outputs)
                obstacles.append(Obstacle(node.layer, str(error), _layer_before(node, graph)))
    lost = [name for name in graph.outputs if name not in spans and name not in unknown]
    if obstacles or lost or not graph.outputs:
        return obstacles or [Obstacle("", f"its output {name!a} does not depend on the image") for name in lost]
    return _of_outputs([spans[name] for name in graph.outputs], [*spans.values()], image.shape)


def _needed(graph: Graph) -> list[Node]:
    """The nodes that lead to the outputs; all nodes if the outputs could not be built."""
    needed, nodes = set(graph.outputs or graph.specs), []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            needed.update(node.reads)
            nodes.append(node)
    return nodes[::-1]


def _of_outputs(outputs: Sequence[Spans], values: Sequence[Spans], shape: Shape) -> ReceptiveField:
    every = list(zip(*([span for span in value if span] for value in values), strict=True))  # by axis
    ends = list(zip(*([span for span in value if span] for value in outputs), strict=True))
    return ReceptiveField(
        axes=tuple(axis for axis, size in enumerate(shape) if axis and size is None),
        step=tuple(math.lcm(*(span.stride.numerator for span in spans)) for spans in every),
        before=tuple(max(math.ceil(span.first * span.stride) for span in spans) for spans in ends),
        after=tuple(max(math.ceil(max(span.last, 0) * span.stride) for span in spans) for spans in ends),
        least=tuple(max(math.ceil((span.last + 1) * span.stride) for span in spans) for spans in every),
        outputs=tuple(tuple((axis, span.stride) for axis, span in enumerate(value) if span) for value in outputs),
    )


def _layer_before(node: Node, graph: Graph) -> str:
    makers = graph.makers()
    return next((makers[name].layer for name in node.reads if name in makers), "")


def _result(node: Node, graph: Graph, spans: Mapping[str, Spans]) -> Spans:
    """The axes of a node's results. Raises ValueError, with the reason, if a cell reads more than the cells near it."""
    axes, rule = spans.get(node.reads[0], ()), facts(node.kernel).reads
    if node.kernel is kernels.channels_last:
        return (axes[0], *axes[2:], axes[1])
    if node.kernel is kernels.channels_first:
        return (axes[0], axes[-1], *axes[1:-1])
    if node.kernel is np.transpose:
        return tuple(axes[axis] for axis in node.attrs["axes"])
    if rule is None:
        raise ValueError("it needs the whole image")
    if rule is in_place:
        return _cell_by_cell(node, graph, spans)
    if any(name in spans for name in node.reads[1:]):
        raise ValueError("its weights depend on the image")
    inside = [span for span in axes[1:-1] if span]
    if len(inside) < len(axes) - 2 or axes[-1]:
        raise ValueError("its window reaches across the channels")
    reads = rule(*(graph.specs[name].shape for name in node.reads), **node.attrs)
    return (None, *(span.after(read) for span, read in zip(inside, reads, strict=True)), None)


def _cell_by_cell(node: Node, graph: Graph, spans: Mapping[str, Spans]) -> Spans:
    """The axes of a value computed cell by cell, from one or several values on the same grid."""
    rank = max(len(graph.specs[name].shape) for name in node.reads)
    mixed = _own_axes(node, rank)
    joined: list[Span | None] = [None] * rank
    for name in node.reads:
        for axis, span in enumerate(spans.get(name, ()), start=rank - len(graph.specs[name].shape)):
            joined[axis] = _join(joined[axis], span)
    for name in node.reads:
        shape = graph.specs[name].shape
        first = mixed[0] if len(shape) == 1 and len(mixed) == 1 else rank - len(shape)
        own = spans.get(name, (None,) * len(shape))
        cells = enumerate(zip(own, shape, strict=True), first)
        if any(joined[axis] and not span and size != 1 for axis, (span, size) in cells):
            raise ValueError("it has a weight for every position")
    if 0 in mixed or any(joined[axis] for axis in mixed) or len(graph.specs[node.outputs[0]].shape) != rank:
        raise ValueError("it needs the whole image")
    return tuple(joined)


def _join(one: Span | None, other: Span | None) -> Span | None:
    if one is None or other is None:
        return one or other
    if one.stride != other.stride:
        raise ValueError("it joins values of different strides")
    return Span(one.stride, max(one.first, other.first), max(one.last, other.last))


def _own_axes(node: Node, rank: int) -> list[int]:
    """The axes along which a kernel that otherwise computes cell by cell works: usually the channels."""
    parameter = setting(node.kernel, "axis")
    default = -1 if facts(node.kernel).output_axes else parameter and parameter.default
    axis = node.attrs.get("axis", default)
    if axis is None and node.attrs.get("keepdims"):
        return [*range(rank)]
    return [] if axis is None else [int(each) % rank for each in np.ravel(axis)]
