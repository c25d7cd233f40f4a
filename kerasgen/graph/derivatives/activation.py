"""Derivatives of activations: most slopes are a function of the result or of the operand alone."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from kerasgen import kernels
from kerasgen.graph.derivatives.call import Call, Operand, Rule
from kerasgen.kernels.backward import activation as backward


def _given(call: Call, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: call.attrs[name] for name in names if name in call.attrs}


def of_result(kernel: Callable[..., Any], *settings: str) -> Rule:
    """The rule of an activation whose slope is computed from its result, with these of its settings."""
    return lambda call, i: call.emit(kernel, call.d, call.y, **_given(call, settings))


def of_operand(kernel: Callable[..., Any], *settings: str) -> Rule:
    """The rule of an activation whose slope is computed from its operand, with these of its settings."""
    return lambda call, i: call.emit(kernel, call.d, call.x[0], **_given(call, settings))


celu = of_result(backward.celu_backward, "alpha")
exponential = of_result(backward.exponential_backward)
gelu = of_operand(backward.gelu_backward, "approximate")
general_relu = of_operand(backward.general_relu_backward, "negative_slope", "max_value", "threshold")
glu = of_operand(backward.glu_backward, "axis")
hard_sigmoid = of_result(backward.hard_sigmoid_backward)
hard_sigmoid_keras2 = of_operand(backward.hard_sigmoid_keras2_backward)
hard_silu = of_operand(backward.hard_silu_backward)
hard_tanh = of_operand(backward.hard_tanh_backward)
log_sigmoid = of_result(backward.log_sigmoid_backward)
log_softmax = of_result(backward.log_softmax_backward, "axis")
mish = of_operand(backward.mish_backward)
relu = of_result(backward.relu_backward)
relu6 = of_result(backward.relu6_backward)
selu = of_result(backward.selu_backward)
shrink = of_result(backward.shrink_backward)
sigmoid = of_result(backward.sigmoid_backward)
silu = of_operand(backward.silu_backward)
softmax = of_result(backward.softmax_backward, "axis")
softplus = of_result(backward.softplus_backward)
softsign = of_result(backward.softsign_backward)
sparse_plus = of_operand(backward.sparse_plus_backward)
sparse_sigmoid = of_result(backward.sparse_sigmoid_backward)
squareplus = of_operand(backward.squareplus_backward, "b")
tanh = of_result(backward.tanh_backward)
tanh_shrink = of_operand(backward.tanh_shrink_backward)
threshold = of_operand(backward.threshold_backward, "threshold")


def backward_of(activation: Callable[..., Any]) -> tuple[Callable[..., Any], str]:
    """What computes the derivative of an activation inside a recurrent layer, and what it reads: "x", "y" or "xy"."""
    shared = {kernels.hard_shrink: backward.shrink_backward, kernels.soft_shrink: backward.shrink_backward}
    function = shared.get(activation) or getattr(backward, f"{activation.__name__}_backward")
    return function, "".join(name for name in ("x", "y") if name in inspect.signature(function).parameters)


def identity(call: Call, i: int) -> Operand:
    """∂x/∂x = 1."""
    return call.d


def elu(call: Call, i: int) -> Operand:
    """From the result, unless alpha is negative: then the result has the same sign everywhere."""
    alpha = call.setting("alpha", 1.0)
    if alpha < 0:
        return str(call.emit(backward.negative_elu_backward, call.d, call.x[0], alpha=alpha))
    return str(call.emit(backward.elu_backward, call.d, call.y, **_given(call, ("alpha",))))


def leaky_relu(call: Call, i: int) -> Operand:
    """From the result, unless the slope is negative: then the result has the same sign everywhere."""
    rule = of_operand if call.setting("negative_slope", 0.2) < 0 else of_result
    return rule(backward.leaky_relu_backward, "negative_slope")(call, i)


def prelu(call: Call, i: int) -> Operand:
    """∂y/∂x = 1 above 0, alpha below; ∂y/∂alpha = min(x, 0)."""
    if i == 0:
        return str(call.emit(backward.prelu_backward, call.d, *call.x))
    return call.unbroadcast(call.emit(backward.prelu_backward_alpha, call.d, call.x[0]), 1)


def sparsemax(call: Call, i: int) -> Operand:
    """The support and the order of the operand, the cells above 0 of the result."""
    return str(call.emit(backward.sparsemax_backward, call.d, call.x[0], call.y, **_given(call, ("axis",))))
