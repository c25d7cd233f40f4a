"""Passes: a graph in, a smaller or faster graph with the same answers out."""

from __future__ import annotations

from collections.abc import Callable

from kerasgen.ir import Graph
from kerasgen.passes.cancel_transposes import cancel_transposes
from kerasgen.passes.drop_unused import drop_unused
from kerasgen.passes.fold_batch_norm import fold_batch_norm
from kerasgen.passes.fuse_activation import fuse_activation
from kerasgen.passes.remove_identity import remove_identity
from kerasgen.passes.schedule import schedule

Pass = Callable[[Graph], Graph]

CLEANING: tuple[Pass, ...] = (drop_unused, schedule)
PIPELINE: tuple[Pass, ...] = (remove_identity, cancel_transposes, fold_batch_norm, fuse_activation, *CLEANING)


def optimize(graph: Graph, pipeline: tuple[Pass, ...] = PIPELINE) -> Graph:
    """The graph after every pass; each result is checked."""
    for step in pipeline:
        graph = step(graph).check()
    return graph
