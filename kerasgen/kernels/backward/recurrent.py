"""Gradients of recurrent layers, through time: the forward scan again, keeping what each step needs, then back.

`d` is always the gradient of the result.
"""

import numpy as np

from kerasgen.kernels.conv import convolve, dense
from kerasgen.kernels.window import padded, same_pads, windows


def through(backward, reads):
    """The gradient of an activation's operand, from d, operand and result; `backward` reads one of them, or both."""
    return {"x": lambda d, x, y: backward(d, x), "y": lambda d, x, y: backward(d, y), "xy": backward}[reads]


def is_on(mask, t, state):
    """The mask of a step, with the axes of a state."""
    return mask[:, t].reshape(mask[:, t].shape + (1,) * (state.ndim - mask.ndim + 1))


def replay(step, x, states, size, mask=None):
    """The states before each step of `scan`, and what the step keeps: `step(x_t, *states)` returns new states and that.

    x is (N, T, ...), a state (N, *size), None for zeros.
    """
    states = [np.zeros((len(x), *size), x.dtype) if state is None else state for state in states]
    tape = []
    for t in range(x.shape[1]):
        new, kept = step(x[:, t], *states)
        tape.append((states, kept))
        if mask is not None:
            on = is_on(mask, t, new[0])
            new = [np.where(on, after, before) for after, before in zip(new, states)]
        states = new
    return tape


def walk_back(
    step_backward,
    tape,
    d,
    d_states,
    mask=None,
    *,
    return_sequences=False,
    return_state=False,
    zero_output_for_mask=False,
):
    """From the gradients of what `scan` returns, None for zeros, to those of all steps and of the first states.

    `step_backward(d_states, states, kept)` returns a list of arrays (N, ...) and the gradients of the states before the
    step. Returns the arrays of all steps, each as (N, T, ...), and the latter for the first step.
    """
    zeros = np.zeros_like(tape[0][0][0])
    d_states = [zeros if state is None else state for state in d_states]
    d_output = zeros if d is None or return_sequences else d
    steps = []
    for t in reversed(range(len(tape))):
        if return_sequences and d is not None:
            d_output = d_output + d[:, t]
        d_new = [d_states[0] + d_output] + d_states[1:]
        if mask is not None:
            on = is_on(mask, t, zeros)
            d_new = [np.where(on, new, 0) for new in d_new]
            d_states = [np.where(on, 0, state) for state in d_states]  # a masked step hands them on
            d_output = np.where(on, 0, d_output)
        step, d_before = step_backward(d_new, *tape[t])
        steps.append(step)
        d_states = d_before if mask is None else [a + b for a, b in zip(d_before, d_states)]
        d_output = zeros if mask is None or zero_output_for_mask else d_output
    return [np.stack(parts, axis=1) for parts in zip(*reversed(steps))], d_states


def products(before, d):
    """Σ beforeᵀ d over all steps of all samples: (N, T, U), (N, T, F) → (U, F)."""
    return np.tensordot(before, d, axes=((0, 1), (0, 1)))


def states_before(tape):
    """The first state before each step: (N, T, ...)."""
    return np.stack([states[0] for states, _ in tape], axis=1)


def simple_rnn_backward(
    d,
    d_h,
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    mask=None,
    h=None,
    *,
    activation,
    activation_backward,
    activation_reads,
    **returns,
):
    """Those of x K + b, of the recurrent kernel and of the first state."""
    activation_backward = through(activation_backward, activation_reads)

    def step(x, h):
        z = x + h @ recurrent_kernel
        y = activation(z)
        return [y], (z, y)

    def step_backward(d_new, states, kept):
        d_z = activation_backward(d_new[0], *kept)
        return [d_z], [d_z @ recurrent_kernel.T]

    tape = replay(step, dense(x, kernel, bias), [h], recurrent_kernel.shape[:1], mask)
    (d_z,), (d_h,) = walk_back(step_backward, tape, d, [d_h], mask, **returns)
    return d_z, products(states_before(tape), d_z), d_h


