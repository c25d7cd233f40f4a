"""The `.keras` archive: the files of a model, zipped. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from dataclasses import dataclass

from kerasgen.errors import FileError, InvalidModelError
from kerasgen.readers.content import MAX_TEXT, Content, reason

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BOMB_BYTES, _BOMB_RATIO = 1 << 26, 100  # trained weights hardly compress


@dataclass(frozen=True)
class Archive:
    """The files in it, as `keras_files` asks for them."""

    file: Content

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.file.name

    def text(self, name: str) -> bytes | None:
        """A file of text, None if there is none."""
        return _member(self.file, name, MAX_TEXT)

    def handle(self, name: str) -> io.BytesIO | None:
        """A file's bytes, None if there is none."""
        data = _member(self.file, name)
        return None if data is None else io.BytesIO(data)


def _member(archive: Content, name: str, limit: int | None = None) -> bytes | None:
    """One member's bytes, None if there is none. InvalidModelError for an archive that Keras would not write."""
    try:
        with zipfile.ZipFile(archive.handle()) as file:
            names = file.namelist()
            if len(set(names)) < len(names):
                raise InvalidModelError(f"{archive.name}: unusable archive: it holds a member twice")
            if any(part.startswith("/") or ".." in part.replace("\\", "/").split("/") for part in names):
                raise InvalidModelError(f"{archive.name}: unusable archive: a member lies outside of it")
            if name not in names:
                return None
            fault = _fault(file.getinfo(name), limit)
            if fault:
                raise InvalidModelError(f"{archive.name}: unusable archive: {name} {fault}")
            return file.read(name)
    except (FileNotFoundError, PermissionError) as error:
        raise FileError(f"{archive.name}: cannot be read: {reason(error)}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise InvalidModelError(f"{archive.name}: damaged archive: {reason(error)}") from error


def _fault(member: zipfile.ZipInfo, limit: int | None) -> str:
    """What forbids reading this member; "" if nothing does."""
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in _METHODS:
        return "is compressed by a method other than deflate"
    if limit is not None and member.file_size > limit:
        return f"is too large for what it is: {member.file_size} bytes"
    if member.file_size > max(_BOMB_BYTES, _BOMB_RATIO * member.compress_size):
        return f"unpacks from {member.compress_size} to {member.file_size} bytes"
    return ""
