"""Runs a model on every engine: converts it, compares the outputs, then times the engines in turns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from kerasgen.api import generate
from kerasgen.bench import suite
from kerasgen.bench.engines import OTHERS, OWN, PROCESSES, REFERENCE, Engine, at_level
from kerasgen.bench.lines import products
from kerasgen.bench.machine import machine
from kerasgen.bench.report import Comparison, Line, Report, Timing
from kerasgen.bench.rounds import EngineError, Worker, run
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.errors import FileError, ParityError, UsageError
from kerasgen.names import printable
from kerasgen.passes import LEVEL
from kerasgen.planning.options import Options
from kerasgen.readers import read
from kerasgen.verification.compare import OutputReport, compare, precisions
from kerasgen.verification.inputs import draw, recipes
from kerasgen.verification.oracle import available

REFERENCES = ("Keras predict", "tf.function", OWN.name)  # the first that runs is the reference
INSTALL = "pip install 'kerasgen-numpy[bench]'"


@dataclass(frozen=True)
class Bench:
    """How to measure: the engines, threads per engine, rounds, whether to time each line, the folder for converted
    files, and a function that is told of each step, in words."""

    engines: Sequence[Engine]
    threads: int
    rounds: int
    lines: bool
    folder: Path
    on_step: Callable[[str], object]

    def compare(self, name: str, weights: Path | None, batch: int) -> Comparison:
        """The engines on a model, a file or a name of the suite, with batches of one size."""
        model = self._model(name)
        workers: dict[str, Worker] = {}
        problems: dict[str, str] = {}
        with TemporaryDirectory(prefix="kerasgen-bench-") as scratch, ExitStack() as stack:
            task = Task(self, model, weights, batch, Path(scratch))
            for engine in self.engines:
                self.on_step(f"{model.stem}, batch {batch}: {engine.name} starts")
                try:
                    workers[engine.name] = Worker(task.job(engine), engine.threads(self.threads))
                    stack.callback(workers[engine.name].close)
                    if workers[engine.name].call > engine.patience:
                        problems[engine.name] = f"skipped: a call takes {workers[engine.name].call:.1f} s"
                        workers.pop(engine.name).close()
                except EngineError as error:
                    problems[engine.name] = f"fails: {error}"
            errors = task.errors(workers)
            for wrong in [name for name, error in errors.items() if not error.ok]:
                problems[wrong] = f"answers wrongly: error {errors[wrong].relative:.1e} of the largest output"
                workers.pop(wrong).close()
            self.on_step(f"{model.stem}, batch {batch}: {self.rounds} rounds")
            most = {engine.name: engine.rounds for engine in self.engines}
            for number, step in enumerate((Worker.calibrate, *[Worker.round] * self.rounds)):
                for engine_name, worker in list(workers.items()):
                    try:
                        if number <= most[engine_name]:
                            step(worker)
                    except EngineError as error:
                        problems[engine_name] = f"fails: {error}"
                        workers.pop(engine_name).close()
            for worker in workers.values():
                worker.close()
            lines = task.lines() if self.lines and OWN.name in workers else ()
        timings = {
            name: Timing.of(name, w.times, w.first, w.memory, errors[name].relative) for name, w in workers.items()
        }
        timings.update((name, Timing(name, problem=problem)) for name, problem in problems.items())
        return Comparison(model.stem, batch, tuple(timings[engine.name] for engine in self.engines), lines)

    def _model(self, name: str) -> Path:
        """The model's file; a model of the suite is built, unless the folder has it."""
        if name not in suite.NAMES:
            return Path(name)
        path = self.folder / f"{name}.keras"
        if not path.exists():
            if not available():
                raise UsageError(f"{name}: models of the suite need TensorFlow: {INSTALL}")
            self.on_step(f"{name}: building")
            run("kerasgen.bench.suite", {"name": name, "target": str(path)}, OWN.threads(self.threads))
        return path


