"""Let the module's own threads share the layers of a network of large convolutions, instead of those of the BLAS.

The BLAS's threads share a product and nothing else. The module's share blocks of rows, with all that is done to a block
before its product and after it, in which a convolution with a window spends half of its time. But to wake a thread
takes some 50 us, more than smaller layers save, and both kinds of threads at once are in each other's way.

U-Nets gain a third on two cores; ResNet50 would gain nothing, and MobileNetV2 would lose. But most networks gain if
threads share the samples of a batch: those whose samples take more than FEW multiply-adds, and MEAN in each layer on
average. With less work between the calls of NumPy, threads wait for each other: one at a time holds the interpreter.

Where sizes are open, work and memory are in proportion to the image: the plan says from how many elements on an image
is large enough, and how many elements of a batch a thread computes at once.

Declines where several inputs have open sizes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from kerasgen.graph.facts import facts, multiply_adds
from kerasgen.graph.infer import specs_at
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import FEW, RUN
from kerasgen.graph.plan import Plan

LARGE = 80_000_000  # multiply-adds of a layer
MOST = 0.6  # of all multiply-adds
MEAN = 400_000  # multiply-adds of a layer, on average
SIDE = 1024  # cells of each open axis of the image for which work and bytes are counted


def choose_threads(plan: Plan, *, large: int = LARGE, few: int = FEW, mean: int = MEAN, run: int = RUN) -> Plan:
    """The plan, with `own_threads` where most of its work is in large convolutions of windows, and `shares_batch`."""
    graph = plan.graph
    is_open = any(None in value.shape[1:] for value in graph.inputs)
    if is_open and len(graph.inputs) > 1:
        return plan
    specs = specs_at(graph, SIDE)
    works = _works({**specs, **graph.arrays}, graph)
    typical, total, worth = _typical_work(works), sum(work for work, _ in works), max(few, mean * len(works))
    if not is_open:
        return replace(plan, own_threads=0 if typical > large else None, shares_batch=0 if total > worth else None)
    elements = math.prod(size or SIDE for size in graph.inputs[0].shape[1:])
    values = [name for node in graph.nodes for name in node.outputs]
    largest = max(map(replace(graph, specs=specs).sample_bytes, values), default=0)
    return replace(
        plan,
        own_threads=math.ceil(elements * large / typical) if typical else None,
        shares_batch=max(1, math.ceil(elements * worth / total)) if total else None,
        max_elements=max(1, int(elements * run / largest)) if 0 < largest < math.inf else None,
    )


def _works(values: Mapping[str, Any], graph: Graph) -> list[tuple[int, bool]]:
    """The multiply-adds of each node, and whether it is a convolution of windows."""
    nodes = [node for node in graph.nodes if values.keys() >= {node.outputs[0], *node.reads}]
    return [(multiply_adds(node, values) or 0, _has_window(node, values)) for node in nodes]


def _typical_work(works: Sequence[tuple[int, bool]]) -> int:
    """What each of the largest convolutions does at least, if these do MOST of the network's work; otherwise 0."""
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
