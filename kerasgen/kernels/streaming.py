"""What computes a sequence in parts: windows that reach back into the steps before the new ones."""

import numpy as np

from kerasgen.kernels.conv import dense


def over_windows(x, before, *weights, kernel, span, hop=1, skip=0, **settings):
    """What `kernel` makes of the windows that are now complete, and the steps that later windows need.

    (N, T, ...) after `before` (N, B, ...) → (N, OT, ...), (N, B', ...). A window has `span` steps, of which the kernel
    leaves out the first `skip`; the next one begins `hop` steps later.
    """
    if len(before) != len(x):
        raise ValueError(f"a batch of {len(x)} cannot continue from the state of a batch of {len(before)}")
    x = np.concatenate((before, x), axis=1)
    count = (x.shape[1] - span) // hop + 1
    if count < 1:
        one = np.empty((0, span - skip) + x.shape[2:], x.dtype)
        y = kernel(one, *weights, **settings)
        return np.empty((len(x), 0) + y.shape[2:], y.dtype), x
    y = kernel(x[:, skip:], *weights, **settings)
    rest = x[:, count * hop :]
    return y, rest.copy() if x.nbytes > 2 * rest.nbytes else rest  # a view would keep all of x in memory


def conv_by_step(x, kernel, bias=None, *, activation=None):
    """A convolution of one cell: (N, T, ..., C) with a kernel (1, ..., C, F) → (N, T, ..., F), of no steps too."""
    return dense(x, kernel.reshape(kernel.shape[-2:]), bias, activation=activation)


def check_steps(*xs):
    """Raise a ValueError unless all inputs have as many samples and steps as the first."""
    if len({x.shape[:2] for x in xs}) > 1:
        raise ValueError(f"the inputs differ in their samples and steps: {', '.join(str(x.shape[:2]) for x in xs)}")
