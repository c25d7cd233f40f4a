"""Turn each small convolution into one matrix product, without windows or borders.

conv(x, W, b) = reshape(x) @ M + b, with M from `conv_matrix`: row i is the layer's output for a 1 in cell i alone.

M connects every cell to every output, mostly with a weight of 0. While M is small, these products take less time
than the NumPy calls that cut out windows. A NaN or an infinity in the input, times 0, is NaN: it spreads to every
output of its sample, not only to those whose window it lies in.

Declines where M is large, unless it is W itself: one window covers all cells. Declines where a size is known only at
run time, where weights are of half precision, as their sums would be rounded at every step, or not finite, and where
the weights have another reader.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.plan import Layout, Plan
from kerasgen.kernels.window import same_pads

LIMIT = 1 << 14  # numbers in a matrix; above, a batch of 32 takes longer than by windows


def unroll_small(plan: Plan, *, limit: int = LIMIT) -> Plan:
    """The plan with convolutions of at most `limit` pairs of input and output numbers as matrix products."""
    graph, layouts = plan.graph, dict(plan.layouts)
    readers = graph.readers()
    unrolled: dict[str, Node] = {}
    for node in graph.nodes:
        if facts(node.kernel).conv_axes and readers[str(node.inputs[1])] == 1 and _is_small(node, graph, limit):
            unrolled[node.output], layouts[str(node.inputs[1])] = _unrolled(node, graph)
    return replace(plan, graph=graph.substitute(unrolled), layouts=layouts)


def _is_small(node: Node, graph: Graph, limit: int) -> bool:
    weight = graph.weights.get(str(node.inputs[1]))
    sizes = (*graph.specs[str(node.inputs[0])].shape[1:], *graph.specs[node.output].shape[1:])
    if weight is None or weight.dtype not in (np.float32, np.float64) or None in sizes:
        return False
    pairs = math.prod(size or 1 for size in sizes)
    return (pairs <= limit or pairs == weight.size) and bool(np.isfinite(weight).all())


def _unrolled(node: Node, graph: Graph) -> tuple[Node, Layout]:
    """The node as a matrix product, and the layout that computes the matrix."""
    rank = facts(node.kernel).conv_axes or 0
    window = graph.weights[str(node.inputs[1])].shape[:rank]
    sizes = tuple(size or 1 for size in graph.specs[str(node.inputs[0])].shape[1:-1])
    strides, dilation = (node.attrs.get(key, (1,) * rank) for key in ("strides", "dilation"))
    pad = node.attrs.get("pad")
    pad = same_pads(sizes, window, strides, dilation) if pad == "same" else pad
    layout = {"sizes": sizes, "strides": strides, "dilation": dilation, "pad": pad}
    attrs = {"shape": graph.specs[node.output].shape[1:], "activation": node.attrs.get("activation")}
    return replace(node, kernel=kernels.conv_by_matrix, attrs=attrs), (kernels.conv_matrix, layout)
