"""Building graphs: names, what is unsupported, what contradicts itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from support import SHARED_MODELS, randomize, relative_error

import kerasgen
from kerasgen import kernels
from kerasgen.builder import Built, build
from kerasgen.emit.load import load_module
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Value
from kerasgen.layers import RULES, rule
from kerasgen.names import PYTHON, Namespace, identifier, path_name
from kerasgen.readers import read


def built(model: Any, folder: Path) -> Built:
    path = folder / "model.keras"
    model.save(path)
    return build(read(path))


def from_config(folder: Path, *layers: dict[str, Any]) -> Built:
    """A Sequential model by its configs, with weights of another: only the architecture is read."""
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}, "keras_version": "2.15.0"}
    (folder / "net.json").write_text(json.dumps(config))
    keras.Sequential([keras.Input((1,)), L.Dense(1)]).save_weights(folder / "net.weights.h5")
    return build(read(folder / "net.json", folder / "net.weights.h5"))


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


IMAGE = layer("InputLayer", batch_input_shape=[None, 8, 8, 3], dtype="float32")


@keras.saving.register_keras_serializable("tests")
class Swirl(L.Layer):
    def call(self, x: Any) -> Any:
        return x


def test_everything_unsupported_is_listed_at_once(tmp_path: Path) -> None:
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(2, 3, name="fine")(x)
    y = Swirl(name="first")(y)
    y = L.Conv2D(2, 3, name="after")(y)
    y = L.Add(name="join")([Swirl(name="second")(y), L.Conv2D(2, 5)(x)])
    result = built(keras.Model(x, y), tmp_path)
    (problem,) = result.problems
    assert problem.startswith("first, second (")
    shapes = {report.name: report.shapes for report in result.layers}
    assert shapes["fine"] == ((None, 6, 6, 2),)
    assert shapes["first"] == ((None, 6, 6, 2),)  # the file has it, where its reader stands
    assert shapes["after"] == ((None, 4, 4, 2),)
    with pytest.raises(kerasgen.UnsupportedModelError, match=r"first, second \(Swirl\): ") as caught:
        result.bind()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "config", "message"),
    [
        ("Conv2D", {"filters": "4", "kernel_size": 3}, "filters = '4', not a whole number from 1"),
        ("Conv2D", {"filters": 4, "kernel_size": [3, 3, 3]}, "kernel_size = .*, not 2 numbers"),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 0}, "strides = 0, not a whole number from 1"),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": -1}, "strides = -1"),
        ("Conv2D", {"filters": True, "kernel_size": 3}, "filters = True"),
        ("Conv2D", {"filters": 10**12, "kernel_size": 3}, "filters = 1000000000000"),
        ("Conv2D", {"filters": 4}, "lacks 'kernel_size'"),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "full"}, "padding = 'full', not one of valid, same"),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2}, "2 groups do not divide 3 channels"),
        ("Conv2D", {"filters": 4, "kernel_size": 9}, "does not fit"),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": "yes"}, "use_bias = 'yes', not true or false"),
        ("Dense", {"units": 2.5}, "units = 2.5"),
        ("Reshape", {"target_shape": [7, -1]}, "cannot reshape"),
        ("Reshape", {"target_shape": [10, 3]}, "cannot reshape"),
        ("ZeroPadding2D", {"padding": [1, 2, 3]}, "padding = .*, not 2 numbers or pairs"),
        ("LeakyReLU", {"negative_slope": "steep"}, "negative_slope = 'steep', not a number"),
    ],
)
def test_a_wrong_setting_is_the_files_fault(tmp_path: Path, kind: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(kerasgen.InvalidModelError, match=message) as caught:
        from_config(tmp_path, IMAGE, layer(kind, **config))
    assert f"layer '{kind.lower()}' ({kind})" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "config"),
    [("Dense", {"units": 3}), ("Flatten", {})],
)
def test_a_size_that_must_be_known(tmp_path: Path, kind: str, config: dict[str, Any]) -> None:
    """A dense layer behind a flattened image of any size, and the like."""
    image = layer("InputLayer", batch_input_shape=[None, None, 8, 3], dtype="float32")
    layers = [image, layer("Flatten")] if kind == "Dense" else [image]
    result = from_config(tmp_path, *layers, layer(kind, **config))
    if kind == "Flatten":
        assert not result.problems
        assert result.layers[-1].shapes == ((None, None),)
    else:
        assert "known" in result.problems[0]


def test_training_at_inference_is_refused(tmp_path: Path) -> None:
    """In files of Keras 2; from Keras 3 on, `predict` does not heed it."""
    x = keras.Input((4,))
    result = built(keras.Model(x, L.Dropout(0.5)(x, training=True)), tmp_path)
    assert not result.problems
    result = build(replace(result.file, keras_version="2.15.0"))
    assert "training=True" in result.problems[0]


def test_weights_that_differ_from_the_config(tmp_path: Path) -> None:
    with pytest.raises(kerasgen.InvalidModelError):
        from_config(tmp_path, IMAGE, layer("Conv2D", filters=4, kernel_size=3)).bind()


def test_a_shared_layer_has_one_weight_and_two_values(tmp_path: Path) -> None:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    dense = L.Dense(4, name="both")
    result = built(keras.Model([a, b], [dense(a), dense(b)]), tmp_path)
    assert [variable.key for variable in result.variables] == ["both/kernel", "both/bias"]
    assert result.graph.layers == {"both": ("both",), "both#2": ("both_2",)}


def test_a_rule_is_entered_once() -> None:
    with pytest.raises(ValueError, match="Conv2D already"):
        rule("Conv2D")(lambda layer, x: x)


def test_every_rule_says_what_it_does() -> None:
    assert [kind for kind, function in RULES.items() if not function.__doc__ and not kind.startswith("ops.")] == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("conv2d_1", "conv2d_1"),
        ("block/conv-1", "block_conv_1"),
        ("2nd", "layer_2nd"),
        ("Größe", "Groe"),
        ("", "layer"),
        ('"""\n{{ x }}', "x"),
        ("\u202eevil", "evil"),
        ("卷积", "layer"),
        ("a" * 500, "a" * 80),
    ],
)
def test_identifier(text: str, name: str) -> None:
    assert identifier(text) == name


