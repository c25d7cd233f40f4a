"""Dense layers, convolutions, pooling and borders."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.kernels.window import same_pads
from kerasgen.lowering.call import Call, Expression, NoCounterpart, Result, Sizes, changed, lowers
from kerasgen.lowering.elementwise import finished, fused
from kerasgen.pure_kernels import conv, pool, window
from kerasgen.pure_kernels.shape import over_steps


def stepwise(call: Call, kernel: Kernel, operands: tuple[Any, ...], settings: dict[str, Any]) -> Expression:
    """The call of a kernel on one sample; where steps are samples, on each of them."""
    if call.rows(call.x) == 1:
        return Expression(kernel, operands, settings)
    return Expression(over_steps, operands, {"function": kernel, "count": call.rows(call.x), **settings})


def image(call: Call) -> Sizes:
    """The shape of the sample, or of a step."""
    shape = call.shape(call.x)
    return shape[1:] if call.rows(call.x) > 1 else shape


def pads_of(call: Call, size: Sizes, strides: Sizes, dilation: Sizes) -> dict[str, Any]:
    """The setting `pad`, if there is one."""
    pad = call.settings.get("pad")
    if pad == "same":
        pad = same_pads(image(call)[:-1], size, strides, dilation)
    return {} if pad is None or not np.any(pad) else {"pad": tuple(map(tuple, pad))}


def rows_of(call: Call, matrix: np.ndarray) -> str:
    """A kernel (..., F) as F rows."""
    return call.weight(matrix.reshape(-1, matrix.shape[-1]).T, call.node.inputs[1])


@lowers(kernels.dense)
def dense(call: Call) -> Result:
    """One row for each unit."""
    activation, after = fused(call)
    operands = (call.flat(call.x), rows_of(call, call.constant(call.node.inputs[1])), call.flat(call.optional(2)))
    return finished(call, Expression(conv.dense, operands, activation), after)


CONVOLUTIONS: dict[Kernel, Kernel] = {
    kernels.conv1d: conv.conv1d,
    kernels.conv2d: conv.conv2d,
    kernels.conv3d: conv.conv3d,
    kernels.grouped_conv1d: conv.grouped_conv,
    kernels.grouped_conv2d: conv.grouped_conv,
    kernels.grouped_conv3d: conv.grouped_conv,
    kernels.depthwise_conv1d: conv.depthwise_conv1d,
    kernels.depthwise_conv2d: conv.depthwise_conv2d,
}


@lowers(*CONVOLUTIONS)
def convolution(call: Call) -> Result:
    """One row for each filter; of a depthwise one, for each filter of each channel."""
    kernel, array = CONVOLUTIONS[call.node.kernel], call.constant(call.node.inputs[1])
    size = array.shape[:-2]
    ones = (1,) * len(size)
    activation, after = fused(call)
    depthwise = kernel in (conv.depthwise_conv1d, conv.depthwise_conv2d)
    matrix = array.reshape(*size, -1) if depthwise else array
    strides, dilation = (call.settings.get(key, ones) for key in ("strides", "dilation"))
    settings = {"groups": call.settings["groups"]} if kernel is conv.grouped_conv else {}
    settings.update(shape=image(call), window=size)
    if kernel is conv.grouped_conv:
        settings.update(strides=strides, dilation=dilation)
    else:
        settings.update(changed({"strides": strides, "dilation": dilation}, strides=ones, dilation=ones))
    settings.update(pads_of(call, size, strides, dilation), **activation)
    operands = (call.x, rows_of(call, matrix), call.flat(call.optional(2)))
    return finished(call, stepwise(call, kernel, operands, settings), after)


@lowers(kernels.conv1d_transpose, kernels.conv2d_transpose, kernels.conv3d_transpose)
def transposed(call: Call) -> Result:
    """One row for each cell of the window and filter."""
    array = call.constant(call.node.inputs[1])
    size = array.shape[:-2]
    ones = (1,) * len(size)
    activation, after = fused(call)
    settings = {
        "shape": image(call),
        "window": size,
        "strides": call.settings.get("strides", ones),
        "dilation": call.settings.get("dilation", ones),
        "crops": call.settings.get("crop") or ((0, 0),) * len(size),
        **activation,
    }
    kernel = call.weight(array.reshape(-1, array.shape[-1]), call.node.inputs[1])
    operands = (call.x, kernel, call.flat(call.optional(2)))
    return finished(call, stepwise(call, conv.conv_transpose, operands, settings), after)


POOLS: dict[Kernel, Kernel] = {
    kernels.max_pool: pool.max_pool,
    kernels.average_pool: pool.average_pool,
}
WHOLE: dict[Kernel, Kernel] = {
    kernels.global_max_pool: pool.global_max_pool,
    kernels.global_average_pool: pool.global_average_pool,
    kernels.adaptive_max_pool: pool.adaptive_max_pool,
    kernels.adaptive_average_pool: pool.adaptive_average_pool,
}


@lowers(*POOLS)
def pooling(call: Call) -> Result:
    """The same settings, and the shape."""
    size, strides = call.settings["size"], call.settings["strides"]
    settings = {"shape": image(call), "size": size, "strides": strides}
    settings.update(pads_of(call, size, strides, (1,) * len(size)))
    return stepwise(call, POOLS[call.node.kernel], (call.x,), settings)


@lowers(*WHOLE)
def whole_pooling(call: Call) -> Result:
    """A list has no axes that could be kept."""
    settings = {"shape": image(call), **changed(call.settings, size=None)}
    return stepwise(call, WHOLE[call.node.kernel], (call.x,), settings)


@lowers(kernels.pad)
def pad(call: Call) -> Result:
    """The same settings, and the shape."""
    if np.ndim(call.settings.get("value", 0.0)):
        raise NoCounterpart("its padding differs by channel")
    settings = {"shape": image(call), "pads": call.settings["pads"], **changed(call.settings, value=0.0)}
    return stepwise(call, window.pad, (call.x,), settings)


@lowers(kernels.crop)
def crop(call: Call) -> Result:
    """The same settings, and the shape."""
    return stepwise(call, window.crop, (call.x,), {"shape": image(call), "crops": call.settings["crops"]})
