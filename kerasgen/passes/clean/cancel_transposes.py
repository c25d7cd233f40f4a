"""Cancel changes of layout that undo each other.

channels_last(channels_first(x)) = x;  channels_first(channels_last(x)) = x
"""

from __future__ import annotations

from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph


def cancel_transposes(graph: Graph) -> Graph:
    """The graph without the second of such a pair; `drop_unused` removes the first, if nothing else reads it."""
    makers = {node.output: node for node in graph.nodes if facts(node.kernel).inverse is not None}
    renamed = {}
    for node in makers.values():
        first = makers.get(str(node.inputs[0]))
        if first is not None and facts(node.kernel).inverse is first.kernel:
            renamed[node.output] = str(first.inputs[0])
    return graph.substitute({}, renamed)
