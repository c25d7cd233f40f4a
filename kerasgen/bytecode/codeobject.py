"""Code objects from the bytes that `marshal` writes, read as data: nothing of them is run, and everything is bounded.

`marshal.loads` is not for data from others, as its documentation says, and reads the format of its own Python alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kerasgen.bytecode.opcodes import Version
from kerasgen.errors import InvalidModelError

MOST_BYTES = 1 << 16
MOST_OBJECTS = 1 << 14
DEEPEST = 16  # objects in each other: the constants of a function are far below
MOST_DIGITS = 5  # of 15 bits, in an integer
VARIABLE_ARGUMENTS, KEYWORD_ARGUMENTS = 0x04, 0x08  # flags of code objects
SUSPENDED = 0x20 | 0x80 | 0x100 | 0x200  # generators and coroutines
REFERENCED = 0x80  # the flag of an object that a later one may refer to
_LAYOUTS: tuple[Version, ...] = ((2, 7), (3, 4), (3, 8), (3, 11))
_LOCAL, _CELL, _FREE = 0x20, 0x40, 0x80  # kinds of variables from 3.11 on


class Malformed(InvalidModelError):
    """The bytes are not what this version of Python writes."""


@dataclass(frozen=True)
class Code:
    """A function's code. `variables` are its arguments and locals, then its cells, then its free variables.

    `since` is the first version that writes all the constants in it.
    """

    version: Version
    since: Version
    name: str
    positional: int
    keyword_only: int
    flags: int
    stack_size: int
    instructions: bytes
    constants: tuple[Any, ...]
    names: tuple[str, ...]
    variables: tuple[str, ...]
    cells: tuple[int, ...]  # the numbers of variables that nested functions read; up to 3.10
    locals_count: int
    free_count: int
    has_handlers: bool

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the arguments, those that are given by keyword alone at the end."""
        return self.variables[: self.positional + self.keyword_only]


class Bytes(bytes):
    """A string of bytes; what Python 2 calls a string."""


class Frozenset(tuple[Any, ...]):
    """The elements of a set among the constants of a function."""

    __slots__ = ()


def load(data: bytes, version: Version) -> Code:
    """The code object in the bytes that this version wrote, or another of its layout. Raises Malformed if none did."""
    if len(data) > MOST_BYTES:
        raise InvalidModelError(f"its code has {len(data)} bytes, which no function of a layer has")
    reader = _Reader(data, version)
    code = reader.object()
    if not isinstance(code, Code):
        raise Malformed("its bytes are no code object")
    if reader.position != len(data):
        raise Malformed(f"{len(data) - reader.position} bytes are left after its code")
    return code


def layout(version: Version) -> Version:
    """The first version that writes code objects as this one does."""
    return max(first for first in _LAYOUTS if first <= version)


def as_of(code: Code, version: Version) -> Code:
    """A code object as another version of the same layout has it. Raises Malformed if that does not write it."""
    if version < code.since:
        raise Malformed(f"its code holds a constant that Python writes from {'.'.join(map(str, code.since))} on")
    if version == code.version:
        return code
    constants = tuple(as_of(each, version) if isinstance(each, Code) else each for each in code.constants)
    return replace(code, version=version, constants=constants)


