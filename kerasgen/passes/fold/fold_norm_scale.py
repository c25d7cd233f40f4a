"""Fold the scale and the shift behind a layer normalisation into the layers that read it.

layer_norm(x, gamma, beta) = layer_norm(x) gamma + beta;  rms_norm(x, gamma) = rms_norm(x) gamma

The layers behind then scale and shift, as `kerasgen.graph.linear` has it. Declines where a reader cannot take both
numbers, where they are not weights that go along the last axis, and shifts that would take digits away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen.graph.affine import Affine, channel_numbers
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.linear import layers_behind, scale_input


def fold_norm_scale(graph: Graph) -> Graph:
    """Every normalisation of the last axis before layers that can do both neither scales nor shifts."""
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
    """What the node does after it has normalised, if that is to scale or shift each channel."""
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
