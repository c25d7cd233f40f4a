"""Activations of lists of numbers, by the same formulas as those of arrays."""

import math

from kerasgen.pure_kernels.lists import along, floats


def exp(x):
    """exp(x); infinity where that exceeds the floats."""
    try:
        return math.exp(x)
    except (OverflowError, ValueError):  # MicroPython's is the second
        return float("inf")


def log1p(x):
    """log(1 + x), exact for small x too (Kahan's formula): not every interpreter has `math.log1p`."""
    y = 1.0 + x
    return x if y == 1.0 else math.log(y) * x / (y - 1.0)


def identity(x):
    """x."""
    return x


def relu(x):
    """max(x, 0)."""
    return floats(0.0 if v < 0 else v for v in x)


def relu6(x):
    """min(max(x, 0), 6)."""
    return floats(min(max(v, 0.0), 6.0) for v in x)


def general_relu(x, *, negative_slope=0.0, max_value=None, threshold=0.0):
    """x above the threshold, up to max_value; negative_slope * (x - threshold) below it."""
    y = (v if v > threshold else negative_slope * (v - threshold) for v in x)
    return floats(y) if max_value is None else floats(min(v, max_value) for v in y)


def leaky_relu(x, *, negative_slope=0.2):
    """x above 0, negative_slope * x below."""
    return floats(v if v > 0 else negative_slope * v for v in x)


def elu(x, *, alpha=1.0):
    """x above 0, alpha * (exp(x) - 1) below."""
    return floats(v if v > 0 else alpha * math.expm1(v) for v in x)


def selu(x):
    """scale * elu(x), self-normalising (Klambauer et al. 2017)."""
    return floats(1.0507009873554805 * v for v in elu(x, alpha=1.6732632423543772))


def celu(x, *, alpha=1.0):
    """x above 0, alpha * (exp(x / alpha) - 1) below, with a continuous slope."""
    return floats(v if v > 0 else alpha * math.expm1(v / alpha) for v in x)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return floats(1.0 / (1.0 + exp(-v)) for v in x)


def tanh(x):
    """tanh(x)."""
    return floats(math.tanh(v) for v in x)


def exponential(x):
    """exp(x)."""
    return floats(exp(v) for v in x)


def softmax(x, *, shape=None, axes=(0,)):
    """exp(x) / sum(exp(x)) along these axes, by default of a list of one axis.

    Subtracting the maximum changes nothing but the overflow.
    """

    def row(cells):
        largest = max(cells)
        powers = [exp(v - largest) for v in cells]
        total = sum(powers)
        return [v / total for v in powers]

    return along(row, x, shape or (len(x),), axes)


def log_softmax(x, *, shape=None, axes=(0,)):
    """log(softmax(x)) along these axes, by default of a list of one axis."""

    def row(cells):
        largest = max(cells)
        shift = largest + math.log(sum(exp(v - largest) for v in cells))
        return [v - shift for v in cells]

    return along(row, x, shape or (len(x),), axes)


def softplus(x):
    """log(1 + exp(x)), in a form that does not overflow."""
    return floats(max(v, 0.0) + log1p(exp(-abs(v))) for v in x)


def softsign(x):
    """x / (1 + |x|)."""
    return floats(v / (1.0 + abs(v)) for v in x)


def silu(x):
    """x * sigmoid(x), also called swish."""
    return floats(v / (1.0 + exp(-v)) for v in x)


def mish(x):
    """x * tanh(softplus(x))."""
    return floats(v * math.tanh(s) for v, s in zip(x, softplus(x)))


def hard_sigmoid(x):
    """relu6(x + 3) / 6, as in Keras 3."""
    return floats(min(max(v + 3.0, 0.0), 6.0) / 6.0 for v in x)


def hard_sigmoid_keras2(x):
    """0.2x + 0.5 clipped to [0, 1], as in Keras 1 and 2."""
    return floats(min(max(0.2 * v + 0.5, 0.0), 1.0) for v in x)


def hard_silu(x):
    """x * hard_sigmoid(x), also called hard swish."""
    return floats(v * min(max(v + 3.0, 0.0), 6.0) / 6.0 for v in x)


def gelu(x, *, approximate=False):
    """x * Φ(x) with Φ the normal distribution function, or its approximation by tanh (Hendrycks and Gimpel 2016)."""
    if approximate:
        return floats(0.5 * v * (1 + math.tanh(0.7978845608028654 * v * (1 + 0.044715 * v * v))) for v in x)
    return floats(0.5 * v * (1.0 + math.erf(0.7071067811865476 * v)) for v in x)


def hard_shrink(x, *, threshold=0.5):
    """x where |x| exceeds the threshold, else 0."""
    return floats(v if abs(v) > threshold else 0.0 for v in x)


def soft_shrink(x, *, threshold=0.5):
    """x moved towards 0 by the threshold, but not past it."""
    return floats(max(v - threshold, 0.0) + min(v + threshold, 0.0) for v in x)


def tanh_shrink(x):
    """x - tanh(x)."""
    return floats(v - math.tanh(v) for v in x)


def hard_tanh(x):
    """x clipped to [-1, 1]."""
    return floats(min(max(v, -1.0), 1.0) for v in x)


def log_sigmoid(x):
    """log(sigmoid(x)), in a form that does not overflow."""
    return floats(min(v, 0.0) - log1p(exp(-abs(v))) for v in x)


def sparse_sigmoid(x):
    """(x + 1) / 2 clipped to [0, 1]."""
    return floats(min(max(0.5 * (v + 1.0), 0.0), 1.0) for v in x)


def sparse_plus(x):
    """The integral of sparse_sigmoid: 0 below -1, x above 1, (x + 1)² / 4 between."""
    return floats(v if v >= 1 else 0.25 * (max(v, -1.0) + 1.0) ** 2 for v in x)


def squareplus(x, *, b=4):
    """(x + √(x² + b)) / 2."""
    return floats((v + math.sqrt(v * v + b)) / 2 for v in x)


def threshold(x, *, threshold, default_value):
    """x above the threshold, the default elsewhere."""
    return floats(v if v > threshold else default_value for v in x)


def prelu(x, alpha):
    """x above 0, alpha * x below, with an alpha for each cell."""
    return floats(v if v > 0 else a * v for v, a in zip(x, alpha))
