"""The lines of `predict` and of `activations`: one for each node of the graph."""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from kerasgen import kernels
from kerasgen.emit.target import Target
from kerasgen.graph.facts import facts, is_copied
from kerasgen.graph.ir import Graph, Node, Operand, Value
from kerasgen.graph.plan import Plan
from kerasgen.kernels.blocks import elementwise, join_rows
from kerasgen.names import Namespace


def called(plan: Plan, target: Target) -> Iterator[Callable[..., Any]]:
    """The functions that the plan's lines call and the module must contain."""
    yield from [target.kernels.check_batch] if len(plan.graph.inputs) > 1 else []
    yield from [target.kernels.buffers] if plan.buffers else []
    if plan.max_batch or plan.max_elements:
        yield target.kernels.in_batches if plan.shares_batch is None else target.kernels.share_batch
    yield from called_by_nodes(plan, target)


def called_by_nodes(plan: Plan, target: Target) -> Iterator[Callable[..., Any]]:
    """The functions that the lines of its nodes call."""
    for node in plan.graph.nodes:
        for function in (by_rows(node, plan) or node.kernel, *node.attrs.values()):
            if is_copied(function) and target.syntax(function) is None:
                yield function


def by_rows(node: Node, plan: Plan) -> Callable[..., Any] | None:
    """The kernel with which a team of processes shares the rows of a result in a buffer, if not the node's own."""
    if node.outputs[0] not in plan.out or not plan.shares_work:
        return None
    if facts(node.kernel).in_place:
        return elementwise
    rank = len(plan.graph.specs[node.output].shape) if node.output in plan.graph.specs else 0
    joins = node.kernel is kernels.concatenate and rank > 2 and node.attrs.get("axis", -1) in (-1, rank - 1)
    return join_rows if joins else None


def function_of(node: Node, plan: Plan) -> Callable[..., Any] | None:
    """The function of the module that the line of a node calls; None if that is an operator, or a function of NumPy."""
    shared = by_rows(node, plan)
    if shared is not None:
        return shared
    own = is_copied(node.kernel) and (facts(node.kernel).syntax is None or node.outputs[0] in plan.out)
    return node.kernel if own else None


WIDTH = 120  # of the lines of a module


