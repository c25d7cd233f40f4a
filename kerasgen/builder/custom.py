"""Functions of the user's own, for layers that kerasgen has no rule for: named by the user, never by a file."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.readers.model import leaves

Rules = Mapping[str, Callable[..., Any]]


def load(assignments: Iterable[str]) -> dict[str, Callable[..., Any]]:
    """The functions that `NAME=module:function` name, by NAME. Modules are looked for in the current folder, too.

    Raises UsageError where one is not of that form or cannot be had.
    """
    functions = {}
    for assignment in assignments:
        name, _, place = assignment.rpartition("=")
        module, _, function = place.partition(":")
        if not (name and module and function):
            raise UsageError(f"{assignment!a}: a custom layer is given as NAME=module:function")
        with _current_folder():
            try:
                functions[name] = getattr(importlib.import_module(module), function)
            except Exception as error:
                raise UsageError(f"{assignment!a}: {type(error).__name__}: {error}") from error
        if not inspect.isfunction(functions[name]):
            raise UsageError(f"{assignment!a}: is a {type(functions[name]).__name__}, not a function")
    return functions


@contextmanager
def _current_folder() -> Iterator[None]:
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def as_rule(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as a rule: itself if its first parameter is called `layer`, else the rule that calls it on arrays.

    Such a function becomes a kernel: it is given the arrays that the layer is called with, and those entries of the
    config's `arguments` (which a Lambda layer has) that it takes.
    """
    parameters = inspect.signature(function).parameters
    if next(iter(parameters), "") == "layer":
        return function

    def rule(layer: Layer, *args: Any, **kwargs: Any) -> Any:
        arguments = layer.config.get("arguments", None) or {}
        settings = {key: value for key, value in arguments.items() if key in parameters}
        made = layer.emit_many(function, *leaves((args, kwargs), Value), **settings)
        return made if len(made) > 1 else made[0]

    return rule
