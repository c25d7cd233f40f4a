"""The `.keras` archive: a config, metadata and a weights file, zipped. Nothing is unpacked to disk."""

from __future__ import annotations

import io
import stat
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

from kerasgen.errors import FileError, InvalidModelError
from kerasgen.readers import jsonfile
from kerasgen.readers.content import MAX_TEXT, Content, reason

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BOMB_BYTES, _BOMB_RATIO = 1 << 26, 100  # trained weights hardly compress


def config(archive: Content) -> Any:
    """The architecture."""
    text = _member(archive, "config.json", MAX_TEXT)
    if text is None:
        raise InvalidModelError(f"{archive.name}: not a Keras model: the archive holds no config.json")
    return jsonfile.loads(text, f"{archive.name}: config.json")


def version(archive: Content) -> str:
    """The Keras version that wrote the archive, "" if it does not say."""
    text = _member(archive, "metadata.json", MAX_TEXT)
    metadata = {} if text is None else jsonfile.loads(text, f"{archive.name}: metadata.json")
    return str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def asset(archive: Content, path: str) -> bytes | None:
    """A text file that a layer keeps beside its weights, such as a vocabulary."""
    return _member(archive, path, MAX_TEXT)


@dataclass(frozen=True)
class ZippedWeights:
    """The HDF5 file inside the archive, as something that h5py can open."""

    archive: Content

    @property
    def name(self) -> str:
        """What messages call it: the archive."""
        return self.archive.name

    def handle(self) -> io.BytesIO:
        """The file's bytes."""
        data = _member(self.archive, "model.weights.h5")
        if data is None:
            raise InvalidModelError(f"{self.name}: the archive holds no model.weights.h5; save the model again")
        return io.BytesIO(data)


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
