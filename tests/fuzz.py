"""Spoil many model files and see that none of them does harm: `python tests/fuzz.py --count 20000`.

Each file is scanned and exported in a process that holds little memory and little patience. What may come of it is an
error that kerasgen knows, on one line, and nothing written; or a module that can be imported and answers. `--oracle`
also asks Keras about every module, where it can load the file. Anything else is a finding, printed with the number that
makes the file again: `python tests/fuzz.py --first NUMBER --count 1 --keep FOLDER`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from mutation import spoil

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.hdf5 import process
from kerasgen.verification import selftest
from kerasgen.verification.compare import flat
from kerasgen.verification.inputs import random_inputs

SECONDS = 60
MEMORY = 3 << 30  # bytes of addresses
GROWTH = 250_000  # kilobytes that one file may take
CELLS = 1_000_000  # of an input, that a module is run with


class Hang(BaseException):
    """It takes too long."""


def seeds(folder: Path) -> list[Path]:
    """Sound files: every kind of layer and operation, in both containers, written if they are not there."""
    if not folder.exists():
        from cases import CASES
        from support import save

        folder.mkdir(parents=True)
        for number, case in enumerate(CASES.values()):
            for ending in case.formats:
                with contextlib.suppress(Exception):
                    path = save(case.model(), folder / f"{number}.{ending}")
                    if path.stat().st_size > 300_000:
                        path.unlink()
    return sorted(folder.iterdir())


@contextlib.contextmanager
def impatient() -> Iterator[None]:
    """Raise Hang inside the block after a while."""

    def hang(*_: Any) -> None:
        raise Hang(f"longer than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def attempt(random: Random, sources: list[Path], folder: Path, *, oracle: bool = False) -> str:
    """Spoil a file inside an empty folder and export it: what came of it, "" and more if it is a finding."""
    arguments = spoil(random, random.choice(sources), folder)
    weights = arguments[2] if len(arguments) > 1 else None
    target = folder / "out" / "net.py"
    target.parent.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    failed = None
    scanned(arguments[0])
    try:
        with impatient():
            kerasgen.export(arguments[0], target, weights=weights, verify=False)
    except kerasgen.KerasgenError as error:
        failed = error
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < GROWTH, f"{grown} kB of memory"
    left = [path.name for path in target.parent.iterdir()]
    if failed is not None:
        assert failed.exit_code in (3, 4, 5), f"{type(failed).__name__}: {failed}"
        assert "\n" not in str(failed), str(failed)
        assert any(path in str(failed) for path in arguments), str(failed)
        assert not left, left
        return f"code {failed.exit_code}"
    assert left == ["net.py"], left
    with impatient():
        outcome = answered(target)
        return compared(arguments[0], target, weights) if oracle and outcome == "answered" else outcome


def scanned(path: str) -> None:
    """Look for dangers: there are some, or none, or the file cannot be read."""
    code = 0
    with impatient():
        try:
            text = json.dumps(kerasgen.scan(path).to_dict())
        except kerasgen.KerasgenError as error:
            text, code = str(error), error.exit_code
    assert code in (0, 3, 5), f"scan: code {code}: {text}"
    assert "\n" not in text


def answered(path: Path) -> str:
    """Whether a module can be imported, and what it says to random numbers."""
    module = load_module(path)
    inputs = module.INPUTS
    if any(np.prod([size or 128 for size in shape[1:]], dtype=object) > CELLS for _, shape, _ in inputs):
        return "too large to be run"
    with np.errstate(all="ignore"):
        try:
            answers = flat(module.predict(*random_inputs(inputs)))
        except (ValueError, IndexError, ArithmeticError, MemoryError, np.linalg.LinAlgError) as error:
            return f"fails: {type(error).__name__}"  # of what the numbers are, not of the module's making
    assert len(answers) == len(module.OUTPUTS)
    for answer, (_, shape, dtype) in zip(answers, module.OUTPUTS, strict=True):
        fits = len(shape) == answer.ndim and all(a in (b, None) for a, b in zip(shape, answer.shape, strict=True))
        assert fits, f"the shape is {answer.shape}, OUTPUTS says {shape}"
        assert answer.dtype.name == dtype, f"the dtype is {answer.dtype}, OUTPUTS says {dtype}"
    return "answered"


def compared(source: str, module: Path, weights: str | None) -> str:
    """What Keras says."""
    try:
        verified = kerasgen.verify(source, module, weights=weights)
    except (kerasgen.ParityError, kerasgen.UsageError):
        return "Keras does not read it"
    wrong = [str(report) for report in verified.outputs if not report.ok]
    assert not wrong, f"differs from Keras: {wrong[0]}"
    return "as Keras answers"


def work(sources: list[Path], first: int, count: int, keep: Path | None, *, oracle: bool) -> None:
    """Try files with these numbers, one after the other; a line of JSON for each."""
    if not oracle:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    process.SECONDS = 3  # of the processor, for small files
    selftest.LARGEST = 1 << 24  # so that a recorded answer stays within GROWTH
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for number in range(first, first + count):
        with tempfile.TemporaryDirectory(dir=shared) as folder:
            place = keep or Path(folder)
            finding = ""
            try:
                with np.errstate(all="ignore"):
                    outcome = attempt(Random(number), sources, place, oracle=oracle)
            except (Exception, Hang) as error:
                where = [frame for frame in traceback.extract_tb(error.__traceback__) if "/kerasgen/" in frame.filename]
                place_ = f"{Path(where[-1].filename).name}:{where[-1].lineno}" if where else ""
                outcome, finding = "FINDING", f"{type(error).__name__} {place_} {' '.join(str(error).split())[:200]}"
            print(json.dumps([number, outcome, finding]), flush=True)


def main() -> int:
    """Share the numbers among processes, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seeds", type=Path, default=Path(tempfile.gettempdir(), "kerasgen-seeds"))
    parser.add_argument("--oracle", action="store_true")
    parser.add_argument("--keep", type=Path, help="an empty folder that the file is left in")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sources = seeds(options.seeds)
    if options.work or options.keep:
        work(sources, options.first, options.count, options.keep, oracle=options.oracle)
        return 0
    outcomes: Counter[str] = Counter()
    findings: dict[str, list[Any]] = {}
    start = time.monotonic()
    for lines in results(options):
        for number, outcome, finding in lines:
            outcomes[outcome] += 1
            if finding:
                print(f"{number}: {finding}", file=sys.stderr)
                findings.setdefault(" ".join(finding.split()[:2]), []).append((number, finding))
        print(f"{sum(outcomes.values())} {dict(outcomes)}", file=sys.stderr)
    for alike in findings.values():
        print(f"{len(alike)} times: {alike[0][1]} (number {', '.join(str(number) for number, _ in alike[:5])})")
    print(f"{sum(outcomes.values())} files in {time.monotonic() - start:.0f} s: {dict(outcomes)}")
    return 1 if findings else 0


def results(options: argparse.Namespace) -> Iterator[list[Any]]:
    """What the processes print, one process after the other: number, outcome and finding of each file."""
    end, batch = options.first + options.count, 250
    pending = list(range(options.first, end, batch))
    running: list[subprocess.Popen[str]] = []
    while pending or running:
        while pending and len(running) < options.workers:
            first = pending.pop(0)
            command = [
                sys.executable,
                __file__,
                "--work",
                "--first",
                str(first),
                "--count",
                str(min(batch, end - first)),
            ]
            command += ["--seeds", str(options.seeds), *(["--oracle"] if options.oracle else [])]
            running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        process = running.pop(0)  # the oldest: it is the next to end, more or less
        done, _ = process.communicate()
        lines = [json.loads(line) for line in done.splitlines()]
        if process.returncode != 0:
            lines.append([lines[-1][0] + 1 if lines else -1, "FINDING", f"the process ends with {process.returncode}"])
        yield lines


if __name__ == "__main__":
    sys.exit(main())
