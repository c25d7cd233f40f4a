"""Modules answer as Keras does on other processors, in a browser's Python, on PyPy and in little memory.

What a machine cannot have is skipped with a line that says what is missing; .ci/run installs all of it.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from pairs import kept, run
from pyodide import run_in_pyodide
from support import ROOT, randomize, relative_error, save

import kerasgen

pytestmark = pytest.mark.slow
WORKER = Path(__file__).with_name("target_worker.py")
Finished = subprocess.CompletedProcess[str]


# ---------------------------------------------------------------- the models


def digits() -> Any:
    x = image = keras.Input((8, 8, 1))
    for filters in (16, 32):
        x = L.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = L.Flatten()(L.MaxPooling2D()(x))
    return keras.Model(image, L.Dense(10, activation="softmax")(x))


def mobile() -> Any:
    x = image = keras.Input((25, 25, 3))
    for filters, strides in ((8, 2), (16, 1), (16, 1)):
        shortcut = x
        x = L.DepthwiseConv2D(3, strides, padding="same", use_bias=False)(L.Conv2D(filters, 1, use_bias=False)(x))
        x = L.ReLU(6.0)(L.BatchNormalization()(x))
        x = L.Add()([x, shortcut]) if x.shape == shortcut.shape else x
    return keras.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x)))


def series() -> Any:
    x = steps = keras.Input((12, 3))
    x = L.Conv1D(8, 3, padding="causal", activation="tanh")(x)
    return keras.Model(steps, L.Dense(2)(L.Bidirectional(L.LSTM(6))(x)))


MODELS = {make.__name__: make for make in (digits, mobile, series)}


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the modules, inputs for them and the answers of Keras."""
    folder = tmp_path_factory.mktemp("modules")
    for name, make in MODELS.items():
        model = randomize(make())
        save(model, folder / f"{name}.keras")
        kerasgen.export(folder / f"{name}.keras", folder / f"{name}.py", verify=False)
        array = np.random.RandomState(1).uniform(-1, 1, (3, *model.inputs[0].shape[1:])).astype("float32")
        np.save(folder / f"{name}.in.npy", array)
        np.save(folder / f"{name}.right.npy", model(array))
    shutil.copy(WORKER, folder)
    return folder


