"""What is unsupported in a model, one line for each reason."""

from __future__ import annotations

from collections.abc import Iterable

_MOST = 10  # names in one line


def summarized(problems: Iterable[tuple[str, str, str]]) -> tuple[str, ...]:
    """The problems of layers, given by name, kind and text; layers of one kind that share a text share a line.

    A text may name its layer, in the advice to give a function for it; the line then gives that advice for each.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for name, kind, text in problems:
        groups.setdefault((kind, text.replace(_advice(name), _advice(""))), []).append(name)
    return tuple(
        f"{_listed(names)} ({kind}): {text.replace(_advice(''), ', '.join(map(_advice, names[:_MOST])))}"
        for (kind, text), names in groups.items()
    )


def _advice(name: str) -> str:
    return f"`custom={{{name!r}: function}}`"


def _listed(names: list[str]) -> str:
    more = len(names) - _MOST
    return f"{', '.join(names[:_MOST])} and {more} more" if more > 0 else ", ".join(names)
