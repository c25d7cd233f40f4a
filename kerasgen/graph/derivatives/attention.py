"""Derivatives of attention, masks and choices."""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.call import Call
from kerasgen.kernels.backward import attention as backward


def where(call: Call, i: int) -> Any:
    """d where the operand is chosen."""
    chosen = (call.d, 0) if i == 1 else (0, call.d)
    y = call.emit(np.where, call.x[0], *chosen)
    return call.unbroadcast(y, i)


def dot_scores(call: Call, i: int) -> Any:
    """d K, and d^T Q."""
    d = call.emit(np.swapaxes, call.d, axis1=-2, axis2=-1) if i == 1 else call.d
    return call.emit(np.matmul, d, call.x[1 - i])


def additive_scores(call: Call, i: int) -> Any:
    """Through the hyperbolic tangent of each pair of a query and a key."""
    query, key, weight, scale = (call.operand(j) for j in range(4))
    if i < 2:
        gradients = call.emit(backward.additive_scores_backward, call.d, query, key, weight, scale, outputs=2)
        return str(gradients[i])
    if i == 2:
        y = call.emit(backward.additive_scores_backward_weight, call.d, query, key, scale)
    else:
        y = call.emit(backward.additive_scores_backward_scale, call.d, query, key, weight, scale)
    return y if call.shape(call.x[i]) else call.emit(np.sum, y)  # one number for all features


def head_scores(call: Call, i: int) -> Any:
    """d K, and d^T Q, per head."""
    d = call.emit(np.swapaxes, call.d, axis1=-2, axis2=-1) if i == 1 else call.d
    scale = call.setting("scale", 1.0)
    y = call.emit(kernels.attend, d, call.x[1 - i])
    return y if scale == 1 else call.emit(np.multiply, y, scale)


def attend(call: Call, i: int) -> Any:
    """d V^T, and W^T d, per head."""
    if i == 0:
        return call.emit(kernels.head_scores, call.d, call.x[1])
    return call.emit(kernels.attend, call.emit(np.swapaxes, call.x[0], axis1=-2, axis2=-1), call.d)


def mask_scores(call: Call, i: int) -> Any:
    """Only a constant is subtracted."""
    return call.unbroadcast(call.d, i)


def masked_softmax(call: Call, i: int) -> Any:
    """That of softmax, where the mask is on."""
    y = call.emit(backward.masked_softmax_backward, call.d, call.y, call.x[1], axis=call.setting("axis", -1))
    return call.unbroadcast(y, i)


def project(call: Call, i: int) -> Any:
    """d W^T; x^T d; the sum of d over all but the axes of the bias."""
    x, kernel, y = (call.shape(name) or () for name in (call.x[0], call.x[1], call.y))
    inner = call.setting("axes", 1)
    lead, new = tuple(range(len(x) - inner)), tuple(range(len(x) - inner, len(y)))
    if i == 0:
        return call.emit(np.tensordot, call.d, call.x[1], axes=(new, tuple(range(inner, len(kernel)))))
    if i == 1:
        return call.emit(np.tensordot, call.x[0], call.d, axes=(lead, lead))
    return call.unbroadcast(call.d, 2)
