"""Which lines of the module compute a layer.

A line computes the layer that its node came from, and every layer whose values it makes. A layer that no line is of,
because a pass has combined it with others, is where its values were last seen under that name. Where they are gone,
too, it is where the next layer is, for what a line computes ends with the values that are left; or where the layer
before is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from kerasgen.emit.instrument import Line
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.plan import Plan
from kerasgen.passes import Pipeline, passes
from kerasgen.reporting.structure import Structure


@dataclass(frozen=True)
class Placement:
    """`steps` are the numbers of the lines that compute a layer, by its id.

    `owners` has the layer that the time of each line is counted for, None where it is no layer's.
    """

    steps: Mapping[str, tuple[int, ...]]
    owners: tuple[str | None, ...]

    def numbers(self, layer: str, lines: Sequence[Line]) -> list[int]:
        """The lines of the source, from 1, that compute a layer."""
        spans = (range(lines[step].first, lines[step].last + 1) for step in self.steps.get(layer, ()))
        return sorted({number for span in spans for number in span})


@dataclass(frozen=True)
class Passed:
    """A plan after all passes, and the names that the values of each layer had when they were last among its layers."""

    plan: Plan
    last_names: Mapping[str, tuple[str, ...]]


def optimized(graph: Graph, pipeline: Pipeline) -> Passed:
    """The plan of a graph, as `kerasgen.passes.optimize` makes it, with the traces of its layers."""
    plan = Plan(graph)
    names = dict(graph.layers)
    for step in passes(pipeline):
        plan = step(plan).check()
        names.update(plan.graph.layers)
    return Passed(plan, names)


def placement(model: Structure, built: Graph, passed: Passed, nodes: list[int | None]) -> Placement:
    """Where the layers are; `nodes` has, for each line, the index of its node of the graph after all passes."""
    return _Placer(model, built, passed).place(nodes)


def node_layers(model: Structure, graph: Graph) -> list[str | None]:
    """The id of the layer call that each node of a graph as built belongs to."""
    calls: dict[str, list[tuple[int, str]]] = defaultdict(list)  # of each layer, with the index of its last node
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
    for call in model.calls:
        ends = [last[name] for name in graph.layers.get(call.graph_name, ()) if name in last]
        own = [end for end in ends if model.layer_of(graph.nodes[end].layer) == call.layer_name]
        calls[call.layer_name].append((max(own, default=-1), call.id))
    found: list[str | None] = []
    for index, node in enumerate(graph.nodes):
        ordered = sorted(calls.get(model.layer_of(node.layer), ()))
        later = [ident for end, ident in ordered if end >= index] or [ident for _, ident in ordered[-1:]]
        found.append(later[0] if later else None)
    return found


class _Placer:
    def __init__(self, model: Structure, built: Graph, passed: Passed) -> None:
        self.model, self.after, self.last_names = model, passed.plan.graph, passed.last_names
        self.of_layer: dict[str, list[str]] = defaultdict(list)
        for call in model.calls:
            self.of_layer[call.layer_name].append(call.id)
        pairs = zip(built.nodes, node_layers(model, built), strict=True)
        self.of_value = {name: layer for node, layer in pairs for name in node.outputs if layer is not None}
        self.readers: dict[str, list[str]] = defaultdict(list)
        self.makers: dict[str, list[str]] = defaultdict(list)
        for maker, reader in model.edges:
            self.readers[maker].append(reader)
            self.makers[reader].append(maker)

    def place(self, nodes: list[int | None]) -> Placement:
        step_of = {index: step for step, index in enumerate(nodes) if index is not None}
        steps: dict[str, set[int]] = defaultdict(set)
        owners: list[str | None] = [None] * len(nodes)
        for call in self.model.calls if nodes else ():
            if call.input is not None:  # the first lines check the arguments
                steps[call.id].add(call.input)
                owners[call.input] = call.id
        for index, step in step_of.items():
            node = self.after.nodes[index]
            owners[step] = self._owner(node)
            for layer in (owners[step], *(self.of_value.get(name) for name in node.outputs)):
                if layer is not None:
                    steps[layer].add(step)
        self._by_values(steps, step_of)
        direct = {layer: tuple(sorted(numbers)) for layer, numbers in steps.items()}
        return Placement({**direct, **self._combined(direct)}, tuple(owners))

    def _owner(self, node: Node) -> str | None:
        """The call that a node came from: of several of the layer, the one that leads to the node's values."""
        calls = self.of_layer.get(self.model.layer_of(node.layer), [])
        if len(calls) < 2:
            return calls[0] if calls else None
        value = next((self.of_value[name] for name in node.outputs if name in self.of_value), "")
        return nearest(value, set(calls), self.makers.__getitem__) or calls[0]

    def _by_values(self, steps: dict[str, set[int]], step_of: Mapping[int, int]) -> None:
        """Find layers without a line of their own whose values some line makes, at least by their last name."""
        makers = {name: index for index, node in enumerate(self.after.nodes) for name in node.outputs}
        inputs = {value.name: step for step, value in enumerate(self.after.inputs)}
        for call in self.model.calls:
            for name in self.last_names.get(call.graph_name, ()) if call.id not in steps else ():
                step = step_of.get(makers[name]) if name in makers else inputs.get(name)
                if step is not None:
                    steps[call.id].add(step)

    def _combined(self, direct: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """The lines of the layers that have none: those of the next layer that has some, or of the one before."""
        found = {}
        for call in self.model.calls:
            if call.id in direct:
                continue
            other = nearest(call.id, direct, self.readers.__getitem__) or nearest(
                call.id, direct, self.makers.__getitem__
            )
            found[call.id] = direct[other] if other else ()
        return found


def nearest(start: str, wanted: Collection[str], neighbours: Callable[[str], Iterable[str]]) -> str:
    """The first of the wanted that is met by going from neighbour to neighbour; "" if there is none."""
    seen = {start}
    queue = [start]
    for place in queue:
        if place in wanted:
            return place
        new = [each for each in neighbours(place) if each not in seen]
        seen.update(new)
        queue += new
    return ""
