"""The `.keras` archive: the files of a model, zipped. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath

from kerasgen.errors import FileError, InvalidModelError
from kerasgen.readers import content
from kerasgen.readers.content import MAX_TEXT, Content

_BLOCK = 1 << 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BOMB_BYTES, _BOMB_RATIO = 1 << 26, 100  # trained weights hardly compress


@dataclass(frozen=True)
class Archive:
    """An archive as a `keras_files.Container`."""

    file: Content

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.file.name

    def names(self) -> list[str]:
        """The names of the members."""
        with self.opened() as archive:
            return archive.namelist()

    def text(self, name: str) -> bytes | None:
        """The contents of a text file, or None."""
        with self.opened() as archive:
            member = self._member(archive, name, MAX_TEXT)
            return None if member is None else archive.read(member)

    def place(self, name: str) -> tuple[str, int, Iterable[bytes]] | None:
        """No path, but the size in bytes and the bytes in blocks; None if there is no such file."""
        with self.opened() as archive:
            member = self._member(archive, name)
        return None if member is None else ("", member.file_size, self.blocks(name))

    def blocks(self, name: str | zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes of a member, in blocks."""
        with self.opened() as archive, archive.open(name) as member:
            while block := member.read(_BLOCK):
                yield block

    def _member(self, archive: zipfile.ZipFile, name: str, limit: int | None = None) -> zipfile.ZipInfo | None:
        """A member, after checks, or None. InvalidModelError for what Keras would not write."""
        names = archive.namelist()
        if len(set(names)) < len(names):
            raise InvalidModelError(f"{self.name}: unusable archive: it holds a member twice")
        if any(map(leads_out, names)):
            raise InvalidModelError(f"{self.name}: unusable archive: a member lies outside of it")
        if name not in names:
            return None
        reason = fault(archive.getinfo(name), length(archive), limit)
        if reason:
            raise InvalidModelError(f"{self.name}: unusable archive: {name} {reason}")
        return archive.getinfo(name)

    @contextmanager
    def opened(self) -> Iterator[zipfile.ZipFile]:
        """The archive. InvalidModelError if it turns out to be damaged inside the block."""
        try:
            with zipfile.ZipFile(self.file.handle()) as archive:
                yield archive
        except (FileNotFoundError, PermissionError) as error:
            raise FileError(f"{self.name}: cannot be read: {content.reason(error)}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, MemoryError) as error:
            raise InvalidModelError(f"{self.name}: damaged archive: {content.reason(error)}") from error


def leads_out(name: str) -> bool:
    """Whether a file of this name would be unpacked outside the target folder."""
    path = PureWindowsPath(name)  # handles both slashes
    return bool(path.anchor) or ".." in path.parts


def length(archive: zipfile.ZipFile) -> int:
    """The size of the archive in bytes."""
    assert archive.fp is not None
    return archive.fp.seek(0, io.SEEK_END)


def fault(member: zipfile.ZipInfo, available: int, limit: int | None = None) -> str:
    """Why this member of an archive of `available` bytes must not be read; "" if it may."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in _METHODS:
        return "is compressed by a method other than deflate"
    if member.compress_size > available:
        return f"has {member.compress_size} bytes of the archive's {available}"
    if limit is not None and member.file_size > limit:
        return f"is too large for what it is: {member.file_size} bytes"
    if member.file_size > max(_BOMB_BYTES, _BOMB_RATIO * member.compress_size):
        return f"unpacks from {member.compress_size} to {member.file_size} bytes"
    return ""
