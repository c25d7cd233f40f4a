"""Let one reshape do what several in a row do, and none what changes no size.

reshape(reshape(x)) = reshape(x);  reshape(x) = x, for the shape that x has

Declines where the first has another reader, for it may copy; where the first moves cells between samples and the second
keeps them in theirs; and where more than one size is known only at run time.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node

BY_SAMPLE = (kernels.flatten, kernels.reshape)
RESHAPES = (*BY_SAMPLE, kernels.reshape_all)


def join_reshapes(graph: Graph) -> Graph:
    """Of every chain the last reshape, and that one only where it changes the shape."""
    readers = graph.readers()
    makers: dict[str, Node] = {}
    joined: set[str] = set()
    renamed: dict[str, str] = {}
    nodes = []
    for node in graph.nodes:
        if node.kernel in RESHAPES:
            first = makers.get(str(node.inputs[0]))
            samples_stay = first is not None and (first.kernel in BY_SAMPLE or node.kernel is kernels.reshape_all)
            if first is not None and samples_stay and readers[first.output] == 1:
                joined.add(first.output)
                node = replace(node, inputs=first.inputs)
            makers[node.output] = node
            if _keeps_shape(node, graph):
                renamed[node.output] = str(node.inputs[0])
        nodes.append(node)
    gone = joined | renamed.keys()
    return graph.rewrite((node for node in nodes if node.outputs[0] not in gone), renamed)


def _keeps_shape(node: Node, graph: Graph) -> bool:
    """Whether the shapes are the same; a single size that is unknown follows from the others."""
    before, after = graph.specs.get(str(node.inputs[0])), graph.specs.get(node.output)
    if before is None or after is None or before.shape != after.shape:
        return False
    free = after.shape[1:] if node.kernel in BY_SAMPLE else after.shape  # the others keep the batch as it is
    return free.count(None) <= 1
