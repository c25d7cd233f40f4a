"""Let a convolution add what is added to its result, while that is in the cache.

conv(x, W, b) + r = conv(x, W, b, residual=r)

Declines where the result has another reader or an activation, and where the shapes differ, for the sum would be larger,
or the dtypes, for it would be wider.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.clean.schedule import schedule

KERNELS = (kernels.pointwise, kernels.blocked_conv, kernels.winograd_conv2d)


def fuse_residual(graph: Graph) -> Graph:
    """Every sum that a convolution can do; of two convolutions, the later one in the code."""
    readers = graph.readers()
    order = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    fused: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if node.kernel is not np.add or len(set(node.reads)) != 2 or not graph.same_form(*node.reads, node.output):
            continue
        for name, other in sorted((node.inputs, node.inputs[::-1]), key=lambda pair: -order.get(str(pair[0]), -1)):
            conv = graph.nodes[order[str(name)]] if name in order else None
            if conv is not None and _adds(conv) and conv.output not in fused and readers[conv.output] == 1:
                inputs = (*conv.inputs, None)[:3]
                fused[conv.output] = replace(conv, inputs=(*inputs, other))
                renamed[node.output] = conv.output
                break
    nodes = [fused.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in renamed]
    layers = {layer: names for layer, names in graph.layers.items() if not fused.keys() & set(names)}
    return schedule(replace(graph, layers=layers).rewrite(nodes, renamed))  # what is added must be made before


def _adds(conv: Node) -> bool:
    return conv.kernel in KERNELS and len(conv.inputs) < 4 and conv.attrs.get("activation") is None
