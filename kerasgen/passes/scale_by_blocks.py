"""Scale and shift a large array by blocks, with the two numbers of each channel that batch normalisation comes to.

batch_norm(x) = x s + (beta - mean s), s = gamma / sqrt(variance + epsilon)

Declines where the normalised axis is not the channels, the parameters are no weights, or the array is small.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.ir import Graph
from kerasgen.passes.fold_batch_norm import scale_and_shift
from kerasgen.passes.plan_memory import sample_bytes

LARGE = 1 << 15  # bytes of one sample


def scale_by_blocks(graph: Graph, *, large: int = LARGE) -> Graph:
    """Every batch normalisation of a large array is a `scale_shift`."""
    weights = dict(graph.weights)
    nodes = []
    for node in graph.nodes:
        norm = node.kernel is kernels.batch_norm and sample_bytes(graph, node.output) >= large
        if norm and node.attrs["axis"] == -1 and len(graph.specs[node.output].shape) > 2:
            parameters = [str(name) for name in node.inputs[1:] if name is not None]
            if all(name in weights for name in parameters):
                names = [f"{parameters[-1].rpartition('/')[0]}/{name}" for name in ("scale", "shift")]
                for name, array in zip(names, scale_and_shift(node, weights), strict=True):
                    weights[name] = array.astype(graph.specs[node.output].dtype)
                node = replace(node, kernel=kernels.scale_shift, inputs=(node.inputs[0], *names), attrs={})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), weights=weights)
