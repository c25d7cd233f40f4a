"""Passes: a graph in, a smaller or faster graph with the same answers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kerasgen.graph.ir import Graph
from kerasgen.passes.clean.cancel_transposes import cancel_transposes
from kerasgen.passes.clean.drop_unused import drop_unused
from kerasgen.passes.clean.join_reshapes import join_reshapes
from kerasgen.passes.clean.merge_equal import merge_equal
from kerasgen.passes.clean.remove_identity import remove_identity
from kerasgen.passes.clean.schedule import schedule
from kerasgen.passes.fold.absorb_pads import absorb_pads
from kerasgen.passes.fold.fold_batch_norm import fold_batch_norm
from kerasgen.passes.fold.fold_constants import fold_constants
from kerasgen.passes.fold.fold_input_scale import fold_input_scale
from kerasgen.passes.fold.fold_norm_scale import fold_norm_scale
from kerasgen.passes.fold.fold_scale import fold_scale
from kerasgen.passes.fold.fold_through_relu import fold_through_relu
from kerasgen.passes.fold.fuse_activation import fuse_activation
from kerasgen.passes.fold.move_pools import move_pools
from kerasgen.passes.plan.add_borders import add_borders
from kerasgen.passes.plan.choose_kernels import choose_exact_kernels, choose_kernels
from kerasgen.passes.plan.fuse_residual import fuse_residual
from kerasgen.passes.plan.plan_memory import plan_memory
from kerasgen.passes.plan.relu_by_rows import relu_by_rows
from kerasgen.passes.plan.scale_by_blocks import scale_by_blocks
from kerasgen.passes.plan.split_batch import split_batch
from kerasgen.passes.plan.unroll_small import unroll_small

Pass = Callable[[Graph], Graph]

CLEANING: tuple[Pass, ...] = (drop_unused, schedule)
TEXTBOOK: tuple[Pass, ...] = (remove_identity, cancel_transposes)
JOINED: tuple[Pass, ...] = (*TEXTBOOK, join_reshapes, merge_equal, absorb_pads)
FOLDED: tuple[Pass, ...] = (
    *(*JOINED, fold_constants),
    *(fold_batch_norm, fold_scale, fold_input_scale, fold_norm_scale, fold_through_relu),
    *(move_pools, scale_by_blocks, fuse_activation),
)
PLANNING: tuple[Pass, ...] = (
    *(fuse_residual, fuse_activation, relu_by_rows, *CLEANING),
    *(add_borders, plan_memory, split_batch),
)
# By level of optimisation: the most readable code; every layer's own arithmetic; all that keeps the answers.
PIPELINES: Mapping[int, tuple[Pass, ...]] = {
    0: (*TEXTBOOK, fuse_activation, *CLEANING),
    1: (*JOINED, fuse_activation, choose_exact_kernels, *PLANNING),
    2: (*FOLDED, unroll_small, choose_kernels, *PLANNING),
}
LEVEL = max(PIPELINES)


def optimize(graph: Graph, pipeline: tuple[Pass, ...] = PIPELINES[LEVEL]) -> Graph:
    """The graph after every pass; each result is checked."""
    for step in pipeline:
        graph = step(graph).check()
    return graph
