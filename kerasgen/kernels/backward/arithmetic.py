"""Gradients of arithmetic. `d` is always the gradient of the result."""

import numpy as np


def unbroadcast(d, *, axes, lead=0):
    """The sum over axes along which an operand was repeated, of which the first `lead` are new ones."""
    y = np.sum(d, axis=axes, keepdims=True)
    return y.reshape(y.shape[lead:])


def rsqrt_backward(d, y):
    """-d * y³ / 2."""
    return -0.5 * d * y * y * y


def power_backward_exponent(d, a, y):
    """d * y * log(a), and 0 where a is not positive."""
    positive = a > 0
    return d * y * np.log(np.where(positive, a, a.dtype.type(1)))


def sinc_backward(d, x, y):
    """d * (cos(πx) - y) / x, and 0 where x is 0."""
    zero = np.equal(x, 0)
    return d * (np.cos(np.pi * x) - y) / (x + zero)


def clip_backward(d, x, *, x_min, x_max):
    """d where x is within its bounds."""
    return d * ((x >= x_min) & (x <= x_max))


def imag_backward(d):
    """d as an imaginary part."""
    return d * 1j


def angle_backward(d, x):
    """d * ix / |x|²."""
    return d * (1j * x) / (x.real * x.real + x.imag * x.imag)


def bessel_i0_backward(d, x):
    """d * I₁(x), the mean of cos(t) sinh(x cos(t)) over t: the trapezoidal rule is exact for |x| up to 700."""
    y = np.zeros_like(x)
    for cosine in np.cos((np.arange(64) + 0.5) * np.pi / 128).tolist():
        y += cosine * np.sinh(cosine * x)
    return d * y / 64


def cross_backward(d, a, b, *, axisa=-1, axisb=-1, axisc=-1):
    """b x d and d x a, both before the sum over repetitions; vectors of size 2 have a third component of 0."""
    a, b = np.moveaxis(a, axisa, -1), np.moveaxis(b, axisb, -1)
    if a.shape[-1] == b.shape[-1] == 2:
        ds = d[..., np.newaxis] * np.array([1, -1], d.dtype)
        return np.moveaxis(ds * b[..., ::-1], -1, axisa), np.moveaxis(-ds * a[..., ::-1], -1, axisb)
    d = np.moveaxis(d, axisc, -1)
    da, db = np.cross(whole_vectors(b), d), np.cross(d, whole_vectors(a))
    return np.moveaxis(da[..., : a.shape[-1]], -1, axisa), np.moveaxis(db[..., : b.shape[-1]], -1, axisb)


def whole_vectors(x):
    """Vectors of size 3; those of size 2 get a third component of 0."""
    return x if x.shape[-1] == 3 else np.concatenate((x, np.zeros(x.shape[:-1] + (1,), x.dtype)), axis=-1)
