"""Quantised layers: how a policy like "int8_from_float32" changes a layer's weights and inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Shape, Value
from kerasgen.layers.config import Config
from kerasgen.layers.equation import Equation
from kerasgen.layers.layer import Layer

POLICY = re.compile(r"(int8|int4|float8|gptq|awq)((?:/-?\d{1,9})*)_from_.*")
HISTORY = 1024  # training steps in the amax history of a float8 layer

Operands = tuple[Value, Value, Value | None]


@dataclass(frozen=True)
class Scheme:
    """How a layer is quantised, and the numbers in its policy: bits, block size."""

    mode: str
    numbers: tuple[int, ...]

    @property
    def block(self) -> int | None:
        """How many rows share a scale; None for all."""
        return self.numbers[-1] if self.numbers and self.numbers[-1] > 0 else None

    def groups(self, rows: int) -> int:
        """The number of blocks."""
        return math.ceil(rows / self.block) if self.block else 1


def scheme_of(layer: Layer) -> Scheme | None:
    """How the layer is quantised; None if it is not."""
    policy = str(layer.config.get("dtype", ""))
    match = POLICY.fullmatch(policy)
    if match is None and "_from_" in policy:
        raise UnsupportedModelError(f"it is quantised as {policy[:80]!a}")
    return None if match is None else Scheme(match[1], tuple(map(int, match[2].split("/")[1:])))


def operands(layer: Layer, x: Value, equation: Equation, bias_axes: str) -> Operands:
    """The input, kernel and bias of a dense layer; declares its weights in the file's order."""
    scheme = scheme_of(layer)
    return (
        PLANS[scheme.mode](layer, scheme, x, equation, bias_axes) if scheme else _plain(layer, x, equation, bias_axes)
    )


def _plain(layer: Layer, x: Value, equation: Equation, bias_axes: str) -> Operands:
    kernel = layer.weight("kernel", equation.kernel_shape())
    return x, kernel, _bias(layer, equation, bias_axes)


def _int8(layer: Layer, scheme: Scheme, x: Value, equation: Equation, bias_axes: str) -> Operands:
    kernel = layer.weight("kernel", equation.kernel_shape(), trainable=False, dtype="int8")
    bias = _bias(layer, equation, bias_axes)
    shape = tuple(equation.sizes[letter] if letter in equation.kernel else 1 for letter in equation.y)
    shape = shape[-1:] if layer.kind == "Dense" else shape
    scale = layer.weight("kernel_scale", shape, trainable=False)
    kernel = layer.emit(np.divide, kernel, _by_kernel(layer, equation, scale))
    return rounded(layer, x, equation.summed_axes(), (-127, 127)), kernel, bias


