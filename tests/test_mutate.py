"""The proofs see what they should: `python tests/mutate.py`, in short, with thresholds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import Run
from mutants import Mutant
from mutate import SHORT, Trial, Trials, subject, survivors, table
from support import run_python

VERIFY, SELFTEST = 0.995, 0.99  # of the mutants that count, how many must be caught
MOST = 40  # mutants of each model


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trials]:
    return {name: Trials(subject(name), tmp_path_factory.mktemp("subject")) for name in SHORT}


def test_nearly_every_mutant_is_caught(trials: dict[str, Trials]) -> None:
    results = [trial for each in trials.values() for trial in each.run(MOST)]
    report = "\n".join([*survivors(results), table(results)])
    assert len(results) > 200, report
    assert len({trial.kind for trial in results}) >= 12, report
    assert sum(trial.verify for trial in results) >= VERIFY * len(results), report
    assert sum(trial.selftest for trial in results) >= SELFTEST * len(results), report


def test_what_once_fooled_both(trials: dict[str, Trials]) -> None:
    """Pixels of 0 to 255 are divided by 255: noise around 0 shows nothing of the first layer."""
    net = trials["classifier"]
    kernel = net.original.arrays["first/kernel"]
    sign, row = np.ones(kernel.shape, "float32"), np.ones(kernel.shape, "float32")
    sign[..., 3], row[1] = -1, -1
    for what, factor in {"times 1.05": 1.05, "times 1.2": 1.2, "a filter's sign": sign, "a row's sign": row}.items():
        trial = net.trial(Mutant("weights", what, "first/kernel", (kernel * factor).astype("float32")))
        assert trial is not None, what
        assert (trial.verify, trial.selftest) == (True, True), what


@pytest.mark.parametrize("name", ["table", "residual"])
def test_the_verdict_on_real_files(trials: dict[str, Trials], name: str, run: Run) -> None:
    """It is that of `kerasgen verify` and of `python module.py --selftest`, for all kinds of mutants and for none."""
    net = trials[name]
    module = Path("net.py")
    for trial, mutant in [(None, None), *one_of_each_kind(net)]:
        module.write_bytes(net.path.read_bytes() if mutant is None else net.original.file(mutant))
        caught = (False, False) if trial is None else (trial.verify, trial.selftest)
        run("verify", net.source, module, code=int(caught[0]))
        done = run_python(module.absolute(), "--selftest")
        assert (done.returncode, done.stderr) == (int(caught[1]), ""), (mutant, done.stdout)


def one_of_each_kind(net: Trials) -> Iterator[tuple[Trial, Mutant]]:
    kinds: Counter[str] = Counter()
    for mutant in net.mutants():
        kinds[mutant.kind] += 1
        trial = net.trial(mutant) if kinds[mutant.kind] == 1 else None
        if trial is not None:
            yield trial, mutant


def test_mutants_leave_no_trace(trials: dict[str, Trials]) -> None:
    """The module of which they were made is as before."""
    for net in trials.values():
        assert not net.caught_by_verify()
        assert not net.caught_by_selftest()
        assert max(map(distance_of, zip(net.answers(net.original.tree), net.right, strict=True))) == 0


def distance_of(pair: tuple[Any, Any]) -> float:
    return float(np.abs(pair[0].astype("float64") - pair[1]).max(initial=0))
