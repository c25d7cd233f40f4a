"""Layers of the user's own: rules and NumPy functions, from Python and from the command line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from custom_layers import gain_rule, marked, scaled, swirl
from keras import layers as L
from support import randomize, relative_error, run_python

import kerasgen
from kerasgen.emit.body import Body
from kerasgen.emit.load import load_module
from kerasgen.emit.module import KERNELS, RUNTIME
from kerasgen.emit.source import collect
from kerasgen.emit.target import NUMPY
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan

X = np.random.RandomState(0).standard_normal((3, 4)).astype("float32")
HERE = Path(__file__).parent


@keras.saving.register_keras_serializable("tests")
class Gain(keras.layers.Layer):
    """`x * weight * factor`."""

    def __init__(self, factor: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(name="weight", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.weight * self.factor

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


def saved(folder: Path, *layers: Any) -> tuple[Any, Path]:
    model = randomize(keras.Sequential([keras.Input((4,)), *layers]))
    model.save(folder / "model.keras")
    return model, folder / "model.keras"


def test_a_numpy_function_replaces_a_lambda_by_its_name(tmp_path: Path) -> None:
    model, path = saved(
        tmp_path, L.Lambda(lambda x: x * 2.0 + x**3 if x is not None else x, name="swirl it"), L.Dense(2)
    )
    with pytest.raises(kerasgen.UnsupportedModelError, match=r"`custom=\{'swirl it': function\}`"):
        kerasgen.export(path, tmp_path / "module.py")
    kerasgen.export(path, tmp_path / "module.py", custom={"swirl it": swirl}, verify=False)
    module = load_module(tmp_path / "module.py")
    assert relative_error(module.predict(X), model(X)) < 1e-6
    assert "def swirl(x, factor=FACTOR):" in (tmp_path / "module.py").read_text()
    assert "def cube(x):" in (tmp_path / "module.py").read_text()  # that it calls


def test_a_function_that_makes_a_constant_is_copied_too(tmp_path: Path) -> None:
    model, path = saved(tmp_path, L.Lambda(lambda x: x * 8.0, name="scaled"), L.Dense(2))
    kerasgen.export(path, tmp_path / "module.py", custom={"scaled": scaled}, verify=False)
    assert relative_error(load_module(tmp_path / "module.py").predict(X), model(X)) < 1e-6


def test_a_function_that_was_changed_and_reloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook: its module is copied as it is now."""
    before = "FACTOR = 2  # twice\n\ndef times(x):\n    return x * FACTOR\n"
    after = "def times(x):\n    return 3 * x\n"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine.py").write_text(before)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    mine = importlib.import_module("mine")
    assert copied(mine.times) == before
    (tmp_path / "mine.py").write_text(after)
    importlib.reload(mine)
    assert copied(mine.times) == after


def test_a_decorated_function_is_copied_with_its_decorator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """import functools

FACTOR = 3


def twice(function):
    @functools.wraps(function)
    def both(x):
        return function(function(x))

    return both


@twice
def times(x):
    return x * FACTOR
"""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "decorated.py").write_text(text)
    times = importlib.import_module("decorated").times
    imports, blocks = collect([times])
    assert imports == ["import functools"]
    scope: dict[str, Any] = {}
    exec("\n".join([*imports, *blocks.values()]), scope)
    assert scope["times"](2) == times(2) == 18


def copied(function: Any) -> str:
    """What a module gets with a function."""
    _, blocks = collect([function])
    return "\n\n".join(blocks.values()) + "\n"


def test_no_line_of_a_function_means_anything(tmp_path: Path) -> None:
    model, path = saved(tmp_path, L.Lambda(lambda x: x, name="marked"), L.Dense(2))
    kerasgen.export(path, tmp_path / "module.py", custom={"marked": marked}, verify=False)
    assert relative_error(load_module(tmp_path / "module.py").predict(X), model(X)) < 1e-6
    text = (tmp_path / "module.py").read_text()
    assert [text.count(f"\n{line}\n") for line in (KERNELS, RUNTIME)] == [1, 1]


