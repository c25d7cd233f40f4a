"""Replaces the bytecode of a Lambda, for Keras, by the expression read from it, made of Keras's own operations.

So Keras never runs code from a file unless the user asks for it. The comparison then says nothing about whether the
bytecode was read correctly, only about what was made of it.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import marshal
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

import numpy as np

from kerasgen.bytecode import Expression, expression
from kerasgen.bytecode.stored import Stored, arguments, code_of, stored
from kerasgen.errors import KerasgenError, ParityError, UnsupportedModelError
from kerasgen.layers.functions import modules, python
from kerasgen.layers.functions.evaluation import Evaluator
from kerasgen.layers.functions.values import Reference
from kerasgen.names import printable

_LOADING = RLock()
# The entries of a Lambda's config that say what it computes. The shape of its output is inferred again.
_OWN = {f"{part}{end}" for part in ("function", "mask", "output_shape") for end in ("", "_type", "_module")}
_OWN |= {"arguments", "module"}


@dataclass(frozen=True)
class Lambdas:
    """How Keras handles Lambdas.

    `defines` gives the values of globals; `run` lets Keras run the bytecode. `notes` holds the code that was read, by
    layer name.
    """

    defines: Mapping[str, Any] = field(default_factory=dict)
    run: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)

    def unread(self, source: Any) -> tuple[str, ...]:
        """The layers whose reading is not compared: none for a live model, which has its own functions."""
        return () if self.run or not isinstance(source, (str, os.PathLike)) else tuple(self.notes)

    @contextmanager
    def replaced(self, keras: Any) -> Iterator[None]:
        """While this is open, models loaded by `keras` get our functions in their Lambdas."""
        kind = keras.layers.Lambda
        with _LOADING:
            own = vars(kind)["from_config"]
            kind.from_config = classmethod(lambda cls, config, *_, **__: cls(**self._settings(config, keras)))
            try:
                yield
            finally:
                kind.from_config = own

    def _settings(self, config: Mapping[str, Any], keras: Any) -> dict[str, Any]:
        """The arguments of a Lambda, replacing its config."""
        kept = {key: item for key, item in config.items() if key not in _OWN}
        try:
            kept["function"] = self._function(config, "function", arguments(config), keras)
        except KerasgenError as error:
            raise ParityError(
                f"a Lambda is not run, and cannot be read: {error}; `run_lambdas=True` runs it"
            ) from error
        if config.get("mask") is not None:
            with suppress(UnsupportedModelError):  # then no layer needs it, or the model would have been refused
                kept["mask"] = self._function(config, "mask", {}, keras)
        return kept

    def _function(
        self, config: Mapping[str, Any], key: str, given: Mapping[str, Any], keras: Any
    ) -> Callable[..., Any]:
        if self.run:
            return _loaded(stored(config[key]), given, self.defines, keras)
        return as_function(expression(config, key), self.defines, keras)


def not_compared(unread: Sequence[str]) -> str:
    """A remark that the reading of these layers was not compared; "" if there are none."""
    names = ", ".join(map(printable, unread))
    text = f"not compared: the reading of {names}, whose code Keras did not run (`run_lambdas=True` lets it)"
    return text if unread else ""


def as_function(function: Expression, defines: Mapping[str, Any], keras: Any) -> Callable[..., Any]:
    """An expression as a function of tensors, made of operations of `keras` and of TensorFlow."""

    def call(*args: Any, **kwargs: Any) -> Any:
        return _Runner(defines, keras).evaluate(function, {**dict(zip(function.inputs, args, strict=False)), **kwargs})

    first, *others = (inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in function.inputs)
    call.__signature__ = inspect.Signature([first, *(each.replace(default=None) for each in others)])  # type: ignore[attr-defined]
    return call


def _loaded(function: Stored, given: Mapping[str, Any], defines: Mapping[str, Any], keras: Any) -> Callable[..., Any]:
    """The function stored in a file, ready to run: its globals are the modules that such functions expect."""
    known = {name: _object(path, keras) for name, path in modules.MODULES.items()}
    cells = tuple(map(types.CellType, function.closure)) or None
    code = marshal.loads(code_of(function, sys.version_info[:2]))
    loaded = types.FunctionType(code, {**known, **defines}, "function", function.defaults or None, cells)
    return functools.partial(loaded, **given)


# Where each version of Keras has its backend's functions, and TensorFlow's names for those that were removed.
_BACKENDS = {"keras": ("keras.src.legacy.backend", "keras.backend"), "tf_keras": ("tf_keras.src.backend",)}
_ONCE = {
    "identity": "identity",
    "lesser": "less",
    "lesser_equal": "less_equal",
    "logsumexp": "reduce_logsumexp",
    "size": "size",
    "slice": "slice",
}


def _object(path: str, keras: Any) -> Any:
    """The module or function with a dotted name, in this version of Keras."""
    if path.startswith("keras.backend."):
        return _of_backend(path.removeprefix("keras.backend."), keras)
    roots = {
        "keras.backend": _BACKENDS[keras.__name__][0],
        "keras.ops": "keras.ops",
        "keras": keras.__name__,
        "tf": "tensorflow",
        "np": "numpy",
    }
    root = next((root for root in roots if f"{path}.".startswith(f"{root}.")), path.partition(".")[0])
    found = importlib.import_module(roots.get(root, root))
    for name in filter(None, path[len(root) + 1 :].split(".")):
        found = getattr(found.compat.v1 if root == "tf" and not hasattr(found, name) else found, name)
    return found


def _of_backend(name: str, keras: Any) -> Any:
    for module in map(importlib.import_module, _BACKENDS[keras.__name__]):
        if hasattr(module, name):
            return getattr(module, name)
    if name not in _ONCE:
        raise UnsupportedModelError(f"keras.backend.{name} is not in {keras.__name__} {keras.__version__}")
    return getattr(importlib.import_module("tensorflow"), _ONCE[name])


class _Runner(Evaluator):
    """Evaluates expressions with TensorFlow's tensors. It calls only what `kerasgen.layers.functions.modules` knows."""

    def __init__(self, defines: Mapping[str, Any], keras: Any) -> None:
        super().__init__(defines)
        self.keras = keras

    def value_attribute(self, of: Any, name: str) -> Any:
        """`of.name`. Shapes are plain tuples in Keras 3, and sizes are integers since TensorFlow 2."""
        if name == "value" and (of is None or isinstance(of, int)):
            return of
        if name not in python.ATTRIBUTES:
            raise UnsupportedModelError(f"the attribute {name!a} is not supported")
        if name in ("_keras_shape", "get_shape") and not hasattr(of, name):
            return tuple(of.shape) if name == "_keras_shape" else lambda: of.shape
        if isinstance(of, tuple) and not hasattr(of, name):
            return {"as_list": lambda: list(of), "dims": list(of)}.get(name, len(of))
        return getattr(of, name)

    def operator(self, symbol: str, operands: Sequence[Any]) -> Any:
        """A Python operator; plain values must stay within bounds."""
        if all(map(_is_plain, operands)):
            return python.plain(symbol, *operands)
        if symbol == "classic /":
            dtypes = [str(getattr(x, "dtype", type(x).__name__)) for x in operands]
            symbol = "//" if all("int" in dtype for dtype in dtypes) else "/"
        table: Mapping[str, Callable[..., Any]] = python.UNARY if len(operands) == 1 else python.BINARY
        return table[symbol](*operands)

    def item(self, of: Any, index: Any) -> Any:
        """`of[index]`."""
        return of[index]

    def unpacked(self, of: Any, number: int, count: int) -> Any:
        """One of the `count` elements that a sequence is unpacked into."""
        return of[number]

    def call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The result of a function, or of a method of a tensor or a shape."""
        if not isinstance(function, Reference):
            return function(*args, **kwargs)
        root = function.path.partition(".")[0]
        known = modules.function(function.path)
        if known is None and not function.dtype:
            raise UnsupportedModelError(f"{function.path} is no function")
        if root in ("np", "math", "builtins") and known is not None and _is_plain([*args, *kwargs.values()]):
            return known(None, *args, **kwargs)
        return _object(function.path, self.keras)(*map(_real, args), **{k: _real(item) for k, item in kwargs.items()})


def _real(item: Any) -> Any:
    """An argument; a type used as a dtype becomes the dtype's name."""
    return item.dtype if isinstance(item, Reference) and item.dtype else item


def _is_plain(item: Any) -> bool:
    """Whether a value contains no TensorFlow tensor."""
    kinds = (int, float, str, bytes, type(None), type(...), np.ndarray, np.generic, Reference)
    if isinstance(item, (list, tuple)):
        return all(map(_is_plain, item))
    if isinstance(item, slice):
        return all(map(_is_plain, (item.start, item.stop, item.step)))
    if isinstance(item, dict):
        return all(map(_is_plain, item.values()))
    return isinstance(item, kinds)
