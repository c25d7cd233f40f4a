"""The process of one job: `python -m kerasgen.jobs.worker`.

A line of JSON on stdin has the job, its limits and the folder to write into. Events are lines of JSON on stdout; the
last one has the outcome. The process ends when its stdin does: whoever asked is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasgen.jobs.job import Job, Limits, Outcome, event
from kerasgen.jobs.sandbox import disconnect, kill_group, limit_memory


def main() -> None:
    """Do the job on stdin."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # nothing that libraries print mixes with events
        os.dup2(null, stream)
    request = json.loads(sys.stdin.buffer.readline())
    limits = Limits(**request["limits"])
    network = limits.network or not disconnect()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if limits.memory is not None:
        limit_memory(limits.memory)

    def send(data: Any) -> None:
        events.write(json.dumps(data) + "\n")
        events.flush()

    outcome = convert(Job.from_dict(request["job"]), Path(request["stage"]), lambda step: send(event(step)))
    data = outcome.to_dict()
    data["details"]["network"] = network
    send({**event("done"), "outcome": data})


def _end_with_parent() -> None:
    while os.read(0, 1 << 10):  # sys.stdin would be locked when the interpreter ends
        pass
    if hasattr(os, "getpgrp") and os.getpgrp() == os.getpid():
        kill_group(os.getpid())
    os._exit(1)


def convert(job: Job, stage: Path, begin: Callable[[str], object]) -> Outcome:
    """Convert the job's model in this process. Results go into the folder `stage`; `begin` is told each step."""
    conversion = Conversion(job, stage, begin)
    for part in (conversion.inspect, conversion.export, conversion.report, conversion.summarize):
        conversion.attempt(part)
    return conversion.outcome()


class Conversion:
    """A job that is being done: what is known of its model so far, and the first error."""

    def __init__(self, job: Job, stage: Path, begin: Callable[[str], object]) -> None:
        self.job, self.stage, self._begin = job, stage, begin
        self.begun: set[str] = set()
        self.exit_code, self.message = 0, ""
        self.summary: dict[str, Any] = {}
        self.errors: list[dict[str, Any]] = []
        self.warning = self.unverified = ""
        self.scan: dict[str, Any] = {}

    def begin(self, step: str) -> None:
        """A step begins; it is told once, though inspecting and exporting both read the model."""
        if step not in self.begun:
            self.begun.add(step)
            self._begin(step)

    def attempt(self, part: Callable[[], None]) -> None:
        """Do a part. Its error is the job's, unless there was one before."""
        from kerasgen.errors import KerasgenError

        try:
            part()
        except KerasgenError as error:
            self._fail(error.exit_code, str(error))
            verification = getattr(error, "verification", None)
            self.errors = [output.to_dict() for output in verification.outputs] if verification else self.errors
        except MemoryError:
            self._fail(5, f"{self.job.source}: needs more memory than it may take")
        except Exception as error:
            text = " ".join(str(error).split())
            self._fail(KerasgenError.exit_code, f"{self.job.source}: a bug in kerasgen: {type(error).__name__}: {text}")

    def _fail(self, exit_code: int, message: str) -> None:
        if not self.exit_code:
            self.exit_code, self.message = exit_code, message

    def inspect(self) -> None:
        """Scan the model, and see what is in it."""
        self.begin("scan")
        import kerasgen
        from kerasgen.hdf5 import process

        process.own_session = False  # it belongs to the group of processes that is killed together
        self.scan = kerasgen.scan(self.job.model).to_dict()
        self.begin("read")
        self.summary = kerasgen.inspect(self.job.model, **self._read()).to_dict()

    def export(self) -> None:
        """Write the module; the error of an unsupported model lists all that is."""
        if self.exit_code:
            return
        import kerasgen
        from kerasgen.jobs.options import arguments

        result = kerasgen.export(
            self.job.model,
            self.stage / self.job.module,
            weights=self.job.weights,
            verify=self.job.verify,
            on_step=self.begin,
            **arguments(self.job.options),
        )
        self.errors = [output.to_dict() for output in result.outputs]
        self.warning, self.unverified = result.warning, result.unverified

    def report(self) -> None:
        """Write report.html on any model that can be read."""
        if not (self.job.report and self.summary):
            return
        import kerasgen

        self.begin("report")
        kerasgen.report(
            self.job.model,
            self.stage / "report.html",
            **self._read(),
            verify=False if self.exit_code else self.job.verify,
            theano_kernels=self.job.options.get("theano_kernels", False),
            force=True,
        )

    def summarize(self) -> None:
        """Write summary.json."""
        data = {**self.summary, **self._details(), "exit_code": self.exit_code, "message": self.message}
        data["scan"] = self.scan
        with open(self.stage / "summary.json", "w", encoding="utf-8") as file:
            json.dump(data, file, indent=2)

    def outcome(self) -> Outcome:
        """How the job ended."""
        files = tuple(sorted(path.name for path in self.stage.iterdir()))
        return Outcome(self.exit_code, self.message, files, details=self._details())

    def _details(self) -> dict[str, Any]:
        """What is known of the model, but for its layers."""
        import kerasgen

        return {
            "kerasgen": kerasgen.__version__,
            "parameters": self.summary.get("parameters"),
            "macs": self.summary.get("macs"),
            "problems": list(self.summary.get("problems", ())),
            "errors": self.errors,
            "warning": self.warning,
            "unverified": self.unverified,
            "dangerous": bool(self.scan.get("dangerous")),
        }

    def _read(self) -> dict[str, Any]:
        """The arguments that decide what is read of the model."""
        from kerasgen.builder.custom import load
        from kerasgen.jobs.options import READING

        options = {key: option for key, option in self.job.options.items() if key in READING}
        return {"weights": self.job.weights, "custom": load(self.job.options.get("custom", ())), **options}


if __name__ == "__main__":
    main()
