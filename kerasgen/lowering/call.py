"""A call of a NumPy kernel, as the rules see it that write it for lists of numbers.

A list holds the cells of one sample in order, so it has the shape of the array without the batch. An array that counts
several rows for each sample (steps as samples) has the rows as its first axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasgen.graph.fact_kinds import Kernel
from kerasgen.graph.ir import Node, Operand, Value

Sizes = tuple[int, ...]


class NoCounterpart(Exception):
    """A call cannot be written for lists of numbers; the text says why."""


@dataclass(frozen=True)
class Expression:
    """A kernel for lists with its operands and settings: what a line of the module has behind the `=`."""

    kernel: Kernel
    operands: tuple[Operand, ...]
    settings: Mapping[str, Any]


Result = Expression | Operand  # the name of an existing value where nothing is to be done
Rule = Callable[["Call"], Any]  # a Result, or one for each output of the node
RULES: dict[Kernel, Rule] = {}


def lowers(*kernels: Kernel) -> Callable[[Rule], Rule]:
    """Enter a rule for these NumPy kernels."""

    def enter(rule: Rule) -> Rule:
        for kernel in kernels:
            assert kernel not in RULES, kernel
            RULES[kernel] = rule
        return rule

    return enter


@dataclass
class Call:
    """A node, what is known of its operands and outputs, and what its rule adds before it: nodes and weights."""

    node: Node
    values: Mapping[str, Value]
    arrays: Mapping[str, np.ndarray]
    laid_out: dict[str, np.ndarray]
    nodes: list[Node] = field(default_factory=list)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings of the NumPy kernel."""
        return self.node.attrs

    @property
    def x(self) -> Operand:
        """The first operand."""
        return self.node.inputs[0]

    def optional(self, index: int) -> Operand:
        """An operand that may be absent: then None."""
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def spec(self, operand: Operand) -> Value:
        """Shape and dtype of an operand; of a number, those of a scalar."""
        if isinstance(operand, str):
            return self.values[operand]
        return Value("", (), "float32" if isinstance(operand, float) else "int32")

    def shape(self, operand: Operand) -> Sizes:
        """The shape of the list that an operand is."""
        spec = self.spec(operand)
        if spec.shape[:1] != (None,):
            sizes = spec.shape
        elif spec.rows is None:
            raise NoCounterpart("how many rows a sample has is known only at run time")
        else:
            sizes = (*([spec.rows] if spec.rows != 1 else []), *spec.shape[1:])
        if None in sizes:
            raise NoCounterpart("a size is known only at run time")
        return tuple(int(size or 0) for size in sizes)

    def is_batched(self, operand: Operand) -> bool:
        """Whether the first axis of the array is the batch."""
        return self.spec(operand).shape[:1] == (None,)

    def rows(self, operand: Operand) -> int:
        """How many rows a sample has: 1, but for steps as samples."""
        return self.spec(operand).rows or 1 if self.is_batched(operand) else 1

    def axis(self, axis: int, operand: Operand | None = None, extra: int = 0) -> int:
        """An axis of an operand, by default the first one, as an axis of its list. `extra` axes are to be added."""
        operand = self.x if operand is None else operand
        rank = len(self.spec(operand).shape) + extra
        axis %= rank
        if not self.is_batched(operand):
            return axis
        if axis == 0:
            raise NoCounterpart("it mixes the samples of a batch")
        return axis - (self.rows(operand) == 1)

    def constant(self, operand: Operand) -> np.ndarray:
        """The weight that an operand is."""
        if not isinstance(operand, str) or operand not in self.arrays:
            raise NoCounterpart("its weights are computed by another layer")
        return self.arrays[operand]

    def weight(self, array: np.ndarray, name: Operand) -> str:
        """The name of a weight of the module: a list of numbers, or one of rows of them."""
        key, number = str(name), 1
        while key in self.laid_out and not np.array_equal(self.laid_out[key], array, equal_nan=True):
            number += 1
            key = f"{name}_{number}"
        self.laid_out[key] = np.ascontiguousarray(array)
        return key

    def flat(self, operand: Operand) -> Operand:
        """An operand as a list: a weight is laid out as one, a number stays."""
        if not isinstance(operand, str) or operand not in self.arrays:
            return operand
        array = self.arrays[operand]
        return self.weight(array.ravel(), operand) if array.ndim else array.item()

    def before(self, expression: Result, label: str) -> Operand:
        """A value that is computed by a line of its own, before that of the node."""
        if not isinstance(expression, Expression):
            return expression
        name = f"{self.node.outputs[0]}_{label}"
        self.nodes.append(Node((name,), expression.kernel, expression.operands, expression.settings, self.node.layer))
        return name


def changed(settings: Mapping[str, Any], **defaults: Any) -> dict[str, Any]:
    """The settings of these names that differ from their default."""
    return {key: settings[key] for key, default in defaults.items() if settings.get(key, default) != default}


def only(settings: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raise NoCounterpart for a setting that is none of these."""
    for name in settings:
        if name not in names:
            raise NoCounterpart(f"its setting `{name}` has no counterpart without NumPy")
