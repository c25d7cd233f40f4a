"""Gradients of arithmetic. `d` is always the gradient of the result."""

import numpy as np


def unbroadcast(d, *, axes, lead=0):
    """The sum over axes along which an operand was repeated, of which the first `lead` are new ones."""
    y = np.sum(d, axis=axes, keepdims=True)
    return y.reshape(y.shape[lead:])
