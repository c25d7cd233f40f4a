"""Sizes that a model computes with: `tf.shape(x)` and values derived from it, as far as known at export.

Arrays of sizes have dtype object, so that NumPy functions can compute with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Node, Value
from kerasgen.graph.size import BATCH, Size
from kerasgen.layers.layer import Layer
from kerasgen.readers.model import leaves

LARGEST = 64  # numbers in an array of sizes


def size_array(numbers: Any) -> np.ndarray:
    """Numbers and sizes as an array of sizes. Raises TypeError or ValueError for anything else."""
    return np.asarray(np.frompyfunc(Size.of, 1, 1)(np.asarray(numbers)), object)


def axis_sizes(x: Value) -> np.ndarray:
    """The sizes of an array's axes."""
    sizes = [np.nan if size is None else size for size in x.shape]
    return size_array([BATCH, *sizes[1:]] if x.batched and x.shape[:1] == (None,) else sizes)


def known_sizes(item: Any) -> np.ndarray | None:
    """The sizes in a tensor, a number or a list of these, if known."""
    if isinstance(item, Value):
        return item.sizes
    if isinstance(item, (list, tuple)):
        parts = [known_sizes(part) for part in item]
        if any(part is None or part.ndim for part in parts):
            return None
        return size_array([part.item() for part in parts if part is not None])
    return size_array(item) if isinstance(item, (int, float, Size, np.ndarray)) else None


def sizes(item: Any, what: str) -> list[Size]:
    """The sizes in an argument, each a number or a multiple of the batch size. Raises UnsupportedModelError."""
    elements = known_sizes(item)
    if elements is None or any(size.is_unknown for size in elements.flat):
        raise UnsupportedModelError(f"{what} must be known when it is exported")
    return list(elements.flat)


def numbers(sizes: Sequence[Size], growing: int) -> list[int]:
    """Sizes as numbers, with `growing` for each that grows with the batch."""
    return [growing if size.batches else int(size.cells) for size in sizes]


def integers(item: Any, what: str) -> list[int]:
    """The integers in an argument. Raises UnsupportedModelError if they depend on the batch."""
    elements = sizes(item, what)
    if any(size.batches for size in elements):
        raise UnsupportedModelError(f"{what} depends on the size of the batch")
    return [int(size.cells) for size in elements]


def integer(item: Any, what: str) -> int:
    """The only integer in an argument."""
    numbers = integers(item, what)
    if len(numbers) != 1:
        raise UnsupportedModelError(f"{what} must be one number")
    return numbers[0]


def concrete(item: Any) -> Any:
    """An argument, with tensors of known contents replaced by their numbers."""
    if isinstance(item, (list, tuple)):
        return type(item)(concrete(part) for part in item)
    if isinstance(item, slice):
        return slice(concrete(item.start), concrete(item.stop), concrete(item.step))
    if not isinstance(item, Value) or item.sizes is None or not _all_numbers(item.sizes):
        return item
    return _cells(item.sizes).astype(item.dtype).tolist()


def propagate(layer: Layer, arguments: Any, nodes: Sequence[Node], result: Any) -> Any:
    """The result of a rule, annotated with the sizes in its tensors: runs the rule's nodes on known sizes."""
    sizes = {value.name: value.sizes for value in leaves(arguments, Value) if value.sizes is not None}
    if not sizes:
        return result
    arrays = {key: array for key, array in layer.constants.items() if array.size <= LARGEST}
    arrays.update((name, _as_numbers(array)) for name, array in sizes.items())
    for node in nodes:
        outputs = _run(node, arrays)
        if outputs is not None and all(array.size <= LARGEST for array in outputs):
            sizes.update(zip(node.outputs, outputs, strict=True))
            arrays.update(zip(node.outputs, map(_as_numbers, outputs), strict=True))

    def annotate(value: Value) -> Value:
        return value if value.sizes is not None else replace(value, sizes=sizes.get(value.name))

    return [annotate(value) for value in result] if isinstance(result, (list, tuple)) else annotate(result)


def _run(node: Node, arrays: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    """The sizes that a node computes from arrays of numbers or sizes, or None."""
    if any(name not in arrays for name in node.reads):
        return None
    if any(arrays[name].dtype == object for name in node.reads):
        if node.kernel is kernels.cast and "int" in node.attrs["dtype"]:
            return [arrays[name] for name in node.reads]
        if not facts(node.kernel).linear:
            return None
    try:
        return [size_array(array) for array in node.call(arrays)]
    except (TypeError, ValueError, IndexError, ArithmeticError):
        return None


def _as_numbers(sizes: np.ndarray) -> np.ndarray:
    """Sizes as an array of numbers, integers if possible; unchanged if one of them is not a number."""
    if not _all_numbers(sizes):
        return sizes
    cells = _cells(sizes)
    return cells.astype(np.int64) if np.all(cells == np.rint(cells)) else cells


def _all_numbers(sizes: np.ndarray) -> bool:
    return all(size.is_number for size in sizes.flat)


def _cells(sizes: np.ndarray) -> np.ndarray:
    return np.array([size.cells for size in sizes.flat], float).reshape(sizes.shape)
