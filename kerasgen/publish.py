"""Files appear whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from kerasgen.errors import FileError
from kerasgen.names import printable


def check_target(path: Path, *, sources: tuple[Any, ...], force: bool) -> None:
    """Raise FileError where a file may not be written: it exists and `force` is off, or it is one of the sources."""
    name = printable(str(path))
    if path.is_dir():
        raise FileError(f"{name}: is a folder")
    if path.exists():
        own = [Path(source) for source in sources if isinstance(source, (str, os.PathLike)) and os.path.exists(source)]
        if any(path.samefile(part) for file in own for part in (file, *file.glob("*"))):  # it may be a folder
            raise FileError(f"{name}: is the model itself; give the module another name")
        if not force:
            raise FileError(f"{name}: exists; use --force to replace it")
    if not path.parent.is_dir():
        raise FileError(f"{name}: there is no folder {printable(str(path.parent))}")


@contextmanager
def staged(files: Mapping[Path, Callable[[Any], Any]]) -> Iterator[Path]:
    """Write files into a temporary folder beside their final place; rename them, in order, when the block ends.

    Where the block raises, nothing is left. Yields the staged path of the last file. All files are in one folder.
    """
    *_, last = files
    with _blaming(last):
        stage = Path(tempfile.mkdtemp(prefix=".kerasgen-", dir=last.parent))
    try:
        for path, write in files.items():
            with _blaming(path), open(stage / path.name, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        yield stage / last.name
        for path in files:
            with _blaming(path):
                os.replace(stage / path.name, path)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def streamed(write: Callable[[Any], Any], stream: BinaryIO) -> Iterator[bytes]:
    """Write into memory; hand it to the stream, which stays open, when the block ends without an error."""
    held = io.BytesIO()
    write(held)
    yield held.getvalue()
    stream.write(held.getbuffer())
    stream.flush()


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """An error in here is one of writing this file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be written: {error.strerror or error}") from error
