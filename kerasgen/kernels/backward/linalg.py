"""Gradients of matrix products and decompositions. `d` is always the gradient of the result."""

import numpy as np


def outer_backward(d, other, like=None, *, axis, shape=None):
    """d times the other vector, summed over this axis of d, in the shape of the operand: (M, N) with N cells → M."""
    rest = like.size if shape is None else d.size // max(other.size, 1)
    y = d.reshape(rest, other.size) if axis == 1 else d.reshape(other.size, rest).T
    y = y @ other.reshape(other.size)
    return y.reshape(like.shape if shape is None else (rest // int(np.prod(shape)),) + shape)


def kron_backward(d, other, *, i, ndim):
    """Each block of d, or for i = 1 each cell, times the other operand, added up: the operand has `ndim` axes."""
    other = other.reshape((1,) * (d.ndim - other.ndim) + other.shape)
    sizes = [(size // max(k, 1), k) if i == 0 else (k, size // max(k, 1)) for size, k in zip(d.shape, other.shape)]
    axes = range(1 - i, 2 * d.ndim, 2)
    y = np.tensordot(d.reshape([size for pair in sizes for size in pair]), other, axes=(axes, range(d.ndim)))
    return y.reshape(y.shape[d.ndim - ndim :])


def contract(a, b, *, subscripts):
    """np.einsum by one matrix product per batch; no axis is only in a or only in b, but not in the result."""
    terms, _, result = subscripts.partition("->")
    first, _, second = terms.partition(",")
    sizes = dict(zip(first + second, a.shape + b.shape))
    batch = [axis for axis in first if axis in second and axis in result]
    inner = [axis for axis in first if axis in second and axis not in result]
    left = [axis for axis in first if axis not in second]
    right = [axis for axis in second if axis not in first]
    n, k, rows, columns = ([sizes[axis] for axis in group] for group in (batch, inner, left, right))
    a = a.transpose([first.index(axis) for axis in batch + left + inner])
    b = b.transpose([second.index(axis) for axis in batch + inner + right])
    k, many, others = int(np.prod(k)), int(np.prod(rows)), int(np.prod(columns))
    y = a.reshape(n + [many, k]) @ b.reshape(n + [k, others])
    y = y.reshape(n + rows + columns)
    return y.transpose([(batch + left + right).index(axis) for axis in result])


def einsum_backward(d, like, *, subscripts):
    """The gradient of einsum with one operand `like`: repeated along the axes that it sums, on diagonals that it takes.

    The subscripts are the axes of d, then those of `like`; an axis that is there twice is a diagonal.
    """
    have, _, want = subscripts.partition("->")
    axes = "".join(sorted(set(want), key=want.index))
    y = np.zeros(like.shape, d.dtype)
    steps, sizes = {}, {}
    for axis, step, size in zip(want, y.strides, y.shape):
        steps[axis], sizes[axis] = steps.get(axis, 0) + step, size
    view = np.lib.stride_tricks.as_strided(y, [sizes[a] for a in axes], [steps[a] for a in axes])
    view[...] = d.reshape([sizes[a] if a in have else 1 for a in axes])
    return y


def adjoint(x):
    """The conjugate transpose of matrices: (..., M, N) → (..., N, M)."""
    return np.swapaxes(x, -2, -1).conj()


def inv_backward(d, y):
    """-Yᵀ d Yᵀ: shape kept."""
    y = adjoint(y)
    return -(y @ d @ y)


def det_backward(d, x, y):
    """d y X⁻ᵀ: (...) → (..., M, M)."""
    return (d * y)[..., np.newaxis, np.newaxis] * adjoint(np.linalg.inv(x))


def logdet_backward(d, x):
    """d X⁻¹, with X symmetric, of which Cholesky's method reads the lower triangle: (...) → (..., M, M)."""
    return d[..., np.newaxis, np.newaxis] * np.linalg.inv(np.tril(x) + adjoint(np.tril(x, -1)))


def slogdet_backward(d, x):
    """d X⁻ᵀ, with d that of the logarithm: (...) → (..., M, M)."""
    return d[..., np.newaxis, np.newaxis] * adjoint(np.linalg.inv(x))


def lower_half(x):
    """The lower triangle, with half of the diagonal."""
    return np.tril(x) - x * (np.eye(x.shape[-1], dtype=x.dtype) / 2)


def cholesky_backward(d, y):
    """The symmetric part of L⁻ᵀ Φ(Lᵀ d) L⁻¹, with Φ the lower triangle and half of the diagonal: shape kept."""
    inverse = np.linalg.inv(y)
    x = adjoint(inverse) @ lower_half(adjoint(y) @ d) @ inverse
    return (x + adjoint(x)) / 2


def cholesky_inverse_backward(d, x, y, *, upper=False):
    """The lower triangle of -Y (d + dᵀ) Y L, or the upper one of -U Y (d + dᵀ) Y: shape kept."""
    z = -(y @ (d + adjoint(d)) @ y)
    return np.triu(np.triu(x) @ z) if upper else np.tril(z @ np.tril(x))


def solve_backward(d, y):
    """-d yᵀ, with d the gradient of b, for matrices or vectors: the shape of a."""
    return -(d @ np.swapaxes(y, -2, -1))


def safe_inverse(x):
    """1 / x, and 0 where x is 0."""
    zero = x == 0
    return np.where(zero, 0, 1 / np.where(zero, 1, x))


def eigh_backward(d_values, d_vectors, values, vectors):
    """V (diag(d_values) + Vᵀ d_V / (λⱼ - λᵢ)) Vᵀ, of the lower triangle: (..., M), (..., M, M) → (..., M, M)."""
    middle = np.zeros_like(vectors)
    if d_vectors is not None:
        middle = adjoint(vectors) @ d_vectors
        middle = middle * safe_inverse(values[..., np.newaxis, :] - values[..., :, np.newaxis])
    if d_values is not None:
        middle = middle + d_values[..., np.newaxis] * np.eye(values.shape[-1], dtype=values.dtype)
    x = vectors @ middle @ adjoint(vectors)
    return lower_half(x + adjoint(x))


def eig_backward(d_values, d_vectors, values, vectors):
    """V⁻ᴴ (diag(d_values) + (Vᴴ d_V - Vᴴ V Re diag(Vᴴ d_V)) / (λⱼ - λᵢ)*) Vᴴ, the real part: shape of the matrix."""
    turned = adjoint(vectors)
    middle = np.zeros_like(vectors)
    if d_vectors is not None:
        z = turned @ d_vectors
        z = z - turned @ vectors * np.diagonal(z, 0, -2, -1).real[..., np.newaxis, :]
        middle = z * safe_inverse(values[..., np.newaxis, :] - values[..., :, np.newaxis]).conj()
    if d_values is not None:
        middle = middle + d_values[..., np.newaxis] * np.eye(values.shape[-1], dtype=values.dtype)
    return np.linalg.solve(turned, middle @ turned).real


def svd_values_backward(d, x):
    """U diag(d) Vᵀ: (..., K) → (..., M, N)."""
    u, _, v = np.linalg.svd(x, full_matrices=False)
    return (u * d[..., np.newaxis, :]) @ v


def svd_backward(d_u, d_s, d_v, u, s, v):
    """U (diag(d_s) + (F skew(Uᵀ d_U)) S + S (F skew(Vᵀ d_V))) Vᵀ, with Fᵢⱼ = 1 / (sⱼ² - sᵢ²) and skew(A) = A - Aᵀ.

    Of thin matrices, also what they leave out: (..., M, K), (..., K), (..., K, N) → (..., M, N).
    """
    row, column = s[..., np.newaxis, :], s[..., np.newaxis]
    f = safe_inverse(row * row - column * column)
    middle = np.zeros_like(f) if d_s is None else d_s[..., np.newaxis] * np.eye(s.shape[-1], dtype=s.dtype)
    outside = 0
    if d_u is not None:
        z = adjoint(u) @ d_u
        middle = middle + f * (z - adjoint(z)) * row
        outside = ((d_u - u @ z) / row) @ v
    if d_v is not None:
        z = v @ adjoint(d_v)
        middle = middle + column * (f * (z - adjoint(z)))
        outside = outside + (u / row) @ (d_v - adjoint(z) @ v)
    return u @ middle @ v + outside


def pinv_backward(d, x, *, rcond=None):
    """With g = 1/s of the singular values, 0 for those that count as zero: (..., N, M) → (..., M, N).

    U (D sym(Uᵀ dᵀ V) + E skew(Uᵀ dᵀ V)) Vᵀ, where D = (gᵢ - gⱼ) / (sᵢ - sⱼ) and E = (gᵢ + gⱼ) / (sᵢ + sⱼ), and what
    is outside of U and V times g².
    """
    u, s, v = np.linalg.svd(x, full_matrices=False)
    limit = 10 * max(x.shape[-2:]) * np.finfo(x.dtype).eps if rcond is None else rcond
    nonzero = s > limit * np.max(s, axis=-1, keepdims=True)
    g = np.where(nonzero, safe_inverse(s), 0)
    si, sj, gi, gj = s[..., np.newaxis], s[..., np.newaxis, :], g[..., np.newaxis], g[..., np.newaxis, :]
    same = nonzero[..., np.newaxis] == nonzero[..., np.newaxis, :]
    slopes = np.where(same, -gi * gj, (gi - gj) * safe_inverse(si - sj))
    means = (gi + gj) * safe_inverse(si + sj)
    d = adjoint(d)
    left, right = adjoint(u) @ d, d @ adjoint(v)
    z = left @ adjoint(v)
    middle = slopes * (z + adjoint(z)) / 2 + means * (z - adjoint(z)) / 2
    return u @ middle @ v + (right - u @ z) * (gj * gj) @ v + u * (gj * gj) @ (left - z @ v)


def lstsq_backward(d, a, b, *, rcond=None):
    """Those of a and b, by the pseudoinverse: d bᵀ through it, and its transpose times d."""
    rcond = np.finfo(a.dtype).eps * max(a.shape) if rcond is None else rcond
    columns = b.reshape(len(b), -1), d.reshape(len(d), -1)
    d_a = pinv_backward(columns[1] @ columns[0].T, a, rcond=rcond)
    return d_a, np.linalg.pinv(a, rcond).T @ d


def lu_factor_backward(d, lu, rows):
    """L⁻ᵀ (tril(Lᵀ d_L, -1) + triu(d_U Uᵀ)) U⁻ᵀ, its rows in the order of the matrix: shape kept."""
    eye = np.eye(lu.shape[-1], dtype=lu.dtype)
    lower, upper = np.tril(lu, -1) + eye, np.triu(lu)
    middle = np.tril(adjoint(lower) @ np.tril(d, -1), -1) + np.triu(np.triu(d) @ adjoint(upper))
    x = np.linalg.solve(adjoint(lower), adjoint(np.linalg.solve(upper, adjoint(middle))))
    return np.take_along_axis(x, rows[..., np.newaxis], axis=-2)


def qr_backward(d_q, d_r, q, r):
    """Q (d_R + tril(skew(Qᵀ d_Q) + skew(R d_Rᵀ)) R⁻ᵀ) + (d_Q - Q Qᵀ d_Q) R⁻ᵀ, with skew(A) = A - Aᵀ: (..., M, N).

    Those of a wide matrix X after the first M only matter to R, as Qᵀ X: Q d_R, and for Q, X d_Rᵀ more.
    """
    m, n = q.shape[-2], r.shape[-1]
    d_q = np.zeros_like(q) if d_q is None else d_q
    d_r = np.zeros_like(r) if d_r is None else d_r
    square, rest = r[..., : min(m, n)], q @ d_r[..., m:]
    if n > m:
        d_q = d_q + (q @ r[..., m:]) @ adjoint(d_r[..., m:])
    d_r = d_r[..., : min(m, n)]
    inside, product = adjoint(q) @ d_q, square @ adjoint(d_r)
    lower = np.tril(inside - adjoint(inside) + product - adjoint(product))
    z = np.linalg.solve(square, adjoint(q @ lower + d_q - q @ inside))
    return np.concatenate((q @ d_r + adjoint(z), rest), axis=-1)
