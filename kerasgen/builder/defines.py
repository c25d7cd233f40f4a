"""The user's values for globals of a training script that functions in the file read."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from typing import Any

from kerasgen.errors import UsageError


def load(assignments: Iterable[str]) -> dict[str, Any]:
    """The values of `NAME=LITERAL` assignments, by NAME. Raises UsageError."""
    values = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        try:
            values[name] = ast.literal_eval(text.strip())
        except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
            raise UsageError(f"{assignment!a}: a global is given as NAME=LITERAL, as in IMG_SIZE=64") from error
    return dict(check(values))


def check(defines: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The values. Raises UsageError unless they are numbers, texts, None or tuples or lists of them, by a name."""
    for name, value in (defines or {}).items():
        if not isinstance(name, str) or not name.isidentifier() or not _is_plain(value):
            raise UsageError(f"{name!a}: a global has a name, and is a number, a text, or a tuple or list of these")
    return defines or {}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))
