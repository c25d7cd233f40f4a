"""Derivatives of dense layers and convolutions: of the operands data, kernel and bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen.graph.derivatives.call import Call, Operand, Rule
from kerasgen.kernels.backward import conv as backward


def dense(call: Call, i: int) -> Operand:
    """Of x @ kernel + bias."""
    if i == 0:
        return call.of_operand(i, backward.dense_backward, call.d, call.x[1])
    if i == 1:
        return call.of_operand(i, backward.dense_backward_kernel, call.x[0], call.d)
    return call.of_operand(i, backward.bias_backward, call.d)


def convolution(of_data: Callable[..., Any], of_kernel: Callable[..., Any]) -> Rule:
    """The rule of a convolution whose gradients these functions compute."""

    def rule(call: Call, i: int) -> Operand:
        if i == 2:
            return call.of_operand(i, backward.bias_backward, call.d)
        settings, window = _settings(call, "pad")
        if i == 0:
            return call.of_operand(i, of_data, call.d, call.x[1], sized=True, **settings)
        return call.of_operand(i, of_kernel, call.x[0], call.d, window=window, **settings)

    return rule


def transposed(call: Call, i: int) -> Operand:
    """Of a transposed convolution."""
    if i == 2:
        return call.of_operand(i, backward.bias_backward, call.d)
    settings, window = _settings(call, "crop")
    if i == 0:
        return call.of_operand(i, backward.conv_transpose_backward, call.d, call.x[1], **settings)
    return call.of_operand(i, backward.conv_transpose_backward_kernel, call.x[0], call.d, window=window, **settings)


def _settings(call: Call, border: str) -> tuple[dict[str, Any], tuple[int | None, ...]]:
    """The settings of a convolution, defaults included, and its window."""
    shape, rank = call.shape(call.x[1]), len(call.shape(call.y) or ()) - 2
    assert shape is not None
    settings = {"strides": (1,) * rank, "dilation": (1,) * rank, border: None, **call.attrs}
    settings.pop("activation", None)
    return settings, shape[:rank]


conv = convolution(backward.conv_backward, backward.conv_backward_kernel)
grouped = convolution(backward.grouped_conv_backward, backward.grouped_conv_backward_kernel)
depthwise1d = convolution(backward.depthwise_conv1d_backward, backward.depthwise_conv1d_backward_kernel)
depthwise2d = convolution(backward.depthwise_conv2d_backward, backward.depthwise_conv2d_backward_kernel)


def locally_connected(call: Call, i: int) -> Operand:
    """Of a convolution with a kernel for each place."""
    if i == 0:
        return call.of_operand(i, backward.locally_connected_backward, call.d, call.x[1], sized=True, **call.attrs)
    if i == 1:
        return call.of_operand(i, backward.locally_connected_backward_kernel, call.x[0], call.d, **call.attrs)
    return call.of_operand(i, np.sum, call.d, axis=0)
