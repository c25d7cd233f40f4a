"""Fold the scale and the shift of the channels before a relu into the layers behind it.

relu(x s + t) = clamp(x, low, high) s + t, where the relu cuts at low = -t / s: for s < 0 it cuts from above, and relu6
on both sides. The layers behind then scale and shift, as `fold_input_scale` has it: of three times that something goes
through the array, one or two are left.

Declines what that declines, an s of 0 or next to it, arrays without cells, and where a reader of the relu cannot take
both numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, gathered
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.fold.fold_constants import unused
from kerasgen.passes.fold.fold_input_scale import fold_before, layers_behind

CUTS: Mapping[Any, tuple[float, float]] = {kernels.relu: (0.0, np.inf), kernels.relu6: (0.0, 6.0)}


def fold_through_relu(graph: Graph) -> Graph:
    """Every relu of scaled and shifted channels, behind which only layers stand that can do both, is a clamp."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    behind = layers_behind(graph, readers)
    weights = dict(graph.weights)
    replaced: dict[str, Node] = {}
    gone: set[str] = set()
    for relu in graph.nodes:
        spec = graph.specs.get(relu.outputs[0])
        if relu.kernel not in CUTS or relu.attrs or spec is None or len(spec.shape) < 3:
            continue
        layers = behind.get(relu.output)
        unscaled = Affine(str(relu.inputs[0]), np.ones(1), np.zeros(1))
        before, between = gathered(unscaled, graph, makers, readers)
        if between and layers and before.invertible:
            gone |= {relu.output, *between}
            replaced[relu.output] = _clamp(relu, before, graph, weights)
            replaced.update((layer.output, fold_before(layer, before, weights, readers)) for layer in layers)
    nodes = (replaced.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in gone - {*replaced})
    kept = {layer: names for layer, names in graph.layers.items() if not gone & set(names)}
    return replace(graph, weights=weights, layers=kept).rewrite(nodes, {})


def _clamp(relu: Node, before: Affine, graph: Graph, weights: dict[str, np.ndarray]) -> Node:
    """The clamp in place of the relu; its limits for each channel are put into `weights`."""
    limits = np.sort([(cut - before.shift) / before.scale for cut in CUTS[relu.kernel]], axis=0)
    names = []
    for name, limit in zip(("low", "high"), limits, strict=True):
        key = unused(f"{relu.output}/{name}", weights) if np.isfinite(limit).any() else None
        weights.update({key: limit.astype(graph.specs[relu.output].dtype)} if key else {})
        names.append(key)
    return replace(relu, kernel=kernels.clamp, inputs=(before.x, *names))
