"""How Python writes functions that it has operators for: `a + b` instead of `np.add(a, b)`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def infix(sign: str) -> Callable[..., str]:
    """The writer of a binary operator."""

    def write(a: str, b: str) -> str:
        if sign in "+-" and b.startswith("-"):  # x + -1.0
            return f"{a} {'-' if sign == '+' else '+'} {b[1:]}"
        return f"{a} {sign} {b}"

    return write


def subscript(x: str, *, index: tuple[Any, ...]) -> str:
    """`x[1:, ..., 0]`."""

    def item(part: Any) -> str:
        if not isinstance(part, slice):
            return "..." if part is Ellipsis else str(part)
        limits = ["" if limit is None else str(limit) for limit in (part.start, part.stop)]
        return ":".join(limits if part.step is None else [*limits, str(part.step)])

    return f"{x}[{', '.join(map(item, index))}]"
