"""Gradients of matrix products and decompositions. `d` is always the gradient of the result."""

import numpy as np


def outer_backward(d, other, like=None, *, axis, shape=None):
    """d times the other vector, summed over this axis of d, in the shape of the operand: (M, N) with N cells → M."""
    y = np.tensordot(d, other.reshape(other.size), axes=((axis,), (0,)))
    return y.reshape(like.shape if shape is None else (y.size // int(np.prod(shape)),) + shape)


def product(a, b, *, subscripts):
    """np.einsum by one matrix product per batch; no axis is only in a or only in b, but not in the result."""
    terms, _, result = subscripts.partition("->")
    first, _, second = terms.partition(",")
    sizes = dict(zip(first + second, a.shape + b.shape))
    batch = [axis for axis in first if axis in second and axis in result]
    inner = [axis for axis in first if axis in second and axis not in result]
    left = [axis for axis in first if axis not in second]
    right = [axis for axis in second if axis not in first]
    n, k, rows, columns = ([sizes[axis] for axis in group] for group in (batch, inner, left, right))
    a = a.transpose([first.index(axis) for axis in batch + left + inner])
    b = b.transpose([second.index(axis) for axis in batch + inner + right])
    k, many, others = int(np.prod(k)), int(np.prod(rows)), int(np.prod(columns))
    y = a.reshape(n + [many, k]) @ b.reshape(n + [k, others])
    y = y.reshape(n + rows + columns)
    return y.transpose([(batch + left + right).index(axis) for axis in result])


def spread(d, like, *, subscripts):
    """The gradient of einsum with one operand `like`: repeated along the axes that it sums, on diagonals that it takes.

    The subscripts are the axes of d, then those of `like`; an axis that is there twice is a diagonal.
    """
    have, _, want = subscripts.partition("->")
    axes = "".join(dict.fromkeys(want))
    y = np.zeros(like.shape, d.dtype)
    steps, sizes = {}, {}
    for axis, step, size in zip(want, y.strides, y.shape):
        steps[axis], sizes[axis] = steps.get(axis, 0) + step, size
    view = np.lib.stride_tricks.as_strided(y, [sizes[a] for a in axes], [steps[a] for a in axes])
    view[...] = d.reshape([sizes[a] if a in have else 1 for a in axes])
    return y
