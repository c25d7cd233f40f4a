"""Gradients of normalisations. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.norm import along, mean_square


def sum_along(d, axes):
    """The sum over all other axes."""
    if tuple(axes) in ((-1,), (d.ndim - 1,)):  # a fifth of the time
        return np.einsum("nc->c", d.reshape(d.size // max(d.shape[-1], 1), d.shape[-1]))
    kept = [axis % d.ndim for axis in axes]
    return d.sum(axis=tuple(axis for axis in range(d.ndim) if axis not in kept))


def sum_like(d, weight, axis):
    """The sum over what a weight along `axis` was repeated for; without an axis it was broadcast."""
    if axis is not None:
        return sum_along(d, (axis,))
    lead = d.ndim - weight.ndim
    repeated = [lead + i for i, size in enumerate(weight.shape) if size == 1]
    return d.sum(axis=(*range(lead), *repeated)).reshape(weight.shape)


def batch_norm_backward(d, gamma, variance, *, axis=-1, epsilon=1e-3):
    """d * gamma / √(variance + ε): shape kept."""
    scale = 1.0 / np.sqrt(variance + epsilon)
    if gamma is not None:
        scale = scale * gamma
    return d * (scale if axis is None else along(scale, (axis,), d.ndim))


def batch_norm_backward_gamma(d, x, mean, variance, *, axis=-1, epsilon=1e-3):
    """Σ d * (x - mean) / √(variance + ε) over all axes but `axis`: (..., C) → (C,)."""
    centred = x - (mean if axis is None else along(mean, (axis,), x.ndim))
    centred *= d
    return sum_like(centred, variance, axis) / np.sqrt(variance + epsilon)


def batch_norm_backward_beta(d, beta, *, axis=-1):
    """Σ d over all axes but `axis`: (..., C) → (C,)."""
    return sum_like(d, beta, axis)


def batch_norm_backward_mean(d, gamma, variance, *, axis=-1, epsilon=1e-3):
    """-Σ d * gamma / √(variance + ε) over all axes but `axis`: (..., C) → (C,)."""
    y = sum_like(d, variance, axis) / -np.sqrt(variance + epsilon)
    return y if gamma is None else y * gamma


def batch_norm_backward_variance(d, x, gamma, mean, variance, *, axis=-1, epsilon=1e-3):
    """-½ Σ d * gamma * (x - mean) / (variance + ε)^(3/2) over all axes but `axis`: (..., C) → (C,)."""
    y = batch_norm_backward_gamma(d, x, mean, variance, axis=axis, epsilon=epsilon) / (-2 * (variance + epsilon))
    return y if gamma is None else y * gamma


def layer_norm_backward(d, x, gamma=None, *, axis=(-1,), epsilon=1e-3):
    """With x̂ = (x - mean) r, r = 1 / √(variance + ε) and g = d * gamma: (g - mean of g - x̂ * mean of g x̂) r.

    Shape kept. With gamma also its gradient, Σ d * x̂ over the other axes.
    """
    y = x - average(x, axis)
    r = 1 / np.sqrt(mean_square(y, axis) + epsilon)
    y *= r
    g = d if gamma is None else d * along(gamma, axis, x.ndim)
    dx = y * -average_product(g, y, axis)
    dx += g
    dx -= average(g, axis)
    dx *= r
    return dx if gamma is None else (dx, sum_along(d * y, axis))


def average(x, axis):
    """The mean over `axis`, which keeps size 1."""
    if axis == (-1,):  # as a matrix product: a fifth of the time
        return x @ np.full((x.shape[-1], 1), 1 / x.shape[-1], x.dtype)
    return x.mean(axis=axis, keepdims=True)


def average_product(x, y, axis):
    """The mean of x y over `axis`, which keeps size 1."""
    if axis == (-1,):  # without an array of products
        return np.einsum("...c,...c->...", x, y)[..., None] / x.shape[-1]
    return (x * y).mean(axis=axis, keepdims=True)


def layer_norm_backward_beta(d, *, axis=(-1,)):
    """Σ d over the other axes."""
    return sum_along(d, axis)


def group_norm_backward(d, x, gamma=None, *, groups, axis=-1, epsilon=1e-3):
    """`layer_norm_backward` over each group of channels and all its cells: shape kept. With gamma also its gradient."""
    axis %= x.ndim
    c = x.shape[axis]
    before, after = (int(np.prod(sizes)) for sizes in (x.shape[1:axis], x.shape[axis + 1 :]))

    def over_group(sums):
        """The mean over each group from the sums over the cells of each channel: (N, C) → (N, 1, C, 1)."""
        y = sums.reshape(len(x), groups, c // groups).mean(axis=2) / (before * after)
        return np.repeat(y, c // groups, axis=1).reshape(len(x), 1, c, 1)

    y, g = (array.reshape(len(x), before, c, after) for array in (x, d))
    y = y - over_group(np.einsum("nacb->nc", y))
    r = 1 / np.sqrt(over_group(np.einsum("nacb,nacb->nc", y, y)) + epsilon)
    y *= r
    total, product = np.einsum("nacb->nc", g), np.einsum("nacb,nacb->nc", g, y)
    scale = np.ones(c, x.dtype) if gamma is None else gamma
    dx = g * (r * scale.reshape(1, 1, c, 1))
    dx -= r * over_group(total * scale)
    y *= r * over_group(product * scale)
    dx -= y
    dx = dx.reshape(x.shape)
    return dx if gamma is None else (dx, product.sum(axis=0))


def rms_norm_backward(d, x, gamma=None, *, axis=(-1,), epsilon=1e-7):
    """With x̂ = x r, r = 1 / √(mean of x² + ε) and g = d * gamma: (g - x̂ * mean of g x̂) r. Shape kept.

    With gamma also its gradient, Σ d * x̂ over the axes that it does not have.
    """
    r = 1 / np.sqrt(mean_square(x, axis) + epsilon)
    y = x * r
    g = d if gamma is None else d * gamma
    dx = y * -average_product(g, y, axis)
    dx += g
    dx *= r
    return dx if gamma is None else (dx, sum_like(d * y, gamma, None))


def variance_norm_backward(d, x, gamma=None, *, axis=(-1,), epsilon=1e-3):
    """With r = 1 / √(variance + ε) and g = d * gamma: g r - (x - mean) r³ * mean of g x. Shape kept.

    With gamma also its gradient, Σ d * x r over the other axes.
    """
    r = 1 / np.sqrt(x.var(axis=axis, keepdims=True) + epsilon)
    g = d if gamma is None else d * along(gamma, axis, x.ndim)
    dx = g * r - (x - average(x, axis)) * (r**3 * average_product(g, x, axis))
    return dx if gamma is None else (dx, sum_along(d * x * r, axis))


def normalization_backward(d, variance, *, invert=False, epsilon=1e-7):
    """d / max(√variance, ε), or of the inverse d * max(√variance, ε): shape kept."""
    deviation = np.maximum(np.sqrt(variance), epsilon)
    return d * deviation if invert else d / deviation


def normalization_backward_mean(d, mean, variance, *, invert=False, epsilon=1e-7):
    """-d / max(√variance, ε), or of the inverse d, summed over what the mean was repeated for."""
    return sum_like(d if invert else d / -np.maximum(np.sqrt(variance), epsilon), mean, None)


def normalization_backward_variance(d, x, mean, variance, *, invert=False, epsilon=1e-7):
    """With m = max(√variance, ε): -½ Σ d (x - mean) / m³, or of the inverse ½ Σ d x / m, where √variance is above ε."""
    m = np.maximum(np.sqrt(variance), epsilon)
    y = x / m if invert else (x - mean) / -(m**3)
    return sum_like(d * y * 0.5, variance, None) * (m > epsilon)


def normalize_backward(d, x, *, axis=-1, order=2, epsilon=1e-12):
    """With m = max(‖x‖, ε) and y = x / m: (d - sign(x) (|x| / m)^(order - 1) Σ d y) / m, where the norm is above ε.

    Elsewhere it is d / ε: shape kept.
    """
    norm = np.sum(np.abs(x) ** order, axis=axis, keepdims=True) ** (1.0 / order)
    m = np.maximum(norm, epsilon)
    y = x / m
    total = np.sum(d * y, axis=axis, keepdims=True) * (norm >= epsilon)
    return (d - (y if order == 2 else np.sign(y) * np.abs(y) ** (order - 1)) * total) / m


def local_response_norm_backward(d, x, *, depth_radius=5, bias=1.0, alpha=1.0, beta=0.5):
    """With t = bias + alpha * sum of x² around: d / t^beta - 2 alpha beta x * (sum of d x / t^(beta + 1) around)."""
    t = bias + alpha * sum_around(np.square(x), depth_radius)
    y = d / t**beta
    return y - 2 * alpha * beta * x * sum_around(y * x / t, depth_radius)


def sum_around(x, radius):
    """The sum over the 2 * radius + 1 channels around each: shape kept."""
    y = x.copy()
    for step in range(1, min(radius, x.shape[-1] - 1) + 1):
        y[..., step:] += x[..., :-step]
        y[..., :-step] += x[..., step:]
    return y
