"""Kernels that compute a sequence in parts, with windows that reach back to steps before the new ones."""

import numpy as np

from kerasgen.kernels.conv import dense, finish
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.window import windows


def complete_windows(x, before, *, span, hop=1, skip=0):
    """The steps in the windows that are now complete, and the steps that later windows need.

    (N, T, ...) after `before` (N, B, ...) → (N, T', ...), (N, B', ...). A window has `span` steps, of which the first
    `skip` are left out; the next window begins `hop` steps later.
    """
    if len(before) != len(x):
        raise ValueError(f"a batch of {len(x)} cannot continue from the state of a batch of {len(before)}")
    x = np.concatenate((before, x), axis=1)
    count = (x.shape[1] - span) // hop + 1
    if count < 1:
        return x[:, :0], x
    rest = x[:, count * hop :]
    if x.nbytes > 2 * rest.nbytes:
        rest = rest.copy()  # a view would keep all of x in memory
    return x[:, skip : (count - 1) * hop + span], rest


def conv_steps(x, kernel, bias=None, *, stride=1, dilation=1, activation=None):
    """Convolution over any number of steps, even none: (N, T, C) with a kernel (k, C, F) → (N, OT, F).

    A single window, as when steps come one at a time, needs no unfolding.
    """
    (k, c, f), (n, steps, _) = kernel.shape, x.shape
    count = (steps - (k - 1) * dilation - 1) // stride + 1 if steps else 0
    cells = windows(x, (k,), (stride,), (dilation,)) if count > 1 else x[:, ::dilation]
    y = matmul(cells.reshape(n * count, k * c), kernel.reshape(k * c, f))
    return finish(y.reshape(n, count, f), bias, activation)


def conv_each(x, kernel, bias=None, *, activation=None):
    """Convolution with a window of one cell: (N, T, ..., C) with a kernel (1, ..., C, F) → (N, T, ..., F), T even 0."""
    return dense(x, kernel.reshape(kernel.shape[-2:]), bias, activation=activation)


def over_windows(x, *weights, kernel, span, **settings):
    """The result of `kernel` for the steps of complete windows, even if there are none: (N, T, ...) → (N, OT, ...)."""
    if x.shape[1]:
        return kernel(x, *weights, **settings)
    y = kernel(np.empty((0, span) + x.shape[2:], x.dtype), *weights, **settings)
    return np.empty((len(x), 0) + y.shape[2:], y.dtype)


def repeat_state(y, mask, h):
    """The outputs of a loop over steps; the previous state h at the steps before the mask (N, T) is first true."""
    begun = np.cumsum(mask, axis=1) > 0
    return np.where(begun.reshape(begun.shape + (1,) * (y.ndim - 2)), y, h[:, np.newaxis])


def check_steps(*xs):
    """Raise a ValueError unless all inputs have as many samples and steps as the first."""
    if len({x.shape[:2] for x in xs}) > 1:
        raise ValueError(f"the inputs differ in their samples and steps: {', '.join(str(x.shape[:2]) for x in xs)}")
