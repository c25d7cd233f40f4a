"""Reverse-mode differentiation of a graph (the chain rule, from the outputs to the inputs).

For y = f(x), the gradient of x is the gradient of y times ∂f/∂x, added up over all nodes that read x. The table of
facts has a rule for each kernel, which emits the nodes that compute this product; the walk visits each node once, in
reverse order. Nothing is emitted that no wanted gradient needs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.derivatives.call import Call
from kerasgen.graph.derivatives.call import stop as stops
from kerasgen.graph.facts import facts
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Graph, Node, Operand, Shape, Value
from kerasgen.names import Namespace, identifier

FLOATS = ("float16", "float32", "float64", "complex64", "complex128")


@dataclass(frozen=True)
class Derivative:
    """The backward pass of a graph.

    `graph` computes the gradients: its inputs are the values of the forward pass in `saved`, then the gradients of the
    outputs. `d_outputs` names these, None for an output that does not depend on what is wanted; `gradients` maps each
    wanted name to its gradient. `products` counts, by a node's first output, the gradients of its first two operands:
    each takes as many multiply-adds as the node itself.
    """

    graph: Graph
    saved: tuple[str, ...]
    d_outputs: tuple[str | None, ...]
    gradients: dict[str, str]
    products: dict[str, int]


def differentiate(graph: Graph, wanted: Iterable[str]) -> Derivative:
    """The gradients of a loss in the `wanted` inputs and weights, from its gradients in the outputs.

    Raises UnsupportedModelError, which names the layers, where a kernel on the way has no derivative.
    """
    return _Backward(graph, wanted).run()


class _Backward:
    """The walk: the nodes so far, and for each value of the forward pass the parts of its gradient."""

    def __init__(self, graph: Graph, wanted: Iterable[str]) -> None:
        self.graph = graph
        self.arrays = graph.arrays
        self.wanted = tuple(wanted)
        self.first = {value.name: value for value in graph.inputs}
        self.specs: dict[str, Value] = dict(graph.specs)
        self.specs.update((name, Value(name, a.shape, a.dtype.name)) for name, a in self.arrays.items())
        taken = [*self.specs, *(name for node in graph.nodes for name in node.outputs)]
        self.names = Namespace(identifier(name) for name in taken)
        self.nodes: dict[Any, Node] = {}
        self.parts: dict[str, list[str]] = defaultdict(list)
        self.layer = ""
        self.products: dict[str, int] = {}
        self.totals: dict[str, str] = {}  # what each value of the backward pass is the gradient of

    def run(self) -> Derivative:
        active = self._active()
        starts: list[str | None] = []
        for name in self.graph.outputs:
            starts.append(self._define("d", self.specs[name]) if name in active else None)
            self.parts[name] += filter(None, starts[-1:])
        problems: dict[str, str] = {}
        for node in reversed(self.graph.nodes):
            results = tuple(self._sum(name) for name in node.outputs)
            if any(results) and active.intersection(node.reads):
                self.layer = node.layer
                rule = facts(node.kernel).gradient
                if rule is None:
                    problems[node.layer or node.kernel.__name__] = node.kernel.__name__
                else:
                    self._apply(rule, node, results, active)
        if problems:
            names = ", ".join(f"{layer} ({kernel})" for layer, kernel in reversed(problems.items()))
            raise UnsupportedModelError(f"no gradient goes through {names}")
        self.layer = ""
        gradients = {name: self._sum(name) or self.emit(np.zeros_like, name) for name in self.wanted}
        return self._derivative(starts, gradients)

    def _active(self) -> set[str]:
        """The wanted names, and the values that depend on them."""
        active = set(self.wanted)
        for node in self.graph.nodes:
            if active.intersection(node.reads) and facts(node.kernel).gradient is not stops:
                active.update(name for name in node.outputs if self.dtype(name) in FLOATS)
        return active

    def _apply(self, rule: Any, node: Node, gradients: tuple[str | None, ...], active: set[str]) -> None:
        call = Call(self, node, gradients)
        for i, name in reversed([*enumerate(node.inputs)]):  # the weights first: then nothing needs `d` any more
            if isinstance(name, str) and name in active:
                part = rule(call, i)
                if part is not None:
                    self.parts[name].append(str(part))
                    self.products[node.outputs[0]] = self.products.get(node.outputs[0], 0) + (i < 2)

    def _sum(self, name: str) -> str | None:
        """The gradient of a value: the sum of its parts, None if there are none."""
        parts = self.parts[name]
        while len(parts) > 1:
            first, second, *rest = parts
            parts[:] = [self.emit(np.add, first, second), *rest]
        if parts:
            self.totals.setdefault(parts[0], name)
        return parts[0] if parts else None

    def emit(self, kernel: Callable[..., Any], *inputs: Operand, outputs: int = 1, **attrs: Any) -> Any:
        """Add a node; returns the name of its output, or a tuple of names. Equal calls are one node."""

        def forms() -> list[Value]:
            operands = [self.specs.get(i, i) if isinstance(i, str) else i for i in inputs]
            found = [Value("", *form, batched=form[0][:1] == (None,)) for form in infer(kernel, operands, attrs)]
            assert len(found) == outputs, f"{kernel.__name__} returns {len(found)} arrays"
            return found

        names = self._add(kernel, inputs, attrs, forms)
        return names[0] if outputs == 1 else names

    def emit_like(self, like: str, kernel: Callable[..., Any], *inputs: Operand, **attrs: Any) -> str:
        """Add a node whose output has the shape and dtype of another value, and need not be inferred."""
        return self._add(kernel, inputs, attrs, lambda: [self.specs[like]])[0]

    def _add(
        self,
        kernel: Callable[..., Any],
        inputs: tuple[Operand, ...],
        attrs: dict[str, Any],
        forms: Callable[[], list[Value]],
    ) -> tuple[str, ...]:
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        key = (kernel, inputs, repr(sorted(attrs.items())))  # a slice has no hash
        if key not in self.nodes:
            names = tuple(self._define("d", form) for form in forms())
            self.nodes[key] = Node(names, kernel, inputs, attrs, self.layer)
        return self.nodes[key].outputs

    def _define(self, name: str, form: Value) -> str:
        name = self.names.new(name)
        self.specs[name] = Value(name, form.shape, form.dtype, batched=form.batched, rows=form.rows)
        return name

    def shape(self, operand: Operand) -> Shape | None:
        """The shape of a value, None at axes known only at run time; None if nothing is known."""
        if not isinstance(operand, str):
            return ()
        value = self.specs.get(operand)
        return None if value is None else value.shape

    def dtype(self, operand: Operand) -> str:
        """The dtype of a value."""
        return self.specs[operand].dtype if isinstance(operand, str) else "float32"

    def _derivative(self, starts: Sequence[str | None], gradients: dict[str, str]) -> Derivative:
        nodes = leading_to(list(self.nodes.values()), gradients.values())
        named = self._final_names(nodes, starts)
        first = {gradient for name, gradient in gradients.items() if name not in self.first}
        nodes = [_renamed(node, named) for node in _leading_first(nodes, first)]
        d_outputs = tuple(start and named[start] for start in starts)
        gradients = {name: named.get(gradient, gradient) for name, gradient in gradients.items()}
        defined = {name for node in nodes for name in node.outputs}.union(filter(None, d_outputs), self.arrays)
        saved = tuple(dict.fromkeys(n for node in nodes for n in node.reads if n not in defined))
        specs = {
            named.get(name, name): replace(value, name=named.get(name, name)) for name, value in self.specs.items()
        }
        outputs = tuple(dict.fromkeys(gradients.values()))
        graph = Graph(
            inputs=tuple(specs[name] for name in (*saved, *filter(None, d_outputs))),
            nodes=tuple(nodes),
            outputs=outputs,
            weights=self.graph.weights,
            output_names=outputs,
            specs=specs,
            variables=self.graph.variables,
        )
        return Derivative(graph, saved, d_outputs, gradients, self.products)

    def _final_names(self, nodes: Iterable[Node], starts: Sequence[str | None]) -> dict[str, str]:
        """Names for the values of the backward pass: a gradient's after what it is the gradient of, or the kernel."""
        names = Namespace([*self.graph.specs, *map(identifier, self.arrays)])
        pairs = zip(self.graph.outputs, starts, strict=True)
        final = {start: names.new(f"d_{name}") for name, start in pairs if start}
        for node in nodes:
            for name in node.outputs:
                final[name] = names.new(f"d_{self.totals.get(name) or node.kernel.__name__}")
        return final


def _renamed(node: Node, names: Mapping[str, str]) -> Node:
    inputs = tuple(names.get(i, i) if isinstance(i, str) else i for i in node.inputs)
    return replace(node, outputs=tuple(names[name] for name in node.outputs), inputs=inputs)


def leading_to(nodes: Sequence[Node], values: Iterable[str]) -> list[Node]:
    """The nodes that these values need, in their order."""
    needed, found = set(values), []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            found.append(node)
            needed.update(node.reads)
    return found[::-1]


def _leading_first(nodes: Sequence[Node], values: Iterable[str]) -> list[Node]:
    """The nodes that these values need, then the others."""
    first = leading_to(nodes, values)
    numbers = set(map(id, first))
    return [*first, *(node for node in nodes if id(node) not in numbers)]
