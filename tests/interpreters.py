"""Interpreters without NumPy, which run the modules that the tests make. pytest has this as a plugin.

Those of CPython are pyenv's or on the path, PyPy is Debian's, MicroPython comes with a package of the `dev` extra.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import find_python

HEAP = "-X", "heapsize=64m"


def find_interpreters() -> dict[str, list[str]]:
    """The command of each interpreter that the machine has."""
    found: dict[str, list[str]] = {}
    for version in ("3.6", "3.13"):
        python = find_python(version)
        if python is not None:
            found[f"cpython {version}"] = [python, "-W", "error", "-B", "-S"]  # -S: no packages, so no NumPy
    pypy = shutil.which("pypy3")
    if pypy is not None:
        found["pypy"] = [pypy, "-B", "-S"]
    micropython = shutil.which("micropython", path=str(Path(sys.executable).parent)) or shutil.which("micropython")
    if micropython is not None:
        found["micropython"] = [micropython]
    return found


INTERPRETERS = find_interpreters()
NAMES = ("cpython 3.6", "cpython 3.13", "pypy", "micropython")


def command(name: str) -> list[str]:
    """The command of an interpreter; skips the test where the machine has none."""
    if name not in INTERPRETERS:
        pytest.skip(f"the machine has no {name}")
    return INTERPRETERS[name]


class Interpreter:
    """One of them, running."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        worker = str(Path(__file__).with_name("pure_worker.py"))
        heap = HEAP if name == "micropython" else ()
        self.process = subprocess.Popen(
            [*command, *heap, worker], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.version = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the worker ended: {self.process.wait()}"
        return line.strip()

    def predict(self, module: Path, inputs: Sequence[np.ndarray]) -> list[Any]:
        """The outputs of a module file's `predict` in that interpreter, as nested lists."""
        assert self.process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "in.json"), Path(folder, "out.txt")
            given.write_text(json.dumps([array.tolist() for array in inputs]))
            self.process.stdin.write(json.dumps([str(module), str(given), str(made)]) + "\n")
            self.process.stdin.flush()
            problem = json.loads(self._line())
            assert problem == "", f"{self.version}: {problem}"
            result: list[Any] = eval(made.read_text(), {"nan": math.nan, "inf": math.inf})
            return result

    def close(self) -> None:
        self.process.communicate(timeout=60)


@pytest.fixture(scope="session")
def interpreters() -> Iterator[Mapping[str, Interpreter]]:
    """Every interpreter that the machine has, running."""
    running = {name: Interpreter(name, command) for name, command in INTERPRETERS.items()}
    yield running
    for interpreter in running.values():
        interpreter.close()
