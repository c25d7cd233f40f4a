"""The instructions of a code object, as names and arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from kerasgen.bytecode import opcodes
from kerasgen.bytecode.codeobject import Code, Malformed
from kerasgen.bytecode.opcodes import Version


class Instruction(NamedTuple):
    """An instruction; `argument` includes what EXTENDED_ARG puts before it, and is 0 where there is none."""

    name: str
    argument: int


def disassemble(code: Code) -> list[Instruction]:
    """The instructions of a function. Raises Malformed where they are none of its version."""
    return list(_by_word(code) if code.version >= (3, 6) else _by_byte(code))


def _by_byte(code: Code) -> Iterator[Instruction]:
    """Up to 3.5: one byte, and two for the argument if there is one."""
    names, limit = opcodes.names(code.version), opcodes.first_with_argument(code.version)
    data, position, extended = code.instructions, 0, 0
    while position < len(data):
        number, size = data[position], 3 if data[position] >= limit else 1
        argument = int.from_bytes(data[position + 1 : position + size], "little")
        if number not in names or position + size > len(data):
            raise Malformed(f"{number} is no instruction of Python {_text(code)}")
        position += size
        if names[number] == "EXTENDED_ARG":
            extended = _extended(extended, argument, 16)
            continue
        yield Instruction(names[number], extended | argument)
        extended = 0


def _by_word(code: Code) -> Iterator[Instruction]:
    """From 3.6 on: a byte and its argument; from 3.11 on some are followed by a cache, which is empty in a file."""
    rows = _rows(code.version)
    data, position, extended = code.instructions, 0, 0
    if len(data) % 2:
        raise Malformed("its instructions are cut off")
    while position < len(data):
        name, size, takes_argument = rows[data[position]]
        argument = data[position + 1]
        if not name:
            raise Malformed(f"{data[position]} is no instruction of Python {_text(code)}")
        position += 2
        if name == "EXTENDED_ARG":
            extended = _extended(extended, argument, 8)
            continue
        if size:
            if any(data[position : position + size]) or position + size > len(data):
                raise Malformed(f"the cache of {name} is not empty")
            position += size
        yield Instruction(name, extended | argument if takes_argument else 0)
        extended = 0


@cache
def _rows(version: Version) -> Sequence[tuple[str, int, bool]]:
    """For each number: the instruction, "" if there is none, the bytes of its cache, and whether it has an argument."""
    names, caches = opcodes.names(version), opcodes.caches(version)
    first = opcodes.first_with_argument(version)
    known = [names.get(number, "") for number in range(256)]
    return [("" if name == "CACHE" else name, 2 * caches.get(name, 0), i >= first) for i, name in enumerate(known)]


def _extended(extended: int, argument: int, bits: int) -> int:
    result = (extended | argument) << bits
    if result >> 31:
        raise Malformed("an argument of an instruction is too large")
    return result


def _text(code: Code) -> str:
    return ".".join(map(str, code.version))
