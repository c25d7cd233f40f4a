"""What is in a model: its layers with their shapes, parameters and multiplications, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerasgen import kernels
from kerasgen.build import Built
from kerasgen.ir import Node, Shape, Value

# How many cells each kernel weight is multiplied with, for one sample: those of the output, or of the input.
MULTIPLIES: Mapping[Callable[..., Any], str] = {
    kernels.dense: "output",
    kernels.conv1d: "output",
    kernels.conv2d: "output",
    kernels.conv3d: "output",
    kernels.grouped_conv1d: "output",
    kernels.grouped_conv2d: "output",
    kernels.grouped_conv3d: "output",
    kernels.depthwise_conv1d: "output",
    kernels.depthwise_conv2d: "output",
    kernels.conv1d_transpose: "input",
    kernels.conv2d_transpose: "input",
    kernels.conv3d_transpose: "input",
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
                sum(math.prod(variable.shape) for variable in layer.variables),
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
    x, kernel = (specs[name] for name in node.reads[:2])
    cells = (specs[node.output] if MULTIPLIES[node.kernel] == "output" else x).shape[1:-1]
    return None if None in cells else math.prod(n or 0 for n in cells) * math.prod(n or 0 for n in kernel.shape)
