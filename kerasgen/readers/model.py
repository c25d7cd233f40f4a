"""The canonical form of a model: what every reader returns, whichever Keras wrote the file.

A model is a list of layers; a layer lists its calls; a call holds references to the tensors it reads. Sequential
models arrive in the same form as functional ones. Values of a layer's config stay as Keras 3 spells them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

OPERATION = "ops."  # the prefix of an operation's kind


@dataclass(frozen=True)
class Ref:
    """A tensor: output `index` of the `call`-th call (from 0) of `layer`.

    `shape` and `dtype` are as recorded in the file, None and "" if they are not.
    """

    layer: str
    call: int = 0
    index: int = 0
    shape: tuple[int | None, ...] | None = field(default=None, compare=False)
    dtype: str = field(default="", compare=False)


@dataclass(frozen=True)
class Call:
    """One call of a layer. Arguments are nested lists, tuples and dicts with `Ref` leaves, slices and plain values."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


# The names that lead to a layer, from the outermost model.
LayerPath = tuple[str, ...]

# The location of a call of a layer: the layer's name and the number of the call (from 0), preceded by those of the
# enclosing nested models.
Address = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class LayerSpec:
    """One layer. `kind` is Keras's class name; an operation node's is prefixed: `ops.Add` beside the layer `Add`.

    `package` is the one that its class is registered for with Keras, "" if it is none or not recorded.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    model: ModelSpec | None = None  # the layers of a nested model
    package: str = field(default="", compare=False)

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation, not a layer."""
        return self.kind.startswith(OPERATION)

    @property
    def trainable(self) -> bool:
        """Whether training changes it; legacy files order weights by this."""
        return bool(self.config.get("trainable", True))


@dataclass(frozen=True)
class ModelSpec:
    """A model, outermost or nested. `inputs` and `outputs` are a `Ref`, a list of them or a dict of them."""

    name: str
    kind: str
    layers: tuple[LayerSpec, ...]
    inputs: Any
    outputs: Any


@dataclass(frozen=True)
class Variable:
    """A weight as a rule declares it: where the file must have it and the shape that the config implies.

    `owner` is the path of layer names from the outermost model; `name` is Keras's own ("kernel"), with the attribute
    path before it where a sub-object owns it ("cell/kernel"); `key` is its name in the graph and the module.
    `frozen` means that an enclosing layer is not trainable: legacy files order weights by it. `state` means that Keras
    stores it by name, apart from the parameters: a vocabulary, say.
    """

    key: str
    owner: LayerPath
    name: str
    shape: tuple[int, ...]
    trainable: bool = True
    frozen: bool = False
    state: bool = False


class WeightStore(Protocol):
    """The weights of a file. Arrays are read when they are bound, after their shapes have been checked."""

    def bind(self, model: ModelSpec, variables: Sequence[Variable], *, partial: bool = False) -> dict[str, np.ndarray]:
        """Arrays by `Variable.key`, in the file's dtype. InvalidModelError names a missing, extra or misshapen one.

        `partial`: the variables are those of some layers only, and the file has more arrays.
        """
        ...

    def fits(self, model: ModelSpec) -> bool:
        """Whether every layer that has weights in the file seems to be one of the model's, by its name or its class."""
        ...

    def shapes(self, model: ModelSpec, variables: Sequence[Variable]) -> dict[LayerPath, list[tuple[int, ...]]]:
        """The shapes of each layer's arrays in the file, by the path of names to the layer; no array is read.

        `variables` are the declared ones, not necessarily all: they help to match arrays to layers.
        """
        ...


@dataclass(frozen=True)
class ModelFile:
    """One model as read: architecture, the Keras version that wrote it ("2.0.5", "" if unknown) and its weights.

    `unlike` says why current versions of Keras answer differently from the one that wrote the file, if they do.
    `outputs` are the layers at which the module ends, as `inspect` names them; () for the model's own outputs.
    `input_shape` is the shape of a sample that the user gave, if the file records none. `config` is the architecture
    that `model` was parsed from.
    """

    source: str
    keras_version: str
    model: ModelSpec
    weights: WeightStore
    unlike: str = ""
    outputs: tuple[str, ...] = ()
    input_shape: tuple[int | None, ...] | None = None
    config: Any = None


def leaves(structure: Any, kind: Any = Ref) -> Iterator[Any]:
    """Every leaf of this kind in nested lists, tuples, dicts and slices, in order."""
    if isinstance(structure, kind):
        yield structure
    elif isinstance(structure, slice):
        yield from leaves([structure.start, structure.stop, structure.step], kind)
    elif isinstance(structure, Mapping):
        for item in structure.values():
            yield from leaves(item, kind)
    elif isinstance(structure, (list, tuple)):
        for item in structure:
            yield from leaves(item, kind)


def map_leaves(structure: Any, change: Callable[[Any], Any], kind: Any = Ref) -> Any:
    """The same structure with every leaf of this kind replaced."""
    if isinstance(structure, kind):
        return change(structure)
    if isinstance(structure, slice):
        return slice(*map_leaves([structure.start, structure.stop, structure.step], change, kind))
    if isinstance(structure, Mapping):
        return {key: map_leaves(item, change, kind) for key, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_leaves(item, change, kind) for item in structure)
    return structure
