"""Benchmark results: times, ratios, geometric means; as JSON and as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

from kerasgen.bench.engines import MODULE, PROCESSES
from kerasgen.bench.machine import HARDWARE
from kerasgen.display import Display, Displayed, Table
from kerasgen.errors import FileError
from kerasgen.names import printable


@dataclass(frozen=True)
class Timing:
    """One engine on one model: seconds per call, seconds to the first answer, peak memory in bytes.

    `error` is the largest difference from the reference, relative to the largest value. An engine that fails or
    answers wrongly has a `problem` and no times.
    """

    engine: str
    median: float = math.nan
    minimum: float = math.nan
    first: float = math.nan
    memory: int | None = None
    error: float = math.nan
    problem: str = ""

    @classmethod
    def of(cls, engine: str, times: Sequence[float], first: float, memory: int | None, error: float) -> Timing:
        """The timing of an engine from the seconds of its calls."""
        return cls(engine, median(times), min(times), first, memory, error)


@dataclass(frozen=True)
class Line:
    """A line of our module's `predict`: its text, its seconds, and those of its matrix product alone, if it is one."""

    text: str
    seconds: float
    product: float | None


@dataclass(frozen=True)
class Comparison:
    """Engines on one model with one batch size, and the lines of our module if requested."""

    model: str
    batch: int
    timings: tuple[Timing, ...]
    lines: tuple[Line, ...] = ()

    def __getitem__(self, engine: str) -> Timing:
        return next((timing for timing in self.timings if timing.engine == engine), Timing(engine))

    def ratio(self, *engines: str, ours: str = MODULE) -> float:
        """Our median over the smallest median of these engines: below 1 we are faster. NaN if none was timed."""
        medians = [m for m in (self[engine].median for engine in engines) if not math.isnan(m)]
        return self[ours].median / min(medians) if medians else math.nan


# The suite's score: the time of each of ours over that of the fastest of these engines.
OURS = (MODULE, PROCESSES.name)
RIVALS: Mapping[str, tuple[str, ...]] = {
    "tf.function": ("tf.function",),
    "Keras predict": ("Keras predict",),
    "faster of ONNX Runtime and LiteRT": ("ONNX Runtime", "LiteRT"),
}


def geometric_mean(ratios: Iterable[float]) -> float:
    """The geometric mean, ignoring NaN; NaN if there is nothing else."""
    logs = [math.log(ratio) for ratio in ratios if not math.isnan(ratio)]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


@dataclass(frozen=True)
class Report(Displayed):
    """All comparisons of a run; `groups` are the models to take geometric means of, by the group's name."""

    threads: int
    rounds: int
    machine: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def means(self) -> list[dict[str, Any]]:
        """The geometric mean of the ratios for each group, batch size, engine of ours and rival that were timed."""
        rows = []
        for group, models in self.groups.items():
            for batch in sorted({c.batch for c in self.comparisons if c.model in models}):
                members = [c for c in self.comparisons if c.model in models and c.batch == batch]
                for ours, (rival, engines) in product(OURS, RIVALS.items()):
                    ratios = [r for r in (c.ratio(*engines, ours=ours) for c in members) if not math.isnan(r)]
                    if ratios:
                        row = {"group": group, "batch": batch, "engine": ours, "against": rival}
                        rows.append({**row, "models": len(ratios), "ratio": geometric_mean(ratios)})
        return rows

    def display(self) -> Display:
        """A table of the engines on each model, one of the lines of each if they were timed, and the means."""
        lines = [
            Table(LINE_COLUMNS, line_rows(c), numbers=len(LINE_COLUMNS) - 1, title=f"{c.model}, batch {c.batch}")
            for c in self.comparisons
            if c.lines
        ]
        return Display([Table(COLUMNS, rows(self)), *lines], sentences(self))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; a missing number is None."""
        results = [
            {
                "model": c.model,
                "batch": c.batch,
                "engines": [{**asdict(t), "ratio": c.ratio(t.engine)} for t in c.timings],
                "lines": [asdict(line) for line in c.lines],
            }
            for c in self.comparisons
        ]
        data = {"threads": self.threads, "rounds": self.rounds, "machine": dict(self.machine)}
        groups = {group: list(models) for group, models in self.groups.items()}
        return {**data, "groups": groups, "results": _plain(results), "means": _plain(self.means())}


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def duration(seconds: float) -> str:
    """A time in a suitable unit, with three digits."""
    if math.isnan(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e6)} us"


def fold(ratio: float) -> str:
    """A ratio with up to three digits, never as a power of ten."""
    return f"{float(f'{ratio:.3g}'):g} x"


def _digits(number: float) -> str:
    return f"{number:.{max(0, 2 - int(math.log10(max(number, 1))))}f}"


COLUMNS = ("model", "batch", "engine", "median", "fastest", "per second", "ours is", "first answer", "memory")

MARKS = ("<!-- bench: made by `make bench` -->\n", "<!-- end of bench -->")
UNNAMED = ("processor", "system")
LINE_COLUMNS = ("line", "median", "share", "product alone", "of it")


def rows(report: Report) -> list[tuple[str, ...]]:
    """The cells of the table, one row for each engine on each model."""
    table = []
    for c in report.comparisons:
        for t in c.timings:
            if t.problem:
                table.append((c.model, str(c.batch), t.engine, t.problem, *[""] * 5))
                continue
            ratio = "" if t.engine == MODULE else fold(c.ratio(t.engine))
            memory = "" if t.memory is None else f"{t.memory / 1e6:.0f} MB"
            speed = f"{c.batch / t.median:,.{0 if c.batch / t.median > 100 else 1}f}"
            times = (duration(t.median), duration(t.minimum), speed, ratio, duration(t.first), memory)
            table.append((c.model, str(c.batch), t.engine, *times))
    return table


def line_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The cells of the table of lines, with their sum at the end."""
    total = sum(line.seconds for line in comparison.lines)
    products = [line.product for line in comparison.lines if line.product is not None]
    table: list[tuple[str, ...]] = []
    for line in (*comparison.lines, Line("all lines", total, sum(products) if products else None)):
        alone = ("", "") if line.product is None else (duration(line.product), fold(line.seconds / line.product))
        table.append((line.text, duration(line.seconds), f"{line.seconds / total:.1%}", *alone))
    return table


