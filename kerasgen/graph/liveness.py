"""How long each value is needed, views of it included."""

from __future__ import annotations

from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph


def last_reads(graph: Graph) -> dict[str, int]:
    """The index of the last node that needs each value; the results are needed after all nodes.

    A value is needed as long as any that may be a view of it.
    """
    last = dict.fromkeys((name for node in graph.nodes for name in node.outputs), -1)
    last.update(dict.fromkeys(graph.results, len(graph.nodes)))
    for index, node in reversed(list(enumerate(graph.nodes))):
        until = max([index, *(last[name] for name in node.outputs)]) if facts(node.kernel).aliases else index
        for name in node.reads:
            last[name] = max(last.get(name, -1), until)
    return last
