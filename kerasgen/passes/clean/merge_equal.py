"""Compute once what is computed twice.

f(x, s) and f(x, s), the same kernel of the same inputs with the same settings, are one value.

Declines where both, or views of both, are results: returned arrays stay separate. Declines the user's own functions,
which may answer differently each time.
"""

from __future__ import annotations

from typing import Any

from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.liveness import last_reads


def merge_equal(graph: Graph) -> Graph:
    """The graph with only the first of equal nodes."""
    returned = {name for name, last in last_reads(graph).items() if last == len(graph.nodes)}
    first: dict[Any, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        same = first.setdefault(_call(node, renamed), node)
        if same is node or not node.repeatable:
            continue
        if returned.intersection(node.outputs):
            if returned.intersection(same.outputs):
                continue
            returned.update(same.outputs)
        renamed.update(zip(node.outputs, same.outputs, strict=True))
    return graph.substitute({}, renamed)


def _call(node: Node, renamed: dict[str, str]) -> Any:
    """The key of a node. As text, because 1, 1.0 and True are equal but give different dtypes."""
    inputs = [renamed.get(i, i) if isinstance(i, str) else i for i in node.inputs]
    return node.kernel, len(node.outputs), repr(inputs), repr(sorted(node.attrs.items()))
