"""Derivatives of gathering, scattering and sorting."""

from __future__ import annotations

import numpy as np

from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.graph.derivatives.shape import axes_of, moved, sized
from kerasgen.kernels.backward import index
from kerasgen.kernels.backward.arithmetic import unbroadcast


def take(call: Call, i: int) -> Operand:
    """Added up where it was taken from."""
    axis = call.setting("axis")
    if i or axis is None:
        return None if i else moved(call, i)
    return sized(call, axes_of(call, axis, call.x[0]), index.take_backward, call.d, call.x[1], axis=axis)


def sort(call: Call, i: int) -> Operand:
    """Back where it came from."""
    return str(call.emit(index.sort_backward, call.d, call.x[0], **call.attrs))


def select(call: Call, i: int) -> Operand:
    """Where the choice was made."""
    count = len(call.x) // 2
    if i < count:
        return None
    conditions = call.x[: i - count + 1] if i < 2 * count else call.x[:count]
    chosen = call.emit(index.select_backward, call.d, *conditions, default=i == 2 * count)
    return call.unbroadcast(chosen, i)


def linspace(call: Call, i: int) -> Operand:
    """Σ d (1 - t) for the start and Σ d t for the stop."""
    return _between(call, i, call.d)


def geomspace(call: Call, i: int) -> Operand:
    """As `linspace` of the logarithms."""
    total = _between(call, i, call.emit(np.multiply, call.d, call.y))
    return str(call.emit(np.divide, total, call.x[i]))


def _between(call: Call, i: int, d: str) -> str:
    settings = {name: value for name, value in call.attrs.items() if name in ("axis", "endpoint")}
    total = str(call.emit(index.linspace_backward, d, **settings, stop=i == 1))
    x, y = call.shape(call.x[i]), call.shape(total)
    assert x is not None
    assert y is not None
    lead = len(y) - len(x)
    axes = tuple(a for a in range(len(y)) if a < lead or (x[a - lead] == 1 and y[a] != 1))
    return str(call.emit(unbroadcast, total, axes=axes, lead=lead)) if axes else total


def scatter_nd(call: Call, i: int) -> Operand:
    """Read where each value was added."""
    return str(call.emit(index.gather_nd, call.d, call.x[0])) if i == 1 else None


def scatter_update(call: Call, i: int) -> Operand:
    """Read where each update was written, with what it was combined with; zeros where it overwrote."""
    reduction, (x, indices, updates) = call.setting("reduction"), call.x
    if i == 1:
        return None
    if reduction in ("max", "min"):
        parts = call.emit(index.scatter_extreme, call.d, x, indices, updates, call.y, outputs=2)
        return str(parts[i // 2])
    if reduction == "mul":
        if i == 0:
            return str(call.emit(index.scatter_product, call.d, indices, updates))
        products = call.emit(index.gather_nd, call.emit(np.multiply, call.d, call.y), indices)
        return str(call.emit(np.divide, products, updates))
    if i == 2:
        return str(call.emit(index.gather_nd, call.d, indices))
    return call.d if reduction == "add" else str(call.emit(index.scatter_overwritten, call.d, indices))


def slice_update(call: Call, i: int) -> Operand:
    """Zeros where the updates are, and for them the rest."""
    if i == 1:
        return None
    kernel = index.slice_update_backward_updates if i else index.slice_update_backward
    return str(call.emit(kernel, call.d, call.x[1], call.x[2]))


def slice_at(call: Call, i: int) -> Operand:
    """Zeros around what was read."""
    return None if i else str(call.emit(index.slice_at_backward, call.d, call.x[0], call.x[1]))


def rearrange(call: Call, i: int) -> Operand:
    """Rearranged back."""
    return str(call.emit(index.rearrange_backward, call.d, call.x[0], **call.attrs))


def segment_sum(call: Call, i: int) -> Operand:
    """To each row of the segment."""
    return None if i else str(call.emit(index.segment_sum_backward, call.d, call.x[1]))


def segment_extreme(call: Call, i: int) -> Operand:
    """To the largest or smallest of the segment, in equal parts."""
    return None if i else str(call.emit(index.segment_max_backward, call.d, call.x[0], call.x[1], call.y))


def segment_prod(call: Call, i: int) -> Operand:
    """To each row the product of the others."""
    return None if i else str(call.emit(index.segment_prod_backward, call.d, call.x[0], call.x[1]))
