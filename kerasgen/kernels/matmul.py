"""Matrix products. Without a BLAS, `np.matmul` is a plain loop, and `np.einsum` two to five times as fast."""

import time

import numpy as np


def best_time(function, *arrays):
    """The seconds that the fastest of three calls takes."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        function(*arrays)
        times.append(time.perf_counter() - start)
    return min(times)


def has_blas():
    """Whether `np.matmul` is faster than `np.einsum`: not if NumPy knows of no BLAS, else timed, in less than 1 ms."""
    try:
        if not np.__config__.CONFIG["Build Dependencies"]["blas"].get("found"):
            return False
    except (AttributeError, KeyError):  # before NumPy 1.26
        pass
    x = np.ones((48, 48), np.float32)
    return best_time(np.matmul, x, x) < best_time(np.einsum, "mk,nk->mn", x, x)


BLAS = has_blas()


def by_columns(y):
    """The same matrices (..., K, N), with the K numbers of a column side by side in memory."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(y, -2, -1)), -2, -1)


def matmul(x, y, out=None):
    """x @ y: (..., M, K), (..., K, N) → (..., M, N).

    The inner loop of `einsum` goes along y as it lies in memory: the longer, the faster.
    """
    if BLAS:
        if out is None and x.ndim == y.ndim == 2 and len(x) == 1:
            return x.dot(y)  # the same, with half of the overhead
        return np.matmul(x, y, out=out)
    (rows, depth), columns = x.shape[-2:], y.shape[-1]
    if depth >= columns and rows > 15:  # of fewer rows, the products take no longer than the copy
        y = by_columns(y)
    settings = {} if out is None else {"out": out}  # NumPy 1.17 takes no None
    return np.einsum("...mk,...kn->...mn", x, y, **settings)
