"""Let the kernel that makes an array apply the activation that follows.

activation(dense(x, W, b)) = dense(x, W, b, activation=activation), likewise for all kernels with that setting.

Declines where the array has another reader, and where the activation has settings of its own or changes the shape.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node

ACTIVATIONS = frozenset({*kernels.ACTIVATIONS.values(), kernels.hard_sigmoid_keras2} - {kernels.glu})


def fuse_activation(graph: Graph) -> Graph:
    """Every activation that can be fused is."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    fused: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        maker = makers.get(str(node.inputs[0])) if node.kernel in ACTIVATIONS and _plain(node) else None
        if maker is None or not _takes_activation(maker.kernel) or readers[maker.output] > 1:
            continue
        if maker.attrs.get("activation") is None and maker.output not in fused:
            fused[maker.output] = replace(maker, attrs={**maker.attrs, "activation": node.kernel})
            renamed[node.output] = maker.output
    nodes = (fused.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in renamed)
    layers = {layer: names for layer, names in graph.layers.items() if not fused.keys() & set(names)}
    return replace(graph, layers=layers).rewrite(nodes, renamed)


def _plain(node: Node) -> bool:
    """Whether every setting of the activation is the kernel's default."""
    defaults = {name: p.default for name, p in inspect.signature(node.kernel).parameters.items()}
    return len(node.inputs) == 1 and all(defaults[name] == value for name, value in node.attrs.items())


@cache
def _takes_activation(kernel: Callable[..., Any]) -> bool:
    try:
        setting = inspect.signature(kernel).parameters.get("activation")
    except ValueError:  # some NumPy functions have no signature
        return False
    return setting is not None and setting.default is None  # a recurrent kernel's acts inside of it
