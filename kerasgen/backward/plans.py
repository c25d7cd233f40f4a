"""The plans of a module that learns: `predict`, `forward`, and the graph of `backward`.

All three compute with the same weights, so that a layout or a folded weight of one must suit the others:

    graph --clean, join, fold--> shared graph --differentiate--> backward
                                      |                             |
                                      +--plan--> predict            | reads some weights as they are
                                      +--plan--> forward <----------+ and says which values to save

Weights that training changes are variables of the graph, so no pass computes with their numbers. Those that the
backward pass reads join them before the plans are made: they keep their layout.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kerasgen.backward.differentiate import Derivative, differentiate
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.passes import AFTER, DIFFERENTIABLE, Pipeline, optimize, run, variables


@dataclass(frozen=True)
class TrainingPlan:
    """What a module with gradients computes.

    `pipeline` are the passes that made `predict` from the graph as built, `shared` is the graph between them, from
    which the others come. `forward` returns the model's outputs, then
    the values that `backward` reads. `trainable` are the names of the weights whose gradients it computes, `inputs` the
    names of the inputs, and `layers` maps layers to the values in which gradients are wanted.
    """

    pipeline: Pipeline
    shared: Graph
    predict: Plan
    forward: Plan
    backward: Derivative
    trainable: tuple[str, ...]
    inputs: tuple[str, ...]
    layers: dict[str, str]

    @property
    def saved(self) -> tuple[str, ...]:
        """The names under which `forward` saves what `backward` reads, or `layers` ask for."""
        return tuple(dict.fromkeys((*self.backward.saved, *self.layers.values())))

    @property
    def d_outputs(self) -> list[str]:
        """The names of the gradients that `backward` takes, one for each output of the model."""
        names = self.backward.d_outputs
        return [name or f"d_output_{number}" for number, name in enumerate(names, start=1)]

    @property
    def both(self) -> bool:
        """Whether the gradients of the inputs take lines of their own, behind those of the weights."""
        return bool(self.trainable and self.inputs)


def plan_training(
    graph: Graph, level: int, trainable: Collection[str], *, inputs: Iterable[str] = (), layers: Iterable[str] = ()
) -> TrainingPlan:
    """The plans of a module whose `trainable` weights may change, with gradients in these, in `inputs` and in `layers`.

    Raises UnsupportedModelError, which names the layers, where a kernel on the way has no derivative.
    """
    before = (variables(trainable), *DIFFERENTIABLE[level])
    wanted_layers = {layer: graph.layers[layer][0] for layer in layers}
    kept = replace(graph, outputs=(*graph.outputs, *wanted_layers.values()))
    shared = optimize(kept, before).graph
    count = len(graph.outputs)
    values = dict(zip(wanted_layers, shared.outputs[count:], strict=True))
    shared = replace(shared, outputs=shared.outputs[:count])
    names = (*trainable, *inputs)
    backward = differentiate(shared, [*names, *values.values()])
    held = {*trainable, *(name for node in backward.graph.nodes for name in node.reads)} & shared.arrays.keys()
    while True:
        after = (variables(held), *AFTER[level])
        saved_names = dict.fromkeys((*backward.saved, *values.values()))
        saved = replace(shared, outputs=(*shared.outputs, *saved_names), layers={})
        predict, forward = run(Plan(shared), after), run(Plan(saved), after)
        clashes = predict.clashes(forward)
        if not clashes:
            break
        assert clashes <= shared.arrays.keys() - held, f"two plans disagree on {clashes - shared.arrays.keys()}"
        held |= clashes
    forward = replace(forward, max_batch=None, max_elements=None)  # what is saved is of all samples
    forward = _with_names(forward, dict(zip(forward.graph.outputs[count:], saved_names, strict=True)))
    return TrainingPlan((*before, *after), shared, predict, forward, backward, tuple(trainable), tuple(inputs), values)


def _with_names(plan: Plan, names: Mapping[str, str]) -> Plan:
    """The plan with these values under other names, where they are free: a fused activation took its operand's."""
    graph = plan.graph
    makers = graph.makers()
    taken = {value.name for value in graph.inputs}.union(makers)
    changed = {name: new for name, new in names.items() if new not in taken and name in makers}

    def final(name: Any) -> Any:
        return changed.get(name, name) if isinstance(name, str) else name

    nodes = (
        replace(node, outputs=tuple(map(final, node.outputs)), inputs=tuple(map(final, node.inputs)))
        for node in graph.nodes
    )
    renamed = replace(
        graph,
        nodes=tuple(nodes),
        outputs=tuple(map(final, graph.outputs)),
        memory=tuple((value, final(name)) for value, name in graph.memory),
        layers={layer: tuple(map(final, values)) for layer, values in graph.layers.items()},
    )
    return replace(plan, graph=renamed, out={final(name): final(place) for name, place in plan.out.items()})
