"""What a module needs to find the fastest kernel for each layer: `python model.py --tune FILE`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from kerasgen.graph.facts import is_copied
from kerasgen.graph.ir import Shape

Way = tuple[Callable[..., Any], tuple[Shape | None, ...], Mapping[str, Any]]  # kernel, shapes, settings
Work = tuple[str, tuple[str, ...], Mapping[str, Way]]  # what it computes, its layers, the ways by name, default first


def called_by(works: Sequence[Work]) -> Iterator[Callable[..., Any]]:
    """The functions that the ways to compute these works call."""
    for _, _, ways in works:
        for kernel, _, settings in ways.values():
            yield kernel
            yield from filter(is_copied, settings.values())
