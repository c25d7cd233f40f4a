"""Files as people keep them: text within text, shapes that were never recorded, weights without their architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from command import Odd, Run
from keras import layers as L
from support import SHARED_MODELS, randomize, relative_error, save

import kerasgen
from kerasgen.emit.load import load_module

WILD = SHARED_MODELS / "wild"


def small(k: Any, **first: Any) -> Any:
    layers = [k.layers.Conv1D(3, 2, name="conv", **first), k.layers.Flatten(), k.layers.Dense(2, name="last")]
    model = k.Sequential(layers)
    return randomize(model) if first else model


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras3", "keras2"])
def test_json_within_a_json_string(tmp_path: Path, library: Any) -> None:
    x = library.Input((4,))
    model = randomize(library.Model(x, library.layers.Dense(3)(x)))
    (tmp_path / "net.json").write_text(json.dumps(model.to_json()))
    model.save_weights(str(tmp_path / "net.weights.h5"))
    result = kerasgen.export(tmp_path / "net.json", tmp_path / "m.py", weights=tmp_path / "net.weights.h5", verify=True)
    assert not result.unverified


def without_shape(path: Path) -> Path:
    """The file of a Sequential model as tf.keras wrote it where its input shape was not recorded."""
    save(small(tf_keras, input_shape=(6, 2)), path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"] = [
            {**layer, "config": {key: item for key, item in layer["config"].items() if key != "batch_input_shape"}}
            for layer in config["config"]["layers"]
            if layer["class_name"] != "InputLayer"
        ]
        config["config"].pop("build_input_shape", None)
        file.attrs["model_config"] = json.dumps(config)
    return path


def test_an_input_shape_that_is_not_recorded(run: Run, tmp_path: Path) -> None:
    path = without_shape(tmp_path / "late.h5")
    assert "such as --input-shape 64x64x3" in run.fails(3, "inspect", path)
    run("export", path, "-o", "late.py", "--input-shape", "6x2", "--verify")
    module = load_module(tmp_path / "late.py")
    assert module.INPUTS == (("conv_input", (None, 6, 2), "float32"),)
    assert module.EXPORT["input_shape"] == [6, 2]
    x = np.ones((2, 6, 2), "float32")
    assert relative_error(module.predict(x), small(tf_keras, input_shape=(6, 2))(x)) < 1e-5
    assert kerasgen.verify(path, tmp_path / "late.py", input_shape=(6, 2)).ok
    run("export", path, "-o", "late.py", "--input-shape", "6x2", "--check")
    assert "'last'" in run.fails(3, "export", path, "-o", "other.py", "--input-shape", "7x2", "--no-verify")


def test_an_open_input_shape(run: Run, tmp_path: Path) -> None:
    path = without_shape(tmp_path / "late.h5")
    out, _ = run("inspect", path, "--input-shape", "?x2", "--outputs", "conv")
    assert "(None, None, 2)" in out


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ("6,2", "--input-shape is sizes as 64x64x3, ? for an open one, not 6,2"),
        ("0x2", "--input-shape is sizes as 64x64x3"),
        ("6x2", "the model records its input shape: leave the option out"),
    ],
)
def test_input_shapes_that_do_not_help(run: Run, tmp_path: Path, shape: str, message: str) -> None:
    path = save(small(tf_keras, input_shape=(6, 2)), tmp_path / "built.h5")
    assert message in run.fails(2, "inspect", path, "--input-shape", shape)


def test_an_input_shape_for_a_functional_model(run: Run, tmp_path: Path) -> None:
    x = keras.Input((4,))
    path = save(keras.Model(x, L.Dense(3)(x)), tmp_path / "model.keras")
    assert "--input-shape" not in run("inspect", path)[1]
    assert "is for a Sequential model" in run.fails(2, "inspect", path, "--input-shape", "4")


@pytest.mark.skipif(not WILD.exists(), reason="no published models here")
def test_published_files(tmp_path: Path) -> None:
    kerasgen.export(WILD / "ryanh1234_wavenet.h5", tmp_path / "m.py", input_shape=(265, 1), verify=True)
    assert not kerasgen.inspect(WILD / "spadin_model.json", weights=WILD / "spadin_model.h5").problems


@pytest.mark.parametrize("ending", ["h5", "weights.h5"])
def test_weights_without_an_architecture(run: Run, tmp_path: Path, ending: str) -> None:
    model = small(tf_keras if ending == "h5" else keras)
    model.build((None, 6, 2))
    model.save_weights(str(tmp_path / f"net.{ending}"))
    message = run.fails(3, "inspect", f"net.{ending}")
    assert f"the JSON that `model.to_json()` returns as the model, and --weights net.{ending}; or build" in message
    assert "call load_weights and kerasgen.export(model)" in message
    (tmp_path / "a.json").write_text("[1, 2]")
    x = keras.Input((4,))
    (tmp_path / "b.json").write_text(keras.Model(x, L.Dense(3, name="other")(L.Dense(3)(x))).to_json())
    assert "beside it" not in run.fails(3, "inspect", f"net.{ending}")
    (tmp_path / "right.json").write_text(model.to_json())
    assert "(right.json beside it fits)" in run.fails(3, "inspect", f"net.{ending}")


def test_a_reason_that_layers_share_is_told_once(run: Run, tmp_path: Path) -> None:
    x = keras.Input((4,))
    y = x
    for number in range(12):
        y = Odd(name=f"odd_{number}")(y)
    for name in "ab":
        y = L.Lambda(lambda x: x * 2 if x is not None else x, name=name)(y)
    save(keras.Model(x, y), tmp_path / "model.keras")
    odd, functions = kerasgen.inspect("model.keras").problems
    assert odd.startswith("odd_0, odd_1, odd_2, odd_3, odd_4, odd_5, odd_6, odd_7, odd_8, odd_9 and 2 more (")
    assert functions.startswith("a, b (Lambda): ")
    message = run.fails(4, "export", "model.keras")
    assert message.count("Odd=module:function") == 1
    assert "--custom a=module:function, --custom b=module:function" in message


@pytest.mark.parametrize(
    ("name", "meant"), [("modle.keras", "model.keras"), ("model.h5.keras", "model.keras"), ("other.txt", "")]
)
def test_a_name_that_is_nearly_right(run: Run, tmp_path: Path, name: str, meant: str) -> None:
    save(keras.Sequential([keras.Input((4,)), L.Dense(2)]), tmp_path / "model.keras")
    message = run.fails(5, "inspect", name)
    assert "No such file" in message
    assert message.rstrip("\n").endswith(f"; did you mean {meant}?" if meant else "directory")
    assert "did you mean" not in run.fails(5, "inspect", "no folder/model.keras")
