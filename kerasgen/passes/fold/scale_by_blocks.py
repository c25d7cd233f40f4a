"""Scale and shift a large array by blocks, with layers in a row combined into one scale and shift per channel.

batch_norm(x) = x s + (beta - mean s), s = gamma / sqrt(variance + epsilon);  (x u + v) w + z = x (u w) + (v w + z)

Declines where the array is small; where that saves no pass over the array, of which a sum or a product takes one and
`scale_shift` two; where all channels have the same numbers, for which plain NumPy is faster; and where they vary
otherwise. Of layers in a row, declines those whose result has another reader, and shifts that would cancel digits.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, affine, gathered
from kerasgen.graph.ir import Graph, Node
from kerasgen.names import unused

LARGE = 1 << 15  # bytes of one sample


def scale_by_blocks(graph: Graph, *, large: int = LARGE) -> Graph:
    """The graph with a `scale_shift` for batch normalisations of large arrays, and for three such nodes in a row."""
    weights = dict(graph.weights)
    readers = graph.readers()
    makers = graph.makers()
    scaled: dict[str, Node] = {}
    absorbed: set[str] = set()
    for node in reversed(graph.nodes):
        if node.outputs[0] in absorbed or graph.sample_bytes(node.outputs[0]) < large:
            continue
        whole = affine(node, graph)
        if whole is None or len(graph.specs[node.output].shape) < 3:
            continue
        whole, inner = gathered(whole, graph, makers, readers)
        passes = sum(map(_passes, (node, *(makers[name] for name in inner))))
        if passes > 2 and max(whole.scale.size, whole.shift.size) > 1:
            absorbed.update(inner)
            scaled[node.output] = _scale_shift(node, whole, graph, weights)
    return replace(graph, weights=weights).substitute(scaled, removed=absorbed)


def _passes(node: Node) -> int:
    """The number of passes over the array; for batch normalisation, which first computes s and t, one more."""
    return 1 if isinstance(node.kernel, np.ufunc) else 3 if node.kernel is kernels.batch_norm else 2


def _scale_shift(node: Node, whole: Affine, graph: Graph, weights: dict[str, np.ndarray]) -> Node:
    """The node as a `scale_shift`; its two weights are put into `weights`."""
    spec, names = graph.specs[node.output], []
    for name, numbers in (("scale", whole.scale), ("shift", whole.shift)):
        key = unused(f"{node.output}/{name}", weights)
        weights[key] = numbers.astype(spec.dtype)
        names.append(key)
    return replace(node, kernel=kernels.scale_shift, inputs=(whole.x, *names), attrs={})
