"""Reads the form of an upload while it arrives: files go to disk, and nothing is larger than allowed."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from kerasgen.names import printable
from kerasgen.readers.content import magic
from kerasgen.service.settings import Settings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FILES = ("model", "weights")
TEXTS = ("options",)
MAX_TEXT = 16 * 1024  # bytes of a field that is no file
MAX_NAME = 200  # characters of a file's name
BLOCK = 1 << 20  # bytes that are written at once
SLOWEST = 16_000  # bytes per second on the whole, from which a client is too slow
SUFFIXES = {"hdf5": ".h5", "zip": ".keras", "json": ".json"}
_ORDINARY = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True)
class UploadedFile:
    """A file on disk. `name` is what the client calls it, for showing; the path is not made from it."""

    path: Path
    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Form:
    """What was uploaded: files and texts by the names of their fields."""

    files: dict[str, UploadedFile]
    texts: dict[str, str]


async def receive(request: Request, folder: Path, settings: Settings) -> Form:
    """Read a form; its files go into `folder`, which exists.

    Raises HTTPException: 400 and 422 for what is no such form, 408 for a client that is too slow, 413 for a form that
    is too large, 415 for something else, 507 where the disk is full.
    """
    kind, parameters = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or not parameters.get(b"boundary"):
        raise HTTPException(415, "upload a form: multipart/form-data, with the field `model`")
    reader = _Reader(folder, settings.max_upload)
    try:
        parser = MultipartParser(parameters[b"boundary"], reader.callbacks(), max_header_count=8)
        async for block in _blocks(request, settings):
            await asyncio.to_thread(parser.write, block)  # the disk may be slow, the event loop not
        return reader.form()
    except FormParserError as error:
        raise HTTPException(400, "the form is damaged: its parts cannot be told apart") from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise HTTPException(507, "the server's disk is full: try again later") from error
    finally:
        reader.close()


def check_length(request: Request, settings: Settings) -> None:
    """HTTPException 413 where the request says itself that it is too long."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > settings.max_body:
        raise too_large(settings.max_upload)


def too_large(limit: int) -> HTTPException:
    """The error of an upload of more than `limit` bytes."""
    return HTTPException(413, f"an upload has at most {limit / 1e6:g} MB")


async def _blocks(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body in blocks of about BLOCK bytes, as fast as the client must be."""
    start, size, block = time.monotonic(), 0, bytearray()
    chunks = request.stream()
    while True:
        allowed = start + settings.stall + size / SLOWEST - time.monotonic()
        try:
            chunk = await asyncio.wait_for(anext(chunks), min(settings.stall, max(allowed, 0.0)))
        except StopAsyncIteration:
            break
        except asyncio.TimeoutError:
            raise HTTPException(408, "the upload is too slow, or stands still") from None
        size += len(chunk)
        if size > settings.max_body:
            raise too_large(settings.max_upload)
        block += chunk
        if len(block) >= BLOCK:
            yield bytes(block)
            block.clear()
    yield bytes(block)


class _Reader:
    """Takes the parts of a form as the parser finds them."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.left = limit  # bytes that the files may still take
        self.files: dict[str, UploadedFile] = {}
        self.texts: dict[str, str] = {}
        self.complete = False
        self.handle: BinaryIO | None = None

    def callbacks(self) -> MultipartCallbacks:
        """The parser's callbacks."""
        return {
            "on_part_begin": self.on_part_begin,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_header_begin": self.on_header_begin,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_headers_finished": self.on_headers_finished,
            "on_end": self.on_end,
        }

    def form(self) -> Form:
        """The form, when all of it was read."""
        if not self.complete:
            raise HTTPException(400, "the form is damaged: it ends before its last boundary")
        if "model" not in self.files:
            raise HTTPException(422, "model: the field is missing")
        return Form(self.files, self.texts)

    def close(self) -> None:
        """Close the file that is being written, if there is one."""
        if self.handle is not None:
            self.handle.close()

    def on_part_begin(self) -> None:
        """A part begins."""
        self.disposition = b""

    def on_header_begin(self) -> None:
        """A header begins."""
        self.header, self.value = b"", b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's name."""
        self.header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """A piece of a header's value."""
        self.value += data[start:end]

    def on_header_end(self) -> None:
        """The header is complete."""
        if self.header.lower() == b"content-disposition":
            self.disposition = self.value

    def on_headers_finished(self) -> None:
        """The part's content follows; HTTPException for a field that does not belong there."""
        _, parameters = parse_options_header(self.disposition)
        self.field = parameters.get(b"name", b"").decode(errors="replace")
        if self.field not in FILES + TEXTS:
            raise HTTPException(422, f"{_short(self.field)}: no such field; a form has {', '.join(FILES + TEXTS)}")
        if self.field in self.files or self.field in self.texts:
            raise HTTPException(422, f"{self.field}: the field is there twice")
        self.size, self.text = 0, bytearray()
        if self.field in TEXTS:
            return
        self.name = file_name(parameters.get(b"filename", b"").decode(errors="replace"))
        self.hash = hashlib.sha256()
        self.path = self.folder / self.field
        self.handle = open(self.path, "xb")  # noqa: SIM115

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """A piece of the content; HTTPException where it is too long."""
        part = memoryview(data)[start:end]
        self.size += len(part)
        if self.handle is None:
            if self.size > MAX_TEXT:
                raise HTTPException(413, f"{self.field}: the text has at most {MAX_TEXT // 1024} kB")
            self.text += part
            return
        self.left -= len(part)
        if self.left < 0:
            raise too_large(self.limit)
        self.hash.update(part)
        self.handle.write(part)

    def on_part_end(self) -> None:
        """The part is complete."""
        if self.handle is None:
            self.texts[self.field] = self.text.decode(errors="replace")
            return
        self.handle.flush()
        os.fsync(self.handle.fileno())  # the job is accepted for good
        self.handle.close()
        self.handle = None
        if self.field != "model" and not self.size and not self.name:  # how browsers send that no file was chosen
            self.path.unlink()
            return
        path = self.path.rename(self.path.with_suffix(_suffix(self.path, self.name)))
        self.files[self.field] = UploadedFile(path, self.name or self.field, self.hash.hexdigest(), self.size)

    def on_end(self) -> None:
        """The form is complete."""
        self.complete = True


def file_name(text: str) -> str:
    """A client's name of a file, without folders and on one line."""
    return _short(re.split(r"[/\\]", text)[-1])


def _suffix(path: Path, name: str) -> str:
    """The ending that a file gets: by what it holds, otherwise that of the client's name, if it is an ordinary one.

    So the same model has one name, and shares its results, whatever clients call it.
    """
    with open(path, "rb") as file:
        kind = magic(file.read(512))
    found = os.path.splitext(name)[1]
    return SUFFIXES.get(kind) or (found.lower() if _ORDINARY.fullmatch(found) else "")


def _short(text: str) -> str:
    return printable(text[:MAX_NAME])
