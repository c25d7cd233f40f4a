"""The GitHub action: its steps, run as the runner runs them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support import ROOT, copy_project

ACTION = Path(".github", "actions", "kerasgen")
# In the place of `python`: the environment is this one, and pip only tells what it was asked for.
PYTHON = """#!/usr/bin/env bash
if [ "$2" = venv ]; then
  mkdir -p "$3/bin"
  printf '#!/bin/sh\\nexec %s -m kerasgen "$@"\\n' {python} > "$3/bin/kerasgen"
  chmod +x "$3/bin/kerasgen"
else
  printf '%s\\n' "$@" > "$RUNNER_TEMP/pip"
fi
"""


class Runner:
    """A machine of GitHub's, in the folder of someone's repository."""

    def __init__(self, folder: Path) -> None:
        self.work, self.temp = folder / "work", folder / "temp"
        self.commands = folder / "commands"
        for made in (self.work, self.temp, self.commands):
            made.mkdir()

    def __call__(self, project: Path, **inputs: str) -> tuple[int, str]:
        """Run all steps of the action in this copy of the project; the exit code, and all that was printed."""
        action = yaml.safe_load((project / ACTION / "action.yml").read_text())
        given = {name: inputs.get(name, setting["default"]) for name, setting in action["inputs"].items()}
        path, printed = [str(self.commands)], ""
        for step in action["runs"]["steps"]:
            script, paths = self.temp / "step.sh", self.temp / "paths"
            script.write_text(step["run"])
            paths.touch()
            environment = {
                "PATH": os.pathsep.join([*path, os.environ["PATH"]]),
                "HOME": str(self.temp),
                "RUNNER_TEMP": str(self.temp),
                "GITHUB_PATH": str(paths),
                "GITHUB_ACTION_PATH": str(project / ACTION),
                "PIP_NO_COMPILE": os.environ["PIP_NO_COMPILE"],
                **{name: evaluated(text, given) for name, text in step.get("env", {}).items()},
            }
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
                cwd=self.work,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=600,
            )
            printed += done.stdout
            if done.returncode:
                return done.returncode, printed
            path = [*paths.read_text().split("\n"), *path]
        return 0, printed


def evaluated(text: str, inputs: dict[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: inputs[found[1]], text)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    """A repository with a model and its module."""
    runner = Runner(tmp_path)
    (runner.work / "models").mkdir()
    shutil.copy(ROOT / "examples" / "digits" / "digits.h5", runner.work / "models")
    command = [sys.executable, "-m", "kerasgen", "export", "models/digits.h5", "-o", "digits.py", "--no-verify"]
    subprocess.run(command, cwd=runner.work, check=True, capture_output=True)
    return runner


@pytest.fixture
def uninstalled(runner: Runner) -> Callable[..., tuple[int, str]]:
    """The runner, whose steps use this environment in place of a new one."""
    python = f"env PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)}"
    (runner.commands / "python").write_text(PYTHON.format(python=shlex.quote(python)))
    (runner.commands / "python").chmod(0o755)
    return lambda **inputs: runner(ROOT, **inputs)


def test_it_is_an_action() -> None:
    """A composite one; no input gets into a script as text, where it would be run."""
    action = yaml.safe_load((ROOT / ACTION / "action.yml").read_text())
    assert {"name", "description", "inputs", "runs"} == action.keys()
    assert action["runs"]["using"] == "composite"
    assert all({"description", "default"} == setting.keys() for setting in action["inputs"].values())
    used: Any = set()
    for step in action["runs"]["steps"]:
        assert {"name", "shell", "env", "run"} == step.keys()
        assert "${{" not in step["run"]
        used |= {name for text in step["env"].values() for name in re.findall(r"inputs\.(\w+)", text)}
    assert used == action["inputs"].keys()


def test_current(uninstalled: Callable[..., tuple[int, str]], runner: Runner) -> None:
    """Without `verify`, TensorFlow is not installed; lines may be empty."""
    code, printed = uninstalled(check="\nmodels/digits.h5 -o digits.py\n\n  models/digits.h5  --output=digits.py \n")
    assert (code, printed) == (0, "digits.py: is current\n" * 2)
    project = (runner.temp / "pip").read_text().splitlines()[-1]
    assert Path(project).resolve() == ROOT
    assert sorted(path.name for path in runner.work.iterdir()) == ["digits.py", "models"]


def test_not_current(uninstalled: Callable[..., tuple[int, str]], runner: Runner) -> None:
    """All lines are gone through, though one fails; what differs is shown."""
    module = runner.work / "digits.py"
    module.write_bytes(module.read_bytes().replace(b"x = flatten(x)", b"x = flatten(-x)"))
    code, printed = uninstalled(check="models/digits.h5 -o digits.py\nmodels/digits.h5 -o other.py")
    assert code == 1
    assert re.search(r"^-    x = flatten\(-x\)  # .*\n\+    x = flatten\(x\)  # ", printed, re.M)
    assert "kerasgen: other.py: " in printed


def test_without_inputs(uninstalled: Callable[..., tuple[int, str]], runner: Runner) -> None:
    """All that pyproject.toml lists is checked; a repository that lists nothing has forgotten the inputs."""
    code, printed = uninstalled()
    assert code == 2
    assert "no pyproject.toml here or above has a section [tool.kerasgen]" in printed
    (runner.work / "pyproject.toml").write_text("[tool.kerasgen]\nmodels = ['models/digits.h5']\n")
    assert uninstalled() == (0, "digits.py: is current\n")


def test_verify(uninstalled: Callable[..., tuple[int, str]], runner: Runner) -> None:
    code, printed = uninstalled(verify="models/digits.h5 digits.py")
    assert code == 0
    assert printed.startswith("ok digit: error ")
    assert (runner.temp / "pip").read_text().splitlines()[-1].endswith("[verify]")
    module = runner.work / "digits.py"
    module.write_bytes(module.read_bytes().replace(b"x = flatten(x)", b"x = flatten(-x)"))
    code, printed = uninstalled(verify="models/digits.h5 digits.py", check="models/digits.h5 -o digits.py")
    assert code == 1
    assert "first wrong layer: " in printed


def test_inputs_are_never_run(uninstalled: Callable[..., tuple[int, str]], runner: Runner) -> None:
    code, _ = uninstalled(check="$(touch ran) ; touch ran\n`touch ran`\n*")
    assert code != 0
    assert not (runner.work / "ran").exists()


@pytest.mark.slow
def test_installs_itself(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    project = copy_project(tmp_path / "project", ".github")
    (runner.commands / "python").symlink_to(sys.executable)
    assert runner(project, check="models/digits.h5 -o digits.py") == (0, "digits.py: is current\n")
