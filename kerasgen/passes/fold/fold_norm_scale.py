"""Fold the scale and the shift after a layer normalisation into the layers that read it.

layer_norm(x, gamma, beta) = layer_norm(x) gamma + beta;  rms_norm(x, gamma) = rms_norm(x) gamma

Those layers then scale and shift: see `kerasgen.graph.linear`. Declines where a reader cannot absorb both, where they
are not weights along the last axis, and for shifts that would cancel digits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen.graph.affine import Affine, channel_numbers
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.linear import layers_behind, scale_input


def fold_norm_scale(graph: Graph) -> Graph:
    """The graph where normalisations of the last axis leave scale and shift to the layers after them, if these can."""
    readers = graph.readers()
    behind = layers_behind(graph, readers)
    weights = dict(graph.weights)
    norms: dict[str, Node] = {}
    scaled: dict[str, Node] = {}
    for norm in graph.nodes:
        after, layers = _after(norm, graph), behind.get(norm.outputs[0])
        if after is not None and layers:
            norms[norm.output] = replace(norm, inputs=(norm.inputs[0], *[None] * (len(norm.inputs) - 1)))
            scaled.update((layer.output, scale_input(layer, after, weights, readers)) for layer in layers)
    return replace(graph, weights=weights).substitute({**norms, **scaled}, changed=norms.keys())


def _after(norm: Node, graph: Graph) -> Affine | None:
    """The scale and shift of each channel after the node has normalised, if there are any."""
    if not facts(norm.kernel).scales or norm.attrs.get("axis", (-1,)) != (-1,) or set(norm.inputs[1:]) == {None}:
        return None
    numbers = [
        channel_numbers(operand, graph) if operand is not None else missing
        for operand, missing in zip((*norm.inputs[1:], None)[:2], (np.ones(1), np.zeros(1)), strict=True)
    ]
    if any(each is None or not np.isfinite(each).all() for each in numbers):
        return None
    after = Affine(norm.output, *numbers)
    return None if after.cancels else after