class Body:
    """The lines of `predict`, or of `activations`, which keeps every layer's output.

    A value that only the next line reads is called `x`; any other has its layer's name.
    """

    chain = "x"
    answers = True  # whether the function is `predict`

    def __init__(self, plan: Plan, target: Target, *, every_layer: bool = False) -> None:
        self.plan = plan
        self.target = target
        self.graph = graph = plan.graph
        self.every_layer = every_layer
        self.answers = self.answers and not every_layer
        self.arrays = graph.arrays
        readers = graph.readers()
        steps = [tuple(v.name for v in graph.inputs), *(node.outputs for node in graph.nodes)]
        functions = {function.__name__ for function in self._called()}  # the user's own are not reserved names
        unused = Namespace([*functions, *(name for names in steps for name in names)])
        self.printed = {name: unused.new(name) for names in steps for name in names if name in functions}
        for names, reader in zip(steps, graph.nodes, strict=False):
            if len(names) == 1 and readers[names[0]] == reader.reads.count(names[0]):
                self.printed[names[0]] = self.chain

    def _called(self) -> Iterator[Callable[..., Any]]:
        return called(self.plan, self.target)

    def lines(self) -> list[str]:
        """One line for each input and node, and the return."""
        memory = [(value.name, self._operand(name)) for value, name in self.graph.memory]
        lines = [*self._inputs(), *(f"{state} = STATES.get({state!r})" for state, _ in memory)]
        lines += (line for node in self.graph.nodes for line in self._lines(node))
        results = [self._operand(name) for name in self.graph.outputs]
        if memory:
            lines.append(f"STATES.update({', '.join(map('='.join, memory))})")
        elif self._returns_last_node(results):
            _, _, expression = lines.pop().partition(" = ")
            return [*lines, f"return {expression if len(results) == 1 else f'tuple({expression})'}"]
        return [*lines, f"return {self.results()}"]

    def results(self) -> str:
        """What is returned: an array, several, or a dict of them."""
        if self.every_layer or self.graph.keyed:
            return self._dict()
        return ", ".join(map(self._operand, self.graph.outputs))

    def _returns_last_node(self, results: list[str]) -> bool:
        """Whether the last line can return its result directly."""
        nodes = self.graph.nodes
        return not self.every_layer and not self.graph.keyed and bool(nodes) and results == list(nodes[-1].outputs)

    def _inputs(self) -> Iterator[str]:
        """What comes before the nodes: the arguments, checked; large batches in parts; the buffers."""
        for index, value in enumerate(self.graph.inputs):
            yield f"{self._name(value.name)} = as_input({value.name}, *INPUTS[{index}])"
        names = [self._name(value.name) for value in self.graph.inputs]
        if len(names) > 1:
            yield f"check_batch(INPUTS, {', '.join(names)})"
        if self.plan.shares_work and self.answers:
            threads, least = "THREADS > TEAM.threads", self.plan.own_threads
            if least:
                threads = f"({threads} and {names[0]}[:1].size >= {least:_})"
            yield f"if PROCESSES.count > TEAM.size or {threads}:{'  # not for small inputs' if least else ''}"
            yield f"    return in_team(predict, {', '.join(names)})"
        if not self.every_layer:
            yield from self._batches(names)
        if self.plan.buffers:
            count = len(self.plan.buffers)
            yield f"{', '.join(self.plan.buffers)}{',' * (count == 1)} = buffers({count})"

    def _batches(self, names: list[str]) -> Iterator[str]:
        """What splits large batches of these inputs."""
        plan, x = self.plan, names[0]
        if not plan.max_batch and not plan.max_elements:
            return
        most = str(plan.max_batch or f"max(1, {plan.max_elements:_} // {x}[:1].size)")
        split, limit = ("in_batches", most) if plan.shares_batch is None else ("share_batch", "TEAM.samples")
        large = f" and {x}[:1].size >= {plan.shares_batch:_}" if plan.shares_batch else ""
        yield f"if len({x}) > {limit}{large}:{'  # not for small inputs' if large else ''}"
        yield f"    return {split}(predict, {most}, {', '.join(names)})"

    def _dict(self) -> str:
        """The layers' outputs by the layers' names, or the model's by theirs."""
        names = self.graph.output_names
        outputs = zip(names, ((name,) for name in self.graph.outputs[: len(names)]), strict=True)
        items = []
        for key, names in self.graph.layers.items() if self.every_layer else outputs:
            values = ", ".join(map(self._operand, names))
            items.append(f"{key!a}: {values if len(names) == 1 else f'({values})'}")
        return f"{{{', '.join(items)}}}"

    def _lines(self, node: Node) -> Iterator[str]:
        yield self._line(node)

    def _line(self, node: Node) -> str:
        return f"{', '.join(map(self._name, node.outputs))} = {self._expression(node)}"

    def _name(self, name: str) -> str:
        return self.printed.get(name, name)

    def _operand(self, operand: Operand) -> str:
        if not isinstance(operand, str):
            return literal(operand)
        return f"W[{operand!r}]" if operand in self.arrays else self._name(operand)

    def _expression(self, node: Node) -> str:
        operands = [self._operand(item) for item in node.inputs]
        syntax, out = self.target.syntax(node.kernel), self.plan.out.get(node.outputs[0])
        if syntax is not None and out is None:
            return syntax(*operands, **node.attrs)
        shared = by_rows(node, self.plan)
        if shared is not None:
            ufunc = [self.target.name(node.kernel)] if shared is elementwise else []
            return f"{shared.__name__}({', '.join([*ufunc, *operands, f'out={self._name(str(out))}'])})"
        defaults = _defaults(node.kernel)
        operands, settings = self._arguments(node, operands)
        settings += [
            f"{key}={literal(value)}"
            for key, value in node.attrs.items()
            if key not in defaults or defaults[key] != value
        ]
        settings += [f"out={self._name(out)}"] if out else []
        return f"{self.target.name(node.kernel)}({', '.join([*operands, *settings])})"

    def _arguments(self, node: Node, operands: list[str]) -> tuple[list[str], list[str]]:
        """The operands by position, and those by name: behind the first that is None, which is the default."""
        parameters = [p for p in _parameters(node.kernel) if p.kind is p.POSITIONAL_OR_KEYWORD][: len(operands)]
        if len(parameters) < len(operands):  # some have no name
            return operands, []
        rows = list(zip(parameters, operands, node.inputs, strict=True))
        first = next((i for i, (p, _, item) in enumerate(rows) if item is None is p.default), len(rows))
        return operands[:first], [f"{p.name}={operand}" for p, operand, item in rows[first:] if item is not None]


