"""Fold the scale of the channels into the convolution or dense layer before it.

(x * W + b) s = x * (W s) + b s, for a number s or one for each channel: see `kerasgen.graph.linear`.

Declines where the layer's output has another reader or an activation, and where s is no such number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.graph.affine import channel_numbers
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.linear import has_weights, scale_output


def fold_scale(graph: Graph) -> Graph:
    """The graph with every such product folded that can be."""
    readers = graph.readers()
    makers = graph.makers()
    weights = dict(graph.weights)
    folded: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for product in graph.nodes:
        if product.kernel is not np.multiply:
            continue
        for name, scale in (product.inputs, product.inputs[::-1]):
            conv = makers.get(str(name))
            if conv is None or len(conv.outputs) > 1 or conv.output in folded or readers[conv.output] > 1:
                continue
            if _folds(graph, conv, scale, product):
                folded[conv.output] = scale_output(conv, channel_numbers(scale, graph), 0.0, weights, readers)
                renamed[product.output] = conv.output
                break
    return replace(graph, weights=weights).substitute(folded, renamed, changed=folded.keys())


def _folds(graph: Graph, conv: Node, scale: Any, product: Node) -> bool:
    if not has_weights(conv, graph) or conv.attrs.get("activation"):
        return False
    if graph.weights[str(conv.inputs[1])].dtype.kind != "f":
        return False
    return graph.same_form(conv.output, product.output) and channel_numbers(scale, graph) is not None
