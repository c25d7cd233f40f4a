"""Runs libhdf5 in a separate process: it crashes on some damaged files and hangs on others.

The process runs `kerasgen.hdf5.server`. It is spawned, not forked: forking is unsafe in a program with threads, such as
one that has imported TensorFlow, and Windows has no fork. It starts in isolated mode and imports only NumPy and h5py.
Requests and replies are lines of JSON on two pipes; the raw bytes of an array follow its line. The worst a reply can do
is be wrong: every array's shape is compared with the architecture before it is requested. Nothing is written to disk.

| request | followed by | reply | followed by |
|---|---|---|---|
| `open` a path, or a file of this many bytes | the file, if it has no path | `objects`: its contents | |
| `read` arrays by the numbers of file and array | | for each array: `bytes` | the array |
| `close` all files | | empty | |

Any reply may be an `error` instead. The process limits its own memory and CPU time, cannot write files, and once the
model is open cannot open others. The parent kills it if it does not answer. Which error is raised:

* InvalidModelError for an error, a crash or too much CPU time: the file is at fault;
* FileError for too little memory, a timeout while the CPU was busy elsewhere, or an end from outside: it is not.

A process that served one file without an error is reused for the next. On a platform without limits (Windows) there is
only the timeout; on one without processes (Pyodide) the file is read in this one.
"""

from __future__ import annotations

import atexit
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError, InvalidModelError, KerasgenError
from kerasgen.names import printable

DESCRIBING = 1 << 28  # bytes of memory, in addition to the file
SECONDS = 10  # of CPU time; describing the largest models takes less than one
SLOWEST = 10_000_000  # bytes per second: the minimum speed of reading an array
PATIENCE = 120.0  # seconds of wall time, in addition to the CPU time
_ALONE = sys.platform in ("emscripten", "wasi")  # platforms without processes
own_session = True  # Ctrl-C is this process's to answer: it kills the reader. A job's is killed with its group
_START = "import sys; sys.path[:] = {path}; from kerasgen.hdf5.server import main; main()"


