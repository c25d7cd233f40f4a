"""Turns a graph into the graph of `step`, node by node, by the rules of the kernels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, replace
from typing import Any

from kerasgen import kernels
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.kernels.streaming import complete_windows
from kerasgen.names import Namespace, identifier
from kerasgen.streaming.call import Call, Refused, in_words
from kerasgen.streaming.clock import Clock, Fill, Timing
from kerasgen.streaming.rules import by_sample, rule_of


@dataclass(frozen=True)
class State:
    """An array of the state: its key, its value at the start (with None for the batch in its shape), and its fill."""

    key: str
    value: Value
    fill: Fill = 0.0


@dataclass(frozen=True)
class Step:
    """The graph of `step`, whose memory is the state, and the clock of each output.

    `latest` marks the outputs that have no steps in the model: in `step` they have one value per step.
    """

    graph: Graph
    states: tuple[State, ...]
    clocks: tuple[Clock, ...]
    latest: tuple[bool, ...]

    def without(self, names: Container[str]) -> Plan:
        """The plan of `step` without these weights, which another plan holds."""
        weights = {name: array for name, array in self.graph.weights.items() if name not in names}
        return Plan(replace(self.graph, weights=weights))


class NoStep(Exception):
    """Why a graph has no `step`: the layer and the problem, for each reason."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        super().__init__()
        self.problems = tuple(problems)


def stream(graph: Graph) -> Step:
    """The graph that computes only new steps. Raises NoStep if there is none."""
    return _Walk(graph).run()


class _Walk:
    """The nodes of `step` so far, and the timing of each value of the graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        read = graph.readers() - Counter(name for _, name in graph.memory)
        self.unread = {name for node in graph.nodes for name in node.outputs if not read[name]}
        self.memory = {value.name for value, _ in graph.memory}
        self.specs = dict(graph.specs)
        self.specs.update((name, Value(name, a.shape, a.dtype.name)) for name, a in graph.arrays.items())
        self.specs.update((value.name, value) for value in graph.inputs)
        values = [name for node in graph.nodes for name in node.outputs]
        self.names = Namespace([*map(identifier, graph.arrays), *values, *(v.name for v in graph.inputs), "state"])
        self.keys = Namespace()
        self.windows: dict[Any, str] = {}  # the steps in windows, which several nodes may read
        self.timings: dict[str, Timing] = {}
        self.current_names: dict[str, str] = {}
        self.nodes: list[Node] = []
        self.states: list[State] = []
        self.pairs: list[tuple[Value, str]] = []
        self.lost: set[str] = set()  # what a refused node would compute
        self.problems: dict[tuple[str, str], None] = {}

    def run(self) -> Step:
        for value in self.graph.inputs:
            if len(value.shape) < 2:
                self.problems[value.name, f"an input of shape {value.shape} has no axis of steps"] = None
            self.timings[value.name] = Timing()
        for node in self.graph.nodes:
            self._add(node)
        outputs = [self._output(name) for name in self.graph.outputs if name not in self.lost]
        if self.problems:
            raise NoStep(self.problems)
        graph = replace(
            self.graph,
            nodes=tuple(self.nodes),
            outputs=tuple(name for name, _, _ in outputs),
            memory=tuple(self.pairs),
            layers={},
        )
        return Step(graph, tuple(self.states), tuple(c for _, c, _ in outputs), tuple(each for _, _, each in outputs))

    def _add(self, node: Node) -> None:
        self._infer(node)
        if self.lost.intersection(node.reads):
            self.lost.update(node.outputs)
            return
        call = Call(self, node, {})
        if not call.timed:
            self.nodes.append(node)
            return
        try:
            merged = any(self.timings[name].axis == 0 for name in call.timed)
            rule = by_sample if merged and node.kernel is not kernels.split_steps else rule_of(node.kernel)
            rule(call)
        except Refused as error:
            self._tell_ahead(self.timings[name] for name in call.timed)
            self.problems[node.layer, str(error)] = None
            self.lost.update(node.outputs)
            return
        for output, (name, timing) in call.results.items():
            self.current_names[output] = name
            self.timings[output] = timing

    def _infer(self, node: Node) -> None:
        """Infer the shapes of values that a pass left without one."""
        if all(name in self.specs for name in node.outputs):
            return
        operands = [self.specs[i] if isinstance(i, str) else i for i in node.inputs]
        found = zip(node.outputs, infer(node.kernel, operands, node.attrs), strict=True)
        self.specs.update((name, Value(name, *form)) for name, form in found)

    def _output(self, name: str) -> tuple[str, Clock, bool]:
        """The name of an output in `step`, its clock, and whether it has no steps in the model."""
        timing = self.timing(name)
        if timing is None:
            self.problems["", f"its output {name} does not depend on the input"] = None
            return name, Clock(), False
        if timing.full != timing.ready:
            self._tell_ahead([timing])
            text = f"in all, a delay of {in_words(timing.delay)} would make its output {name} possible"
            self.problems["", text] = None
            return name, timing.ready, False
        if timing.axis == 1:
            return self.current(name), timing.ready, False
        split = self.new_name(self.current(name))
        self.nodes.append(Node((split,), kernels.split_steps, (self.current(name), timing.like)))
        return split, timing.ready, True

    def _tell_ahead(self, timings: Iterable[Timing]) -> None:
        """Report the layers that wait for input steps after the newest one."""
        for timing in timings:
            for layer, waits in timing.ahead if timing.full != timing.ready else ():
                self.problems[layer, f"it looks {in_words(waits)} ahead"] = None

    def value(self, name: str) -> Value:
        """The name, shape and dtype of a value or a weight of the graph."""
        return self.specs[name]

    def timing(self, name: str) -> Timing | None:
        """The timing of a value; None if it has no steps."""
        return self.timings.get(name)

    def current(self, name: str) -> str:
        """The name of a value of the graph in `step`."""
        return self.current_names.get(name, name)

    def new_name(self, name: str) -> str:
        """An unused name, derived from `name`."""
        return self.names.new(name)

    def add(self, node: Node) -> None:
        """Add a node to `step`."""
        self.nodes.append(node)

    def remember(self, key: str, value: Value, fill: Fill) -> tuple[str, str]:
        """Add an array to the state; returns its names before and after the step."""
        if None in value.shape[1:]:
            raise Refused("the size of every axis beside that of the steps must be known")
        key = self.keys.new(key)
        before, after = self.names.new(f"{key}_before"), self.names.new(f"{key}_state")
        self.states.append(State(key, replace(value, name=before), fill))
        self.pairs.append((self.states[-1].value, after))
        return before, after

    def complete_windows(self, x: str, first: Value, fill: Fill, settings: dict[str, Any], layer: str) -> str:
        """The steps of `x` in complete windows, shared by nodes with equal windows. `first` is the initial state."""
        known = (x, first.shape, fill, *settings.items())
        if known not in self.windows:
            cells = self.windows[known] = self.names.new(f"{x}_windows")
            before, after = self.remember(layer or x, first, fill)
            self.nodes.append(Node((cells, after), complete_windows, (x, before), settings, layer))
        return self.windows[known]
