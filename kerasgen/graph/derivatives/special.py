"""Derivatives of special functions, scores of classes, quantised numbers and layers of old versions."""

from __future__ import annotations

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.arithmetic import minus
from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.backward import activation
from kerasgen.kernels.backward import special as backward


def erf(call: Call, i: int) -> Operand:
    """∂erf(x)/∂x = 2/√π exp(-x²)."""
    return str(call.emit(activation.erf_backward, call.d, call.x[0]))


def erfc(call: Call, i: int) -> Operand:
    """∂(1 - erf(x))/∂x = -2/√π exp(-x²)."""
    return minus(call, call.emit(activation.erf_backward, call.d, call.x[0]))


def erfinv(call: Call, i: int) -> Operand:
    """∂erf⁻¹(x)/∂x = √π/2 exp(y²)."""
    return str(call.emit(backward.erfinv_backward, call.d, call.y))


def logsumexp(call: Call, i: int) -> Operand:
    """∂log(Σ exp(x))/∂x = exp(x - y)."""
    return str(call.emit(backward.logsumexp_backward, call.d, call.x[0], call.y, **call.attrs))


def cdist(call: Call, i: int) -> Operand:
    """∂|x - y|/∂x = (x - y) / |x - y|."""
    both = call.emit(backward.cdist_backward, call.d, *call.x, call.y, outputs=2)
    return call.unbroadcast(both[i], i)


def psnr(call: Call, i: int) -> Operand:
    """By x1 - x2 alone, so that the gradient of x2 is minus that of x1."""
    d = str(call.emit(backward.psnr_backward, call.d, *call.x))
    return call.unbroadcast(minus(call, d) if i else d, i)


def fake_quant(call: Call, i: int) -> Operand:
    """Straight through: to x within the bounds, else to the bound, as if nothing were rounded."""
    d = call.emit(backward.fake_quant_backward, call.d, *call.x, outputs=3, **call.attrs)[i]
    if i == 0:
        return str(d)
    axis, rank = call.setting("axis"), len(call.shape(call.x[0]) or ())
    axes = tuple(a for a in range(rank) if axis is None or a != axis % rank)
    total, shape = str(call.emit(np.sum, d, axis=axes)), call.shape(call.x[i])
    return total if shape == call.shape(total) else str(call.emit(kernels.reshape_all, total, shape=shape))


def top_k(call: Call, i: int) -> Operand:
    """To the k largest; the indices have no gradient."""
    d, indices = call.gradients[0], call.node.outputs[1]
    if d is None:
        return None
    if len(call.shape(call.x[0]) or ()) < 2:
        return str(call.emit(backward.top_k_backward, d, indices, call.x[0]))
    return str(call.sized(backward.top_k_backward, d, indices, like=call.x[0]))


def binary_crossentropy(call: Call, i: int) -> Operand:
    """-∂(t log(p) + (1 - t) log(1 - p)) by p or its logit, and by t."""
    target, output = call.x
    if i == 1:
        d = call.emit(backward.binary_crossentropy_backward, call.d, target, output, **call.attrs)
    else:
        d = call.emit(backward.binary_crossentropy_backward_target, call.d, output, **call.attrs)
    return call.unbroadcast(d, i)


def categorical_crossentropy(call: Call, i: int) -> Operand:
    """-∂(Σ t log(p)) by the scores or their logits, and by t."""
    target, output = call.x
    if i == 1:
        return str(call.emit(backward.categorical_crossentropy_backward, call.d, target, output, **call.attrs))
    return str(call.emit(backward.categorical_crossentropy_backward_target, call.d, output, **call.attrs))


def sparse_categorical_crossentropy(call: Call, i: int) -> Operand:
    """-∂log(p of the target) by the scores or their logits; the target is an index."""
    if i == 0:
        return None
    return str(call.emit(backward.sparse_categorical_crossentropy_backward, call.d, *call.x, **call.attrs))


def srelu(call: Call, i: int) -> Operand:
    """The slopes of three lines, and how they move with where they meet."""
    return call.unbroadcast(call.emit(backward.srelu_backward, call.d, *call.x, outputs=5)[i], i)


def sample_norm(call: Call, i: int) -> Operand:
    """As of any normalisation, with ε added twice."""
    if i == 2:
        return call.unbroadcast(call.d, 2)
    both = call.emit(backward.sample_norm_backward, call.d, *call.x[:2], outputs=2, **call.attrs)
    return call.unbroadcast(both[i], i)


def cosine(call: Call, i: int) -> Operand:
    """∂y/∂a = b / (|a| |b|) - y a / |a|²."""
    a, b = call.x[i], call.x[1 - i]
    return str(call.emit(backward.cosine_backward, call.d, a, b, call.y, **call.attrs))
