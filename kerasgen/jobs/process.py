"""Runs a job in a process of its own, and watches it.

The worker writes into a temporary folder; what is in there appears in the job's folder once the worker has said how the
job ended. A worker that crashes, is killed, cancelled, or goes over its limits leaves nothing.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kerasgen.emit.publish import publish
from kerasgen.errors import FileError, KerasgenError
from kerasgen.jobs.job import Job, Limits, Listener, Outcome
from kerasgen.jobs.sandbox import group_memory, kill_group
from kerasgen.names import printable

STAGE = ".kerasgen-job-"  # how the names of temporary folders begin
TICK = 0.1  # seconds between two looks at a silent worker
CANCELLED = 130
_POSIX = os.name == "posix"


def run(
    job: Job,
    limits: Limits | None = None,
    listener: Listener = len,
    cancelled: threading.Event | None = None,
) -> Outcome:
    """Do a job in a process of its own; whatever the model does to it is told by the outcome.

    `listener` is called with each event, in this thread. When `cancelled` is set, the process and its children are
    killed. Results appear in the job's folder at the end, all at once.
    """
    start = time.monotonic()
    limits, cancelled = limits or Limits(), cancelled or threading.Event()
    try:
        stage = Path(tempfile.mkdtemp(prefix=STAGE, dir=job.folder))
    except OSError as error:
        name = printable(job.folder)
        return Outcome(FileError.exit_code, f"{name}: cannot be written into: {error.strerror or error}")
    try:
        outcome, done = _converted(job, limits, stage, listener, cancelled)
        if outcome.files:
            publish(stage, [Path(job.folder, name) for name in _summary_last(outcome.files)])
    except KerasgenError as error:
        outcome, done = Outcome(error.exit_code, str(error)), None
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    if done is not None:
        listener(done)
    return replace(outcome, seconds=round(time.monotonic() - start, 3))


def _summary_last(names: tuple[str, ...]) -> list[str]:
    return sorted(names, key=lambda name: name == "summary.json")


def _converted(
    job: Job, limits: Limits, stage: Path, listener: Listener, cancelled: threading.Event
) -> tuple[Outcome, Any]:
    """How the job ended, and the event of that if it was the worker who said so."""
    if cancelled.is_set():
        return _cancelled(job), None
    with _worker(job, limits, stage) as process:
        watch = Watch(process, limits, cancelled)
        for event in watch:
            if "outcome" in event:
                return Outcome.from_dict(event["outcome"]), {key: event[key] for key in event if key != "outcome"}
            listener(event)
        return _cancelled(job) if watch.reason == "cancelled" else _stopped(job, limits, watch), None


@contextmanager
def _worker(job: Job, limits: Limits, stage: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which has its job; it is gone when the block ends. Raises FileError where it does not start."""
    root = str(Path(__file__).parents[2])
    settings = {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "PYTHONSAFEPATH": "1",  # modules in the current folder are not of this program
        "OPENBLAS_NUM_THREADS": os.environ.get("OPENBLAS_NUM_THREADS", "1"),  # jobs run side by side
    }
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "kerasgen.jobs.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **settings},
            start_new_session=True,  # a group that can be killed; Ctrl-C is this process's to answer
        )
    except OSError as error:
        raise FileError(f"{job.source}: the process of its job does not start: {error.strerror}") from error
    assert process.stdin is not None
    try:
        request = {"job": job.to_dict(), "limits": asdict(limits), "stage": str(stage)}
        with suppress(BrokenPipeError):  # it has ended already
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()  # and stays open: its end would tell the worker that this process is gone
        yield process
    finally:
        if _POSIX:
            kill_group(process.pid)
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                pipe and pipe.close()


class Watch:
    """Iterates over a worker's events until it ends, must end, or goes over its limits: `reason` tells that apart."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits, cancelled: threading.Event) -> None:
        self.process, self.limits, self.cancelled = process, limits, cancelled
        self.reason = ""  # cancelled, seconds or memory
        self._deadline = None if limits.seconds is None else time.monotonic() + limits.seconds
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with suppress(OSError, ValueError):  # the pipe is closed when the worker is no longer wanted
            for line in self.process.stdout:
                self._lines.put(line)
        self._lines.put(b"")

    def __iter__(self) -> Iterator[Any]:
        while not self._over():
            try:
                line = self._lines.get(timeout=TICK)
            except queue.Empty:
                continue
            if not line.endswith(b"\n"):  # the end, or what was written before it
                return
            yield json.loads(line)

    def _over(self) -> bool:
        if self.cancelled.is_set():
            self.reason = "cancelled"
        elif self._deadline is not None and time.monotonic() > self._deadline:
            self.reason = "seconds"
        elif self.limits.memory is not None and _POSIX and group_memory(self.process.pid) > self.limits.memory:
            self.reason = "memory"
        return bool(self.reason)


def _cancelled(job: Job) -> Outcome:
    return Outcome(CANCELLED, f"{job.source}: cancelled")


def _stopped(job: Job, limits: Limits, watch: Watch) -> Outcome:
    """The outcome of a job whose worker ended without a word, or had to end."""
    if watch.reason == "seconds":
        return Outcome(FileError.exit_code, f"{job.source}: takes longer than {limits.seconds:g} s")
    if watch.reason == "memory":
        assert limits.memory is not None
        return Outcome(FileError.exit_code, f"{job.source}: takes more than {limits.memory / 1e6:.0f} MB of memory")
    code = watch.process.wait()
    if -code in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", 0)):
        return Outcome(FileError.exit_code, f"{job.source}: its process was ended by {signal.Signals(-code).name}")
    if -code == getattr(signal, "SIGKILL", 0):
        return Outcome(FileError.exit_code, f"{job.source}: its process was killed: out of memory?")
    reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if limits.memory is not None:  # libraries that get no memory end or crash
        text = f"its process ended ({reason}): more than the {limits.memory / 1e6:.0f} MB of memory that it may take?"
        return Outcome(FileError.exit_code, f"{job.source}: {text}")
    return Outcome(KerasgenError.exit_code, f"{job.source}: a bug in kerasgen: its process crashed ({reason})")
