"""Let a kernel put its result inside the zeros that the next one wants around it, which saves a copy.

conv(f(x), pad=p) = conv(f(x, border=p));  pad(f(x), p) = f(x, border=p), for zeros

Declines where the result has another reader.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from kerasgen import kernels
from kerasgen.ir import Graph, Node

READERS = (kernels.blocked_conv, kernels.winograd_conv2d, kernels.tiled_depthwise_conv2d)


def add_borders(graph: Graph) -> Graph:
    """Every pad that the maker of the array can do is its border."""
    readers = graph.readers()
    makers = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    nodes: list[Node | None] = list(graph.nodes)
    renamed = {}
    for index, node in enumerate(graph.nodes):
        key = "pads" if node.kernel is kernels.pad and not node.attrs.get("value") else "pad"
        maker = makers.get(str(node.inputs[0])) if node.inputs else None
        pad = node.attrs.get(key)
        if maker is None or not isinstance(pad, tuple) or (key == "pad" and node.kernel not in READERS):
            continue
        made = nodes[maker]
        free = made is not None and _takes_border(made.kernel) and made.attrs.get("border") is None
        if made is not None and free and readers[made.output] == 1:
            nodes[maker] = _with(made, border=pad)
            nodes[index] = None if key == "pads" else _with(node, pad=None)
            renamed.update({node.output: made.output} if key == "pads" else {})
    kept = [node for node in nodes if node is not None]
    framed = {node.outputs for node in kept if node.attrs.get("border")}
    layers = {layer: names for layer, names in graph.layers.items() if names not in framed}
    return replace(graph, layers=layers).rewrite(kept, renamed)


def _with(node: Node, **attrs: Any) -> Node:
    return replace(node, attrs={**node.attrs, **attrs})


@cache
def _takes_border(kernel: Callable[..., Any]) -> bool:
    try:
        return "border" in inspect.signature(kernel).parameters
    except ValueError:  # some NumPy functions have no signature
        return False
