"""Move pooling to where it costs less.

average_pool(x W + b) = average_pool(x) W + b, for a convolution of single cells, as padding does not count. After
pooling, there are fewer cells to multiply; if their number stays the same, it is better to pool fewer channels.
max_pool(f(x)) = f(max_pool(x)), for an increasing function such as relu: fewer cells to compute it for.

Declines where there are few cells, where the array between the two has another reader, where the convolution has an
activation, where pooling first would take more than twice the channels, and where a size is known only at run time.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node, Shape

LARGE = 1 << 14  # numbers from which an activation that is not fused pays


def move_pools(graph: Graph, *, large: int = LARGE) -> Graph:
    """The graph with every pooling and its neighbour swapped where that is less work."""
    readers = graph.readers()
    places = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    nodes, specs, moved = list(graph.nodes), dict(graph.specs), set()
    for index, last in enumerate(graph.nodes):
        between = str(last.inputs[0]) if last.inputs else ""
        if between not in places or readers[between] > 1:
            continue
        first = nodes[places[between]]
        if not _is_less_work(first, last, replace(graph, specs=specs), large):
            continue
        x, y = (specs[str(name)] for name in (first.inputs[0], last.output))
        cells, channels = (x, y) if first.kernel is kernels.average_pool else (y, x)
        specs[between] = replace(specs[between], shape=(*cells.shape[:-1], channels.shape[-1]))
        nodes[places[between]] = replace(last, outputs=first.outputs, inputs=(first.inputs[0], *last.inputs[1:]))
        nodes[index] = replace(first, outputs=last.outputs, inputs=(between, *first.inputs[1:]))
        moved.add(between)
    return replace(graph, specs=specs).rewrite(nodes, changed=moved)


class _Sizes(NamedTuple):
    """The cells and channels of an array."""

    cells: int
    channels: int


def _is_less_work(first: Node, last: Node, graph: Graph, large: int) -> bool:
    if kernels.max_pool not in (first.kernel, last.kernel) and kernels.average_pool not in (first.kernel, last.kernel):
        return False
    specs = [graph.specs.get(name) for name in (str(first.inputs[0]), last.outputs[0])]
    before, after = (None if spec is None else _sizes(spec.shape) for spec in specs)
    if before is None or after is None:
        return False
    if facts(first.kernel).increasing and all(value >= 0 for value in first.attrs.values()):
        return last.kernel is kernels.max_pool and math.prod(before) >= large and after.cells < before.cells
    if _multiplies_cells(first, graph):
        fewer = after.cells < before.cells and 2 * after.channels >= before.channels
        return last.kernel is kernels.average_pool and fewer
    if first.kernel is kernels.average_pool and _multiplies_cells(last, graph):
        return after.cells == before.cells and after.channels < before.channels
    return False


def _sizes(shape: Shape) -> _Sizes | None:
    """None where a size is known only at run time, or there are no cells."""
    *cells, channels = shape[1:]
    return _Sizes(math.prod(n or 0 for n in cells), channels) if channels and all(cells) else None


def _multiplies_cells(node: Node, graph: Graph) -> bool:
    """Whether it is a convolution of single cells, and nothing else."""
    if not facts(node.kernel).conv_axes or node.attrs.get("activation") or node.inputs[1] not in graph.weights:
        return False
    window = graph.weights[str(node.inputs[1])].shape[:-2]
    return set(window) | set(node.attrs.get("strides", (1,))) == {1} and node.attrs.get("pad") is None
