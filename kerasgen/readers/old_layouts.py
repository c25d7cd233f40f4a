"""Weights as old versions kept them: split by gate, with other axes first, for cuDNN, or mirrored for Theano.

What is declared is the layout of Keras 2 and 3. A layer's arrays are first counted out (`parts`), then, when the file's
are at hand, joined (`joined`). The rules are those by which Keras 2 loaded such files.
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

# How many gates Keras 1 stored apart, and the place of each of ours among them: it wrote i, c, f, o.
GATES = {"LSTM": (0, 2, 1, 3), "ConvLSTM2D": (0, 2, 1, 3), "GRU": (0, 1, 2)}
CUDNN = {"LSTM": 4, "CuDNNLSTM": 4, "GRU": 3, "CuDNNGRU": 3}
# Where our axes stood in Keras 1, by kind and whether channels come first.
AXES: Mapping[tuple[str, bool], tuple[int, ...]] = {
    ("Conv2D", True): (2, 3, 1, 0),
    ("Conv3D", True): (2, 3, 4, 1, 0),
    ("Conv2DTranspose", False): (0, 1, 3, 2),
    ("Conv2DTranspose", True): (2, 3, 0, 1),
    ("ConvLSTM2D", True): (2, 3, 1, 0),
    ("SeparableConv2D", True): (2, 3, 1, 0),
}
# The kernels that Theano turned round. It did the same to those of depthwise convolution, but Keras made up for it.
CONVOLUTIONS = {"Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "Conv3DTranspose", "ConvLSTM2D"}
MIRRORED = {"kernel", "recurrent_kernel"}


@dataclass(frozen=True)
class Origin:
    """What is known of the file that holds the weights."""

    keras1: bool = False
    theano: bool = False  # convolved with kernels turned round


@dataclass(frozen=True)
class Join:
    """How a variable is made of arrays in the file: the shape that each must have, and what puts them together."""

    shape: Shape
    make: Arrays


def parts(kind: str, config: Mapping[str, Any], variables: Sequence[Variable], origin: Origin) -> list[Variable]:
    """The variables of one object in the file's order, each as often as it is cut into parts."""
    gates = GATES.get(kind, ())
    if not origin.keras1 or not gates or (config.get("consume_less") == "gpu" and kind != "ConvLSTM2D"):
        return list(variables)
    return [variable for _ in gates for variable in variables]


def joined(
    kind: str, config: Mapping[str, Any], variable: Variable, shapes: Mapping[str, Sequence[Shape]], origin: Origin
) -> Join:
    """How to make a variable of the object, of whose variables the file has arrays of these shapes, by last name."""
    name = variable.name.rpartition("/")[2]
    mine, bias = shapes[name], shapes.get("bias", [()])
    if len(mine) > 1:
        return _gates(kind, config, variable, name, len(mine), origin)
    if kind in CUDNN and len(bias) == 1 and bias[0] == (2 * CUDNN[kind] * _units(variable, CUDNN[kind]),):
        return _cudnn(variable, name, CUDNN[kind])
    return _turned(kind, name, origin, _moved(kind, config, variable, name, mine[0], origin))


def pads_like_theano_only(kind: str, config: Mapping[str, Any]) -> bool:
    """Whether a layer's `same` means other borders in Theano, which puts half a window on either side."""
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
    """The join that only moves axes."""
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
    """The join, then the spatial axes of a kernel of Theano's turned round."""
    if not origin.theano or kind not in CONVOLUTIONS or name not in MIRRORED:
        return join

    def turn(array: np.ndarray) -> np.ndarray:
        made = join.make(array)
        return np.flip(made, axis=tuple(range(made.ndim - 2)))

    return Join(join.shape, turn)


def _gates(kind: str, config: Mapping[str, Any], variable: Variable, name: str, count: int, origin: Origin) -> Join:
    """Gates side by side, each stored by itself."""
    gate = Variable(variable.key, variable.owner, variable.name, (*variable.shape[:-1], variable.shape[-1] // count))
    one = _turned(kind, name, origin, _moved(kind, config, gate, name, gate.shape, origin))
    order = GATES[kind]
    return Join(one.shape, lambda *arrays: np.concatenate([one.make(arrays[i]) for i in order], axis=-1))


def _cudnn(variable: Variable, name: str, gates: int) -> Join:
    """cuDNN keeps each gate's matrix transposed, and a bias for the input beside one for the state."""
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
