"""The examples run from anywhere, print what they promise and leave nothing behind."""

from __future__ import annotations

import os
import re
import runpy
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from pairs import Pair
from support import ROOT, run_python

import kerasgen
from kerasgen.emit.load import load_module

EXAMPLES = ROOT / "examples"
DIGITS = EXAMPLES / "digits"

# Each script, how many models it exports, and what its output holds.
SCRIPTS = {
    "strided_conv1d": (
        1,
        [
            "first: (5, 9, 16)",
            "second: (5, 1, 16)",
            "   100     12     12  9 windows    right         right               right      right",
            "   100     24     12  9 windows    cannot stack  reads past the end  right      right",
            "   100      5     12  9 windows    8 windows     8 windows           right      right",
            "right among 343 combinations: slices 147, no_strides 76, corrected 343, kerasgen 343",
        ],
    ),
    "shifted_sum": (
        1,
        [
            "products (3, 1, 10, 2)",
            "equal: rows 1 to 8",
            "equal: row 0,",
            "equal: row 9,",
            "equal: all rows at once",
            "equal: one product",
            "equal: the exported module",
        ],
    ),
    "conv1d_as_conv2d": (
        3,
        [
            "(2, 20, 5) -> (batch, new_steps, filters) (2, 17, 3)",
            "Conv2D (4, 5, 1, 3): (2, 20, 5, 1) -> (2, 17, 1, 3)",
            "input (None, 600, 1): output (None, 600, 16), 144 parameters",
            "input (None, 1, 600): output (None, 1, 16), 76816 parameters",
            "activations: waves (1, 600, 10), positive (1, 600, 10), strongest (1, 30, 10)",
        ],
    ),
    "im2col_channels_first": (
        4,
        [
            "same          1  (16, 32, 32)  (16, 27) @ (27, 1024)  (1, 1) right          (1, 1) right  right",
            "valid         1  (16, 30, 30)  (16, 27) @ (27, 900)   (0, 0) right          (0, 0) right  right",
            "valid         2  (16, 15, 15)  (16, 27) @ (27, 225)   (0, 0) right          (0, 0) right  right",
            "same          2  (16, 16, 16)  (16, 27) @ (27, 256)   (1, 1) WRONG",
            "(0, 1) right  right",
            "parameters: 3 * 3 * 3 * 16 + 16 = 448; kerasgen.inspect: 448",
        ],
    ),
}


SCRIPTS["im2col_backward"] = (
    4,
    [
        "same          1   (16, 2048)     (27, 2048)",
        "valid         1   (16, 1800)     (27, 1800)",
        "valid         2   (16, 450)      (27, 450)",
        "same          2   (16, 512)      (27, 512)",
        "equal: the formulas, the exported module, TensorFlow",
    ],
)


def run(folder: Path, *arguments: Any) -> str:
    """What a script prints that is started in this folder."""
    result = run_python(*arguments, cwd=folder)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout.isascii()
    return result.stdout


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    with np.load(DIGITS / "digits.npz") as npz:
        return npz["images"], npz["labels"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, tmp_path: Path) -> None:
    before = sorted(EXAMPLES.rglob("*"))
    output = run(tmp_path, EXAMPLES / f"{name}.py")
    for fact in SCRIPTS[name][1]:
        assert fact in output
    for line in output.splitlines():
        if line.startswith("largest difference"):
            assert float(line.split()[-1]) < 1e-5
    assert not list(tmp_path.iterdir())
    assert sorted(EXAMPLES.rglob("*")) == before


def check_summary(model: Any) -> None:
    """`inspect` counts as Keras counts."""
    summary = kerasgen.inspect(model)
    assert not summary.problems
    assert summary.parameters == model.count_params()
    assert [layer.name for layer in summary.layers] == [layer.name for layer in model.layers]
    for row, layer in zip(summary.layers, model.layers, strict=True):
        assert row.shapes == (tuple(layer.output.shape),)
        assert row.parameters == layer.count_params()


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Any]]]:
    """Runs a script in this process, which is faster, and returns the models that it exports."""
    export, models = kerasgen.export, []
    monkeypatch.setattr(kerasgen, "export", lambda model, *a, **k: models.append(model) or export(model, *a, **k))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    before = set(sys.modules)

    def run_here(script: Path, *arguments: Any) -> list[Any]:
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
        runpy.run_path(str(script))
        return models

    yield run_here
    for name in set(sys.modules) - before:
        if not os.path.exists(getattr(sys.modules[name], "__file__", None) or __file__):  # the script's own, now gone
            del sys.modules[name]


@pytest.mark.parametrize("name", SCRIPTS)
def test_inspect(name: str, exported: Callable[..., list[Any]]) -> None:
    """Of every model that a script exports."""
    models = exported(EXAMPLES / f"{name}.py")
    assert len(models) == SCRIPTS[name][0]
    for model in models:
        check_summary(model)


