"""Resizing of images (H, W, C)."""

from kerasgen.pure_kernels.lists import blocks, dot, floats


def resize(x, rows, columns, *, shape):
    """Each new cell is a weighted sum along a row, then along a column: (H, W, C) → (OH, OW, C).

    `columns` are OW rows of W weights, `rows` are OH rows of H.
    """
    _, w, c = shape
    y = floats(())
    for line in blocks(x, w * c):
        channels = [floats(line[i] for i in range(channel, w * c, c)) for channel in range(c)]
        y += floats(dot(column, numbers) for column in columns for numbers in channels)
    width = len(columns) * c
    upright = [floats(y[i] for i in range(place, len(y), width)) for place in range(width)]
    return floats(dot(row, numbers) for row in rows for numbers in upright)
