"""Modules that take no more memory than they are allowed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from command import Run
from support import randomize

import kerasgen
from kerasgen.emit.memory import BLOCKS

L = keras.layers
WORKER = """
import json, sys, tracemalloc
import numpy as np
import module
x = np.load("x.npy")
tracemalloc.start()
module.predict(x)
y = module.predict(x)
json.dump([tracemalloc.get_traced_memory()[1], y.tolist()], sys.stdout)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kernel that goes by blocks, on maps that make many of them."""
    x = image = keras.Input((96, 96, 3))
    x = L.Conv2D(48, 5, strides=2, padding="same", activation="silu")(x)
    x = L.Conv2D(48, 3, padding="same", activation="relu")(x)
    x = L.Conv2D(192, 1, activation="relu")(x)
    x = L.DepthwiseConv2D(3, padding="same")(x)
    x = L.Conv2D(160, 3, padding="same")(x)
    x = L.Conv2D(32, 3, strides=2)(x)
    made = randomize(keras.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x))))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def thin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few channels: the smallest blocks still make a difference."""
    x = image = keras.Input((96, 96, 3))
    x = L.Conv2D(8, 5, padding="same", activation="relu")(x)
    made = randomize(keras.Model(image, L.Dense(5)(L.GlobalAveragePooling2D()(x))))
    path = tmp_path_factory.mktemp("thin") / "thin.keras"
    made.save(path)
    return path


def call(folder: Path, x: np.ndarray) -> tuple[int, np.ndarray]:
    """The peak memory of a call in bytes, and its answer."""
    np.save(folder / "x.npy", x)
    command = [sys.executable, "-c", WORKER]
    taken, y = json.loads(subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout)
    return taken, np.array(y)


@pytest.mark.parametrize(("name", "blocks", "step"), [("model", 3, 100_000), ("thin", 4, 5_000)])
def test_a_call_takes_no_more_than_it_may(
    name: str, blocks: int, step: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(name)
    x = np.random.RandomState(0).uniform(-1, 1, (1, 96, 96, 3)).astype("float32")
    kerasgen.export(model, tmp_path / "module.py", verify=False)
    free, expected = call(tmp_path, x)
    needed = [free]
    for block, store in zip(BLOCKS[1:blocks], ("embedded", "sidecar", "embedded"), strict=False):
        limit = needed[-1] - step
        kerasgen.export(model, tmp_path / "module.py", verify=False, force=True, store=store, max_memory=limit)
        text = (tmp_path / "module.py").read_text("utf-8")
        assert f"\nBLOCK = {block}\n" in text
        taken, y = call(tmp_path, x)
        assert taken <= limit + 20_000  # the first call of a process fills some caches of Python's own
        np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
        batch, many = call(tmp_path, np.concatenate([x] * 4))
        assert batch <= taken + 20_000
        np.testing.assert_allclose(many, np.concatenate([expected] * 4), rtol=1e-5, atol=1e-6)
        needed.append(taken)
    assert needed[-1] < 0.6 * free


def test_command_line(model: Path, run: Run) -> None:
    export = ["export", model, "-o", "net.py", "--no-verify", "--max-memory"]
    line = run.fails(2, *export, "1.5kB")
    assert re.fullmatch(rf"kerasgen: {model}: a call takes at least \d+ bytes .*; raise the limit\n", line), line
    assert not Path("net.py").exists()
    assert "8MB" in run.fails(2, *export, "much")
    run(*export, "100 MB")
    run(*export, "100MB", "--check")
    assert "BLOCK = 1048576\n" in Path("net.py").read_text("utf-8")


def test_open_sizes(run: Run, tmp_path: Path) -> None:
    image = keras.Input((None, None, 3), name="input_layer")
    keras.Model(image, L.Conv2D(4, 3)(image)).save(tmp_path / "open.keras")
    line = run.fails(2, "export", tmp_path / "open.keras", "--max-memory", "1GB", "--no-verify")
    assert "open.keras: input 'input_layer' leaves a size open" in line
