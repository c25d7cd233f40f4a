"""Remove nodes that return their input unchanged.

identity(x) = x;  stop_gradient(x) = x, where nothing is differentiated any more
pad(x, zeros) = x;  crop(x, zeros) = x;  concatenate(x) = x;  transpose(x, 0 1 2 …) = x
"""

from __future__ import annotations

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node


def remove_identity(graph: Graph) -> Graph:
    """The graph where readers of such a node read its input instead."""
    removed = [node for node in graph.nodes if _is_identity(node)]
    renamed = {node.output: str(node.inputs[0]) for node in removed}
    return graph.substitute({}, renamed)


def remove_stop_gradient(graph: Graph) -> Graph:
    """The same for the nodes at which gradients end, which a graph needs until it is differentiated."""
    renamed = {node.output: str(node.inputs[0]) for node in graph.nodes if node.kernel is kernels.stop_gradient}
    return graph.substitute({}, renamed)


def _is_identity(node: Node) -> bool:
    if node.kernel is kernels.identity:
        return True
    if node.kernel is kernels.concatenate:
        return len(node.inputs) == 1
    if node.kernel is np.transpose:
        axes = node.attrs.get("axes")
        return axes is not None and tuple(axes) == tuple(range(len(axes)))
    around = node.attrs.get("pads" if node.kernel is kernels.pad else "crops" if node.kernel is kernels.crop else "")
    return around is not None and not np.any(around)
