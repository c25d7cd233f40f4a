"""Derivatives of reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.graph.derivatives.shape import axes_of, rank, reshape_whole, sized
from kerasgen.kernels.backward import reduce
from kerasgen.kernels.backward.shape import reshape_like


def _along(call: Call) -> dict[str, Any]:
    """The settings of a reduction, without those that only set what it starts with."""
    return {name: value for name, value in call.attrs.items() if name in ("axis", "keepdims")}


def _spread(call: Call, kernel: Callable[..., Any]) -> str:
    return sized(call, axes_of(call, call.setting("axis"), call.x[0]), kernel, call.d, **_along(call))


def _by_cells(call: Call, kernel: Callable[..., Any], *inputs: Operand) -> str:
    return str(call.emit(kernel, *(inputs or (call.d, call.x[0])), **_along(call)))


def sum_(call: Call, i: int) -> Operand:
    """To each cell."""
    return _spread(call, reduce.sum_backward)


def nansum(call: Call, i: int) -> Operand:
    """To each number."""
    return _numbers(call, _spread(call, reduce.sum_backward))


def _numbers(call: Call, d: Operand) -> str:
    return str(call.emit(reduce.where_number, d, call.x[0]))


def mean(call: Call, i: int) -> Operand:
    """To each cell its part."""
    return _spread(call, reduce.mean_backward)


def nanmean(call: Call, i: int) -> Operand:
    """To each number its part."""
    return _by_cells(call, reduce.nan_mean_backward)


def extreme(call: Call, i: int) -> Operand:
    """To the largest or smallest cells, in equal parts."""
    return _by_cells(call, reduce.max_backward, call.d, call.x[0], call.y)


def ptp(call: Call, i: int) -> Operand:
    """As of the largest less the smallest."""
    high, low = (
        _by_cells(call, reduce.max_backward, call.d, call.x[0], call.emit(kernel, call.x[0], **_along(call)))
        for kernel in (np.max, np.min)
    )
    return str(call.emit(np.subtract, high, low))


def prod(call: Call, i: int) -> Operand:
    """To each cell the product of the others."""
    return _by_cells(call, reduce.prod_backward)


def nanprod(call: Call, i: int) -> Operand:
    """To each number the product of the others."""
    return _numbers(call, _by_cells(call, reduce.prod_backward, call.d, _nan_as_one(call)))


def _nan_as_one(call: Call) -> str:
    x = call.x[0]
    return str(call.emit(np.where, call.emit(np.isnan, x), 1.0, x))


def var(call: Call, i: int) -> Operand:
    """2 (x - mean) / n."""
    return _by_cells(call, reduce.var_backward)


def nanvar(call: Call, i: int) -> Operand:
    """2 (x - mean) / n, of the numbers."""
    return _by_cells(call, reduce.nan_var_backward)


def std(call: Call, i: int) -> Operand:
    """(x - mean) / (n y)."""
    return _by_cells(call, reduce.std_backward, call.d, call.x[0], call.y)


def nanstd(call: Call, i: int) -> Operand:
    """(x - mean) / (n y), of the numbers."""
    return _by_cells(call, reduce.nan_std_backward, call.d, call.x[0], call.y)


def cumsum(call: Call, i: int) -> Operand:
    """The sum from each cell on."""
    return _shaped(call, _from_each_on(call, call.d))


def _from_each_on(call: Call, d: str) -> str:
    axis = call.setting("axis")
    return str(call.emit(reduce.cumsum_backward, d, axis=0 if axis is None else axis))


def _shaped(call: Call, d: str) -> str:
    """In the shape of the operand, which was flattened if there is no axis."""
    return str(d if call.setting("axis") is not None else call.emit(reshape_like, d, call.x[0]))


def nancumsum(call: Call, i: int) -> Operand:
    """The sum from each number on."""
    return _numbers(call, cumsum(call, i))


def cumprod(call: Call, i: int) -> Operand:
    """(the sum of d y from each cell on) / x; at zeros 0, as TensorFlow has it."""
    return _cumprod(call, call.x[0])


def nancumprod(call: Call, i: int) -> Operand:
    """As `cumprod`, of the numbers."""
    return _numbers(call, _cumprod(call, _nan_as_one(call)))


def _cumprod(call: Call, x: Operand) -> str:
    total = _shaped(call, _from_each_on(call, call.emit(np.multiply, call.d, call.y)))
    return str(call.emit(kernels.divide_no_nan, total, x))


def weighted_average(call: Call, i: int) -> Operand:
    """To each cell its part, and to its weight how far it is above the average."""
    return str(call.emit(reduce.weighted_average_backward, call.d, *call.x, outputs=2, **call.attrs)[i])


def quantile(call: Call, i: int) -> Operand:
    """To the sorted elements around; the quantiles are constants."""
    if i:
        return None
    q = call.x[1]
    axes = tuple(range(rank(call, q) if isinstance(q, str) else np.ndim(np.asarray(q))))
    d = call.emit(np.moveaxis, call.d, source=axes, destination=tuple(a - len(axes) for a in axes)) if axes else call.d
    return str(call.emit(reduce.quantile_backward, d, *call.x, **call.attrs))


def keep_axis(call: Call, i: int) -> Operand:
    """Reshaped back."""
    return reshape_whole(call, i)


def trapezoid(call: Call, i: int) -> Operand:
    """Half the steps on both sides."""
    axes = axes_of(call, call.setting("axis", -1), call.x[0])
    return sized(call, axes, reduce.trapezoid_backward, call.d, **call.attrs)


def norm(call: Call, i: int) -> Operand:
    """The direction of x, in the sense of the norm."""
    attrs = {"order" if name == "ord" else name: value for name, value in call.attrs.items()}
    return str(call.emit(reduce.norm_backward, call.d, call.x[0], call.y, **attrs))