class Child:
    """The process. Its messages call the file `name`."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.files = self.held = 0  # how many are open, and the bytes of those sent through the pipe
        self.started = self.late = False
        self.process: subprocess.Popen[bytes] | None = None
        self._connect()

    def open(self, name: str, path: str, size: int = 0, blocks: Iterable[bytes] = ()) -> tuple[int, Any]:
        """Open the file at `path`, or the one in these blocks, `size` bytes in total.

        Returns its number and its contents.
        """
        self.name = name
        with self._patience(SECONDS):
            self._ask(do="open", path=path, size=size, memory=DESCRIBING + self.held, seconds=SECONDS)
            for block in blocks:
                self._send(block)
            self._flush()
            self.files, self.held = self.files + 1, self.held + size
            return self.files - 1, self._reply()["objects"]

    def read(self, numbers: Sequence[tuple[int, int]], sizes: Sequence[int]) -> Iterator[bytearray]:
        """Arrays by the numbers of file and array; `sizes` are their sizes in bytes."""
        seconds = SECONDS + sum(sizes) // SLOWEST
        memory = DESCRIBING + self.held + 2 * max(sizes, default=0)
        with self._patience(seconds):
            self._ask(do="read", arrays=numbers, memory=memory, seconds=seconds)
            self._flush()
            for length in sizes:
                if self._reply()["bytes"] != length:
                    raise InvalidModelError(f"{self.name}: unusable HDF5 file: an array has the wrong length")
                array = bytearray(length)
                self._fill(memoryview(array))
                yield array

    def close(self) -> None:
        """Close all files; the process can open others."""
        with self._patience(SECONDS):
            self._ask(do="close")
            self._flush()
            self._reply()
        self.files = self.held = 0

    def kill(self) -> None:
        """End the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        for pipe in (self.requests, self.replies):
            with suppress(OSError):  # unsent bytes
                pipe.close()

    def _connect(self) -> None:
        path = [str(Path(__file__).parents[2]), *map(str, sys.path)]
        settings = {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}  # nothing to compute, no plugins
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START.format(path=ascii(path))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **settings},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=own_session,
                pipesize=1 << 20,
            )
        except OSError as error:
            raise FileError(
                f"{self.name}: cannot be read: its reader process does not start: {error.strerror}"
            ) from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: Any = self.process.stdin
        self.replies: Any = self.process.stdout

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer than this, plus PATIENCE."""
        timer = threading.Timer(seconds + PATIENCE, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self.late = True
        if self.process is not None:
            self.process.kill()

    def _ask(self, **request: Any) -> None:
        if not self.started and self.replies.readline() != b"{}\n":
            why = f"`{sys.executable} -c 'import h5py'` may tell why"
            raise FileError(f"{self.name}: cannot be read: its reader process does not start; {why}")
        self.started = True
        self._send(json.dumps(request).encode() + b"\n")

    def _send(self, data: bytes) -> None:
        try:
            self.requests.write(data)
        except OSError as error:
            raise self._death() from error

    def _flush(self) -> None:
        try:
            self.requests.flush()
        except OSError as error:
            raise self._death() from error

    def _reply(self) -> Any:
        line = self.replies.readline()
        if not line.endswith(b"\n"):
            raise self._death()
        reply = json.loads(line)
        if "error" not in reply:
            return reply
        if reply["error"] == "file":
            raise FileError(f"{self.name}: cannot be read: {reply['text']}")
        if reply["error"] == "memory":
            raise FileError(f"{self.name}: cannot be read: it needs too much memory")
        raise InvalidModelError(f"{self.name}: unusable HDF5 file: {printable(reply['text'])}")

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self.replies.readinto(view)
            if not count:
                raise self._death()
            view = view[count:]

    def _death(self) -> KerasgenError:
        """The error to raise when the process has died."""
        assert self.process is not None
        code = self.process.wait()
        reason = signal.Signals(-code).name if code < 0 else f"code {code:#x}"
        if self.late:
            return FileError(f"{self.name}: cannot be read: libhdf5 does not finish")
        if reason == "SIGKILL":  # the out-of-memory killer
            return FileError(f"{self.name}: cannot be read: its reader process was killed: out of memory?")
        if reason in ("SIGHUP", "SIGINT", "SIGTERM"):  # sent by a person or a service manager
            return FileError(f"{self.name}: cannot be read: its reader process was ended by {reason}")
        if reason == "SIGXCPU":
            return InvalidModelError(f"{self.name}: unusable HDF5 file: libhdf5 hangs on it")
        return InvalidModelError(f"{self.name}: unusable HDF5 file: libhdf5 crashes on it ({reason})")


class _InPlace(Child):
    """The same, within this process."""

    def _connect(self) -> None:
        from kerasgen.hdf5.server import Server

        self.requests = io.BytesIO()
        self.server = Server(self.requests, io.BytesIO())
        self.started = True

    def _flush(self) -> None:
        self.requests.seek(0)
        self.replies = io.BytesIO()
        self.server.requests, self.server.replies = self.requests, self.replies
        self.server.answer()
        self.replies.seek(0)
        self.requests = io.BytesIO()

    def kill(self) -> None:
        self.server.files.clear()


_idle: list[Child] = []


def start() -> None:
    """Start the process ahead of time, so that it is ready when needed."""
    if not _idle:
        with suppress(FileError):  # `reading` will raise it again
            _idle.append(_new(""))


def _new(name: str) -> Child:
    return _InPlace(name) if _ALONE or not sys.executable else Child(name)


@contextmanager
def reading(name: str) -> Iterator[Child]:
    """The process, to read the file or files of one model; `name` is used in messages."""
    try:
        child = _idle.pop()
        child.name = name
    except IndexError:
        child = _new(name)
    try:
        yield child
        child.close()
    except BaseException:
        child.kill()
        raise
    if _idle:
        child.kill()
    else:
        _idle.append(child)


@atexit.register
def _end() -> None:
    while _idle:
        _idle.pop().kill()


if hasattr(os, "register_at_fork"):  # a forked process must not share this one's
    os.register_at_fork(after_in_child=_idle.clear)
