"""Modules of every level of optimisation: right in a process of their own, and `verify` knows their level."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from support import randomize, relative_error, run_python
from test_golden import fast_kernels

import kerasgen
from kerasgen import kernels
from kerasgen.emit.load import load_module
from kerasgen.passes import PIPELINES

RUN = """
import importlib.util, sys
import numpy as np

sys.path[:] = [path for path in sys.path if "kerasgen" not in path]
spec = importlib.util.spec_from_file_location("net", sys.argv[1])
net = importlib.util.module_from_spec(spec)
spec.loader.exec_module(net)
assert not {"kerasgen", "keras", "tensorflow"} & set(sys.modules)
x = np.load(sys.argv[2])
np.savez(sys.argv[3], **{f"batch_{n}": net.predict(x[:n]) for n in (1, 3, 9)})
"""


NO_THREADS = """
import threading

def start(thread):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """A net that is large enough for the fast kernels, and its file."""
    model = randomize(fast_kernels())
    path = tmp_path_factory.mktemp("levels") / "fast.keras"
    model.save(path)
    return model, path


@pytest.mark.parametrize("level", PIPELINES)
def test_a_process_of_its_own(saved: tuple[Any, Path], tmp_path: Path, level: int) -> None:
    model, path = saved
    kerasgen.export(path, tmp_path / "net.py", optimize=level, verify=False)
    x = np.random.RandomState(0).standard_normal((9, 96, 96, 3)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    expected = np.asarray(model(x))
    for threads, blas, before in (
        ("1", "2", ""),
        ("2", "2", ""),
        ("2", "1", ""),
        ("", "1", ""),
        ("auto", "1", ""),
        ("auto", "1", NO_THREADS),
    ):
        environment = {**os.environ, "KERASGEN_THREADS": threads, "OPENBLAS_NUM_THREADS": blas, "PYTHONPATH": ""}
        command = [sys.executable, "-c", before + RUN, "net.py", "x.npy", "y.npz"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with np.load(tmp_path / "y.npz") as made:
            for batch in (1, 3, 9):
                assert relative_error(made[f"batch_{batch}"], expected[:batch]) < 1e-4


def test_a_number_of_threads_that_is_none(saved: tuple[Any, Path], tmp_path: Path) -> None:
    kerasgen.export(saved[1], tmp_path / "net.py", verify=False)
    environment = {**os.environ, "KERASGEN_THREADS": "many"}
    done = run_python("-c", "import net", cwd=tmp_path, env=environment)
    assert done.returncode == 1
    last = "ValueError: KERASGEN_THREADS is 'many', where a number of threads or auto is expected"
    assert done.stderr.splitlines()[-1] == last


@pytest.mark.parametrize("activations", [False, True])
@pytest.mark.parametrize("level", PIPELINES)
def test_verify(saved: tuple[Any, Path], tmp_path: Path, level: int, activations: bool) -> None:
    _, path = saved
    kerasgen.export(path, tmp_path / "net.py", optimize=level, activations=activations, verify=False)
    assert kerasgen.verify(path, tmp_path / "net.py").ok


def test_activations_of_a_large_batch(tmp_path: Path) -> None:
    """A layer of two kernels has a buffer even where every layer's output is kept."""
    image = keras.Input((64, 64, 16), name="image")
    y = L.GlobalAveragePooling2D(name="mean")(L.SeparableConv2D(32, 3, name="separable")(image))
    model = randomize(keras.Model(image, y))
    path = tmp_path / "model.keras"
    model.save(path)
    kerasgen.export(path, tmp_path / "net.py", activations=True, verify=False)
    module = load_module(tmp_path / "net.py")
    x = np.random.RandomState(0).standard_normal((9, 64, 64, 16)).astype("float32")
    made = module.activations(x)
    assert list(made) == ["separable", "mean"]
    assert relative_error(made["separable"], model.get_layer("separable")(x)) < 1e-4
    assert relative_error(made["mean"], model(x)) < 1e-4


@pytest.mark.parametrize("activations", [False, True])
def test_a_broken_pass_is_named(
    saved: tuple[Any, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, activations: bool
) -> None:
    """Where the module's level has it: Winograd's tiles are a row too low."""
    _, path = saved
    module = sys.modules["kerasgen.passes.plan.choose_kernels"]
    tiled = module._tiled  # type: ignore[attr-defined]

    def shifted(layer: Any, *arguments: Any) -> Any:
        attrs = tiled(layer, *arguments)
        if layer.node.kernel is kernels.conv2d:
            (before, after), columns = attrs["pad"]
            attrs["pad"] = ((before - 1, after + 1), columns)
        return attrs

    monkeypatch.setattr(module, "_tiled", shifted)
    for level in PIPELINES:
        kerasgen.export(path, tmp_path / f"net{level}.py", optimize=level, activations=activations, verify=False)
        verification = kerasgen.verify(path, tmp_path / f"net{level}.py")
        assert verification.ok == (level < 2)
    divergence = verification.divergence
    assert divergence is not None
    assert (divergence.stage, divergence.culprit, divergence.layer) == ("pass", "choose_kernels", "winograd")
