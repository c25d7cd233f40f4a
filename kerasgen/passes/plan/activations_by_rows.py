"""Apply activations that are not fused to some rows of cells at a time, while these are in the cache.

relu(x) = clamp(x, 0);  relu6(x) = clamp(x, 0, 6);  f(x, ...) = activation_by_rows(x, activation=f, ...)

Whole rows are clipped several times faster than cells. All can write inside a border, and processes share them.

Declines where the array is small, has no spatial axes, or is not floating point, and where an activation has an axis.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import SMALL

LARGE = 1 << 15  # bytes of one sample, for a relu; others begin with SMALL


def activations_by_rows(graph: Graph, *, large: int = LARGE, larger: int = SMALL) -> Graph:
    """The graph with every activation of a large array by rows."""
    return replace(graph, nodes=tuple(_by_rows(node, graph, large, larger) or node for node in graph.nodes))


def _by_rows(node: Node, graph: Graph, large: int, larger: int) -> Node | None:
    spec, row = graph.specs.get(node.outputs[0]), facts(node.kernel)
    if len(node.outputs) > 1 or spec is None or len(spec.shape) < 3 or np.dtype(spec.dtype).kind != "f":
        return None
    size = graph.sample_bytes(node.output)
    if row.limits is not None and not node.attrs:
        clamp = replace(node, kernel=kernels.clamp, inputs=(node.inputs[0], *filter(np.isfinite, row.limits)))
        return clamp if size >= large else None
    elementwise = row.by_cell and not row.moves and len(node.inputs) == 1 and "axis" not in node.attrs
    if not elementwise or size < larger or not graph.same_form(*node.reads, node.output):
        return None
    return replace(node, kernel=kernels.activation_by_rows, attrs={"activation": node.kernel, **node.attrs})
