"""The only code that touches HDF5: lists a file's contents and reads its arrays. It runs in the process of `process`.

Nothing here leads out of the file: only hard links are followed, others are reported, and arrays are described before
any is read. Imports only NumPy and h5py, so that the process starts quickly.
"""

from __future__ import annotations

import contextlib
import encodings.ascii  # noqa: F401 - h5py imports it late, when no file can be opened any more
import errno
import io
import json
import math
import os
import re
import sys
from typing import Any, BinaryIO

import h5py
import numpy as np

try:
    import resource
except ImportError:  # Windows has no limits to set
    resource = None  # type: ignore[assignment]

MAX_LINKS = 1 << 17  # the largest known models have some thousands of groups and arrays
MAX_ATTRIBUTE = 1 << 24  # bytes; the largest known architectures take a few million
OWN_BYTES = 1 << 27  # of memory, for Python, NumPy and libhdf5
_ATTRIBUTES = re.compile(rb"(model|training)_config|keras_version|backend|name|(layer|weight)_names\d*")
_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, h5py.h5z.FILTER_LZF}
_UNREADABLE = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EIO, errno.EAGAIN}
_WIDTHS = {"f": (2, 4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,)}


class NoModelError(Exception):
    """The file is valid HDF5, but cannot be a model."""


class File:
    """An open file, from its path or its bytes."""

    def __init__(self, place: bytes | BinaryIO) -> None:
        self.file = h5py.File(place, "r")
        self.paths: list[bytes] = []  # of groups and arrays, by their number
        self._numbers: dict[int, int] = {}  # by address: hard links may lead to one object twice, or form a cycle
        self._links = 0

    def describe(self) -> list[dict[str, Any]]:
        """Groups and arrays, the root first; a number is an index into this list.

        A group has `name`, its path; `links` by name, each a number or the reason why it cannot be followed; and
        `attrs`, those that Keras writes, as strings. An array has `shape`; `type`, as NumPy spells it or "bfloat16";
        `stored`, its bytes in the file; and `fault`, the reason why it cannot be read, or "".
        """
        objects: list[dict[str, Any]] = []
        self._enter(h5py.h5g.open(self.file.id, b"/"), b"/", objects)
        for entry in objects:  # the list grows
            if "links" in entry:
                path = entry["name"].encode("utf-8", "surrogateescape")
                group = h5py.h5g.open(self.file.id, path)
                for name in group:
                    self._links += 1
                    if self._links > MAX_LINKS:
                        raise NoModelError(f"it holds more than {MAX_LINKS} groups and arrays")
                    entry["links"][_decoded(name)] = self._follow(group, path, name, objects)
        return objects

    def read(self, number: int) -> np.ndarray:
        """An array as it is in the file."""
        return np.asarray(h5py.Dataset(h5py.h5d.open(self.file.id, self.paths[number]))[()])

    def _follow(self, group: Any, path: bytes, name: bytes, objects: list[dict[str, Any]]) -> int | str:
        if name in (b"", b".") or b"/" in name or group.links.get_info(name).type != h5py.h5l.TYPE_HARD:
            return "is a soft or external link; save the model again"
        try:
            return self._enter(h5py.h5o.open(group, name), path.rstrip(b"/") + b"/" + name, objects)
        except (MemoryError, NoModelError):
            raise
        except Exception as error:  # it may not be needed
            return f"is damaged: {_reason(error)}"

    def _enter(self, thing: Any, path: bytes, objects: list[dict[str, Any]]) -> int | str:
        address = int(h5py.h5o.get_info(thing).addr)
        if address in self._numbers and isinstance(thing, h5py.h5g.GroupID):
            raise NoModelError(f"its group {_decoded(path)!r} has another name, {self._name(address)!r}")
        if address not in self._numbers:
            if isinstance(thing, h5py.h5d.DatasetID):
                objects.append(_array(thing))
            elif isinstance(thing, h5py.h5g.GroupID):
                objects.append({"name": _decoded(path), "links": {}, "attrs": _attributes(thing)})
            else:
                return "is neither a group nor an array"
            self._numbers[address] = len(self.paths)
            self.paths.append(path)
        return self._numbers[address]

    def _name(self, address: int) -> str:
        return _decoded(self.paths[self._numbers[address]])