def test_namespace() -> None:
    names = Namespace([*PYTHON, "relu"], expected=["x1_2"])
    given = [names.new(text) for text in ("class", "relu", "print", "x1", "x1", "x1_2", "match")]
    assert given == ["class_2", "relu_2", "print_2", "x1", "x1_3", "x1_2", "match_2"]


def test_path_name() -> None:
    assert path_name(("a", "b", "c")) == "a_b_c"
    assert path_name(("stem", "stem_conv")) == "stem_conv"


def test_layers_keep_their_names(tmp_path: Path) -> None:
    """A layer called like a kernel leaves the other names alone, and its weights have its own name."""
    names = ["conv2d", "conv2d_1", "conv2d_2"]
    model = keras.Sequential([keras.Input((9, 9, 1)), *(L.Conv2D(2, 3, name=name) for name in names)])
    result = built(model, tmp_path)
    assert [variable.key for variable in result.variables[::2]] == [f"{name}/kernel" for name in names]
    assert [node.output for node in result.graph.nodes] == ["conv2d_3", "conv2d_1", "conv2d_2"]


def test_infer_knows_what_is_open() -> None:
    image = Value("x", (None, None, 20, 3), "float32")
    assert infer(kernels.max_pool, [image], {"size": (2, 2), "strides": (2, 2)}) == [((None, None, 10, 3), "float32")]
    assert infer(np.max, [image], {"axis": 0}) == [((None, 20, 3), "float32")]  # fails on an empty batch
    assert infer(np.argmax, [image], {"axis": -1}) == [((None, None, 20), "int64")]
    with pytest.raises(ValueError, match="zero-size"):  # of a larger one, not even two samples are tried
        infer(np.max, [Value("large", (None, None, 1 << 16), "float32")], {"axis": 0})
    with pytest.raises(ValueError, match="does not fit"):
        infer(kernels.max_pool, [image], {"size": (2, 30), "strides": (2, 2)})


@pytest.mark.skipif(not SHARED_MODELS.is_dir(), reason="the models from the wild are not here")
def test_a_model_from_the_wild(tmp_path: Path) -> None:
    golden = np.load(SHARED_MODELS / "keras2.0.5_mini_xception.golden.npz")
    kerasgen.export(SHARED_MODELS / "keras2.0.5_mini_xception.hdf5", tmp_path / "module.py", verify=False)
    module = load_module(tmp_path / "module.py")
    assert np.abs(module.predict(golden["x"]) - golden["y"]).max() < 1e-5


def test_a_live_model(tmp_path: Path) -> None:
    model = randomize(keras.Sequential([keras.Input((5, 5, 2)), L.Conv2D(3, 3), L.Flatten(), L.Dense(2)]))
    result = kerasgen.export(model, tmp_path / "module.py")
    assert result.outputs[0].relative < 1e-5
    x = np.random.RandomState(1).standard_normal((2, 5, 5, 2)).astype("float32")
    assert relative_error(load_module(tmp_path / "module.py").predict(x), model(x)) < 1e-5
