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
from kerasgen.graph.ir import Graph, Node

READERS = (
    kernels.blocked_conv,
    kernels.tiled_depthwise_conv2d,
    kernels.winograd_conv2d,
    kernels.winograd_depthwise_conv2d,
)


def add_borders(graph: Graph) -> Graph:
    """Every pad that the maker of the array can do is its border."""
    readers = graph.readers()
    makers = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    nodes = dict(enumerate(graph.nodes))
    renamed = {}
    for index, node in enumerate(graph.nodes):
        pad, maker = _pad(node), makers.get(str(node.inputs[0]), -1) if node.inputs else -1
        made = nodes.get(maker)
        if not isinstance(pad, tuple) or made is None or not _takes_border(made.kernel):
            continue
        if readers[made.output] > 1 or made.attrs.get("border"):
            continue
        nodes[maker] = _with(made, border=pad)
        if node.kernel is kernels.pad:
            del nodes[index]
            renamed[node.output] = made.output
        else:
            nodes[index] = _with(node, pad=None)
    bordered = {node.outputs for node in nodes.values() if node.attrs.get("border")}
    layers = {layer: names for layer, names in graph.layers.items() if names not in bordered}
    return replace(graph, layers=layers).rewrite(nodes.values(), renamed)


def _pad(node: Node) -> Any:
    """The zeros that the node puts around what it reads, if the pass can take them from it."""
    if node.kernel is kernels.pad:
        return None if node.attrs.get("value") else node.attrs["pads"]
    return node.attrs.get("pad") if node.kernel in READERS else None


def _with(node: Node, **attrs: Any) -> Node:
    return replace(node, attrs={**node.attrs, **attrs})


@cache
def _takes_border(kernel: Callable[..., Any]) -> bool:
    try:
        return "border" in inspect.signature(kernel).parameters
    except ValueError:  # some NumPy functions have no signature
        return False
