"""How much the proofs see: mutants of right modules, and who lets them pass.

    python tests/mutate.py [--short] [--json FILE] [--only NAME] [--processes N]

Of every model in tests/subjects.py the module is written and altered, one array of its weights or one line at a time:
see tests/mutants.py. A mutant counts if it still answers, in the right form, and if its answers to natural inputs
differ by more than 0.1 % of the largest, before a last softmax or sigmoid. Those that count are shown to `verify` and
to `--selftest`. What survives is listed. The same mutants are made every time.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a process for each core
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without it, some processors have no convolutions channels first

import numpy as np
from mutants import Mutant, Original, logits_form

from kerasgen.verification.oracle import _silence

with _silence():  # of TensorFlow, which is loaded now
    from subjects import Subject, subjects

import kerasgen
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.readers import read
from kerasgen.verification.compare import compare, flat, precisions
from kerasgen.verification.divergence import Search
from kerasgen.verification.inputs import draw, recipes
from kerasgen.verification.lines import Lines
from kerasgen.verification.steps import explained
from kerasgen.verification.verify import original as keras_original

COUNTS = 1e-3  # of the largest output: what a mutant must change
SHORT = ("classifier", "unet", "table", "text", "residual", "batch_norm before conv2d", "lstm")


@dataclass(frozen=True)
class Trial:
    """A mutant that counts: by how much it changes the answers, and whether each proof catches it."""

    subject: str
    kind: str
    what: str
    change: float
    verify: bool
    selftest: bool


class Trials:
    """The trials of one model's module."""

    def __init__(self, subject: Subject, folder: Path) -> None:
        self.subject = subject
        self.source = subject.write(folder)
        self.path = folder / "net.py"
        kerasgen.export(self.source, self.path, verify=True)
        self.original = Original(self.path.read_bytes())
        self.module = load_module(self.path)
        self.natural = subject.inputs(self.module)
        file = read(self.source)
        built, truth = build(file), keras_original(self.source, None, file)
        self.search = Search(built, self.module, truth)
        self.inside = set(precisions(file.model))
        self.arrays = draw(recipes(self.search.graph, file.model))
        self.expected = truth(self.arrays)
        self.right = self.answers(self.original.tree)
        assert not self.caught_by_verify(), f"{subject.name}: verify refuses the module as it is"
        assert not self.caught_by_selftest(), f"{subject.name}: --selftest refuses the module as it is"

    def mutants(self) -> list[Mutant]:
        """Every mutant of the module, the same ones in the same order every time."""
        return self.original.mutants(Random(self.subject.name))

    def run(self, most: int | None = None) -> list[Trial]:
        """The trials of at most `most` mutants, counting only those that matter."""
        trials = filter(None, map(self.trial, self.mutants()))
        return list(islice(trials, self.subject.most if most is None else most))

    def trial(self, mutant: Mutant) -> Trial | None:
        """Try a mutant, if it counts."""
        with contextlib.ExitStack() as stack, np.errstate(all="ignore"):
            try:
                stack.enter_context(self.original.applied(self.module, mutant))
            except Exception:  # it cannot be loaded
                return None
            change = self.change(mutant)
            if not COUNTS < change < np.inf:
                return None
            caught = self.caught_by_verify(), self.caught_by_selftest()
            return Trial(self.subject.name, mutant.kind, mutant.what, change, *caught)

    def change(self, mutant: Mutant) -> float:
        """The largest difference on natural inputs, of the largest answer; infinite where there is no comparing."""
        tree = self.original.tree if mutant.name else ast.parse(self.original.text_of(mutant))
        try:
            answers = self.answers(tree)
        except Exception:  # it does not run
            return np.inf
        return max(map(distance, answers, self.right), default=0.0)

    def answers(self, tree: ast.Module) -> list[np.ndarray]:
        """What the module, whose code this is, answers to natural inputs, before and after a last activation."""
        exec(compile(ast.Module([logits_form(tree)], []), "<logits>", "exec"), vars(self.module))
        results = []
        for function in (self.module.logits, self.module.predict):
            getattr(self.module, "reset_states", dict)()
            results += [np.array(y) for y in flat(function(*self.natural))]
        return results

    def caught_by_verify(self) -> bool:
        """Whether `kerasgen verify` refuses the module: what `compared` asks, but for Keras's layers and reasons."""
        getattr(self.module, "reset_states", dict)()
        try:
            answers = flat(self.module.predict(*self.arrays))
            self.search.lines = Lines(self.module, self.search.final)
            if not self.search.is_right(self.arrays, answers):
                return True
        except Exception:
            return True
        names = self.search.graph.outputs
        reports = [compare(*each, inside=self.inside) for each in zip(names, answers, self.expected, strict=True)]
        if not all(report.ok for report in reports):
            reports = explained(self.search.graph, self.arrays, answers, self.expected, reports, self.inside)
        return not all(report.ok for report in reports)

    def caught_by_selftest(self) -> bool:
        """Whether its own `--selftest` refuses the module."""
        module = self.module
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                reset = getattr(module, "reset_states", None)
                return not module.selftest(module.predict, module.INPUTS, module.OUTPUTS, module.SELFTEST, reset)
        except Exception:
            return True


