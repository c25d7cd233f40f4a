"""Activations; all keep shape and dtype. Formulas as in keras/src/activations/activations.py.

Docstrings state the error bound where it exceeds one rounding: relative to the result, or to |x| where the formula is a
difference that cancels digits. `eps` is that of the dtype, 1.2e-7 in float32. Near the smallest numbers of the dtype,
digits are lost in any case.
"""

import numpy as np

from kerasgen.kernels.matmul import BLAS, matmul

# Minimax fits of erf(x) / x by P(x²) / Q(x²): the coefficients of both, highest power first.
ERF_SINGLE = (
    1.4185343583578851e-7,
    -5.668494793138155e-6,
    8.763743013922556e-5,
    -6.19784886717706e-4,
    -1.9183059851015944e-4,
    1.0276905573284176e-1,
    1.1283792743090857,
)
# Φ(x) = 1 / (1 + exp(x * Q(x²))), with Φ the normal distribution function: the coefficients of Q, highest power first.
PHI_SINGLE = (  # a minimax fit for float32
    -3.512340440791333e-9,
    2.645266452391468e-7,
    -7.929488453782492e-6,
    1.1061238558742728e-4,
    6.518995489952225e-5,
    -7.266616915072786e-2,
    -1.5957698829202251,
)
PHI_BY_TANH = (-0.07135481627260025, -1.5957691216057308)  # -√(8/π) * (0.044715 x² + 1)
ERF_DOUBLE = (
    (1.59984206432910671e-17, 8.98342249039762720e-16),
    (2.25215705460685329e-14, 3.34286649882525477e-13),
    (3.34402640316889761e-12, 2.54296680871387425e-11),
    (1.71108339868784510e-10, 1.11932636708577659e-9),
    (6.73137781503668738e-9, 3.49688161942664717e-8),
    (1.68422237025340748e-7, 8.30670279815999055e-7),
    (3.88415772018929318e-6, 1.54248437809661657e-5),
    (5.66336776992961541e-5, 2.2516419911319883e-4),
    (8.53192732406097588e-4, 2.55610255751924885e-3),
    (6.86172874578442216e-3, 2.19302652569343011e-2),
    (6.60317123442961951e-2, 1.34519047616988879e-1),
    (2.19657696789455764e-1, 5.27999898611084761e-1),
    (1.12837916709551256, 1.0),
)


def identity(x):
    """x."""
    return x


def stop_gradient(x):
    """x, through which no gradient goes."""
    return x


def relu(x, out=None):
    """max(x, 0), against an array of zeros: against a single zero, NumPy takes two to four times as long.

    An array of the shape of x is the fastest while it stays in the cache; then, one row of an image.
    """
    if not BLAS and by_bits(x):
        return clip_bits(x, np.inf, out)
    zeros = np.zeros(x.shape if x.size < 32768 else x.shape[1:][-2:], x.dtype)
    return np.maximum(x, zeros, out=out)


def relu6(x, out=None):
    """min(max(x, 0), 6)."""
    return clip_bits(x, 6, out) if not BLAS and by_bits(x) else x.clip(0, 6, out)


def by_bits(x):
    """Whether `clip_bits` is right: no number is a NaN, which makes their sum one.

    It is faster without SIMD, which NumPy lacks in Pyodide, as it lacks a BLAS. Where it lacks the BLAS alone, both
    ways take the same time.
    """
    return x.dtype.kind == "f" and not np.isnan(np.einsum("i->", x.reshape(-1)))


def clip_bits(x, high, out=None):
    """min(max(x, 0), high) of the bits as integers: they are in the order of the floats from 0 on, and below 0 else."""
    y, bits = np.empty_like(x) if out is None else out, f"i{x.itemsize}"
    np.clip(x.view(bits), 0, np.full((), high, x.dtype).view(bits), out=y.view(bits))
    return y


