"""Let a convolution pad its input with zeros itself.

conv(pad(x, p), pad=None) = conv(x, pad=p), for zeros.

Declines where the padded array has another reader, and where the convolution has a pad of its own.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node


def absorb_pads(graph: Graph) -> Graph:
    """The graph with every pad that a convolution can do as its setting."""
    readers = graph.readers()
    makers = graph.makers()
    padded: dict[str, Node] = {}
    absorbed: set[str] = set()
    for conv in graph.nodes:
        pad = makers.get(str(conv.inputs[0])) if conv.inputs and _can_pad(conv) else None
        if pad is not None and pad.kernel is kernels.pad and not pad.attrs.get("value") and readers[pad.output] == 1:
            absorbed.add(pad.output)
            conv = replace(conv, inputs=(pad.inputs[0], *conv.inputs[1:])).with_attrs(pad=pad.attrs["pads"])
            padded[conv.output] = conv
    return graph.substitute(padded, removed=absorbed)


def _can_pad(node: Node) -> bool:
    """Whether it is a convolution that can pad, and does not yet."""
    return bool(facts(node.kernel).output_axes) and "pad" in node.attrs and node.attrs["pad"] is None
