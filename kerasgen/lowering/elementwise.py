"""Activations and arithmetic, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.lowering.call import Call, Expression, NoCounterpart, Result, lowers, only
from kerasgen.pure_kernels import activation, arithmetic

# Kernels of one array that work on each cell by itself, with the same settings.
CELLS: Mapping[Kernel, Kernel] = {
    kernels.celu: activation.celu,
    kernels.clip: arithmetic.clip,
    kernels.elu: activation.elu,
    kernels.erf: arithmetic.erf,
    kernels.exponential: activation.exponential,
    kernels.gelu: activation.gelu,
    kernels.general_relu: activation.general_relu,
    kernels.hard_shrink: activation.hard_shrink,
    kernels.hard_sigmoid: activation.hard_sigmoid,
    kernels.hard_sigmoid_keras2: activation.hard_sigmoid_keras2,
    kernels.hard_silu: activation.hard_silu,
    kernels.hard_tanh: activation.hard_tanh,
    kernels.identity: activation.identity,
    kernels.leaky_relu: activation.leaky_relu,
    kernels.log_sigmoid: activation.log_sigmoid,
    kernels.mish: activation.mish,
    kernels.relu: activation.relu,
    kernels.relu6: activation.relu6,
    kernels.rsqrt: arithmetic.rsqrt,
    kernels.selu: activation.selu,
    kernels.sigmoid: activation.sigmoid,
    kernels.silu: activation.silu,
    kernels.soft_shrink: activation.soft_shrink,
    kernels.softplus: activation.softplus,
    kernels.softsign: activation.softsign,
    kernels.sparse_plus: activation.sparse_plus,
    kernels.sparse_sigmoid: activation.sparse_sigmoid,
    kernels.squareplus: activation.squareplus,
    kernels.tanh: activation.tanh,
    kernels.tanh_shrink: activation.tanh_shrink,
    kernels.threshold: activation.threshold,
    np.abs: arithmetic.absolute,
    np.arccos: arithmetic.arccos,
    np.arcsin: arithmetic.arcsin,
    np.arctan: arithmetic.arctan,
    np.ceil: arithmetic.ceil,
    np.cos: arithmetic.cos,
    np.cosh: arithmetic.cosh,
    np.exp: activation.exponential,
    np.expm1: arithmetic.expm1,
    np.floor: arithmetic.floor,
    np.log: arithmetic.log,
    np.logical_not: arithmetic.logical_not,
    np.negative: arithmetic.negative,
    np.reciprocal: arithmetic.reciprocal,
    np.rint: arithmetic.rint,
    np.sign: arithmetic.sign,
    np.sin: arithmetic.sin,
    np.sinh: arithmetic.sinh,
    np.sqrt: arithmetic.sqrt,
    np.square: arithmetic.square,
    np.tan: arithmetic.tan,
    np.tanh: activation.tanh,
    np.trunc: arithmetic.trunc,
}
# Kernels of several arrays, which are broadcast.
BROADCAST: Mapping[Kernel, Kernel] = {
    kernels.divide_no_nan: arithmetic.divide_no_nan,
    kernels.floor_divide: arithmetic.floor_divide,
    np.add: arithmetic.add,
    np.arctan2: arithmetic.arctan2,
    np.divide: arithmetic.divide,
    np.equal: arithmetic.equal,
    np.floor_divide: arithmetic.floor_divide,
    np.greater: arithmetic.greater,
    np.greater_equal: arithmetic.greater_equal,
    np.less: arithmetic.less,
    np.less_equal: arithmetic.less_equal,
    np.logical_and: arithmetic.logical_and,
    np.logical_or: arithmetic.logical_or,
    np.logical_xor: arithmetic.logical_xor,
    np.maximum: arithmetic.maximum,
    np.minimum: arithmetic.minimum,
    np.mod: arithmetic.mod,
    np.multiply: arithmetic.multiply,
    np.not_equal: arithmetic.not_equal,
    np.power: arithmetic.power,
    np.subtract: arithmetic.subtract,
    np.where: arithmetic.where,
}
# Those that work along an axis, by default the last.
ROWS: Mapping[Kernel, Kernel] = {
    kernels.log_softmax: activation.log_softmax,
    kernels.softmax: activation.softmax,
}


@lowers(*CELLS)
def cells(call: Call) -> Result:
    """The kernel of the same name."""
    return Expression(CELLS[call.node.kernel], (call.flat(call.x),), call.settings)


@lowers(*BROADCAST)
def broadcast(call: Call) -> Result:
    """The shapes are printed where they differ."""
    only(call.settings, ())
    operands = tuple(map(call.flat, call.node.inputs))
    return Expression(BROADCAST[call.node.kernel], operands, broadcast_shapes(call))


def broadcast_shapes(call: Call) -> dict[str, Any]:
    """The shapes of the operands, if not all are the same; the batch is left out."""
    rank = max(len(call.spec(operand).shape) for operand in call.node.inputs)
    batched = [operand for operand in call.node.inputs if call.is_batched(operand)]
    rows = {call.rows(operand) for operand in batched}
    shapes = []
    for operand in call.node.inputs:
        shape = call.shape(operand)
        if call.is_batched(operand):
            if len(call.spec(operand).shape) < rank or len(rows) > 1:
                raise NoCounterpart("it mixes the samples of a batch")
        elif batched and len(shape) == rank and rows == {1}:
            if shape[0] != 1:
                raise NoCounterpart("it mixes the samples of a batch")
            shape = shape[1:]
        shapes.append(shape)
    if len({shape for shape in shapes if shape}) < 2:
        return {}
    return {"shapes": tuple(shapes)}


@lowers(*ROWS)
def rows(call: Call) -> Result:
    """Along an axis of the sample."""
    return along_axis(call, ROWS[call.node.kernel], call.x, call.settings.get("axis", -1))


def along_axis(call: Call, kernel: Kernel, x: Any, axis: Any) -> Expression:
    """The call of a kernel that works along axes; a list of one axis needs no settings."""
    output = call.node.outputs[0]
    shape = call.shape(output)
    if axis is None:
        raise NoCounterpart("it mixes the samples of a batch")
    axes = tuple(sorted(call.axis(each, output) for each in np.atleast_1d(axis).tolist()))
    return Expression(kernel, (x,), {} if len(shape) == 1 else {"shape": shape, "axes": axes})


def fused(call: Call) -> tuple[dict[str, Any], Kernel | None]:
    """The setting `activation` of a kernel, and the activation that needs a line of its own instead."""
    kernel: Any = call.settings.get("activation")
    if kernel is None:
        return {}, None
    if kernel in CELLS:
        return {"activation": CELLS[kernel]}, None
    if kernel not in ROWS:
        raise NoCounterpart(f"its activation {kernel.__name__} has no counterpart without NumPy")
    if len(call.shape(call.node.outputs[0])) == 1:
        return {"activation": ROWS[kernel]}, None
    return {}, ROWS[kernel]


def finished(call: Call, expression: Expression, activation_after: Kernel | None) -> Result:
    """The expression, and after it an activation that is not fused."""
    if activation_after is None:
        return expression
    return along_axis(call, activation_after, call.before(expression, "linear"), -1)


@lowers(kernels.prelu)
def prelu(call: Call) -> Result:
    """The slopes are laid out for each cell."""
    shape = call.shape(call.x)
    alpha = np.broadcast_to(call.constant(call.node.inputs[1]), (1, *shape)).ravel()
    return Expression(activation.prelu, (call.x, call.weight(alpha, call.node.inputs[1])), {})


@lowers(kernels.cast)
def cast(call: Call) -> Result:
    """Floats become whole numbers or truth values; all else is the same number."""
    before, after = (np.dtype(dtype).kind for dtype in (call.spec(call.x).dtype, call.settings["dtype"]))
    if after == "b" and before != "b":
        return Expression(arithmetic.not_equal, (call.flat(call.x), 0), {})
    if after in "iu" and before == "f":
        return Expression(arithmetic.trunc, (call.flat(call.x),), {})
    return call.x


@lowers(kernels.stop_gradient)
def same(call: Call) -> Result:
    """Nothing is to be done."""
    return call.x
