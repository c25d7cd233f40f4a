"""Cancel changes of layout that undo each other.

channels_last(channels_first(x)) = x;  channels_first(channels_last(x)) = x
"""

from __future__ import annotations

from kerasgen import kernels
from kerasgen.graph.ir import Graph

INVERSE = {kernels.channels_last: kernels.channels_first, kernels.channels_first: kernels.channels_last}


def cancel_transposes(graph: Graph) -> Graph:
    """The second of such a pair goes; the first goes too, later, if nothing else reads it."""
    makers = {node.output: node for node in graph.nodes if node.kernel in INVERSE}
    renamed = {}
    for node in makers.values():
        first = makers.get(str(node.inputs[0]))
        if first is not None and INVERSE[first.kernel] is node.kernel:
            renamed[node.output] = str(first.inputs[0])
    return graph.rewrite((n for n in graph.nodes if n.outputs[0] not in renamed), renamed)