class _Reader:
    def __init__(self, data: bytes, version: Version) -> None:
        self.data = data
        self.version = version
        self.since: Version = (2, 7)
        self.position = 0
        self.count = 0
        self.depth = 0
        self.references: list[Any] = []
        self.extents: dict[int, tuple[int, int]] = {}  # of a tuple, by its id: all that is in it, and how deep
        self.interned: list[str] = []  # strings of Python 2

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if not 0 <= size <= len(self.data) - self.position:
            raise Malformed("its code is cut off")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, form: str) -> Any:
        """The next number, in a format of `struct`."""
        if form == "<i":  # most of them
            return int.from_bytes(self.take(4), "little", signed=True)
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def object(self) -> Any:
        """The next object."""
        self.count += 1
        if self.count > MOST_OBJECTS or self.depth > DEEPEST:
            raise Malformed("its code holds too many objects, or too many in each other")
        kind = self.take(1)[0]
        referenced = bool(kind & REFERENCED) and self.version >= (3, 4)
        letter = chr(kind & ~REFERENCED if referenced else kind)
        if letter not in _FORMS:
            raise Malformed(f"its code holds an object of the kind {letter!a}")
        index = len(self.references)
        if referenced:
            self.references.append(_UNREAD)
        self.depth += 1
        value = _FORMS[letter](self)
        self.depth -= 1
        if referenced:
            self.references[index] = value
        return value

    def reference(self) -> Any:
        """An object that was read before."""
        index = self.number("<i")
        if not 0 <= index < len(self.references) or self.references[index] is _UNREAD:
            raise Malformed("its code refers to an object that it does not have")
        return self.references[index]

    def interned_reference(self) -> str:
        """A string of Python 2 that was read before."""
        index: int = self.number("<i")
        if not 0 <= index < len(self.interned):
            raise Malformed("its code refers to a string that it does not have")
        return self.interned[index]

    def interned_text(self) -> Any:
        """A string that Python keeps once; Python 2 numbers them, and they are bytes."""
        if self.version >= (3, 4):
            return self.text("<i")
        text = _ascii(self.take(self.number("<i")))
        self.interned.append(text)
        return text

    def string(self) -> Any:
        """Bytes; in Python 2, a string."""
        data = self.take(self.number("<i"))
        return Bytes(data)

    def text(self, form: str) -> str:
        """A string, its size in this format."""
        try:
            return str(self.take(self.number(form)), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise Malformed("a string in its code is no UTF-8") from error

    def short_ascii(self, form: str) -> str:
        """A string of ASCII characters; a byte beyond means Latin-1."""
        return str(self.take(self.number(form)), "latin-1")

    def sequence(self, form: str) -> tuple[Any, ...]:
        """A tuple."""
        size = self.number(form)
        if not 0 <= size <= len(self.data) - self.position:  # each object takes a byte
            raise Malformed("its code is cut off")
        return self.bounded(tuple(self.object() for _ in range(size)))

    def bounded(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        """A tuple, unless there is too much in it: by references, a few bytes make a tuple of any size."""
        extents = [self.extents.get(id(item), (1, 0)) for item in items]
        total, deepest = sum(size for size, _ in extents), max((depth for _, depth in extents), default=0)
        if total > MOST_OBJECTS or deepest >= DEEPEST:
            raise Malformed("a constant in its code is too large")
        self.extents[id(items)] = total + 1, deepest + 1
        return items

    def integer(self) -> int:
        """An integer of any size, in digits of 15 bits."""
        size = self.number("<i")
        if abs(size) > MOST_DIGITS:
            raise Malformed(f"its code holds an integer of {abs(size)} digits")
        digits: list[int] = [self.number("<H") for _ in range(abs(size))]
        if any(digit >> 15 for digit in digits):
            raise Malformed("its code holds a malformed integer")
        value = sum(digit << (15 * place) for place, digit in enumerate(digits))
        return value if size > 0 else -value

    def written_float(self) -> float:
        """A float in decimal digits, as old versions write it."""
        try:
            return float(self.take(self.number("B")).decode("ascii"))
        except ValueError as error:
            raise Malformed("its code holds a malformed number") from error

    def slice(self) -> slice:
        """A constant slice, from 3.14 on."""
        if layout(self.version) < (3, 11):
            raise Malformed("its code holds a slice")
        self.since = (3, 14)
        return slice(self.object(), self.object(), self.object())

    def code(self) -> Code:
        """A code object, in the layout of the version."""
        version = self.version
        positional = self.number("<i")
        without_keyword = self.number("<i") if version >= (3, 8) else 0
        keyword_only = self.number("<i") if version >= (3, 4) else 0
        locals_count = self.number("<i") if version < (3, 11) else 0
        stack_size, flags = self.number("<i"), self.number("<i")
        arguments = positional + keyword_only
        if min(positional - without_keyword, without_keyword, keyword_only) < 0 or (
            version < (3, 11) and arguments > locals_count
        ):
            raise Malformed("it has more arguments than variables")  # of another layout: the common case, seen early
        instructions = self.object()
        if not isinstance(instructions, Bytes) or stack_size < 0 or flags < 0:
            raise Malformed("its code object has other parts")
        constants, names = self.object(), self.object()
        cells: tuple[int, ...] = ()
        if version >= (3, 11):
            variables, kinds = self.object(), self.object()
            if not isinstance(kinds, Bytes) or not isinstance(variables, tuple) or len(kinds) != len(variables):
                raise Malformed("its variables have no kinds")
            locals_count = sum(bool(kind & _LOCAL) for kind in kinds)
            free_count = sum(bool(kind & _FREE) for kind in kinds)
        else:
            own, free, shared = self.object(), self.object(), self.object()
            if not all(isinstance(item, tuple) for item in (own, free, shared)) or len(own) != locals_count:
                raise Malformed("its variables are no names")
            variables, free_count = (*own, *shared, *free), len(free)
            cells = tuple(range(len(own), len(own) + len(shared)))
        file, name = self.object(), self.object()
        qualified = self.object() if version >= (3, 11) else name
        self.number("<i")  # the first line
        lines = self.object()
        handlers = self.object() if version >= (3, 11) else b""
        lists = isinstance(names, tuple) and isinstance(variables, tuple)
        texts = (*names, *variables, file, qualified, name) if lists else (None,)
        texts = tuple(_ascii(text) if isinstance(text, Bytes) and version < (3, 0) else text for text in texts)
        tables = isinstance(lines, bytes if version >= (3, 4) else (bytes, str)) and isinstance(handlers, bytes)
        if not isinstance(constants, tuple) or not tables:
            raise Malformed("its code object has other parts")
        if not all(isinstance(text, str) for text in texts):
            raise Malformed("its names are no strings")
        if not arguments <= locals_count <= len(variables):
            raise Malformed("it has more arguments than variables")
        return Code(
            version=version,
            since=self.since,
            name=str(texts[-1]),
            positional=positional,
            keyword_only=keyword_only,
            flags=flags,
            stack_size=stack_size,
            instructions=bytes(instructions),
            constants=constants,
            names=texts[: len(names)],
            variables=texts[len(names) : -3],
            cells=cells,
            locals_count=locals_count,
            free_count=free_count,
            has_handlers=bool(handlers),
        )


def _ascii(data: bytes) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise Malformed("a name in its code is no ASCII") from error


_UNREAD = object()
_FORMS: dict[str, Callable[[_Reader], Any]] = {
    "N": lambda reader: None,
    "F": lambda reader: False,
    "T": lambda reader: True,
    ".": lambda reader: ...,
    "i": lambda reader: reader.number("<i"),
    "I": lambda reader: reader.number("<q"),
    "l": _Reader.integer,
    "f": _Reader.written_float,
    "g": lambda reader: reader.number("<d"),
    "x": lambda reader: complex(reader.written_float(), reader.written_float()),
    "y": lambda reader: complex(reader.number("<d"), reader.number("<d")),
    "s": _Reader.string,
    "t": _Reader.interned_text,
    "R": _Reader.interned_reference,
    "u": lambda reader: reader.text("<i"),
    "a": lambda reader: reader.short_ascii("<i"),
    "A": lambda reader: reader.short_ascii("<i"),
    "z": lambda reader: reader.short_ascii("B"),
    "Z": lambda reader: reader.short_ascii("B"),
    "(": lambda reader: reader.sequence("<i"),
    ")": lambda reader: reader.sequence("B"),
    ">": lambda reader: Frozenset(reader.sequence("<i")),
    "r": _Reader.reference,
    ":": _Reader.slice,
    "c": _Reader.code,
}
