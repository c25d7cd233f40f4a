"""What is in a model: its layers with their shapes, parameters and multiplications, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerasgen.builder import Built
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Node, Shape, Value


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
    count = facts(node.kernel).macs
    if count is None:
        return 0
    result, *arrays = (specs[name] for name in (node.outputs[0], *node.reads))
    rows = result.rows if result.shape[:1] == (None,) else result.shape[0]
    sizes = (rows, *count(result.shape, *(array.shape for array in arrays), **node.attrs))
    return None if None in sizes else math.prod(size or 0 for size in sizes)
