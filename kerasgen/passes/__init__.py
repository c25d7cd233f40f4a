"""Passes: a graph in, a smaller or faster graph with the same answers out; then the plan of the module.

No pass imports another one: they share facts about kernels and analyses of graphs, in `kerasgen.graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import wraps
from typing import Any, NamedTuple

from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan, Tuning
from kerasgen.passes.clean.cancel_step_splits import cancel_step_splits
from kerasgen.passes.clean.cancel_transposes import cancel_transposes
from kerasgen.passes.clean.drop_unused import drop_unused
from kerasgen.passes.clean.join_reshapes import join_reshapes
from kerasgen.passes.clean.merge_equal import merge_equal
from kerasgen.passes.clean.remove_identity import remove_identity, remove_stop_gradient
from kerasgen.passes.clean.schedule import schedule
from kerasgen.passes.fold.absorb_pads import absorb_pads
from kerasgen.passes.fold.fold_batch_norm import fold_batch_norm
from kerasgen.passes.fold.fold_constants import fold_constants
from kerasgen.passes.fold.fold_gate import fold_gate
from kerasgen.passes.fold.fold_input_scale import fold_input_scale
from kerasgen.passes.fold.fold_norm_scale import fold_norm_scale
from kerasgen.passes.fold.fold_scale import fold_scale
from kerasgen.passes.fold.fold_through_relu import fold_through_relu
from kerasgen.passes.fold.fuse_activation import fuse_activation
from kerasgen.passes.fold.move_pools import move_pools
from kerasgen.passes.fold.scale_by_blocks import scale_by_blocks
from kerasgen.passes.plan.activations_by_rows import activations_by_rows
from kerasgen.passes.plan.add_borders import add_borders
from kerasgen.passes.plan.choose_kernels import choose_exact_kernels, choose_kernels
from kerasgen.passes.plan.choose_threads import choose_threads
from kerasgen.passes.plan.fuse_attention import fuse_attention, fuse_band_attention
from kerasgen.passes.plan.fuse_residual import fuse_residual
from kerasgen.passes.plan.large_by_rows import large_by_rows
from kerasgen.passes.plan.plan_memory import plan_memory
from kerasgen.passes.plan.split_batch import split_batch
from kerasgen.passes.plan.unroll_small import unroll_small

Pass = Callable[..., Plan]


class Phase(NamedTuple):
    """Passes with one purpose: `clean` removes nodes, `fold` combines them, `plan` decides how to compute."""

    name: str
    passes: tuple[Pass, ...]


def on_graph(step: Callable[..., Graph]) -> Pass:
    """A pass over graphs as a pass over plans, which changes their graph."""

    @wraps(step)
    def lifted(plan: Plan, **limits: Any) -> Plan:
        return plan.on(step(plan.graph, **limits))

    return lifted


def phase(name: str, *steps: Callable[..., Graph]) -> Phase:
    """A phase of passes over graphs."""
    return Phase(name, tuple(map(on_graph, steps)))


STOPS = phase("clean", remove_stop_gradient)
CLEAN = phase("clean", remove_identity, cancel_transposes, cancel_step_splits)
JOIN = phase("clean", join_reshapes, merge_equal, absorb_pads)
FOLD = phase(
    "fold",
    *(fold_constants, fold_batch_norm, fold_scale, fold_input_scale, fold_norm_scale, fold_through_relu),
)
MOVE = phase("fold", move_pools, scale_by_blocks, fuse_activation)
FUSE = phase("fold", fuse_activation)
BANDS = phase("plan", fuse_band_attention)
BY_ROWS = phase("plan", fuse_attention, large_by_rows)
THREADS = Phase("plan", (choose_threads,))
EXACT_KERNELS = Phase("plan", (choose_exact_kernels,))
FAST_KERNELS = Phase("plan", (unroll_small, choose_kernels))
GATES = phase("fold", fold_gate)
EPILOGUES = phase("plan", fuse_residual, fuse_activation, activations_by_rows)
FINISH = phase("clean", drop_unused, schedule)
BUFFERS = Phase("plan", (on_graph(add_borders), plan_memory, split_batch))

Pipeline = Sequence[Phase]
# By level of optimisation: the most readable code; every layer's own arithmetic; all that keeps the answers.
PIPELINES: Mapping[int, Pipeline] = {
    0: (STOPS, CLEAN, FUSE, FINISH),
    1: (STOPS, CLEAN, JOIN, FUSE, THREADS, BY_ROWS, EXACT_KERNELS, EPILOGUES, FINISH, BUFFERS),
    2: (STOPS, CLEAN, JOIN, FOLD, MOVE, THREADS, BANDS, BY_ROWS, FAST_KERNELS, EPILOGUES, GATES, FINISH, BUFFERS),
}
LEVEL = max(PIPELINES)
# The same for a module without NumPy, whose kernels have no faster forms.
PURE: Mapping[int, Pipeline] = {
    0: (STOPS, CLEAN, FUSE, FINISH),
    1: (STOPS, CLEAN, JOIN, FUSE, FINISH),
    2: (STOPS, CLEAN, JOIN, FOLD, FUSE, FINISH),
}
# What is done before a graph is differentiated: no kernel has an activation fused, and no weight has a layout.
DIFFERENTIABLE: Mapping[int, Pipeline] = {0: (CLEAN, FINISH), 1: (CLEAN, JOIN, FINISH), 2: (CLEAN, JOIN, FOLD, FINISH)}
# What is done after that, to the forward pass.
AFTER: Mapping[int, Pipeline] = {
    level: [p for p in PIPELINES[level] if p not in DIFFERENTIABLE[level][:-1]] for level in PIPELINES
}


def variables(names: Collection[str]) -> Phase:
    """A pass that declares these weights to be variables: no later one computes with their numbers."""

    def declare(graph: Graph) -> Graph:
        return graph.with_variables(names)

    return Phase("variables", (on_graph(declare),))


def passes(pipeline: Pipeline) -> Iterator[Pass]:
    """The passes of a pipeline, in order."""
    return (step for phase in pipeline for step in phase.passes)


def only_outputs(plan: Plan, count: int) -> Plan:
    """The plan of a graph with every layer's output, reduced to the model's own, the first `count`."""
    return run(plan.on(replace(plan.graph, outputs=plan.graph.outputs[:count])), (FINISH,))


def optimize(graph: Graph, pipeline: Pipeline = PIPELINES[LEVEL], tuning: Tuning | None = None) -> Plan:
    """The plan of a graph after every pass; it begins with what was measured to be fast."""
    tuning = tuning or Tuning()
    return run(Plan(graph, block=tuning.block, choices=tuning.choices), pipeline)


def run(plan: Plan, pipeline: Pipeline) -> Plan:
    """The plan after every pass; each result is checked."""
    for step in passes(pipeline):
        plan = step(plan).check()
    return plan
