"""Evaluates an expression node by node; what an operation does to its values is left to subclasses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kerasgen.bytecode import Expression, Node
from kerasgen.layers.functions import modules
from kerasgen.layers.functions.values import Reference


class Evaluator(ABC):
    """`defines` are the values of globals, by name."""

    def __init__(self, defines: Mapping[str, Any]) -> None:
        self.defines = defines

    def evaluate(self, function: Expression, inputs: Mapping[str, Any]) -> Any:
        """The result for these inputs.

        Every node is evaluated, read or not: a call that is unknown is refused wherever it stands.
        """
        table: dict[Node, Any] = {}
        for node in function.nodes:
            if node.kind == "input":
                table[node] = inputs.get(node.value)
            else:
                table[node] = self.value(function, node, [table[operand] for operand in node.operands])
        return table[function.result]

    def value(self, function: Expression, node: Node, operands: list[Any]) -> Any:
        """The value of a node that is no input."""
        if node.kind == "call":
            called, *operands = operands
            count = len(operands) - len(node.value)
            return self.call(called, operands[:count], dict(zip(node.value, operands[count:], strict=True)))
        return _KINDS[node.kind](self, node.value, operands)

    def name(self, name: str) -> Any:
        """A global."""
        return self.defines[name] if name in self.defines else modules.named(name)

    def attribute(self, of: Any, name: str) -> Any:
        """An attribute of a module, or of a value."""
        return modules.attribute(of, name) if isinstance(of, Reference) else self.value_attribute(of, name)

    @abstractmethod
    def value_attribute(self, of: Any, name: str) -> Any:
        """`of.name`, of a value."""

    @abstractmethod
    def operator(self, symbol: str, operands: Sequence[Any]) -> Any:
        """An operator of Python, of one operand or two."""

    @abstractmethod
    def item(self, of: Any, index: Any) -> Any:
        """`of[index]`."""

    @abstractmethod
    def unpacked(self, of: Any, number: int, count: int) -> Any:
        """One of `count` elements that a sequence is unpacked to."""

    @abstractmethod
    def call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a function returns."""


_KINDS: dict[str, Callable[[Evaluator, Any, list[Any]], Any]] = {
    "attribute": lambda evaluator, name, operands: evaluator.attribute(operands[0], name),
    "constant": lambda evaluator, value, operands: value,
    "dict": lambda evaluator, value, operands: dict(zip(operands[::2], operands[1::2], strict=True)),
    "item": lambda evaluator, value, operands: evaluator.item(*operands),
    "list": lambda evaluator, value, operands: list(operands),
    "name": lambda evaluator, name, operands: evaluator.name(name),
    "operator": lambda evaluator, symbol, operands: evaluator.operator(symbol, operands),
    "slice": lambda evaluator, value, operands: slice(*operands),
    "tuple": lambda evaluator, value, operands: tuple(operands),
    "unpacked": lambda evaluator, place, operands: evaluator.unpacked(operands[0], *place),
}
