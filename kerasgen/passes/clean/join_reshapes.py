"""Join consecutive reshapes into one, and remove those that change no size.

reshape(reshape(x)) = reshape(x);  reshape(x) = x, if x has that shape

Declines where the first has another reader, as it may copy; where the first moves cells between samples and the second
keeps them in theirs; and where more than one size is known only at run time.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node


def join_reshapes(graph: Graph) -> Graph:
    """The graph with only the last reshape of every chain, and that only if it changes the shape."""
    readers = graph.readers()
    last: dict[str, Node] = {}  # by the name of its output, in its new form
    joined: set[str] = set()
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if not facts(node.kernel).reshapes:
            continue
        first = last.get(str(node.inputs[0]))
        if first is not None and _joins(first, node) and readers[first.output] == 1:
            joined.add(first.output)
            node = replace(node, inputs=first.inputs)
        last[node.output] = node
        if _keeps_shape(node, graph):
            renamed[node.output] = str(node.inputs[0])
    return graph.substitute(last, renamed, removed=joined)


def _joins(first: Node, second: Node) -> bool:
    """Whether the second alone does what both do: cells that leave their sample cannot come back into it."""
    return facts(first.kernel).reshapes == "sample" or facts(second.kernel).reshapes == "all"


def _keeps_shape(node: Node, graph: Graph) -> bool:
    """Whether the shapes are the same; a single size that is unknown follows from the others."""
    before, after = graph.specs.get(str(node.inputs[0])), graph.specs.get(node.output)
    if before is None or after is None or before.shape != after.shape:
        return False
    free = after.shape[1:] if facts(node.kernel).reshapes == "sample" else after.shape  # these keep the batch
    return free.count(None) <= 1
