"""What was measured: numbers, ratios, geometric means; as JSON and as tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from kerasgen.bench.engines import MODULE


@dataclass(frozen=True)
class Timing:
    """One engine on one model: seconds for a call, seconds to the first answer, peak of memory in bytes.

    `error` is the largest difference from the reference, as a part of the largest number. An engine that fails or
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
class Comparison:
    """Engines on one model with batches of one size."""

    model: str
    batch: int
    timings: tuple[Timing, ...]

    def __getitem__(self, engine: str) -> Timing:
        return next((timing for timing in self.timings if timing.engine == engine), Timing(engine))

    def ratio(self, *engines: str) -> float:
        """Our median over the smallest median of these engines: below 1 we are faster. NaN where none was timed."""
        medians = [m for m in (self[engine].median for engine in engines) if not math.isnan(m)]
        return self[MODULE].median / min(medians) if medians else math.nan


# What the suite is judged by: our time over that of the fastest of these engines.
RIVALS: Mapping[str, tuple[str, ...]] = {
    "tf.function": ("tf.function",),
    "Keras predict": ("Keras predict",),
    "faster of ONNX Runtime and LiteRT": ("ONNX Runtime", "LiteRT"),
}


def geometric_mean(ratios: Iterable[float]) -> float:
    """The geometric mean of those that are numbers, NaN where none is."""
    logs = [math.log(ratio) for ratio in ratios if not math.isnan(ratio)]
    return math.exp(sum(logs) / len(logs)) if logs else math.nan


@dataclass(frozen=True)
class Report:
    """All comparisons of a run; `groups` are the models of which geometric means are taken, by the groups' names."""

    threads: int
    rounds: int
    machine: Mapping[str, str]
    comparisons: tuple[Comparison, ...]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def means(self) -> list[dict[str, Any]]:
        """For each group, batch size and rival, the geometric mean of the ratios; only where models were timed."""
        rows = []
        for group, models in self.groups.items():
            for batch in sorted({c.batch for c in self.comparisons if c.model in models}):
                members = [c for c in self.comparisons if c.model in models and c.batch == batch]
                for rival, engines in RIVALS.items():
                    ratios = [r for r in (c.ratio(*engines) for c in members) if not math.isnan(r)]
                    if ratios:
                        row = {"group": group, "batch": batch, "against": rival}
                        rows.append({**row, "models": len(ratios), "ratio": geometric_mean(ratios)})
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON, where None stands for a number that there is not."""
        results = [
            {
                "model": c.model,
                "batch": c.batch,
                "engines": [{**asdict(t), "ratio": c.ratio(t.engine)} for t in c.timings],
            }
            for c in self.comparisons
        ]
        data = {"threads": self.threads, "rounds": self.rounds, "machine": dict(self.machine)}
        return {**data, "results": _plain(results), "means": _plain(self.means())}


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_plain(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def duration(seconds: float) -> str:
    """A time in a unit that suits it, with three digits."""
    if math.isnan(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{_digits(seconds / size)} {unit}"
    return f"{_digits(seconds * 1e6)} us"


def _digits(number: float) -> str:
    return f"{number:.{max(0, 2 - int(math.log10(max(number, 1))))}f}"


COLUMNS = ("model", "batch", "engine", "median", "fastest", "per second", "ours is", "first answer", "memory")


def rows(report: Report) -> list[tuple[str, ...]]:
    """The cells of the table, one row for each engine on each model."""
    table = []
    for c in report.comparisons:
        for t in c.timings:
            if t.problem:
                table.append((c.model, str(c.batch), t.engine, t.problem, *[""] * 5))
                continue
            ratio = "" if t.engine == MODULE else f"{c.ratio(t.engine):.3g} x"
            memory = "" if t.memory is None else f"{t.memory / 1e6:.0f} MB"
            speed = f"{c.batch / t.median:,.{0 if c.batch / t.median > 100 else 1}f}"
            times = (duration(t.median), duration(t.minimum), speed, ratio, duration(t.first), memory)
            table.append((c.model, str(c.batch), t.engine, *times))
    return table


def sentences(report: Report) -> list[str]:
    """The geometric means, one line each."""
    return [
        f"{m['group']}, batch {m['batch']}: {m['ratio']:.2f} times the time of {m['against']} "
        f"(geometric mean over {m['models']})"
        for m in report.means()
    ]
