"""Times each line of a module's `predict`, and its matrix product alone.

Run as a program, it imports the module as users do, with a timer around every line.
"""

from __future__ import annotations

import ast
import importlib
import json
import math
import re
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from statistics import median
from types import ModuleType

import numpy as np

from kerasgen.builder import Built
from kerasgen.emit.instrument import instrument, parse_predict, value_lines
from kerasgen.graph.facts import facts

CELLS = 1 << 24  # at most so many elements in a factor: the time of a longer product is proportional
TRIES = 5
WEIGHT = re.compile(r"W\['([^']+)'\]")
TIMER = """
_start = _clock()
{}
_seconds[{}] += _clock() - _start
"""


def clocked(module: ModuleType, source: str) -> tuple[list[str], list[float]]:
    """Put a timer around each line of the module's `predict`; returns the lines and the list of their total seconds.

    The line that splits a large batch is not timed: it calls `predict` for each part.
    """
    predict = parse_predict(source)
    texts = [line.text for line in value_lines(predict)]
    seconds = [0.0] * len(texts)

    def timed(number: int, statement: ast.Assign | ast.Return) -> list[ast.stmt]:
        if isinstance(statement, ast.Assign):
            return ast.parse(TIMER.format(ast.unparse(statement), number)).body
        run = f"_result = {ast.unparse(statement.value or ast.Constant(None))}"
        return [*ast.parse(TIMER.format(run, number)).body, ast.Return(ast.Name("_result", ast.Load()))]

    module.__dict__.update(_clock=time.perf_counter, _seconds=seconds)
    module.__dict__["predict"] = instrument(predict, vars(module), timed)
    return texts, seconds


def measure(path: Path, arrays: Sequence[np.ndarray], rounds: int) -> list[tuple[str, float]]:
    """Each line of the module's `predict` with its median time in seconds."""
    sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    lines, seconds = clocked(module, path.read_text(encoding="utf-8"))
    module.predict(*arrays)
    calls = []
    for _ in range(rounds):
        seconds[:] = [0.0] * len(lines)
        module.predict(*arrays)
        calls.append(list(seconds))
    return [(line, median(times)) for line, times in zip(lines, zip(*calls, strict=True), strict=True)]


Size = tuple[int, int, int]


def products(built: Built, batch: int) -> dict[str, Size]:
    """The rows, depth and columns of each layer that is a matrix product, by the name of its weights."""
    sizes = {}
    for node in built.graph.nodes:
        gemm = facts(node.kernel).gemm
        if gemm is not None:
            *rows, depth, columns = gemm(*(built.specs[name].shape for name in (node.output, *node.reads[:2])))
            if None not in rows and depth and columns:
                sizes[node.reads[1]] = (batch * math.prod(n or 1 for n in rows), depth, columns)
    return sizes


def product_seconds(size: Size) -> float:
    """The shortest time of a matrix product of this size, into allocated memory."""
    rows, depth, columns = size
    part = max(1, min(rows, CELLS // max(depth, columns)))
    a, b = np.ones((part, depth), np.float32), np.ones((depth, columns), np.float32)
    out = np.empty((part, columns), np.float32)
    times = []
    for _ in range(TRIES):
        start = time.perf_counter()
        np.matmul(a, b, out=out)
        times.append(time.perf_counter() - start)
    return min(times) * rows / part


def main() -> None:
    """Do the job: the `path` of a module, its `inputs`, `rounds`, the `products`, and the file for the `outputs`."""
    job = json.loads(sys.argv[1])
    with np.load(job["inputs"], allow_pickle=False) as npz:
        arrays = [npz[name] for name in npz.files]
    alone = cache(product_seconds)
    rows = []
    for line, seconds in measure(Path(job["path"]), arrays, job["rounds"]):
        sizes = [tuple(job["products"][name]) for name in WEIGHT.findall(line) if name in job["products"]]
        rows.append((line, seconds, sum(map(alone, sizes)) if sizes else None))
    Path(job["outputs"]).write_text(json.dumps(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
