"""An abstract run of a function on symbols: its instructions become an expression.

Nothing is called, imported or looked up: a call, an import or a global becomes a node. A function that is defined
inside is read in its caller's place. Branches and loops are refused, so a run ends after as many steps as the code has
instructions; calls of inner functions are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from kerasgen.bytecode.codeobject import (
    KEYWORD_ARGUMENTS,
    SUSPENDED,
    VARIABLE_ARGUMENTS,
    Bytes,
    Code,
    Frozenset,
    Malformed,
)
from kerasgen.bytecode.disassembler import Instruction, disassemble
from kerasgen.bytecode.expression import Expression, Node
from kerasgen.bytecode.stack import Cell, Function, Stack, Symbols, Unreadable

MOST_STEPS = 4000
MOST_CALLS = 16  # of inner functions in each other

_BINARY = {
    "ADD": "+",
    "AND": "&",
    "DIVIDE": "classic /",
    "FLOOR_DIVIDE": "//",
    "LSHIFT": "<<",
    "MATRIX_MULTIPLY": "@",
    "MODULO": "%",
    "MULTIPLY": "*",
    "OR": "|",
    "POWER": "**",
    "RSHIFT": ">>",
    "SUBTRACT": "-",
    "TRUE_DIVIDE": "/",
    "XOR": "^",
}
_UNARY = {"UNARY_NEGATIVE": "-", "UNARY_POSITIVE": "+", "UNARY_NOT": "not", "UNARY_INVERT": "~"}
# In the order of BINARY_OP's argument; those in place follow, then, from 3.14 on, a subscript.
_DEFAULTS, _KEYWORD_DEFAULTS, _ANNOTATIONS, _CLOSURE = 1, 2, 4, 8  # flags of MAKE_FUNCTION


# Instructions that follow one that begins a loop, a `with` or a `try`, which is refused before them.
_IN_BLOCKS = frozenset("""
    BEGIN_FINALLY BREAK_LOOP CALL_FINALLY CONTINUE_LOOP END_FINALLY POP_BLOCK POP_EXCEPT POP_FINALLY WITH_CLEANUP
    WITH_CLEANUP_FINISH WITH_CLEANUP_START
    """.split())


class _Null:
    """What Python puts on the stack below a function that is no method."""


NULL = _Null()


@dataclass(frozen=True, eq=False)
class _KeywordNames:
    """The names of keyword arguments, on the stack before a call."""

    names: tuple[str, ...]


def run(
    code: Code, arguments: Mapping[str, Any], defaults: Sequence[Any] = (), closure: Sequence[Any] = (), given: int = 1
) -> Expression:
    """The expression that a function of a layer computes.

    Keras gives it its first arguments, as many as `given`, and `mask` and `training` if it takes them; `arguments` are
    further ones, `closure` the values of its free variables. Raises Unreadable where it is no plain expression,
    Malformed where its version of Python does not write such code.
    """
    disassemble(code)  # most of the versions that did not write it end here
    machine = _Machine()
    if len(closure) != code.free_count:
        raise Malformed(f"it has {code.free_count} free variables, and {len(closure)} values for them")
    if code.positional < given:
        raise Unreadable(f"it takes {code.positional or 'no'} argument")

    def constants(values: Iterable[Any]) -> list[Node]:
        return [machine.nodes("constant", value=value) for value in values]

    inputs = (*code.arguments[:given], *(name for name in ("mask", "training") if name in code.arguments[given:]))
    nodes = [machine.nodes("input", value=name) for name in inputs]
    named = dict(zip(arguments, constants(arguments.values()), strict=True))
    named.update(zip(inputs[given:], nodes[given:], strict=True))
    function = Function(code, tuple(constants(defaults)), {}, tuple(map(Cell, constants(closure))))
    result = machine.node(machine.call(function, nodes[:given], named))
    return machine.nodes.expression(inputs, result)


class _Machine(Symbols):
    """Counts steps and calls: code of a file must not keep us busy."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self.calls = 0

    def call(self, function: Function, arguments: Sequence[Any], named: Mapping[str, Any]) -> Any:
        """What a function returns."""
        self.calls += 1
        if self.calls > MOST_CALLS:
            raise self.refused("it calls too many functions in each other")
        try:
            return _Frame(self, function, arguments, named).run()
        finally:
            self.calls -= 1


