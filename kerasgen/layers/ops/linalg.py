"""Linear algebra: decompositions, solutions and norms of matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.dtypes import argument, floats
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

ONE: dict[str, Callable[..., Any]] = {  # of one matrix
    "Det": np.linalg.det,
    "Inv": np.linalg.inv,
    "Logdet": kernels.logdet,
}
SEVERAL: dict[str, Callable[..., Any]] = {  # with more than one output
    "Eig": kernels.eig,
    "Eigh": np.linalg.eigh,
    "LuFactor": kernels.lu_factor,
}


def _one(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def one(layer: Layer, x: Value) -> Value:
        return layer.emit(kernel, x)


def _several(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def several(layer: Layer, x: Value) -> list[Value]:
        return layer.emit_many(kernel, x)


for _kind, _kernel in ONE.items():
    _one(_kind, _kernel)
for _kind, _kernel in SEVERAL.items():
    _several(_kind, _kernel)


@rule("ops.Cholesky")
def cholesky(layer: Layer, x: Value) -> Value:
    """The triangular factor of a positive definite matrix."""
    y = layer.emit(kernels.cholesky, x)
    return layer.emit(np.swapaxes, y, axis1=-2, axis2=-1) if layer.config.flag("upper", False) else y


@rule("ops.CholeskyInverse")
def cholesky_inverse(layer: Layer, x: Value) -> Value:
    """The inverse of a matrix from its Cholesky factor."""
    return layer.emit(kernels.cholesky_inverse, x, upper=layer.config.flag("upper", False))


@rule("ops.Qr")
def qr(layer: Layer, x: Value) -> list[Value]:
    """An orthogonal and a triangular factor."""
    return layer.emit_many(kernels.qr, x, mode=layer.config.choice("mode", ("reduced", "complete"), "reduced"))


@rule("ops.SVD")
def svd(layer: Layer, x: Value) -> list[Value]:
    """Singular values and vectors."""
    full = layer.config.flag("full_matrices", True)
    if layer.config.flag("compute_uv", True):
        return layer.emit_many(np.linalg.svd, x, full_matrices=full)
    return layer.emit_many(np.linalg.svd, x, compute_uv=False)


@rule("ops.Solve")
def solve(layer: Layer, a: Any, b: Any) -> Value:
    """The solution of linear equations."""
    return layer.emit(kernels.solve, argument(layer, "a", a), argument(layer, "b", b))


@rule("ops.SolveTriangular")
def solve_triangular(layer: Layer, a: Any, b: Any) -> Value:
    """The solution of linear equations in triangular form."""
    a, b = argument(layer, "a", a), argument(layer, "b", b)
    return layer.emit(kernels.solve_triangular, a, b, lower=layer.config.flag("lower", False))


def _limit(layer: Layer, key: str) -> float | None:
    return None if layer.config.get(key, None) is None else layer.config.number(key)


@rule("ops.Lstsq")
def lstsq(layer: Layer, a: Any, b: Any) -> Value:
    """The least-squares solution of overdetermined equations."""
    a, b = argument(layer, "a", a), argument(layer, "b", b)
    limit = _limit(layer, "rcond")
    if limit is not None and limit < 0:
        limit = float(np.finfo(a.dtype).eps)
    return layer.emit(kernels.lstsq, a, b, rcond=limit)


@rule("ops.Pinv")
def pinv(layer: Layer, x: Value) -> Value:
    """The pseudoinverse."""
    return layer.emit(kernels.pinv, x, rcond=_limit(layer, "rcond"))


@rule("ops.MatrixRank")
def matrix_rank(layer: Layer, x: Value) -> Value:
    """The number of nonzero singular values."""
    limit = _limit(layer, "tol")
    settings = {} if limit is None else {"tol": limit}
    return layer.cast(layer.emit(np.linalg.matrix_rank, x, **settings), "int32")


@rule("ops.Norm")
def norm(layer: Layer, x: Value) -> Value:
    """The norm of vectors along one axis, or of matrices along two."""
    axis, order = layer.config.axis(), layer.config.get("ord", None)
    axes = tuple(range(len(x.shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    if len(axes) not in (1, 2) or not isinstance(order, (int, float, str, type(None))):
        raise InvalidModelError(f"a norm of order {order!r} over {len(axes)} axes")
    settings: dict[str, Any] = {"axis": axes if len(axes) == 2 else axes[0]}
    if layer.config.flag("keepdims", False):
        settings["keepdims"] = True
    x = layer.cast(x, "float32" if x.dtype == "int64" else floats(x))
    return layer.emit(np.linalg.norm, x, ord=order, **settings)
