"""Passes: a graph in, a smaller or faster graph with the same answers out."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kerasgen.ir import Graph
from kerasgen.passes.absorb_pads import absorb_pads
from kerasgen.passes.add_borders import add_borders
from kerasgen.passes.cancel_transposes import cancel_transposes
from kerasgen.passes.choose_kernels import choose_exact_kernels, choose_kernels
from kerasgen.passes.drop_unused import drop_unused
from kerasgen.passes.fold_batch_norm import fold_batch_norm
from kerasgen.passes.fold_constants import fold_constants
from kerasgen.passes.fold_input_scale import fold_input_scale
from kerasgen.passes.fold_norm_scale import fold_norm_scale
from kerasgen.passes.fold_scale import fold_scale
from kerasgen.passes.fold_through_relu import fold_through_relu
from kerasgen.passes.fuse_activation import fuse_activation
from kerasgen.passes.fuse_residual import fuse_residual
from kerasgen.passes.join_reshapes import join_reshapes
from kerasgen.passes.merge_equal import merge_equal
from kerasgen.passes.move_pools import move_pools
from kerasgen.passes.plan_memory import plan_memory
from kerasgen.passes.relu_by_rows import relu_by_rows
from kerasgen.passes.remove_identity import remove_identity
from kerasgen.passes.scale_by_blocks import scale_by_blocks
from kerasgen.passes.schedule import schedule
from kerasgen.passes.split_batch import split_batch
from kerasgen.passes.unroll_small import unroll_small

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
