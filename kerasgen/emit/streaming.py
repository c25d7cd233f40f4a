"""The lines of `start` and of `step`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kerasgen.emit.body import Body, called_by_nodes, literal
from kerasgen.emit.target import Target
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.kernels.streaming import check_steps, over_windows
from kerasgen.names import Namespace, identifier
from kerasgen.streaming.call import in_words
from kerasgen.streaming.walk import State, Step


class StepBody(Body):
    """The lines of `step`: those of `predict` for the new steps, with the state that each window or loop goes on from.

    A value that only the next line reads is called `x`, also where the line has a part of the state beside it.
    """

    def __init__(self, step: Step, target: Target) -> None:
        self.step = step
        super().__init__(Plan(step.graph), target)
        self.argument = Namespace(value.name for value in self.graph.inputs).new("state")
        readers = self.graph.readers()
        for node, reader in zip(self.graph.nodes, self.graph.nodes[1:], strict=False):
            if len(node.outputs) > 1 and readers[node.outputs[0]] == reader.reads.count(node.outputs[0]) > 0:
                self.printed[node.outputs[0]] = self.chain
        keys = {value.name: state.key for (value, _), state in zip(self.graph.memory, step.states, strict=True)}
        self.printed.update((name, f"{self.argument}[{key!a}]") for name, key in keys.items())

    def _called(self) -> Iterator[Callable[..., Any]]:
        return functions(self.step, self.target)

    def lines(self) -> list[str]:
        """One line for each input and node, and the return."""
        lines = [*self._inputs(), *(line for node in self.graph.nodes for line in self._lines(node))]
        states = zip(self.step.states, self.graph.memory, strict=True)
        after = ", ".join(f"{state.key!a}: {self._operand(name)}" for state, (_, name) in states)
        results = self.results() if len(self.graph.outputs) == 1 or self.graph.keyed else f"({self.results()})"
        return [*lines, f"return {results}, {{{after}}}"]

    def _inputs(self) -> Iterator[str]:
        for value in self.graph.inputs:
            shape = (None, None, *value.shape[2:])
            yield f"{self._name(value.name)} = as_input({value.name}, {value.name!a}, {shape!a}, {value.dtype!a})"
        names = [self._name(value.name) for value in self.graph.inputs]
        if len(names) > 1:
            yield f"check_steps({', '.join(names)})"


def functions(step: Step, target: Target) -> Iterator[Callable[..., Any]]:
    """The functions that the lines of `step` call and the module must contain."""
    yield from [check_steps] if len(step.graph.inputs) > 1 else []
    yield from called_by_nodes(Plan(step.graph), target)
    yield from (node.attrs["kernel"] for node in step.graph.nodes if node.kernel is over_windows)


def printed(step: Step, target: Target) -> dict[str, Any]:
    """What the template prints."""
    graph, body = step.graph, StepBody(step, target)
    return {
        "state": body.argument,
        "start": [f"{state.key!a}: {_zeros(state)}" for state in step.states],
        "step": body.lines(),
        "answer": _answer(graph),
        "clocks": list(_clocks(step)),
    }


def _answer(graph: Graph) -> str:
    """The annotation of what `step` returns."""
    count = len(graph.outputs)
    one = "dict[str, np.ndarray]" if graph.keyed else "np.ndarray"
    if count > 1 and not graph.keyed:
        one = f"tuple[{', '.join(['np.ndarray'] * count)}]"
    return f"tuple[{one}, dict[str, np.ndarray]]"


def _zeros(state: State) -> str:
    """The line that makes a part of the state."""
    shape = f"({', '.join(['batch', *map(str, state.value.shape[1:])])})"
    if state.fill:
        return f"np.full({shape}, {literal(state.fill)}, {state.value.dtype!a})"
    return f"np.zeros({shape}, {state.value.dtype!a})"


def _clocks(step: Step) -> Iterator[str]:
    """For each output, when its steps come."""
    for name, clock, latest in zip(step.graph.output_names, step.clocks, step.latest, strict=True):
        (steps, count), first = clock.rate.as_integer_ratio(), clock.until(1)
        often = f"{in_words(steps)} for {'each' if count == 1 else f'every {count}'} of the input"
        begins = f", the first after {first}" if first > 1 else ""
        yield f"{identifier(name)}: {often}{begins}{'; each is the answer to all so far' if latest else ''}"
