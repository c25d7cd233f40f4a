"""Run the model on a few samples at a time, so that their arrays stay in the caches.

f(x) = concatenate(f(x[:k]), f(x[k:2k]), ...), if no kernel lets one sample see another.

Declines where a kernel is not known to keep the samples apart, where a size is known only at run time, and in models
with a memory.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.plan.plan_memory import is_fresh, sample_bytes

MAX_BYTES = 1 << 22  # bytes of the largest array of one run
# Beside those that make fresh arrays: what moves the cells of a sample about.
MOVES = {kernels.channels_first, kernels.channels_last, kernels.crop, kernels.flatten, kernels.pad, kernels.reshape}


def split_batch(graph: Graph, max_bytes: int = MAX_BYTES) -> Graph:
    """The graph with the number of samples whose largest array has so many bytes."""
    largest = max((sample_bytes(graph, name) for node in graph.nodes for name in node.outputs), default=0)
    samples = {value.name for value in graph.inputs if value.shape[:1] == (None,)}
    for node in graph.nodes:
        if _keeps_apart(node, graph, samples):
            samples.update(node.outputs)
    arrays = [*(value.name for value in graph.inputs), *(name for node in graph.nodes for name in node.outputs)]
    if not graph.buffers or graph.memory or math.isinf(largest) or not samples.issuperset([*arrays, *graph.outputs]):
        return graph
    return replace(graph, max_batch=max(1, int(max_bytes // largest)))


def _keeps_apart(node: Node, graph: Graph, samples: set[str]) -> bool:
    """Whether row i of the result comes from row i of what it reads, and from weights."""
    arrays = [name for name in node.reads if name not in graph.weights]
    specs = [graph.specs[name] for name in (*arrays, *node.outputs) if name in graph.specs]
    if not arrays or not samples.issuperset(arrays) or any(spec.shape[:1] != (None,) for spec in specs):
        return False
    rank = max(len(spec.shape) for spec in specs)
    if isinstance(node.kernel, np.ufunc):  # a weight that takes part must not be longer than a sample
        weights = [graph.weights[name] for name in node.reads if name in graph.weights]
        same = all(len(spec.shape) == rank for spec in specs) and (node.kernel is not np.matmul or rank > 2)
        return same and all(weight.ndim < rank or weight.shape[0] == 1 for weight in weights)
    if node.kernel is not kernels.concatenate and samples.intersection(map(str, node.inputs[1:3])):
        return False  # a kernel that is no weight
    axes = {axis for key in ("axis", "axes") for axis in np.ravel(node.attrs.get(key, -1)).tolist()}
    return (is_fresh(node) or node.kernel in MOVES) and not axes & {0, -rank, None}
