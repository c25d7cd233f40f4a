"""Derivatives of matrix products, sums of products and decompositions."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.backward import linalg as backward
from kerasgen.kernels.backward.arithmetic import unbroadcast


def contraction(call: Call, i: int, mine: Sequence[int], other: Sequence[int], d: str | None = None) -> str:
    """The gradient of a tensor product whose result has the other axes of the first operand, then of the second.

    It is a tensor product too, of d and the other operand, whose axes are then brought into order. `mine` are the axes
    of operand i that are summed, `other` those of the other operand.
    """
    d = call.d if d is None else d
    x, w = call.shape(call.x[i]), call.shape(call.x[1 - i])
    assert x is not None
    assert w is not None
    mine, other = [a % len(x) for a in mine], [a % len(w) for a in other]
    left = [a for a in range(len(x)) if a not in mine]
    right = [a for a in range(len(w)) if a not in other]
    kept, ranked = len(left), sorted(range(len(other)), key=lambda j: other[j])
    summed = [mine[j] for j in ranked]  # the axes of x that the remaining ones of w, in their order, belong to
    if i == 0:
        places = tuple(range(kept, kept + len(right)))
        y = call.emit(np.tensordot, d, call.x[1], axes=(places, tuple(right)))
        order = [*left, *summed]
    else:
        y = call.emit(np.tensordot, call.x[0], d, axes=(tuple(right), tuple(range(len(right)))))
        order = [*summed, *left]
    return y if order == sorted(order) else str(call.emit(np.transpose, y, axes=tuple(np.argsort(order).tolist())))


def matmul(call: Call, i: int) -> Any:
    """d B^T, and A^T d."""
    ranks = [len(call.shape(x) or ()) for x in call.x]
    if ranks[1] <= 2:
        pair = (-1, -min(ranks[1], 2))
        return contraction(call, i, [pair[i]], [pair[1 - i]])
    d, other = call.d, call.x[1 - i]
    if ranks[0] == 1:  # a row
        d = call.emit(np.expand_dims, d, axis=-2)
        other = call.emit(np.expand_dims, other, axis=0) if i == 1 else other
    other = call.emit(np.swapaxes, other, axis1=-2, axis2=-1)
    if call.emitter.dtype(other).startswith("complex"):
        other = call.emit(np.conj, other)
    y = call.emit(np.matmul, d, other) if i == 0 else call.emit(np.matmul, other, d)
    return _without_repeats(call, y, call.x[i])


def _without_repeats(call: Call, y: str, x: Operand) -> str:
    """The gradient of matrices x from that of what they were broadcast to, in all axes but the last two."""
    have, want = call.shape(y) or (), call.shape(x) or ()
    lead = len(have) - len(want)
    repeated = (a for a in range(lead, len(have) - 2) if want[a - lead] == 1 != have[a])
    axes = (*range(lead), *repeated)
    return str(call.emit(unbroadcast, y, axes=axes, lead=lead)) if axes else y


def dot(call: Call, i: int) -> Any:
    """The last axis of the first operand with the last but one of the second."""
    x, w = call.shape(call.x[0]), call.shape(call.x[1])
    assert x is not None
    assert w is not None
    if not x or not w:
        return call.unbroadcast(call.emit(np.multiply, call.d, call.x[1 - i]), i)
    pair = (-1, -2 if len(w) > 1 else -1)
    return contraction(call, i, [pair[i]], [pair[1 - i]])


def inner(call: Call, i: int) -> Any:
    """The last axes of both."""
    return contraction(call, i, [-1], [-1]) if call.shape(call.x[0]) else dot(call, i)


def tensordot(call: Call, i: int) -> Any:
    """The axes of one with those of the other; a number means the last of the first and the first of the second."""
    axes, rank = call.setting("axes", 2), len(call.shape(call.x[0]) or ())
    if isinstance(axes, int):
        axes = (tuple(range(rank - axes, rank)), tuple(range(axes)))
    pair = [(a,) if isinstance(a, int) else a for a in axes]
    return contraction(call, i, pair[i], pair[1 - i])


def outer(call: Call, i: int) -> Any:
    """d b, and a^T d, of what are vectors after flattening."""
    return call.sized(backward.outer_backward, call.d, call.x[1 - i], like=call.x[i], axis=1 - i)


def kron(call: Call, i: int) -> Any:
    """Sums of blocks of d, times the other operand."""
    return call.emit(backward.kron_backward, call.d, call.x[1 - i], i=i, ndim=len(call.shape(call.x[i]) or ()))


def vdot(call: Call, i: int) -> Any:
    """d b, and d a."""
    return call.emit(np.multiply, call.x[1 - i], call.d)


def expanded(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The axes of each operand and of the result of einsum, with a letter for each axis that `...` stands for."""
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    if not arrow:
        once = (letter for letter in sorted(set(inputs) - {",", "."}) if inputs.count(letter) == 1)
        result = "..." * ("." in inputs) + "".join(once)
    free = "".join(letter for letter in string.ascii_letters if letter not in inputs)
    hidden = [rank + 3 - len(term) if "." in term else 0 for term, rank in zip(inputs.split(","), ranks, strict=True)]
    letters = free[: max(hidden)]
    terms = [
        term.replace("...", letters[len(letters) - n :]) for term, n in zip(inputs.split(","), hidden, strict=True)
    ]
    return terms, result.replace("...", letters)


