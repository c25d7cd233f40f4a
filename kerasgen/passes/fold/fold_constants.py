"""Compute at export what depends on weights alone.

f(W) = V, a weight of its own.

Declines where V takes more bytes than the weights that it makes unused, such as floats computed from small integers;
where V or a view of it is a result, as weights are never returned; where the kernel fails; and for the user's own
functions, which may answer differently each time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.liveness import last_reads
from kerasgen.names import unused

GROWTH = 1 << 10  # bytes that one node may add to the module


def fold_constants(graph: Graph, *, growth: int = GROWTH) -> Graph:
    """The graph with nodes that read only weights replaced by their results."""
    readers = graph.readers()
    last = last_reads(graph)
    weights = dict(graph.weights)
    renamed: dict[str, str] = {}
    rest = []
    for node in graph.nodes:
        node = replace(node, inputs=tuple(renamed.get(i, i) if isinstance(i, str) else i for i in node.inputs))
        reads, results = set(node.reads), None
        if weights.keys() >= reads and node.repeatable:
            freed = sum(weights[name].nbytes for name in reads if readers[name] == node.reads.count(name))
            returned = any(last[name] == len(graph.nodes) for name in node.outputs)
            results = _computed(node, weights) if not returned and _size(node, graph) <= freed + growth else None
        if results is None:
            rest.append(node)
            continue
        for name, array in zip(node.outputs, results, strict=True):
            renamed[name] = unused(f"{name}/value", weights)
            weights[renamed[name]] = array
            readers[renamed[name]] = readers[name]
    return replace(graph, weights=weights).rewrite(rest, renamed)


def _size(node: Node, graph: Graph) -> float:
    """The bytes of the results, infinity if unknown."""
    specs = [graph.specs[name] for name in node.outputs if name in graph.specs]
    if len(specs) < len(node.outputs) or any(None in spec.shape for spec in specs):
        return math.inf
    return sum(math.prod(size or 0 for size in spec.shape) * np.dtype(spec.dtype).itemsize for spec in specs)


def _computed(node: Node, weights: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    """The results; None if the kernel rejects these numbers: the module then raises the error when it runs."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            return [np.asarray(array) for array in node.call(weights)]
        except (ValueError, ArithmeticError, LookupError):
            return None
