"""Recurrent layers: a loop over the steps. Arrays are (T, C), states (U)."""

from kerasgen.pure_kernels.conv import dense
from kerasgen.pure_kernels.lists import blocks, floats


def scan(
    step, inputs, states, units, mask=None, *, return_sequences=False, return_state=False, zero_output_for_mask=False
):
    """Run `states = step(x_t, *states)` over the steps; the first state is the output.

    A state of None is zeros. The result is the last output, or all of them as (T, U) if `return_sequences`, followed by
    the last states if `return_state`. A step where the mask (T) is off changes no state and repeats the previous
    output, or outputs zeros if `zero_output_for_mask`.
    """
    zeros = floats(0.0 for _ in range(units))
    states = [zeros if state is None else state for state in states]
    output, outputs = zeros, floats(())
    for t, x in enumerate(inputs):
        if mask is None or mask[t]:
            states = step(x, *states)
            output = states[0]
        elif zero_output_for_mask:
            output = zeros
        if return_sequences:
            outputs += output
    result = outputs if return_sequences else output
    return [result] + list(states) if return_state else result


def inputs_of(x, kernel, bias):
    """What each step adds: x_t K + b."""
    return (dense(cell, kernel, bias) for cell in blocks(x, len(kernel[0])))


def added(a, b):
    """a + b, number by number."""
    return floats(v + w for v, w in zip(a, b))


def simple_rnn(x, kernel, recurrent_kernel, bias=None, mask=None, h=None, *, activation, **returns):
    """h' = activation(x K + h R + b): (T, C) → (U). `scan` explains the mask, the state and `returns`."""

    def step(x, h):
        return [activation(added(x, dense(h, recurrent_kernel)))]

    return scan(step, inputs_of(x, kernel, bias), [h], len(recurrent_kernel[0]), mask, **returns)


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
    """Long short-term memory: (T, C) → (U). `scan` explains the rest.

    i, f, g, o = x K + h R + b;  c' = f * c + i * activation(g);  h' = o * activation(c'), where the gates i, f and o
    went through recurrent_activation.
    """
    units = len(recurrent_kernel[0])

    def step(x, h, c):
        i, f, g, o = blocks(added(x, dense(h, recurrent_kernel)), units)
        i, f, o = recurrent_activation(i), recurrent_activation(f), recurrent_activation(o)
        c = floats(f[n] * c[n] + i[n] * new for n, new in enumerate(activation(g)))
        return [floats(v * w for v, w in zip(o, activation(c))), c]

    return scan(step, inputs_of(x, kernel, bias), [h, c], units, mask, **returns)


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
    """Gated recurrent unit, h' = z * h + (1 - z) * activation(x_h + r * h R_h): (T, C) → (U).

    The gates z and r are recurrent_activation(x_zr + h R_zr). Without `reset_after`, r is applied before the product,
    as (r * h) R_h. With it, h R has a bias of its own: (2 * 3 U). `scan` explains the rest.
    """
    units = len(recurrent_kernel[0])
    gate_kernel, new_kernel = recurrent_kernel[: 2 * units], recurrent_kernel[2 * units :]
    gate_bias = new_bias = None
    if bias is not None and reset_after:
        bias, gate_bias, new_bias = bias[: 3 * units], bias[3 * units : 5 * units], bias[5 * units :]

    def step(x, h):
        gates = added(x[: 2 * units], dense(h, gate_kernel, gate_bias))
        z, r = recurrent_activation(gates[:units]), recurrent_activation(gates[units:])
        if reset_after:
            inner = floats(v * w for v, w in zip(r, dense(h, new_kernel, new_bias)))
        else:
            inner = dense(floats(v * w for v, w in zip(r, h)), new_kernel)
        new = activation(added(x[2 * units :], inner))
        return [floats(z[n] * h[n] + (1.0 - z[n]) * v for n, v in enumerate(new))]

    return scan(step, inputs_of(x, kernel, bias), [h], units, mask, **returns)


def masked(x, mask, *, value=0.0):
    """x, with `value` at the steps where the mask is off: (T, ...) with (T) → (T, ...)."""
    y = floats(())
    for on, cell in zip(mask, blocks(x, len(x) // len(mask))):
        y += cell if on else floats(value for _ in cell)
    return y


def masked_average(x, mask):
    """The mean over the unmasked steps: (T, C) with (T) → (C); NaN if there are none."""
    cells = [cell for on, cell in zip(mask, blocks(x, len(x) // len(mask))) if on]
    if not cells:
        return floats(float("nan") for _ in range(len(x) // len(mask)))
    return floats(sum(numbers) / len(cells) for numbers in zip(*cells))
