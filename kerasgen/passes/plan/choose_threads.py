"""Let the module's own threads share the layers of a network of large convolutions, instead of those of the BLAS.

The BLAS's threads share a product and nothing else. The module's share blocks of rows, with all that is done to a block
before its product and after it, in which a convolution with a window spends half of its time. But to wake a thread
takes some 50 us, more than smaller layers save, and both kinds of threads at once are in each other's way.

U-Nets gain a third on two cores; ResNet50 would gain nothing, and MobileNetV2 would lose.

Where sizes are open, a layer's work is in proportion to the image: the plan says from how many numbers on an image is
large enough. Declines where several inputs have open sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kerasgen.graph.facts import facts, multiply_adds
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.graph.receptive_field import spatial_axes

LARGE = 80_000_000  # multiply-adds of a layer
MOST = 0.6  # of all multiply-adds
SIDE = 1024  # cells of each open axis of the image for which work is counted


def choose_threads(plan: Plan, *, large: int = LARGE) -> Plan:
    """The plan, with `own_threads` where most of its work is in large convolutions of windows."""
    graph = plan.graph
    is_open = len(graph.inputs) == 1 and None in graph.inputs[0].shape[1:]
    values = {**graph.specs, **(_of_one_size(graph) if is_open else {})}
    work = _typical_work({**values, **graph.arrays}, graph)
    least = 0 if work > large else None
    if is_open and work:
        numbers = math.prod(size or 1 for size in values[graph.inputs[0].name].shape[1:])
        least = math.ceil(numbers * large / work)
    return replace(plan, own_threads=least)


def _typical_work(values: Mapping[str, Any], graph: Graph) -> int:
    """What each of the largest convolutions does at least, if these do MOST of the network's work; otherwise 0."""
    nodes = [node for node in graph.nodes if values.keys() >= {node.outputs[0], *node.reads}]
    works = [(multiply_adds(node, values) or 0, _has_window(node, values)) for node in nodes]
    rest = MOST * sum(work for work, _ in works)
    for work in sorted((work for work, has_window in works if has_window), reverse=True):
        rest -= work
        if rest < 0:
            return work
    return 0


def _has_window(node: Node, values: Mapping[str, Any]) -> bool:
    """Whether it is a convolution with a window of several cells, or a transposed one."""
    kind = facts(node.kernel)
    return (kind.conv_axes is not None or kind.transposed) and math.prod(values[node.reads[1]].shape[:-2]) > 1


def _of_one_size(graph: Graph) -> dict[str, Value]:
    """The values that depend on an image of open sizes, for one of SIDE cells along each of these axes."""
    arrays = {name: Value(name, array.shape, str(array.dtype)) for name, array in graph.arrays.items()}
    axes, _ = spatial_axes(replace(graph, specs={**arrays, **graph.specs}))
    return {
        name: replace(
            graph.specs[name],
            shape=tuple(
                math.ceil(SIDE / span.stride) if size is None and span else size
                for size, span in zip(graph.specs[name].shape, spans, strict=True)
            ),
        )
        for name, spans in axes.items()
        if name in graph.specs
    }
