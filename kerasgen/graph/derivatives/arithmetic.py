"""Elementwise arithmetic: with y = f(a, b), the gradient of a is d * ∂f/∂a, summed over what was broadcast."""

from __future__ import annotations

import numpy as np

from kerasgen.graph.derivatives.call import Call, Operand


def add(call: Call, i: int) -> Operand:
    """∂(a + b)/∂a = 1."""
    return call.unbroadcast(call.d, i)


def subtract(call: Call, i: int) -> Operand:
    """∂(a - b)/∂b = -1."""
    return call.unbroadcast(call.emit(np.negative, call.d) if i else call.d, i)


def multiply(call: Call, i: int) -> Operand:
    """∂(a b)/∂a = b."""
    return call.unbroadcast(call.emit(np.multiply, call.d, call.x[1 - i]), i)


def divide(call: Call, i: int) -> Operand:
    """∂(a / b)/∂a = 1 / b; ∂(a / b)/∂b = -y / b."""
    quotient = call.emit(np.divide, call.d, call.x[1])
    if i == 1:
        quotient = call.emit(np.negative, call.emit(np.multiply, quotient, call.y))
    return call.unbroadcast(quotient, i)