def _int4(layer: Layer, scheme: Scheme, x: Value, equation: Equation, bias_axes: str) -> Operands:
    shape = _known(equation.kernel_shape())
    rows = math.prod(size for letter, size in zip(equation.kernel, shape, strict=True) if letter not in equation.y)
    columns = math.prod(size for letter, size in zip(equation.kernel, shape, strict=True) if letter in equation.y)
    packed = layer.weight("kernel", (rows, (columns + 1) // 2), trainable=False, dtype="int8")
    bias = _bias(layer, equation, bias_axes)
    kernel = layer.emit(kernels.unpack_int4, packed, size=columns)
    if scheme.block is None:
        scale = layer.weight("kernel_scale", (columns,), trainable=False)
        kernel = layer.emit(np.divide, kernel, scale)
        x = rounded(layer, x, equation.summed_axes(), None)
    else:
        blocks = (scheme.groups(rows), columns)
        scale = layer.weight("kernel_scale", blocks, trainable=False)
        zero = layer.weight("kernel_zero", blocks, trainable=False, dtype="int8")
        groups = layer.weight("g_idx", (rows,), trainable=False)
        kernel = layer.emit(kernels.dequantize, kernel, scale, zero, groups, axis=0)
    return x, _shaped(layer, kernel, shape), bias


def _calibrated(layer: Layer, scheme: Scheme, x: Value, equation: Equation, bias_axes: str) -> Operands:
    """GPTQ and AWQ: unsigned integers, transposed; AWQ also scales the rows by the magnitude of their inputs."""
    if len(scheme.numbers) != 2:
        raise InvalidModelError(f"its policy {layer.config.get('dtype')!a} gives no bits and group size")
    shape = _known(equation.kernel_shape())
    if len(shape) not in (2, 3):
        raise InvalidModelError(f"a kernel of {len(shape)} axes cannot be quantised by {scheme.mode}")
    leading = (
        shape[:1] if len(shape) == 2 or shape[0] == max(shape) else shape[:2]
    )  # Keras takes the longest axis for the inputs
    rows, columns = math.prod(leading), math.prod(shape[len(leading) :])
    bias = _bias(layer, equation, bias_axes)
    packs = scheme.numbers[0] == 4
    stored = layer.weight("kernel", ((columns + 1) // 2 if packs else columns, rows), trainable=False, dtype="uint8")
    blocks = (columns, scheme.groups(rows))
    scale = layer.weight("kernel_scale", blocks, trainable=False)
    name = "kernel_zero" if layer.kind == "Dense" else "zero_point"
    zero = layer.weight(name, blocks, trainable=False, dtype="uint8")
    factor = layer.weight("awq_scales", (rows,), trainable=False) if scheme.mode == "awq" else None
    groups = layer.weight("g_idx", (rows,), trainable=False)
    if packs:
        stored = layer.emit(kernels.unpack_int4, stored, size=columns, axis=0, signed=False)
    kernel = layer.emit(kernels.dequantize, stored, scale, zero, groups, axis=-1)
    kernel = kernel if factor is None else layer.emit(np.divide, kernel, factor)
    return x, _shaped(layer, layer.emit(np.transpose, kernel), shape), bias


def _float8(layer: Layer, scheme: Scheme, x: Value, equation: Equation, bias_axes: str) -> Operands:
    x, kernel, bias = _plain(layer, x, equation, bias_axes)
    history = scheme.numbers[0] if scheme.numbers else HISTORY
    scales = {}
    for name in ("inputs", "kernel", "outputs_grad"):
        scales[name] = layer.weight(f"{name}_scale", ())
        layer.weight(f"{name}_amax_history", (history,))
    if bias is not None and not layer.half:
        bias = layer.emit(kernels.round_bfloat16, bias)
    rounded_x = layer.emit(kernels.round_float8, x, scales["inputs"])
    return rounded_x, layer.emit(kernels.round_float8, kernel, scales["kernel"]), bias


PLANS: Mapping[str, Callable[[Layer, Scheme, Value, Equation, str], Operands]] = {
    "int8": _int8,
    "int4": _int4,
    "float8": _float8,
    "gptq": _calibrated,
    "awq": _calibrated,
}


def rounded(layer: Layer, x: Value, axes: tuple[int, ...] | None, limits: tuple[int, int] | None) -> Value:
    """The input, quantised as in the layer's config; by default to the range `limits`, None for not at all.

    One scale is shared along these axes, or those in the config.
    """
    epsilon = 1e-7
    written = layer.config.get("quantization_config", None)
    if written is not None:
        quantizer = _settings("quantization_config", written).get("activation_quantizer", None)
        limits = None
        if quantizer is not None:
            config = _settings("activation_quantizer", quantizer)
            if quantizer.get("class_name") != "AbsMaxQuantizer":
                raise UnsupportedModelError(f"its inputs are quantised by {quantizer.get('class_name')!a}")
            low, high = config.integers("value_range", 2, (-127, 127), least=-128)
            limits, epsilon = (low, high), config.number("epsilon", epsilon)
            axes = config.axes("axis", -1) if axes is None else axes
    if limits is None:
        return x
    axes = (-1,) if axes is None else axes
    return layer.emit(kernels.round_levels, x, axis=axes, low=limits[0], high=limits[1], epsilon=epsilon)


def _settings(key: str, written: Any) -> Config:
    """The settings of a serialised object."""
    if not isinstance(written, Mapping) or not isinstance(written.get("config"), Mapping):
        raise InvalidModelError(f"its config has {key} = {ascii(written)[:80]}, not an object")
    return Config(written["config"])


def _bias(layer: Layer, equation: Equation, axes: str) -> Value | None:
    return layer.weight("bias", equation.bias_shape(axes)) if axes else None


def _by_kernel(layer: Layer, equation: Equation, scale: Value) -> Value:
    """A scale along the output's axes, arranged to broadcast over the kernel."""
    along_y = [letter for letter in equation.y if letter in equation.kernel]
    along_kernel = [letter for letter in equation.kernel if letter in equation.y]
    scale = _shaped(layer, scale, _known(tuple(equation.sizes[letter] for letter in along_y)))
    if along_kernel != along_y:
        scale = layer.emit(np.transpose, scale, axes=tuple(along_y.index(letter) for letter in along_kernel))
    first = min((equation.kernel.index(letter) for letter in along_kernel), default=len(equation.kernel))
    letters = equation.kernel[first:]
    return _shaped(
        layer, scale, _known(tuple(equation.sizes[letter] if letter in equation.y else 1 for letter in letters))
    )


def _shaped(layer: Layer, x: Value, shape: tuple[int, ...]) -> Value:
    return x if x.shape == shape else layer.emit(kernels.reshape_all, x, shape=shape)


def _known(shape: Shape) -> tuple[int, ...]:
    if None in shape:
        raise UnsupportedModelError(f"the shape of its kernel depends on an input size that must be known: {shape}")
    return tuple(size for size in shape if size is not None)
