"""Compute attention in blocks: the scores of a block stay in the cache, and all of them never exist at once.

attend(softmax(head_scores(q, k, scale=s)), v) = attention_by_rows(q, k, v, scale=s)
attend(masked_softmax(head_scores(q, k), m), v) = attention_by_rows(q, k, v, m)

Declines where the scores or the weights have another reader, where they are few, and where softmax has another axis.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node

SMALL = 1 << 18  # bytes of the scores of one sample


def fuse_attention(graph: Graph, *, small: int = SMALL) -> Graph:
    """The graph with every large attention as one node."""
    makers, readers = graph.makers(), graph.readers()
    fused: dict[str, Node] = {}
    removed: set[str] = set()
    for node in graph.nodes:
        if node.kernel is not kernels.attend or graph.sample_bytes(str(node.inputs[0])) <= small:
            continue
        weights = makers.get(str(node.inputs[0]))
        scores = makers.get(str(weights.inputs[0])) if weights and _is_softmax(weights) else None
        if weights is None or scores is None or scores.kernel is not kernels.head_scores:
            continue
        if readers[weights.output] == readers[scores.output] == 1:
            inputs = (*scores.inputs, node.inputs[1], *weights.inputs[1:])
            settings = {key: value for key, value in weights.attrs.items() if key != "axis"}
            attrs = {**scores.attrs, **settings}
            fused[node.output] = replace(node, kernel=kernels.attention_by_rows, inputs=inputs, attrs=attrs)
            removed.update((weights.output, scores.output))
    return graph.substitute(fused, removed=removed)


def _is_softmax(node: Node) -> bool:
    """Whether it is a softmax over the last axis, with a mask or without."""
    return node.kernel in (kernels.softmax, kernels.masked_softmax) and node.attrs.get("axis", -1) == -1
