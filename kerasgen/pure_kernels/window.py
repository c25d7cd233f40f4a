"""Borders and windows: what convolution and pooling share. Arrays are (*sizes, C), with any number of sizes."""

from kerasgen.pure_kernels.lists import blocks, floats, grid, product, steps_of


def pad(x, *, shape, pads, value=0.0):
    """Pad with one value: (H, W, C) → (H + top + bottom, W + left + right, C).

    `pads` holds (before, after) for every axis but the last.
    """
    sizes = list(shape)
    for axis in reversed(range(len(pads))):
        cell = product(sizes[axis + 1 :])
        before, after = (floats(value for _ in range(cells * cell)) for cells in pads[axis])
        y = floats(())
        for row in blocks(x, sizes[axis] * cell):
            y += before
            y += row
            y += after
        x = y
        sizes[axis] += sum(pads[axis])
    return x


def crop(x, *, shape, crops):
    """Cut (before, after) cells from every axis but the last: (H, W, C) → (H', W', C)."""
    steps = steps_of(shape)
    sizes = [size - before - after for size, (before, after) in zip(shape, crops)]
    first = sum(before * step for (before, _), step in zip(crops, steps))
    y = floats(())
    for place in grid(sizes, steps, first):
        y += x[place : place + shape[-1]]
    return y


def windows(x, shape, window, strides, dilation, pads):
    """The numbers of each window: (H, W, C) → OH * OW lists of kh * kw * C."""
    if pads is not None:
        x = pad(x, shape=shape, pads=pads)
        shape = [size + sum(around) for size, around in zip(shape, pads)] + [shape[-1]]
    steps = steps_of(shape)
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(shape, window, strides, dilation)]
    taps, run = grid(window, [d * step for d, step in zip(dilation, steps)]), shape[-1]
    if dilation[-1] == 1:  # the cells of a row are neighbours
        taps, run = taps[:: window[-1]], window[-1] * run
    for first in grid(counts, [s * step for s, step in zip(strides, steps)]):
        cells = x[first : first + run]
        for tap in taps[1:]:
            cells += x[first + tap : first + tap + run]
        yield cells
