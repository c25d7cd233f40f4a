"""Quantisation: low-bit weights back to floats, and floats rounded as a quantised layer rounds its inputs."""

import numpy as np


def round_levels(x, *, axis=(-1,), low=-127, high=127, epsilon=1e-7):
    """x rounded to multiples of its largest magnitude along `axis` divided by `high`: shape kept."""
    scale = high / (np.max(np.abs(x), axis=axis, keepdims=True) + epsilon)
    return np.minimum(np.maximum(np.round(x * scale), low), high) / scale


def round_significant(x, *, bits, least):
    """x rounded to `bits` significant bits, or fewer below 2^least / 2, where the step is constant: shape kept."""
    step = np.ldexp(x.dtype.type(1), np.maximum(np.frexp(x)[1], least) - bits)
    return np.round(x / step) * step


def round_float8(x, scale):
    """x / scale as a float of 8 bits (e4m3, at most 448), times scale: shape kept."""
    return round_significant(np.minimum(np.maximum(x / scale, -448), 448), bits=4, least=-5) * scale


def round_bfloat16(x):
    """x as a bfloat16: shape kept."""
    return round_significant(x, bits=8, least=-125)


def unpack_int4(packed, *, size, axis=-1, signed=True):
    """Two numbers of 4 bits from each byte, the lower bits first; the axis gets this size."""
    parts = np.stack([packed & 15, packed >> 4 & 15], axis=axis if axis < 0 else axis + 1)
    shape = packed.shape[:axis] + (2 * packed.shape[axis],) + packed.shape[axis:][1:]
    y = np.take(parts.reshape(shape), np.arange(size), axis=axis)
    return (y ^ 8) - 8 if signed else y


def dequantize(x, scale, zero, groups, *, axis):
    """(x - zero) * scale, both per group; `groups` holds the group of each index along the axis: shape of x kept."""
    groups = groups.astype("int32")
    zero = np.take(zero, groups, axis=axis).astype(scale.dtype)
    return (x - zero) * np.take(scale, groups, axis=axis)
