"""Other Pythons with other NumPys, which run the modules that the tests make. pytest has this as a plugin.

`--pairs oldest`, the default, takes the oldest pair that is promised, `all` the whole ladder and a NumPy without a fast
BLAS, `none` none. The Pythons are pyenv's or those on the path; NumPy comes from the package index, once, into pytest's
cache, the one without a fast BLAS from Debian.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
    ("3.13t", "2.4.*"),
)
CHOICES = {"none": (), "oldest": LADDER[:1], "all": LADDER}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pairs", choices=list(CHOICES), default="oldest", help="Pythons and NumPys that run modules.")


class Pair:
    """A Python with a NumPy of its own, running."""

    def __init__(self, python: str, **environment: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        worker = str(Path(__file__).with_name("pair_worker.py"))
        self.command = [python, "-W", "error", "-B"]
        self.environment = {**clean, **environment}
        self.process = subprocess.Popen(
            [*self.command, worker],
            env=self.environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.python, self.numpy, self.blas = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the worker ended: {self.process.wait()}"
        return json.loads(line)

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """Run this Python anew with these arguments."""
        command = [*self.command, *map(str, arguments)]
        return subprocess.run(command, env=self.environment, text=True, capture_output=True, check=False, timeout=600)

    def predict(self, module: Path, inputs: Sequence[np.ndarray], *, empty: bool = True) -> list[np.ndarray]:
        """The outputs of a module file's `predict` in the other process; `empty`: an empty batch must work, too."""
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


def kept(place: Path, fill: Callable[[Path], None]) -> Path:
    """A folder, filled the first time. Several processes may ask for it at once."""
    if not place.exists():
        made = Path(tempfile.mkdtemp(dir=place.parent))
        fill(made)
        try:
            made.rename(place)
        except OSError:  # another process was first
            shutil.rmtree(made)
    return place


def run(*command: object, cwd: Path) -> None:
    done = subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def from_index(python: str, numpy: str, cache: Path) -> dict[str, str]:
    """What lets this Python find this NumPy."""

    def install(folder: Path) -> None:
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        run(*pip, "--target", folder, f"numpy=={numpy}", cwd=folder)

    name = f"{python.replace(os.sep, '_')}-{numpy}".replace("*", "x")
    return {"PYTHONPATH": str(kept(cache / name, install))}


def from_debian(cache: Path) -> tuple[str, dict[str, str]]:
    """Debian's NumPy with the BLAS that is nobody's fast one: the version of its Python, and what lets that find it."""

    def unpack(folder: Path) -> None:
        run("apt-get", "download", "python3-numpy", "libblas3", "liblapack3", "libgfortran5", cwd=folder)
        for package in folder.glob("*.deb"):
            run("dpkg", "-x", package, folder, cwd=folder)

    folder = kept(cache / "debian", unpack)
    libraries = {str(path.parent) for path in folder.glob("usr/lib/*/**/lib*.so.*")}
    core = next(folder.rglob("_multiarray_umath.cpython-*.so"))
    version = re.sub(r".*\.cpython-3(\d+)-.*", r"3.\1", core.name)
    packages = folder / "usr" / "lib" / "python3" / "dist-packages"
    return version, {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": os.pathsep.join(sorted(libraries))}


@pytest.fixture(scope="session")
def pairs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Pair]]:
    """The Python and NumPy at hand, and those of the chosen pairs that the machine has."""
    kept_by_pytest = getattr(request.config, "cache", None)
    cache = tmp_path_factory.getbasetemp() if kept_by_pytest is None else kept_by_pytest.mkdir("pairs")
    chosen = request.config.getoption("--pairs")
    running = [Pair(sys.executable)]
    for version, numpy in CHOICES[chosen]:
        python = find_python(version)
        if python is not None:
            running.append(Pair(python, **from_index(python, numpy, cache)))
    if chosen == "all" and shutil.which("apt-get"):
        version, environment = from_debian(cache)
        python = find_python(version)
        if python is not None:
            running.append(Pair(python, **environment))
    yield running
    for pair in running:
        pair.close()
