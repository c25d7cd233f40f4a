"""`export --check` and `--diff`: whether the module in version control is the one that its model makes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from support import randomize

import kerasgen
from kerasgen.emit.weights import NPZ


@pytest.fixture(params=["embedded", "sidecar"])
def store(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def exported(run: Run, store: str) -> Run:
    run("export", run.files / "small.keras", "--no-verify", "--store", store)
    return run


def check(run: Run, store: str, *arguments: Any, model: Any = None, code: int = 1) -> tuple[list[str], str]:
    """What is printed, by lines, and what is said. No file is changed."""
    before = run.listing()
    model = model or run.files / "small.keras"
    out, err = run("export", model, "-o", "small.py", "--store", store, *arguments, code=code)
    assert run.listing() == before
    assert err.count("\n") == 1
    return out.splitlines(), err.rstrip("\n")


def changed_model(run: Run, change: Any) -> Path:
    model = keras.saving.load_model(run.files / "small.keras")
    change(model)
    model.save("changed.keras")
    return Path("changed.keras")


def nudge(model: Any) -> None:
    layer = model.get_layer("scores")
    kernel = layer.kernel.numpy()
    kernel[2, 1] += 0.5
    kernel[3, 0] -= 0.25
    layer.kernel.assign(kernel)


def test_current(exported: Run, store: str) -> None:
    assert check(exported, store, "--check", code=0) == ([], "small.py: is current")
    assert check(exported, store, "--diff", code=0) == ([], "small.py: is current")
    assert exported("export", exported.files / "small.keras", "--check", "--store", store, "--quiet") == ("", "")


def test_another_weight(exported: Run, store: str) -> None:
    model = changed_model(exported, nudge)
    out, err = check(exported, store, "--check", model=model)
    assert out == []
    assert err.startswith("kerasgen: small.py: is not current: an export would change ")
    assert "the weights" in err
    out, _ = check(exported, store, "--diff", model=model)
    assert "scores/kernel: 2 of 96 numbers change, by 0.5 at most" in out
    assert not [line for line in out if line.startswith("scores/bias")]
    code = [line for line in out if re.search("^[-+].*[0-9a-f]{64}", line)]
    assert len(code) == (4 if store == "sidecar" else 2)  # the digests of the model and of the sidecar


def test_another_layer(exported: Run, store: str) -> None:
    """The code is printed as a diff; arrays come, go and change their shape."""
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            keras.layers.Conv2D(2, 3, name="conv"),
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(4, activation="relu", name="scores"),
            keras.layers.Dense(1, use_bias=False, name="new"),
        ]
    )
    randomize(model).save("changed.keras")
    out, err = check(exported, store, "--diff", model="changed.keras")
    assert "the code and the weights" in err
    assert out[:2] == ["--- small.py", "+++ small.py (exported)"]
    assert '-    return dense(x, W["scores/kernel"], W["scores/bias"])  # (N, 3)' in out
    assert '+    x = dense(x, W["scores/kernel"], W["scores/bias"], activation=relu)  # (N, 4)' in out
    assert "scores/kernel: float32 (32, 3) becomes float32 (32, 4)" in out
    assert "new/kernel: added, float32 (4, 1)" in out


def test_an_array_goes(exported: Run, store: str) -> None:
    keras.Sequential([keras.Input((6, 6, 1), name="image"), keras.layers.Flatten(name="flat")]).save("changed.keras")
    out, _ = check(exported, store, "--diff", model="changed.keras")
    assert {"conv/kernel: removed", "conv/bias: removed", "scores/kernel: removed", "scores/bias: removed"} <= set(out)


@pytest.mark.parametrize("options", [["--activations"], []], ids=["activations", "without"])
def test_options_must_be_those_of_the_export(run: Run, options: list[str], store: str) -> None:
    run("export", run.files / "small.keras", "--no-verify", "--store", store, *options)
    check(run, store, "--check", *options, code=0)
    other = [] if options else ["--activations"]
    assert "change the code " in check(run, store, "--check", *other)[1]
    another = "embedded" if store == "sidecar" else "sidecar"
    check(run, another, "--check", *options)


def test_edited_by_hand(exported: Run, store: str) -> None:
    path = Path("small.py")
    path.write_bytes(path.read_bytes().replace(b'"""The model\'s answer.', b'"""My \x1b[31manswer.', 1))
    out, err = check(exported, store, "--diff")
    assert err.rstrip().endswith("change the code")
    assert [line.partition(".")[0] for line in out if line.startswith(("-  ", "+  "))] == [
        '-    """My \\x1b[31manswer',
        '+    """The model\'s answer',
    ]


def test_line_ends_of_windows(exported: Run, store: str) -> None:
    """Version control may have made them."""
    path = Path("small.py")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    check(exported, store, "--check", code=0)


@pytest.mark.parametrize("lost", ["small.py", "small.npz"])
def test_missing(run: Run, lost: str) -> None:
    run("export", run.files / "small.keras", "--no-verify", "--store", "sidecar")
    Path(lost).unlink()
    assert check(run, "sidecar", "--check") == (
        [],
        f"kerasgen: small.py: is not current: {lost} must be written",
    )


def test_damaged_weights(exported: Run, store: str) -> None:
    """A changed byte in the middle of an array, then an end that is gone."""
    path = Path("small.py" if store == "embedded" else "small.npz")
    whole = path.read_bytes()
    place = whole.rindex(NPZ.encode()) + 600 if store == "embedded" else 300
    path.write_bytes(whole[:place] + (b"A" if whole[place : place + 1] != b"A" else b"B") + whole[place + 1 :])
    assert len(check(exported, store, "--diff")[0]) == 1
    end = len(whole) if store == "sidecar" else whole.rindex(b'\n"""')
    path.write_bytes(whole[: end - 2 * 117] + whole[end:])
    assert check(exported, store, "--diff")[0] == ["the existing weights cannot be read: File is not a zip file"]


def test_a_file_that_holds_the_same_arrays_otherwise(run: Run) -> None:
    """The module refuses it, so it is not current."""
    run("export", run.files / "small.keras", "--no-verify", "--store", "sidecar")
    with np.load("small.npz") as arrays:
        np.savez_compressed("small.npz", **dict(arrays))
    assert check(run, "sidecar", "--diff")[0] == ["the arrays are the same, the file that holds them is not"]


def test_usage(run: Run) -> None:
    run.fails(2, "export", run.files / "small.keras", "-o", "-", "--check")
    run.fails(3, "export", run.files / "text.h5", "--check")
    run.fails(4, "export", run.files / "lambda.keras", "--diff")
    Path("small.py").mkdir()
    run.fails(5, "export", run.files / "small.keras", "--check")


def test_from_python(exported: Run, store: str) -> None:
    assert not kerasgen.check(exported.files / "small.keras", "small.py", store=store)
    changes = kerasgen.check(changed_model(exported, nudge), "small.py", store=store)
    assert changes
    assert changes.weights == ("scores/kernel: 2 of 96 numbers change, by 0.5 at most",)
    assert changes.missing == ()