def einsum(call: Call, i: int) -> Any:
    """The sum of products of d and the other operands."""
    terms, result = expanded(call.setting("subscripts"), [len(call.shape(x) or ()) for x in call.x])
    return sum_of_products(call, i, terms, result, call.d)


def sum_of_products(call: Call, i: int, terms: Sequence[str], result: str, d: str) -> Any:
    """The gradient of operand i of einsum, whose axes are written out.

    Axes that only this operand has are summed in the result, so that the gradient repeats along them. Of an axis that
    it has twice only the diagonal matters.
    """
    shapes = [call.shape(x) or () for x in call.x]
    term = terms[i]
    others = [j for j in range(len(terms)) if j != i]
    known = {*result, *(letter for j in others for letter in terms[j])}
    wanted = "".join(dict.fromkeys(letter for letter in term if letter in known))
    sizes: dict[str, int | None] = {}
    for axes, shape in zip(terms, shapes, strict=True):
        for letter, size in zip(axes, shape, strict=True):
            sizes[letter] = size if sizes.get(letter, 1) == 1 else sizes[letter]
    y = product(call, [(d, result), *((str(call.x[j]), terms[j]) for j in others)], wanted)
    repeated = tuple(a for a, letter in enumerate(wanted) if shapes[i][term.index(letter)] == 1 != sizes[letter])
    if repeated:
        y = call.emit(unbroadcast, y, axes=repeated)
    if wanted == term:
        return y
    return str(call.emit(backward.einsum_backward, y, call.x[i], subscripts=f"{wanted}->{term}"))


def product(call: Call, operands: Sequence[tuple[str, str]], wanted: str) -> str:
    """Einsum, by matrix products where two arrays are left."""
    terms = [axes for _, axes in operands]
    subscripts = f"{','.join(terms)}->{wanted}"
    names = [name for name, _ in operands]
    distinct = all(len(set(axes)) == len(axes) for axes in terms)
    if len(operands) == 2 and distinct and all(set(a) - set(b) <= set(wanted) for a, b in (terms, terms[::-1])):
        shapes = [dict(zip(axes, call.shape(name) or (), strict=True)) for name, axes in operands]
        if all(shapes[0][a] == shapes[1][a] for a in shapes[0].keys() & shapes[1].keys()):
            return str(call.emit(backward.contract, *names, subscripts=subscripts))
    if len(operands) == 1 and distinct and set(terms[0]) == set(wanted):
        order = tuple(terms[0].index(axis) for axis in wanted)
        return names[0] if terms[0] == wanted else str(call.emit(np.transpose, names[0], axes=order))
    return str(call.emit(kernels.einsum, *names, subscripts=subscripts))


def batch_dot(call: Call, i: int) -> Any:
    """Sums of products over one axis of each operand, per sample."""
    terms = []
    for x, axis, letters in zip(call.x, call.setting("axes"), ("bcdefgh", "ijklmno"), strict=True):
        rank = len(call.shape(x) or ())
        terms.append("".join("z" if a == axis % rank else "a" if a == 0 else letters[a] for a in range(rank)))
    result = "a" + "".join(axis for term in terms for axis in term[1:] if axis != "z")
    d = call.emit(np.squeeze, call.d, axis=-1) if result == "a" else call.d
    return sum_of_products(call, i, terms, result, d)


