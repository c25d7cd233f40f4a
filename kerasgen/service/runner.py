"""Takes conversions from the queue and has them done, each in a process of its own."""

from __future__ import annotations

import json
import logging
import re
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError, KerasgenError
from kerasgen.jobs import Job, Outcome, Pool
from kerasgen.service.metrics import Metrics
from kerasgen.service.progress import Hub
from kerasgen.service.reproduction import write_reproduction
from kerasgen.service.settings import Settings
from kerasgen.service.store import Conversion, Store

ATTEMPTS = 3  # a conversion during which the server died this often is given up
RESULTS = "results"  # the folder of the results inside of a conversion's
PAUSE = 1.0  # seconds after the database or the disk has failed
CHANCE = (FileError.exit_code, KerasgenError.exit_code, 130)  # another run may end differently
log = logging.getLogger(__name__)


class Runner:
    """As many threads as conversions are done at once; each waits for the process of its own."""

    def __init__(self, store: Store, hub: Hub, pool: Pool, metrics: Metrics, settings: Settings) -> None:
        self.store, self.hub, self.pool, self.metrics, self.settings = store, hub, pool, metrics, settings
        self.work = settings.data / "work"
        self._wanted = threading.Condition()
        self._running: dict[int, threading.Event] = {}
        self._stopping = False
        self._threads = [threading.Thread(target=self._loop, name=f"runner-{i}") for i in range(settings.jobs)]

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        for conversion in self.store.interrupted(ATTEMPTS):
            message = f"{conversion.request['model']}: the server ended {ATTEMPTS} times while it was converted"
            log.warning("given up", extra={"conversion": conversion.id})
            self._end(conversion, Outcome(FileError.exit_code, message))
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Something was queued."""
        with self._wanted:
            self._wanted.notify()

    def discard(self, conversion: int, folder: str) -> None:
        """Kill a conversion that is no longer in the store if it runs, and remove its folder."""
        self.hub.end(conversion)
        with self._wanted:
            cancelled = self._running.get(conversion)
        if cancelled is not None:
            cancelled.set()  # its thread removes the folder, when the process is gone
        else:
            shutil.rmtree(self.work / folder, ignore_errors=True)

    def stop(self, deadline: float) -> None:
        """Begin nothing more; put back into the queue what still runs at this time of `time.monotonic`."""
        with self._wanted:
            self._stopping = True
            self._wanted.notify_all()
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._wanted:
            for cancelled in self._running.values():
                cancelled.set()
        for thread in self._threads:
            thread.join()
        self.pool.shutdown()

    def _loop(self) -> None:
        while not self._stopping:
            try:
                taken = self._next()
                if taken is not None:
                    self._attempt(*taken)
            except Exception:  # a full disk, say: the conversion stays as it is, and a restart begins it again
                log.exception("the database or the disk fails")
                time.sleep(PAUSE)

    def _attempt(self, conversion: Conversion, cancelled: threading.Event) -> None:
        """Do a conversion; whatever happens, it has ended or waits again."""
        try:
            self._convert(conversion, cancelled)
        except Exception:
            log.exception("a bug in the service", extra={"conversion": conversion.id})
            message = f"{conversion.request['model']}: a bug in the service; its log has more"
            self._end(conversion, Outcome(KerasgenError.exit_code, message))
        finally:
            self.hub.end(conversion.id)
            with self._wanted:
                del self._running[conversion.id]

    def _next(self) -> tuple[Conversion, threading.Event] | None:
        """The next conversion and what cancels it, as soon as there is one; None when the server stops."""
        with self._wanted:
            while not self._stopping:
                conversion = self.store.take()
                if conversion is not None:
                    return conversion, self._running.setdefault(conversion.id, threading.Event())
                self._wanted.wait()
        return None

    def _convert(self, conversion: Conversion, cancelled: threading.Event) -> None:
        log.info("begins", extra={"conversion": conversion.id, "attempt": conversion.attempts})
        folder = self.work / conversion.folder
        shutil.rmtree(folder / RESULTS, ignore_errors=True)  # of a run that was cut off
        (folder / RESULTS).mkdir()
        attempt = conversion.attempts
        self.hub.begin(conversion.id, attempt)
        outcome = self.pool.submit(
            job_of(conversion.request, folder),
            self.settings.limits,
            lambda event: self.hub.publish(conversion.id, attempt, event),
            cancelled,
        ).result()
        if not cancelled.is_set():
            self._end(conversion, _neutral(outcome, conversion.request, folder))
        elif self._stopping:
            log.info("put back", extra={"conversion": conversion.id})
            self.store.put_back(conversion.id)
        else:
            log.info("cancelled", extra={"conversion": conversion.id})
            shutil.rmtree(folder, ignore_errors=True)

    def _end(self, conversion: Conversion, outcome: Outcome) -> None:
        """Record an outcome; only the results stay, not the model."""
        folder = self.work / conversion.folder
        if outcome.exit_code:
            try:
                write_reproduction(folder, RESULTS, conversion.request, outcome)
            except OSError:
                log.exception("no reproduction", extra={"conversion": conversion.id})
        share = outcome.exit_code not in CHANCE
        self.store.finish(conversion.id, outcome, share=share, keep=self.settings.keep)
        for name in filter(None, (conversion.request["model"], conversion.request["weights"])):
            (folder / name).unlink(missing_ok=True)
        self.metrics.ended(outcome)
        log.info(
            "ended",
            extra={"conversion": conversion.id, "exit_code": outcome.exit_code, "seconds": outcome.seconds},
        )


def job_of(request: Mapping[str, Any], folder: Path) -> Job:
    """The job of a conversion whose files are in this folder."""
    return Job(
        model=str(folder / request["model"]),
        folder=str(folder / RESULTS),
        weights=request["weights"] and str(folder / request["weights"]),
        name=request["name"],
        options=request["options"],
        verify=request["verify"],
    )


def _neutral(outcome: Outcome, request: Mapping[str, Any], folder: Path) -> Outcome:
    """The outcome without the folders of the machine that it was made on; nor does summary.json tell them."""
    names = "|".join(re.escape(name) for name in (request["model"], request["weights"]) if name)
    path = re.compile(rf"(?:{re.escape(str(folder))}|(?:/[^\s/:]+)+)/(?=(?:{names})\b)")
    summary = folder / RESULTS / "summary.json"
    if summary.name in outcome.files:
        summary.write_text(json.dumps(_without(path, json.loads(summary.read_bytes())), indent=2))
    return Outcome.from_dict(_without(path, outcome.to_dict()))


def _without(pattern: re.Pattern[str], value: Any) -> Any:
    """Plain data whose texts have lost what fits the pattern."""
    if isinstance(value, str):
        return pattern.sub("", value)
    if isinstance(value, Mapping):
        return {key: _without(pattern, item) for key, item in value.items()}
    return [_without(pattern, item) for item in value] if isinstance(value, (list, tuple)) else value
