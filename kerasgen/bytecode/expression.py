"""Expressions: what a function computes, as symbols, and as source text.

An expression is a graph whose nodes may have several readers. Its nodes are kept in the order in which Python would
compute them, so whoever goes through it needs no recursion, and no node is computed twice.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

LONGEST = 160  # characters of a text
_FEW = 6  # elements of a constant to show

Kind = Literal[
    "attribute", "call", "constant", "dict", "input", "item", "list", "name", "operator", "slice", "tuple", "unpacked"
]
# Whatever Python would look up or compute; instructions differ in the constants and containers that they pass around.
_OPERATIONS = frozenset(("attribute", "call", "item", "name", "operator", "unpacked"))


@dataclass(frozen=True, eq=False)
class Node:
    """One operation, by `kind`, on other nodes.

    `value` is the constant; the name of an input, of a global or of an attribute; the symbol of an operator; the names
    of the keyword arguments of a call, which are its last operands; the number of an item of an unpacked sequence.
    """

    kind: Kind
    operands: tuple[Node, ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Expression:
    """A function of `inputs`: every node that Python computes, in this order, and the result."""

    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    result: Node

    @property
    def text(self) -> str:
        """The result as source text, cut off if it is long. Printable ASCII, on one line."""
        return self.part(self.result)

    def part(self, node: Node) -> str:
        """One of the nodes as source text."""
        return texts(self.nodes)[node][0]

    def key(self) -> tuple[Any, ...]:
        """Equal for expressions that are built in the same way."""
        numbers = {node: number for number, node in enumerate(self.nodes)}
        rows = [(node.kind, _key(node.value), *(numbers[x] for x in node.operands)) for node in self.nodes]
        return self.inputs, numbers[self.result], tuple(rows)


class Nodes:
    """Makes the nodes of an expression; equal operations are one node."""

    def __init__(self) -> None:
        self._nodes: dict[Any, Node] = {}

    def __call__(self, kind: Kind, *operands: Node, value: Any = None) -> Node:
        """The node of this operation."""
        key = (kind, operands, _key(value))
        node = self._nodes.get(key)
        if node is None:
            node = self._nodes[key] = Node(kind, operands, value)
        return node

    def expression(self, inputs: Iterable[str], result: Node) -> Expression:
        """The operations so far, and what they read, with this node as the result."""
        ordered: dict[Node, None] = {}
        for root in (*(node for node in self._nodes.values() if node.kind in _OPERATIONS), result):
            pending = [root]
            while pending:
                unread = [operand for operand in pending[-1].operands if operand not in ordered]
                if unread:
                    pending += reversed(unread)
                else:
                    ordered.setdefault(pending.pop())
        return Expression(tuple(inputs), tuple(ordered), result)

    def text(self, node: Node) -> str:
        """A node as source text."""
        return texts(self._nodes.values())[node][0]


def _key(value: Any) -> Any:
    """Equal only for values that are the same in every respect: 1, 1.0 and True are not."""
    if isinstance(value, (tuple, list)):
        return type(value), tuple(map(_key, value))
    if isinstance(value, float):
        return float, str(value) if math.isnan(value) else value.hex()
    if isinstance(value, slice):
        return slice, _key((value.start, value.stop, value.step))
    simple = value is None or value is ... or isinstance(value, (bool, int, str, bytes))
    return (type(value), value) if simple else id(value)


# How strongly Python's operators bind, from `or` to `**`; then what needs no parentheses.
_BINDING = {
    **dict.fromkeys(("<", "<=", "==", "!=", ">", ">=", "in", "not in", "is", "is not"), 3),
    "|": 4,
    "^": 5,
    "&": 6,
    **dict.fromkeys(("<<", ">>"), 7),
    **dict.fromkeys(("+", "-"), 8),
    **dict.fromkeys(("*", "/", "//", "%", "@", "classic /"), 9),
    "**": 11,
}
_NOT, _UNARY, _POWER, _ATOM = 2, 10, 11, 12


def texts(nodes: Iterable[Node]) -> dict[Node, tuple[str, int]]:
    """Each node as source text, with how strongly its outermost operator binds."""
    table: dict[Node, tuple[str, int]] = {}
    for node in nodes:
        text, binding = _text(node, [table[operand] for operand in node.operands])
        table[node] = (text, binding) if len(text) <= LONGEST else (f"{text[: LONGEST - 3]}...", _ATOM)
    return table


def _text(node: Node, operands: list[tuple[str, int]]) -> tuple[str, int]:
    plain = [text for text, _ in operands]
    if node.kind == "constant":
        return constant_text(node.value)
    if node.kind in ("input", "name"):
        return name_text(node.value), _ATOM
    if node.kind == "attribute":
        number = node.operands[0].kind == "constant" and isinstance(node.operands[0].value, (int, float))
        return f"{f'({plain[0]})' if number else _inside(operands[0], _ATOM)}.{name_text(node.value)}", _ATOM
    if node.kind == "item":
        inner = plain[1]
        index = node.operands[1]
        is_tuple = index.kind == "tuple" or (index.kind == "constant" and isinstance(index.value, tuple))
        if is_tuple and len(inner) > 2 and inner.endswith(")"):
            inner = inner[1:-1]
        return f"{_inside(operands[0], _ATOM)}[{inner}]", _ATOM
    if node.kind == "unpacked":
        return f"{_inside(operands[0], _ATOM)}[{node.value[0]}]", _ATOM
    if node.kind == "slice":
        return ":".join("" if part == "None" else part for part in plain), _ATOM
    if node.kind == "call":
        count = len(plain) - len(node.value)
        named = [f"{name_text(k)}={text}" for k, text in zip(node.value, plain[count:], strict=True)]
        return f"{_inside(operands[0], _ATOM)}({', '.join([*plain[1:count], *named])})", _ATOM
    if node.kind == "operator":
        return _operator(node.value, operands)
    if node.kind == "dict":
        pairs = zip(plain[::2], plain[1::2], strict=True)
        return f"{{{', '.join(f'{key}: {item}' for key, item in pairs)}}}", _ATOM
    items = ", ".join(plain)
    if node.kind == "list":
        return f"[{items}]", _ATOM
    return (f"({items},)" if len(plain) == 1 else f"({items})"), _ATOM


def _operator(symbol: str, operands: list[tuple[str, int]]) -> tuple[str, int]:
    if len(operands) == 1:
        binding = _NOT if symbol == "not" else _UNARY
        return f"{symbol}{' ' * (symbol == 'not')}{_inside(operands[0], binding)}", binding
    binding = _BINDING[symbol]
    right_first, strict = symbol == "**", binding == 3
    left = _inside(operands[0], binding + (right_first or strict))
    right = _inside(operands[1], _UNARY if right_first else binding + 1)
    return f"{left} {symbol.removeprefix('classic ')} {right}", binding


def _inside(operand: tuple[str, int], least: int) -> str:
    """An operand's text, in parentheses where it binds less strongly than that."""
    text, binding = operand
    return text if binding >= least else f"({text})"


def constant_text(value: Any) -> tuple[str, int]:
    """A constant as source text; long ones are shortened."""
    if isinstance(value, (tuple, list)):
        items = [constant_text(item)[0] for item in itertools.islice(value, _FEW)]
        items += ["..."] * (len(value) > _FEW)
        inner = ", ".join(items) + "," * (isinstance(value, tuple) and len(value) == 1)
        return (f"[{inner}]" if isinstance(value, list) else f"({inner})"), _ATOM
    if isinstance(value, slice):
        parts = [value.start, value.stop] + ([] if value.step is None else [value.step])
        return ":".join("" if part is None else constant_text(part)[0] for part in parts), _ATOM
    if value is ...:
        return "...", _ATOM
    if isinstance(value, (str, bytes)):
        return ascii(value[:LONGEST]) if isinstance(value, str) else ascii(bytes(value[:LONGEST])), _ATOM
    if value is None or isinstance(value, (bool, int, float)):
        text = ascii(value)
        return text, _UNARY if text.startswith("-") else _ATOM
    return f"<{type(value).__name__}>", _ATOM


def name_text(name: str) -> str:
    """A name of the file, escaped unless it is an ASCII identifier."""
    return name if name.isascii() and name.isidentifier() else ascii(name[:LONGEST])
