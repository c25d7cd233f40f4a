"""HDF5 without its traps: hard links and plain numeric arrays only, and no array read before its shape is compared."""

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

# A file of some kilobytes can declare terabytes of one repeated value. Genuine weights do not compress like that.
_BOMB_BYTES, _BOMB_RATIO = 1 << 28, 1000


@dataclass(frozen=True, eq=False)
class Array:
    """An array in the file: `type` as NumPy spells it, or "bfloat16"; `stored` bytes; `fault` is why it is unusable."""

    number: tuple[int, int]  # of its file, and its own there
    shape: tuple[int, ...]
    type: str
    stored: int
    fault: str

    @property
    def size(self) -> int:
        """Bytes, once it is read."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type that it is read as."""
        return np.dtype("<u2" if self.type == "bfloat16" else self.type)


@dataclass(frozen=True, eq=False)
class Group:
    """A group: what it holds by name, where a text says why there is nothing to be had; and texts."""

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
        """The arrays one after the other, in this machine's byte order; bfloat16 becomes float32."""
        buffers = self.process.read([array.number for array in arrays], [array.size for array in arrays])
        for array, buffer in zip(arrays, buffers, strict=True):
            read = np.frombuffer(buffer, array.dtype).reshape(array.shape)
            if array.type == "bfloat16":  # the upper half of a float32
                yield (read.astype(np.uint32) << 16).view(np.float32)
            else:
                yield read.astype(read.dtype.newbyteorder("="), copy=False)


# A variable, its arrays in the file, the shape that each of them must have, and what makes one of them.
Made = tuple[Variable, Sequence[Array], tuple[int, ...], Callable[..., np.ndarray]]


class Place(Protocol):
    """A file that can be read, again and again."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def place(self) -> tuple[str, int, Iterable[bytes]]:
        """Its path, or "" and what it holds: how many bytes, and the bytes in blocks."""
        ...


class Source(Protocol):
    """One file or several, seen as one."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def root(self, process: Child) -> Group:
        """What is in it, once the process has opened it."""
        ...


@dataclass(frozen=True)
class Single:
    """One file, as it is."""

    file: Place

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.file.name

    def root(self, process: Child) -> Group:
        """What is in it."""
        return _tree(*process.open(self.name, *self.file.place()))


@contextmanager
def opened(source: Source) -> Iterator[File]:
    """The open file. Where it turns out malformed inside the block, InvalidModelError names it."""
    with reading(source.name) as process, malformed(source.name):
        yield File(source.name, source.root(process), process)


@contextmanager
def malformed(name: str) -> Iterator[None]:
    """What goes wrong inside the block, with texts and links that are not what they should be, is the file's fault."""
    try:
        yield
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidModelError(f"{name}: unusable HDF5 file: {error}") from error


def _tree(file: int, objects: list[dict[str, Any]]) -> Group:
    """The root group of what `kerasgen.hdf5.server.File.describe` lists."""
    made = [_thing(file, number, entry) for number, entry in enumerate(objects)]
    for thing, entry in zip(made, objects, strict=True):
        if isinstance(thing, Group):
            thing.links.update((n, made[to] if isinstance(to, int) else to) for n, to in entry["links"].items())
    root = made[0]
    assert isinstance(root, Group)
    return root


def _thing(file: int, number: int, entry: dict[str, Any]) -> Group | Array:
    if "links" in entry:
        return Group(entry["name"], {}, entry["attrs"])
    return Array((file, number), tuple(entry["shape"]), entry["type"], entry["stored"], entry["fault"])


def find(group: Group, path: str) -> Group | Array | None:
    """What lies at `path`, or None. ValueError where the way leads over a link, which may point out of the file."""
    node: Group | Array = group
    for part in filter(None, path.split("/")):
        if not isinstance(node, Group) or part not in node.links:
            return None
        found = node.links[part]
        if isinstance(found, str):
            raise ValueError(f"{f'{node.name}/{part}'!r} {found}")
        node = found
    return node


def subgroup(group: Group | None, path: str) -> Group | None:
    """The group at `path`, None where there is none."""
    found = None if group is None else find(group, path)
    return found if isinstance(found, Group) else None


def graft(arrays: Group, root: Group, path: str) -> None:
    """Enter a group's arrays and attributes into the group at `path` of another tree."""
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
    """A list of names kept as an attribute; Keras splits those too long for one into `attribute0`, `attribute1`, …"""
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
    found = [name for chunk in chunks for name in chunk]
    for name in found:
        name.encode()  # UnicodeEncodeError, a ValueError, where the bytes were no UTF-8
    return found


def text(group: Group, attribute: str, default: str = "") -> str:
    """An attribute."""
    found = group.attrs.get(attribute, default)
    if not isinstance(found, str):
        raise ValueError(f"the attribute {attribute!r} of {group.name!r} is not a text")
    return found


def load(file: File, pairs: Iterable[tuple[Variable, Any]]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`. All are compared with what was declared before the first is read."""
    return assemble(file, [(variable, [array], variable.shape, lambda array: array) for variable, array in pairs])


def assemble(file: File, made: Iterable[Made]) -> dict[str, np.ndarray]:
    """The arrays by `Variable.key`, each made of one or several that all have the same shape."""
    made = list(made)
    for variable, parts, shape, _ in made:
        for array in parts:
            fault = _fault(array, shape)
            if fault:
                where = f"layer {'/'.join(variable.owner)!r}: weight {variable.name!r}"
                raise InvalidModelError(f"{file.name}: {where} {fault}")
    arrays = [array for _, parts, _, _ in made for array in parts]
    if bomb(arrays):
        raise InvalidModelError(f"{file.name}: its weights {bomb(arrays)}")
    read = file.read(arrays)
    return {variable.key: make(*islice(read, len(parts))) for variable, parts, _, make in made}


def bomb(arrays: Sequence[Array]) -> str:
    """One array can be many times as large as what is stored of it, and so can many that are one under many names.

    Why they are a bomb; "" if they are none.
    """
    size, stored = sum(array.size for array in arrays), sum(array.stored for array in set(arrays))
    return (
        f"declare {size} bytes, of which {stored} are stored" if size > max(_BOMB_BYTES, _BOMB_RATIO * stored) else ""
    )


def _fault(array: Any, shape: tuple[int, ...]) -> str:
    """What forbids reading this as an array of this shape; "" if nothing does."""
    if not isinstance(array, Array):
        return "is a group, not an array"
    if array.shape != tuple(shape):
        return f"has shape {array.shape} in the file, but the architecture says {tuple(shape)}"
    return array.fault
