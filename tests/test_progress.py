"""Long work tells its steps: to whoever asks, and on a terminal."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from command import Run, on_terminal, script, shell

import kerasgen
from kerasgen.display import STEPS

EXPORT = ["read", "build", "optimise", "ask", "emit", "verify"]


def test_the_steps_of_an_export_and_of_verify(files: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    kerasgen.export(files / "small.keras", tmp_path / "small.py", verify=True, on_step=steps.append)
    assert steps == EXPORT
    steps.clear()
    kerasgen.verify(files / "small.keras", tmp_path / "small.py", on_step=steps.append)
    assert steps == ["read", "build", "ask", "verify"]


@pytest.mark.usefixtures("no_tensorflow")
@pytest.mark.parametrize("verify", [False, None])
def test_where_keras_is_not_asked(
    verify: bool | None, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kerasgen.verification.selftest.available", lambda: False)
    steps: list[str] = []
    kerasgen.export(files / "small.keras", tmp_path / "small.py", verify=verify, on_step=steps.append)
    assert steps == ["read", "build", "optimise", "emit"]


def test_a_step_that_fails_is_the_last_one(files: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    with pytest.raises(kerasgen.UnsupportedModelError):
        kerasgen.export(files / "lambda.keras", tmp_path / "twice.py", on_step=steps.append)
    assert steps == ["read", "build"]


def test_export_on_a_terminal(files: Path, tmp_path: Path) -> None:
    """Keras is asked while file descriptor 2 is on /dev/null; the steps are seen nevertheless."""
    command = script("", "export", files / "small.keras", "--verify")
    written = on_terminal(command, tmp_path, stream="stderr").decode()
    shown = dict.fromkeys(re.findall(f"small.py: ({'|'.join(STEPS.values())}) ", written))
    assert list(shown) == [STEPS[step] for step in EXPORT]
    _, _, last = written.rpartition("\x1b[2K")  # the line of the steps is gone in the end
    assert last.startswith("verified against Keras: largest error ")
    assert not any(STEPS[step] in last for step in EXPORT)


def test_verify_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    monkeypatch.setattr("kerasgen.cli.verify.progress", lambda title: nullcontext(steps.append))
    run("export", run.files / "small.keras", "--no-verify")
    run("verify", run.files / "small.keras", "small.py")
    assert steps == ["read", "build", "ask", "verify"]


def test_bench_on_a_terminal(files: Path, tmp_path: Path) -> None:
    alone = "import kerasgen.bench.compare as compare\ncompare.OTHERS = ()"
    command = script(alone, "bench", files / "small.keras", "--rounds", 1)
    written = on_terminal(command, tmp_path, stream="stderr").decode()
    steps = ["small, batch 1: kerasgen starts", "small, batch 1: 1 rounds"]
    assert list(dict.fromkeys(re.findall(r"small, batch 1: (?:kerasgen starts|1 rounds)", written))) == steps
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=300)
    assert done.stderr == b""


def test_nothing_elsewhere(files: Path, tmp_path: Path) -> None:
    arguments = ["export", files / "small.keras", "--no-verify", "--force"]
    assert on_terminal(script("", *arguments, "--quiet"), tmp_path, stream="stderr") == b""
    done = shell(*arguments, cwd=tmp_path, env={**os.environ, "FORCE_COLOR": "1"})
    assert (done.stdout, done.stderr) == ("small.py\n", "not verified: skipped on request\n")
