"""Derivatives of recurrent layers, through time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.activation import backward_of
from kerasgen.graph.derivatives.call import Call
from kerasgen.kernels.backward import recurrent as backward

STEPS = (0, 1)  # the axes of samples and steps


def _walk(call: Call, kernel: Callable[..., Any], states: int, results: int) -> tuple[str, ...]:
    """What the backward kernel returns; it reads the gradients of the output and the last states, and all operands."""
    gradients: Sequence[str | None] = [*call.gradients, *[None] * states]
    functions: dict[str, Any] = {}
    for name in call.attrs:
        if name.endswith("activation"):
            functions[f"{name}_backward"], functions[f"{name}_reads"] = backward_of(call.attrs[name])
    inputs = (*gradients[: 1 + states], *call.x)
    return tuple(call.emit(kernel, *inputs, outputs=results, **call.attrs, **functions))


def _projection(call: Call, i: int, d: str) -> Any:
    """The gradients of x, of its kernel and of the bias, from d, that of x K + b."""
    if i == 0:
        return call.emit(np.tensordot, d, call.x[1], axes=((2,), (1,)))
    if i == 1:
        return call.emit(np.tensordot, call.x[0], d, axes=(STEPS, STEPS))
    return call.emit(np.sum, d, axis=STEPS)


def simple_rnn(call: Call, i: int) -> Any:
    """Of x, kernel, recurrent kernel, bias and the first state."""
    d_z, d_recurrent, d_h = _walk(call, backward.simple_rnn_backward, 1, 3)
    return {2: d_recurrent, 5: d_h}.get(i) or _projection(call, i, d_z)


def lstm(call: Call, i: int) -> Any:
    """Of x, kernel, recurrent kernel, bias and the first states."""
    d_z, d_recurrent, d_h, d_c = _walk(call, backward.lstm_backward, 2, 4)
    return {2: d_recurrent, 5: d_h, 6: d_c}.get(i) or _projection(call, i, d_z)


def conv_lstm(call: Call, i: int) -> Any:
    """Of x, recurrent kernel and the first states."""
    d_z, d_recurrent, d_h, d_c = _walk(call, backward.conv_lstm_backward, 2, 4)
    return {0: d_z, 1: d_recurrent, 3: d_h, 4: d_c}[i]


def gru(call: Call, i: int) -> Any:
    """Of x, kernel, recurrent kernel, bias, which is two with `reset_after`, and the first state."""
    d_z, d_inner, d_recurrent, d_h = _walk(call, backward.gru_backward, 1, 4)
    if i == 3 and call.setting("reset_after", True):
        biases = [call.emit(np.sum, d, axis=STEPS) for d in (d_z, d_inner)]
        return call.emit(kernels.stack, *biases, axis=0)
    return {2: d_recurrent, 5: d_h}.get(i) or _projection(call, i, d_z)


def merge_steps(call: Call, i: int) -> Any:
    """Back to steps."""
    return call.sized(backward.merge_steps_backward, call.d, like=call.x[0])


def split_steps(call: Call, i: int) -> Any:
    """Back to samples; of the array that tells how many only the shape matters."""
    return call.emit(kernels.merge_steps, call.d) if i == 0 else None


def masked(call: Call, i: int) -> Any:
    """d where the mask is on."""
    return call.emit(kernels.masked, call.d, call.x[1])


def masked_average(call: Call, i: int) -> Any:
    """d / count where the mask is on."""
    return call.emit(backward.masked_average_backward, call.d, call.x[1], keepdims=call.setting("keepdims", False))
