"""HDF5 without its traps: only hard links and numeric arrays, and no array is read before its shape is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from typing import Any, Protocol

import numpy as np

from kerasgen.errors import InvalidModelError
from kerasgen.hdf5.process import Child, reading
from kerasgen.readers.model import Variable

# A file of a few kilobytes can declare terabytes of one repeated value. Real weights do not compress like that.
_BOMB_BYTES, _BOMB_RATIO = 1 << 28, 1000


@dataclass(frozen=True, eq=False)
class Array:
    """An array in the file: `type` as in NumPy, or "bfloat16"; `stored` bytes; `fault` is why it is unusable, or ""."""

    number: tuple[int, int]  # of the file, and in the file
    shape: tuple[int, ...]
    type: str
    stored: int
    fault: str

    @property
    def size(self) -> int:
        """Its size in memory in bytes."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that it is read as."""
        return np.dtype("<u2" if self.type == "bfloat16" else self.type)


@dataclass(frozen=True, eq=False)
class Group:
    """A group: its links by name, a text being the reason why a link is unusable; and its attributes."""

    name: str
    links: dict[str, Group | Array | str] = field(default_factory=dict)
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class File:
    """An open file."""

    name: str
    root: Group
    process: Child

    def read(self, arrays: Sequence[Array]) -> Iterator[np.ndarray]:
        """The arrays one by one, in native byte order; bfloat16 becomes float32."""
        buffers = self.process.read([array.number for array in arrays], [array.size for array in arrays])
        for array, buffer in zip(arrays, buffers, strict=True):
            read = np.frombuffer(buffer, array.dtype).reshape(array.shape)
            if array.type == "bfloat16":  # the upper half of a float32
                yield (read.astype(np.uint32) << 16).view(np.float32)
            else:
                yield read.astype(read.dtype.newbyteorder("="), copy=False)


# A variable, its arrays in the file, the shape that each must have, and the function that combines them.
Assembly = tuple[Variable, Sequence[Array], tuple[int, ...], Callable[..., np.ndarray]]


class Place(Protocol):
    """A file that can be read repeatedly."""

    @property
    def name(self) -> str:
        """The name used in messages."""
        ...

    def place(self) -> tuple[str, int, Iterable[bytes]]:
        """Its path, 0 and (), or "", the size in bytes and the bytes in blocks."""
        ...


class Source(Protocol):
    """One or several files, seen as one."""

    @property
    def name(self) -> str:
        """The name used in messages."""
        ...

    def root(self, process: Child) -> Group:
        """Its contents, after the process has opened it."""
        ...


@dataclass(frozen=True)
class Single:
    """One file, as it is."""

    file: Place

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.file.name

    def root(self, process: Child) -> Group:
        """Its contents."""
        return _tree(*process.open(self.name, *self.file.place()))


@contextmanager
def opened(source: Source) -> Iterator[File]:
    """The open file. If it turns out to be malformed inside the block, InvalidModelError names it."""
    with reading(source.name) as process, malformed(source.name):
        yield File(source.name, source.root(process), process)


@contextmanager
def malformed(name: str) -> Iterator[None]:
    """Errors inside the block, caused by unexpected texts and links, are the file's fault: InvalidModelError."""
    try:
        yield
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidModelError(f"{name}: unusable HDF5 file: {error}") from error


def _tree(file: int, objects: list[dict[str, Any]]) -> Group:
    """The root group of the objects that `kerasgen.hdf5.server.File.describe` lists."""
    things = [_thing(file, number, entry) for number, entry in enumerate(objects)]
    for thing, entry in zip(things, objects, strict=True):
        if isinstance(thing, Group):
            thing.links.update((n, things[to] if isinstance(to, int) else to) for n, to in entry["links"].items())
    root = things[0]
    assert isinstance(root, Group)
    return root


def _thing(file: int, number: int, entry: dict[str, Any]) -> Group | Array:
    if "links" in entry:
        return Group(entry["name"], {}, entry["attrs"])
    return Array((file, number), tuple(entry["shape"]), entry["type"], entry["stored"], entry["fault"])


