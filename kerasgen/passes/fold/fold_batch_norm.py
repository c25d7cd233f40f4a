"""Fold batch normalisation into the convolution or dense layer before it.

With s = gamma / sqrt(variance + epsilon):
    batch_norm(x * W + b) = x * (W s) + ((b - mean) s + beta)
where s scales the output channels of W: see `kerasgen.graph.linear`.

Declines where the convolution's output has another reader, where it has an activation already, and where the
normalised axis is not the channels. A weight that another node reads too is left as it is; the folded one is new.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.affine import scale_and_shift
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.linear import has_weights, scale_output


def fold_batch_norm(graph: Graph) -> Graph:
    """The graph with every batch normalisation folded that can be."""
    readers = graph.readers()
    makers = graph.makers()
    weights = dict(graph.weights)
    folded: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for norm in graph.nodes:
        conv = makers.get(str(norm.inputs[0])) if norm.kernel is kernels.batch_norm else None
        if conv is not None and _folds(conv, norm, graph) and readers[conv.output] == 1:
            folded[conv.output] = scale_output(conv, *scale_and_shift(norm, weights), weights, readers)
            renamed[norm.output] = conv.output
    return replace(graph, weights=weights).substitute(folded, renamed, changed=folded.keys())


def _folds(conv: Node, norm: Node, graph: Graph) -> bool:
    return (
        has_weights(conv, graph)
        and norm.attrs["axis"] == -1
        and conv.attrs.get("activation") is None
        and all(name is None or name in graph.weights for name in norm.inputs[1:])
    )
