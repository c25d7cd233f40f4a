"""Files appear whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from kerasgen.errors import FileError
from kerasgen.names import printable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


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
            _keep(path)
    if not path.parent.is_dir():
        raise FileError(f"{name}: there is no folder {printable(str(path.parent))}")


def _keep(path: Path) -> None:
    if path.exists():
        raise FileError(f"{printable(str(path))}: exists; use `force=True` to replace it")


@contextmanager
def staged(files: Mapping[Path, Callable[[Any], Any]], *, force: bool = True) -> Iterator[Path]:
    """Write files into a temporary folder beside their final place; rename them, in order, when the block ends.

    Where the block raises, nothing is left. Of several that are published at one place at once, one prevails with all
    its files; without `force` it is the first. Yields the staged path of the last file. All files are in one folder.
    """
    *_, last = files
    stage = None
    try:
        with _blaming(last), _uninterrupted():
            stage = Path(tempfile.mkdtemp(prefix=".kerasgen-", dir=last.parent))
        for path, write in files.items():
            with _blaming(path), open(stage / path.name, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        yield stage / last.name
        with _alone(last.parent), _uninterrupted():
            for path in () if force else files:
                _keep(path)
            _rename(stage, list(files))
    finally:
        if stage is not None:
            with _uninterrupted():
                shutil.rmtree(stage, ignore_errors=True)


def _rename(stage: Path, paths: Sequence[Path]) -> None:
    """Bring staged files to their places. Where one cannot be, those before it get back what they held."""
    with ExitStack() as undo:
        for path in paths:
            with _blaming(path):
                old = _copy(path, stage) if path.exists() and len(paths) > 1 else ""
                os.replace(stage / path.name, path)
                undo.callback(*((os.replace, old, path) if old else (os.unlink, path)))
        undo.pop_all()


def _copy(path: Path, stage: Path) -> str:
    """A copy of a file, in this folder under a name that none has there."""
    handle, name = tempfile.mkstemp(dir=stage)
    os.close(handle)
    shutil.copy2(path, name)
    return name


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other kerasgen renames files in this folder; some systems have no such locks."""
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C and the request to end wait until the block is through."""
    if threading.current_thread() is not threading.main_thread():  # which alone is interrupted
        yield
        return
    came: list[int] = []
    handlers = {
        sign: signal.signal(sign, lambda number, _: came.append(number)) for sign in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler or signal.SIG_DFL)
        if came:
            signal.raise_signal(came[0])


@contextmanager
def streamed(write: Callable[[Any], Any], stream: BinaryIO) -> Iterator[io.BytesIO]:
    """Write into memory; hand it to the stream, which stays open, when the block ends without an error."""
    held = io.BytesIO()
    write(held)
    yield held
    stream.write(held.getbuffer())
    stream.flush()


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """An error in here is one of writing this file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be written: {error.strerror or error}") from error
