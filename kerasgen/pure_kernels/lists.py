"""Lists of numbers: how they are held, and where the cells of an array are in one.

What is fastest differs between the interpreters, so it is chosen when the module is loaded.
"""

import math
import sys


def choose_floats():
    """What makes a list of floats: `list`, or in MicroPython an array, which takes an eighth of the memory there."""
    if sys.implementation.name != "micropython":
        return list
    from array import array

    return lambda numbers: array("f", numbers)


floats = choose_floats()


def choose_dot():
    """The fastest sum of products: `math.sumprod` of Python 3.12, C functions in older ones, else a loop."""
    if sys.implementation.name != "cpython":
        return dot_by_index
    return getattr(math, "sumprod", dot_by_map)


def dot_by_index(a, b):
    """Σ a b, in a loop that a just-in-time compiler can see through."""
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return total


def dot_by_map(a, b):
    """Σ a b, in a loop in C."""
    from operator import mul

    return sum(map(mul, a, b))


dot = choose_dot()


def product(sizes):
    """The product of sizes: the cells of an array."""
    cells = 1
    for size in sizes:
        cells *= size
    return cells


def blocks(x, size):
    """The list in parts of `size` numbers."""
    for first in range(0, len(x), size):
        yield x[first : first + size]


def steps_of(shape):
    """How far the cells of an array of this shape are apart along each axis: (H, W, C) → (W * C, C, 1)."""
    steps = []
    step = 1
    for size in reversed(shape):
        steps.insert(0, step)
        step *= size
    return steps


def grid(sizes, steps, first=0):
    """The places of cells that are `steps` apart along each axis, the last axis fastest."""
    places = [first]
    for size, step in zip(sizes, steps):
        places = [place + i * step for place in places for i in range(size)]
    return places


def lanes(shape, axes):
    """Where the cells along these axes are, from any cell of the others; and the places of those cells."""
    steps = steps_of(shape)
    rest = [axis for axis in range(len(shape)) if axis not in axes]
    within, others = (grid([shape[axis] for axis in some], [steps[axis] for axis in some]) for some in (axes, rest))
    return within, others


def along(function, x, shape, axes):
    """An array with every run of cells along these axes replaced by what `function` makes of it: as many cells."""
    y = floats(x)
    within, others = lanes(shape, axes)
    for first in others:
        for i, number in zip(within, function([x[first + i] for i in within])):
            y[first + i] = number
    return y


def reduced(function, x, shape, axes):
    """What `function` makes of every run of cells along these axes: one number for each."""
    within, others = lanes(shape, axes)
    return floats(function([x[first + i] for i in within]) for first in others)


def aligned(*xs, shapes):
    """The cells of several arrays side by side, broadcast to one shape if they have shapes; a number goes with each."""
    xs = [[x] if isinstance(x, (int, float)) else x for x in xs]
    cells = max(map(len, xs))
    if shapes is None:
        return zip(*(x if len(x) == cells else [x[0]] * cells for x in xs))
    rank = max(map(len, shapes))
    shapes = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    sizes = [max(axis) for axis in zip(*shapes)]
    places = [grid(sizes, [step if size > 1 else 0 for size, step in zip(shape, steps_of(shape))]) for shape in shapes]
    return ([x[i] for x, i in zip(xs, cell)] for cell in zip(*places))
