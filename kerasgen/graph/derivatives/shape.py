"""Derivatives of what only moves cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels import concatenate as join
from kerasgen.kernels import get_item as part
from kerasgen.kernels import reshape as reshape_samples
from kerasgen.kernels import reshape_all
from kerasgen.kernels import stack as stack_parts
from kerasgen.kernels.backward import shape
from kerasgen.kernels.shape import channels_first as to_first
from kerasgen.kernels.shape import channels_last as to_last


def rank(call: Call, operand: Operand) -> int:
    """How many axes a value has."""
    sizes = call.shape(operand)
    assert sizes is not None
    return len(sizes)


def axes_of(call: Call, axis: Any, operand: Operand) -> tuple[int, ...]:
    """Axes of a value, from 0; None is all of them."""
    ndim = rank(call, operand)
    if axis is None:
        return tuple(range(ndim))
    return tuple(a % ndim for a in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def sized(call: Call, axes: Sequence[int], kernel: Callable[..., Any], *inputs: Operand, **attrs: Any) -> str:
    """Emit a kernel that must know the shape of the first operand, of which these axes change their sizes."""
    x = call.x[0]
    return str(call.emit(kernel, *inputs, x, **attrs) if 0 in axes else call.sized(kernel, *inputs, like=x, **attrs))


def _back(call: Call, d: str, x: Operand, *, samples: bool) -> str:
    """`d` in the shape of x, whose cells are in the same order; `samples` tells whether the first axis is kept."""
    sizes = call.shape(x)
    if sizes is not None and samples and sizes[:1] == (None,) and sizes[1:].count(None) < 2:
        return str(call.emit(reshape_samples, d, shape=tuple(-1 if n is None else n for n in sizes[1:])))
    if sizes is not None and sizes.count(None) < 2:
        return str(call.emit(reshape_all, d, shape=tuple(-1 if n is None else n for n in sizes)))
    return str(call.emit(shape.reshape_like, d, x))


def reshape(call: Call, i: int) -> Operand:
    """Reshaped back, each sample by itself."""
    return _back(call, call.d, call.x[0], samples=True)


def reshape_whole(call: Call, i: int) -> Operand:
    """Reshaped back."""
    return _back(call, call.d, call.x[0], samples=False)


def channels_first(call: Call, i: int) -> Operand:
    """The reverse move."""
    return str(call.emit(to_last, call.d))


def channels_last(call: Call, i: int) -> Operand:
    """The reverse move."""
    return str(call.emit(to_first, call.d))


def transpose(call: Call, i: int) -> Operand:
    """The reverse permutation."""
    axes = call.setting("axes")
    ndim = rank(call, call.x[0])
    return str(
        call.emit(np.transpose, call.d)
        if axes is None
        else call.emit(np.transpose, call.d, axes=tuple(int(a) for a in np.argsort([axis % ndim for axis in axes])))
    )


def same(call: Call, i: int) -> Operand:
    """What undoes itself, or keeps the same cells."""
    return str(call.emit(call.node.kernel, call.d, **call.attrs))


def triangle(call: Call, i: int) -> Operand:
    """The same cells are kept, of matrices."""
    return same(call, i) if rank(call, call.x[0]) > 1 else moved(call, i)


def move_axis(call: Call, i: int) -> Operand:
    """The reverse move."""
    source, destination = call.setting("source"), call.setting("destination")
    return str(call.emit(np.moveaxis, call.d, source=destination, destination=source))


def roll(call: Call, i: int) -> Operand:
    """Rolled back."""
    shift = call.setting("shift")
    back = tuple(-n for n in shift) if isinstance(shift, (tuple, list)) else -shift
    return str(call.emit(np.roll, call.d, **{**call.attrs, "shift": back}))


def rot90(call: Call, i: int) -> Operand:
    """Rotated back."""
    return str(call.emit(np.rot90, call.d, **{**call.attrs, "k": -call.setting("k", 1)}))


def expand_dims(call: Call, i: int) -> Operand:
    """Without the new axis."""
    return str(call.emit(np.squeeze, call.d, axis=call.setting("axis")))


def squeeze(call: Call, i: int) -> Operand:
    """With the axes that were dropped."""
    if call.setting("axis") is None:
        return str(call.emit(shape.reshape_like, call.d, call.x[0]))
    d = call.d
    for axis in sorted(axes_of(call, call.setting("axis"), call.x[0])):
        d = call.emit(np.expand_dims, d, axis=axis)
    return d


def get_item(call: Call, i: int) -> Operand:
    """Zeros around what was read."""
    index, d = call.setting("index"), call.d
    items = list(index) if isinstance(index, tuple) else [index]
    while items and items[0] is None:
        items, d = items[1:], str(call.emit(np.squeeze, d, axis=0))
    taken = sum(item is not None and item is not Ellipsis for item in items)
    covered = [item for item in (*items, Ellipsis) if item is not Ellipsis or taken < rank(call, call.x[0])]
    if covered and covered[0] in (slice(None), slice(None, None, 1), Ellipsis):
        return str(call.sized(shape.get_item_backward, d, like=call.x[0], index=tuple(items)))
    return str(call.emit(shape.get_item_backward, d, call.x[0], index=tuple(items)))


def place(call: Call, i: int, axis: int) -> slice | None:
    """Where operand i is along the axis of the concatenation; None if that is known only at run time."""
    shapes = [call.shape(x) for x in call.x]
    sizes = [None if s is None else s[axis] for s in shapes]

    def total(part: Sequence[int | None]) -> int | None:
        return None if None in part else sum(n or 0 for n in part)

    before, size, after = total(sizes[:i]), sizes[i], total(sizes[i + 1 :])
    if (before, size, after).count(None) > 1 or (before is None and after is None):
        return None
    if before is None:
        return slice(-(size or 0) - (after or 0), -(after or 0) or None)
    return slice(before, before + size if size is not None else -(after or 0) or None)


def concatenate(call: Call, i: int) -> Operand:
    """The part that the operand became."""
    axis = call.setting("axis", -1) % rank(call, call.x[0])
    return _part(call, i, axis)


def _part(call: Call, i: int, axis: int) -> str:
    where = place(call, i, axis)
    if where is None:
        return str(call.emit(shape.concatenate_backward, call.d, *call.x[: i + 1], axis=axis))
    return str(call.emit(part, call.d, index=(*(slice(None),) * axis, where)))


def append(call: Call, i: int) -> Operand:
    """The part that the operand became; without an axis both are flattened."""
    if call.setting("axis") is None:
        return str(call.emit(shape.append_backward, call.d, call.x[i], last=bool(i)))
    return concatenate(call, i)


def dstack(call: Call, i: int) -> Operand:
    """The part that the operand became along the third axis, which is a new one if it has fewer."""
    x = call.x[i]
    if rank(call, x) > 2:
        return _part(call, i, 2)
    return str(call.emit(part, call.d, index=(slice(None) if rank(call, x) == 2 else 0, slice(None), i)))


def stack(call: Call, i: int) -> Operand:
    """The slice that the operand became."""
    axis = call.setting("axis", 0) % rank(call, call.y)
    return str(call.emit(part, call.d, index=(*(slice(None),) * axis, i)))


def _parts(call: Call, axis: int) -> list[str]:
    """The gradients of all outputs, zeros for those that no loss depends on."""
    given = next(d for d in call.gradients if d is not None)
    return [
        (
            d
            if d is not None
            else str(call.emit(np.zeros_like, y) if axis == 0 else call.sized(shape.zeros_of, given, like=y))
        )
        for d, y in zip(call.gradients, call.node.outputs, strict=True)
    ]


def split(call: Call, i: int) -> Operand:
    """The parts, joined."""
    axis = call.setting("axis", 0) % rank(call, call.x[0])
    return str(call.emit(join, *_parts(call, axis), axis=axis))


def unstack(call: Call, i: int) -> Operand:
    """The slices, stacked."""
    axis = call.setting("axis", 0) % rank(call, call.x[0])
    return str(call.emit(stack_parts, *_parts(call, axis), axis=axis))


def meshgrid(call: Call, i: int) -> Operand:
    """The sum over the axes of all other coordinates."""
    d = call.gradients[i]
    if d is None:
        return None
    count = len(call.gradients)
    own = 1 - i if i < 2 and call.setting("indexing", "xy") == "xy" else i
    total = call.emit(np.sum, d, axis=tuple(axis for axis in range(count) if axis != own))
    return _back(call, total, call.x[i], samples=False)


def repeat(call: Call, i: int) -> Operand:
    """The sum of the repeats."""
    axis, repeats = call.setting("axis"), call.setting("repeats")
    if i or axis is None:
        return None if i else moved(call, i)
    sizes = call.shape(call.x[0])
    if sizes is not None and sizes[axis] == 1:
        return str(call.emit(np.sum, call.d, axis=axis, keepdims=True))
    if isinstance(repeats, int):
        return str(call.emit(shape.repeat_backward, call.d, repeats=repeats, axis=axis))
    return moved(call, i)


def tile(call: Call, i: int) -> Operand:
    """The sum of the copies."""
    reps = call.setting("reps")
    reps = (reps,) if isinstance(reps, int) else tuple(reps)
    lead = max(len(reps) - rank(call, call.x[0]), 0)
    return str(call.emit(shape.tile_backward, call.d, reps=reps, lead=lead))


def broadcast_to(call: Call, i: int) -> Operand:
    """The sum over what was repeated."""
    return call.unbroadcast(call.d, 0)


def full_like(call: Call, i: int) -> Operand:
    """The sum over all cells with the number."""
    return call.unbroadcast(call.d, 1) if i == 1 else None


def pad(call: Call, i: int) -> Operand:
    """The part inside, if what is around is a constant."""
    if call.setting("mode", "constant") != "constant":
        return moved(call, i)
    index = tuple(slice(before or None, -after or None) for before, after in call.setting("pad_width"))
    return str(call.emit(part, call.d, index=index))


def diff(call: Call, i: int) -> Operand:
    """Differences back."""
    return str(call.emit(shape.diff_backward, call.d, **call.attrs))


def trace(call: Call, i: int) -> Operand:
    """To each cell of the diagonal."""
    d = call.emit(np.expand_dims, call.d, axis=-1)
    return _scattered(call, d, np.diagonal)


def diagonal(call: Call, i: int) -> Operand:
    """To the cells of the diagonal."""
    return _scattered(call, call.d, np.diagonal)


def _scattered(call: Call, d: str, kernel: Callable[..., Any]) -> str:
    """By the numbers of the cells, moved in the same way; the axes of the diagonal may be any."""
    axes = axes_of(call, (call.setting("axis1", 0), call.setting("axis2", 1)), call.x[0])
    numbers = sized(call, axes, shape.number_cells, d)
    return str(call.emit(shape.add_at, d, call.emit(kernel, numbers, **call.attrs), numbers))


def moved(call: Call, i: int) -> Operand:
    """Added up where each cell came from, by moving the numbers of the cells in the same way."""
    numbers = call.emit(shape.number_cells, call.d, call.x[0])
    places = call.emit(call.node.kernel, numbers, *call.x[1:], **call.attrs)
    return str(call.emit(shape.add_at, call.d, places, numbers))


def moved_along(call: Call, i: int) -> Operand:
    """As `moved`, where each sample stays what it is unless the axis is the batch."""
    axes = axes_of(call, call.setting("axis"), call.x[0])
    numbers = sized(call, axes, shape.number_cells, call.d)
    places = call.emit(call.node.kernel, numbers, *call.x[1:], **call.attrs)
    return str(call.emit(shape.add_at, call.d, places, numbers))