def test_a_lambdas_arguments_are_settings(tmp_path: Path) -> None:
    function = L.Lambda(lambda x, factor: x * 2.0 + factor * x**3, arguments={"factor": 5.0}, name="swirl")
    model, path = saved(tmp_path, function, L.Dense(2))
    kerasgen.export(path, tmp_path / "module.py", custom={"Lambda": swirl}, verify=False)
    assert relative_error(load_module(tmp_path / "module.py").predict(X), model(X)) < 1e-6
    assert "swirl_2 = swirl(x, factor=5.0)" not in (tmp_path / "module.py").read_text()  # it is `x`: read once
    assert "x = swirl(x, factor=5.0)" in (tmp_path / "module.py").read_text()


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_rule_for_a_layer_with_weights(tmp_path: Path, ending: str) -> None:
    model = randomize(keras.Sequential([keras.Input((4,)), L.Dense(4), Gain(factor=3.0), L.Dense(2)]))
    path = tmp_path / f"model.{ending}"
    model.save(path)
    for target, custom in (("module:gain_rule", "custom_layers:gain_rule"), ("kernel", "custom_layers:missing")):
        result = run_python(
            "-m", "kerasgen", "export", path, "-o", tmp_path / "module.py", "--no-verify", "--custom", f"Gain={custom}",
            cwd=HERE,
        )  # fmt: skip
        if target == "kernel":
            assert result.returncode == 2, result.stderr
            assert result.stderr.count("\n") == 1
        else:
            assert result.returncode == 0, result.stderr
    assert relative_error(load_module(tmp_path / "module.py").predict(X), model(X)) < 1e-6
    summary = kerasgen.inspect(path, custom={"Gain": gain_rule})
    assert summary.parameters == model.count_params()


def test_a_rule_entered_for_good(tmp_path: Path) -> None:
    model, path = saved(tmp_path, Gain(factor=2.0))
    code = f"""
import kerasgen, custom_layers
kerasgen.rule("Gain")(custom_layers.gain_rule)
kerasgen.export({str(path)!r}, {str(tmp_path / "module.py")!r}, verify=False)
"""
    assert run_python("-c", code, cwd=HERE).returncode == 0
    assert relative_error(load_module(tmp_path / "module.py").predict(X), model(X)) < 1e-6


def scale(x: Any) -> Any:
    return x * keras.backend.epsilon()


def relu(x: Any) -> Any:
    return x + 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, "at the top of its module"),
        (scale, "not keras"),
        (relu, "two functions are called relu"),
    ],
)
def test_a_function_that_cannot_be_copied(tmp_path: Path, function: Any, message: str) -> None:
    _, path = saved(tmp_path, L.Lambda(lambda x: x, name="mine"), L.Dense(2, activation="relu"))
    with pytest.raises(kerasgen.UsageError, match=message):
        kerasgen.export(path, tmp_path / "module.py", custom={"mine": function}, verify=False)
    assert not (tmp_path / "module.py").exists()


def test_a_layer_called_like_the_function(tmp_path: Path) -> None:
    image = keras.Input((4,))
    x = L.Lambda(lambda x: x * 2.0 + x**3, name="swirl")(image)
    model = randomize(keras.Model(image, [x, L.Dense(2)(x)]))
    model.save(tmp_path / "model.keras")
    kerasgen.export(tmp_path / "model.keras", tmp_path / "module.py", custom={"swirl": swirl}, verify=False)
    for got, want in zip(load_module(tmp_path / "module.py").predict(X), model(X), strict=True):
        assert relative_error(got, want) < 1e-6


@pytest.mark.parametrize(
    "text", ["swirl", "swirl=", "=a:b", "swirl=custom_layers", "swirl=custom_layers:FACTOR", "a=no:no"]
)
def test_what_custom_does_not_mean(tmp_path: Path, text: str) -> None:
    _, path = saved(tmp_path, L.Lambda(lambda x: x, name="swirl"))
    result = run_python("-m", "kerasgen", "export", path, "-o", tmp_path / "m.py", "--custom", text, cwd=HERE)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "m.py").exists()


def first_or(x: Any, y: Any = None, z: Any = None) -> Any:
    return x if y is None else z


def rest_of(x: Any, y: Any = None, *rest: Any) -> Any:
    return rest


@pytest.mark.parametrize(
    ("kernel", "operands", "arguments"),
    [
        (first_or, ("image",), "image"),
        (first_or, ("image", None, None), "image"),
        (first_or, ("image", None, "image"), "image, z=image"),
        (first_or, ("image", "image", None), "image, image"),
        (rest_of, ("image", None, "image", "image"), "image, None, image, image"),
    ],
)
def test_operands_behind_one_left_out_go_by_name(kernel: Any, operands: tuple[Any, ...], arguments: str) -> None:
    plan = Plan(
        Graph((Value("image", (None, 6, 7, 3), "float32"),), (Node(("y",), kernel, operands),), ("y",), {}, ("y",))
    )
    assert Body(plan, NUMPY).lines()[-1].endswith(f"{kernel.__name__}({arguments})".replace("image", "x"))
