"""Apply activations that are not fused to some rows of cells at a time, while these are in the cache.

relu(x) = clamp(x, 0);  relu6(x) = clamp(x, 0, 6);  f(x, ...) = activation_by_rows(x, activation=f, ...)

Whole rows are clipped several times faster than cells. All can write inside a border, and processes share them.

softmax(x) = softmax_by_columns(x), fused or not, where many cells have few channels each.

Declines where the array is small, has no spatial axes, or is not floating point, and where an activation's axis is not
the last.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import SMALL

LARGE = 1 << 15  # bytes of one sample, for a relu; others begin with SMALL
MANY = 1024  # cells with a softmax each
FEW_COLUMNS = 32


def activations_by_rows(graph: Graph, *, large: int = LARGE, larger: int = SMALL, many: int = MANY) -> Graph:
    """The graph with every activation of a large array by rows, and every softmax of many cells by columns."""
    by_rows = (_by_rows(node, graph, large, larger) or node for node in graph.nodes)
    return replace(graph, nodes=tuple(_by_columns(node, graph, many) or node for node in by_rows))


def _by_columns(node: Node, graph: Graph, many: int) -> Node | None:
    """The node with `softmax_by_columns`, if it is a softmax of many cells with few channels, or has one fused."""
    spec = graph.specs.get(node.outputs[0])
    if spec is None or len(spec.shape) < 3 or spec.dtype not in ("float32", "float64"):
        return None
    *sizes, columns = spec.shape[1:]
    cells = math.prod(math.inf if size is None else size for size in sizes)
    if not columns or columns > FEW_COLUMNS or cells < many:
        return None
    attrs = {key: value for key, value in node.attrs.items() if key != "axis"}
    if node.kernel is kernels.softmax and node.attrs.get("axis", -1) in (-1, len(spec.shape) - 1):
        return replace(node, kernel=kernels.softmax_by_columns, attrs=attrs)
    fused = node.attrs.get("activation") is kernels.softmax
    return replace(node, attrs={**attrs, "activation": kernels.softmax_by_columns}) if fused else None


def _by_rows(node: Node, graph: Graph, large: int, larger: int) -> Node | None:
    spec, row = graph.specs.get(node.outputs[0]), facts(node.kernel)
    if len(node.outputs) > 1 or spec is None or len(spec.shape) < 3 or np.dtype(spec.dtype).kind != "f":
        return None
    size = graph.sample_bytes(node.output)
    if row.limits is not None and not node.attrs:
        clamp = replace(node, kernel=kernels.clamp, inputs=(node.inputs[0], *filter(np.isfinite, row.limits)))
        return clamp if size >= large else None
    elementwise = row.by_cell and not row.moves and len(node.inputs) == 1 and node.attrs.get("axis", -1) == -1
    if not elementwise or size < larger or not graph.same_form(*node.reads, node.output):
        return None
    return replace(node, kernel=kernels.activation_by_rows, attrs={"activation": node.kernel, **node.attrs})
