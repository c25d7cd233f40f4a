"""Drop what no result needs: nodes whose outputs nothing reads, and weights that no node reads."""

from __future__ import annotations

from dataclasses import replace

from kerasgen.graph.ir import Graph


def drop_unused(graph: Graph) -> Graph:
    """The nodes that lead to a result, and their weights."""
    needed = set(graph.results)
    used = []
    for node in reversed(graph.nodes):
        if needed.intersection(node.outputs):
            used.append(node)
            needed.update(node.reads)
    weights, variables = (
        {name: array for name, array in arrays.items() if name in needed} for arrays in (graph.weights, graph.variables)
    )
    return replace(graph.rewrite(reversed(used)), weights=weights, variables=variables)
