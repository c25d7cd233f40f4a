"""The time and the memory of each line of a module's `predict`, measured on one sample."""

from __future__ import annotations

import ast
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np

from kerasgen.emit.instrument import instrument, parse_predict

LEAST, MOST = 3, 20  # runs
ENOUGH = 1.0  # seconds, after which no more runs are made than the least
AROUND = """
_before()
{}
_after({})
"""


@dataclass(frozen=True)
class Profile:
    """For each line that computes values: the median of its seconds in so many runs, and the peak of the arrays' bytes.

    The bytes are those of all arrays beside the weights that exist while the line runs.
    """

    seconds: tuple[float, ...]
    peaks: tuple[int, ...]
    runs: int


def profile(module: ModuleType, source: str, arrays: Sequence[np.ndarray]) -> Profile:
    """Run `predict` of a module that has not run yet on one sample. Raises what it raises."""
    peaks = _peaks(module, source, arrays)
    seconds = _seconds(module, source, arrays)
    lines = tuple(median(times) for times in zip(*seconds, strict=True))
    return Profile(lines, tuple(peaks), len(seconds))


def _peaks(module: ModuleType, source: str, arrays: Sequence[np.ndarray]) -> list[int]:
    """The peak while each line runs; in the second call, all buffers have their full size."""
    peaks: dict[int, int] = {}

    def after(number: int) -> None:
        peaks[number] = tracemalloc.get_traced_memory()[1]

    predict = _surrounded(module, source, tracemalloc.reset_peak, after)
    traced = tracemalloc.is_tracing()  # by somebody else
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    try:
        for _ in range(2):
            _call(module, predict, arrays)
    finally:
        if not traced:
            tracemalloc.stop()
    return [peaks[number] - before for number in sorted(peaks)]


def _seconds(module: ModuleType, source: str, arrays: Sequence[np.ndarray]) -> list[list[float]]:
    """The seconds of each line in each run."""
    runs: list[list[float]] = []
    start = 0.0

    def before() -> None:
        nonlocal start
        start = time.perf_counter()

    def after(number: int) -> None:
        runs[-1].append(time.perf_counter() - start)

    predict = _surrounded(module, source, before, after)
    while len(runs) < LEAST or (len(runs) < MOST and sum(map(sum, runs)) < ENOUGH):
        runs.append([])
        _call(module, predict, arrays)
    return runs


def _surrounded(
    module: ModuleType, source: str, before: Callable[[], Any], after: Callable[[int], Any]
) -> Callable[..., Any]:
    """`predict` with a call before and after each of its lines that computes values."""

    def replace(number: int, statement: ast.Assign | ast.Return) -> list[ast.stmt]:
        if isinstance(statement, ast.Assign):
            return ast.parse(AROUND.format(ast.unparse(statement), number)).body
        result = f"_result = {ast.unparse(statement.value or ast.Constant(None))}"
        return [*ast.parse(AROUND.format(result, number)).body, ast.Return(ast.Name("_result", ast.Load()))]

    return instrument(parse_predict(source), {**vars(module), "_before": before, "_after": after}, replace, split=False)


def _call(module: ModuleType, predict: Callable[..., Any], arrays: Sequence[np.ndarray]) -> None:
    getattr(module, "reset_states", dict)()
    predict(*arrays)
