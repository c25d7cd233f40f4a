"""Shape and dtype inference, by running the kernel itself on arrays that cost nothing.

The batch is empty, so that no work is done. A size that is known only at run time is tried with two values: where the
results differ, the size of the result is unknown too. There is no second set of shape rules to keep in sync.
"""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Shape, Value

PROBES = (1024, 1536)  # stand-ins for an unknown size; large, so that no chain of `valid` windows uses them up
MISFITS = (ValueError, IndexError, ZeroDivisionError)
BATCHES = (0, 2)  # an empty batch, or a small one for the few operations that reduce over it
MOST_CELLS = 1 << 26  # in an array that is tried with a batch that is not empty


def infer(kernel: Callable[..., Any], operands: Sequence[Any], attrs: Mapping[str, Any]) -> list[tuple[Shape, str]]:
    """Shape and dtype of each array that `kernel(*operands, **attrs)` returns; operands are `Value`s or literals.

    Raises what the kernel raises where the shapes do not fit.
    """
    try:
        outputs = _infer(kernel, operands, attrs, BATCHES[0])
    except np.linalg.LinAlgError:
        return _infer(kernel, operands, attrs, BATCHES[1], _regular)
    except MISFITS:
        if not any(_unknown(v) for v in operands) or _is_large(operands):
            raise
        return _infer(kernel, operands, attrs, BATCHES[1])
    batched = any(isinstance(v, Value) and v.shape[:1] == (None,) for v in operands)
    if batched and any(shape and shape[0] is not None for shape, _ in outputs) and not _is_large(operands):
        with contextlib.suppress(*MISFITS):  # an empty batch joined to 3 rows looked like 3 rows
            return _infer(kernel, operands, attrs, BATCHES[1])
    return outputs


def infer_values(
    graph: Graph, inputs: Sequence[Value], arrays: Mapping[str, np.ndarray]
) -> Iterator[tuple[Node, list[Value]]]:
    """What each node of a graph returns for such inputs; `arrays` are the weights, in the layouts of its kernels.

    Raises what a kernel raises where the shapes do not fit.
    """
    values = {name: Value(name, array.shape, array.dtype.name) for name, array in arrays.items()}
    values.update((value.name, value) for value in (*(state for state, _ in graph.memory), *inputs))
    for node in graph.nodes:
        operands = [values[i] if isinstance(i, str) else i for i in node.inputs]
        read, found = [values[name] for name in node.reads], infer(node.kernel, operands, node.attrs)
        results = [
            Value(name, *form, rows=rows(node.kernel, read, form[0]))
            for name, form in zip(node.outputs, found, strict=True)
        ]
        values.update(zip(node.outputs, results, strict=True))
        yield node, results


def specs_at(graph: Graph, size: int) -> dict[str, Value]:
    """The graph's `specs` for inputs whose open sizes are all `size`, as far as its nodes can be run on such inputs."""
    specs = dict(graph.specs)
    inputs = [replace(value, shape=_closed(value.shape, size)) for value in graph.inputs]
    if inputs == list(graph.inputs):
        return specs
    specs.update((value.name, value) for value in inputs)
    with contextlib.suppress(Exception):  # sizes may not fit together, and the user's functions may raise any
        for node, values in infer_values(graph, inputs, graph.arrays):
            specs.update(zip(node.outputs, values, strict=True))
    return specs


def _closed(shape: Shape, size: int) -> Shape:
    return tuple(size if axis and length is None else length for axis, length in enumerate(shape))


def rows(kernel: Callable[..., Any], arrays: Sequence[Value], shape: Shape) -> int | None:
    """How many rows per sample a result of this shape has along the batch axis; None if unknown.

    As many as the arrays that the kernel reads, unless it turns steps into samples, or the reverse.
    """
    if shape[:1] != (None,) or not arrays:
        return 1
    x, counts = arrays[0], [array.rows for array in arrays]
    if kernel is kernels.split_steps:
        return counts[1]
    if None in counts:
        return None
    most = max(count or 1 for count in counts)
    if kernel is kernels.merge_steps:
        return x.shape[1] and most * x.shape[1]
    if kernel is kernels.reshape_all:
        before, after = x.shape[1:], shape[1:]
        cells = None if None in (*before, *after) else (most * _product(before), _product(after))
        return cells[0] // cells[1] if cells and cells[1] and cells[0] % cells[1] == 0 else None
    return most


def _product(sizes: Shape) -> int:
    return math.prod(size or 0 for size in sizes)


def _infer(
    kernel: Callable[..., Any],
    operands: Sequence[Any],
    attrs: Mapping[str, Any],
    batch: int,
    cells: Callable[..., np.ndarray] = lambda shape, dtype: np.zeros((), dtype),
) -> list[tuple[Shape, str]]:
    open_sizes = batch or any(None in v.shape[1:] for v in operands if isinstance(v, Value))
    runs = []
    for size in PROBES if open_sizes else PROBES[:1]:
        arrays = [_stand_in(v, batch and batch * size // PROBES[0] + 1, size, cells) for v in operands]
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            outputs = kernel(*arrays, **attrs)
        runs.append([np.asarray(array) for array in (outputs if isinstance(outputs, (list, tuple)) else [outputs])])
    first, last = runs[0], runs[-1]
    return [
        (tuple(a if a == b and a != 0 else None for a, b in zip(x.shape, y.shape, strict=True)), x.dtype.name)
        for x, y in zip(first, last, strict=True)
    ]


def _unknown(value: Any) -> bool:
    return isinstance(value, Value) and None in value.shape


def _is_large(operands: Sequence[Any]) -> bool:
    """Whether the arrays are too large to create just to infer a shape."""
    shapes = [v.shape for v in operands if isinstance(v, Value) and None in v.shape]
    return any(math.prod(PROBES[1] if n is None else n for n in shape[1:]) > MOST_CELLS for shape in shapes)


def _stand_in(value: Any, batch: int, size: int, cells: Callable[..., np.ndarray]) -> Any:
    """A read-only array of these cells, by default zeros, which takes no memory."""
    if not isinstance(value, Value):
        return value
    shape = [batch if length is None else length for length in _closed(value.shape, size)]
    return np.broadcast_to(cells(shape, value.dtype), shape)


def _regular(shape: Sequence[int], dtype: str) -> np.ndarray:
    """A matrix that has an inverse, a logarithm and roots, unlike a matrix of zeros."""
    cells = np.random.RandomState(0).uniform(size=shape[-2:])
    return (cells + sum(shape[-2:]) * np.eye(*cells.shape[:2]) if cells.ndim == 2 else cells).astype(dtype)
