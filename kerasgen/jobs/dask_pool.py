"""A pool of the workers of a Dask cluster, which need no disk in common: files travel with a job and its outcome."""

from __future__ import annotations

import os
import tempfile
import threading
import uuid
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kerasgen.emit.publish import staged
from kerasgen.errors import FileError, KerasgenError, UsageError
from kerasgen.jobs.job import Job, Limits, Listener, Outcome
from kerasgen.jobs.process import run
from kerasgen.names import printable

TICK = 0.5  # seconds between two looks at whether a job is cancelled
CONNECT = 10.0  # seconds
Files = Mapping[str, bytes]  # by the path from a folder


class DaskPool:
    """Has jobs done by the workers of the Dask scheduler at `address`; kerasgen must be installed there.

    Jobs only depend on what travels with them: one whose worker dies is done by another. Raises UsageError where Dask
    is not installed or this is no address, FileError where the scheduler does not answer.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed
        except ImportError as error:
            raise UsageError("a scheduler needs Dask: pip install 'kerasgen-numpy[dask]'") from error
        try:
            self._client = distributed.Client(address, timeout=CONNECT, set_as_default=False)
        except ValueError as error:
            raise UsageError(f"{printable(address)}: is no address of a Dask scheduler") from error
        except OSError as error:
            reason = " ".join(str(error).split())
            raise FileError(f"{printable(address)}: no Dask scheduler answers: {reason}") from error
        self._topic = f"kerasgen-{uuid.uuid4().hex}"
        self._jobs: dict[str, _Pending] = {}
        self._ended = threading.Event()
        self._client.subscribe_topic(self._topic, self._hear)
        threading.Thread(target=self._cancel, name="kerasgen-cancel", daemon=True).start()

    def submit(
        self,
        job: Job,
        limits: Limits | None = None,
        listener: Listener = len,
        cancelled: threading.Event | None = None,
    ) -> Future[Outcome]:
        """As `Pool.submit`."""
        pending = _Pending(job, listener, cancelled or threading.Event())
        try:
            files = {f"model/{name}": data for name, data in _packed(Path(job.model)).items()}
            if job.weights is not None:
                files |= {f"weights/{name}": data for name, data in _packed(Path(job.weights)).items()}
        except OSError as error:
            outcome = Outcome(FileError.exit_code, f"{job.source}: cannot be read: {error.strerror}")
            pending.outcome.set_result(outcome)
            return pending.outcome
        key = f"{self._topic}-{uuid.uuid4().hex}"
        self._jobs[key] = pending
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # no disk, no other way
            future = self._client.submit(
                convert,
                job.to_dict(),
                asdict(limits or Limits()),
                files,
                self._topic,
                key,
                key=key,
                pure=False,
                retries=2,
            )
        pending.future = future  # Dask forgets a task without one
        future.add_done_callback(lambda done: self._finish(key, done))
        return pending.outcome

    def shutdown(self) -> None:
        """As `Pool.shutdown`; the cluster stays."""
        for pending in list(self._jobs.values()):
            pending.cancelled.set()
        self._set_cancelled()
        self._ended.set()
        self._client.close()
        for pending in list(self._jobs.values()):
            pending.outcome.cancel()

    def _hear(self, message: tuple[float, Any]) -> None:
        """An event of a job, from its worker."""
        key, event = message[1]
        pending = self._jobs.get(key)
        if pending is not None:
            pending.listener(event)

    def _finish(self, key: str, future: Any) -> None:
        """Write what came back and tell how the job ended."""
        pending = self._jobs.pop(key, None)
        if pending is None or not pending.outcome.set_running_or_notify_cancel():
            return
        try:
            data, files = future.result()
            outcome = Outcome.from_dict(data)
            _publish(Path(pending.job.folder), {name: files[name] for name in outcome.files})
        except KerasgenError as error:
            outcome = Outcome(error.exit_code, str(error))
        except BaseException as error:  # Dask's CancelledError is none of Exception
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            outcome = Outcome(FileError.exit_code, printable(f"{pending.job.source}: Dask has failed: {reason}"))
        pending.outcome.set_result(outcome)

    def _cancel(self) -> None:
        while not self._ended.wait(TICK):
            self._set_cancelled()

    def _set_cancelled(self) -> None:
        """Tell the workers of cancelled jobs; those ask from time to time."""
        import distributed

        for key, pending in list(self._jobs.items()):
            if pending.cancelled.is_set() and not pending.told:
                pending.told = True
                with suppress(Exception):  # the scheduler is gone: its workers are, too
                    distributed.Event(key, client=self._client).set()


class _Pending:
    """A job that has not ended."""

    def __init__(self, job: Job, listener: Listener, cancelled: threading.Event) -> None:
        self.job, self.listener, self.cancelled = job, listener, cancelled
        self.outcome: Future[Outcome] = Future()
        self.future: Any = None
        self.told = False


def _packed(path: Path) -> dict[str, bytes]:
    """A file, or the files of a folder, by the path from its parent."""
    files = [path] if not path.is_dir() else [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path.parent).as_posix(): file.read_bytes() for file in files}


def _publish(folder: Path, files: Files) -> None:
    if files:
        writers = {folder / name: (lambda file, data=data: file.write(data)) for name, data in files.items()}
        with staged(writers):
            pass


def convert(
    job: Mapping[str, Any], limits: Mapping[str, Any], files: Files, topic: str, key: str
) -> tuple[dict[str, Any], Files]:
    """Do a job on a worker: its outcome and the files of its results."""
    import distributed

    worker = distributed.get_worker()
    cancel, done = distributed.Event(key), threading.Event()
    cancelled = threading.Event()

    def watch() -> None:
        while not done.wait(TICK):
            if cancel.is_set():
                cancelled.set()
                return

    with tempfile.TemporaryDirectory(prefix="kerasgen-") as temporary:
        folder = Path(temporary)
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        results = folder / "results"
        results.mkdir()
        local = Job.from_dict(job)
        weights = local.weights and str(folder / "weights" / os.path.basename(local.weights))
        model = str(folder / "model" / os.path.basename(local.model))
        local = replace(local, model=model, weights=weights, folder=str(results))
        if cancel.is_set():
            cancelled.set()
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            outcome = run(local, Limits(**limits), lambda event: worker.log_event(topic, (key, dict(event))), cancelled)
        finally:
            done.set()
            thread.join()
        message = outcome.message.replace(model, str(job["model"]))  # no paths of this machine
        return replace(outcome, message=message).to_dict(), {
            name: (results / name).read_bytes() for name in outcome.files
        }
