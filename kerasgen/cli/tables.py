"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kerasgen.bench import report as benchmark
from kerasgen.builder.summary import Summary
from kerasgen.cli.flags import flags
from kerasgen.names import printable
from kerasgen.scanner import RISKS, Scan


def print_summary(summary: Summary) -> None:
    """A model's layers as a table, then its totals and what is unsupported."""
    with _printed() as console:
        _print_summary(console, summary)


@contextmanager
def _printed() -> Iterator[Console]:
    """A console whose output is printed at the end: rich handles a broken pipe in its own way."""
    console = Console(width=None if Console().is_terminal else 120)
    with console.capture() as text:
        yield console
    print(text.get(), end="")


def _print_summary(console: Console, summary: Summary) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    for layer in summary.layers:
        shapes = ", ".join(map(str, layer.shapes)) if layer.shapes is not None else "?"
        cells = (printable(layer.name), printable(layer.kind), shapes, f"{layer.parameters:,}", _count(layer.macs))
        table.add_row(*map(Text, cells), style="red" if layer.problem else None)
    console.print(table)
    version = summary.keras_version or "unknown"
    console.print(Text(f"{printable(summary.source)}: written by Keras {printable(version)}"))
    for title, rows in (("input", summary.inputs), ("output", summary.outputs)):
        for name, shape, dtype in rows:
            console.print(Text(f"{title} {printable(name)} {shape or '?'} {dtype or '?'}"))
    console.print(Text(f"{summary.parameters:,} parameters, {_count(summary.macs)} MACs for one sample"))
    cost = summary.gradients
    if cost is not None:
        saved, peak = (f"{_count(size)} bytes" for size in (cost.saved_bytes, cost.peak_bytes))
        console.print(
            Text(
                f"a step of training: {_count(cost.macs)} MACs for one sample; {saved} saved, {peak} at the peak, "
                f"and {cost.weight_bytes + cost.block_bytes:,} bytes for the gradients of the weights and for blocks"
            )
        )
    for layer in summary.layers:
        if layer.note:
            console.print(Text(f"{printable(layer.name)}: {layer.note}"))
    for problem in summary.problems:
        console.print(Text(f"unsupported: {printable(flags(problem))}"), style="red")


def print_scan(scan: Scan) -> None:
    """The findings in a model, then the effect of each kind."""
    table = Table("risk", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("where", overflow="fold")
    table.add_column("what", overflow="fold")
    for finding in scan.findings:
        table.add_row(*map(Text, map(printable, finding)), style="red" if RISKS[finding.risk].danger else None)
    with _printed() as console:
        if scan.findings:
            console.print(table)
        for risk in dict.fromkeys(finding.risk for finding in scan.findings):
            console.print(Text(f"{risk}: {RISKS[risk].effect}; {flags(RISKS[risk].advice)}"))
        verdict = "dangerous" if scan.dangerous else "no known dangers found"
        console.print(Text(f"{printable(scan.source)}: {verdict}"))


def print_layers(families: Mapping[str, Sequence[str]], unsupported: Mapping[str, str]) -> None:
    """The supported layers and operations by family, then the unsupported ones and why."""
    supported = Table("family", "layers and operations", box=box.SIMPLE_HEAD, pad_edge=False, show_lines=True)
    for family, kinds in families.items():
        supported.add_row(family, ", ".join(kinds))
    left_out = Table("not supported", "because", box=box.SIMPLE_HEAD, pad_edge=False)
    for kind, reason in unsupported.items():
        left_out.add_row(kind, reason)
    with _printed() as console:
        console.print(supported, left_out)


def print_bench(report: benchmark.Report) -> None:
    """The engines on each model, then the geometric means."""
    table = Table(*benchmark.COLUMNS, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in benchmark.rows(report):
        table.add_row(*map(Text, map(printable, row)))
    with _printed() as console:
        console.print(table)
        for comparison in filter(lambda c: c.lines, report.comparisons):
            console.print(Text(f"{comparison.model}, batch {comparison.batch}"), _lines(comparison))
        for sentence in benchmark.sentences(report):
            console.print(Text(sentence))


def _lines(comparison: benchmark.Comparison) -> Table:
    first, *others = benchmark.LINE_COLUMNS
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=72)
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    for row in benchmark.line_rows(comparison):
        table.add_row(*map(Text, map(printable, row)))
    return table


def _count(number: Any) -> str:
    return "?" if number is None else f"{number:,}"
