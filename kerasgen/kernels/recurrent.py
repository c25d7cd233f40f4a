"""Recurrent layers: one matrix product for the inputs of all steps, then a loop with one product per step."""

import numpy as np

from kerasgen.kernels.conv import convolve, dense
from kerasgen.kernels.matmul import matmul


def scan(step, x, states, size, mask=None, *, return_sequences=False, return_state=False, zero_output_for_mask=False):
    """Run `states = step(x_t, *states)` over the steps of x; the first state is the output.

    x is (N, T, ...), a state (N, *size), None for zeros. The result is the last output, or all of them as (N, T, *size)
    if `return_sequences`, followed by the last states if `return_state`. A step where the mask (N, T) is off changes no
    state and repeats the previous output, or outputs zeros if `zero_output_for_mask`.
    """
    n, steps = x.shape[:2]
    for state in states:
        if state is not None and len(state) != n:
            raise ValueError(f"a batch of {n} cannot continue from the states of a batch of {len(state)}")
    output = np.zeros((n, *size), x.dtype)
    states = [output if state is None else state for state in states]
    outputs = np.empty((n, steps, *size), x.dtype) if return_sequences else None
    for t in range(steps):
        new = step(x[:, t], *states)
        if mask is None:
            output, states = new[0], new
        else:
            keep = mask[:, t].reshape(mask[:, t].shape + (1,) * (output.ndim - mask.ndim + 1))
            output = np.where(keep, new[0], np.zeros_like(output) if zero_output_for_mask else output)
            states = [np.where(keep, after, before) for after, before in zip(new, states)]
        if return_sequences:
            outputs[:, t] = output
    result = outputs if return_sequences else output
    return (result, *states) if return_state else result


def simple_rnn(x, kernel, recurrent_kernel, bias=None, mask=None, h=None, *, activation, **returns):
    """h' = activation(x K + h R + b): (N, T, C) → (N, U). `scan` explains the mask, the state and `returns`."""

    def step(x, h):
        return [activation(x + matmul(h, recurrent_kernel))]

    return scan(step, dense(x, kernel, bias), [h], recurrent_kernel.shape[:1], mask, **returns)


def lstm_cell(z, c, activation, recurrent_activation):
    """The next h and c of an LSTM from z, which holds the gates i, f, c and o in this order: (..., 4 U) → (..., U).

    c' = f * c + i * activation(z_c);  h' = o * activation(c')
    """
    z = z.reshape(z.shape[:-1] + (4, z.shape[-1] // 4))
    gates = recurrent_activation(z)  # one call for all is faster than skipping c
    c = gates[..., 1, :] * c
    c += gates[..., 0, :] * activation(z[..., 2, :])
    return [gates[..., 3, :] * activation(c), c]


def lstm(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    mask=None,
    h=None,
    c=None,
    *,
    activation,
    recurrent_activation,
    **returns,
):
    """Long short-term memory, z = x K + h R + b: (N, T, C) → (N, U). `scan` explains the rest."""

    def step(x, h, c):
        return lstm_cell(x + matmul(h, recurrent_kernel), c, activation, recurrent_activation)

    return scan(step, dense(x, kernel, bias), [h, c], recurrent_kernel.shape[:1], mask, **returns)


def gru(
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    mask=None,
    h=None,
    *,
    activation,
    recurrent_activation,
    reset_after=True,
    **returns,
):
    """Gated recurrent unit, h' = z * h + (1 - z) * activation(x_h + r * h R_h): (N, T, C) → (N, U).

    The gates z and r are recurrent_activation(x_zr + h R_zr). Without `reset_after`, r is applied before the product,
    as (r * h) R_h. With it, h R has a bias of its own: (2, 3 U). `scan` explains the rest.
    """
    units = recurrent_kernel.shape[0]
    gate_kernel, new_kernel = recurrent_kernel[:, : 2 * units], recurrent_kernel[:, 2 * units :]
    bias, recurrent_bias = (bias, None) if bias is None or not reset_after else bias

    def step(x, h):
        x = x.reshape(len(x), 3, units)
        inner = dense(h, recurrent_kernel if reset_after else gate_kernel, recurrent_bias)
        inner = inner.reshape(len(x), 3 if reset_after else 2, units)
        gates = recurrent_activation(x[:, :2] + inner[:, :2])
        z, r = gates[:, 0], gates[:, 1]
        new = activation(x[:, 2] + (r * inner[:, 2] if reset_after else matmul(r * h, new_kernel)))
        return [new + z * (h - new)]

    return scan(step, dense(x, kernel, bias), [h], (units,), mask, **returns)


def conv_lstm(x, recurrent_kernel, mask=None, h=None, c=None, *, activation, recurrent_activation, **returns):
    """LSTM with convolutions; x is already convolved: (N, T, H, W, 4 F) → (N, H, W, F)."""
    ones = (1,) * (x.ndim - 3)

    def step(x, h, c):
        return lstm_cell(x + convolve(h, recurrent_kernel, ones, ones, "same"), c, activation, recurrent_activation)

    return scan(step, x, [h, c], x.shape[2:-1] + recurrent_kernel.shape[-2:-1], mask, **returns)


def merge_steps(x):
    """Steps as samples: (N, T, ...) → (N * T, ...)."""
    return x.reshape((x.shape[0] * x.shape[1],) + x.shape[2:])


def split_steps(x, like):
    """The reverse of `merge_steps`, with as many steps as `like`: (N * T, ...) → (N, T, ...)."""
    return x.reshape(like.shape[:2] + x.shape[1:])


def masked(x, mask, *, value=0):
    """x, with `value` where the mask is off: (N, T, ...) with (N, T) → (N, T, ...)."""
    return np.where(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x, x.dtype.type(value))


def masked_average(x, mask, *, keepdims=False):
    """The mean over the unmasked steps: (N, T, C) with (N, T) → (N, C); NaN if there are none."""
    count = mask.astype(x.dtype).sum(axis=1)
    total = masked(x, mask).sum(axis=1)
    with np.errstate(invalid="ignore"):
        y = total / count[:, np.newaxis]
    return y[:, np.newaxis] if keepdims else y


def joined_mask(*xs_and_masks, axis, every=False):
    """The mask of concatenated arrays, from each array and its mask or None: on where any channel is, or all."""

    def full(x, mask):
        if mask is None:
            return np.ones(x.shape, bool)
        return np.broadcast_to(mask.reshape(mask.shape + (1,) * (x.ndim - mask.ndim)), x.shape)

    joined = np.concatenate([full(x, mask) for x, mask in zip(xs_and_masks[::2], xs_and_masks[1::2])], axis=axis)
    return joined.all(axis=-1) if every else joined.any(axis=-1)
