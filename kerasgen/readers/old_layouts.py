"""Weight layouts of old versions: split by gate, with other axis orders, for cuDNN, or mirrored for Theano.

Variables are declared in the layout of Keras 2 and 3. `parts` says how many arrays the file has for each; `joined`
combines them once they are matched. The rules are those by which Keras 2 loaded such files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen.readers.model import Variable

Shape = tuple[int, ...]
Arrays = Callable[..., np.ndarray]

# For layers whose gates Keras 1 stored separately: the place of each of our gates among them; it wrote i, c, f, o.
GATES = {"LSTM": (0, 2, 1, 3), "ConvLSTM2D": (0, 2, 1, 3), "GRU": (0, 1, 2)}
CUDNN = {"LSTM": 4, "CuDNNLSTM": 4, "GRU": 3, "CuDNNGRU": 3}
# The places of our axes in Keras 1, by kind and whether channels come first.
AXES: Mapping[tuple[str, bool], tuple[int, ...]] = {
    ("Conv2D", True): (2, 3, 1, 0),
    ("Conv3D", True): (2, 3, 4, 1, 0),
    ("Conv2DTranspose", False): (0, 1, 3, 2),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
    ("ConvLSTM2D", True): (2, 3, 1, 0),
    ("SeparableConv2D", True): (2, 3, 1, 0),
}
# Theano flipped these kernels. It also flipped those of depthwise convolution, but Keras compensated.
CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "ConvLSTM2D"}
MIRRORED = {"kernel", "recurrent_kernel"}


@dataclass(frozen=True)
class Origin:
    """Who wrote the file of weights."""

    keras1: bool = False
    theano: bool = False  # convolved with flipped kernels


@dataclass(frozen=True)
class Join:
    """How to combine arrays in the file into a variable: the shape of each array, and the function."""

    shape: Shape
    make: Arrays


def parts(kind: str, config: Mapping[str, Any], variables: Sequence[Variable], origin: Origin) -> list[Variable]:
    """The variables of one object in the file's order, each repeated for its number of parts."""
    gates = GATES.get(kind, ())
    if not origin.keras1 or not gates or (config.get("consume_less") == "gpu" and kind != "ConvLSTM2D"):
        return list(variables)
    return [variable for _ in gates for variable in variables]


def joined(
    kind: str, config: Mapping[str, Any], variable: Variable, shapes: Mapping[str, Sequence[Shape]], origin: Origin
) -> Join:
    """How to assemble a variable; `shapes` are those of the arrays of the object's variables, by last name."""
    name = variable.name.rpartition("/")[2]
    own, bias = shapes[name], shapes.get("bias", [()])
    if len(own) > 1:
        return _gates(kind, config, variable, name, len(own), origin)
    if kind in CUDNN and len(bias) == 1 and bias[0] == (2 * CUDNN[kind] * _units(variable, CUDNN[kind]),):
        return _cudnn(variable, name, CUDNN[kind])
    return _turned(kind, name, origin, _moved(kind, config, variable, name, own[0], origin))


def pads_like_theano_only(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether `same` means other padding in Theano, which puts half a window on either side."""
    if kind not in CONVOLUTIONS and not re.fullmatch(r"(Separable|Depthwise)Conv\dD|(Max|Average)Pooling\dD", kind):
        return False
    if config.get("padding") != "same" and kind != "ConvLSTM2D":
        return False
    pooling = "Pooling" in kind
    window = np.atleast_1d(config.get("pool_size", 2) if pooling else config.get("kernel_size", 1))
    strides = config.get("strides")
    strides = window if pooling and strides is None else np.atleast_1d(1 if strides is None else strides)
    return bool(pooling or np.any(window % 2 == 0) or np.any(strides != 1))


def _same(array: np.ndarray) -> np.ndarray:
    return array


def _units(variable: Variable, gates: int) -> int:
    return variable.shape[-1] // gates


def _moved(kind: str, config: Mapping[str, Any], variable: Variable, name: str, stored: Shape, origin: Origin) -> Join:
    """The join that only permutes axes."""
    shape = variable.shape
    if not origin.keras1 or not name.endswith("kernel"):
        return Join(shape, _same)
    if kind == "Conv1D":
        length, channels, filters = shape
        if stored == (filters, channels, length, 1) != (length, 1, channels, filters):  # until Keras 1.1
            return Join(stored, lambda array: array.transpose(2, 3, 1, 0)[:, 0])
        return Join((length, 1, channels, filters), lambda array: array[:, 0])
    axes = AXES.get((kind, config.get("data_format") == "channels_first"))
    if axes is None:
        return Join(shape, _same)
    old = tuple(shape[axes.index(i)] for i in range(len(axes)))
    return Join(old, lambda array: array.transpose(axes))


def _turned(kind: str, name: str, origin: Origin, join: Join) -> Join:
    """The join, followed by a flip of a Theano kernel's spatial axes."""
    if not origin.theano or kind not in CONVOLUTIONS or name not in MIRRORED:
        return join

    def turn(array: np.ndarray) -> np.ndarray:
        result = join.make(array)
        return np.flip(result, axis=tuple(range(result.ndim - 2)))

    return Join(join.shape, turn)


def _gates(kind: str, config: Mapping[str, Any], variable: Variable, name: str, count: int, origin: Origin) -> Join:
    """The concatenation of gates that are stored separately."""
    gate = Variable(variable.key, variable.owner, variable.name, (*variable.shape[:-1], variable.shape[-1] // count))
    one = _turned(kind, name, origin, _moved(kind, config, gate, name, gate.shape, origin))
    order = GATES[kind]
    return Join(one.shape, lambda *arrays: np.concatenate([one.make(arrays[i]) for i in order], axis=-1))


def _cudnn(variable: Variable, name: str, gates: int) -> Join:
    """cuDNN stores each gate's matrix transposed, and two biases, for the input and for the state."""
    if name == "bias":
        stored = (2 * gates * _units(variable, gates),)
        if len(variable.shape) == 2:
            return Join(stored, lambda array: array.reshape(2, -1))
        return Join(stored, lambda array: array.reshape(2, -1).sum(axis=0))

    def make(array: np.ndarray) -> np.ndarray:
        matrices = np.split(array, gates, axis=1)
        if name == "recurrent_kernel":
            return np.concatenate([matrix.T for matrix in matrices], axis=1)
        return np.concatenate([matrix.T.reshape(matrix.shape, order="F") for matrix in matrices], axis=1)

    return Join(variable.shape, make)
