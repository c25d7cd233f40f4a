"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from kerasgen import display
from kerasgen.cli.flags import flags
from kerasgen.names import printable


def print_result(result: display.Displayed) -> None:
    """The tables of a result, then its sentences, with settings as flags."""
    shown = result.display()
    with _printed() as console:
        for table in shown.tables:
            if table.title:
                console.print(Text(printable(table.title)))
            console.print(_table(table))
        for sentence in shown.sentences:
            console.print(Text(printable(flags(sentence))))
        for problem in shown.problems:
            console.print(Text(printable(flags(problem))), style="red")


def _table(shown: display.Table) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(shown.columns):
        table.add_column(column, justify="right" if shown.is_number(number) else "left", overflow="fold")
    for number, row in enumerate(shown.rows):
        table.add_row(*(Text(printable(cell)) for cell in row), style="red" if number in shown.wrong else None)
    return table


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


@contextmanager
def _printed() -> Iterator[Console]:
    """A console whose output is printed at the end: rich handles a broken pipe in its own way."""
    console = Console(width=None if Console().is_terminal else 120)
    with console.capture() as text:
        yield console
    print(text.get(), end="")
