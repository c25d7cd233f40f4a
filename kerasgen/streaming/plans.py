"""The plans of a module that streams: `predict`, and the graph of `step`.

Both compute with the same weights, so a layout chosen for one must suit the other:

    graph --clean, join, fold--> shared graph --fuse--> stream --> step
                                      |                             |
                                      +--plan--> predict <----------+ says which weights keep their layout
"""

from __future__ import annotations

from dataclasses import dataclass

from kerasgen.builder import Built
from kerasgen.builder.problems import summarized
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.passes import AFTER, DIFFERENTIABLE, FINISH, FUSE, STOPS, Pipeline, optimize, run, variables
from kerasgen.streaming.walk import NoStep, Step, stream


@dataclass(frozen=True)
class StreamingPlan:
    """What a streaming module computes. `pipeline` lists the passes that made `predict` from the graph as built."""

    pipeline: Pipeline
    predict: Plan
    step: Step


def plan_streaming(graph: Graph, level: int, built: Built) -> StreamingPlan:
    """The plans of a streaming module, from the graph of `built` with its weights, at a level of optimisation.

    Raises UnsupportedModelError if the model cannot stream; it names the file and every layer that prevents it.
    """
    before = DIFFERENTIABLE[level]
    shared = Plan(optimize(graph, before).graph)
    try:
        step = stream(run(shared, (STOPS, FUSE, FINISH)).graph)
    except NoStep as error:
        kinds = {layer.name: layer.kind for layer in built.layers}
        found = summarized((name or "the model", kinds.get(name, ""), text) for name, text in error.problems)
        inputs = ", ".join(f"{value.name} {value.shape}" for value in graph.inputs)
        text = f"cannot stream, with axis 1 of {inputs} as time: {'; '.join(found).replace(' ()', '')}"
        raise UnsupportedModelError(f"{built.file.source}: {text}") from error
    held: set[str] = set()
    while True:
        after = (variables(held), *AFTER[level])
        predict = run(shared, after)
        clashes = predict.clashes(Plan(step.graph))
        if not clashes:
            return StreamingPlan((*before, *after), predict, step)
        held |= clashes
