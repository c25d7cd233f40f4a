"""The stack of a function's call, with what makes values of those on it: operators, slices, containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kerasgen.bytecode.codeobject import Code, Malformed
from kerasgen.bytecode.expression import Node, Nodes
from kerasgen.errors import UnsupportedModelError

_OPERATIONS = ("+", "&", "//", "<<", "@", "*", "%", "|", "**", ">>", "-", "/", "^")
_SUBSCRIPT = 2 * len(_OPERATIONS)
_COMPARISONS = ("<", "<=", "==", "!=", ">", ">=", "in", "not in", "is", "is not")
_TO_POSITIVE, _LIST_TO_TUPLE = 5, 6  # arguments of CALL_INTRINSIC_1


class Unreadable(UnsupportedModelError):
    """The function does something that is no plain expression. The text says what, and how far it was read."""


@dataclass
class Cell:
    """A variable that functions share; `content` is None before it has a value."""

    content: Any = None


@dataclass(frozen=True, eq=False)
class Function:
    """A function that was defined inside."""

    code: Code
    defaults: tuple[Any, ...] = ()
    keyword_defaults: Mapping[str, Any] = field(default_factory=dict)
    cells: tuple[Cell, ...] = ()


class Symbols:
    """Makes the nodes of an expression, and knows the last operation that was read."""

    def __init__(self) -> None:
        self.nodes = Nodes()
        self.last: Node | None = None

    def node(self, item: Any) -> Node:
        """An operand, which must be a value."""
        if isinstance(item, Node):
            return item
        if isinstance(item, Function):
            raise self.refused("it hands a function to another one")
        raise Malformed("an instruction takes what no instruction before has made")

    def make(self, kind: Any, *operands: Any, value: Any = None) -> Node:
        """A node of these operands."""
        node = self.nodes(kind, *map(self.node, operands), value=value)
        if kind in ("attribute", "call", "item", "operator"):
            self.last = node
        return node

    def refused(self, reason: str) -> Unreadable:
        """The error that says why the function is not read, and how far it was."""
        read = f", after {self.nodes.text(self.last)}" if self.last is not None else ""
        return Unreadable(f"{reason}{read}")


class Stack:
    """The values of a call that have no name."""

    def __init__(self, code: Code, symbols: Symbols) -> None:
        self.code = code
        self.symbols = symbols
        self.nodes = symbols.make
        self.refused = symbols.refused
        self.stack: list[Any] = []

    def push(self, item: Any) -> None:
        """Put a value on the stack."""
        self.stack.append(item)

    def pop(self) -> Any:
        """Take the value from the top of the stack."""
        if not self.stack:
            raise Malformed("it takes more from its stack than it has put there")
        return self.stack.pop()

    def pop_many(self, count: int) -> list[Any]:
        """Take several values, the lowest first."""
        if not 0 <= count <= len(self.stack):
            raise Malformed("it takes more from its stack than it has put there")
        items = self.stack[len(self.stack) - count :]
        del self.stack[len(self.stack) - count :]
        return items

    def drop(self, _: int) -> None:
        """Drop the value on the top: that of a statement, say."""
        self.pop()

    def copy(self, depth: int) -> None:
        """Put the value at this depth, 1 being the top, on the stack again."""
        if not 0 < depth <= len(self.stack):
            raise Malformed("it copies what is not on its stack")
        self.push(self.stack[-depth])

    def copy_many(self, count: int) -> None:
        """Put the topmost values on the stack again."""
        items = self.pop_many(count)
        self.stack += [*items, *items]

    def rotate(self, count: int) -> None:
        """Put the top below the values under it."""
        items = self.pop_many(count)
        self.stack += items[-1:] + items[:-1]

    def swap(self, depth: int) -> None:
        """Exchange the top with the value at this depth."""
        if not 0 < depth <= len(self.stack):
            raise Malformed("it exchanges what is not on its stack")
        self.stack[-1], self.stack[-depth] = self.stack[-depth], self.stack[-1]

    def entry(self, table: Sequence[Any], number: int) -> Any:
        """An entry of a table of the code."""
        if not 0 <= number < len(table):
            raise Malformed("it reads a variable, a name or a constant that it does not have")
        return table[number]

    # Operators

    def binary(self, symbol: str) -> None:
        """An operator of two operands; an assignment in place makes no difference to a tensor."""
        left, right = map(self.symbols.node, self.pop_many(2))
        if symbol == "classic /" and any(
            node.kind == "constant" and type(node.value) is float for node in (left, right)
        ):
            symbol = "/"
        self.push(self.nodes("operator", left, right, value=symbol))

    def binary_op(self, number: int) -> None:
        """An operator, by its number."""
        if number == _SUBSCRIPT and self.code.version >= (3, 14):
            self.subscript(0)
            return
        self.entry(_OPERATIONS * 2, number)
        self.binary(_OPERATIONS[number % len(_OPERATIONS)])

    def compare(self, number: int) -> None:
        """A comparison; its number has other bits below from 3.12 on."""
        shift = {(3, 12): 4, (3, 13): 5, (3, 14): 5}.get(self.code.version, 0)
        table = _COMPARISONS[:6] if self.code.version >= (3, 9) else _COMPARISONS
        self.binary(self.entry(table, number >> shift))

    def subscript(self, _: int) -> None:
        """`a[b]`."""
        self.push(self.nodes("item", *self.pop_many(2)))

    def build_slice(self, count: int) -> None:
        """A slice of two or three parts."""
        if count not in (2, 3):
            raise Malformed("a slice has two or three parts")
        self.push(self.slice(*self.pop_many(count)))

    def slice(self, *parts: Any) -> Node:
        """A slice; one of constants is a constant."""
        nodes = [self.symbols.node(part) for part in parts]
        if all(node.kind == "constant" for node in nodes):
            return self.nodes("constant", value=slice(*(node.value for node in nodes)))
        return self.nodes("slice", *nodes)

    def slice_item(self, _: int, bits: int) -> None:
        """`a[b:c]` of Python 2; the bits say which of b and c there are."""
        parts = self.pop_many(1 + bits.bit_count())
        none = self.nodes("constant", value=None)
        start = parts[1] if bits & 1 else none
        stop = parts[-1] if bits & 2 else none
        self.push(self.nodes("item", parts[0], self.slice(start, stop)))

    def binary_slice(self, _: int) -> None:
        """`a[b:c]` from 3.12 on."""
        of, start, stop = self.pop_many(3)
        self.push(self.nodes("item", of, self.slice(start, stop)))

    # Containers

    def build(self, kind: str, count: int) -> None:
        """A tuple or a list; a tuple of constants is a constant, as the compiler has it."""
        items = self.pop_many(count)
        if kind == "tuple" and all(isinstance(item, Cell) for item in items) and items:
            self.push(tuple(items))
            return
        nodes = [self.symbols.node(item) for item in items]
        if kind == "tuple" and all(node.kind == "constant" for node in nodes):
            self.push(self.nodes("constant", value=tuple(node.value for node in nodes)))
        else:
            self.push(self.nodes(kind, *nodes))

    def extend(self, depth: int) -> None:
        """Add the elements of a tuple to a list."""
        other = self.elements(self.pop(), "*")
        self._replace(depth, "list", lambda items: [*items, *other])

    def append(self, depth: int) -> None:
        """Add an element to a list; in a loop, that would have been refused before."""
        item = self.symbols.node(self.pop())
        self._replace(depth, "list", lambda items: [*items, item])

    def elements(self, item: Any, what: str) -> list[Node]:
        """The elements of a tuple or a list; `what` is the operator that needs them."""
        node = self.symbols.node(item)
        if node.kind in ("tuple", "list"):
            return list(node.operands)
        if node.kind == "constant" and isinstance(node.value, tuple):
            return [self.nodes("constant", value=value) for value in node.value]
        raise self.refused(f"it has a `{what}` of something else than a tuple")

    def _replace(self, depth: int, kind: str, change: Callable[[tuple[Node, ...]], list[Node]]) -> None:
        if not 0 < depth <= len(self.stack):
            raise Malformed("it changes what is not on its stack")
        node = self.symbols.node(self.stack[-depth])
        if node.kind != kind:
            raise Malformed(f"it takes something else for a {kind}")
        self.stack[-depth] = self.nodes(kind, *change(node.operands))

    def list_to_tuple(self, _: int) -> None:
        """A list as a tuple."""
        items = self.elements(self.pop(), "*")
        self.stack += items
        self.build("tuple", len(items))

    def unpacked(self, kind: str, count: int) -> None:
        """Several tuples or lists after each other, up to 3.8."""
        items = [node for item in self.pop_many(count) for node in self.elements(item, "*")]
        self.stack += items
        self.build(kind, len(items))

    def intrinsic(self, number: int) -> None:
        """From 3.12 on: a plus sign, or a list as a tuple."""
        if number == _TO_POSITIVE:
            self.push(self.nodes("operator", self.pop(), value="+"))
        elif number == _LIST_TO_TUPLE:
            self.list_to_tuple(0)
        else:
            raise self.refused("it does something that is no plain expression")

    def build_map(self, count: int) -> None:
        """A dict; up to 3.4, its items come later."""
        if self.code.version < (3, 5):
            count = 0
        self.push(self.nodes("dict", *self.pop_many(2 * count)))

    def store_map(self, _: int) -> None:
        """Add an item to a dict, up to 3.4: the key is on the top."""
        item, key = map(self.symbols.node, self.pop_many(2))
        self._replace(1, "dict", lambda items: [*items, key, item])

    def build_const_key_map(self, count: int) -> None:
        """A dict whose keys are a tuple."""
        keys = self.elements(self.pop(), "**")
        items = self.pop_many(count)
        if len(keys) != len(items):
            raise Malformed("it makes a dict of more keys than items, or fewer")
        self.push(self.nodes("dict", *(each for pair in zip(keys, items, strict=True) for each in pair)))

    def merge(self, depth: int) -> None:
        """Add the items of a dict to another."""
        other = self.symbols.node(self.pop())
        if other.kind != "dict":
            raise self.refused("it has a `**` of something else than a dict")
        self._replace(depth, "dict", lambda items: [*items, *other.operands])

    def unpack(self, count: int) -> None:
        """Each of a sequence's elements."""
        node = self.symbols.node(self.pop())
        if node.kind in ("tuple", "list") or (node.kind == "constant" and isinstance(node.value, tuple)):
            items = self.elements(node, "*")
            if len(items) != count:
                raise self.refused(f"it takes {count} elements of {len(items)}")
        else:
            items = [self.nodes("unpacked", node, value=(index, count)) for index in range(count)]
        self.stack += reversed(items)
