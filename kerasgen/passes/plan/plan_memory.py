"""Give each large result a buffer that nothing needs any more, so that the same few are used at every call.

A value lives from the node that makes it to the last one that reads it, or a view of it. Only the kernels in FRESH are
known to return no view of what they read. A sum or product of a value that nothing else needs takes its place. Results
of the model are never put into a buffer.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.emit.source import is_copied
from kerasgen.graph.ir import Graph, Node
from kerasgen.names import Namespace
from kerasgen.passes.fold.fold_batch_norm import OUTPUT_AXES

FRESH = frozenset(
    {
        *(activation for activation in kernels.ACTIVATIONS.values() if activation is not kernels.identity),
        *OUTPUT_AXES,
        kernels.average_pool,
        kernels.batch_norm,
        kernels.concatenate,
        kernels.conv_by_matrix,
        kernels.conv_by_taps,
        kernels.global_average_pool,
        kernels.global_max_pool,
        kernels.layer_norm,
        kernels.max_pool,
    }
)
LARGE = 1 << 17  # bytes for one sample; NumPy's own memory serves what is smaller
IN_PLACE = {np.add, np.multiply, np.subtract}


def plan_memory(graph: Graph, large: int = LARGE) -> Graph:
    """The graph with a buffer for every value that takes at least so many bytes a sample, where its kernel allows."""
    last = last_reads(graph)
    names = Namespace(name for node in graph.nodes for name in (*node.reads, *node.outputs, node.kernel.__name__))
    free: list[str] = []
    held: dict[str, int] = {}  # until which node
    inside: dict[str, str] = {}  # which buffer has this value
    buffers: list[str] = []
    nodes = []
    for index, node in enumerate(graph.nodes):
        free += [buffer for buffer, until in held.items() if until < index]
        held = {buffer: until for buffer, until in held.items() if until >= index}
        name, place = node.outputs[0], ""
        if last[name] == len(graph.nodes):
            pass
        elif node.kernel in IN_PLACE:
            ended = (value for value in node.reads if value in inside and held[inside[value]] == index)
            place = next((value for value in ended if graph.same_form(value, name)), "")
        elif _takes_out(node.kernel) and sample_bytes(graph, name) >= large:
            if not free:
                buffers.append(names.new("abcdefghijklmnop"[len(buffers) % 16]))
                free.append(buffers[-1])
            place = free.pop()
        if place:
            inside[name] = inside.get(place, place)  # the buffer, or that of the value whose place it takes
            held[inside[name]] = last[name]
            node = replace(node, out=place)
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), buffers=tuple(buffers))


def last_reads(graph: Graph) -> dict[str, int]:
    """The number of the last node that needs each value; the results are needed after all nodes."""
    last = dict.fromkeys((name for node in graph.nodes for name in node.outputs), -1)
    last.update(dict.fromkeys(graph.results, len(graph.nodes)))
    for index, node in reversed(list(enumerate(graph.nodes))):
        until = index if is_fresh(node) else max([index, *(last[name] for name in node.outputs)])
        for name in node.reads:
            last[name] = max(last.get(name, -1), until)
    return last


def sample_bytes(graph: Graph, name: str) -> float:
    """What a value takes for one sample: infinity if a size is known only at run time, 0 if nothing is known."""
    spec = graph.specs.get(name)
    if spec is None:
        return 0
    sizes = spec.shape[1:]
    return math.inf if None in sizes else math.prod(size or 1 for size in sizes) * np.dtype(spec.dtype).itemsize


def is_fresh(node: Node) -> bool:
    """Whether what the kernel returns is no view of what it reads."""
    return node.kernel in FRESH or isinstance(node.kernel, np.ufunc) or _takes_out(node.kernel)


@cache
def _takes_out(kernel: Callable[..., Any]) -> bool:
    """Whether the kernel writes its result into memory that it is given, and so never returns a view."""
    try:
        parameter = inspect.signature(kernel).parameters.get("out")
    except ValueError:  # some NumPy functions have no signature
        return False
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY and is_copied(kernel)
