"""Linear algebra of matrices in the last two axes, where NumPy differs from Keras."""

import numpy as np


def cholesky(x):
    """The lower triangle L with L @ Lᵀ = x, NaN where `x` is not positive definite: (..., M, M), shape kept."""
    try:
        return np.linalg.cholesky(x)
    except np.linalg.LinAlgError:
        if x.ndim > 2:
            return np.stack([cholesky(matrix) for matrix in x])
        return np.tril(np.full_like(x, np.nan))


def cholesky_inverse(x, *, upper=False):
    """The inverse of the matrix whose Cholesky factor, lower or upper, is `x`: shape nonzero."""
    inverse = np.linalg.inv(np.triu(x) if upper else np.tril(x))
    other = np.swapaxes(inverse, -2, -1)
    return inverse @ other if upper else other @ inverse


def eig(x):
    """Eigenvalues and eigenvectors, complex even if all are real: (..., M, M) → (..., M), (..., M, M)."""
    values, vectors = np.linalg.eig(x)
    dtype = np.result_type(x.dtype, np.complex64)
    return values.astype(dtype), vectors.astype(dtype)


def lstsq(a, b, *, rcond=None):
    """The x for which a @ x is nearest to b: (M, N), (M, K) → (N, K), or without K.

    Singular values below `rcond` times the largest count as zero.
    """
    if rcond is None:
        rcond = np.finfo(a.dtype).eps * max(a.shape)
    u, s, v = np.linalg.svd(a, full_matrices=False)
    nonzero = s >= rcond * s[0]
    return v.T * (nonzero / np.where(nonzero, s, 1)) @ (u.T @ b)


def lu_factor(x):
    """L, without its unit diagonal, and U in one matrix; then the row of L @ U that equals each row of `x`.

    Partial pivoting, the largest of each column: (..., M, M) → (..., M, M), (..., M).
    """
    lu = x.copy()
    order = np.zeros(x.shape[:-1], np.int32) + np.arange(x.shape[-1], dtype=np.int32)
    for i in np.ndindex(*x.shape[:-2]):
        matrix, rows = lu[i], order[i]
        for k in range(len(matrix) - 1):
            pivot = k + np.argmax(np.abs(matrix[k:, k]))
            matrix[[k, pivot]], rows[[k, pivot]] = matrix[[pivot, k]], rows[[pivot, k]]
            matrix[k + 1 :, k] /= matrix[k, k]
            matrix[k + 1 :, k + 1 :] -= np.outer(matrix[k + 1 :, k], matrix[k, k + 1 :])
    return lu, np.argsort(order, axis=-1).astype(np.int32)


def pinv(x, *, rcond=None):
    """The pseudoinverse; singular values below `rcond` times the largest count as zero: (..., M, N) → (..., N, M)."""
    if rcond is None:
        rcond = 10 * max(x.shape[-2:]) * np.finfo(x.dtype).eps
    return np.linalg.pinv(x, rcond)


def qr(x, *, mode="reduced"):
    """An orthogonal and an upper triangular matrix whose product is `x`: (..., M, N) → (..., M, K), (..., K, N).

    K is M if the mode is "complete", else the smaller of M and N. NumPy before 1.22 takes one matrix at a time.
    """
    m, n = x.shape[-2:]
    k = m if mode == "complete" else min(m, n)
    q, r = np.zeros(x.shape[:-2] + (m, k), x.dtype), np.zeros(x.shape[:-2] + (k, n), x.dtype)
    for i in np.ndindex(*x.shape[:-2]):
        q[i], r[i] = np.linalg.qr(x[i], mode)
    return q, r


def solve(a, b):
    """The x with a @ x = b, for a matrix b or, one axis less, a vector: the shape of b."""
    if b.ndim == a.ndim - 1:
        return np.linalg.solve(a, b[..., np.newaxis])[..., 0]
    return np.linalg.solve(a, b)


def solve_triangular(a, b, *, lower=False):
    """The x with a @ x = b, reading only one triangle of `a`: the shape of b."""
    return solve(np.tril(a) if lower else np.triu(a), b)


def logdet(x):
    """The logarithm of the determinant of a positive definite matrix, else NaN: (..., M, M) → (...)."""
    return 2 * np.sum(np.log(np.diagonal(cholesky(x), axis1=-2, axis2=-1)), axis=-1)
