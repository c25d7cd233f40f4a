"""The module that a package is made of, and the files that are rendered from what it says of itself."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import black
import jinja2

from kerasgen.emit.target import NUMPY
from kerasgen.emit.templates import TEMPLATES

FACTS = ("MODEL", "VERIFIED", "EXPORT")  # what a module says of itself


@dataclass(frozen=True)
class Subject:
    """An exported module: the package's `name`, the `module`'s name, its `file` with the weights beside it.

    `loaded` is the module itself; `unverified` says why it was not compared with Keras, or "".
    """

    name: str
    module: str
    file: Path
    loaded: ModuleType
    unverified: str

    @property
    def sidecar(self) -> Path:
        """The file with the weights."""
        return self.file.with_suffix(".npz")

    @property
    def files(self) -> dict[str, Path]:
        """Module and weights by file name."""
        return {path.name: path for path in (self.file, self.sidecar)}

    @property
    def public(self) -> list[str]:
        """What the module has for its callers, and what it says of itself."""
        return [*FACTS, *self.loaded.__all__]

    @property
    def entry(self) -> ast.Call:
        """The call that runs the module as a program, which is its last line."""
        last = ast.parse(self.file.read_bytes()).body[-1]
        assert isinstance(last, ast.If)
        (statement,) = last.body
        assert isinstance(statement, ast.Expr)
        assert isinstance(statement.value, ast.Call)
        return statement.value

    def program(self, imported: str, command: str) -> bytes:
        """A __main__.py that runs the module `imported`; `command` is how a shell starts it."""
        names = sorted({node.id for node in ast.walk(self.entry) if isinstance(node, ast.Name)})
        call = ast.unparse(self.entry)
        return python("entry.py.jinja", subject=self, imported=imported, command=command, names=names, call=call)

    @property
    def arguments(self) -> str:
        """A file for each input, as a shell takes them."""
        return " ".join(f"{name}.npy" for name, _, _ in self.loaded.INPUTS)


def rendered(template: str, **values: Any) -> bytes:
    """A file of a package, from its template in templates/package; only HTML is escaped."""
    return _environment().get_template(f"package/{template}").render(**values).encode()


def python(template: str, **values: Any) -> bytes:
    """The same for Python, formatted as modules are."""
    return black.format_str(rendered(template, **values).decode(), mode=NUMPY.style).encode()


def plain(*names: str) -> bytes:
    """Files of templates/ as they are, one after the other."""
    loader = _environment().loader
    assert loader is not None
    return "".join(loader.get_source(_environment(), name)[0] for name in names).encode()


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=lambda name: name is not None and ".html" in name,
    )
