"""Let the module's own threads share the layers of a network of large convolutions, instead of those of the BLAS.

The BLAS's threads share a product and nothing else. The module's share blocks of rows, with all that is done to a block
before its product and after it, in which a convolution with a window spends half of its time. But to wake a thread
takes some 50 us, more than smaller layers save, and both kinds of threads at once are in each other's way.

U-Nets gain a third on two cores; ResNet50 would gain nothing, and MobileNetV2 would lose.

Declines where sizes are open, as the work is unknown then.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

from kerasgen.graph.facts import facts, multiply_adds
from kerasgen.graph.ir import Node
from kerasgen.graph.plan import Plan

LARGE = 100_000_000  # multiply-adds of a layer
MOST = 0.6  # of all multiply-adds


def choose_threads(plan: Plan, *, large: int = LARGE) -> Plan:
    """The plan, with `own_threads` if most of its work is in large convolutions of windows."""
    graph = plan.graph
    values: dict[str, Any] = {**graph.specs, **graph.arrays}
    nodes = [node for node in graph.nodes if values.keys() >= {node.outputs[0], *node.reads}]
    works = [(node, multiply_adds(node, values) or 0) for node in nodes]
    shared = sum(work for node, work in works if work > large and _has_window(node, values))
    return replace(plan, own_threads=shared > MOST * sum(work for _, work in works))


def _has_window(node: Node, values: dict[str, Any]) -> bool:
    """Whether it is a convolution with a window of several cells, or a transposed one."""
    kind = facts(node.kernel)
    return (kind.conv_axes is not None or kind.transposed) and prod(values[node.reads[1]].shape[:-2]) > 1
