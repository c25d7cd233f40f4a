"""Moving numbers without changing them."""

from kerasgen.pure_kernels.lists import blocks, floats, grid, steps_of


def as_strided(x, *, shape, strides, offset=0):
    """The cells that are `strides` numbers apart along each axis, from the number at `offset` on."""
    return floats(x[i] for i in grid(shape, strides, offset))


def transpose(x, *, shape, axes):
    """The array with its axes in another order."""
    steps = steps_of(shape)
    return floats(x[i] for i in grid([shape[axis] for axis in axes], [steps[axis] for axis in axes]))


def concatenate(*xs, rows):
    """Join arrays along an axis; `rows` are the numbers that each has along this axis and those after it."""
    y = floats(())
    for parts in zip(*(blocks(x, size) for x, size in zip(xs, rows))):
        for part in parts:
            y += part
    return y


def upsample_nearest(x, *, shape, size):
    """Repeat every cell: (H, W, C) with size (2, 3) → (2H, 3W, C)."""
    sizes, steps = [], []
    for length, times, step in zip(shape, size, steps_of(shape)):
        sizes += [length, times]
        steps += [step, 0]
    return floats(x[i] for i in grid(sizes + [shape[-1]], steps + [1]))


def take(table, indices):
    """The rows of a table: V rows of D, indices (...) → (..., D)."""
    y = floats(())
    for index in indices:
        y += floats(table[int(index)])
    return y


def over_steps(x, *weights, function, count, **settings):
    """A function of each of `count` steps: (T, ...) → (T, ...)."""
    y = floats(())
    for step in blocks(x, len(x) // count):
        y += function(step, *weights, **settings)
    return y


def gather(x, places):
    """The numbers at these places."""
    return floats(x[int(i)] for i in places)


def one_hot(indices, *, num_classes):
    """Each index as a row of zeros with a one at its place, if it has one: (...) → (..., num_classes)."""
    return floats(float(int(index) == place) for index in indices for place in range(num_classes))
