"""The one sanitiser: text of a model becomes a Python identifier, or it does not reach the output at all."""

from __future__ import annotations

import builtins
import keyword
import os
import re
import sys
import unicodedata
from collections.abc import Container, Iterable
from pathlib import PurePath
from typing import Any

LONGEST = 80  # characters of a model's name that are kept
PYTHON = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins)])  # what a variable should not be called

# What every module defines; `x` is the name of a value that only the next line reads.
RESERVED = frozenset(
    "np math x W MODEL VERIFIED EXPORT INPUTS OUTPUTS STATES SELFTEST predict activations reset_states main MARKER "
    "EmbeddedFile read_embedded read_sidecar hashed make_input input_noise input_waves factors weighted_sum numbers "
    "watch selftest same_calls difference blas save_arrays".split()
)


def identifier(text: str) -> str:
    """An ASCII identifier that resembles `text`: accents dropped, all else than letters, digits and `_` replaced."""
    plain = unicodedata.normalize("NFKD", text[: 4 * LONGEST]).encode("ascii", "ignore").decode()
    name = re.sub(r"\W+", "_", plain)[:LONGEST].strip("_") or "layer"
    return f"layer_{name}" if name[0].isdigit() else name


def is_identifier(name: str) -> bool:
    """Whether a name may stand in the output."""
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def printable(text: str) -> str:
    """The text on one line, with everything escaped that a terminal would act on."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def module_name(source: Any) -> str:
    """The name of the file for a model's module: an identifier that hides no module of Python or NumPy.

    `source` is the path of the model, or a live model, which has a name of its own.
    """
    is_path = isinstance(source, (str, os.PathLike))
    stem = PurePath(source).stem if is_path else str(getattr(source, "name", "model"))
    return f"{Namespace([*PYTHON, *sys.stdlib_module_names, 'numpy']).new(stem)}.py"


def path_name(path: Iterable[str]) -> str:
    """One name for the path of names to a layer; a name that begins with its model's need not be told that again."""
    name = ""
    for part in path:
        name = part if part.startswith(name) else f"{name}_{part}"
    return name


def snake_case(kind: str) -> str:
    """The name of a class as Keras spells it in paths."""
    name = re.sub(r"\W+", "", kind.rpartition(">")[2])
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def unused(name: str, taken: Container[str]) -> str:
    """This name for a new weight or value, or one like it where it is taken."""
    while name in taken:
        name += "_folded"
    return name


class Namespace:
    """Hands out identifiers, each once. `reserved` are taken; `wanted` are given only to those who ask for them."""

    def __init__(self, reserved: Iterable[str] = (), wanted: Iterable[str] = ()) -> None:
        self._taken = set(reserved)
        self._wanted = set(wanted)
        self._counts: dict[str, int] = {}  # up to which numbers are taken, by what they follow

    def new(self, text: str) -> str:
        """An unused identifier made from `text`; a number is added where it is taken."""
        stem = name = identifier(text)
        count = self._counts.get(stem, 1)
        while name in self._taken or (count > 1 and name in self._wanted):
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        self._counts[stem] = count
        return name
