"""Other Pythons with other NumPys, which run the modules that the tests make. pytest has this as a plugin.

`--pairs oldest`, the default, takes the oldest pair that is promised, `all` the whole ladder, `none` none. The Pythons
are pyenv's or those on the path; NumPy comes from the package index, once, into pytest's cache.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

LADDER = (
    ("3.7", "1.17.*"),
    ("3.8", "1.19.*"),
    ("3.9", "1.19.5"),
    ("3.10", "1.21.*"),
    ("3.11", "1.24.*"),
    ("3.12", "1.26.*"),
    ("3.13", "2.*"),
)
CHOICES = {"none": (), "oldest": LADDER[:1], "all": LADDER}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", choices=list(CHOICES), default="oldest", help="Pythons and NumPys that run modules.")


class Pair:
    """A Python with a NumPy of its own, running."""

    def __init__(self, command: Sequence[str], packages: Path | None = None) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        if packages is not None:
            clean["PYTHONPATH"] = str(packages)
        worker = str(Path(__file__).with_name("pair_worker.py"))
        self.command, self.environment = [*command, "-W", "error", "-B"], clean
        self.process = subprocess.Popen(
            [*self.command, worker], env=clean, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.python, self.numpy = self._answer()

    def _answer(self) -> object:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the worker ended: {self.process.wait()}"
        return json.loads(line)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run this Python anew with these arguments."""
        command = [*self.command, *map(str, arguments)]
        return subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False, timeout=600)

    def predict(self, module: Path, inputs: Sequence[np.ndarray], *, empty: bool = True) -> list[np.ndarray]:
        """What `predict` of a module file gives there; `empty` tells that it must take a batch of no samples, too."""
        assert self.process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            given, made = os.path.join(folder, "in.npz"), os.path.join(folder, "out.npz")
            np.savez(given, *inputs)
            self.process.stdin.write(json.dumps([str(module), given, made, empty]) + "\n")
            self.process.stdin.flush()
            problem = self._answer()
            assert problem == "", f"Python {self.python}, NumPy {self.numpy}: {problem}"
            with np.load(made, allow_pickle=False) as arrays:
                return [arrays[name] for name in arrays.files]

    def close(self) -> None:
        self.process.communicate(timeout=60)


def find_python(version: str) -> str | None:
    """Python of this version, pyenv's if there is one."""
    found = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    return str(found[-1]) if found else shutil.which(f"python{version}")


def packages(python: str, numpy: str, folder: Path) -> Path:
    """A folder with this NumPy for this Python. Several processes may ask for it at once."""
    place = folder / f"{python.replace(os.sep, '_')}-{numpy}".replace("*", "x")
    if not place.exists():
        made = tempfile.mkdtemp(dir=folder)
        command = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--target", made]
        done = subprocess.run([*command, f"numpy=={numpy}"], capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        try:
            os.rename(made, place)
        except OSError:  # another process was first
            shutil.rmtree(made)
    return place


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pair]]:
    """The Python and NumPy at hand, and those of the chosen pairs that the machine has."""
    cache = getattr(request.config, "cache", None)
    folder = tmp_path_factory.getbasetemp() if cache is None else cache.mkdir("pairs")
    running = [Pair([sys.executable])]
    for version, numpy in CHOICES[request.config.getoption("--pairs")]:
        python = find_python(version)
        if python is not None:
            running.append(Pair([python], packages(python, numpy, folder)))
    yield running
    for pair in running:
        pair.close()
