"""Fold the scale of the channels into the convolution or dense layer before it.

(x * W + b) s = x * (W s) + b s, for a number s or one for each channel.

Declines where the layer's output has another reader or an activation, and where s varies otherwise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.ir import Graph, Node
from kerasgen.passes.fold_batch_norm import OUTPUT_AXES, fold


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
                number = weights[scale] if isinstance(scale, str) else scale
                folded[conv.output] = fold(conv, number, 0.0, weights, readers)
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
    if graph.weights[str(conv.inputs[1])].dtype.kind != "f" or conv.output not in graph.specs:
        return False
    made, wanted = graph.specs[conv.output], graph.specs[product.output]
    if isinstance(scale, str):
        array = graph.weights.get(scale)
        alike = (
            array is not None and array.size in (1, made.shape[-1]) and array.size == max(array.shape[-1:], default=1)
        )
        return alike and (made.shape, made.dtype) == (wanted.shape, wanted.dtype)
    return isinstance(scale, (int, float)) and (made.shape, made.dtype) == (wanted.shape, wanted.dtype)
