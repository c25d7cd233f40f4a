"""Checks of the model's inputs."""

import numpy as np

ACCEPTED_KINDS = {"c": "cfiub", "f": "fiub", "i": "iub", "u": "iub", "b": "b"}


def as_input(x, name, shape, dtype):
    """The argument as a contiguous array of this dtype, or a ValueError that names the input; None is any size."""
    x = np.asarray(x)
    fits = x.ndim == len(shape) and x.shape[1:] == shape[1:] and shape[0] is None
    if fits and x.dtype == dtype and x.flags.c_contiguous:
        return x  # the common case; skips the slower checks
    dtype = np.dtype(dtype)
    if x.dtype.kind not in ACCEPTED_KINDS[dtype.kind]:
        raise ValueError(f"input {name!r} takes {dtype.name}, not {x.dtype.name}")
    if x.ndim != len(shape) or any(size not in (None, got) for size, got in zip(shape, x.shape)):
        raise ValueError(f"input {name!r} takes the shape {tuple(shape)}, the batch first, not {x.shape}")
    y = np.ascontiguousarray(x, dtype)
    if dtype.kind in "iu" and not np.array_equal(x, y):
        raise ValueError(f"input {name!r} holds a number that does not fit into {dtype.name}")
    return y


def check_batch(inputs, *arrays):
    """Raise a ValueError that names the inputs unless all arrays hold the same number of samples."""
    if len(set(map(len, arrays))) > 1:
        sizes = ", ".join(f"{name!r} has {len(x)}" for (name, _, _), x in zip(inputs, arrays))
        raise ValueError(f"the inputs differ in their number of samples: {sizes}")
