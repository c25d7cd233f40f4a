"""Scale the weights of a 1 x 1 convolution by the gate of its input channels, instead of the whole image.

pointwise(x * g, W) = pointwise(x, W, gate=g) = x * (g W), for a gate of each sample, as of squeeze-and-excitation

Declines where the product has another reader, and where the image has fewer than two cells for each filter.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node


def fold_gate(graph: Graph) -> Graph:
    """The graph with every such gate folded that can be."""
    readers, makers = graph.readers(), graph.makers()
    folded: dict[str, Node] = {}
    removed: set[str] = set()
    for node in graph.nodes:
        product = makers.get(str(node.inputs[0])) if node.kernel is kernels.pointwise else None
        if product is None or product.kernel is not np.multiply or readers[product.output] > 1 or len(node.inputs) > 4:
            continue
        for image, gate in (product.inputs, product.inputs[::-1]):
            if _gates(str(gate), str(image), node, graph):
                _, *others = (*node.inputs, None, None)[:4]  # the kernel, a bias and a residual
                folded[node.output] = replace(node, inputs=(image, *others, gate))
                removed.add(product.output)
                break
    return graph.substitute(folded, removed=removed)


def _gates(gate: str, image: str, node: Node, graph: Graph) -> bool:
    """Whether `gate` has one number for each channel of each sample of `image`, and it pays to scale the weights."""
    if not {gate, image} <= graph.specs.keys():
        return False
    (n, *ones, c), (_, *sizes, channels) = graph.specs[gate].shape, graph.specs[image].shape
    if n is not None or c != channels or ones != [1] * len(sizes) or None in (*sizes, c):
        return False
    filters: int = graph.arrays[str(node.inputs[1])].shape[-1]
    return 2 * filters <= math.prod(size or 0 for size in sizes)
