"""Derivatives of normalisations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.backward import norm


def batch_norm(call: Call, i: int) -> Operand:
    """By statistics that do not depend on the batch."""
    x, gamma, beta, mean, variance = call.x
    axis, settings = call.setting("axis", -1), call.attrs
    if i == 0:
        return str(call.emit(norm.batch_norm_backward, call.d, gamma, variance, **settings))
    if i == 1:
        return str(call.emit(norm.batch_norm_backward_gamma, call.d, x, mean, variance, **settings))
    if i == 2:
        return str(call.emit(norm.batch_norm_backward_beta, call.d, beta, axis=axis))
    if i == 3:
        return str(call.emit(norm.batch_norm_backward_mean, call.d, gamma, variance, **settings))
    return str(call.emit(norm.batch_norm_backward_variance, call.d, x, gamma, mean, variance, **settings))


def layer_norm(call: Call, i: int) -> Operand:
    """By the mean and variance of each sample."""
    if i == 2:
        return str(call.emit(norm.layer_norm_backward_beta, call.d, axis=call.setting("axis", (-1,))))
    return _with_scale(call, i, norm.layer_norm_backward)


def group_norm(call: Call, i: int) -> Operand:
    """By the mean and variance of each group of channels."""
    if i == 2:
        return str(call.emit(norm.layer_norm_backward_beta, call.d, axis=(call.setting("axis", -1),)))
    return _with_scale(call, i, norm.group_norm_backward)


def rms_norm(call: Call, i: int) -> Operand:
    """By the root of the mean square."""
    return _with_scale(call, i, norm.rms_norm_backward)


def variance_norm(call: Call, i: int) -> Operand:
    """By the standard deviation alone."""
    return _with_scale(call, i, norm.variance_norm_backward)


def _with_scale(call: Call, i: int, kernel: Callable[..., Any]) -> Operand:
    gamma = call.operand(1)
    if gamma is None:
        return str(call.emit(kernel, call.d, call.x[0], **call.attrs))
    return str(call.emit(kernel, call.d, call.x[0], gamma, outputs=2, **call.attrs)[i])


def normalization(call: Call, i: int) -> Operand:
    """(x - mean) / deviation, or x * deviation + mean."""
    x, mean, variance = call.x
    if i == 0:
        return str(call.emit(norm.normalization_backward, call.d, variance, **call.attrs))
    if i == 1:
        return str(call.emit(norm.normalization_backward_mean, call.d, mean, variance, **call.attrs))
    return str(call.emit(norm.normalization_backward_variance, call.d, x, mean, variance, **call.attrs))


def normalize(call: Call, i: int) -> Operand:
    """x / max(norm, ε)."""
    return str(call.emit(norm.normalize_backward, call.d, call.x[0], **call.attrs))


def local_response_norm(call: Call, i: int) -> Operand:
    """By the squares of the channels around."""
    return str(call.emit(norm.local_response_norm_backward, call.d, call.x[0], **call.attrs))
