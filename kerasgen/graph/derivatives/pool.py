"""Derivatives of pooling."""

from __future__ import annotations

from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.backward import pool as backward


def max_pool(call: Call, i: int) -> Operand:
    """To the first largest cell of each window."""
    return call.of_operand(i, backward.max_pool_backward, call.d, call.x[0], call.y, **call.attrs)


def average_pool(call: Call, i: int) -> Operand:
    """To all cells of each window."""
    return call.of_operand(i, backward.average_pool_backward, call.d, sized=True, **call.attrs)


def global_max_pool(call: Call, i: int) -> Operand:
    """To the largest cells of each channel."""
    return call.of_operand(i, backward.global_max_pool_backward, call.d, call.x[0], call.y, **call.attrs)


def global_average_pool(call: Call, i: int) -> Operand:
    """To all cells of each channel."""
    return call.of_operand(i, backward.global_average_pool_backward, call.d, sized=True)


def adaptive_max_pool(call: Call, i: int) -> Operand:
    """To the first largest cell of each window."""
    return call.of_operand(i, backward.adaptive_max_pool_backward, call.d, call.x[0], **call.attrs)


def adaptive_average_pool(call: Call, i: int) -> Operand:
    """To all cells of each window."""
    return call.of_operand(i, backward.adaptive_average_pool_backward, call.d, sized=True, **call.attrs)
