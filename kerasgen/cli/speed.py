"""`kerasgen bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import Json, Weights, app, progress, say


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="[MODEL]...", help="Files, or names of the suite.", show_default=False),
    ] = None,
    suite: Annotated[bool, typer.Option("--suite", help="All models of the suite, with geometric means.")] = False,
    weights: Weights = None,
    batch: Annotated[str, typer.Option(help="Batch sizes, separated by commas.")] = "1",
    threads: Annotated[int, typer.Option(help="Threads of each engine.", min=1)] = 2,
    rounds: Annotated[int, typer.Option(help="Rounds in which the engines take turns.", min=1)] = 15,
    layers: Annotated[
        bool, typer.Option("--layers", help="Time each line of the module, next to its matrix product alone.")
    ] = False,
    against_level: Annotated[
        list[int] | None,
        typer.Option(help="Also time a module of this optimisation level.", min=0, max=2, show_default=False),
    ] = None,
    processes: Annotated[
        bool, typer.Option("--processes", help="Also time the module in as many processes (KERASGEN_PROCESSES).")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Also time ONNX's reference implementation, in NumPy alone and slow.")
    ] = False,
    join: Annotated[
        bool,
        typer.Option("--join", help="Measure nothing: the arguments are what --json printed on several machines."),
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="A folder to keep converted models and those of the suite in.")
    ] = None,
    into: Annotated[
        Path | None, typer.Option(help="Write the tables into this Markdown file, between its `bench` markers.")
    ] = None,
    json: Json = False,
) -> None:
    """Time the module of MODEL against Keras, ONNX Runtime and LiteRT, if they are installed."""
    from kerasgen.bench import compare
    from kerasgen.bench.report import around, insert, markdown
    from kerasgen.bench.suite import NAMES

    sizes = _sizes(batch)
    names = NAMES if suite else models
    if join:
        _join(models or [], into)
        return
    if not names:
        raise kerasgen.UsageError("bench needs a model: a file, a name of the suite, or --suite")
    if into is not None:
        around(into)  # before anything is measured
    with progress("bench") as on_step:
        report = compare.bench(
            names,
            sizes,
            weights=weights,
            threads=threads,
            rounds=rounds,
            lines=layers,
            levels=against_level or (),
            processes=processes,
            reference=reference,
            cache=cache,
            say=say,
            on_step=on_step,
        )
    if into is not None:
        insert(into, markdown(report))
    if json:
        import json as encoder

        print(encoder.dumps(report.to_dict(), indent=2))
    else:
        from kerasgen.cli.tables import print_result

        print_result(report)


def _join(paths: list[str], into: Path | None) -> None:
    """Print the page of several reports, or write it between the markers of a file."""
    from kerasgen.bench.join import joined, load
    from kerasgen.bench.report import insert

    if len(paths) < 2:
        raise kerasgen.UsageError("--join takes the JSON files of at least two machines")
    page = joined([load(Path(path)) for path in paths])
    if into is None:
        print(page, end="")
    else:
        insert(into, page)


def _sizes(text: str) -> list[int]:
    """Positive integers, separated by commas."""
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = []
    if not sizes or min(sizes) < 1:
        raise kerasgen.UsageError(f"--batch takes positive integers, separated by commas, not {text!r}")
    return sizes
