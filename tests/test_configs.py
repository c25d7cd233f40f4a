"""Configs of every Keras come out in one dialect; malformed ones are refused on one line that names the file."""

import json

import numpy as np
import pytest
from model_files import DENSE, fails, layer, legacy
from saved_models import (
    LIBRARIES,
)

from kerasgen.errors import InvalidModelError
from kerasgen.readers import graph_config
from kerasgen.readers.layer_names import KERAS_LAYERS
from kerasgen.readers.model import Ref


def functional(*layers, inputs=(("x", 0, 0),), outputs=(("y", 0, 0),)):
    config = {"name": "m", "layers": [layer("x", "InputLayer", batch_input_shape=[8, 4], dtype="float32"), *layers]}
    config["input_layers"] = inputs if isinstance(inputs, dict) else [list(triple) for triple in inputs]
    config["output_layers"] = [list(triple) for triple in outputs]
    return {"class_name": "Model", "config": config}


def parse(config):
    return graph_config.parse(json.loads(json.dumps(config)), "FILE")


def node3(*args, **kwargs):
    """A call as Keras 3 writes it; a tuple stands for a tensor."""

    def spelled(item):
        if isinstance(item, tuple):
            return {"class_name": "__keras_tensor__", "config": {"keras_history": list(item), "shape": [], "dtype": ""}}
        return [spelled(part) for part in item] if isinstance(item, list) else item

    return {"args": [spelled(item) for item in args], "kwargs": {key: spelled(item) for key, item in kwargs.items()}}


X = Ref("x")
CALLS = {
    "one tensor": ([["x", 0, 0, {}]], ((X,), {})),
    "flattened": (["x", 0, 0, {"axis": 1}], ((X,), {"axis": 1})),
    "without keywords": ([["x", 0, 0]], ((X,), {})),
    "several": ([["x", 0, 0, {}], ["x", 0, 0, {}]], (([X, X],), {})),
    "dict": ({"a": ["x", 0, 0, {}], "b": ["x", 0, 0, {}]}, (({"a": X, "b": X},), {})),
    "keyword tensors": (
        [["x", 0, 0, {"value": ["x", 0, 0], "states": [["x", 0, 0]]}]],
        ((X,), {"value": X, "states": [X]}),
    ),
    "keywords that say nothing": ([["x", 0, 0, {"mask": None, "training": False}]], ((X,), {})),
    "training": ([["x", 0, 0, {"training": True}]], ((X,), {"training": True})),
    "constant": (["_CONSTANT_VALUE", -1, 2.0, {"y": ["x", 0, 0]}], ((2.0,), {"y": X})),
    "keras 3": (node3(("x", 0, 0), 1.0, mask=None), ((X, 1.0), {})),
    "keras 3 list": (node3([("x", 0, 0), ("x", 0, 0)], mask=[None, None]), (([X, X],), {})),
    "keras 3 keyword": (node3(("x", 0, 0), mask=("x", 0, 0), training=False), ((X,), {"mask": X})),
}


@pytest.mark.parametrize("form", CALLS)
def test_calls(form):
    node, wanted = CALLS[form]
    (call,) = parse(functional(layer("y", nodes=[node], trainable=True))).layers[1].calls
    assert (call.args, call.kwargs) == wanted


