"""Values that a function computes with while its layer is built, besides tensors and Python's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer

Function = Callable[..., Any]  # of the layer and the arguments of the call


@dataclass(frozen=True)
class Reference:
    """A module, a function or a type that a dotted name stands for: "tf.nn.relu", "np.float32"."""

    path: str

    @property
    def dtype(self) -> str:
        """The dtype that it is, as `np.float32`; "" if it is none."""
        return DTYPES.get(self.path.rpartition(".")[2], "") if self.path.startswith(("np.", "tf.", "builtins.")) else ""


@dataclass(frozen=True)
class Method:
    """A method of a value: a function that is called with the layer and its arguments."""

    name: str
    function: Function


class StaticShape(tuple[Any, ...]):
    """The shape of a tensor as it is known at export; None is open."""

    __slots__ = ()


@dataclass(frozen=True)
class Random:
    """A random number, and whatever depends on it. `source` is the function that draws it."""

    source: str


DTYPES = {
    **{name: name for name in "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()},
    **{name: name for name in "float16 float32 float64 bfloat16".split()},
    "bool_": "bool",
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "int": "int32",
}


def static_shape(x: Value) -> StaticShape:
    """The shape of a tensor."""
    return StaticShape(x.shape)


def rank(layer: Layer, x: Any) -> int:
    """The number of axes of a tensor, or of an array."""
    return len(x.shape)
