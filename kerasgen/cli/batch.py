"""`kerasgen batch`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kerasgen
from kerasgen.cli.app import Settings, app
from kerasgen.cli.export import Store
from kerasgen.cli.flags import flags, flags_in

if TYPE_CHECKING:
    from kerasgen.batches import Item
    from kerasgen.jobs import Event

SIZE_OF_PROCESS = "Memory that the process of a model may take, as 2GB."


@app.command()
def batch(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders and patterns. [default: those of [tool.kerasgen] in pyproject.toml]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="The folder for the results.", show_default=False),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Models at once. [default: one a processor]", show_default=False),
    ] = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify", help="Compare with Keras. [default: if TensorFlow is installed]", show_default=False
        ),
    ] = None,
    report: Annotated[
        bool | None, typer.Option("--report/--no-report", help="Write a report.html on each.", show_default="report")
    ] = None,
    store: Annotated[Store | None, typer.Option(help="As for export. [default: embedded]", show_default=False)] = None,
    optimize: Annotated[
        int | None,
        typer.Option("--optimize", "-O", min=0, max=2, help="As for export. [default: 2]", show_default=False),
    ] = None,
    max_memory: Annotated[
        str, typer.Option(help="As for export: what a call of a module may take.", show_default=False)
    ] = "",
    activations: Annotated[bool, typer.Option("--activations", help="As for export.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="As for export.")] = False,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="What one model may take.", show_default=False)
    ] = None,
    memory: Annotated[str, typer.Option(help=SIZE_OF_PROCESS, show_default=False)] = "",
    scheduler: Annotated[
        str, typer.Option(metavar="ADDRESS", help="A Dask scheduler whose workers do it.", show_default=False)
    ] = "",
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report, too.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each model as it ends.")] = False,
) -> None:
    """Convert many MODELS, each in a process of its own; what an earlier run has converted is left as it is.

    Exit code 0 if all are right, else the first of these that a model has: 70, 1, 3, 5, 2, 4.
    """
    from kerasgen.config import size_in_bytes
    from kerasgen.jobs import Limits

    options = {
        "store": store and store.value,
        "optimize": optimize,
        "max_memory": size_in_bytes(max_memory, "--max-memory") if max_memory else None,
        "activations": activations,
        "strict": strict,
    }
    options = {key: value for key, value in options.items() if value not in (None, False)}
    settings: dict[str, Any] = {} if models else dict(_configured())
    tasks = models or _tasks(settings.pop("models"), verify, options)
    given = {
        "output": output,
        "jobs": jobs,
        "report": report,
        "timeout": timeout,
        "memory": size_in_bytes(memory, "--memory") if memory else None,
        "scheduler": scheduler or None,
    }
    settings |= {key: value for key, value in given.items() if value is not None}
    if "output" not in settings:
        raise kerasgen.UsageError("batch needs a folder for the results: -o DIR")
    if junit is not None:
        from kerasgen.emit.publish import check_target

        check_target(junit, sources=(), force=True)
    with _shown(json) as (started, ended):
        result = kerasgen.batch(
            tasks,
            settings["output"],
            jobs=settings.get("jobs"),
            verify=verify,
            report=settings.get("report", True),
            limits=Limits(memory=settings.get("memory"), seconds=settings.get("timeout")),
            scheduler=settings.get("scheduler", ""),
            started=started,
            ended=ended,
            **(options if models else {}),
        )
    if junit is not None:
        from kerasgen.emit.publish import staged

        with staged({junit: lambda file: file.write(result.junit())}):
            pass
    if not json:
        print(flags(str(result)))
    if not result.ok:
        raise typer.Exit(result.exit_code)


def _configured() -> dict[str, Any]:
    """The arguments that pyproject.toml has; `models` are what its list says."""
    from kerasgen import config

    found = config.load()
    return {**found.batch, "models": found.listed()}


def _tasks(models: Any, verify: bool | None, options: dict[str, Any]) -> list[Any]:
    """The configured models as tasks; what the command line says goes first."""
    from kerasgen.batches.models import Task, distinct

    names = distinct([model.output for model in models])
    return [
        Task(model.model, name, model.weights, model.verify if verify is None else verify, {**model.options, **options})
        for name, model in zip(names, models, strict=True)
    ]


@contextmanager
def _shown(json: bool) -> Iterator[tuple[Callable[[str, Event], object], Callable[[Item], object]]]:
    """What to call as models begin and end: lines of JSON on stdout, a live display on a terminal."""
    import json as encoder

    def ended(item: Item) -> None:
        if json:
            print(encoder.dumps(flags_in(item.to_dict(), ("message", "problems"))), flush=True)

    if Settings.quiet or not sys.stderr.isatty():
        yield lambda name, event: None, ended
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.text import Text

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[step]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
        running: dict[str, Any] = {}
        lock = threading.Lock()
        total = progress.add_task("models", total=None, step="")

        def started(name: str, event: Event) -> None:
            with lock:
                if name not in running:
                    running[name] = progress.add_task(name, total=1.0, step="")
                progress.update(running[name], completed=event["fraction"], step=event["text"])
                if event["step"] == "done":
                    progress.remove_task(running.pop(name))

        def told(item: Item) -> None:
            with lock:
                if item.name in running:
                    progress.remove_task(running.pop(item.name))
                progress.advance(total)
            if not item.outcome.ok:
                progress.console.print(Text(flags(str(item)), style="red"))
            ended(item)

        yield started, told