class _Frame(Stack):
    """A call of a function: its variables and its stack."""

    def __init__(
        self, machine: _Machine, function: Function, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> None:
        super().__init__(function.code, machine)
        code = function.code
        self.machine = machine
        self.keywords: tuple[str, ...] = ()  # of the next call, in 3.11 and 3.12
        self.variables: list[Any] = [None] * len(code.variables)
        self.free = function.cells
        if code.flags & (VARIABLE_ARGUMENTS | KEYWORD_ARGUMENTS):
            raise self.refused("it takes any number of arguments")
        if code.flags & SUSPENDED:
            raise self.refused("it is a generator or a coroutine")
        if code.has_handlers:
            raise self.refused("it handles exceptions")
        for name, item in self._bound(function, arguments, named).items():
            self.variables[code.variables.index(name)] = item
        if code.version < (3, 11):
            self._make_cells()

    def _bound(self, function: Function, arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments by name, those with defaults included."""
        code = function.code
        names = code.arguments
        if len(function.defaults) > code.positional:
            raise Malformed("it has more defaults than arguments")
        defaults = dict(
            zip(names[code.positional - len(function.defaults) : code.positional], function.defaults, strict=True)
        )
        given = dict(zip(names[: code.positional], arguments, strict=False))
        if len(arguments) > code.positional or not named.keys() <= set(names) - given.keys():
            raise self.refused(f"it takes {len(names)} arguments, and is called with others")
        bound = {**defaults, **function.keyword_defaults, **given, **named}
        missing = [name for name in names if name not in bound]
        if missing:
            raise self.refused(f"it has no value for its argument {missing[0]!a}")
        return bound

    def _make_cells(self) -> None:
        """Cells for shared and free variables, up to 3.10; from 3.11 on there are instructions for it."""
        code = self.code
        for place in code.cells:
            name = code.variables[place]
            own = code.variables[: code.locals_count]
            self.variables[place] = Cell(self.variables[own.index(name)] if name in own else None)
        if code.free_count:
            self.variables[-code.free_count :] = self.free

    def run(self) -> Any:
        """The value that is returned."""
        instructions = disassemble(self.code)
        for index, instruction in enumerate(instructions):
            self.machine.steps += 1
            if self.machine.steps > MOST_STEPS:
                raise self.refused("it is too long")
            if instruction.name in ("RETURN_VALUE", "RETURN_CONST"):
                if instruction.name == "RETURN_CONST":
                    self.load_const(instruction.argument)
                result = self.pop()
                if self.stack or index + 1 < len(instructions):
                    raise Malformed("something is left after it has returned")
                return result
            self._step(instruction)
            if len(self.stack) > self.code.stack_size:
                raise Malformed("it needs a larger stack than it asks for")
        raise Malformed("it does not return")

    def _step(self, instruction: Instruction) -> None:
        name, argument = instruction
        if name in _INSTRUCTIONS:
            _INSTRUCTIONS[name](self, argument)
        elif name in _UNARY:
            self.push(self.nodes("operator", self.pop(), value=_UNARY[name]))
        elif name.startswith(("BINARY_", "INPLACE_")):
            self.binary(_BINARY[name.partition("_")[2]])
        elif name in _IN_BLOCKS:
            raise Malformed(f"{name} stands outside of a block")
        else:
            raise self.refused(_reason(name))

    # Variables and constants

    def load_const(self, number: int) -> None:
        """A constant; a code object is one, too."""
        value = self.entry(self.code.constants, number)
        if isinstance(value, Code):
            self.push(value)
        else:
            self.push(self.constant(value))

    def constant(self, value: Any) -> Node:
        """A constant as Python 3 has it: what Python 2 calls a string is text."""
        if isinstance(value, Frozenset):
            raise self.refused("it has a set")
        if isinstance(value, complex):
            raise self.refused("it has a complex number")
        return self.nodes("constant", value=_text(value) if self.code.version < (3, 0) else value)

    def load_fast(self, number: int) -> None:
        """A local variable; from 3.11 on, possibly the cell of one."""
        value = self.entry(self.variables, number)
        if value is None:
            raise Malformed("it reads a variable before it has a value")
        self.push(value)

    def load_two(self, numbers: int) -> None:
        """Two local variables."""
        self.load_fast(numbers >> 4)
        self.load_fast(numbers & 15)

    def store_fast(self, number: int) -> None:
        """Give a local variable a value."""
        self.entry(self.variables, number)
        self.variables[number] = self.pop()

    def store_load(self, numbers: int) -> None:
        """Give a local variable a value, then read one."""
        self.store_fast(numbers >> 4)
        self.load_fast(numbers & 15)

    def store_two(self, numbers: int) -> None:
        """Give two local variables values."""
        self.store_fast(numbers >> 4)
        self.store_fast(numbers & 15)

    def delete_fast(self, number: int) -> None:
        """Drop a local variable."""
        self.load_fast(number)
        self.pop()
        self.variables[number] = None

    def _cell(self, number: int) -> Cell:
        place = number if self.code.version >= (3, 11) else number + self.code.locals_count
        cell = self.entry(self.variables, place)
        if not isinstance(cell, Cell):
            raise Malformed("it takes a variable for a shared one")
        return cell

    def make_cell(self, number: int) -> None:
        """Let functions inside share a variable."""
        self.variables[number] = Cell(self.entry(self.variables, number))

    def copy_free_variables(self, count: int) -> None:
        """Take over the variables of the function around."""
        if count != self.code.free_count:
            raise Malformed("it takes another number of free variables than it has")
        self.variables[len(self.variables) - count :] = self.free

    def load_closure(self, number: int) -> None:
        """The cell of a shared variable."""
        self.push(self._cell(number))

    def load_deref(self, number: int) -> None:
        """The value of a shared variable."""
        content = self._cell(number).content
        if content is None:
            raise self.refused("it reads a variable before it has a value")
        self.push(content)

    def store_deref(self, number: int) -> None:
        """Give a shared variable a value."""
        self._cell(number).content = self.pop()

    def load_global(self, number: int) -> None:
        """A name of the training script, or of Python; from 3.11 on with the NULL of a call."""
        marked = self.code.version >= (3, 11) and number & 1
        name = self.entry(self.code.names, number >> 1 if self.code.version >= (3, 11) else number)
        self._push_callable(self.nodes("name", value=name), bool(marked))

    def _push_callable(self, node: Node, marked: bool) -> None:
        items = [node, NULL] if self.code.version >= (3, 13) else [NULL, node]
        self.stack += items if marked else [node]

    def push_null(self, _: int) -> None:
        """What a call expects below a function, or above it from 3.13 on."""
        self.push(NULL)

    # Attributes, items, operators

    def load_attr(self, number: int) -> None:
        """An attribute; from 3.12 on possibly a method to be called."""
        new = self.code.version >= (3, 12)
        name = self.entry(self.code.names, number >> 1 if new else number)
        self._push_callable(self.nodes("attribute", self.pop(), value=name), bool(new and number & 1))

    def load_method(self, number: int) -> None:
        """A method to be called."""
        name = self.entry(self.code.names, number)
        node = self.nodes("attribute", self.pop(), value=name)
        self._push_callable(node, self.code.version >= (3, 11))

    # Functions

    def call(self, count: int) -> None:
        """A call of positional arguments, and from 3.11 on of those that are named."""
        if self.code.version < (3, 6):
            positional, pairs = count & 0xFF, count >> 8
            items = self.pop_many(2 * pairs)
            names = [self._keyword(name) for name in items[::2]]
            self._call(self.pop_many(positional), dict(zip(names, items[1::2], strict=True)))
            return
        names, self.keywords = list(self.keywords), ()
        self._call_with(count, names)

    def call_named(self, count: int) -> None:
        """A call, the names of its last arguments on the top of the stack."""
        if self.code.version < (3, 6):
            raise self.refused("it has a call with `**`")
        names = self.machine.node(self.pop())
        if names.kind != "constant" or not isinstance(names.value, tuple):
            raise Malformed("a call has no names for its arguments")
        self._call_with(count, [self._name(name) for name in names.value])

    def keyword_names(self, number: int) -> None:
        """The names of the last arguments of the next call."""
        names = self.entry(self.code.constants, number)
        if not isinstance(names, tuple):
            raise Malformed("a call has no names for its arguments")
        self.keywords = tuple(map(self._name, names))

    def _keyword(self, item: Any) -> str:
        node = self.machine.node(item)
        return self._name(node.value if node.kind == "constant" else None)

    def _name(self, name: Any) -> str:
        if not isinstance(name, str):
            raise Malformed("a call has a name that is no string")
        return name

    def _call_with(self, count: int, names: Sequence[str]) -> None:
        if len(names) > count:
            raise Malformed("a call has more names than arguments")
        items = self.pop_many(count)
        split = count - len(names)
        self._call(items[:split], dict(zip(names, items[split:], strict=True)))

    def _call(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> None:
        function = self.pop()
        if self.code.version >= (3, 13):  # NULL is above the function, or below it before
            function = self._without_null(function, self.pop())
        elif self.code.version >= (3, 11):
            function = self._without_null(self.pop(), function)
        if isinstance(function, Function):
            self.push(self.machine.call(function, arguments, named))
            return
        self.push(self.nodes("call", function, *arguments, *named.values(), value=tuple(named)))

    def _without_null(self, null: Any, function: Any) -> Any:
        if null is not NULL:
            raise Malformed("it calls a function in another way than its version of Python")
        return function

    def call_unpacked(self, flags: int) -> None:
        """A call with `*` or `**`."""
        version = self.code.version
        named: Any = None
        if flags & 1 or version >= (3, 14):
            named = self.pop()
        arguments = self.elements(self.pop(), "*")
        keywords: dict[str, Any] = {}
        if named is not None and named is not NULL:
            node = self.machine.node(named)
            if node.kind != "dict":
                raise self.refused("it has a `**` of something else than a dict")
            keywords = dict(zip(map(self._keyword, node.operands[::2]), node.operands[1::2], strict=True))
        self._call(arguments, keywords)

    def make_function(self, flags: int) -> None:
        """A function, of its code and what belongs to it."""
        version = self.code.version
        if (3, 4) <= version < (3, 11):
            self.pop()  # the qualified name
        code = self.pop()
        if not isinstance(code, Code):
            raise Malformed("it makes a function of something else than code")
        function = Function(code)
        if version < (3, 6):
            function = self._old_function(code, flags, ())
        elif version < (3, 13):
            for flag in (_CLOSURE, _ANNOTATIONS, _KEYWORD_DEFAULTS, _DEFAULTS):
                if flags & flag:
                    function = self._with(function, flag, self.pop())
        self.push(function)

    def make_closure(self, flags: int) -> None:
        """A function that shares variables, up to 3.5."""
        if self.code.version >= (3, 4):
            self.pop()
        code, cells = self.pop_many(2)[::-1]
        if not isinstance(code, Code) or not isinstance(cells, tuple):
            raise Malformed("it makes a function of something else than code")
        self.push(self._old_function(code, flags, cells))

    def _old_function(self, code: Code, flags: int, cells: tuple[Cell, ...]) -> Function:
        if flags >> 8:
            raise self.refused("a function inside has arguments by keyword alone, or annotations")
        return Function(code, tuple(self.pop_many(flags)), {}, cells)

    def set_function_attribute(self, flag: int) -> None:
        """Give a function its defaults or its cells, from 3.13 on."""
        item, function = self.pop_many(2)
        if not isinstance(function, Function):
            raise Malformed("it takes something else for a function")
        self.push(self._with(function, flag, item))

    def _with(self, function: Function, flag: int, item: Any) -> Function:
        if flag == _ANNOTATIONS:
            return function
        if flag == _CLOSURE:
            if not isinstance(item, tuple):
                raise Malformed("a function shares what are no variables")
            return Function(function.code, function.defaults, function.keyword_defaults, item)
        if flag == _DEFAULTS:
            defaults = tuple(self.elements(item, "*"))
            return Function(function.code, defaults, function.keyword_defaults, function.cells)
        node = self.machine.node(item)
        if flag != _KEYWORD_DEFAULTS or node.kind != "dict":
            raise Malformed("a function has defaults without names")
        pairs = dict(zip(map(self._keyword, node.operands[::2]), node.operands[1::2], strict=True))
        return Function(function.code, function.defaults, pairs, function.cells)

    # Imports

    def import_name(self, number: int) -> None:
        """A module, which stands for itself: the outermost one, or the one that names are imported from."""
        name = self.entry(self.code.names, number)
        level, wanted = map(self.machine.node, self.pop_many(2))
        if level.value not in (0, -1):
            raise self.refused("it imports from its own package")
        dotted = self.nodes("name", value=name.partition(".")[0])
        if wanted.kind == "constant" and wanted.value:  # from a.b import c
            for part in name.split(".")[1:]:
                dotted = self.nodes("attribute", dotted, value=part)
        self.push(dotted)

    def import_from(self, number: int) -> None:
        """A name of the module on the top of the stack, which stays there."""
        name = self.entry(self.code.names, number)
        self.push(self.nodes("attribute", self.stack[-1] if self.stack else None, value=name))

    def nothing(self, _: int) -> None:
        """An instruction without effect."""


def _text(value: Any) -> Any:
    """A constant of Python 2."""
    if isinstance(value, Bytes):
        return value.decode("ascii", "backslashreplace")
    return tuple(map(_text, value)) if isinstance(value, tuple) else value


def _reason(name: str) -> str:
    """Why an instruction is refused."""
    if name.startswith(("FOR_", "SETUP_LOOP", "GET_ITER", "JUMP_BACKWARD", "JUMP_ABSOLUTE", "END_FOR")):
        return "it has a loop"
    if "JUMP" in name or name in ("TO_BOOL", "LOAD_FAST_AND_CLEAR"):
        return "it has a branch"
    if name.startswith(("SETUP_", "RAISE", "BEFORE_", "LOAD_ASSERTION")):
        return "it has a `with`, a `try`, a `raise` or an `assert`"
    if name.startswith(("STORE_", "DELETE_")):
        return "it changes something"
    if name.startswith("CALL_FUNCTION_VAR"):
        return "it has a call with `*`"
    return f"it does something that is no plain expression ({name})"


_Handler = Callable[[_Frame, int], None]
_INSTRUCTIONS: dict[str, _Handler] = {
    **dict.fromkeys(("NOP", "RESUME", "PRECALL", "GEN_START", "NOT_TAKEN"), _Frame.nothing),
    "POP_TOP": _Frame.drop,
    "DUP_TOP": lambda frame, _: frame.copy(1),
    "DUP_TOP_TWO": lambda frame, _: frame.copy_many(2),
    "DUP_TOPX": _Frame.copy_many,
    "COPY": _Frame.copy,
    "ROT_TWO": lambda frame, _: frame.rotate(2),
    "ROT_THREE": lambda frame, _: frame.rotate(3),
    "ROT_FOUR": lambda frame, _: frame.rotate(4),
    "ROT_N": _Frame.rotate,
    "SWAP": _Frame.swap,
    "PUSH_NULL": _Frame.push_null,
    "LOAD_CONST": _Frame.load_const,
    "LOAD_SMALL_INT": lambda frame, number: frame.push(frame.nodes("constant", value=number)),
    **dict.fromkeys(("LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_FAST_BORROW"), _Frame.load_fast),
    **dict.fromkeys(("LOAD_FAST_LOAD_FAST", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"), _Frame.load_two),
    "STORE_FAST": _Frame.store_fast,
    "STORE_FAST_LOAD_FAST": _Frame.store_load,
    "STORE_FAST_STORE_FAST": _Frame.store_two,
    "DELETE_FAST": _Frame.delete_fast,
    "LOAD_GLOBAL": _Frame.load_global,
    "MAKE_CELL": _Frame.make_cell,
    "COPY_FREE_VARS": _Frame.copy_free_variables,
    "LOAD_CLOSURE": _Frame.load_closure,
    "LOAD_DEREF": _Frame.load_deref,
    "STORE_DEREF": _Frame.store_deref,
    "LOAD_ATTR": _Frame.load_attr,
    "LOAD_METHOD": _Frame.load_method,
    "BINARY_OP": _Frame.binary_op,
    "COMPARE_OP": _Frame.compare,
    "IS_OP": lambda frame, inverted: frame.binary("is not" if inverted else "is"),
    "CONTAINS_OP": lambda frame, inverted: frame.binary("not in" if inverted else "in"),
    "BINARY_SUBSCR": _Frame.subscript,
    "BINARY_SLICE": _Frame.binary_slice,
    "BUILD_SLICE": _Frame.build_slice,
    **{f"SLICE+{bits}": partial(_Frame.slice_item, bits=bits) for bits in range(4)},
    "BUILD_TUPLE": lambda frame, count: frame.build("tuple", count),
    "BUILD_LIST": lambda frame, count: frame.build("list", count),
    "LIST_APPEND": _Frame.append,
    "LIST_EXTEND": _Frame.extend,
    "LIST_TO_TUPLE": _Frame.list_to_tuple,
    "BUILD_LIST_UNPACK": lambda frame, count: frame.unpacked("list", count),
    "BUILD_TUPLE_UNPACK": lambda frame, count: frame.unpacked("tuple", count),
    "BUILD_TUPLE_UNPACK_WITH_CALL": lambda frame, count: frame.unpacked("tuple", count),
    "CALL_INTRINSIC_1": _Frame.intrinsic,
    "BUILD_MAP": _Frame.build_map,
    "STORE_MAP": _Frame.store_map,
    "BUILD_CONST_KEY_MAP": _Frame.build_const_key_map,
    **dict.fromkeys(("DICT_MERGE", "DICT_UPDATE"), _Frame.merge),
    "UNPACK_SEQUENCE": _Frame.unpack,
    **dict.fromkeys(("CALL_FUNCTION", "CALL_METHOD", "CALL"), _Frame.call),
    **dict.fromkeys(("CALL_FUNCTION_KW", "CALL_KW"), _Frame.call_named),
    "CALL_FUNCTION_EX": _Frame.call_unpacked,
    "KW_NAMES": _Frame.keyword_names,
    "MAKE_FUNCTION": _Frame.make_function,
    "MAKE_CLOSURE": _Frame.make_closure,
    "SET_FUNCTION_ATTRIBUTE": _Frame.set_function_attribute,
    "IMPORT_NAME": _Frame.import_name,
    "IMPORT_FROM": _Frame.import_from,
}