def distance(got: np.ndarray, right: np.ndarray) -> float:
    """The largest difference, of the largest number; infinite where shapes differ or numbers are not finite."""
    if got.shape != right.shape or got.dtype != right.dtype or not np.isfinite(got).all():
        return np.inf
    error = np.abs(got.astype(np.result_type(got, "float64")) - right)
    return float(error.max(initial=0.0) / (np.abs(right).max(initial=0.0) or 1.0))


def subject(name: str) -> Subject:
    """The subject with this name."""
    (found,) = (each for each in subjects() if each.name == name)
    return found


def trials(name: str) -> tuple[list[Trial], float]:
    """The trials of the subject with this name, and the seconds that they took."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        return Trials(subject(name), Path(folder)).run(), time.monotonic() - start


def trials_apart(name: str) -> tuple[list[Trial], float] | None:
    """`trials` in a process of its own; None if a mutant ends it, as one that reads beyond its memory does."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            return pool.submit(trials, name).result()
        except BrokenProcessPool:
            return None


def run(names: Sequence[str], processes: int) -> dict[str, list[Trial]]:
    """The trials of all these subjects."""
    done = {}
    with ThreadPoolExecutor(processes) as pool:
        futures = {pool.submit(trials_apart, name): name for name in reversed(names)}  # the large ones first
        for future in as_completed(futures):
            name, result = futures[future], future.result()
            done[name], seconds = result or ([], 0.0)
            said = f"{len(done[name])} mutants, {seconds:.0f} s" if result else "a mutant ended the process"
            print(f"{name}: {said}", file=sys.stderr, flush=True)
    return {name: done[name] for name in names}


def table(results: Sequence[Trial]) -> str:
    """A line for each kind of mutant, how many there were and how many survived."""
    lines = [f"{'kind':32}{'mutants':>10}{'survived verify':>18}{'survived --selftest':>22}"]
    for kind in (*sorted({trial.kind for trial in results}), ""):
        some = [trial for trial in results if kind in (trial.kind, "")]
        seen = sum(not t.verify for t in some), sum(not t.selftest for t in some)
        lines.append(f"{kind or 'all':32}{len(some):10}{seen[0]:18}{seen[1]:22}")
    return "\n".join(lines)


def survivors(results: Sequence[Trial]) -> Iterator[str]:
    """A line for each mutant that a proof let pass."""
    for trial in results:
        missed = [name for name, caught in (("verify", trial.verify), ("--selftest", trial.selftest)) if not caught]
        if missed:
            yield f"survived {' and '.join(missed)}: {trial.subject}: {trial.kind}: {trial.what} ({trial.change:.2%})"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a few small models")
    parser.add_argument("--only", action="append", help="this model; may be given several times")
    parser.add_argument("--json", type=Path, help="where to write every trial")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    names = options.only or (SHORT if options.short else [subject.name for subject in subjects()])
    start = time.monotonic()
    results = [trial for done in run(names, options.processes).values() for trial in done]
    print(*survivors(results), table(results), sep="\n")
    print(f"{len(names)} models, {time.monotonic() - start:.0f} s")
    if options.json:
        options.json.write_text(json.dumps([asdict(trial) for trial in results], indent=1))


if __name__ == "__main__":
    main()