def find(group: Group, path: str) -> Group | Array | None:
    """The object at `path`, or None. ValueError if the path contains a soft or external link."""
    node: Group | Array = group
    for part in filter(None, path.split("/")):
        if not isinstance(node, Group) or part not in node.links:
            return None
        target = node.links[part]
        if isinstance(target, str):
            raise ValueError(f"{f'{node.name}/{part}'!r} {target}")
        node = target
    return node


def subgroup(group: Group | None, path: str) -> Group | None:
    """The group at `path`, or None."""
    target = None if group is None else find(group, path)
    return target if isinstance(target, Group) else None


def graft(arrays: Group, root: Group, path: str) -> None:
    """Copy a group's arrays and attributes into the group at `path` of another tree."""
    node = root
    for part in filter(None, path.split("/")):
        inner = node.links.setdefault(part, Group(f"{node.name.rstrip('/')}/{part}"))
        if not isinstance(inner, Group):
            raise ValueError(f"{path!r} leads through an array")
        node = inner
    node.attrs.update(arrays.attrs)
    for key in arrays.links:
        array = find(arrays, key)
        if not isinstance(array, Array) or key in node.links:
            raise ValueError(f"{f'{arrays.name}/{key}'!r} is a group, or an array that has other names")
        node.links[key] = array


def names(group: Group, attribute: str) -> list[str]:
    """A list of names in an attribute; Keras splits long lists into `attribute0`, `attribute1`, …"""
    if attribute in group.attrs and f"{attribute}0" in group.attrs:
        raise ValueError(f"{group.name!r} has its {attribute!r} twice, whole and in parts")
    if attribute in group.attrs:
        chunks = [group.attrs[attribute]]
    else:
        chunks = []
        while f"{attribute}{len(chunks)}" in group.attrs:
            chunks.append(group.attrs[f"{attribute}{len(chunks)}"])
    if not all(isinstance(chunk, list) for chunk in chunks):
        raise ValueError(f"the attribute {attribute!r} of {group.name!r} is not a list")
    result = [name for chunk in chunks for name in chunk]
    for name in result:
        name.encode()  # UnicodeEncodeError, a ValueError, if the bytes were not UTF-8
    return result


def text(group: Group, attribute: str, default: str = "") -> str:
    """An attribute."""
    value = group.attrs.get(attribute, default)
    if not isinstance(value, str):
        raise ValueError(f"the attribute {attribute!r} of {group.name!r} is not a text")
    return value


def load(file: File, pairs: Iterable[tuple[Variable, Any]]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`. All are compared with the declared shapes before the first is read."""
    return assemble(file, [(variable, [array], variable.shape, lambda array: array) for variable, array in pairs])


def assemble(file: File, assemblies: Iterable[Assembly]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`, each combined from one or several of the same shape."""
    assemblies = list(assemblies)
    for variable, parts, shape, _ in assemblies:
        for array in parts:
            fault = _fault(array, shape)
            if fault:
                where = f"layer {'/'.join(variable.owner)!r}: weight {variable.name!r}"
                raise InvalidModelError(f"{file.name}: {where} {fault}")
    arrays = [array for _, parts, _, _ in assemblies for array in parts]
    if bomb(arrays):
        raise InvalidModelError(f"{file.name}: its weights {bomb(arrays)}")
    read = file.read(arrays)
    return {variable.key: make(*islice(read, len(parts))) for variable, parts, _, make in assemblies}


def bomb(arrays: Sequence[Array]) -> str:
    """Why these arrays are a decompression bomb; "" if they are not.

    An array can be many times larger than its stored bytes, and so can many names of the same array.
    """
    size, stored = sum(array.size for array in arrays), sum(array.stored for array in set(arrays))
    return (
        f"declare {size} bytes, of which {stored} are stored" if size > max(_BOMB_BYTES, _BOMB_RATIO * stored) else ""
    )


def _fault(array: Any, shape: tuple[int, ...]) -> str:
    """Why this cannot be read as an array of this shape; "" if it can."""
    if not isinstance(array, Array):
        return "is a group, not an array"
    if array.shape != tuple(shape):
        return f"has shape {array.shape} in the file, but the architecture says {tuple(shape)}"
    return array.fault