def test_slices_and_constants():
    spec = {"slice_spec": [{"start": None, "stop": ["x", 0, 0], "step": 2}, {"class_name": "__ellipsis__"}, None]}
    (call,) = parse(functional(layer("y", "SlicingOpLambda", [["x", 0, 0, spec]]))).layers[1].calls
    assert call.kwargs["slice_spec"] == [slice(None, X, 2), ..., None]
    part = {"class_name": "__slice__", "config": {"start": None, "stop": 3, "step": None}}
    array = {"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "int32"}}
    y = parse(functional(layer("y", "GetItem", [node3(("x", 0, 0), [part], array)]))).layers[1]
    assert y.kind == "ops.GetItem"
    assert y.calls[0].args[1] == [slice(None, 3)]
    assert y.calls[0].args[2].dtype == np.int32


SETTINGS = [
    ("InputLayer", {"batch_input_shape": [8, 4]}, {"batch_shape": (8, 4)}),
    ("LeakyReLU", {"alpha": 0.1}, {"negative_slope": 0.1}),
    ("ELU", {"alpha": 0.1}, {"alpha": 0.1}),
    ("BatchNormalization", {"axis": [3], "fused": True}, {"axis": 3}),
    ("GRU", {"time_major": False, "implementation": 2}, {"reset_after": False}),
    ("GRU", {"time_major": True, "reset_after": True}, {"time_major": True, "reset_after": True}),
    ("DepthwiseConv2D", {"groups": 1, "depthwise_initializer": {"class_name": "Zeros", "config": {}}}, {}),
    ("Conv2D", {"groups": 2, "batch_input_shape": [None, 4], "kernel_regularizer": None}, {"groups": 2}),
    ("Dense", {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}}, {"dtype": "mixed_float16"}),
    (
        "Dense",
        {"dtype": {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8", "source_name": "float32"}}},
        {"dtype": "int8_from_float32"},
    ),
    ("Dense", {"activation": {"class_name": "function", "config": "relu"}}, {"activation": "relu"}),
    (
        "Dense",
        {"activation": {"module": "keras.layers", "class_name": "LeakyReLU", "config": {"alpha": 0.1}}},
        {"activation": {"class_name": "LeakyReLU", "config": {"negative_slope": 0.1}}},
    ),
    ("Reshape", {"target_shape": {"class_name": "__tuple__", "items": [4, 1]}}, {"target_shape": (4, 1)}),
    ("Reshape", {"target_shape": {"class_name": "TensorShape", "items": [4, None]}}, {"target_shape": (4, None)}),
]


@pytest.mark.parametrize(("kind", "written", "wanted"), SETTINGS)
def test_settings(kind, written, wanted):
    first = [layer("x", "InputLayer", batch_shape=[None, 4])] if kind != "InputLayer" else []
    made = parse({"class_name": "Sequential", "config": [*first, layer("y", kind, **written)]}).layers[-1]
    assert (made.kind, made.config) == (kind, {"name": "y", **wanted})


KINDS = [
    ({"class_name": "Dense", "module": "keras.layers", "registered_name": None}, "Dense"),
    ({"class_name": "LayerScale", "module": "keras.src.applications.convnext"}, "LayerScale"),
    ({"class_name": "Dense", "module": "mine", "registered_name": "pkg>Dense"}, "pkg>Dense"),
    ({"class_name": "Dense", "module": None, "registered_name": "Dense"}, "custom>Dense"),
    ({"class_name": "Capsule", "module": "mine", "registered_name": "pkg>Capsule"}, "Capsule"),
    ({"class_name": "Addons>GroupNormalization"}, "Addons>GroupNormalization"),
    ({"class_name": "Addons>WeightNormalization"}, "WeightNormalization"),
    ({"class_name": "BatchNormalizationV1"}, "BatchNormalization"),
]


@pytest.mark.parametrize(("written", "kind"), KINDS)
def test_kinds(written, kind):
    config = functional(layer("y", nodes=[[["x", 0, 0, {}]]]))
    config["config"]["layers"][1].update(written)
    assert parse(config).layers[1].kind == kind


def test_known_layers_are_all_of_keras():
    for library in LIBRARIES.values():
        exported = {name for name, item in vars(library.layers).items() if isinstance(item, type)}
        assert {
            name for name in exported if issubclass(getattr(library.layers, name), library.layers.Layer)
        } <= KERAS_LAYERS


@pytest.mark.parametrize(
    ("first", "top", "wanted"),
    [
        ({"batch_input_shape": [32, 5]}, {}, (32, 5)),
        ({}, {"build_input_shape": [None, 6]}, (None, 6)),
    ],
)
def test_sequential_gets_its_input_layer(first, top, wanted):
    spec = parse({"class_name": "Sequential", "config": {"name": "s", "layers": [layer("d", **first)], **top}})
    assert [layer.kind for layer in spec.layers] == ["InputLayer", "Dense"]
    assert spec.layers[0].config == {"name": "d_input", "batch_shape": wanted, "dtype": "float32"}
    assert spec.inputs == Ref("d_input")
    assert spec.layers[1].calls[0].args == (Ref("d_input"),)


TEXTS = {
    "truncated": '{"class_name": "Seq',
    "duplicate keys": '{"a": 1, "a": 2}',
    "1e999": '{"a": 1e999}',
    "5000 digits": f'{{"a": {"9" * 5000}}}',
    "deep": '{"a":' * 100_000,
    "bad UTF-8": b'{"a": "\xff"}',
    "lone surrogate": '{"a": "\\ud800"}',
    "no class": '{"a": 1}',
    "a list": "[1, 2]",
}


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_json(text, tmp_path):
    data = TEXTS[text] if isinstance(TEXTS[text], bytes) else TEXTS[text].encode()
    (tmp_path / "arch.json").write_bytes(data)
    said = "not a Keras model" if text in ("no class", "a list") else "malformed JSON"
    fails(InvalidModelError, said, tmp_path / "arch.json")
    if len(data) < 60_000:  # an attribute holds no more
        fails(InvalidModelError, said, legacy(tmp_path / "m.h5", config=np.void(data).tobytes()))


def deep(levels):
    config = DENSE
    for number in range(levels):
        config = {"class_name": "Sequential", "config": {"name": f"s{number}", "layers": [config]}}
    return config


GRAPHS = {
    "missing layer": (functional(layer("y", nodes=[[["z", 0, 0, {}]]])), "layer 'y': reads from layer 'z'"),
    "missing call": (functional(layer("y", nodes=[[["x", 1, 0, {}]]])), "layer 'y': reads output 0 of call 1"),
    "negative call": (functional(layer("y", nodes=[[["x", -1, 0, {}]]])), "reads output 0 of call -1"),
    "negative tensor": (functional(layer("y", nodes=[[["x", 0, -1, {}]]])), "reads output -1 of call 0"),
    "keras 3 index": (functional(layer("y", nodes=[node3(("x", "0", 0))])), "malformed config"),
    "keras 3 name": (functional(layer("y", nodes=[node3((["x"], 0, 0))])), "malformed config"),
    "missing output": (functional(layer("z", nodes=[[["x", 0, 0, {}]]])), "inputs or outputs: reads from layer 'y'"),
    "same name": (functional(layer("x", nodes=[[["x", 0, 0, {}]]])), "the layer name 'x' appears twice"),
    "no outputs": (functional(outputs=()), "inputs or outputs are not lists of tensors"),
    "node is a number": (functional(layer("y", nodes=[5])), "layer 'y': malformed config"),
    "node is text": (functional(layer("y", nodes=["text"])), "too deeply"),
    "layer is a number": ({"class_name": "Sequential", "config": [5]}, "a layer without class or name"),
    "layer without name": ({"class_name": "Sequential", "config": [{"class_name": "Dense"}]}, "without class or name"),
    "config is a number": (functional({**layer("y"), "config": 5}), "layer 'y': malformed config"),
    "module is a number": (functional({**layer("y"), "module": 5}), "inputs or outputs"),
    "layers is text": ({"class_name": "Sequential", "config": {"layers": "abc"}}, "its layers are not a list"),
    "no layers": ({"class_name": "Sequential", "config": []}, "has no layers"),
    "never built": ({"class_name": "Sequential", "config": [layer("d")]}, "model 'sequential' was never built"),
    "no shape": (
        {"class_name": "Sequential", "config": [layer("x", "InputLayer")]},
        "layer 'x': the shape of the model",
    ),
    "bad shape": (
        {"class_name": "Sequential", "config": [layer("x", "InputLayer", batch_shape=[None, True])]},
        "layer 'x': the shape of the model's input has an axis True long",
    ),
    "object constant": (
        functional(layer("y", "Add", [node3({"class_name": "__numpy__", "config": {"value": [], "dtype": "O"}})])),
        "layer 'y': a constant has the unusable type 'O'",
    ),
    "marker without content": (functional(layer("y", z={"class_name": "__tuple__"})), "layer 'y': malformed config"),
    "deep": (deep(250), "nested too deeply"),
}


@pytest.mark.parametrize("config", GRAPHS)
def test_hostile_configs(config, tmp_path):
    config, said = GRAPHS[config]
    (tmp_path / "arch.json").write_text(json.dumps(config))
    fails(InvalidModelError, said, tmp_path / "arch.json")
