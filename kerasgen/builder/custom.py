"""The user's own functions for layers that kerasgen has no rule for; named by the user, never by a file."""

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
    """The functions of `NAME=module:function` assignments, by NAME. Modules may also be in the current folder.

    Raises UsageError if an assignment is malformed or its function cannot be imported.
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
    """A function as a rule: itself if its first parameter is called `layer`, else a rule that calls it on arrays.

    Such a function becomes a kernel: it receives the arrays that the layer is called with, and the entries of the
    config's `arguments` (of a Lambda layer) that it accepts.
    """
    parameters = inspect.signature(function).parameters
    if next(iter(parameters), "") == "layer":
        return function

    def rule(layer: Layer, *args: Any, **kwargs: Any) -> Any:
        arguments = layer.config.get("arguments", None) or {}
        settings = {key: value for key, value in arguments.items() if key in parameters}
        outputs = layer.emit_many(function, *leaves((args, kwargs), Value), **settings)
        return outputs if len(outputs) > 1 else outputs[0]

    return rule
