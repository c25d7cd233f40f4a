"""Operations of linear algebra. Signs that are a matter of taste are taken out by multiplying the factors again."""

from __future__ import annotations

import numpy as np
from keras import ops

from cases.table import IMAGE, VECTOR, row

SQUARE = (4, 4)
TALL = (5, 3)
WIDE = (3, 5)
EYE = np.eye(4, dtype="float32")


def positive(x):
    """A positive definite matrix."""
    return ops.matmul(x, ops.transpose(x, (0, 2, 1))) + 3.0 * EYE


def triangle(x):
    """A matrix whose triangles are both well-conditioned."""
    return x * 0.2 + 3.0 * EYE


row("ops.cholesky", SQUARE, lambda x: ops.cholesky(positive(x)))
row("ops.cholesky upper", SQUARE, lambda x: ops.cholesky(positive(x), upper=True))
for _upper in (False, True):
    row(f"ops.cholesky_inverse upper={_upper}", SQUARE, lambda x, u=_upper: ops.cholesky_inverse(triangle(x), upper=u))
row("ops.det", SQUARE, ops.det)
row("ops.logdet", SQUARE, lambda x: ops.logdet(positive(x)))
row("ops.inv", SQUARE, lambda x: ops.inv(positive(x)))
row("ops.inv of one", VECTOR, lambda x: ops.inv(positive(ops.reshape(x[0, :4], (1, 4, 1)))[0]))
row("ops.cholesky of one", SQUARE, lambda x: ops.cholesky(positive(x)[0]))
row("ops.eigh", SQUARE, lambda x: [ops.eigh(positive(x))[0], ops.abs(ops.eigh(positive(x))[1])])
row("ops.eig", SQUARE, lambda x: _eigen(*ops.eig(x)))
row("ops.eig real", SQUARE, lambda x: _eigen(*ops.eig(positive(x))))
row("ops.lu_factor", SQUARE, lambda x: ops.lu_factor(x[0]))
row("ops.qr", TALL, ops.qr)
row("ops.qr wide", WIDE, ops.qr)
row("ops.qr complete", (2, *TALL), lambda x: ops.qr(x, mode="complete")[1])
row("ops.qr complete product", TALL, lambda x: ops.matmul(*ops.qr(x, mode="complete")))
row("ops.svd values", TALL, lambda x: ops.svd(x, compute_uv=False))
row("ops.svd", WIDE, lambda x: _product(*ops.svd(x, full_matrices=False)))
row("ops.svd full", TALL, lambda x: [ops.abs(ops.svd(x)[0][..., :3]), ops.svd(x)[1], ops.abs(ops.svd(x)[2])])
row("ops.solve", [SQUARE, (4, 2)], lambda a, b: ops.solve(positive(a), b))
row("ops.solve vector", [SQUARE, (4,)], lambda a, b: ops.solve(positive(a), b))
row("ops.solve array", (4, 2), lambda b: ops.solve(EYE * 3.0 - 1.0, b[0]))
for _lower in (False, True):
    row(f"ops.solve_triangular lower={_lower}", [SQUARE, (4, 2)], lambda a, b, w=_lower: _triangular(a, b, w))
row("ops.solve_triangular vector", [SQUARE, (4,)], lambda a, b: _triangular(a, b, True))
row("ops.lstsq", [TALL, (5, 2)], lambda a, b: ops.lstsq(a[0], b[0]))
row("ops.lstsq vector", [TALL, (5,)], lambda a, b: ops.lstsq(a[0], b[0]))
row("ops.lstsq wide", [WIDE, (3, 2)], lambda a, b: ops.lstsq(a[0], b[0], rcond=0.3))
row("ops.matrix_rank", TALL, ops.matrix_rank)
row("ops.matrix_rank singular", TALL, lambda x: ops.matrix_rank(ops.concatenate([x, x[:, :, :2]], axis=-1)))
row("ops.matrix_rank limit", TALL, lambda x: ops.matrix_rank(x, tol=4.0))
row("ops.pinv", TALL, ops.pinv)
row("ops.pinv limit", WIDE, lambda x: ops.pinv(x, rcond=0.4))
row("ops.norm", IMAGE, lambda x: ops.norm(x, axis=-1))
row("ops.norm all", VECTOR, ops.norm, mixes=True)
row("ops.norm whole", VECTOR, lambda x: ops.norm(x, axis=1), dtype="int32")
for _order in (0, 1, 3, -1, float("inf"), float("-inf")):
    row(f"ops.norm vectors {_order}", (6, 3), lambda x, o=_order: ops.norm(x + 9.0, ord=o, axis=1, keepdims=True))
for _order in (1, -1, 2, -2, "fro", "nuc", float("inf"), float("-inf")):
    row(f"ops.norm matrices {_order}", (6, 3, 2), lambda x, o=_order: ops.norm(x, ord=o, axis=(-1, 1)))


def _eigen(values, vectors):
    """Sums over all eigenvalues, whose order is open, and the matrix made of them again."""
    product = ops.matmul(vectors * ops.expand_dims(values, 1), ops.inv(vectors))
    return [ops.real(ops.sum(values, axis=-1)), ops.real(product)]


def _product(u, s, v):
    return [ops.matmul(u * ops.expand_dims(s, 1), v), s]


def _triangular(a, b, lower):
    return ops.solve_triangular(triangle(a), b, lower=lower)
