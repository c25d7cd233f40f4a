"""What is in a model: its layers with their shapes, parameters and multiplications, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.builder import Built
from kerasgen.graph.ir import Node, Shape, Value


def _at_each_output(y: Shape, x: Shape, kernel: Shape, *_: Shape, **__: Any) -> Shape:
    return (*y[1:-1], *kernel)


def _at_each_input(y: Shape, x: Shape, kernel: Shape, *_: Shape, **__: Any) -> Shape:
    return (*x[1:-1], *kernel)


def _along_the_last_axis(y: Shape, x: Shape, *_: Shape, **__: Any) -> Shape:
    return (*y[1:], x[-1])


def _attend(y: Shape, weights: Shape, value: Shape) -> Shape:
    return (*weights[1:], value[-1])


def _project(y: Shape, x: Shape, kernel: Shape, *_: Shape, axes: int = 1, **__: Any) -> Shape:
    return (*x[1:-axes], *kernel)


def _recurrent(y: Shape, x: Shape, kernel: Shape, recurrent: Shape, *_: Shape, **__: Any) -> Shape:
    if kernel[0] is None or recurrent[0] is None:
        return (None,)
    return (x[1], kernel[0] + recurrent[0], kernel[1])


def _einsum(y: Shape, *xs: Shape, subscripts: str) -> Shape:
    terms, arrow, result = subscripts.partition("->")
    if not arrow or terms.count(",") != len(xs) - 1:
        return (None,)
    sizes = {axis: n for term, x in zip(terms.split(","), xs, strict=True) for axis, n in _axes(term, x)}
    batch, *_ = (axis for axis, _ in _axes(result, y))
    return tuple(n for axis, n in sizes.items() if axis != batch)


def _axes(term: str, shape: Shape) -> Iterator[tuple[str, int | None]]:
    """The axes of an operand of einsum, those of `...` numbered from the right, with their sizes."""
    before, _, after = term.partition("...")
    hidden = range(len(shape) - len(before) - len(after), 0, -1)
    yield from zip([*before, *map(str, hidden), *after], shape, strict=True)


# The sizes whose product is a kernel's multiply-adds for one sample, from the shapes of its result and its operands.
MULTIPLIES: Mapping[Callable[..., Any], Callable[..., Shape]] = {
    kernels.dense: _at_each_output,
    kernels.conv1d: _at_each_output,
    kernels.conv2d: _at_each_output,
    kernels.conv3d: _at_each_output,
    kernels.grouped_conv1d: _at_each_output,
    kernels.grouped_conv2d: _at_each_output,
    kernels.grouped_conv3d: _at_each_output,
    kernels.depthwise_conv1d: _at_each_output,
    kernels.depthwise_conv2d: _at_each_output,
    kernels.spectrum: _at_each_output,
    kernels.conv1d_transpose: _at_each_input,
    kernels.conv2d_transpose: _at_each_input,
    kernels.conv3d_transpose: _at_each_input,
    kernels.simple_rnn: _recurrent,
    kernels.lstm: _recurrent,
    kernels.gru: _recurrent,
    kernels.conv_lstm: _at_each_input,
    kernels.project: _project,
    kernels.dot_scores: _along_the_last_axis,
    kernels.head_scores: _along_the_last_axis,
    kernels.additive_scores: _along_the_last_axis,
    kernels.attend: _attend,
    kernels.einsum: _einsum,
    np.matmul: _along_the_last_axis,
}


@dataclass(frozen=True)
class LayerSummary:
    """One layer. `macs` counts multiply-adds for one sample; None where a size is not known."""

    name: str
    kind: str
    shapes: tuple[Shape, ...] | None
    parameters: int
    macs: int | None
    problem: str


@dataclass(frozen=True)
class Summary:
    """A model: where it came from, what goes in and out, its layers, and every unsupported one with the reason."""

    source: str
    keras_version: str
    inputs: tuple[tuple[str, Shape, str], ...]
    outputs: tuple[tuple[str, Shape, str], ...]
    layers: tuple[LayerSummary, ...]
    problems: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """Parameters of all layers, as `model.count_params()` counts them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """Multiply-adds of all layers for one sample."""
        counts = [layer.macs for layer in self.layers]
        return None if None in counts else sum(count or 0 for count in counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "parameters": self.parameters, "macs": self.macs}


def summarize(built: Built) -> Summary:
    """The summary of a built model."""
    graph, specs = built.graph, built.specs
    nodes: dict[str, list[Node]] = {}
    for node in graph.nodes:
        nodes.setdefault(node.layer, []).append(node)
    rows = []
    for layer in built.layers:
        counts = [_macs(node, specs) for node in nodes.get(layer.name, [])]
        rows.append(
            LayerSummary(
                layer.name,
                layer.kind,
                layer.shapes,
                sum(math.prod(variable.shape) for variable in layer.variables if not variable.state),
                None if None in counts else sum(count or 0 for count in counts),
                layer.problem,
            )
        )
    outputs = zip(graph.output_names, (specs[name] for name in graph.outputs), strict=False)
    return Summary(
        built.file.source,
        built.file.keras_version,
        tuple((value.name, value.shape, value.dtype) for value in graph.inputs),
        tuple((name, value.shape, value.dtype) for name, value in outputs),
        tuple(rows),
        built.problems,
    )


def _macs(node: Node, specs: Mapping[str, Value]) -> int | None:
    if node.kernel not in MULTIPLIES:
        return 0
    shapes = [specs[name].shape for name in (node.outputs[0], *node.reads)]
    sizes = MULTIPLIES[node.kernel](*shapes, **node.attrs)
    return None if None in sizes else math.prod(size or 0 for size in sizes)