def _array(dataset: h5py.h5d.DatasetID) -> dict[str, Any]:
    settings, dtype = dataset.get_create_plist(), dataset.dtype
    # NumPy has no bfloat16: Keras writes it as two opaque bytes
    bfloat16 = dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None and dtype.subdtype is None
    fault = ""
    if settings.get_layout() == h5py.h5d.VIRTUAL or settings.get_external_count():
        fault = "is stored in another file; save the model again"
    elif not bfloat16 and dtype.itemsize not in _WIDTHS.get(dtype.kind, ()):
        fault = f"has the unusable type {str(dtype)[:80]}"
    elif any(settings.get_filter(i)[0] not in _FILTERS for i in range(settings.get_nfilters())):
        fault = "is compressed with a filter other than gzip and lzf; save the model again"
    elif dataset.get_space().get_simple_extent_type() == h5py.h5s.NULL:
        fault = "is empty"
    kind = "bfloat16" if bfloat16 else dtype.str
    return {"shape": list(dataset.shape or ()), "type": kind, "stored": dataset.get_storage_size(), "fault": fault}


def _attributes(group: Any) -> dict[str, Any]:
    attributes = {}
    for index in range(h5py.h5a.get_num_attrs(group)):
        attribute = h5py.h5a.open(group, index=index)
        if _ATTRIBUTES.fullmatch(attribute.name):
            name = attribute.name.decode()
            if math.prod(attribute.shape or ()) * attribute.dtype.itemsize > MAX_ATTRIBUTE:
                raise NoModelError(f"its attribute {name!r} is larger than {MAX_ATTRIBUTE} bytes")
            attributes[name] = _texts(h5py.Group(group).attrs[name])
    return attributes


def _texts(value: Any) -> Any:
    """Keras has written both strings and UTF-8 bytes, alone and in arrays."""
    if isinstance(value, np.ndarray):
        return [_texts(item) for item in value.ravel().tolist()]
    return _decoded(value) if isinstance(value, bytes) else str(value)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.strip().partition("\n")[0][:300]


class Server:
    """Answers requests. Requests and replies are lines of JSON, some followed by bytes. See `kerasgen.hdf5.process`."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO) -> None:
        self.requests, self.replies = requests, replies
        self.files: list[File] = []

    def answer(self) -> bool:
        """Answer one request; False if there is none."""
        line = self.requests.readline()
        if line:
            request = json.loads(line)
            try:
                getattr(self, request.pop("do"))(**request)
            except MemoryError:
                self._reply(error="memory")
            except Exception as error:  # h5py raises almost any class, depending on which bytes are damaged
                number = error.errno if isinstance(error, OSError) else None
                if number in _UNREADABLE:
                    self._reply(error="file", text=os.strerror(number))
                else:
                    self._reply(error="content", text=_reason(error))
        return bool(line)

    def open(self, path: str, size: int, memory: int, seconds: int) -> None:
        """Describe the file at `path`, or the one whose `size` bytes follow."""
        _limit("RLIMIT_NOFILE", 256)
        _allow(memory + size, seconds)
        self.files.append(File(os.fsencode(path) if path else io.BytesIO(self.requests.read(size))))
        _limit("RLIMIT_NOFILE", 0)  # files that this one refers to cannot be opened
        self._reply(objects=self.files[-1].describe())

    def read(self, arrays: list[tuple[int, int]], memory: int, seconds: int) -> None:
        """Send arrays by the numbers of file and array."""
        _allow(memory, seconds)
        for file, number in arrays:
            array = self.files[file].read(number)
            self._reply(bytes=array.nbytes)
            self.replies.write(array.reshape(-1).view(np.uint8).data)
        self.replies.flush()

    def close(self) -> None:
        """Close all files."""
        while self.files:
            self.files.pop().file.close()
        self._reply()

    def _reply(self, **reply: Any) -> None:
        self.replies.write(json.dumps(reply).encode() + b"\n")
        self.replies.flush()


def _allow(memory: int, seconds: int) -> None:
    """Limit resources from here on: bytes of memory, seconds of CPU time."""
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        _limit("RLIMIT_CPU", math.ceil(used.ru_utime + used.ru_stime) + seconds)
        _limit("RLIMIT_DATA", OWN_BYTES + memory)


def _limit(name: str, value: int) -> None:
    """Set a limit if the platform has it."""
    with contextlib.suppress(AttributeError, ValueError, OSError):
        kind = getattr(resource, name)
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Serve stdin until it ends."""
    server = Server(sys.stdin.buffer, os.fdopen(os.dup(1), "wb"))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # output of libraries must not mix with replies
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 0)  # it never writes a file
    server.replies.write(b"{}\n")
    server.replies.flush()
    while server.answer():
        pass
