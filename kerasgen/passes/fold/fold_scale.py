"""Fold the scale of the channels into the convolution or dense layer before it.

(x * W + b) s = x * (W s) + b s, for a number s or one for each channel.

Declines where the layer's output has another reader or an activation, and where s varies otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.graph.affine import channel_numbers
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.fold.fold_batch_norm import OUTPUT_AXES, fold


def fold_scale(graph: Graph) -> Graph:
    """Every such product that can be folded is."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    weights = dict(graph.weights)
    folded: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        if node.kernel is not np.multiply:
            continue
        for name, scale in (node.inputs, node.inputs[::-1]):
            conv = makers.get(str(name))
            if conv is not None and _folds(graph, conv, scale, node) and conv.output not in folded:
                numbers = channel_numbers(scale, graph)
                folded[conv.output] = fold(conv, numbers, 0.0, weights, readers)
                renamed[node.output] = conv.output
                break
    nodes = (folded.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in renamed)
    layers = {layer: names for layer, names in graph.layers.items() if not folded.keys() & set(names)}
    return replace(graph, weights=weights, layers=layers).rewrite(nodes, renamed)


def _folds(graph: Graph, conv: Node, scale: Any, product: Node) -> bool:
    if conv.kernel not in OUTPUT_AXES or conv.attrs.get("activation") or graph.readers()[conv.output] > 1:
        return False
    if not all(name is None or name in graph.weights for name in conv.inputs[1:]):
        return False
    if graph.weights[str(conv.inputs[1])].dtype.kind != "f":
        return False
    return graph.same_form(conv.output, product.output) and channel_numbers(scale, graph) is not None
