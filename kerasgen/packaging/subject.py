"""The module that a package is made of, and the files that are rendered from what it says of itself."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import black
import jinja2

from kerasgen.emit.target import NUMPY
from kerasgen.emit.templates import TEMPLATES

# What a module may have for its callers, in the order of the module.
PUBLIC = (
    "MODEL VERIFIED EXPORT INPUTS OUTPUTS LABELS TRAINABLE STATES OPTIMIZER predict classify preprocess activations "
    "reset_states forward backward train_step save_weights load_weights saliency integrated_gradients grad_cam"
).split()
FLOATS = ("float16", "float32", "float64")


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
        """What the module has for its callers."""
        return [name for name in PUBLIC if hasattr(self.loaded, name)]

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

    def signatures(self) -> Iterator[str]:
        """The public functions, each as a stub file declares it."""
        for name in self.public:
            function = getattr(self.loaded, name)
            if inspect.isfunction(function):
                parameters = inspect.signature(function).parameters.values()
                kind = "ArrayLike" if name == "predict" else "Any"
                declared = ", ".join(_declared(parameter, kind) for parameter in parameters)
                yield f"def {name}({declared}) -> {self._returned() if name == 'predict' else 'Any'}: ..."

    def _returned(self) -> str:
        """The type of what `predict` returns."""
        types = [f"NDArray[np.{dtype}]" if dtype in FLOATS else "NDArray[Any]" for _, _, dtype in self.loaded.OUTPUTS]
        tree = ast.parse(self.file.read_bytes()).body
        (predict,) = (node for node in tree if isinstance(node, ast.FunctionDef) and node.name == "predict")
        if isinstance(predict.body[-1], ast.Return) and isinstance(predict.body[-1].value, ast.Dict):
            return "dict[str, NDArray[Any]]"
        return types[0] if len(types) == 1 else f"tuple[{', '.join(types)}]"


def _declared(parameter: inspect.Parameter, kind: str) -> str:
    stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
    return f"{stars}{parameter.name}: {kind}{'' if parameter.default is parameter.empty else ' = ...'}"


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
