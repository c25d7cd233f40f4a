"""Modules as other tools see them: type checkers, star imports, readers of their lines."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from support import randomize
from test_golden import GOLDEN

import kerasgen
from kerasgen.emit.load import load_module

L = keras.layers
MODULES = sorted(GOLDEN.glob("*.py"))


def test_mypy_strict() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", *MODULES],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_ruff_format() -> None:
    """Ruff agrees with black, which has formatted them."""
    settings = ("--check", "--isolated", "--no-cache", "--line-length=120")
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "format", *settings, *MODULES], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_pyright() -> None:
    pyright = Path(sys.executable).with_name("pyright")
    if not pyright.exists():
        pytest.skip("pyright is not installed")
    done = subprocess.run([pyright, *MODULES], capture_output=True, text=True, check=False)
    assert done.returncode == 0, [line for line in done.stdout.splitlines() if "information:" not in line]


def test_mypy_knows_what_predict_takes_and_returns(tmp_path: Path) -> None:
    """The annotations are real: a program that uses the answer wrongly does not pass."""
    (tmp_path / "plain_cnn.py").write_bytes((GOLDEN / "plain_cnn.py").read_bytes())
    program = tmp_path / "program.py"
    program.write_text("import plain_cnn\n\nplain_cnn.predict('image').no_such_method()\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file=", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert "[arg-type]" in done.stdout
    assert "[attr-defined]" in done.stdout


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_all_names_what_is_there(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    defined |= {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for name in ast.walk(node.targets[0])
        if isinstance(name, ast.Name)
    }
    (public,) = (
        ast.literal_eval(n.value)
        for n in tree.body
        if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "__all__"
    )
    assert {"INPUTS", "OUTPUTS", "predict"} <= set(public) <= defined
    assert public == sorted(public)
    assert ("backward" in public) == ("def backward" in path.read_text(encoding="utf-8"))


def two_paths() -> Any:
    """A border before a convolution, time steps merged with the batch, two outputs, a long line."""
    image = keras.Input((20, 20, 3), name="image")
    series = keras.Input((6, 4), name="series")
    x = L.Conv2D(8, 3, padding="same", activation="relu")(image)
    x = L.Conv2D(8, 3, padding="same", strides=2)(L.BatchNormalization()(x))
    pooled = L.GlobalAveragePooling2D()(x)
    steps = L.TimeDistributed(L.Dense(5, activation="tanh"))(series)
    last = L.GRU(3)(L.Conv1D(4, 2, data_format="channels_last")(steps))
    return keras.Model([image, series], [L.Dense(2, name="a")(pooled), L.Dense(3, name="b")(last)])


def test_shapes_beside_the_lines_are_those_of_the_arrays(run: Run) -> None:
    randomize(two_paths()).save("net.keras")
    kerasgen.export("net.keras", verify=False)
    text = Path("net.py").read_text(encoding="utf-8")
    module = load_module(Path("net.py"))
    tree = ast.parse(text)
    (predict,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "predict")
    lines, checked = text.split("\n"), 0
    scope: dict[str, Any] = dict(vars(module))
    arrays = [np.zeros((7, *shape[1:]), dtype) for _, shape, dtype in module.INPUTS]
    scope.update(zip([name for name, _, _ in module.INPUTS], arrays, strict=True))
    for statement in predict.body:
        if not isinstance(statement, ast.Assign):
            continue
        exec(ast.unparse(statement), scope)
        comment = re.search(r"  # \((.*)\)$", lines[(statement.end_lineno or 0) - 1])
        if comment:
            sizes = eval(comment[1].replace("?", "None") + ",", {"N": 7})
            assert eval(ast.unparse(statement.targets[0]), scope).shape == sizes, ast.unparse(statement)
            checked += 1
    assert checked > 6


def test_minimal(run: Run) -> None:
    """No command line, no self-test, and the same answers."""
    randomize(two_paths()).save("net.keras")
    run("export", "net.keras", "-o", "whole.py", "--no-verify")
    run("export", "net.keras", "-o", "short.py", "--no-verify", "--minimal")
    short, whole = Path("short.py").read_text(encoding="utf-8"), Path("whole.py").read_text(encoding="utf-8")
    assert "SELFTEST" not in short
    assert "argparse" not in short
    assert "In a shell" not in short
    assert "'minimal': True" in short or '"minimal": True' in short
    assert len(short) < len(whole)
    modules = [load_module(Path(name)) for name in ("short.py", "whole.py")]
    arrays = [np.ones((2, *shape[1:]), dtype) for _, shape, dtype in modules[0].INPUTS]
    for a, b in zip(*(module.predict(*arrays) for module in modules), strict=True):
        assert np.array_equal(a, b)
    run("export", "net.keras", "-o", "short.py", "--minimal", "--check")
    run("verify", "net.keras", "short.py")


def test_rename(run: Run) -> None:
    randomize(two_paths()).save("net.keras")
    run("export", "net.keras", "--verify", "--rename", "image=photo", "--rename", "b=kind")
    module = load_module(Path("net.py"))
    assert [name for name, _, _ in module.INPUTS] == ["photo", "series"]
    assert [name for name, _, _ in module.OUTPUTS] == ["a", "kind"]
    first, second = module.predict(series=np.zeros((1, 6, 4)), photo=np.zeros((1, 20, 20, 3)))
    assert (first.shape, second.shape) == ((1, 2), (1, 3))
    run("verify", "net.keras", "net.py")
    assert module.EXPORT["rename"] == {"image": "photo", "b": "kind"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"imag": "x1"}, "no input or output is called imag; there are image, series, a, b"),
        ({"image": "series"}, "an input cannot be called series: it is no free name for a variable"),
        ({"image": "1st"}, "an input cannot be called 1st: it is no free name for a variable"),
        ({"image": "class"}, "an input cannot be called class: it is no free name for a variable"),
        ({"image": "predict"}, "an input cannot be called predict: it is no free name for a variable"),
        ({"a": "b"}, "two outputs would have one name: b, b"),
    ],
)
def test_names_that_cannot_be(
    names: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    two_paths().save("net.keras")
    with pytest.raises(kerasgen.UsageError) as caught:
        kerasgen.export("net.keras", rename=names, verify=False)
    assert str(caught.value) == message


def test_rename_takes_two_names(run: Run) -> None:
    assert (
        run.fails(2, "export", run.files / "small.keras", "--rename", "image")
        == "kerasgen: --rename takes OLD=NEW, not image\n"
    )