@pytest.fixture
def place(modules: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    return shutil.copytree(modules, tmp_path / "modules")


def check(done: Finished, place: Path) -> None:
    """The self-tests passed, and the answers are Keras's."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.count("ok inside: ") == len(MODELS)
    for name in MODELS:
        error = relative_error(np.load(place / f"{name}.out.npy"), np.load(place / f"{name}.right.npy"))
        assert error < 1e-5, (name, error)


def finished(*command: object, **settings: Any) -> Finished:
    return subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=600, **settings)


def built(name: str) -> Path:
    """Where to keep what is downloaded under this name."""
    (ROOT / "build").mkdir(exist_ok=True)
    return ROOT / "build" / name


# ---------------------------------------------------------------- the targets

BOARDS = {"armhf": ("arm", "arm-linux-gnueabihf"), "s390x": ("s390x", "s390x-linux-gnu")}  # QEMU's name, Debian's


@pytest.mark.parametrize("board", BOARDS)
def test_board(board: str, place: Path) -> None:
    """Debian's Python and NumPy for a 32-bit Arm, and for a big-endian machine, emulated."""
    processor, triplet = BOARDS[board]
    emulator = shutil.which(f"qemu-{processor}-static")
    if emulator is None or not shutil.which("mmdebstrap"):
        pytest.skip("no emulator: apt-get install qemu-user-static mmdebstrap")
    if os.geteuid() != 0:
        pytest.skip("only root may change the root folder")
    codename, archive = debian()

    def unpack(folder: Path) -> None:
        settings = ("--variant=extract", "--include=python3-numpy", f"--architectures={board}")
        run("mmdebstrap", "--quiet", *settings, codename, folder, archive, cwd=folder)
        shutil.copy(emulator, folder / "emulator")

    root = kept(built(f"{codename}-{board}"), unpack)
    inside = root / "tmp" / place.parent.name
    shutil.copytree(place, inside)
    try:
        libraries = ":".join(f"/usr/lib/{triplet}/{name}" for name in ("blas", "lapack"))
        python = ("/emulator", "-E", f"LD_LIBRARY_PATH={libraries}", "/usr/bin/python3", "-W", "error")
        done = finished("chroot", root, *python, f"/tmp/{inside.name}/{WORKER.name}", *MODELS)
        check(done, inside)
        assert done.stdout.splitlines()[-1].endswith({"arm": "armv7l"}.get(processor, processor))
    finally:
        shutil.rmtree(inside)


def debian() -> tuple[str, str]:
    """The release of Debian that apt of this machine takes packages from, and its archive as a line of sources.list."""
    fields = "$(ORIGIN) $(CODENAME) $(COMPONENT) $(REPO_URI)"
    for line in finished("apt-get", "indextargets", "--format", fields, "Created-By: Packages").stdout.splitlines():
        origin, codename, component, uri = line.split()
        if (origin, component) == ("Debian", "main") and codename.isalpha():
            return codename, f"deb {uri} {codename} main"
    pytest.skip("apt of this machine knows no archive of Debian")


def test_pyodide(place: Path) -> None:
    """CPython and NumPy in WebAssembly, which has neither a BLAS nor threads."""
    code = f"import sys; sys.path.insert(0, '.'); import target_worker; assert target_worker.answer({list(MODELS)})"
    check(run_in_pyodide(code, place), place)


def test_pypy(place: Path) -> None:
    python = shutil.which("pypy3")
    if python is None:
        pytest.skip("no PyPy: apt-get install pypy3")
    version = finished(python, "-c", "import sys; print('%d%d' % sys.version_info[:2])").stdout.strip()
    if (version, platform.machine()) != ("39", "x86_64"):
        pytest.skip(f"there is no wheel of NumPy for PyPy {version} on {platform.machine()}")

    def install(folder: Path) -> None:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--target", folder)
        wheel = ("--implementation", "pp", "--python-version", version, "--abi", "pypy39_pp73")
        run(*pip, *wheel, "--platform", "manylinux2014_x86_64", "--only-binary", ":all:", "numpy==2.0.2", cwd=folder)

    numpy = kept(built("pypy-numpy-2.0.2"), install)
    environment = {**os.environ, "PYTHONPATH": str(numpy)}
    check(finished(python, place / WORKER.name, *MODELS, env=environment), place)


MEMORY = 128 * 2**20  # bytes, the least that AWS Lambda gives


@pytest.fixture
def limited() -> Iterator[Path]:
    """A control group whose processes have 128 MB of memory together, in version 1 or 2 of control groups."""
    for parent, names in (
        (Path("/sys/fs/cgroup/memory"), ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")),
        (Path("/sys/fs/cgroup"), ("memory.max", "memory.swap.max")),
    ):
        group = parent / f"kerasgen-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if not (group / names[0]).exists():
                continue
            (group / names[0]).write_text(str(MEMORY))
            if (group / names[1]).exists():
                (group / names[1]).write_text("0" if "swap.max" in names[1] else str(MEMORY))
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("no control group with a limit of memory can be made here")


def test_little_memory(limited: Path, place: Path) -> None:
    """Three modules and NumPy in 128 MB; what takes more there is ended."""

    def join() -> None:
        (limited / "cgroup.procs").write_text(str(os.getpid()))

    python = (sys.executable, "-W", "error")
    check(finished(*python, place / WORKER.name, *MODELS, preexec_fn=join), place)
    more = finished(*python, "-c", f"len(bytes({MEMORY}).replace(b'\\0', b'x'))", preexec_fn=join)
    assert more.returncode < 0
