"""The table of rules: one for each Keras layer and operation, registered by a decorator."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

RULES: dict[str, Callable[..., Any]] = {}


def rule(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the rule for these Keras classes; an operation's name is prefixed, as in "ops.Add".

    The function is called with the `Layer` and the arguments of the Keras call, tensors as `Value`s; it emits nodes and
    returns the values that Keras would return. A second rule for a name raises ValueError.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for kind in kinds:
            if kind in RULES:
                raise ValueError(f"there is a rule for {kind} already")
            RULES[kind] = function
        return function

    return register


def families() -> dict[str, list[str]]:
    """The kinds that have a rule, sorted, by family: the title in the docstring of the rule's module."""
    table: dict[str, list[str]] = {}
    for kind, function in sorted(RULES.items()):
        title = str(sys.modules[function.__module__].__doc__).partition(":")[0]
        table.setdefault(title, []).append(kind)
    return dict(sorted(table.items()))
