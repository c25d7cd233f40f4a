"""Files appear whole or not at all."""

from __future__ import annotations

import io
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from kerasgen.errors import FileError
from kerasgen.names import printable

if TYPE_CHECKING:
    from kerasgen.emit.module import Module

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
        if any(path.samefile(part) for file in own for part in (file, *file.glob("*"))):  # a source may be a folder
            raise FileError(f"{name}: is the model itself; give the module another name")
        if not force:
            _refuse_existing(path)
    if not path.parent.is_dir():
        raise FileError(f"{name}: there is no folder {printable(str(path.parent))}")


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise FileError(f"{printable(str(path))}: exists; use `force=True` to replace it")


@contextmanager
def staged(files: Mapping[Path, Callable[[Any], Any]], *, force: bool = True) -> Iterator[Path]:
    """Write files into a temporary folder beside their final place; rename them, in order, when the block ends.

    If the block raises, nothing is left. If several publish to one place at once, one wins with all its files; without
    `force` it is the first. Yields the staged path of the last file. All files are in one folder.
    """
    *_, last = files
    with workplace(last) as stage:
        for path, write in files.items():
            with _naming(path), open(stage / path.name, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
        yield stage / last.name
        publish(stage, list(files), force=force)


@contextmanager
def workplace(target: Path) -> Iterator[Path]:
    """A temporary folder beside `target`; whatever happens in the block, it is gone afterwards."""
    stage = None
    try:
        with _naming(target), _uninterrupted():
            stage = Path(tempfile.mkdtemp(prefix=".kerasgen-", dir=target.parent))
        yield stage
    finally:
        if stage is not None:
            with _uninterrupted():
                shutil.rmtree(stage, ignore_errors=True)


def publish(stage: Path, paths: Sequence[Path], *, force: bool = True) -> None:
    """Move the files of these names from `stage` to their final place, one folder, in this order."""
    with _locked(paths[-1].parent), _uninterrupted():
        for path in () if force else paths:
            _refuse_existing(path)
        _rename(stage, paths)


def publish_folder(folder: Path, target: Path, *, force: bool = True) -> None:
    """Move a staged folder of files to its final place on the same file system.

    Where a folder stands there, `force` replaces the files of the same names in it and leaves the others.
    """
    if target.is_dir() and any(target.iterdir()):
        if not force:
            _refuse_existing(target)
        publish(folder, [target / path.name for path in sorted(folder.iterdir())])
    else:
        with _naming(target), _uninterrupted():
            os.replace(folder, target)


def _rename(stage: Path, paths: Sequence[Path]) -> None:
    """Move staged files to their final place. If one fails, those before it are restored."""
    with ExitStack() as undo:
        for path in paths:
            with _naming(path):
                old = _kept(path, stage) if path.exists() and len(paths) > 1 else None
                os.replace(stage / path.name, path)
                undo.callback(*((os.replace, old, path) if old else (os.unlink, path)))
        undo.pop_all()


def _kept(path: Path, stage: Path) -> Path:
    """The file under a unique name in this folder: a link to it, or a copy where the file system has no links."""
    old = Path(tempfile.mkdtemp(dir=stage), "old")
    try:
        os.link(path, old)
    except OSError:
        shutil.copy2(path, old)
    return old


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on this folder, so that no other kerasgen renames files in it; some systems have no such locks."""
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


def try_lock(file: IO[Any]) -> bool:
    """Lock an open file until it is closed; False where another process has it. Some systems have no such locks."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Defer SIGINT and SIGTERM until the block ends."""
    if threading.current_thread() is not threading.main_thread():  # only this one handles signals
        yield
        return
    received: list[int] = []
    handlers = {
        sign: signal.signal(sign, lambda number, _: received.append(number)) for sign in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for sign, handler in handlers.items():
            signal.signal(sign, handler or signal.SIG_DFL)
        if received:
            signal.raise_signal(received[0])


@contextmanager
def streamed(write: Callable[[Any], Any], stream: BinaryIO) -> Iterator[io.BytesIO]:
    """Write into memory; hand it to the stream, which stays open, when the block ends without an error."""
    buffer = io.BytesIO()
    write(buffer)
    yield buffer
    stream.write(buffer.getbuffer())
    stream.flush()


def published(
    module: Module, output: str | os.PathLike[str] | BinaryIO, sidecar: Path | None, *, force: bool
) -> AbstractContextManager[Path | io.BytesIO]:
    """The module where it is until the block ends; then it appears as a file, or in the stream."""
    if not isinstance(output, (str, os.PathLike)):
        return streamed(module.write, output)
    first = {sidecar: lambda f: f.write(module.npz)} if sidecar else {}
    return staged({**first, Path(output): module.write}, force=force)


def write_again(module: Module, candidate: Path | io.BytesIO) -> None:
    """Put another module in the place of one that is not published yet."""
    if isinstance(candidate, Path):
        with open(candidate, "wb") as file:
            module.write(file)
    else:
        candidate.seek(0)
        candidate.truncate()
        module.write(candidate)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Raise an OSError in the block as a FileError that names this file."""
    try:
        yield
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be written: {error.strerror or error}") from error
