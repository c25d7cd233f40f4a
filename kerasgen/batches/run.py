"""Converts many models: each in a process of its own, several at once, none twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kerasgen.batches import journal as journals
from kerasgen.batches.models import Task, find, names
from kerasgen.batches.page import render
from kerasgen.batches.result import BatchResult, Item
from kerasgen.emit.publish import staged
from kerasgen.errors import FileError, UsageError
from kerasgen.jobs import Event, Job, Limits, Outcome, Pool, pool_of
from kerasgen.jobs.process import STAGE
from kerasgen.names import printable
from kerasgen.verification.oracle import available

Models = str | os.PathLike[str] | Iterable[str | os.PathLike[str] | Task]


def batch(
    models: Models,
    output: str | os.PathLike[str],
    *,
    jobs: int | None = None,
    verify: bool | None = None,
    report: bool = True,
    limits: Limits | None = None,
    scheduler: str = "",
    started: Callable[[str, Event], object] = lambda name, event: None,
    ended: Callable[[Item], object] = lambda item: None,
    **options: Any,
) -> BatchResult:
    """Convert models, each in a process of its own; a model that cannot be converted stops none of the others.

    `models` are files, folders and patterns. The results of each are in a folder of its name in `output`, which is made
    where it does not exist, beside the page index.html and a journal: what an earlier run has converted, with the same
    content, options and version of kerasgen, is not converted again. `jobs` processes work at once, by default as many
    as there are processors; `scheduler` is the address of a Dask scheduler whose workers do it instead. `verify` is as
    for `export`, `report` writes a report.html on each model, `limits` are those of each process. `options` are those
    of `export` that are plain data: see `kerasgen.jobs.options`. `started` is called with the name of a model and
    each step of its conversion, by threads; `ended` with each model as it ends, in this thread.

    Raises UsageError for what is asked, FileError where `output` cannot be written; never for a fault of a model.
    """
    folder = Path(output)
    tasks = _tasks(models, verify, options)
    _make(folder)
    with journals.opened(folder) as journal, ExitStack() as stack:
        work = [_work(task, folder, report=report) for task in tasks]
        items: dict[str, Item] = {}

        def end(item: Item) -> None:
            items[item.name] = item
            ended(item)

        rest = []
        for part in work:
            outcome = journal.outcome(part.task.name, part.key, Path(part.job.folder))
            if outcome is None:
                rest.append(part)
            else:
                end(Item(str(part.task.model), part.task.name, outcome, reused=True))
        if rest:
            pool = pool_of(jobs or os.cpu_count() or 1, scheduler)
            stack.callback(pool.shutdown)
            for part, outcome in _done(pool, rest, limits, started):
                journal.add(part.task.name, part.key, outcome)
                for name in journal.outdated(part.task.name, outcome):
                    with suppress(OSError):
                        os.unlink(Path(part.job.folder, name))
                end(Item(str(part.task.model), part.task.name, outcome))
        result = BatchResult(folder, tuple(items[task.name] for task in tasks))
        with staged({folder / "index.html": lambda file: file.write(render(result).encode())}):
            pass
    return result


class _Work(NamedTuple):
    """A model of the batch, its job, and the key of the job in the journal."""

    task: Task
    job: Job
    key: str


def _tasks(models: Models, verify: bool | None, options: Mapping[str, Any]) -> list[Task]:
    """The models, each under a distinct name. A Task has its own options already."""
    if isinstance(models, (str, os.PathLike)):
        models = [models]
    models = list(models)
    own = [model for model in models if isinstance(model, Task)]
    paths = find(model for model in models if not isinstance(model, Task))
    tasks = [
        *own,
        *(Task(path, name, verify=verify, options=options) for path, name in zip(paths, names(paths), strict=True)),
    ]
    if not tasks:
        raise UsageError("a batch needs a model")
    return tasks


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{printable(str(folder))}: cannot be made: {error.strerror}") from error


def _work(task: Task, folder: Path, *, report: bool) -> _Work:
    """A model with its job, whose folder is there, without what an interrupted run has left."""
    place = folder / task.name
    _make(place)
    for stage in place.glob(f"{STAGE}*"):
        shutil.rmtree(stage, ignore_errors=True)
    job = Job(
        model=str(task.model),
        folder=str(place),
        weights=None if task.weights is None else str(task.weights),
        name=task.name,
        options=task.options,
        verify=task.verify,
        report=report,
    )
    return _Work(task, job, journals.key(job, compared=available() if job.verify is None else job.verify))


def _done(
    pool: Pool, work: Sequence[_Work], limits: Limits | None, started: Callable[[str, Event], object]
) -> Iterator[tuple[_Work, Outcome]]:
    """Each piece of work with its outcome, as it ends."""
    futures = {pool.submit(part.job, limits, partial(started, part.task.name)): part for part in work}
    for future in as_completed(futures):
        yield futures[future], future.result()
