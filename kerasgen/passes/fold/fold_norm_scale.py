"""Fold the scale and the shift behind a layer normalisation into the layers that read it.

layer_norm(x, gamma, beta) = layer_norm(x) gamma + beta;  rms_norm(x, gamma) = rms_norm(x) gamma

The layers behind then scale and shift, as `fold_input_scale` has it. Declines where a reader cannot take both numbers,
where they are not weights that go along the last axis, and shifts that would take digits away.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, channel_numbers
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.fold.fold_input_scale import fold_before, layers_behind

NORMS = {kernels.layer_norm, kernels.rms_norm}


def fold_norm_scale(graph: Graph) -> Graph:
    """Every normalisation of the last axis before layers that can do both neither scales nor shifts."""
    readers = graph.readers()
    behind = layers_behind(graph, readers)
    weights = dict(graph.weights)
    replaced: dict[str, Node] = {}
    for norm in graph.nodes:
        after, layers = _after(norm, graph), behind.get(norm.outputs[0])
        if after is not None and layers:
            replaced[norm.output] = replace(norm, inputs=(norm.inputs[0], *[None] * (len(norm.inputs) - 1)))
            replaced.update((layer.output, fold_before(layer, after, weights, readers)) for layer in layers)
    changed = {name for name, node in replaced.items() if node.kernel in NORMS}
    kept = {layer: names for layer, names in graph.layers.items() if not changed & set(names)}
    nodes = tuple(replaced.get(node.outputs[0], node) for node in graph.nodes)
    return replace(graph, nodes=nodes, weights=weights, layers=kept)


def _after(norm: Node, graph: Graph) -> Affine | None:
    """What the node does after it has normalised, if that is to scale or shift each channel."""
    if norm.kernel not in NORMS or norm.attrs.get("axis", (-1,)) != (-1,) or set(norm.inputs[1:]) == {None}:
        return None
    numbers = [
        channel_numbers(given, graph) if given is not None else missing
        for given, missing in zip((*norm.inputs[1:], None)[:2], (np.ones(1), np.zeros(1)), strict=True)
    ]
    if any(each is None or not np.isfinite(each).all() for each in numbers):
        return None
    after = Affine(norm.output, *numbers)
    return None if after.cancels else after
