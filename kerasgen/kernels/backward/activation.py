"""Gradients of activations. `d` is always the gradient of the result; all keep its shape and dtype.

Where the slope can be told from the result y alone, it is: y is often kept anyway.
"""

import numpy as np

from kerasgen.kernels.activation import erf, hard_sigmoid, sigmoid, softplus, sparse_sigmoid


def identity_backward(d, y):
    """d."""
    return d


def exponential_backward(d, y):
    """d * y."""
    return d * y


def hard_tanh_backward(d, x):
    """d where -1 ≤ x ≤ 1."""
    return d * (np.abs(x) <= 1)


def relu_backward(d, y):
    """d where x exceeds 0, as y does."""
    return d * (y > 0)


def relu6_backward(d, y):
    """d where y is between 0 and 6."""
    return d * ((y > 0) & (y < 6))


def general_relu_backward(d, x, *, negative_slope=0.0, max_value=None, threshold=0.0):
    """d above the threshold, negative_slope * d below it, 0 beyond max_value."""
    z = leaky_relu_backward(d, x - threshold, negative_slope=negative_slope)
    return z if max_value is None else z * (x <= max_value)


def leaky_relu_backward(d, y, *, negative_slope=0.2):
    """d above 0, negative_slope * d below; for a negative slope, y must be x."""
    z = d * (y > 0)
    z *= 1 - negative_slope
    z += negative_slope * d
    return z


def prelu_backward(d, x, alpha):
    """d above 0, alpha * d below."""
    return d * ((x > 0) + alpha * (x < 0))


def prelu_backward_alpha(d, x):
    """d * min(x, 0), before the sum over what alpha is repeated along."""
    return d * np.minimum(x, 0)


def elu_backward(d, y, *, alpha=1.0):
    """d above 0, d * (y + alpha) below, which is alpha * exp(x); alpha is not negative."""
    z = np.minimum(y, 0)
    z += alpha
    if alpha != 1:
        z += (1 - alpha) * (y > 0).astype(y.dtype)
    z *= d
    return z


def negative_elu_backward(d, x, *, alpha):
    """d above 0, d * alpha * exp(x) below; for a negative alpha, which y does not tell apart."""
    above = x > 0
    return d * (above + alpha * np.exp(np.minimum(x, 0)) * ~above)


def celu_backward(d, y, *, alpha=1.0):
    """d above 0, d * (y / alpha + 1) below, which is exp(x / alpha)."""
    z = np.minimum(y, 0)
    z /= alpha
    z += 1
    z *= d
    return z


def selu_backward(d, y):
    """The gradient of scale * elu(x)."""
    scale = 1.0507009873554805
    return elu_backward(scale * d, y / scale, alpha=1.6732632423543772)


def sigmoid_backward(d, y):
    """d * y * (1 - y)."""
    z = 1 - y
    z *= y
    z *= d
    return z


def tanh_backward(d, y):
    """d * (1 - y²)."""
    z = y * y
    np.subtract(1, z, out=z)
    z *= d
    return z


def softmax_backward(d, y, *, axis=-1):
    """(d - Σ d y) * y, the sum taken along `axis`."""
    z = d * y
    z -= y * np.sum(z, axis=axis, keepdims=True)
    return z


def log_softmax_backward(d, y, *, axis=-1):
    """d - exp(y) Σ d, the sum taken along `axis`."""
    z = np.exp(y)
    z *= np.sum(d, axis=axis, keepdims=True)
    return d - z


def softplus_backward(d, y):
    """d * sigmoid(x), which is 1 - exp(-y)."""
    z = np.expm1(-y)
    z *= -d
    return z


def log_sigmoid_backward(d, y):
    """d * (1 - sigmoid(x)), which is 1 - exp(y)."""
    z = np.expm1(y)
    z *= -d
    return z


def softsign_backward(d, y):
    """d * (1 - |y|)², as 1 - |y| is 1 / (1 + |x|)."""
    return d * np.square(1 - np.abs(y))


