"""The hook for pre-commit, in a repository of someone who has a model and its module."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pre_commit.clientlib import load_manifest
from support import ROOT, copy_project

MANIFEST = ROOT / ".pre-commit-hooks.yaml"
CONFIG = """
repos:
  - repo: {repo}
    rev: {rev}
    hooks:
      - id: kerasgen
        args: [models/digits.h5, -o, digits.py]
        files: ^(models/digits\\.h5|digits\\.py)$
"""
# Neither the user's own settings nor those of a hook that runs these tests.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PRE_COMMIT"))}
CLEAN |= {"GIT_CONFIG_GLOBAL": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
CLEAN.pop("PYTHONPATH", None)


def test_manifest() -> None:
    """pre-commit's own opinion of it."""
    (hook,) = load_manifest(MANIFEST)
    command, *arguments = hook["entry"].split()
    assert (hook["id"], command, arguments) == ("kerasgen", "kerasgen", ["export", "--check"])
    assert not hook["pass_filenames"]  # export takes one model


def run(folder: Path, *command: Any, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**CLEAN, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    return done.returncode, done.stdout


def commit(folder: Path) -> str:
    """Make a folder a repository with one commit, which is returned."""
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for arguments in (["init", "--quiet"], ["add", "--all"], [*who, "commit", "--quiet", "--message=x"]):
        code, said = run(folder, "git", *arguments)
        assert code == 0, said
    return run(folder, "git", "rev-parse", "HEAD")[1].strip()


@pytest.mark.slow
def test_a_hook_of_someone_else(tmp_path: Path) -> None:
    """pre-commit fetches this project from a repository and installs it, as it does for others."""
    tool, user = tmp_path / "tool", tmp_path / "user"
    tool.mkdir()
    copy_project(tool, MANIFEST.name)
    (user / "models").mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "digits" / "digits.h5", user / "models")
    export = [sys.executable, "-m", "kerasgen", "export", "models/digits.h5", "-o", "digits.py", "--no-verify"]
    code, said = run(user, *export, PYTHONPATH=str(ROOT))
    assert code == 0, said
    (user / ".pre-commit-config.yaml").write_text(CONFIG.format(repo=tool, rev=commit(tool)))
    commit(user)

    def hook(*arguments: str) -> tuple[int, str]:
        return run(user, sys.executable, "-m", "pre_commit", "run", *arguments, PRE_COMMIT_HOME=str(tmp_path / "cache"))

    code, said = hook("--all-files")
    assert code == 0, said
    assert "Passed" in said
    module = user / "digits.py"
    module.write_bytes(module.read_bytes().replace(b"x = flatten(x)", b"x = flatten(-x)"))
    code, said = hook("--all-files")
    assert code == 1
    assert "- exit code: 1\n" in said
    assert "kerasgen: digits.py: " in said
    (user / "pyproject.toml").write_text("[tool.kerasgen]\nmodels = ['models/digits.h5']\n")
    settings = user / ".pre-commit-config.yaml"
    settings.write_text(re.sub(r" +(args|files):.*\n", "", settings.read_text()))
    run(user, "git", "add", "--all", ":!digits.py")
    code, listed = hook("--all-files")
    assert (code, listed) == (1, said)  # without arguments, all that is listed
    run(user, "git", "reset", "--quiet", "--hard")
    (user / "notes.py").touch()
    run(user, "git", "checkout", "--quiet", "digits.py")
    run(user, "git", "add", "notes.py")
    code, said = hook()
    assert code == 0, said
    assert "(no files to check)" in said
