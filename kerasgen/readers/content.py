"""The bytes of a file and its kind, told by its contents, never by its extension."""

from __future__ import annotations

import io
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from kerasgen.errors import FileError, InvalidModelError
from kerasgen.names import printable
from kerasgen.readers import foreign

MAX_TEXT = 1 << 24  # bytes; the largest known architectures take a few million
MAX_REASON = 300  # characters
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):[/\\]+(.*)")


@dataclass(frozen=True)
class Content:
    """A file or a folder on disk, or the bytes of a deleted file. `name` is used in messages."""

    name: str
    data: Path | bytes

    def handle(self) -> Path | io.BytesIO:
        """The path or a stream of the bytes, for zipfile to open."""
        return self.data if isinstance(self.data, Path) else io.BytesIO(self.data)

    def place(self) -> tuple[str, int, Iterable[bytes]]:
        """The path, 0 and (), or "", the size in bytes and the bytes."""
        if isinstance(self.data, Path):
            return str(self.data.absolute()), 0, ()
        return "", len(self.data), (self.data,)

    def read(self, size: int) -> bytes:
        """The first `size` bytes."""
        if isinstance(self.data, bytes):
            return self.data[:size]
        try:
            with self.data.open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise FileError(f"{self.name}: cannot be read: {reason(error)}") from error


def on_disk(path: Path) -> Content:
    """The file or folder at `path`. FileError for anything else: opening a pipe would block."""
    name = printable(str(path))
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        address = _ADDRESS.match(name)
        if address:
            url = f"{address[1]}://{address[2]}"  # Path drops a slash
            raise FileError(f"{url}: is an address, not a file: download it and give the file") from error
        raise FileError(f"{name}: cannot be read: {reason(error)}") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise FileError(f"{name}: is not a regular file")
    return Content(name, path)


def kind(content: Content) -> str:
    """ "folder", "hdf5", "zip" or "json"; InvalidModelError for anything else."""
    if isinstance(content.data, Path) and content.data.is_dir():
        return "folder"
    head = content.read(512)
    if magic(head):
        return magic(head)
    if not head:
        raise InvalidModelError(f"{content.name}: not a Keras model: the file is empty")
    if head.startswith(b"version https://git-lfs"):
        raise InvalidModelError(f"{content.name}: not a Keras model but a git-lfs pointer to one: run `git lfs pull`")
    other = foreign.of_file(head, content.name) or "not a Keras model: neither HDF5 nor a .keras archive nor JSON"
    raise InvalidModelError(f"{content.name}: {other}")


def magic(head: bytes) -> str:
    """ "hdf5", "zip" or "json" by how a file begins, "" for anything else."""
    if head.startswith(_HDF5):
        return "hdf5"
    if head.startswith(_ZIP):
        return "zip"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return "json" if text.startswith((b"{", b"[", b'"{', b'"[')) else ""  # as text, or as text within a string


def reason(error: Exception) -> str:
    """The message of a library's error, shortened to one line."""
    if isinstance(error, KeyError) and error.args:
        return f"{error.args[0]!r} is missing"[:MAX_REASON]
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
    return printable(text.strip().partition("\n")[0])[:MAX_REASON]
