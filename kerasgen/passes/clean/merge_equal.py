"""Compute once what is computed twice.

f(x, s) and f(x, s), the same kernel of the same inputs with the same settings, are one value.

Declines where both are among the results, or where views of both are: arrays that are handed out stay apart. Declines
functions of the user's own, which may answer differently each time.
"""

from __future__ import annotations

from typing import Any

from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.liveness import last_reads


def merge_equal(graph: Graph) -> Graph:
    """Of all equal nodes the first."""
    handed_out = {name for name, last in last_reads(graph).items() if last == len(graph.nodes)}
    first: dict[Any, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        same = first.setdefault(_call(node, renamed), node)
        if same is node or not node.repeatable:
            continue
        if handed_out.intersection(node.outputs):
            if handed_out.intersection(same.outputs):
                continue
            handed_out.update(same.outputs)
        renamed.update(zip(node.outputs, same.outputs, strict=True))
    return graph.substitute({}, renamed)


def _call(node: Node, renamed: dict[str, str]) -> Any:
    """What tells nodes apart. As text, for 1, 1.0 and True are equal but make other dtypes."""
    inputs = [renamed.get(i, i) if isinstance(i, str) else i for i in node.inputs]
    return node.kernel, len(node.outputs), repr(inputs), repr(sorted(node.attrs.items()))
