"""`predict` of a generated module with other code around its lines: a timer, say, or a recorder of values."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Line(NamedTuple):
    """A statement of `predict` that computes values: its text, and the names that it assigns, none for a return.

    It is in the lines `first` to `last` of the module.
    """

    text: str
    names: tuple[str, ...]
    first: int
    last: int


def parse_predict(source: str | bytes, name: str = "predict") -> ast.FunctionDef:
    """The function `predict` of a module, or another one; one without lines if the module has none."""
    functions = ast.parse(source).body
    empty = ast.FunctionDef(name, ast.arguments([], [], None, [], [], None, []), [], [])
    return next((node for node in functions if isinstance(node, ast.FunctionDef) and node.name == name), empty)


def value_lines(predict: ast.FunctionDef) -> Iterator[Line]:
    """The lines that compute values; the statement that splits a large batch is none."""
    for statement in predict.body:
        if isinstance(statement, (ast.Assign, ast.Return)):
            names = targets(statement) if isinstance(statement, ast.Assign) else ()
            yield Line(ast.unparse(statement), names, statement.lineno, statement.end_lineno or statement.lineno)


def targets(statement: ast.Assign) -> tuple[str, ...]:
    """The names that an assignment gives values."""
    return tuple(n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name))


def instrument(
    predict: ast.FunctionDef,
    scope: Mapping[str, Any],
    replace: Callable[[int, Any], Sequence[ast.stmt]],
    *,
    split: bool = True,
) -> Callable[..., Any]:
    """The function with other statements in place of its lines: `replace(number, statement)` gives those of a line.

    `scope` is what it and they can name. Without `split`, it takes a large batch at once.
    """
    function, number = copy.deepcopy(predict), 0
    body: list[ast.stmt] = []
    for statement in function.body:
        if isinstance(statement, (ast.Assign, ast.Return)):
            body += replace(number, statement)
            number += 1
        elif split or not isinstance(statement, ast.If):
            body.append(statement)
    function.body = body
    names = dict(scope)
    exec(compile(ast.fix_missing_locations(ast.Module([function], [])), "<predict>", "exec"), names)
    instrumented: Callable[..., Any] = names[predict.name]
    return instrumented
