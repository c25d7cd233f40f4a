"""Clip whole rows of cells at a time where a relu is not fused: several times faster, and possible inside a border.

relu(x) = clamp(x, 0);  relu6(x) = clamp(x, 0, 6)

Declines where the array is small, has no spatial axes, or is not floating point.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node

LARGE = 1 << 15  # bytes of one sample


def relu_by_rows(graph: Graph, *, large: int = LARGE) -> Graph:
    """The graph with every relu of a large array as a `clamp`."""
    return replace(graph, nodes=tuple(_clamp(node) if _fits(node, graph, large) else node for node in graph.nodes))


def _fits(node: Node, graph: Graph, large: int) -> bool:
    spec = graph.specs.get(node.outputs[0])
    if facts(node.kernel).limits is None or node.attrs or spec is None:
        return False
    return len(spec.shape) > 2 and np.dtype(spec.dtype).kind == "f" and graph.sample_bytes(node.output) >= large


def _clamp(node: Node) -> Node:
    limits = facts(node.kernel).limits or ()
    return replace(node, kernel=kernels.clamp, inputs=(node.inputs[0], *filter(np.isfinite, limits)))
