"""Let a kernel put its result inside the zeros that the next one wants around it, which saves a copy.

conv(f(x), pad=p) = conv(f(x, border=p))

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
    nodes = list(graph.nodes)
    for index, node in enumerate(nodes):
        maker = makers.get(str(node.inputs[0])) if node.inputs else None
        if node.kernel not in READERS or maker is None or not _takes_border(nodes[maker].kernel):
            continue
        pad = node.attrs.get("pad")
        if isinstance(pad, tuple) and readers[nodes[maker].output] == 1:
            nodes[maker] = _with(nodes[maker], border=pad)
            nodes[index] = _with(node, pad=None)
    framed = {node.outputs for node in nodes if node.attrs.get("border")}
    layers = {layer: names for layer, names in graph.layers.items() if names not in framed}
    return replace(graph, nodes=tuple(nodes), layers=layers)


def _with(node: Node, **attrs: Any) -> Node:
    return replace(node, attrs={**node.attrs, **attrs})


@cache
def _takes_border(kernel: Callable[..., Any]) -> bool:
    try:
        return "border" in inspect.signature(kernel).parameters
    except ValueError:  # some NumPy functions have no signature
        return False