def sentences(report: Report) -> list[str]:
    """The geometric means, one line each."""
    return [
        f"{m['group']}, batch {m['batch']}: {m['engine']} takes {m['ratio']:.2f} times the time of {m['against']} "
        f"(geometric mean over {m['models']})"
        for m in report.means()
    ]


def markdown(report: Report) -> str:
    """Tables with a row for each model: each engine's median and our ratio to it, then startup time and memory."""
    engines = list(dict.fromkeys(t.engine for c in report.comparisons for t in c.timings))
    facts = report.machine
    machine = ", ".join(f"{name} {version}" for name, version in facts.items() if name not in (*UNNAMED, *HARDWARE))
    hardware = "; ".join(f"{name}: {facts[name]}" for name in HARDWARE if name in facts)
    head = f"{report.threads} threads of {report.machine['processor']}; {machine}. In brackets: our time over theirs."
    means = [f"* {sentence}" for sentence in sentences(report)]
    lines = [head, "", *([f"{hardware}.", ""] if hardware else [])]
    lines += [*_grid(["median time", *engines], report.comparisons, medians), ""]
    lines += [*means, ""] if means else []
    lines += _grid(["first answer, memory", *engines], report.comparisons, _start)
    return "\n".join(lines) + "\n"


def _grid(head: Sequence[str], comparisons: Sequence[Comparison], cell: Callable[..., str]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for c in comparisons:
        cells = (cell(c, c[engine]) for engine in head[1:])
        yield f"| {c.model}, batch {c.batch} | {' | '.join(cells)} |"


def medians(comparison: Comparison, timing: Timing) -> str:
    """The cell of an engine on a model: its median, and our ratio to it."""
    if timing.problem or math.isnan(timing.median):
        return timing.problem and ("skipped" if timing.problem.startswith("skipped") else "fails")
    ratio = "" if timing.engine == MODULE else f" ({fold(comparison.ratio(timing.engine))})"
    return f"{duration(timing.median)}{ratio}"


def _start(comparison: Comparison, timing: Timing) -> str:
    if math.isnan(timing.first):
        return ""
    return duration(timing.first) + ("" if timing.memory is None else f", {timing.memory / 1e6:.0f} MB")


def around(path: Path) -> tuple[str, str]:
    """The text of a file before the tables and after them. Raises FileError if the markers are missing."""
    try:
        before, start, rest = path.read_text(encoding="utf-8").partition(MARKS[0])
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be read: {error.strerror or error}") from error
    _, end, after = rest.partition(MARKS[1])
    if not end:
        raise FileError(f"{printable(str(path))}: lacks the lines {MARKS[0].strip()} and {MARKS[1]}")
    return before + start, end + after


def insert(path: Path, text: str) -> None:
    """Replace the tables in a file by `text`. Raises FileError if that fails."""
    before, after = around(path)
    try:
        path.write_text(before + text + after, encoding="utf-8")
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be written: {error.strerror or error}") from error
