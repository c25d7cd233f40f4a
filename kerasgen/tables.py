"""Tables on a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kerasgen.summary import Summary


def print_summary(summary: Summary) -> None:
    """A model's layers as a table, then its totals and what is unsupported."""
    console = Console(width=None if Console().is_terminal else 120)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    table.add_column("output shape")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    for layer in summary.layers:
        shapes = ", ".join(map(str, layer.shapes)) if layer.shapes is not None else "?"
        cells = (_plain(layer.name), _plain(layer.kind), shapes, f"{layer.parameters:,}", _count(layer.macs))
        table.add_row(*map(Text, cells), style="red" if layer.problem else None)
    console.print(table)
    version = summary.keras_version or "unknown"
    console.print(Text(f"{_plain(summary.source)}: written by Keras {_plain(version)}"))
    for title, rows in (("input", summary.inputs), ("output", summary.outputs)):
        for name, shape, dtype in rows:
            console.print(Text(f"{title} {_plain(name)} {shape} {dtype}"))
    console.print(Text(f"{summary.parameters:,} parameters, {_count(summary.macs)} MACs for one sample"))
    for problem in summary.problems:
        console.print(Text(f"unsupported: {_plain(problem)}"), style="red")


def _count(number: Any) -> str:
    return "?" if number is None else f"{number:,}"


def _plain(text: str) -> str:
    """Text from a file, without control characters that a terminal would obey."""
    return ascii(text)[1:-1]
