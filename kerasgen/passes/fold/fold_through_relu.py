"""Fold the scale and the shift of the channels before a relu into the layers after it.

relu(x s + t) = clamp(x, low, high) s + t, where the relu cuts at low = -t / s: for s < 0 it cuts from above, and relu6
on both sides. The layers after it then scale and shift, see `kerasgen.graph.linear`: of three passes over the array,
one or two are left.

Declines shifts that would cancel digits, an s of 0 or close to it, arrays without spatial axes, and where a reader of
the relu cannot absorb both.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, gathered
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.linear import layers_behind, scale_input
from kerasgen.names import unused


def fold_through_relu(graph: Graph) -> Graph:
    """The graph with clamps for relus of scaled and shifted channels, if all layers after them can do both."""
    readers = graph.readers()
    makers = graph.makers()
    behind = layers_behind(graph, readers)
    weights = dict(graph.weights)
    clamps: dict[str, Node] = {}
    scaled: dict[str, Node] = {}
    absorbed: set[str] = set()
    for relu in graph.nodes:
        layers = behind.get(relu.outputs[0])
        if not layers or not _cuts_cells(relu, graph):
            continue
        before, between = gathered(Affine(str(relu.inputs[0]), np.ones(1), np.zeros(1)), graph, makers, readers)
        if between and before.invertible:
            absorbed.update(between)
            clamps[relu.output] = _clamp(relu, before, graph, weights)
            scaled.update((layer.output, scale_input(layer, before, weights, readers)) for layer in layers)
    folded = replace(graph, weights=weights)
    return folded.substitute({**clamps, **scaled}, removed=absorbed, changed={*clamps, *absorbed})


def _cuts_cells(node: Node, graph: Graph) -> bool:
    """Whether it is a plain relu or relu6 of an array with spatial axes."""
    spec = graph.specs.get(node.outputs[0])
    return facts(node.kernel).limits is not None and not node.attrs and spec is not None and len(spec.shape) > 2


def _clamp(relu: Node, before: Affine, graph: Graph, weights: dict[str, np.ndarray]) -> Node:
    """The clamp in place of the relu; its limits for each channel are put into `weights`."""
    cuts = facts(relu.kernel).limits
    assert cuts is not None
    limits = np.sort([(cut - before.shift) / before.scale for cut in cuts], axis=0)
    names = []
    for name, limit in zip(("low", "high"), limits, strict=True):
        key = unused(f"{relu.output}/{name}", weights) if np.isfinite(limit).any() else None
        weights.update({key: limit.astype(graph.specs[relu.output].dtype)} if key else {})
        names.append(key)
    return replace(relu, kernel=kernels.clamp, inputs=(before.x, *names))
