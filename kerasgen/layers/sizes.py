"""Sizes that a model computes with: `tf.shape(x)` and what is made of it, as far as it is known before the model runs.

A size is a complex number. Its real part is a number of cells; its imaginary part counts batches, whose size only the
caller knows: 4 is four, 1j the batch, 12j what remains of the batch when samples of twelve cells are laid flat. nan is
known only at run time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Node, Value
from kerasgen.layers.layer import Layer
from kerasgen.readers.model import leaves

LARGEST = 64  # numbers in an array of sizes
BATCH = 1j
# What is true of multiples of the batch as of numbers; products of two batches are refused below.
LINEAR: set[Callable[..., Any]] = {
    kernels.get_item,
    kernels.concatenate,
    kernels.stack,
    kernels.split,
    kernels.unstack,
    kernels.reshape_all,
}
LINEAR |= {np.add, np.subtract, np.multiply, np.prod, np.sum, np.squeeze, np.expand_dims, np.take, kernels.identity}


def of(x: Value) -> np.ndarray:
    """The sizes of an array's axes."""
    known = [np.nan if size is None else size for size in x.shape]
    if x.shape[:1] == (None,) and x.batched:
        return np.array([BATCH, *known[1:]])
    return np.array(known, complex)


def content(item: Any) -> np.ndarray | None:
    """What a tensor, a number or a list of these holds, if that is known."""
    if isinstance(item, Value):
        return None if item.content is None else np.asarray(item.content)
    if isinstance(item, (list, tuple)):
        parts = [content(part) for part in item]
        if any(part is None or part.ndim for part in parts):
            return None
        return np.array([complex(part) for part in parts if part is not None])
    return np.asarray(item, complex) if isinstance(item, (int, float, np.ndarray)) else None


def sizes(item: Any, what: str) -> list[complex]:
    """The sizes that an argument lists, each known or a multiple of the batch. Raises UnsupportedModelError."""
    known = content(item)
    if known is None or np.isnan(known).any():
        raise UnsupportedModelError(f"{what} must be known when it is exported")
    return [complex(size) for size in known.reshape(-1)]


def integers(item: Any, what: str) -> list[int]:
    """The whole numbers that an argument lists. Raises UnsupportedModelError where they depend on the batch."""
    known = sizes(item, what)
    if any(size.imag for size in known):
        raise UnsupportedModelError(f"{what} depends on the size of the batch")
    return [int(size.real) for size in known]


def integer(item: Any, what: str) -> int:
    """The only number of an argument."""
    numbers = integers(item, what)
    if len(numbers) != 1:
        raise UnsupportedModelError(f"{what} must be one number")
    return numbers[0]


def plain(item: Any) -> Any:
    """An argument, its tensors replaced by the numbers that they are known to hold."""
    if isinstance(item, (list, tuple)):
        return type(item)(plain(part) for part in item)
    if isinstance(item, slice):
        return slice(plain(item.start), plain(item.stop), plain(item.step))
    known = content(item) if isinstance(item, Value) else None
    if known is None or np.isnan(known).any() or known.imag.any():
        return item
    numbers = known.real.astype(np.dtype(item.dtype))
    return numbers.item() if numbers.ndim == 0 else numbers.tolist()


def followed(layer: Layer, given: Any, nodes: Sequence[Node], result: Any) -> Any:
    """The result of a rule, with what is known of its content: the rule's own nodes, run on the content of `given`."""
    known = {value.name: np.asarray(value.content) for value in leaves(given, Value) if value.content is not None}
    if not known:
        return result
    known.update((key, array) for key, array in layer.constants.items() if array.size <= LARGEST)
    for node in nodes:
        made = _run(node, known)
        if made is not None and all(array.size <= LARGEST for array in made):
            known.update(zip(node.outputs, made, strict=True))

    def note(value: Value) -> Value:
        array = known.get(value.name)
        return value if array is None or value.content is not None else replace(value, content=array)

    return [note(value) for value in result] if isinstance(result, (list, tuple)) else note(result)


def _run(node: Node, known: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    """What a node makes of sizes, or None."""
    if any(name not in known for name in node.reads):
        return None
    operands = [known[i] if isinstance(i, str) else i for i in node.inputs]
    arrays = [operand for operand in operands if isinstance(operand, np.ndarray)]
    if not any(np.imag(array).any() or np.isnan(array).any() for array in arrays):
        operands = [_real(operand) for operand in operands]
    elif node.kernel is kernels.cast and "int" in node.attrs["dtype"]:
        return arrays
    elif node.kernel not in LINEAR or sum(bool(np.imag(factor).any()) for factor in _factors(node, arrays)) > 1:
        return None
    try:
        made = node.kernel(*operands, **node.attrs)
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return None
    made = list(made) if isinstance(made, (list, tuple)) else [made]
    return [np.asarray(array, complex) for array in made] if len(made) == len(node.outputs) else None


def _factors(node: Node, arrays: Iterable[np.ndarray]) -> list[Any]:
    """What a node multiplies."""
    if node.kernel is np.prod:
        return [number for array in arrays for number in array.reshape(-1)]
    return list(arrays) if node.kernel is np.multiply else []


def _real(operand: Any) -> Any:
    if not isinstance(operand, np.ndarray) or not np.iscomplexobj(operand):
        return operand
    return operand.real.astype(np.int64) if np.all(operand.real == np.rint(operand.real)) else operand.real
