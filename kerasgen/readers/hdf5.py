"""HDF5 without its traps: hard links and plain numeric arrays only, and no array read before its shape is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, Protocol

import h5py
import numpy as np

from kerasgen.errors import FileError, InvalidModelError, KerasgenError
from kerasgen.model import Variable
from kerasgen.readers.content import reason

_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
_WIDTHS = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}
# A file of some kilobytes can declare terabytes of one repeated value. Genuine weights do not compress like that.
_BOMB_BYTES, _BOMB_RATIO = 1 << 28, 1000


# A variable, its arrays in the file, the shape that each of them must have, and what makes one of them.
Made = tuple[Variable, Sequence[h5py.Dataset], tuple[int, ...], Callable[..., np.ndarray]]


class Source(Protocol):
    """Something that h5py can open, again and again."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def handle(self) -> Any:
        """A path or a binary file object."""
        ...


@contextmanager
def opened(source: Source) -> Iterator[h5py.File]:
    """The open file. Whatever h5py stumbles over inside the block becomes an InvalidModelError naming the file."""
    try:
        with h5py.File(source.handle(), "r") as file:
            yield file
    except KerasgenError:
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise FileError(f"{source.name}: cannot be read: {reason(error)}") from error
    except Exception as error:  # h5py raises nearly every class, according to which bytes are damaged
        raise InvalidModelError(f"{source.name}: unusable HDF5 file: {reason(error)}") from error


def find(group: h5py.Group, path: str) -> h5py.Group | h5py.Dataset | None:
    """What lies at `path`, or None. ValueError where the way leads over a link, which may point out of the file."""
    node = group
    for part in filter(None, path.split("/")):
        links, name = node.id.links if isinstance(node, h5py.Group) else None, part.encode()
        if links is None or not links.exists(name):
            return None
        if links.get_info(name).type != h5py.h5l.TYPE_HARD:
            raise ValueError(f"{f'{node.name}/{part}'!r} is a soft or external link; save the model again")
        node = node[part]
    return node


def address(node: h5py.Group | h5py.Dataset) -> int:
    """Where in its file a group or an array lies. Hard links give one place many names."""
    return int(h5py.h5o.get_info(node.id).addr)


def merge(arrays: h5py.Group, whole: h5py.File, path: str, seen: set[int]) -> None:
    """Copy a group's arrays and attributes into the group at `path` of another file.

    `seen` are the addresses of arrays that were copied from this file: ValueError for one that is there twice, which
    could make a small file a large one.
    """
    target = whole.require_group(path)
    for key, value in arrays.attrs.items():
        target.attrs[key] = value
    for key in arrays:
        array = find(arrays, key)
        if not isinstance(array, h5py.Dataset) or address(array) in seen:
            raise ValueError(f"{f'{arrays.name}/{key}'!r} is a group, or an array that has other names")
        seen.add(address(array))
        arrays.copy(array, target, key)


def names(group: h5py.Group, attribute: str) -> list[str]:
    """A list of names kept as an attribute; Keras splits those too long for one into `attribute0`, `attribute1`, …"""
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        chunks = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
    return [text(name) for chunk in chunks for name in chunk]


def text(value: Any) -> str:
    """An attribute as a string: Keras has written both strings and UTF-8 bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def load(file: str, pairs: Iterable[tuple[Variable, h5py.Dataset]]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`. All are compared with what was declared before the first is read."""
    return assemble(file, [(variable, [dataset], variable.shape, lambda array: array) for variable, dataset in pairs])


def assemble(file: str, made: Iterable[Made]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`, each made of one or several that all have the same shape."""
    made = list(made)
    for variable, datasets, shape, _ in made:
        for dataset in datasets:
            fault = _fault(dataset, shape)
            if fault:
                raise InvalidModelError(f"{file}: layer {'/'.join(variable.owner)!r}: weight {variable.name!r} {fault}")
    return {variable.key: make(*map(_array, datasets)) for variable, datasets, _, make in made}


def _fault(dataset: h5py.Dataset, shape: tuple[int, ...]) -> str:
    """What forbids reading the dataset as an array of this shape; "" if nothing does."""
    if not isinstance(dataset, h5py.Dataset):
        return "is a group, not an array"
    if dataset.shape != tuple(shape):
        return f"has shape {dataset.shape} in the file, but the architecture says {tuple(shape)}"
    if dataset.external or dataset.is_virtual:
        return "is stored in another file; save the model again"
    if not _is_bfloat16(dataset.dtype) and dataset.dtype.itemsize not in _WIDTHS.get(dataset.dtype.kind, ()):
        return f"has the unusable type {dataset.dtype}"
    plist = dataset.id.get_create_plist()
    if not _FILTERS.issuperset(plist.get_filter(i)[0] for i in range(plist.get_nfilters())):
        return "is compressed with a filter other than gzip and lzf; save the model again"
    size = prod(shape) * dataset.dtype.itemsize
    if size > max(_BOMB_BYTES, _BOMB_RATIO * dataset.id.get_storage_size()):
        return f"declares {size} bytes, of which {dataset.id.get_storage_size()} are stored"
    return ""


def _array(dataset: h5py.Dataset) -> np.ndarray:
    array = np.asarray(dataset[()])
    if _is_bfloat16(array.dtype):  # the upper half of a float32
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _is_bfloat16(dtype: np.dtype) -> bool:
    """NumPy has no such type: Keras writes it as two opaque bytes."""
    return dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None and dtype.subdtype is None