def silu_backward(d, x):
    """d * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    s = sigmoid(x)
    z = 1 - s
    z *= x
    z += 1
    z *= s
    z *= d
    return z


def mish_backward(d, x):
    """d * (t + x * (1 - t²) * sigmoid(x)) with t = tanh(softplus(x))."""
    t = np.tanh(softplus(x))
    return d * (t + x * (1 - t * t) * sigmoid(x))


def hard_sigmoid_backward(d, y):
    """d / 6 where y is between 0 and 1."""
    z = d * ((y > 0) & (y < 1))
    z *= 1 / 6
    return z


def hard_sigmoid_keras2_backward(d, x):
    """d / 5 where 0.2x + 0.5 is from 0 to 1."""
    y = 0.2 * x + 0.5
    return 0.2 * d * ((y >= 0) & (y <= 1))


def hard_silu_backward(d, x):
    """d * (h + x * h') with h = hard_sigmoid(x)."""
    h = hard_sigmoid(x)
    return d * (h + x * ((h > 0) & (h < 1)) / 6)


def erf_backward(d, x):
    """d * 2/√π * exp(-x²)."""
    return 1.1283791670955126 * d * np.exp(-x * x)


def gelu_backward(d, x, *, approximate=False):
    """d * (Φ(x) + x * φ(x)) with φ the normal density, or the derivative of the approximation by tanh."""
    if approximate:
        square = x * x
        t = np.tanh(0.7978845608028654 * x * (1 + 0.044715 * square))
        return 0.5 * d * (1 + t + x * (1 - t * t) * (0.7978845608028654 + 0.10703222440890038 * square))
    z = np.exp(-0.5 * x * x)
    z *= x
    z *= 0.3989422804014327
    z += 0.5 * erf(0.7071067811865476 * x)
    z += 0.5
    z *= d
    return z


def glu_backward(d, x, *, axis=-1):
    """With x = (a, b) and s = sigmoid(b): d * s for a, d * a * s * (1 - s) for b."""
    a, b = np.split(x, 2, axis=axis)
    s = sigmoid(b)
    z = d * s
    return np.concatenate((z, z * a * (1 - s)), axis=axis)


def shrink_backward(d, y):
    """d where y is not 0."""
    return d * (y != 0)


def tanh_shrink_backward(d, x):
    """d * tanh(x)², as the derivative of tanh is 1 - tanh²."""
    return d * np.square(np.tanh(x))


def sparse_sigmoid_backward(d, y):
    """d / 2 where y is between 0 and 1."""
    z = d * ((y > 0) & (y < 1))
    z *= 0.5
    return z


def sparse_plus_backward(d, x):
    """d * sparse_sigmoid(x)."""
    return d * sparse_sigmoid(x)


def squareplus_backward(d, x, *, b=4):
    """d * (1 + x / √(x² + b)) / 2."""
    return d * (1 + x / np.hypot(x, b**0.5)) / 2


def threshold_backward(d, x, *, threshold):
    """d where x exceeds the threshold."""
    return d * (x > threshold)


def sparsemax_backward(d, x, y, *, axis=-1):
    """d - w Σ d over the cells of the support, and only -w Σ d outside, w being the derivative of τ.

    Keras's τ is (the sum of the first k partial sums of the sorted x, less 1) / k: the i-th largest is in k - i + 1.
    """
    d, x, y = (np.moveaxis(a, axis, -1) for a in (d, x, y))
    order = np.argsort(-x, axis=-1, kind="stable")
    descending = np.take_along_axis(x, order, axis=-1)
    ranks = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    k = np.sum(descending * ranks > np.cumsum(descending, axis=-1) - 1, axis=-1, keepdims=True).astype(x.dtype)
    rank = np.argsort(order, axis=-1).astype(x.dtype)
    z = d * (y > 0)
    z = z - np.maximum(k - rank, 0) / k * np.sum(z, axis=-1, keepdims=True)
    return np.moveaxis(z, -1, axis)
