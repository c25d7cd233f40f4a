"""A process of its own for libhdf5, which crashes on some damaged files and runs for ever on others.

The process runs `kerasgen.hdf5.server`. It is started afresh, not forked: forking is unsafe where there are threads, as
in a caller's program that has imported TensorFlow, and Windows has no fork. It begins with the interpreter's own
options and nothing but NumPy and h5py. Requests and replies are lines of JSON on two pipes, arrays their bare bytes
behind such a line, so that nothing that comes back can do more than be wrong: every array is compared with what the
architecture implies before it is asked for. Nothing is written to disk.

| request | what follows it | reply | what follows it |
|---|---|---|---|
| `open` a path, or a file of this many bytes | the file, where it has no path | `objects`: what is in it | |
| `read` arrays by the numbers of file and array | | for each array: `bytes` | the array |
| `close` all files | | empty | |

Any of the replies may be an `error` instead. The process limits its own memory and processor time, and may neither
write files nor, once the model is open, open others; this one ends it when it does not answer. Who is to blame:

* an error, a crash, or processor time without end: the file (InvalidModelError);
* too little memory, or no answer in time while others had the processor: the machine (FileError).

A process that served one file without an error serves the next one, too. Where a platform has no limits (Windows), only
the time is limited; where it has no processes (Pyodide), the file is read in this one.
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

DESCRIBING = 1 << 28  # bytes of memory beside the file itself
SECONDS = 10  # of the processor; describing the largest models takes less than one
SLOWEST = 10_000_000  # bytes in a second that an array is read with, at least
PATIENCE = 120.0  # seconds beyond those of the processor, on the clock
_ALONE = sys.platform in ("emscripten", "wasi")  # platforms without processes
_START = "import sys; sys.path[:] = {path}; from kerasgen.hdf5.server import main; main()"


class Child:
    """The process. Its messages call the file `name`."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.files = self.held = 0  # that are open, and the bytes of those that came through the pipe
        self.started = self.late = False
        self.process: subprocess.Popen[bytes] | None = None
        self._connect()

    def open(self, name: str, path: str, size: int = 0, blocks: Iterable[bytes] = ()) -> tuple[int, Any]:
        """Open the file at `path`, or the one that these blocks make, `size` bytes long together.

        Its number and what is in it.
        """
        self.name = name
        with self._patience(SECONDS):
            self._ask(do="open", path=path, size=size, memory=DESCRIBING + self.held, seconds=SECONDS)
            for block in blocks:
                self._send(block)
            self._flush()
            self.files, self.held = self.files + 1, self.held + size
            return self.files - 1, self._reply()["objects"]

    def read(self, wanted: Sequence[tuple[int, int]], sizes: Sequence[int]) -> Iterator[bytearray]:
        """Arrays by the numbers of file and array, of these bytes each."""
        seconds = SECONDS + sum(sizes) // SLOWEST
        memory = DESCRIBING + self.held + 2 * max(sizes, default=0)
        with self._patience(seconds):
            self._ask(do="read", arrays=wanted, memory=memory, seconds=seconds)
            self._flush()
            for length in sizes:
                if self._reply()["bytes"] != length:
                    raise InvalidModelError(f"{self.name}: unusable HDF5 file: an array is not as long as it says")
                array = bytearray(length)
                self._fill(memoryview(array))
                yield array

    def close(self) -> None:
        """Close all files; the process can be given others."""
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
            with suppress(OSError):  # what it did not take
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
                pipesize=1 << 20,
            )
        except OSError as error:
            raise FileError(f"{self.name}: cannot be read: no process starts that would: {error.strerror}") from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: Any = self.process.stdin
        self.replies: Any = self.process.stdout

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        """End the process where it takes longer than that inside the block."""
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
            raise FileError(f"{self.name}: cannot be read: no process starts that would; {why}")
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
            raise FileError(f"{self.name}: cannot be read: it takes more memory than there is, or than a model needs")
        raise InvalidModelError(f"{self.name}: unusable HDF5 file: {printable(reply['text'])}")

    def _fill(self, view: memoryview) -> None:
        while view:
            count = self.replies.readinto(view)
            if not count:
                raise self._death()
            view = view[count:]

    def _death(self) -> KerasgenError:
        """What the end of the process says about the file."""
        assert self.process is not None
        code = self.process.wait()
        reason = signal.Signals(-code).name if code < 0 else f"code {code:#x}"
        if self.late:
            return FileError(f"{self.name}: cannot be read: libhdf5 does not come to an end")
        if reason == "SIGKILL":  # Linux ends who takes its last memory
            return FileError(f"{self.name}: cannot be read: the process that reads it was killed: is memory short?")
        if reason == "SIGXCPU":
            return InvalidModelError(f"{self.name}: unusable HDF5 file: libhdf5 runs for ever on it")
        return InvalidModelError(f"{self.name}: unusable HDF5 file: libhdf5 crashes on it ({reason})")


class _InPlace(Child):
    """The same in this process."""

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
    """Start the process ahead of time, to have it ready when it is needed."""
    if not _idle:
        with suppress(FileError):  # which will come again then
            _idle.append(_new(""))


def _new(name: str) -> Child:
    return _InPlace(name) if _ALONE or not sys.executable else Child(name)


@contextmanager
def reading(name: str) -> Iterator[Child]:
    """The process, to read a file, or the several of a model; messages call it `name`."""
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


if hasattr(os, "register_at_fork"):  # a copy of this process has none of its own
    os.register_at_fork(after_in_child=_idle.clear)
