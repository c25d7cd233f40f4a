"""A graph of NumPy kernels becomes one of kernels for lists of numbers, which compute one sample.

Each rule gives the line for a node; shapes are printed, since a list has none. What no rule can write is listed with
its layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasgen.graph.facts import is_users, multiply_adds
from kerasgen.graph.infer import infer, rows
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.lowering import elementwise, moves, recurrent, reduce, window
from kerasgen.lowering.call import RULES, Call, Expression, NoCounterpart, Rule

__all__ = ["RULES", "Lowered", "elementwise", "lower", "moves", "recurrent", "reduce", "window"]


@dataclass(frozen=True)
class Lowered:
    """The graph for one sample; its weights are lists, of one axis, or lists of rows, of two.

    `problems` are layers, by name, with what stands in the way: the graph is then incomplete. `values` are those of the
    graph before, as far as this one has them. `macs` are the multiply-adds of each layer.
    """

    graph: Graph
    problems: tuple[tuple[str, str], ...]
    values: Mapping[str, Value]
    macs: Mapping[str, int]


def lower(graph: Graph) -> Lowered:
    """The graph for one sample."""
    problems: dict[tuple[str, str], None] = {}
    for value in graph.inputs:
        if None in value.shape[1:]:
            problems[value.name, "it leaves a size open; give the `input_shape`, or use NumPy"] = None
    if graph.memory:
        problems["", "stateful layers need NumPy"] = None
    values = {**{value.name: value for value in graph.inputs}, **_weights(graph)}
    nodes: list[Node] = []
    laid_out: dict[str, np.ndarray] = {}
    renamed: dict[str, Any] = {}
    macs: dict[str, int] = {}
    for node in () if problems else graph.nodes:
        values.update(_specs(node, values, graph))
        if any(values[name].dtype.startswith("complex") for name in (*node.reads, *node.outputs)):
            problems[node.layer, "it computes with complex numbers"] = None
            continue
        call = Call(node, values, graph.arrays, laid_out)
        try:
            results = _results(call)
            for name in node.outputs:
                call.shape(name)  # which must be known
        except NoCounterpart as error:
            problems[node.layer, str(error)] = None
            continue
        macs[node.layer] = macs.get(node.layer, 0) + (multiply_adds(node, values) or 0)
        nodes += call.nodes
        for names, result in results:
            if isinstance(result, Expression):
                nodes.append(Node(names, result.kernel, result.operands, result.settings, node.layer))
            else:
                renamed[names[0]] = result
    for name in graph.outputs if not problems else ():
        if values[name].shape[:1] != (None,) or values[name].rows != 1:
            problems["", f"its output {name} has no answer for each sample"] = None
    return Lowered(_joined(graph, nodes, renamed, laid_out, not problems), tuple(problems), values, macs)


def _weights(graph: Graph) -> dict[str, Value]:
    return {name: Value(name, array.shape, array.dtype.name) for name, array in graph.arrays.items()}


def _specs(node: Node, values: Mapping[str, Value], graph: Graph) -> dict[str, Value]:
    """What is known of the outputs of a node: from when the graph was built, or from its kernel."""
    if all(name in graph.specs for name in node.outputs):
        return {name: graph.specs[name] for name in node.outputs}
    operands = [values[i] if isinstance(i, str) else i for i in node.inputs]
    arrays = [value for value in operands if isinstance(value, Value) and value.shape[:1] == (None,)]
    found = zip(node.outputs, infer(node.kernel, operands, node.attrs), strict=True)
    return {name: Value(name, *spec, rows=rows(node.kernel, arrays, spec[0])) for name, spec in found}


def _results(call: Call) -> list[tuple[tuple[str, ...], Any]]:
    """What is behind the `=` of each line, and the names before it. Raises NoCounterpart."""
    node = call.node
    rule: Rule | None = RULES.get(node.kernel)
    if rule is None:
        name = getattr(node.kernel, "__name__", "a function")
        whose = "your function" if is_users(node.kernel) else "the kernel"
        raise NoCounterpart(f"{whose} {name} has no counterpart without NumPy")
    result = rule(call)
    if isinstance(result, list):
        return [((name,), each) for name, each in zip(node.outputs, result, strict=True)]
    return [(node.outputs, result)]


def _joined(
    graph: Graph, nodes: list[Node], renamed: Mapping[str, Any], weights: Mapping[str, np.ndarray], complete: bool
) -> Graph:
    """The graph of these nodes, where a name that is no line any more is that of the same value."""

    def final(operand: Any) -> Any:
        while isinstance(operand, str) and operand in renamed:
            operand = renamed[operand]
        return operand

    nodes = [replace(node, inputs=tuple(map(final, node.inputs))) for node in nodes]
    lowered = Graph(
        inputs=graph.inputs,
        nodes=tuple(nodes),
        outputs=tuple(map(final, graph.outputs)),
        weights=weights,
        output_names=graph.output_names,
        keyed=graph.keyed,
        layers={layer: tuple(map(final, names)) for layer, names in graph.layers.items()},
    )
    return _without_unused(lowered).check() if complete else lowered


def _without_unused(graph: Graph) -> Graph:
    """The graph without weights that nothing reads."""
    read = {name for node in graph.nodes for name in node.reads} | set(graph.outputs)
    return replace(graph, weights={name: array for name, array in graph.weights.items() if name in read}, layers={})
