"""The source of functions and of everything they need, for copying into a module."""

from __future__ import annotations

import ast
import dis
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import CodeType, ModuleType
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.graph.facts import is_copied


def collect(functions: Iterable[Callable[..., Any]]) -> tuple[list[str], dict[str, str]]:
    """Import lines, and source blocks by name, of these functions and everything they call.

    A function is followed by the helpers that it is the first to use, and preceded by its decorators. A constant
    precedes its first user and follows the functions that compute it.

    Raises UsageError where a user's function cannot be copied into a module.
    """
    imports: set[str] = set()
    things: dict[str, Any] = {}
    blocks: dict[str, str] = {}
    for function in functions:
        _collect(function, imports, things, blocks)
    return sorted(imports), blocks


def _collect(thing: Any, imports: set[str], things: dict[str, Any], blocks: dict[str, str]) -> None:
    name = thing.__name__
    if things.setdefault(name, thing) is not thing:
        raise UsageError(f"two functions are called {name}, in {things[name].__module__} and {thing.__module__}")
    if name in blocks:
        return
    scope = sys.modules[thing.__module__]
    if name not in vars(scope) or vars(scope)[name] is not thing:
        raise UsageError(f"{name} of {thing.__module__} must be defined at the top of its module, to be copied")
    used = {name: getattr(scope, name) for name in _names(thing) if hasattr(scope, name)}
    for key, value in used.items():
        home = sys.modules[_imported(scope).get(key, scope.__name__)]
        if isinstance(value, ModuleType):
            imports.add(_import(value.__name__, key))
        elif not callable(value) or _is_chosen(key, home):
            text = _constants(home)[key]
            for mentioned in _mentioned(text):
                other: Any = getattr(home, mentioned, None)
                if isinstance(other, ModuleType):
                    imports.add(_import(other.__name__, mentioned))
                elif is_copied(other) and things.get(other.__name__) is not other:
                    _collect(other, imports, things, blocks)
            blocks.setdefault(key, text)
        elif not is_copied(value):
            imports.add(f"from {value.__module__} import {value.__name__}")
    for key in _decorators(_definition(thing)):
        if is_copied(used.get(key)):
            _collect(used[key], imports, things, blocks)
    blocks[name] = _text(thing)
    for value in used.values():
        if is_copied(value):
            _collect(value, imports, things, blocks)


def _import(module: str, name: str) -> str:
    if module.partition(".")[0] not in ("numpy", *sys.stdlib_module_names):
        raise UsageError(f"a module may import NumPy and the standard library, not {module}")
    return f"import {module}" + (f" as {name}" if name != module else "")


def _source(scope: ModuleType) -> str:
    """The source of a module as it is now, since users may change theirs and reload it."""
    return _own_source(scope) if scope.__name__.startswith("kerasgen.") else inspect.getsource(scope)


_own_source = cache(inspect.getsource)
_parsed = cache(ast.parse)


@cache
def _definition(thing: Any) -> ast.FunctionDef | ast.ClassDef:
    """The statement that defines a function or class at the top of its module."""
    for node in reversed(_parsed(_source(sys.modules[thing.__module__])).body):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == thing.__name__:
            return node
    raise UsageError(f"{thing.__name__} of {thing.__module__} must be defined at the top of its module, to be copied")


@cache
def _text(thing: Any) -> str:
    """The source of a function or class."""
    definition = _definition(thing)
    first = min(node.lineno for node in (definition, *definition.decorator_list))
    return _lines(_source(sys.modules[thing.__module__]), first, definition.end_lineno)


def _lines(text: str, first: int, last: int | None) -> str:
    """The lines of a text from `first` to `last`, counted from 1."""
    return "\n".join(text.split("\n")[first - 1 : last])


@cache
def _mentioned(text: str) -> tuple[str, ...]:
    """The names in a piece of source."""
    return tuple(node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name))


def _decorators(definition: ast.FunctionDef | ast.ClassDef) -> Iterator[str]:
    """The names that the decorators of a function or class mention."""
    for decorator in definition.decorator_list:
        yield from (node.id for node in ast.walk(decorator) if isinstance(node, ast.Name))


@cache
def _names(thing: Any) -> tuple[str, ...]:
    """The global names that a function or the methods of a class mention, in the order of the text."""
    definition = _definition(thing)
    if isinstance(definition, ast.FunctionDef):
        return tuple(dict.fromkeys(_function_names(thing, definition)))
    names = [base.__module__.lstrip("_").split(".")[0] for base in thing.__bases__]
    for method in definition.body:
        if isinstance(method, ast.FunctionDef) and inspect.isfunction(vars(thing)[method.name]):
            names += _function_names(vars(thing)[method.name], method)
    return tuple(dict.fromkeys(names))


def _function_names(function: Any, definition: ast.FunctionDef) -> Iterator[str]:
    """Those of the decorators and of the defaults, then those of the body."""
    yield from _decorators(definition)
    for default in (*definition.args.defaults, *definition.args.kw_defaults):
        if default is not None:
            yield from (node.id for node in ast.walk(default) if isinstance(node, ast.Name))
    yield from _code_names(inspect.unwrap(function).__code__)


def _code_names(code: CodeType) -> Iterator[str]:
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_names(constant)


def _is_chosen(name: str, home: ModuleType) -> bool:
    """Whether a function of ours is one of several, chosen when the module is loaded."""
    return home.__name__.startswith("kerasgen.") and name in _constants(home)


def _imported(scope: ModuleType) -> Mapping[str, str]:
    """The module that each name comes from which a module imports by `from`."""
    return _imports(_source(scope))


@cache
def _imports(text: str) -> Mapping[str, str]:
    imports = (node for node in _parsed(text).body if isinstance(node, ast.ImportFrom))
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def _constants(scope: ModuleType) -> Mapping[str, str]:
    """The source of each assignment at the top of a module, with a comment behind it."""
    return _assignments(_source(scope))


@cache
def _assignments(text: str) -> Mapping[str, str]:
    return {
        target.id: _lines(text, node.lineno, node.end_lineno)
        for node in _parsed(text).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
