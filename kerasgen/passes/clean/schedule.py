"""Put the nodes in an order that reads well: one branch after the other, each as late as possible.

The order is a depth-first walk from the outputs to the inputs, reversed. It also keeps few arrays alive at a time.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen.graph.ir import Graph, Node


def schedule(graph: Graph) -> Graph:
    """The same nodes, in depth-first order."""
    makers = graph.makers()
    ordered: dict[tuple[str, ...], Node] = {}
    stack = [(name, False) for name in reversed((*graph.results, *(n.outputs[0] for n in graph.nodes)))]
    while stack:
        name, inputs_done = stack.pop()
        node = makers.get(name)
        if node is None or node.outputs in ordered:
            continue
        if inputs_done:
            ordered[node.outputs] = node
        else:
            stack.append((name, True))
            stack.extend((read, False) for read in reversed(node.reads))
    return replace(graph, nodes=tuple(ordered.values()))
