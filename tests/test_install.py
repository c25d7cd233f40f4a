"""The wheel, installed as a user does it: beside NumPy, without TensorFlow."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from support import ROOT, copy_project, relative_error

import kerasgen

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file"),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: the build leaves nothing in the checkout, and finds nothing there that is not packaged."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    pip("wheel", "--no-deps", "--wheel-dir", folder / "dist", copy_project(source))
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    pip("--python", commands / "python", "install", wheel)
    return commands


def pip(*arguments: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr


def run(command: Path, *arguments: object, cwd: Path) -> tuple[str, str]:
    """Stdout and stderr of an installed command; neither the checkout nor this environment is on its path."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(command), *map(str, arguments)], cwd=cwd, env=clean, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_wheel_holds_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (entries,) = (archive.read(name).decode() for name in names if name.endswith("/entry_points.txt"))
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith("/METADATA"))
    assert wheel.name.startswith(f"kerasgen_numpy-{kerasgen.__version__}-")
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "kerasgen").rglob("*.py")}
    templates = {f"kerasgen/{path.relative_to(ROOT)}" for path in (ROOT / "templates").rglob("*") if path.is_file()}
    assert modules | templates == {name for name in names if ".dist-info/" not in name}
    assert "Name: kerasgen-numpy" in metadata
    assert "[pytest11]\nkerasgen = kerasgen.pytest_plugin\n" in entries
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    assert not any("tensorflow" in line or "keras" in line for line in needed)


def test_installed(environment: Path, tmp_path: Path) -> None:
    """The command and the library export a model; there is no TensorFlow to ask."""
    layers = [keras.Input((5, 5, 1), name="image"), keras.layers.Conv2D(2, 3), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(3, name="scores")])
    model.save(tmp_path / "small.h5")
    assert run(environment / "kerasgen", "--version", cwd=tmp_path) == (f"kerasgen {kerasgen.__version__}\n", "")
    out, err = run(environment / "kerasgen", "export", "small.h5", cwd=tmp_path)
    assert out == "small.py\n"
    assert err == "not verified: TensorFlow is not installed\n"
    assert "scores" in run(environment / "kerasgen", "inspect", "small.h5", cwd=tmp_path)[0]
    code = (
        "import kerasgen, pathlib\n"
        "print(kerasgen.export('small.h5', 'again.py').unverified)\n"
        "print(pathlib.Path(kerasgen.__file__).parent)\n"
        "import importlib.util as u\n"
        "print([name for name in ('tensorflow', 'keras', 'tf_keras', 'torch', 'jax') if u.find_spec(name)])\n"
    )
    out, _ = run(environment / "python", "-c", code, cwd=tmp_path)
    unverified, place, found = out.splitlines()
    assert unverified == "TensorFlow is not installed"
    assert Path(place).is_relative_to(environment.parent)
    assert found == "[]"
    assert (tmp_path / "small.py").read_bytes() == (tmp_path / "again.py").read_bytes()
    array = np.random.RandomState(0).standard_normal((4, 5, 5, 1)).astype("float32")
    np.save(tmp_path / "in.npy", array)
    run(environment / "python", "small.py", "in.npy", "-o", "out.npy", cwd=tmp_path)
    assert relative_error(np.load(tmp_path / "out.npy"), model(array)) < 1e-5