def test_png(exported: Callable[..., list[Any]], tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    exported(EXAMPLES / "conv1d_as_conv2d.py", path)
    assert list(tmp_path.iterdir()) == [path]
    _, width, rows = png_rows(path)
    assert width == 600
    assert rows.min() == 0
    assert rows.max() == 255


def test_demo_needs_only_numpy(tmp_path: Path) -> None:
    """The demo exports without TensorFlow and scikit-learn, then classifies without kerasgen."""
    absent = "import runpy, sys; sys.modules.update(dict.fromkeys(['keras', 'sklearn', 'tensorflow', 'tf_keras'])); "
    output = run(tmp_path, "-c", absent + f"runpy.run_path({str(DIGITS / 'demo.py')!r}, run_name='__main__')")
    assert "def predict(image: np.ndarray) -> np.ndarray:" in output
    assert "alone: no TensorFlow, Keras, h5py or kerasgen in this process" in output
    accuracy = float(output.split("that the training never saw: ")[1].split("%")[0])
    assert accuracy >= 95
    assert "prediction 2, label 2" in output
    assert not list(tmp_path.iterdir())


def test_digits_module_answers_as_keras(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, labels = data
    kerasgen.export(DIGITS / "digits.h5", tmp_path / "digits.py", verify=False)
    got = load_module(tmp_path / "digits.py").predict(images)
    model = keras.models.load_model(DIGITS / "digits.h5", compile=False)
    assert np.abs(got - model(images).numpy()).max() < 1e-5
    assert (got.argmax(axis=1) == labels).mean() >= 0.97


def test_digits_files(data: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = data
    assert (DIGITS / "digits.h5").stat().st_size < 300_000
    assert images.shape == (450, 8, 8, 1)
    assert images.max() == 16
    assert labels.shape == (450,)
    check_summary(keras.models.load_model(DIGITS / "digits.h5", compile=False))


@pytest.mark.slow
def test_train(data: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    """One epoch; the images that it holds out are those of the demo."""
    output = run(tmp_path, DIGITS / "train.py", "--epochs", 1, "--output", tmp_path)
    assert "20890 parameters" in output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.h5", "digits.npz"]
    with np.load(tmp_path / "digits.npz") as npz:
        for array, kept in zip((npz["images"], npz["labels"]), data, strict=True):
            np.testing.assert_array_equal(array, kept)
    assert kerasgen.inspect(tmp_path / "digits.h5").parameters == kerasgen.inspect(DIGITS / "digits.h5").parameters


@pytest.mark.slow
def test_fine_tuning(tmp_path: Path) -> None:
    """In a process that has only NumPy, the last layers learn what the network cannot do."""
    before = sorted(EXAMPLES.rglob("*"))
    output = run(tmp_path, DIGITS / "finetune.py")
    check_fine_tuning(output)
    assert 'd_weights["digit/kernel"] = dense_backward_kernel' in output
    assert sorted(EXAMPLES.rglob("*")) == before


def test_fine_tuning_on_old_ground(tmp_path: Path, pairs: list[Pair]) -> None:
    """By the oldest Python and NumPy."""
    options = kerasgen.GradientOptions(
        trainable=("shapes*", "digit"),
        inputs=False,
        loss="sparse_categorical_crossentropy",
        optimizer="adam(learning_rate=0.003)",
    )
    kerasgen.export(DIGITS / "digits.h5", tmp_path / "digits_numpy.py", verify=False, gradients=options)
    for pair in pairs:
        result = pair.run(DIGITS / "learn.py", tmp_path)
        assert result.returncode == 0, result.stderr
        check_fine_tuning(result.stdout)


def check_fine_tuning(output: str) -> None:
    """The accuracies that `learn.py` prints."""
    for title in ("negatives", "shifted"):
        (line,) = [line for line in output.splitlines() if line.startswith(title)]
        first, last = (float(part) for part in re.findall(r"([\d.]+)%", line))
        assert first < 60
        assert last > 90


def test_explanations(exported: Callable[..., list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exported(DIGITS / "explain.py", tmp_path / "picture.png")
    assert capsys.readouterr().out.count("is taken for a") == 12
    height, width, rows = png_rows(tmp_path / "picture.png")
    assert (height, width) == (3 * 100, 12 * 100)
    assert len(np.unique(rows)) > 50


def png_rows(path: Path) -> tuple[int, int, np.ndarray]:
    """Height, width and the bytes of a grey picture, its checksums checked."""
    png = path.read_bytes()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, start = {}, 8
    while start < len(png):
        (size,) = struct.unpack_from(">I", png, start)
        content = png[start + 4 : start + 8 + size]
        assert struct.unpack_from(">I", png, start + 8 + size) == (zlib.crc32(content),)
        chunks[content[:4]] = content[4:]
        start += 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    width, height = struct.unpack_from(">II", chunks[b"IHDR"])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not rows[:, 0].any()
    return height, width, rows
