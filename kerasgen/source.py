"""The source text of functions, and of all that they need, for copying into a module."""

from __future__ import annotations

import ast
import dis
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from types import CodeType, ModuleType
from typing import Any

# Packages whose functions are copied; everything else is imported or built in.
OURS = ("kerasgen.kernels", "kerasgen.runtime")


def is_ours(thing: Any) -> bool:
    """Whether a function or class is one whose source is copied."""
    return getattr(thing, "__module__", "").startswith(OURS)


def collect(functions: Iterable[Callable[..., Any]]) -> tuple[list[str], list[str]]:
    """Import lines and source blocks of these functions and of what they call, each once.

    A function is followed by the helpers that it is the first to use, a constant precedes its first user.
    """
    imports: set[str] = set()
    blocks: dict[str, str] = {}
    for function in functions:
        _collect(function, imports, blocks)
    return sorted(imports, key=lambda line: (line == "import numpy as np", line)), list(blocks.values())


def _collect(thing: Any, imports: set[str], blocks: dict[str, str]) -> None:
    if thing.__name__ in blocks:
        return
    scope = inspect.getmodule(thing)
    assert scope is not None
    used = [(name, getattr(scope, name)) for name in _names(thing) if hasattr(scope, name)]
    for name, value in used:
        if isinstance(value, ModuleType):
            imports.add(f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else ""))
        elif not callable(value):
            blocks.setdefault(name, _constants(scope)[name])
    blocks[thing.__name__] = inspect.getsource(thing).rstrip()
    for _, value in used:
        if callable(value) and is_ours(value):
            _collect(value, imports, blocks)


def _names(thing: Any) -> list[str]:
    """The global names that a function or the methods of a class mention, in the order of the text."""
    if inspect.isclass(thing):
        bases = [base.__module__.lstrip("_").split(".")[0] for base in thing.__bases__]
        return bases + [
            name for member in vars(thing).values() if inspect.isfunction(member) for name in _names(member)
        ]
    return list(dict.fromkeys(_code_names(inspect.unwrap(thing).__code__)))


def _code_names(code: CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_names(constant)


@cache
def _constants(scope: ModuleType) -> dict[str, str]:
    """The source of each assignment at the top of a module."""
    text = inspect.getsource(scope)
    return {
        target.id: ast.get_source_segment(text, node) or ""
        for node in ast.parse(text).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
