"""Operations that NumPy lacks, or whose arguments it takes in another order."""

import numpy as np

from kerasgen.kernels.matmul import matmul


def rsqrt(x):
    """1 / √x. Relative error up to 8 eps."""
    return 1 / np.sqrt(x)


def clip(x, *, x_min, x_max):
    """min(max(x, x_min), x_max)."""
    return np.minimum(np.maximum(x, x_min), x_max)


def batch_dot(x, y, *, axes):
    """Dot products over one axis of each array, per sample: (N, T, D), (N, S, D) and axes (2, 2) → (N, T, S)."""
    x, y = np.moveaxis(x, axes[0], -1), np.moveaxis(y, axes[1], 1)
    n, k, left, right = x.shape[0], x.shape[-1], x.shape[1:-1], y.shape[2:]
    z = matmul(x.reshape(n, int(np.prod(left)), k), y.reshape(n, k, int(np.prod(right))))
    return z.reshape((n,) + (left + right or (1,)))


def einsum(*xs, subscripts):
    """Einstein summation."""
    return np.einsum(subscripts, *xs)


def divide_no_nan(a, b):
    """a / b, and 0 where b is 0."""
    zero = np.equal(b, 0)
    return np.where(zero, 0, a / np.where(zero, 1, b))


def floor_divide(a, b):
    """⌊a / b⌋."""
    return np.floor(a / b)


def next_after(a, b):
    """The next float64 after a, towards b, rounded to the dtype of a and b."""
    return np.nextafter(np.float64(a), np.float64(b)).astype(np.result_type(a, b))


def bessel_i0(x):
    """The modified Bessel function of the first kind, of order 0. Relative error up to 8 eps."""
    return np.i0(x).reshape(x.shape)  # NumPy before 1.19 drops axes of size 1


def cross(a, b, *, axisa=-1, axisb=-1, axisc=-1):
    """The cross product along an axis of size 3 or 2; two vectors of size 2 give only the third component."""
    a, b = np.moveaxis(a, axisa, 0), np.moveaxis(b, axisb, 0)
    third = a[0] * b[1] - a[1] * b[0]
    if len(a) == len(b) == 2:
        return third
    ax, ay, az = a if len(a) == 3 else (a[0], a[1], a[0] * 0)
    bx, by, bz = b if len(b) == 3 else (b[0], b[1], b[0] * 0)
    return np.stack([ay * bz - az * by, az * bx - ax * bz, third], axis=axisc)
