"""Run the model on a few samples at a time, so that their arrays fit in the cache, and let threads share the batch.

f(x) = concatenate(f(x[:k]), f(x[k:2k]), ...), if no kernel lets one sample see another.

Where sizes are open, the threads have been chosen together with the elements of the input that make a run.

Declines where a kernel may mix samples, where a size is open and threads share nothing, and for stateful models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from kerasgen.graph.facts import facts, setting
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import RUN
from kerasgen.graph.plan import Plan


def split_batch(plan: Plan, *, run: int = RUN) -> Plan:
    """The plan with the number of samples whose largest array has `run` bytes."""
    graph = plan.graph
    shares = plan.shares_batch if plan.shares_work else None
    worth = bool(plan.buffers) or shares is not None
    whole = replace(plan, max_elements=None, shares_batch=None)
    if not worth or graph.memory or not _keeps_samples_apart(graph):
        return whole
    if any(None in value.shape[1:] for value in graph.inputs):
        return whole if shares is None else plan
    values = [name for node in graph.nodes for name in node.outputs]
    largest = max(map(graph.sample_bytes, values), default=0)
    if math.isinf(largest):
        return whole
    return replace(plan, max_batch=max(1, int(run // largest)), shares_batch=shares)


def _keeps_samples_apart(graph: Graph) -> bool:
    """Whether the rows of sample i in every value come from row i of the inputs, and from weights."""
    samples = {value.name for value in graph.inputs if value.shape[:1] == (None,)}
    if len(samples) < len(graph.inputs) or not samples.union(graph.makers()).issuperset(graph.outputs):
        return False
    for node in graph.nodes:
        if not _keeps_apart(node, graph, samples):
            return False
        samples.update(node.outputs)
    return True


def _keeps_apart(node: Node, graph: Graph, samples: set[str]) -> bool:
    """Whether the rows of sample i in the result come from those in what the node reads, and from weights."""
    arrays = [name for name in node.reads if name not in graph.arrays]
    shapes = [graph.specs[name].shape for name in (*arrays, *node.outputs) if name in graph.specs]
    if not arrays or not samples.issuperset(arrays) or any(shape[:1] != (None,) for shape in shapes):
        return False
    rank = max(map(len, shapes))
    if isinstance(node.kernel, np.ufunc):
        return _broadcasts_within_samples(node, graph, {len(shape) for shape in shapes}, rank)
    if node.kernel is np.transpose:
        return bool(node.attrs["axes"][0] == 0)
    if node.kernel is np.take:  # the rows of a table
        return node.inputs[0] in graph.arrays and node.attrs.get("axis") == 0
    axes = {axis for key in ("axis", "axes") for axis in np.ravel(node.attrs.get(key, -1)).tolist()}
    return facts(node.kernel).samples > 0 and not axes & {0, -rank, None} and samples.isdisjoint(_weights(node))


def _weights(node: Node) -> Iterator[str]:
    """The operands that all samples share: those after the ones that hold samples, except a residual."""
    shared = node.inputs[facts(node.kernel).samples : 3 if setting(node.kernel, "residual") else None]
    return (operand for operand in shared if isinstance(operand, str))


def _broadcasts_within_samples(node: Node, graph: Graph, ranks: set[int], rank: int) -> bool:
    """Whether a ufunc pairs each sample with itself: equal ranks and rows per sample, and no weight with a batch."""
    arrays = {*node.reads, *node.outputs} & graph.specs.keys() - graph.arrays.keys()
    rows = {graph.specs[name].rows for name in arrays}
    weights = [graph.arrays[name] for name in node.reads if name in graph.arrays]
    if len(ranks) > 1 or len(rows) > 1 or (node.kernel is np.matmul and rank <= 2):
        return False
    return all(weight.ndim < rank or weight.shape[0] == 1 for weight in weights)