def inv(call: Call, i: int) -> Any:
    """-Y^T d Y^T."""
    return call.emit(backward.inv_backward, call.d, call.y)


def det(call: Call, i: int) -> Any:
    """d y X^-T."""
    return call.emit(backward.det_backward, call.d, call.x[0], call.y)


def logdet(call: Call, i: int) -> Any:
    """d X^-1."""
    return call.emit(backward.logdet_backward, call.d, call.x[0])


def slogdet(call: Call, i: int) -> Any:
    """That of the logarithm; the sign does not change."""
    return call.gradients[1] and call.emit(backward.slogdet_backward, call.gradients[1], call.x[0])


def cholesky(call: Call, i: int) -> Any:
    """As symmetric as the matrix."""
    return call.emit(backward.cholesky_backward, call.d, call.y)


def cholesky_inverse(call: Call, i: int) -> Any:
    """One triangle."""
    upper = call.setting("upper", False)
    return call.emit(backward.cholesky_inverse_backward, call.d, call.x[0], call.y, upper=upper)


def solve(call: Call, i: int) -> Any:
    """Of b, A^-T d; of A, minus that times x^T."""
    return _solved(call, i, kernels.solve)


def solve_triangular(call: Call, i: int) -> Any:
    """The same, and one triangle of A."""
    lower = call.setting("lower", False)
    y = _solved(call, i, kernels.solve_triangular, lower=not lower)
    return y if i == 1 else call.emit(np.tril if lower else np.triu, y)


def _solved(call: Call, i: int, kernel: Callable[..., Any], **settings: Any) -> Any:
    a, b = call.x
    d_b = call.emit(kernel, call.emit(np.swapaxes, a, axis1=-2, axis2=-1), call.d, **settings)
    if i == 1:
        return _without_repeats(call, d_b, b)
    y = call.y
    if len(call.shape(b) or ()) == len(call.shape(a) or ()) - 1:  # vectors
        d_b, y = (call.emit(np.expand_dims, z, axis=-1) for z in (d_b, y))
    return _without_repeats(call, call.emit(backward.solve_backward, d_b, y), a)


def eigh(call: Call, i: int) -> Any:
    """Of the values and the vectors."""
    return call.emit(backward.eigh_backward, *call.gradients, *call.node.outputs)


def eig(call: Call, i: int) -> Any:
    """Of the values and the vectors."""
    return call.emit(backward.eig_backward, *call.gradients, *call.node.outputs)


def svd(call: Call, i: int) -> Any:
    """Of the values, and of the vectors if there are no more of them than values."""
    if not call.setting("compute_uv", True):
        return call.emit(backward.svd_values_backward, call.d, call.x[0])
    d_u, d_s, d_v = call.gradients
    u, s, v = call.node.outputs
    rows, columns = (call.shape(call.x[0]) or ())[-2:]
    if rows != columns and call.setting("full_matrices", True):
        if d_u is None and d_v is None:
            return call.emit(backward.svd_values_backward, d_s, call.x[0])
        raise UnsupportedModelError(f"no gradient goes through {call.node.layer} (svd with full_matrices)")
    return call.emit(backward.svd_backward, d_u, d_s, d_v, u, s, v)


def qr(call: Call, i: int) -> Any:
    """Of both factors, unless Q has columns that R has no rows for."""
    rows, columns = (call.shape(call.x[0]) or ())[-2:]
    q, r = call.node.outputs
    if call.setting("mode", "reduced") == "complete" and (rows is None or columns is None or rows > columns):
        raise UnsupportedModelError(f'no gradient goes through {call.node.layer} (qr with mode "complete")')
    return call.emit(backward.qr_backward, *call.gradients, q, r)


def lu_factor(call: Call, i: int) -> Any:
    """Of both factors, which are one matrix."""
    return call.gradients[0] and call.emit(backward.lu_factor_backward, call.gradients[0], *call.node.outputs)


def pinv(call: Call, i: int) -> Any:
    """By the singular values."""
    return call.emit(backward.pinv_backward, call.d, call.x[0], rcond=call.setting("rcond"))


def lstsq(call: Call, i: int) -> Any:
    """By the pseudoinverse."""
    return call.emit(backward.lstsq_backward, call.d, *call.x, outputs=2, rcond=call.setting("rcond"))[i]