class Task:
    """One model with one batch size: the jobs of the engines, which share the inputs and the converted files."""

    def __init__(self, bench: Bench, path: Path, weights: Path | None, batch: int, scratch: Path) -> None:
        self.bench, self.path, self.weights, self.scratch = bench, path, weights, scratch
        self.file = read(path, weights)
        if self.file.unlike:
            raise ParityError(f"{self.file.source}: {self.file.unlike}")
        specs = load_module(self._module(OWN)).INPUTS
        if path.stem in suite.NAMES:
            self.arrays = [suite.inputs(self.file.model, specs[0][1], batch)]
        else:
            self.arrays = draw(recipes(build(self.file).graph, self.file.model, batch))
        np.savez(scratch / "inputs.npz", *self.arrays)

    def job(self, engine: Engine) -> dict[str, Any]:
        """The job of a worker. Raises EngineError if the model cannot be converted for the engine."""
        if engine.packages == ():
            path = self._module(engine)
        elif engine.format:
            path = self._converted(engine.format)
        else:
            path = self.path
        files = {"path": path, "weights": self.weights, "inputs": self.scratch / "inputs.npz"}
        files["outputs"] = self.scratch / f"{engine.name}.npz"
        paths = {key: None if value is None else str(value) for key, value in files.items()}
        settings = {"threads": self.bench.threads, "keras_version": self.file.keras_version}
        return {"runner": engine.runner, **paths, **settings}

    def lines(self) -> tuple[Line, ...]:
        """The lines of our module, timed in a separate process."""
        self.bench.on_step(f"{self.path.stem}: line by line")
        sizes = products(build(self.file), len(self.arrays[0]))
        target = self.scratch / "lines.json"
        job = {**self.job(OWN), "rounds": self.bench.rounds, "products": sizes, "outputs": str(target)}
        run("kerasgen.bench.lines", job, OWN.threads(self.bench.threads))
        return tuple(Line(*row) for row in json.loads(target.read_text(encoding="utf-8")))

    def _module(self, engine: Engine) -> Path:
        """The module at an engine's level, with its weights in a file beside it."""
        path = self.scratch / f"module_{engine.level}.py"
        if not path.exists():
            level = LEVEL if engine.level is None else engine.level
            module = generate(read(self.path, self.weights), Options(sidecar=f"{path.stem}.npz", level=level))
            path.with_suffix(".npz").write_bytes(module.npz)
            path.write_text(module.text, encoding="utf-8")
        return path

    def _converted(self, ending: str) -> Path:
        """The model in another format, cached in the bench's folder."""
        digest = hashlib.sha256()
        for path in filter(None, (self.path, self.weights)):
            for file in sorted(path.rglob("*.*")) if path.is_dir() else [path]:
                digest.update(file.read_bytes())
        shapes = [(array.shape, array.dtype.name) for array in self.arrays]
        digest.update(repr(shapes).encode())
        target = self.bench.folder / f"{self.path.stem}-{digest.hexdigest()[:16]}.{ending}"
        if not target.exists():
            model = {"path": str(self.path), "weights": self.weights and str(self.weights)}
            job = {**model, "keras_version": self.file.keras_version, "inputs": shapes, "target": str(target)}
            run("kerasgen.bench.convert", job, OWN.threads(self.bench.threads))
        return target

    def errors(self, workers: Mapping[str, Worker]) -> dict[str, OutputReport]:
        """The worst output of each engine, compared with the first of REFERENCES that runs."""
        answers = {name: worker.outputs() for name, worker in workers.items()}
        expected = next((answers[name] for name in REFERENCES if name in answers), [])
        inside = set(precisions(self.file.model))
        worst = {}
        for name, outputs in answers.items():
            pairs = zip_longest(outputs, expected, fillvalue=np.empty((0,)))
            reports = [compare(name, got, right, inside=inside) for got, right in pairs]
            worst[name] = max(reports, key=lambda report: report.relative)
        return worst


def bench(
    models: Sequence[str],
    batches: Sequence[int],
    *,
    weights: Path | None = None,
    threads: int = 2,
    rounds: int = 15,
    lines: bool = False,
    levels: Sequence[int] = (),
    processes: bool = False,
    reference: bool = False,
    cache: Path | None = None,
    say: Callable[[str], object] = lambda text: None,
    on_step: Callable[[str], object] = lambda step: None,
) -> Report:
    """Compare the engines on every model, a file or a name of the suite, with every batch size.

    `levels` adds modules of ours at other levels of optimisation, `processes` one in several processes. `reference`
    adds ONNX's reference implementation, in NumPy alone. `lines` also times each line of our module. `cache` is a
    folder for converted models and those of the suite. `say` is told of engines that are left out, `on_step` of each
    step when it begins, both in words.

    Raises what `kerasgen.readers.read` and `kerasgen.api.generate` raise, FileError if the folder cannot be created,
    ParityError if no current Keras answers as the file's Keras did, UsageError or EngineError if a model of the suite
    cannot be built.
    """
    others = [*OTHERS, *([REFERENCE] if reference else [])]
    for engine in others:
        if engine.missing:
            say(f"{engine.name} is skipped: {', '.join(engine.missing)} not installed ({INSTALL})")
    own = [OWN, *([PROCESSES] if processes else []), *map(at_level, levels)]
    engines = [*own, *(engine for engine in others if not engine.missing)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="kerasgen-bench-"))) if cache is None else cache
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(f"{printable(str(folder))}: cannot be created: {error.strerror or error}") from error
        measure = Bench(engines, threads, rounds, lines, folder.resolve(), on_step)
        done = [measure.compare(model, weights, batch) for model in models for batch in batches]
    groups = suite.GROUPS if set(suite.NAMES) <= set(models) else {}
    return Report(threads, rounds, machine(), tuple(done), groups)
