"""The one sanitiser: text of a model becomes a Python identifier, or it does not reach the output at all."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterable

LONGEST = 80  # characters of a model's name that are kept


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


class Namespace:
    """Hands out identifiers, each once; never a keyword, a builtin or a reserved name."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *reserved}

    def new(self, text: str) -> str:
        """An unused identifier made from `text`; a number is added where it is taken."""
        stem = name = identifier(text)
        count = 1
        while name in self._taken:
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        return name
