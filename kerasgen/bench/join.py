"""The reports of several machines in one page."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from kerasgen.bench.machine import HARDWARE
from kerasgen.bench.report import UNNAMED, Comparison, Line, Report, Timing, medians, sentences
from kerasgen.errors import FileError, UsageError
from kerasgen.names import printable


def load(path: Path) -> Report:
    """The report that `kerasgen bench --json` printed. Raises FileError, and UsageError where it is none."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        results = [_comparison(result) for result in data["results"]]
        groups: dict[str, list[str]] = {group: list(models) for group, models in data["groups"].items()}
        return Report(data["threads"], data["rounds"], data["machine"], tuple(results), groups)
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be read: {error.strerror or error}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{printable(str(path))}: is not what `kerasgen bench --json` prints") from error


def _comparison(result: Mapping[str, Any]) -> Comparison:
    timings = (
        {name: _number(each[name]) for name in ("median", "minimum", "first", "error")}
        | {name: each[name] for name in ("engine", "memory", "problem")}
        for each in result["engines"]
    )
    lines = (Line(each["text"], each["seconds"], each["product"]) for each in result["lines"])
    return Comparison(result["model"], result["batch"], tuple(Timing(**each) for each in timings), tuple(lines))


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def joined(reports: Sequence[Report]) -> str:
    """Markdown: which machine is which, then each engine's medians on all machines side by side, then the means.

    Raises UsageError for more machines than there are letters.
    """
    if len(reports) > len(ascii_uppercase):
        raise UsageError(f"at most {len(ascii_uppercase)} reports can be joined, not {len(reports)}")
    machines = dict(zip(ascii_uppercase, reports, strict=False))
    engines = dict.fromkeys(t.engine for report in reports for c in report.comparisons for t in c.timings)
    models = dict.fromkeys((c.model, c.batch) for report in reports for c in report.comparisons)
    lines = [*_table(["", *machines], _facts(reports)), ""]
    lines += ["Medians; in brackets our time over theirs on the same machine.", ""]
    head = ["median time", *(f"{engine}, {letter}" for engine in engines for letter in machines)]
    lines += _table(head, (_row(model, engines, reports) for model in models))
    means = [f"* {letter}: {sentence}" for letter, report in machines.items() for sentence in sentences(report)]
    return "\n".join([*lines, *([""] if means else []), *means]) + "\n"


def _facts(reports: Sequence[Report]) -> Iterator[list[str]]:
    """A row for each fact about the machines."""
    names = dict.fromkeys(name for report in reports for name in (*UNNAMED, *HARDWARE, *report.machine))
    for name in names:
        cells = [report.machine.get(name, "") for report in reports]
        if any(cells):
            yield [name, *cells]
    yield ["threads of each engine", *(str(report.threads) for report in reports)]


def _row(model: tuple[str, int], engines: Iterable[str], reports: Sequence[Report]) -> list[str]:
    found = [{(c.model, c.batch): c for c in report.comparisons}.get(model) for report in reports]
    cells = ("" if c is None else medians(c, c[engine]) for engine in engines for c in found)
    return [f"{model[0]}, batch {model[1]}", *cells]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"
