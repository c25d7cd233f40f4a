"""Let a pooling stand where it costs less.

average_pool(x W + b) = average_pool(x) W + b, for a convolution of single cells, as no cell of the border counts. First
pooled, there are fewer cells to multiply; where their number stays, fewer channels to pool are what counts.
max_pool(relu(x)) = relu(max_pool(x)), for a function that never falls: fewer cells to cut.

Declines where there is little to cut, where the array between the two has another reader, where the convolution has an
activation, where pooling first would take more than twice the channels, and where a size is known only at run time.
"""

from __future__ import annotations

import math
from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node

CONVOLUTIONS = {kernels.conv1d, kernels.conv2d, kernels.conv3d}
POOLS = {kernels.average_pool, kernels.max_pool}
RISING = {kernels.relu, kernels.relu6}
LARGE = 1 << 14  # numbers from which it pays to cut them in a line of its own


def move_pools(graph: Graph, *, large: int = LARGE) -> Graph:
    """Every pooling and its neighbour change places where that is less work."""
    readers = graph.readers()
    places = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    nodes, specs, moved = list(graph.nodes), dict(graph.specs), set()
    for index, last in enumerate(graph.nodes):
        between = str(last.inputs[0]) if last.inputs else ""
        first = nodes[places[between]] if between in places and readers[between] == 1 else None
        if first is None or not _is_less_work(first, last, replace(graph, specs=specs), large):
            continue
        x, y = (specs[str(name)] for name in (first.inputs[0], last.output))
        cells, channels = (x, y) if first.kernel is kernels.average_pool else (y, x)
        specs[between] = replace(specs[between], shape=(*cells.shape[:-1], channels.shape[-1]))
        nodes[places[between]] = replace(last, outputs=first.outputs, inputs=(first.inputs[0], *last.inputs[1:]))
        nodes[index] = replace(first, outputs=last.outputs, inputs=(between, *first.inputs[1:]))
        moved.add(between)
    layers = {layer: names for layer, names in graph.layers.items() if not moved & set(names)}
    return replace(graph, nodes=tuple(nodes), specs=specs, layers=layers)


def _is_less_work(first: Node, last: Node, graph: Graph, large: int) -> bool:
    if not {first.kernel, last.kernel} & POOLS:
        return False
    read, made = (graph.specs.get(name) for name in (str(first.inputs[0]), last.outputs[0]))
    if read is None or made is None or not all((*read.shape[1:], *made.shape[1:])):
        return False
    *sizes, channels = (size or 0 for size in read.shape[1:])
    *pooled, filters = (size or 0 for size in made.shape[1:])
    before, after = math.prod(sizes), math.prod(pooled)
    if first.kernel in RISING and not first.attrs:
        return last.kernel is kernels.max_pool and before * channels >= large and after < before
    if _multiplies_cells(first, graph):
        return last.kernel is kernels.average_pool and after < before and 2 * filters >= channels
    if first.kernel is kernels.average_pool and _multiplies_cells(last, graph):
        return after == before and filters < channels
    return False


def _multiplies_cells(node: Node, graph: Graph) -> bool:
    """Whether it is a convolution of single cells, and nothing else."""
    if node.kernel not in CONVOLUTIONS or node.attrs.get("activation") or node.inputs[1] not in graph.weights:
        return False
    window = graph.weights[str(node.inputs[1])].shape[:-2]
    return set(window) | set(node.attrs.get("strides", (1,))) == {1} and node.attrs.get("pad") is None
