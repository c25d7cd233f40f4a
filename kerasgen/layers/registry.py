"""The table of rules: one for each Keras layer and operation, registered by a decorator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

RULES: dict[str, Callable[..., Any]] = {}


@dataclass(frozen=True)
class PackageRule:
    """A rule for the class of another package, and how to tell that class from others of its name.

    `registered` are the names under which the package registers its classes with Keras. A class that is not registered
    is known by the exact keys of its config: all of `keys`, and at most those and `optional`.
    """

    function: Callable[..., Any]
    registered: frozenset[str]
    keys: frozenset[str]
    optional: frozenset[str]

    def fits(self, package: str, config: Mapping[str, Any]) -> bool:
        """Whether a class of its name is the package's, by the package that it is registered for, "" if by none."""
        if package in self.registered:
            return True
        own = config.keys() - _EVERY_LAYERS
        return bool(self.keys) and package in ("", "Custom") and self.keys <= own <= self.keys | self.optional


_EVERY_LAYERS = {"name", "trainable", "dtype"}
PACKAGE_RULES: dict[str, list[PackageRule]] = {}
PACKAGE_ACTIVATIONS: dict[str, Callable[..., Any]] = {}  # by the name under which they are registered


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


def package_rule(
    kind: str, *, registered: str = "", keys: str = "", optional: str = ""
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the rule for a class of another package: see `PackageRule`; names are in one string."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        names = (frozenset(text.split()) for text in (registered, keys, optional))
        PACKAGE_RULES.setdefault(kind, []).append(PackageRule(function, *names))
        return function

    return register


def package_activation(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function of a layer and a value as the activation of these registered names."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        PACKAGE_ACTIVATIONS.update(dict.fromkeys(names, function))
        return function

    return register


def find_rule(kind: str, config: Mapping[str, Any], package: str = "") -> Callable[..., Any] | None:
    """The rule for a class, which may be another package's, registered with Keras for `package`.

    A rule that the user has entered comes first, one of Keras's last: some of its classes share their names.
    """
    own = RULES.get(kind)
    if own is not None and not own.__module__.startswith("kerasgen."):
        return own
    prefix, _, name = kind.rpartition(">")
    rules = (rule for rule in PACKAGE_RULES.get(name, ()) if rule.fits(prefix or package, config))
    return next((rule.function for rule in rules), own)


def families() -> dict[str, list[str]]:
    """The kinds that have a rule, sorted, by family: the title in the docstring of the rule's module."""
    table: dict[str, list[str]] = {}
    others = ((kind, rule.function) for kind, rules in PACKAGE_RULES.items() for rule in rules)
    for kind, function in sorted([*RULES.items(), *others], key=lambda item: item[0]):
        title = str(sys.modules[function.__module__].__doc__).partition(":")[0]
        table.setdefault(title, []).append(kind)
    return dict(sorted(table.items()))
