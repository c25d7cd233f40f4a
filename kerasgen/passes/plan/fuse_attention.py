"""Compute attention in blocks: the scores of a block stay in the cache, and all of them never exist at once.

attend(softmax(head_scores(q, k, scale=s)), v) = attention_by_rows(q, k, v, scale=s)
attend(masked_softmax(head_scores(q, k), m), v) = attention_by_rows(q, k, v, m)

With s = head_scores(q, k) and b = band_mask(s), where each query sees a key:

attend(masked_softmax(s, b), v) = attend(softmax(mask_scores(s, b)), v) = band_attention_by_rows(q, k, v)

Only that one leaves out products: those of keys that no query of the block sees, whose weights are 0. So a NaN or an
infinity in their values does not reach the results.

Declines where the scores or the weights have another reader, where they are few, and where softmax has another axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import SMALL

# The kernels between the products of attention, from its weights back to its scores.
CHAINS = (
    [kernels.softmax, kernels.head_scores],
    [kernels.masked_softmax, kernels.head_scores],
    [kernels.softmax, kernels.mask_scores, kernels.head_scores],
)


def fuse_attention(graph: Graph, *, small: int = SMALL) -> Graph:
    """The graph with every large attention as one node, except under a band mask, which also reads the scores."""
    readers = graph.readers()
    fused: dict[str, Node] = {}
    removed: set[str] = set()
    for node, (weights, *between, scores) in _attentions(graph, small):
        if not between and readers[weights.output] == readers[scores.output] == 1:
            inputs = (*scores.inputs, node.inputs[1], *weights.inputs[1:])
            settings = {key: value for key, value in weights.attrs.items() if key != "axis"}
            attrs = {**scores.attrs, **settings}
            fused[node.output] = replace(node, kernel=kernels.attention_by_rows, inputs=inputs, attrs=attrs)
            removed.update((weights.output, scores.output))
    return graph.substitute(fused, removed=removed)


def fuse_band_attention(graph: Graph, *, small: int = SMALL) -> Graph:
    """The graph with every large attention under a causal mask or a sliding window as one node."""
    makers, readers = graph.makers(), graph.readers()
    fused: dict[str, Node] = {}
    removed: set[str] = set()
    for node, (*after, scores) in _attentions(graph, small):
        band = next((makers.get(str(mask)) for each in after for mask in each.inputs[1:]), None)
        if band is None or band.kernel is not kernels.band_mask or band.inputs != (scores.output,):
            continue
        queries, keys = graph.specs[scores.output].shape[2:]
        each_sees_a_key = band.attrs.get("window") is None or (queries is not None and queries == keys)
        if each_sees_a_key and readers[scores.output] == 2 and all(readers[x.output] == 1 for x in (*after, band)):
            inputs, attrs = (*scores.inputs, node.inputs[1]), {**scores.attrs, **band.attrs}
            fused[node.output] = replace(node, kernel=kernels.band_attention_by_rows, inputs=inputs, attrs=attrs)
            removed.update(x.output for x in (*after, band, scores))
    return graph.substitute(fused, removed=removed)


def _attentions(graph: Graph, small: int) -> Iterator[tuple[Node, list[Node]]]:
    """Each attention with many scores: the node of its result, and those from its weights back to its scores."""
    makers = graph.makers()
    for node in graph.nodes:
        if node.kernel is kernels.attend and graph.sample_bytes(str(node.inputs[0])) > small:
            nodes = [node]
            while nodes[-1].kernel is not kernels.head_scores and str(nodes[-1].inputs[0]) in makers:
                nodes.append(makers[str(nodes[-1].inputs[0])])
            inner = nodes[1:]
            if [x.kernel for x in inner] in CHAINS and inner[0].attrs.get("axis", -1) == -1:
                yield node, inner