def general_relu(x, *, negative_slope=0.0, max_value=None, threshold=0.0):
    """x above the threshold, up to max_value; negative_slope * (x - threshold) below it."""
    y = np.where(x > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else np.minimum(y, max_value)


def leaky_relu(x, *, negative_slope=0.2):
    """x above 0, negative_slope * x below: the larger of both, if the slope is from 0 to 1."""
    if 0 < negative_slope <= 1:
        return np.maximum(x, negative_slope * x)
    return np.maximum(x, 0) + negative_slope * np.minimum(x, 0)


def prelu(x, alpha):
    """x above 0, alpha * x below, with an `alpha` that broadcasts over the samples."""
    y = np.minimum(x, 0)
    y *= alpha
    y += np.maximum(x, 0)
    return y


def elu(x, *, alpha=1.0):
    """x above 0, alpha * (exp(x) - 1) below. Relative error up to 8 eps.

    exp(x) - 1 = 2t / (1 - t) with t = tanh(x / 2). NumPy's `expm1` takes twice the time: it has SIMD with AVX-512 only.
    """
    t = np.tanh(0.5 * np.minimum(x, 0))
    t *= 2 * alpha / (1 - t)
    t += np.maximum(x, 0)
    return t


def selu(x):
    """scale * elu(x), self-normalising (Klambauer et al. 2017). Relative error up to 8 eps."""
    return 1.0507009873554805 * elu(x, alpha=1.6732632423543772)


def sigmoid(x):
    """1 / (1 + exp(-x)). Relative error up to 8 eps; 0 where exp overflows."""
    with np.errstate(over="ignore"):
        y = np.exp(-x)
    y += 1
    return np.divide(1, y, out=y)


def tanh(x):
    """tanh(x). Relative error up to 8 eps."""
    return np.tanh(x)


def exponential(x):
    """exp(x). Relative error up to 8 eps."""
    return np.exp(x)


def softmax(x, *, axis=-1):
    """exp(x) / sum(exp(x)) along `axis`; subtracting the maximum changes nothing but the overflow.

    Error up to 8 eps; relative to the result, up to 8 eps (1 + maximum - x).
    """
    y = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    y /= np.add.reduce(y, axis=axis, keepdims=True)
    return y


def softmax_by_columns(x):
    """`softmax` of many cells with few channels: NumPy takes the maximum of columns faster than that of short rows.

    Error up to 8 eps; relative to the result, up to 8 eps (1 + maximum - x).
    """
    columns = x.shape[-1]
    highest = x[..., :1].copy()
    for column in range(1, columns):
        np.maximum(highest, x[..., column : column + 1], out=highest)
    y = np.exp(x - highest)
    y /= matmul(y.reshape(-1, columns), np.ones((columns, 1), y.dtype)).reshape(highest.shape)
    return y


def log_softmax(x, *, axis=-1):
    """log(softmax(x)) along `axis`. Error up to 8 eps (1 + |result|)."""
    y = x - np.max(x, axis=axis, keepdims=True)
    y -= np.log(np.sum(np.exp(y), axis=axis, keepdims=True))
    return y


def softplus(x):
    """log(1 + exp(x)) = max(x, 0) + log(1 + e) with e = exp(-|x|), which does not overflow. Relative error up to 8 eps.

    log(1 + e) = log(u) + (1 + e - u) / u with u = 1 + e rounded. NumPy's `log1p` takes twice the time, as `expm1` does.
    """
    e = np.exp(-np.abs(x))
    u = 1 + e
    e -= u - 1
    e /= u
    e += np.log(u)
    e += np.maximum(x, 0)
    return e


def softsign(x):
    """x / (1 + |x|). Relative error up to 8 eps."""
    return x / (1 + np.abs(x))


def silu(x):
    """x * sigmoid(x), also called swish, as x / (1 + exp(-x)). Relative error up to 8 eps; 0 where exp overflows."""
    y = -x
    with np.errstate(over="ignore"):
        np.exp(y, out=y)
    y += 1
    return np.divide(x, y, out=y)


def mish(x):
    """x * tanh(softplus(x)) = x * n / (n + 2) with n = exp(x) * (exp(x) + 2). Relative error up to 8 eps."""
    y = np.exp(np.minimum(x, 5 if x.dtype == np.float16 else 20))  # above, tanh is 1, and n may be too large
    y *= y + 2
    y /= y + 2
    y *= x
    return y


def hard_sigmoid(x):
    """relu6(x + 3) / 6, as in Keras 3."""
    y = x + 3.0
    np.clip(y, 0, 6, out=y)
    y *= 1 / 6
    return y


def hard_sigmoid_keras2(x):
    """0.2x + 0.5 clipped to [0, 1], as in Keras 1 and 2."""
    return np.minimum(np.maximum(0.2 * x + 0.5, 0), 1)


def hard_silu(x):
    """x * hard_sigmoid(x), also called hard swish."""
    y = hard_sigmoid(x)
    y *= x
    return y


def erf(x):
    """2/√π ∫₀ˣ exp(-t²) dt by a minimax fit for float32 and one for float64. Relative error up to 8 eps.

    In float32 it is tanh(x * P(x²)), which costs little more than tanh; beyond the fit, tanh is ±1.
    In float64 it is x * P(x²) / Q(x²). All coefficients are positive, so nothing cancels; at the limit, the quotient
    exceeds 1.
    """
    if x.dtype != np.float64:
        with np.errstate(over="ignore"):
            square = x * x
            p = ERF_SINGLE[0] * square
            for a in ERF_SINGLE[1:-1]:
                p += a
                p *= square
            p += ERF_SINGLE[-1]
            p *= x
        return np.tanh(p, out=p)
    x = np.minimum(np.maximum(x, -6.3), 6.3)
    square = x * x
    p, q = np.zeros_like(x), np.zeros_like(x)
    for a, b in ERF_DOUBLE:
        p *= square
        p += a
        q *= square
        q += b
    return np.minimum(np.maximum(x * p / q, -1), 1)


def gelu(x, *, approximate=False):
    """x * Φ(x) with Φ the normal distribution function, or its approximation by tanh (Hendrycks and Gimpel 2016).

    Error up to 8 eps |x|: where the result is much smaller than x, as below -5, few of its digits are correct.
    """
    if x.dtype == np.float64 and not approximate:
        half = 0.5 * x
        return half + half * erf(0.7071067811865476 * x)
    if x.dtype == np.float16:  # too narrow for the coefficients
        return gelu(x.astype(np.float32), approximate=approximate).astype(np.float16)
    first, *others, last = PHI_BY_TANH if approximate else PHI_SINGLE
    with np.errstate(over="ignore"):
        square = x * x
        y = first * square
        for a in others:
            y += a
            y *= square
        y += last
        y *= x
        np.exp(y, out=y)
    y += 1
    return np.divide(x, y, out=y)


def celu(x, *, alpha=1.0):
    """x above 0, alpha * (exp(x / alpha) - 1) below, with a continuous slope. Relative error up to 8 eps."""
    return np.maximum(x, 0) + alpha * np.expm1(np.minimum(x, 0) / alpha)


def glu(x, *, axis=-1):
    """One half of `axis` times the sigmoid of the other. Relative error up to 8 eps."""
    a, b = np.split(x, 2, axis=axis)
    return a * sigmoid(b)


def hard_shrink(x, *, threshold=0.5):
    """x where |x| exceeds the threshold, else 0."""
    return np.where(np.abs(x) > threshold, x, 0)


def soft_shrink(x, *, threshold=0.5):
    """x moved towards 0 by the threshold, but not past it."""
    return np.maximum(x - threshold, 0) + np.minimum(x + threshold, 0)


def tanh_shrink(x):
    """x - tanh(x). Error up to 8 eps |x|."""
    return x - np.tanh(x)


def hard_tanh(x):
    """x clipped to [-1, 1]."""
    return np.minimum(np.maximum(x, -1), 1)


def log_sigmoid(x):
    """log(sigmoid(x)) = -softplus(-x). Relative error up to 8 eps."""
    return -softplus(-x)


def sparse_sigmoid(x):
    """(x + 1) / 2 clipped to [0, 1]."""
    return np.minimum(np.maximum(0.5 * (x + 1), 0), 1)


def sparse_plus(x):
    """The integral of sparse_sigmoid: 0 below -1, x above 1, (x + 1)² / 4 between."""
    y = hard_tanh(x) + 1
    return np.where(x < 1, 0.25 * y * y, x)


def squareplus(x, *, b=4):
    """(x + √(x² + b)) / 2. Relative error up to 8 eps above 0; below, error up to 8 eps (1 + |x|)."""
    return (x + np.hypot(x, b**0.5)) / 2


def threshold(x, *, threshold, default_value):
    """x above the threshold, the default elsewhere."""
    return np.where(x > threshold, x, default_value)


def sparsemax(x, *, axis=-1):
    """max(x - τ, 0) along `axis`, with τ as in Keras.

    In Martins and Astudillo (2016), τ has the sum of the k largest elements; Keras adds up all partial sums until then.
    """
    x = np.moveaxis(x, axis, -1)
    descending = np.sort(x, axis=-1)[..., ::-1]
    sums = np.cumsum(descending, axis=-1)
    support = descending * np.arange(1, x.shape[-1] + 1, dtype=x.dtype) > sums - 1
    k = np.sum(support, axis=-1, keepdims=True, dtype=x.dtype)
    tau = (np.sum(np.where(support, sums, 0), axis=-1, keepdims=True) - 1) / k
    return np.moveaxis(np.maximum(x - tau, 0), -1, axis)