def with_shapes(text: str, plan: Plan) -> str:
    """A formatted module with the shape of what each line of `predict` makes behind it, where there is room."""
    graph, lines = plan.graph, text.split("\n")
    predict = next(
        node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == "predict"
    )
    statements = [node for node in predict.body if isinstance(node, (ast.Assign, ast.Return))]
    made = [_shape(value) for value in graph.inputs]
    made += [""] * (len(graph.memory) + bool(plan.buffers))
    made += [_made(node, graph) for node in graph.nodes]
    for statement, comment in zip(statements, made, strict=False):
        last = (statement.end_lineno or statement.lineno) - 1
        if comment and len(lines[last]) + len(comment) < WIDTH:
            lines[last] += comment
    return "\n".join(lines)


def _made(node: Node, graph: Graph) -> str:
    """The comment behind the line of a node; none where a shape is not known."""
    if not all(name in graph.specs for name in node.outputs):
        return ""
    border = node.attrs.get("border") or ()
    values = [graph.specs[name] for name in node.outputs]
    for before_after in [border] * bool(border):
        sizes = list(values[0].shape)
        for axis, (before, after) in enumerate(before_after, start=1):
            sizes[axis] = None if sizes[axis] is None else sizes[axis] + before + after
        values = [replace(values[0], shape=tuple(sizes))]
    return _shape(*values)


def _shape(*values: Value) -> str:
    """Shapes as a comment: N is the batch, ? any size."""
    texts = []
    for value in values:
        sizes = ["?" if size is None else str(size) for size in value.shape]
        if value.shape and value.shape[0] is None and value.rows is not None:
            sizes[0] = "N" if value.rows == 1 else f"{value.rows} * N"
        texts.append(f"({', '.join(sizes)}{',' * (len(sizes) == 1)})")
    return f"  # {', '.join(texts)}"


def layout_line(name: str, function: Callable[..., Any], settings: Mapping[str, Any]) -> str:
    """The line that converts a weight to the layout that its kernel needs."""
    items = ", ".join(f"{key}={literal(value)}" for key, value in settings.items())
    return f"W[{name!a}] = {function.__name__}(W[{name!a}], {items})"


def literal(value: Any) -> str:
    """A setting or a number as Python source."""
    if callable(value):
        return str(value.__name__)
    if isinstance(value, (list, tuple)):
        items = ", ".join(map(literal, value))
        return f"({items},)" if len(value) == 1 else f"({items})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, slice):
        return f"slice({literal(value.start)}, {literal(value.stop)}, {literal(value.step)})"
    if value is Ellipsis:
        return "..."
    assert isinstance(value, (str, int, float, bool, type(None))), value
    return ascii(value)


@cache
def _parameters(kernel: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a kernel; none for NumPy's functions, as their defaults differ between its versions."""
    return list(inspect.signature(kernel).parameters.values()) if is_copied(kernel) else []


@cache
def _defaults(kernel: Callable[..., Any]) -> dict[str, Any]:
    """The default of each parameter of a kernel that has one."""
    return {p.name: p.default for p in _parameters(kernel) if p.default is not p.empty}