def lstm_walk(x, states, size, product, product_backward, gradients, mask, functions, returns):
    """The tape of an LSTM, z = x + product(h), then the gradients of z and of the first states. See `lstm_cell`."""
    activation, recurrent_activation, activation_backward, recurrent_activation_backward = functions

    def step(x, h, c):
        z = x + product(h)
        z = z.reshape(z.shape[:-1] + (4, z.shape[-1] // 4))
        gates, new = recurrent_activation(z), activation(z[..., 2, :])
        c = gates[..., 1, :] * c + gates[..., 0, :] * new
        y = activation(c)
        return [gates[..., 3, :] * y, c], (z, gates, new, c, y)

    def step_backward(d_new, states, kept):
        (d_h, d_c), (z, gates, new, c, y) = d_new, kept
        d_c = d_c + activation_backward(d_h * gates[..., 3, :], c, y)
        d_gates = np.zeros_like(z)
        d_gates[..., 0, :] = d_c * new
        d_gates[..., 1, :] = d_c * states[1]
        d_gates[..., 3, :] = d_h * y
        d_z = recurrent_activation_backward(d_gates, z, gates)
        d_z[..., 2, :] = activation_backward(d_c * gates[..., 0, :], z[..., 2, :], new)
        d_z = d_z.reshape(d_h.shape[:-1] + (4 * d_h.shape[-1],))
        return [d_z], [product_backward(d_z), d_c * gates[..., 1, :]]

    tape = replay(step, x, states, size, mask)
    (d_z,), d_states = walk_back(step_backward, tape, gradients[0], gradients[1:], mask, **returns)
    return states_before(tape), d_z, d_states


def lstm_backward(
    d,
    d_h,
    d_c,
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
    activation_backward,
    activation_reads,
    recurrent_activation_backward,
    recurrent_activation_reads,
    **returns,
):
    """Those of x K + b, of the recurrent kernel and of the first states."""
    backward = through(activation_backward, activation_reads)
    recurrent_backward = through(recurrent_activation_backward, recurrent_activation_reads)
    functions = activation, recurrent_activation, backward, recurrent_backward

    def product(h):
        return h @ recurrent_kernel

    def product_backward(d):
        return d @ recurrent_kernel.T

    x, size = dense(x, kernel, bias), recurrent_kernel.shape[:1]
    before, d_z, d_states = lstm_walk(
        x, [h, c], size, product, product_backward, [d, d_h, d_c], mask, functions, returns
    )
    return (d_z, products(before, d_z), *d_states)


def conv_lstm_backward(
    d,
    d_h,
    d_c,
    x,
    recurrent_kernel,
    mask=None,
    h=None,
    c=None,
    *,
    activation,
    recurrent_activation,
    activation_backward,
    activation_reads,
    recurrent_activation_backward,
    recurrent_activation_reads,
    **returns,
):
    """Those of x, of the recurrent kernel and of the first states."""
    backward = through(activation_backward, activation_reads)
    recurrent_backward = through(recurrent_activation_backward, recurrent_activation_reads)
    functions = activation, recurrent_activation, backward, recurrent_backward
    window, (f, gates) = recurrent_kernel.shape[:-2], recurrent_kernel.shape[-2:]
    ones, rank = (1,) * len(window), len(window)
    mirrored = np.flip(recurrent_kernel, tuple(range(rank))).swapaxes(-1, -2)
    pads = same_pads(x.shape[2:-1], window, ones, ones)
    turned = tuple((k - 1 - a, k - 1 - b) for k, (a, b) in zip(window, pads))

    def product(h):
        return convolve(h, recurrent_kernel, ones, ones, pads)

    def product_backward(d):
        return convolve(d, mirrored, ones, ones, turned)

    before, d_z, d_states = lstm_walk(
        x, [h, c], x.shape[2:-1] + (f,), product, product_backward, [d, d_h, d_c], mask, functions, returns
    )
    before = before.reshape((len(x) * x.shape[1],) + before.shape[2:])
    cells = windows(padded(before, window, ones, ones, pads), window, ones, ones)
    rows, depth = d_z.size // gates, recurrent_kernel.size // gates
    d_kernel = cells.reshape(rows, depth).T @ d_z.reshape(rows, gates)
    return (d_z, d_kernel.reshape(recurrent_kernel.shape), *d_states)


def gru_step(x, h, recurrent_kernel, recurrent_bias, activation, recurrent_activation, reset_after):
    """A step of `gru`, and what it keeps: sums and values of the gates, what r is applied to or in, and of h'."""
    units = h.shape[1]
    inner = dense(h, recurrent_kernel if reset_after else recurrent_kernel[:, : 2 * units], recurrent_bias)
    gate_sums = (x[:, : 2 * units] + inner[:, : 2 * units]).reshape(len(x), 2, units)
    gates = recurrent_activation(gate_sums)
    z, r = gates[:, 0], gates[:, 1]
    product = inner[:, 2 * units :] if reset_after else r * h
    new_sum = x[:, 2 * units :] + (r * product if reset_after else product @ recurrent_kernel[:, 2 * units :])
    new = activation(new_sum)
    return [new + z * (h - new)], (gate_sums, gates, product, new_sum, new)


def gru_step_backward(d, h, kept, recurrent_kernel, activation_backward, recurrent_activation_backward, reset_after):
    """Those of x; with `reset_after` those of h R, else r * h; and that of h."""
    gate_sums, gates, product, new_sum, new = kept
    units, z, r = h.shape[1], gates[:, 0], gates[:, 1]
    d_new = activation_backward(d * (1 - z), new_sum, new)
    d_reset = d_new * product if reset_after else (d_new @ recurrent_kernel[:, 2 * units :].T) * h
    d_gates = np.stack((d * (h - new), d_reset), axis=1)
    d_gates = recurrent_activation_backward(d_gates, gate_sums, gates).reshape(len(h), 2 * units)
    d_x = np.concatenate((d_gates, d_new), axis=1)
    if reset_after:
        d_inner = np.concatenate((d_gates, d_new * r), axis=1)
        return [d_x, d_inner], [d_inner @ recurrent_kernel.T + d * z]
    d_h = d_gates @ recurrent_kernel[:, : 2 * units].T + (d_new @ recurrent_kernel[:, 2 * units :].T) * r
    return [d_x, product], [d_h + d * z]


def gru_backward(
    d,
    d_h,
    x,
    kernel,
    recurrent_kernel,
    bias=None,
    mask=None,
    h=None,
    *,
    activation,
    recurrent_activation,
    activation_backward,
    activation_reads,
    recurrent_activation_backward,
    recurrent_activation_reads,
    reset_after=True,
    **returns,
):
    """Those of x K + b, of h R + b (with `reset_after`), of the recurrent kernel and of the first state."""
    units = recurrent_kernel.shape[0]
    bias, recurrent_bias = (bias, None) if bias is None or not reset_after else bias
    backward = through(activation_backward, activation_reads)
    functions = backward, through(recurrent_activation_backward, recurrent_activation_reads)

    def step(x, h):
        return gru_step(x, h, recurrent_kernel, recurrent_bias, activation, recurrent_activation, reset_after)

    def step_backward(d_new, states, kept):
        return gru_step_backward(d_new[0], states[0], kept, recurrent_kernel, *functions, reset_after)

    tape = replay(step, dense(x, kernel, bias), [h], (units,), mask)
    (d_x, other), (d_h,) = walk_back(step_backward, tape, d, [d_h], mask, **returns)
    before = states_before(tape)
    if reset_after:
        return d_x, other, products(before, other), d_h
    gates = products(before, d_x[..., : 2 * units])
    return d_x, d_x, np.concatenate((gates, products(other, d_x[..., 2 * units :])), axis=1), d_h


def merge_steps_backward(d, like=None, *, shape=None):
    """As many steps as `like` has, or as `shape` begins with: (N * T, ...) → (N, T, ...)."""
    steps = like.shape[1] if shape is None else shape[0]
    return d.reshape((len(d) // steps, steps) + d.shape[1:])


def masked_average_backward(d, mask, *, keepdims=False):
    """d / count where the mask is on: (N, C) with (N, T) → (N, T, C); NaN if it is on nowhere."""
    mask = mask.astype(d.dtype)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = (d if keepdims else d[:, np.newaxis]) / mask.sum(axis=1)[:, np.newaxis, np.newaxis]
        return d * mask[:, :, np.newaxis]
