"""Let a kernel write its result inside the padding that the next one needs, which saves a copy.

conv(f(x), pad=p) = conv(f(x, border=p));  pad(f(x), p) = f(x, border=p), for zeros

Declines where the result has another reader.
"""

from __future__ import annotations

from typing import Any

from kerasgen import kernels
from kerasgen.graph.facts import setting
from kerasgen.graph.ir import Graph, Node


def add_borders(graph: Graph) -> Graph:
    """The graph with every pad as the border of the node before it, if that can write one."""
    readers = graph.readers()
    makers = graph.makers()
    replaced: dict[str, Node] = {}
    bordered: set[str] = set()
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        pad, maker = _pad(node), makers.get(str(node.inputs[0])) if node.inputs else None
        maker = maker and replaced.get(maker.outputs[0], maker)
        if not isinstance(pad, tuple) or maker is None or not _takes_border(maker) or readers[maker.output] > 1:
            continue
        replaced[maker.output] = maker.with_attrs(border=pad)
        bordered.add(maker.output)
        if node.kernel is kernels.pad:
            renamed[node.output] = maker.output
        else:
            replaced[node.output] = node.with_attrs(pad=None)
    return graph.substitute(replaced, renamed, changed=bordered)


def _pad(node: Node) -> Any:
    """The padding of the node's input, if this pass can replace it."""
    if node.kernel is kernels.pad:
        return None if node.attrs.get("value") else node.attrs["pads"]
    return node.attrs.get("pad") if setting(node.kernel, "border") and setting(node.kernel, "pad") else None


def _takes_border(node: Node) -> bool:
    return setting(node.kernel, "border") is not None and not node.attrs.get("border")
