"""Inputs that are the same on every machine."""

import numpy as np


def hashed(start, stop, seed=0):
    """A whole number of 32 bits for each position from `start` on that looks random: MurmurHash3's last steps."""
    n = np.arange(start, stop).astype(np.uint32) + np.uint32(seed * 0x9E3779B9 % 2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        n ^= n >> np.uint32(shift)
        n *= np.uint32(factor)
    return n


def make_input(shape, dtype, low, high, whole=False, seed=0):
    """An array that looks like data and is the same on every machine: no library decides how it is rounded.

    The samples take turns: even noise from `low` to `high`; waves between them, smooth along every axis as images and
    signals are; normal noise of mean 0 and deviation 1; one cell in eight `high`, all others `low`; and even noise upon
    waves that are eight times as high. Both limits are numbers, or one for each cell of the last axis. Where numbers
    are whole, what would be normal noise is even, and from the fifth sample on they count from `low` to `high`, over
    and over.
    """
    y = np.empty(shape, dtype)
    if not y.size:
        return y
    whole = whole or y.dtype.kind in "biu"
    width = shape[-1] if len(shape) > 1 else 1
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    for sample, cells in enumerate(y.reshape(len(y), -1, width)):
        step = max(1, 2**15 // width)
        for row in range(0, len(cells), step):
            block = cells[row : row + step]
            start, stop = row * width, row * width + block.size
            if whole and sample > 3:
                count = np.arange(start, stop).reshape(block.shape) + (sample - 4) * cells.size
                block[...] = low + count % (high - low + 1)
                continue
            part = input_noise(shape[1:], whole, seed, sample, start, stop).reshape(block.shape)
            if whole:
                block[...] = np.minimum(np.floor(low + part * (high - low + 1)), high)
            else:
                block[...] = part if sample % 5 == 2 else low + part * (high - low)
    return y


def input_noise(sizes, whole, seed, sample, start, stop):
    """The cells of a sample of `make_input`, most from 0 to 1; the third of five is normal unless `whole`."""
    n = hashed(start + sample * int(np.prod(sizes)), stop + sample * int(np.prod(sizes)), seed)
    if sample % 5 in (1, 4):
        waves = input_waves(sizes, seed + sample, np.arange(start, stop))
        return waves if sample % 5 == 1 else 8 * (waves - 0.5) + n / 2.0**32
    if sample % 5 == 2 and not whole:  # the sum of the four bytes, which has a deviation of 148
        return (np.sum(n.view(np.uint8).reshape(-1, 4), axis=1) - 510.0) / 148
    return n % 8 == 0 if sample % 5 == 3 else n / 2.0**32


def input_waves(sizes, seed, cells):
    """Three waves through an array of these sizes, 0 to 3 of them along each axis, at these cells: from 0 to 1."""
    y = np.full(len(cells), 0.5)
    for wave, height in enumerate((0.25, 0.15, 0.1)):
        phase, *counts = hashed(wave << 8, (wave << 8) + len(sizes) + 1, seed).tolist()
        t, stride = np.full(len(cells), phase / 2.0**32), 1
        for size, count in zip(reversed(sizes), counts):
            t += cells // stride % size * (count % 4 / size)
            stride *= size
        t -= np.floor(t) + 0.5
        y += height * 8 * t * (1 - 2 * np.abs(t))  # a parabola for each half, close to a sine
    return y
