"""What a result shows to people: tables and sentences, as text, and as HTML in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Sequence
from dataclasses import dataclass
from html import escape

from kerasgen.names import printable

# The steps of long work, as an `on_step` is told of them, and what people read. An export has those from "read" to
# "verify", without "ask" and "verify" where Keras is not asked.
STEPS = {
    "scan": "looking for dangers",
    "read": "reading",
    "build": "building the graph",
    "tune": "timing the kernels",
    "optimise": "optimising",
    "ask": "asking Keras",
    "emit": "writing the code",
    "verify": "comparing with Keras",
    "run": "running the module",
    "report": "writing the report",
    "package": "packaging",
    "done": "done",
}
WRONG = ' style="color: crimson"'


@dataclass(frozen=True)
class Table:
    """Cells of text. The last columns, `numbers` of them, are aligned to the right; rows in `wrong` stand out."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: int = 0
    wrong: Container[int] = ()
    title: str = ""

    def is_number(self, column: int) -> bool:
        """Whether the cells of this column are aligned to the right."""
        return column >= len(self.columns) - self.numbers

    def text(self) -> str:
        """One line for each row, below the title and the columns."""
        cells = [[printable(cell) for cell in row] for row in (self.columns, *self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (self._line(row, widths) for row in cells)
        return "\n".join([printable(self.title), *lines] if self.title else lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = (
            cell.rjust(width) if self.is_number(column) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    def html(self) -> str:
        """A table element."""
        caption = f"<caption>{_escaped(self.title)}</caption>" if self.title else ""
        rows = (self._row(row, "td", WRONG if i in self.wrong else "") for i, row in enumerate(self.rows))
        return f"<table>{caption}<thead>{self._row(self.columns, 'th')}</thead><tbody>{''.join(rows)}</tbody></table>"

    def _row(self, row: Sequence[str], element: str, style: str = "") -> str:
        sides = ("right" if self.is_number(column) else "left" for column in range(len(row)))
        cells = (
            f'<{element} style="text-align: {side}">{_escaped(cell)}</{element}>'
            for side, cell in zip(sides, row, strict=True)
        )
        return f"<tr{style}>{''.join(cells)}</tr>"


@dataclass(frozen=True)
class Display:
    """Tables, then sentences, then those about what is wrong."""

    tables: Sequence[Table] = ()
    sentences: Sequence[str] = ()
    problems: Sequence[str] = ()

    def text(self) -> str:
        """As a terminal has it, without colours."""
        lines = "\n".join(map(printable, (*self.sentences, *self.problems)))
        return "\n\n".join(filter(None, (*(table.text() for table in self.tables), lines)))

    def html(self) -> str:
        """Escaped: nothing in it comes from a model as markup."""
        tables = (table.html() for table in self.tables)
        sentences = (f"<div>{_escaped(sentence)}</div>" for sentence in self.sentences)
        problems = (f"<div{WRONG}>{_escaped(problem)}</div>" for problem in self.problems)
        return f"<div>{''.join((*tables, *sentences, *problems))}</div>"


class Displayed(ABC):
    """A result that shows itself, where it is printed and where it ends the cell of a notebook."""

    @abstractmethod
    def display(self) -> Display:
        """What there is to see."""

    def __str__(self) -> str:
        return self.display().text()

    def _repr_html_(self) -> str:
        """What Jupyter asks for."""
        return self.display().html()


def count(number: int | None) -> str:
    """A number with commas; ? where it is not known."""
    return "?" if number is None else f"{number:,}"


def _escaped(text: str) -> str:
    return escape(printable(text))
