"""Let a convolution add a residual to its result while that is in the cache.

conv(x, W, b) + r = conv(x, W, b, residual=r)

Declines where the result has another reader or an activation, and where shapes or dtypes differ, as the sum would be
larger or wider.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen.graph.facts import setting
from kerasgen.graph.ir import Graph, Node


def fuse_residual(graph: Graph) -> Graph:
    """The graph with every sum in a convolution that can do it; of two convolutions, the later one in the code.

    The convolution takes the place of the sum, as its residual must be computed before.
    """
    readers = graph.readers()
    order = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    fused: dict[str, Node] = {}
    sums: dict[str, str] = {}
    for node in graph.nodes:
        if node.kernel is not np.add or len(set(node.reads)) != 2 or not graph.same_form(*node.reads, node.output):
            continue
        for name, other in sorted((node.inputs, node.inputs[::-1]), key=lambda pair: -order.get(str(pair[0]), -1)):
            conv = graph.nodes[order[str(name)]] if name in order else None
            if conv is not None and _adds(conv) and conv.output not in fused and readers[conv.output] == 1:
                fused[conv.output] = replace(conv, inputs=((*conv.inputs, None)[:3] + (other,)))
                sums[node.output] = conv.output
                break
    nodes = [
        fused[sums[node.outputs[0]]] if node.outputs[0] in sums else node
        for node in graph.nodes
        if node.outputs[0] not in fused
    ]
    return graph.rewrite(nodes, sums, changed=fused.keys())


def _adds(conv: Node) -> bool:
    residual = setting(conv.kernel, "residual")
    return residual is not None and len(conv.inputs) < 4 and conv.attrs.get("activation") is None
