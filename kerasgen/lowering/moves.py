"""What only moves numbers. Where each number of the result comes from is found by moving the numbers of the places."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kerasgen import kernels
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.kernels.resize import resize_matrix
from kerasgen.lowering.call import Call, Expression, NoCounterpart, Result, Sizes, lowers
from kerasgen.lowering.window import image, stepwise
from kerasgen.pure_kernels import shape as pure
from kerasgen.pure_kernels.resize import resize as resized


class Grid(NamedTuple):
    """Places that are `strides` apart along each axis of a shape, from `offset` on."""

    shape: Sizes
    strides: Sizes
    offset: int


def grid_of(places: np.ndarray) -> Grid | None:
    """The grid whose cells, the last axis fastest, are these places; None if there is none.

    The longest run of equal steps that the places consist of becomes the last axis; the first places of the runs are
    looked at in the same way.
    """
    sizes: list[int] = []
    steps: list[int] = []
    while len(places) > 1:
        step = int(places[1] - places[0])
        breaks = np.flatnonzero(np.diff(places) != step)
        longest = int(breaks[0]) + 1 if len(breaks) else len(places)
        for run in range(longest, 1, -1):
            if len(places) % run == 0:
                table = places.reshape(-1, run)
                if np.array_equal(table, table[:, :1] + np.arange(run) * step):
                    break
        else:
            return None
        sizes.insert(0, run)
        steps.insert(0, step)
        places = table[:, 0]
    return Grid(tuple(sizes), tuple(steps), int(places[0]) if len(places) else 0)


@lowers(
    kernels.flatten,
    kernels.reshape,
    kernels.reshape_all,
    kernels.merge_steps,
    kernels.split_steps,
    np.expand_dims,
    np.squeeze,
    np.reshape,
    np.ravel,
)
def reshape(call: Call) -> Result:
    """A list has no shape."""
    output = call.node.outputs[0]
    if call.is_batched(call.x) != call.is_batched(output):
        raise NoCounterpart("it mixes the samples of a batch")
    if np.prod(call.shape(call.x)) != np.prod(call.shape(output)):
        raise NoCounterpart("it mixes the samples of a batch")
    return call.flat(call.x)


@lowers(np.transpose, np.swapaxes, np.moveaxis, kernels.channels_first, kernels.channels_last)
def transpose(call: Call) -> Result:
    """The order of the axes is printed, unless only axes of one cell move."""
    shape, rank = call.shape(call.x), len(call.spec(call.x).shape)
    sizes = range(2, rank + 2)  # all differ, so that each tells its axis
    axes = [size - 2 for size in call.node.kernel(np.empty(sizes), **call.settings).shape]
    if call.is_batched(call.x):
        if axes.pop(0) != 0:
            raise NoCounterpart("it mixes the samples of a batch")
        axes = [call.axis(axis) for axis in axes]
        axes = [0, *axes] if call.rows(call.x) > 1 else axes
    longer = [axis for axis in axes if shape[axis] != 1]
    if longer == sorted(longer):
        return call.flat(call.x)
    return Expression(pure.transpose, (call.flat(call.x),), {"shape": shape, "axes": tuple(axes)})


def moved_places(call: Call) -> list[np.ndarray]:
    """Where the numbers of each output come from in the list of the operand; tried on a batch of two samples."""
    shape = call.spec(call.x).shape
    cells = int(np.prod(call.shape(call.x), dtype=int))
    samples = 2 if call.is_batched(call.x) else 1
    sizes = (samples * call.rows(call.x), *shape[1:]) if samples > 1 else call.shape(call.x)
    try:
        result = call.node.kernel(np.arange(samples * cells).reshape(sizes), *call.node.inputs[1:], **call.settings)
    except (ValueError, IndexError) as error:
        raise NoCounterpart("it mixes the samples of a batch") from error
    found = []
    for output, places in zip(
        call.node.outputs, result if isinstance(result, (list, tuple)) else [result], strict=True
    ):
        if samples == 1:
            found.append(places)
        elif call.is_batched(output) and len(places) == 2 * call.rows(output):
            first, second = places.reshape(2, -1)
            if np.any(first >= cells) or np.any(second - first != cells):
                raise NoCounterpart("it mixes the samples of a batch")
            found.append(first)
        else:
            raise NoCounterpart("it mixes the samples of a batch")
    return found


def picked(call: Call, places: np.ndarray) -> Result:
    """The line that picks the numbers at these places."""
    places = places.ravel()
    cells = int(np.prod(call.shape(call.x), dtype=int))
    if np.array_equal(places, np.arange(cells)):
        return call.flat(call.x)
    grid = grid_of(places)
    if grid is None:
        where = call.weight(places.astype("int32"), f"{call.node.outputs[0]}/places")
        return Expression(pure.gather, (call.flat(call.x), where), {})
    offset = {"offset": grid.offset} if grid.offset else {}
    return Expression(pure.as_strided, (call.flat(call.x),), {"shape": grid.shape, "strides": grid.strides, **offset})


@lowers(
    kernels.get_item,
    kernels.depth_to_space,
    kernels.space_to_depth,
    kernels.crop_to_aspect_ratio,
    np.broadcast_to,
    np.flip,
    np.fliplr,
    np.flipud,
    np.repeat,
    np.roll,
    np.rot90,
    np.tile,
    np.diagonal,
)
def moved(call: Call) -> Result:
    """Strides, where there are such, else a list of places."""
    return picked(call, moved_places(call)[0])


@lowers(kernels.split, kernels.unstack, kernels.array_split)
def split(call: Call) -> list[Result]:
    """Each part by itself."""
    return [picked(call, places) for places in moved_places(call)]


@lowers(kernels.upsample_nearest)
def upsample_nearest(call: Call) -> Result:
    """The same settings, and the shape."""
    return stepwise(call, pure.upsample_nearest, (call.x,), {"shape": image(call), "size": call.settings["size"]})


@lowers(kernels.upsample, kernels.resize)
def resize(call: Call) -> Result:
    """The nearest cell is there already; others are sums, with the weights of each axis as rows."""
    interpolation = call.settings.get("interpolation", "bilinear")
    if not call.settings.get("half_pixel_centers", True):
        raise NoCounterpart("its cells have their corners, not their centres, in common")
    if interpolation == "nearest":
        return picked(call, moved_places(call)[0])
    if not call.spec(call.x).dtype.startswith("float"):
        raise NoCounterpart("it rounds to whole numbers as float32 does")
    old, new = image(call)[:2], call.settings["size"]
    if call.node.kernel is kernels.upsample:
        new = tuple(length * factor for length, factor in zip(old, new, strict=True))
    antialias = call.settings.get("antialias", False)
    matrices = (resize_matrix(*sizes, interpolation, antialias) for sizes in zip(old, new, strict=True))
    names = [
        call.weight(matrix.astype("float32"), f"{call.node.outputs[0]}/{axis}")
        for axis, matrix in zip(("rows", "columns"), matrices, strict=True)
    ]
    return stepwise(call, resized, (call.x, *names), {"shape": image(call)})


@lowers(kernels.concatenate, kernels.stack)
def concatenate(call: Call) -> Result:
    """How many numbers each array has along the axis and those after it is printed; to stack is to join along a new
    axis of size 1."""
    stacks = call.node.kernel is kernels.stack
    operands = [operand for operand in call.node.inputs if isinstance(operand, str)]
    if len({call.is_batched(operand) for operand in operands}) > 1 or len({call.rows(o) for o in operands}) > 1:
        raise NoCounterpart("it mixes the samples of a batch")
    axis = call.axis(call.settings.get("axis", 0 if stacks else -1), operands[0], extra=int(stacks))
    sizes = tuple(int(np.prod(call.shape(operand)[axis:], dtype=int)) for operand in operands)
    return Expression(pure.concatenate, tuple(map(call.flat, operands)), {"rows": sizes})


@lowers(np.take)
def take(call: Call) -> Result:
    """Rows of a table by number, as embeddings are; or cells at constant places."""
    table, indices = call.node.inputs[:2]
    if not isinstance(table, str) or table not in call.arrays:
        return picked(call, moved_places(replaced(call))[0])
    array = call.constant(table)
    if call.settings.get("axis") != 0 or call.settings.get("mode", "raise") != "raise":
        raise NoCounterpart("it picks along another axis than the first")
    rows = call.weight(array.reshape(len(array), -1), table)
    return Expression(pure.take, (rows, call.flat(indices)), {})


def replaced(call: Call) -> Call:
    """The call with its second operand as the numbers that it is."""
    numbers: Any = call.constant(call.node.inputs[1]) if isinstance(call.node.inputs[1], str) else call.node.inputs[1]
    node = call.node
    kernel: Kernel = lambda x, **settings: node.kernel(x, numbers, **settings)  # noqa: E731
    return Call(node.__class__(node.outputs, kernel, (call.x,), node.attrs), call.values, call.arrays, call.laid_out)
