"""Images of any size in bounded memory: each cell of a network's output sees only a part of the image."""

import numpy as np


def parts_of(size, far, tile, step, before, after, least):
    """For each tile along one axis: (start, stop) of the part that is read, and (first, last) of the tile itself.

    The last tile ends at the end of the image: its `last` is None. Cells from `far` on have no output. All edges inside
    the image are a multiple of `step` from its beginning or its end, so the windows and the padding of every layer lie
    as in the whole image.
    """
    end = min(size, far)
    for first in range(0, end, tile):
        last = first + tile
        stop = size if last >= end else size - max(0, size - last - after) // step * step
        start = max(0, min(first - before, stop - least)) // step * step
        yield start, stop, first, None if last >= end else last


def listed(answer):
    """The outputs of a model as a list."""
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]


def outputs_for(answer, x, small, out, axes, strides):
    """Arrays for the outputs of `predict` for x; `answer` is its output for no samples, of the shape `small`."""
    outs = [None] * len(listed(answer)) if out is None else listed(out)
    for i, (y, grid) in enumerate(zip(listed(answer), strides)):
        shape = [len(x), *y.shape[1:]]
        for axis, (place, cells, by) in zip(axes, grid):
            shape[place] += (x.shape[axis] - small[axis]) * by // cells
        if outs[i] is None:
            outs[i] = np.empty(shape, y.dtype)
        elif outs[i].shape != tuple(shape):
            raise ValueError(f"out must have the shape {tuple(shape)}, not {outs[i].shape}")
    return outs


def in_tiles(predict, x, tile, progress, out, *, axes, step, before, after, least, strides):
    """What `predict` returns for x, computed tile by tile: each from a part with everything that the tile's cells see.

    `axes` are the spatial axes of x; the next settings have a number for each of them. A part begins at a multiple of
    `step`; `before` and `after` are the cells needed around a tile, `least` the cells of the smallest part. `strides`
    has (axis, cells, by) for each spatial axis of each output: `cells` of the image give `by` of the output.
    """
    x = np.asarray(x)
    if x.ndim <= max(axes):
        return predict(x)  # it raises an error that says what is wrong
    sizes = [x.shape[axis] for axis in axes]
    tile = [max(1, int(t) // s) * s for t, s in zip(np.broadcast_to(tile, len(axes)), step)]
    small = [0, *x.shape[1:]]
    for axis, size, s, need in zip(axes, sizes, step, least):
        small[axis] = size - max(0, size - need) // s * s
    answer = predict(np.empty(small, x.dtype))
    outs = outputs_for(answer, x, small, out, axes, strides)
    places = []
    for i, settings in enumerate(zip(tile, step, before, after, least)):
        far = max(-(-y.shape[grid[i][0]] * grid[i][1] // grid[i][2]) for y, grid in zip(outs, strides))
        places.append(list(parts_of(sizes[i], far, *settings)))
    tiles = list(np.ndindex(len(x), *map(len, places)))
    for done, (sample, *numbers) in enumerate(tiles, start=1):
        place = [along[number] for along, number in zip(places, numbers)]
        part = [slice(sample, sample + 1)] + [slice(None)] * (x.ndim - 1)
        for axis, (start, stop, _, _) in zip(axes, place):
            part[axis] = slice(start, stop)
        for y, whole, grid in zip(listed(predict(x[tuple(part)])), outs, strides):
            source, target = [slice(None)] * y.ndim, [slice(sample, sample + 1)] + [slice(None)] * (y.ndim - 1)
            for (axis, cells, by), (start, _, first, last) in zip(grid, place):
                end = whole.shape[axis]
                low, high = (end if cell is None else min(end, cell * by // cells) for cell in (first, last))
                source[axis] = slice(low - start * by // cells, high - start * by // cells)
                target[axis] = slice(low, high)
            whole[tuple(target)] = y[tuple(source)]
        if progress is not None:
            progress(done, len(tiles))
    if isinstance(answer, dict):
        return dict(zip(answer, outs))
    return tuple(outs) if isinstance(answer, tuple) else outs[0]
