"""The journal of a batch: a line of JSON for each job that has ended, so that a later run need not repeat it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import kerasgen
from kerasgen.emit.publish import try_lock
from kerasgen.errors import FileError
from kerasgen.jobs import Job, Outcome
from kerasgen.names import printable

FILE = "journal.jsonl"
FINAL = (0, 1, 3, 4)  # exit codes that depend on the model alone; the machine has a part in others


def key(job: Job, *, compared: bool) -> str:
    """What the results of a job depend on, as a SHA-256 in hexadecimal digits; "" where that cannot be told.

    That is the content of the model, of a file of labels and of a tuning, not their path or age; the options; and this
    version of kerasgen. `compared` tells whether Keras is asked. Functions of the user's own, and inputs, may change at
    any time.
    """
    if job.options.get("custom") or job.options.get("inputs"):
        return ""
    digest = hashlib.sha256()
    try:
        others = [job.options.get(name) for name in ("labels", "tune")]
        for path in filter(None, (job.model, job.weights, *(other for other in others if isinstance(other, str)))):
            for name, file in files_of(Path(path)):
                digest.update(json.dumps([name, file.stat().st_size]).encode())
                with open(file, "rb") as stream:
                    while block := stream.read(1 << 20):
                        digest.update(block)
    except OSError:  # the job will say so
        return ""
    settings = [dict(job.options), job.module, compared, job.report, job.weights is not None, kerasgen.__version__]
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()


def files_of(model: Path) -> list[tuple[str, Path]]:
    """The files of a model by their path in its folder; a model that is a file has one, called ""."""
    if not model.is_dir():
        return [("", model)]
    return [(path.relative_to(model).as_posix(), path) for path in sorted(model.rglob("*")) if path.is_file()]


class Journal:
    """The journal in a folder, which nobody else writes meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._entries: dict[str, dict[str, Any]] = {}
        self._files: dict[str, set[str]] = {}  # the last results of each name
        for line in file:
            with suppress(ValueError, KeyError, TypeError):  # an interruption may have left a part of a line
                entry = json.loads(line)
                self._files[entry["name"]] = set(entry["outcome"]["files"])
                self._entries[entry["name"]] = entry

    def outcome(self, name: str, job_key: str, folder: Path) -> Outcome | None:
        """The outcome of an earlier run that still stands: same key, and all files are there."""
        entry = self._entries.get(name)
        if not job_key or entry is None or entry["key"] != job_key:
            return None
        outcome = Outcome.from_dict(entry["outcome"])
        whole = all((folder / file).is_file() for file in outcome.files)
        return outcome if whole and outcome.exit_code in FINAL else None

    def add(self, name: str, job_key: str, outcome: Outcome) -> None:
        """Write how a job ended."""
        entry = {"name": name, "key": job_key, "outcome": outcome.to_dict()}
        self._file.write(json.dumps(entry).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def outdated(self, name: str, outcome: Outcome) -> set[str]:
        """The files of an earlier run that this one has not replaced."""
        return self._files.get(name, set()) - set(outcome.files)


@contextmanager
def opened(folder: Path) -> Iterator[Journal]:
    """The journal in this folder. Raises FileError where it cannot be written, or another batch has it."""
    name = printable(str(folder))
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open(folder / FILE, "a+b"))
        except OSError as error:
            raise FileError(f"{name}: cannot be written: {error.strerror}") from error
        if not try_lock(file):
            raise FileError(f"{name}: another batch is at work here")
        file.seek(0)
        journal = Journal(file)
        file.seek(0, os.SEEK_END)
        if file.tell() and not _ends_a_line(file):
            file.write(b"\n")
        yield journal


def _ends_a_line(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
