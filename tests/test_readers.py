"""Readers: every way in which Keras saves a model gives the same architecture and the model's own weights."""

import json
import os
import warnings
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from kerasgen.errors import FileError, InvalidModelError, UnsupportedModelError
from kerasgen.model import Ref, Variable, leaves, map_leaves
from kerasgen.readers import graph_config, read
from kerasgen.readers.layer_names import KERAS_LAYERS

keras = pytest.importorskip("keras")
tf_keras = pytest.importorskip("tf_keras")

SHARED = Path(__file__).parents[2] / "shared" / "models"
LIBRARIES = {"keras3": keras, "keras2": tf_keras}


def noise(shape, seed):
    return np.random.RandomState(seed).uniform(0.1, 1.0, shape)


# --- models: each takes the library that makes it --------------------------------------------------------------------


def plain_sequential(k):
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((8, 8, 3)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Conv2D(4, 3, use_bias=False),
            layers.LeakyReLU(0.2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def sequential_without_input(k):
    model = k.Sequential([k.layers.Dense(4), k.layers.Dense(4)], name="late")
    model.build((None, 4))
    return model


def shared_layers(k):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(4, name="shared")
    other = k.layers.Dense(4, name="other")
    x = k.layers.Concatenate()([shared(a), other(b)])
    y = k.layers.Add()([shared(b), shared(other(a))])
    return k.Model([a, b], [x, y])


def dict_in_dict_out(k):
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    x = k.layers.Subtract()([k.layers.Dense(3)(b), k.layers.Dense(3)(a)])
    return k.Model({"a": a, "b": b}, {"difference": x, "dense": k.layers.Dense(2)(x)})


def block(k, name="block"):
    inputs = k.Input((4,), name=f"{name}_input")
    x = k.layers.Dense(4, name="d1")(inputs)
    x = k.layers.BatchNormalization(name="norm")(x)
    return k.Model(inputs, k.layers.Dense(4, name="d2")(x), name=name)


def nested_once(k):
    inputs = k.Input((4,))
    return k.Model(inputs, k.layers.Dense(4, name="head")(block(k)(inputs)))


def nested_thrice(k):
    inputs, inner = k.Input((4,)), block(k)
    tail = k.Sequential([k.layers.Input((4,)), k.layers.Dense(4, name="d1")], name="tail")
    first = inner(inputs)
    second = tail(inner(first))
    return k.Model(inputs, [second, inner(tail(second)), first])


def nested_twice_deep(k):
    outer_inputs, inner = k.Input((4,)), block(k)
    tail = k.Sequential([k.layers.Input((4,)), k.layers.Dense(4)], name="tail")
    outer = k.Model(outer_inputs, inner(tail(inner(outer_inputs))), name="outer")
    inputs = k.Input((4,))
    return k.Model(inputs, [outer(outer(inputs)), tail(inputs)])


def frozen_inner_layer(k):
    model = nested_twice_deep(k)
    model.get_layer("outer").get_layer("block").get_layer("d1").trainable = False
    return model


def frozen_submodel(k):
    model = nested_thrice(k)
    model.get_layer("block").trainable = False
    return model


def ambiguous_names(k):
    """Both directions of a nested layer mention it and end alike: only the order tells their weights apart."""
    inputs = k.Input((5, 4))
    x = k.layers.BatchNormalization(name="norm")(inputs)
    x = k.layers.Dense(4, name="frozen", trainable=False)(x)
    x = k.layers.Bidirectional(k.layers.LSTM(4), name="both")(x)
    inner = k.Model(inputs, k.layers.Dense(4, name="dense")(x), name="inner")
    outer = k.Input((5, 4))
    return k.Model(outer, inner(outer))


def shared_between_models(k):
    """One layer in two models: the archive has it once, legacy HDF5 in each."""
    one, two = k.Input((4,)), k.Input((4,))
    shared = k.layers.Dense(4, name="shared")
    first = k.Model(one, k.layers.Dense(4, name="d1")(shared(one)), name="first")
    second = k.Model(two, k.layers.Dense(4, name="d2")(shared(two)), name="second")
    inputs = k.Input((4,))
    return k.Model(inputs, k.layers.Dense(4, name="d3")(shared(second(first(inputs)))))


def sequential_of_models(k):
    return k.Sequential([block(k, "first"), k.layers.Dense(4), k.Sequential([k.layers.Dense(4)], name="last")])


def parts_of_layers(k):
    layers = k.layers
    inputs = k.Input((6, 4))
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(inputs)
    x = layers.RNN([layers.LSTMCell(2), layers.GRUCell(3), layers.LSTMCell(2)], return_sequences=True)(x)
    x = layers.TimeDistributed(layers.Dense(4))(x)
    x = layers.TimeDistributed(block(k))(x)
    x = layers.MultiHeadAttention(2, 3)(x, x)
    if k is keras:  # that of tf_keras fails beside Keras 3
        x = layers.SpectralNormalization(layers.Conv1D(4, 1))(x)
    x = layers.SeparableConv1D(2, 1)(x)
    return k.Model(inputs, layers.GRU(2, reset_after=False)(x))


def more_than_ten(k):
    return k.Sequential([k.layers.Input((3,)), *(k.layers.Dense(3) for _ in range(12))])


MODELS = [
    plain_sequential,
    sequential_without_input,
    shared_layers,
    dict_in_dict_out,
    nested_once,
    nested_thrice,
    nested_twice_deep,
    frozen_inner_layer,
    frozen_submodel,
    ambiguous_names,
    shared_between_models,
    sequential_of_models,
    parts_of_layers,
    more_than_ten,
]


def operations():
    inputs = keras.Input((4, 3), name="x")
    ops = keras.ops
    x = keras.layers.Dense(3, name="dense")(inputs)
    x = x[:, 1:3, ::2] + 1.0
    x = ops.multiply(x, np.array([1.0, 2.0], "float32"))
    x = keras.layers.Add(name="layer_add")([x, ops.add(x, ops.array([[3.0, 4.0]]))])
    x = x[..., None, 0]
    return keras.Model(inputs, ops.sum(ops.stack([x, -x * x], axis=1), axis=(1, 2), keepdims=True))


def operations_of_tf():
    tf = pytest.importorskip("tensorflow")
    inputs = tf_keras.Input((4, 3), name="x")
    x = tf_keras.layers.Dense(3, name="dense")(inputs)
    x = tf.stack([x, 2.0 * x], axis=1)[:, :, 1:, ::2]
    x = tf.add(tf.constant([[1.0, 2.0]]), 3.0 - x)
    x = tf.reduce_mean(tf.concat([x], 1), axis=1)
    y = tf_keras.layers.MultiHeadAttention(1, 2)(x, value=x)
    return tf_keras.Model(inputs, [y, tf.concat([x, y], axis=-1)])


def masked():
    inputs = keras.Input((5,))
    x = keras.layers.Embedding(6, 4, mask_zero=True)(inputs)
    return keras.Model(inputs, keras.layers.LSTM(3)(x, initial_state=[x[:, 0, :3], x[:, 1, 1:]]))


# --- what a live model has -------------------------------------------------------------------------------------------


def randomise(model):
    for seed, weight in enumerate(model.weights):
        weight.assign(
            np.asarray(noise(weight.shape, seed) * 9).astype(weight.dtype if weight.shape == () else "float32")
        )
    return model


def make(build, k):
    keras.backend.clear_session()
    tf_keras.backend.clear_session()
    return randomise(build(k))


def declared(model, owner=(), frozen=False):
    """The variables that rules would declare for a live model, each with its value."""
    found = []
    for layer in model.layers:
        path, held = (*owner, layer.name), frozen or not layer.trainable
        inner = layer if hasattr(layer, "layers") else getattr(layer, "layer", None)
        if hasattr(inner, "layers"):
            found += declared(inner, path, held)
        else:
            for name, weight in parts(layer):
                key = "/".join((*path, name))
                variable = Variable(key, path, name, tuple(weight.shape), bool(weight.trainable), held)
                found.append((variable, np.asarray(weight)))
    return found


def parts(layer, prefix="", seen=None):
    """A layer's own variables, then those of the objects it holds, by the path of attributes that leads to them."""
    seen = set() if seen is None else seen
    if type(layer).__name__ == "SpectralNormalization":  # it also holds the wrapped kernel as its own
        yield from parts(layer.layer, "layer/", seen)
    kind = "variables" if isinstance(layer, keras.Layer) else "weights"
    for weight in getattr(layer, f"_trainable_{kind}") + getattr(layer, f"_non_trainable_{kind}"):
        if id(weight) not in seen:
            seen.add(id(weight))
            yield prefix + weight.name.partition(":")[0].rpartition("/")[2], weight
    inner = layer._layers if isinstance(layer, keras.Layer) else layer._flatten_layers(False, False)
    count = {}
    for part in inner:
        if not part.weights:
            continue
        if part in getattr(layer, "cells", []):
            kind = {"LSTMCell": "lstm_cell", "GRUCell": "gru_cell"}[type(part).__name__]
            count[kind] = count.get(kind, -1) + 1
            attribute = f"cells/{kind}_{count[kind]}" if count[kind] else f"cells/{kind}"
        else:
            attribute = next(name for name, value in vars(layer).items() if value is part).lstrip("_")
        yield from parts(part, f"{prefix}{attribute}/", seen)


def check_weights(file, model):
    """`bind` returns every weight of the model, and nothing else."""
    wanted = declared(model)
    got = file.weights.bind(file.model, [variable for variable, _ in wanted])
    assert len(got) == len(wanted)
    for variable, value in wanted:
        np.testing.assert_array_equal(got[variable.key], value, err_msg=variable.key)
        assert got[variable.key].dtype == value.dtype


def check_graph(spec, model):
    """The spec's calls, made with the model's own layers, give the model's own answer."""
    made = {}
    inputs = [layer for layer in spec.layers if layer.kind == "InputLayer"]
    arrays = {layer.name: noise((2, *layer.config["batch_shape"][1:]), 7).astype("float32") for layer in inputs}
    for name, array in arrays.items():
        made[name, 0] = [array]
    tools = {tool.name: tool for tool in getattr(model, "operations", model.layers)}
    pending = [(layer, call) for layer in spec.layers for call in range(len(layer.calls))]
    while pending:
        layer, index = next(item for item in pending if ready(item, made))
        call = layer.calls[index]
        args, kwargs = map_leaves([call.args, call.kwargs], lambda ref: made[ref.layer, ref.call][ref.index])
        answer = tools[layer.name](*args, **kwargs)
        made[layer.name, index] = flat(answer)
        pending.remove((layer, index))
        if layer.model is not None:
            check_graph(layer.model, tools[layer.name])
    given = map_leaves(spec.inputs, lambda ref: arrays[ref.layer])
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    wanted = flat(model(given))
    got = [made[ref.layer, ref.call][ref.index] for ref in leaves(spec.outputs)]
    assert len(got) == len(wanted)
    for mine, theirs in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5)


def ready(item, made):
    call = item[0].calls[item[1]]
    return all((ref.layer, ref.call) in made for ref in leaves([call.args, call.kwargs]))


def flat(answer):
    if isinstance(answer, dict):
        return list(answer.values())
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]


def save(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


# --- every way of saving ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("build", MODELS)
def test_files_give_graph_and_weights(build, library, tmp_path):
    model = make(build, LIBRARIES[library])
    (tmp_path / "arch.json").write_text(model.to_json())
    model.save_weights(tmp_path / "new.weights.h5")
    files = {
        "keras": read(save(model, tmp_path / "model.keras")),
        "h5": read(str(save(model, tmp_path / "model.h5"))),
        "live": read(model),
        "pair": read(tmp_path / "arch.json", tmp_path / "new.weights.h5"),
        "json and .keras": read(tmp_path / "arch.json", weights=tmp_path / "model.keras"),
    }
    if library == "keras2":
        model.save_weights(tmp_path / "old.h5")
        files["legacy pair"] = read(tmp_path / "arch.json", tmp_path / "old.h5")
    for form, file in files.items():
        assert file.keras_version.split(".")[0] == library[-1], form
        assert file.model == files["keras"].model, form
        check_weights(file, model)
    check_graph(files["keras"].model, model)


@pytest.mark.parametrize("build", [operations, masked, operations_of_tf])
def test_operations(build, tmp_path):
    keras.backend.clear_session()
    model = randomise(build())
    for ending in ("keras", "h5"):
        file = read(save(model, tmp_path / f"model.{ending}"))
        check_weights(file, model)
        check_graph(file.model, model)


def test_layers_match_by_order_where_names_differ(tmp_path):
    """An architecture and weights of two sessions: the same model, other automatic names."""
    for library, ending in ((keras, "new.weights.h5"), (tf_keras, "new.weights.h5"), (tf_keras, "old.h5")):
        model = make(plain_sequential, library)
        other = plain_sequential(library)
        (tmp_path / "arch.json").write_text(other.to_json())
        model.save_weights(tmp_path / ending)
        other.set_weights(model.get_weights())
        check_weights(read(tmp_path / "arch.json", tmp_path / ending), other)


def test_dependency_lists_of_tensorflow_2_12(tmp_path):
    """Every layer with weights is listed twice there, so that the second of a class is called `_2`."""
    model = make(more_than_ten, tf_keras)
    model.save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "arch.json").write_text(model.to_json())
    with h5py.File(tmp_path / "new.weights.h5") as new, h5py.File(tmp_path / "old.weights.h5", "w") as old:
        old.create_group("vars")
        for number in range(12):
            name = f"_layer_checkpoint_dependencies/dense{f'_{2 * number}' if number else ''}"
            new.copy(f"layers/dense{f'_{number}' if number else ''}", old, name)
    check_weights(read(tmp_path / "arch.json", tmp_path / "old.weights.h5"), model)


def test_bfloat16_becomes_float32(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16", name="dense")])
    kernel = np.asarray(model.get_weights()[0]).astype("float32")
    for ending in ("keras", "h5"):
        file = read(save(model, tmp_path / f"model.{ending}"))
        assert file.model.layers[1].config["dtype"] == "bfloat16"
        got = file.weights.bind(file.model, VARIABLES)["kernel"]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, kernel)


@pytest.mark.parametrize("name", ["keras2.0.5_mini_xception.hdf5", "tfkeras2.2.4_simple_rnn.h5"])
def test_files_of_old_keras(name):
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{name} is not distributed with the project")
    file = read(path)
    assert name.startswith(f"{'keras' if 'xception' in name else 'tfkeras'}{file.keras_version.removesuffix('-tf')}")
    with h5py.File(path) as stored:
        variables, wanted = [], {}
        for layer, group in stored["model_weights"].items():
            for key in group.attrs["weight_names"]:
                data = group[key]
                last = key.decode().rpartition("/")[2].removesuffix(":0")
                variables.append(Variable(f"{layer}/{last}", (layer,), last, data.shape, "moving" not in last))
                wanted[f"{layer}/{last}"] = data[()]
    got = file.weights.bind(file.model, variables)
    assert got.keys() == wanted.keys()
    assert all(np.array_equal(got[key], wanted[key]) for key in wanted)
    assert all(layer.calls for layer in file.model.layers if layer.kind != "InputLayer")


# --- the dialect -----------------------------------------------------------------------------------------------------


def layer(name, kind="Dense", nodes=(), **config):
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": list(nodes)}


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
    ("InputLayer", {"batch_input_shape": [8, 4]}, {"batch_shape": (None, 4)}),
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
        ({"batch_input_shape": [32, 5]}, {}, (None, 5)),
        ({}, {"build_input_shape": [None, 6]}, (None, 6)),
    ],
)
def test_sequential_gets_its_input_layer(first, top, wanted):
    spec = parse({"class_name": "Sequential", "config": {"name": "s", "layers": [layer("d", **first)], **top}})
    assert [layer.kind for layer in spec.layers] == ["InputLayer", "Dense"]
    assert spec.layers[0].config == {"name": "d_input", "batch_shape": wanted, "dtype": "float32"}
    assert spec.inputs == Ref("d_input")
    assert spec.layers[1].calls[0].args == (Ref("d_input"),)


# --- what must be refused, on one line that names the file -----------------------------------------------------------


def load(*sources):
    file = read(*sources)
    return file.weights.bind(file.model, VARIABLES)


def fails(error, said, *sources):
    with pytest.raises(error) as caught:
        load(*sources)
    assert type(caught.value) is error
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert any(str(source) in str(caught.value) for source in sources)


VARIABLES = [Variable("kernel", ("dense",), "kernel", (3, 2)), Variable("bias", ("dense",), "bias", (2,))]
DENSE = {
    "class_name": "Sequential",
    "config": {"name": "s", "layers": [layer("dense", units=2, batch_input_shape=[None, 3])]},
}


def legacy(path, change=None, config=DENSE):
    """The smallest legacy file, changed."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, (str, bytes)) else json.dumps(config)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"dense"]
        group = root.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"] = np.arange(6, dtype="float32").reshape(3, 2)
        group["dense/bias:0"] = np.ones(2, "float32")
        if change:
            change(group)
    return path


def put(data=None, key="dense/bias:0", **how):
    def change(group):
        del group[key]
        if isinstance(data, (h5py.SoftLink, h5py.ExternalLink)):
            group[key] = data
        else:
            group.create_dataset(key, data=data, **how)

    return change


def named(*names):
    return lambda group: group.attrs.__setitem__("weight_names", list(names))


def split_names(group):
    del group.attrs["weight_names"]
    group.attrs["weight_names0"], group.attrs["weight_names1"] = ["dense/kernel:0"], ["dense/bias:0"]


def virtual(group):
    layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(2,))
    del group["dense/bias:0"]
    group.create_virtual_dataset("dense/bias:0", layout)


BIAS = np.ones(2, "float32")
READABLE = {
    "as it is": None,
    "big-endian": put(BIAS.astype(">f4")),
    "float16": put(BIAS.astype("float16")),
    "float64": put(BIAS.astype("float64")),
    "gzip": put(BIAS, compression="gzip", shuffle=True, fletcher32=True),
    "lzf": put(BIAS, compression="lzf"),
    "names as text": named("dense/kernel:0", "dense/bias:0"),
    "names in another order": named("dense/bias:0", "dense/kernel:0"),
    "split names": split_names,
    "random state": lambda group: (
        group.create_dataset("dense/StateVar:0", data=[1, 2, 3]),
        named("dense/kernel:0", "dense/bias:0", "dense/StateVar:0")(group),
    ),
}


@pytest.mark.parametrize("change", READABLE)
def test_readable_hdf5(change, tmp_path):
    got = load(legacy(tmp_path / "m.h5", READABLE[change]))
    np.testing.assert_array_equal(got["kernel"], np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(got["bias"], [1, 1])
    assert got["bias"].dtype.isnative
    assert got["bias"].flags.aligned


HOSTILE = {
    "missing dataset": (lambda group: group.__delitem__("dense/bias:0"), "'dense/bias:0' is missing"),
    "missing group": (lambda group: group.parent.__delitem__("dense"), "layer 'dense'"),
    "missing name": (named("dense/kernel:0"), "layer 'dense' has 1 weights in the file, but the architecture says 2"),
    "extra name": (
        lambda group: (group.create_dataset("x", data=BIAS), named("dense/kernel:0", "dense/bias:0", "x")(group)),
        "layer 'dense' has 3 weights",
    ),
    "extra layer": (
        lambda group: (
            group.parent.copy(group, "more"),
            group.parent.attrs.__setitem__("layer_names", ["dense", "more"]),
        ),
        "layer 'more' is not in the model",
    ),
    "no layer": (lambda group: group.attrs.__delitem__("weight_names"), "layer 'dense' has no weights in the file"),
    "shape": (put(np.ones(3, "f4")), "weight 'bias' has shape (3,) in the file, but the architecture says (2,)"),
    "40 terabytes": (put(shape=(10**13,), dtype="f4", chunks=(1024,)), "has shape (10000000000000,)"),
    "group": (lambda group: (group.__delitem__("dense/bias:0"), group.create_group("dense/bias:0")), "is a group"),
    "soft link": (put(h5py.SoftLink("/model_weights/dense/dense/kernel:0")), "soft or external link"),
    "cyclic soft link": (put(h5py.SoftLink("/model_weights/dense/dense/bias:0")), "soft or external link"),
    "external link": (put(h5py.ExternalLink("/etc/passwd", "/x")), "soft or external link"),
    "external storage": (put(shape=(2,), dtype="f4", external=[("/etc/passwd", 0, 8)]), "stored in another file"),
    "virtual": (virtual, "stored in another file"),
    "scale-offset filter": (put(np.ones(2, "i4"), scaleoffset=2), "compressed with a filter"),
    "strings": (put(["a", "b"]), "unusable type"),
    "fixed strings": (put(np.array([b"a", b"b"])), "unusable type"),
    "compound": (put(np.zeros(2, [("a", "f4")])), "unusable type"),
    "vlen": (put(shape=(2,), dtype=h5py.vlen_dtype("f4")), "unusable type"),
    "references": (put(shape=(2,), dtype=h5py.ref_dtype), "unusable type"),
    "complex": (put(np.ones(2, "complex64")), "unusable type"),
    "names that are numbers": (lambda group: group.attrs.__setitem__("weight_names", 5), "unusable HDF5 file"),
    "names that are not text": (named(b"\xff\xfe"), "unusable HDF5 file"),
}


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_hdf5(change, tmp_path):
    change, said = HOSTILE[change]
    fails(InvalidModelError, said, legacy(tmp_path / "m.h5", change))


def test_layer_in_two_dimensions_too_large(tmp_path):
    """File and architecture agree on a size, but hardly any of it is stored."""
    shape = (1 << 20, 1 << 20)
    path = legacy(tmp_path / "m.h5", put(key="dense/kernel:0", shape=shape, dtype="f4", chunks=(1024, 1024)))
    file = read(path)
    with pytest.raises(InvalidModelError, match="declares 4398046511104 bytes, of which 0 are stored"):
        file.weights.bind(file.model, [Variable("kernel", ("dense",), "kernel", shape), VARIABLES[1]])


OBJECTS = {
    "missing": (
        lambda vars: vars.__delitem__("1"),
        "layer 'dense' has 1 weights in the file, but the architecture says 2",
    ),
    "extra": (lambda vars: vars.__setitem__("2", BIAS), "layer 'dense' has 3 weights"),
    "shape": (lambda vars: (vars.__delitem__("1"), vars.__setitem__("1", np.ones(3))), "has shape (3,) in the file"),
    "other layer": (lambda vars: vars.file.copy("layers/dense", vars.file, "layers/dense_1"), "/layers/dense_1/vars"),
    "other part": (lambda vars: vars.file.copy("layers/dense", vars.file["layers/dense"], "x"), "/layers/dense/x/vars"),
    "number": (lambda vars: vars.move("1", "one"), "unusable HDF5 file"),
    "no layer": (lambda vars: vars.parent.parent.move("dense", "conv2d"), "layer 'dense' has 0 weights"),
    "soft link": (lambda vars: (vars.move("1", "/x"), vars.__setitem__("1", h5py.SoftLink("/x"))), "soft or external"),
}


@pytest.mark.parametrize("change", OBJECTS)
def test_hostile_objects(change, tmp_path):
    change, said = OBJECTS[change]
    (tmp_path / "arch.json").write_text(json.dumps(DENSE))
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = np.ones((3, 2), "f4"), BIAS
        file["layers/dense/loop"] = file["layers"]
        file["layers/dense/seed_generator/vars/0"] = BIAS
    assert load(tmp_path / "arch.json", tmp_path / "m.weights.h5").keys() == {"kernel", "bias"}
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        change(file["layers/dense/vars"])
    fails(InvalidModelError, said, tmp_path / "arch.json", tmp_path / "m.weights.h5")


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


def test_subclassed_model_is_unsupported(tmp_path):
    class Mine(keras.Model):
        def call(self, x):
            return x

    model = Mine()
    model.build((None, 3))
    model(np.ones((1, 3)))
    fails(UnsupportedModelError, "'Mine' is a subclassed model", save(model, tmp_path / "m.keras"))


def archive(path, *members, **how):
    with zipfile.ZipFile(path, "w", **how) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in members:
            file.writestr(name, data)
    return path


def test_archives(tmp_path):
    config, weights = ("config.json", json.dumps(DENSE)), ("model.weights.h5", b"x")
    path = tmp_path / "m.keras"
    fails(InvalidModelError, "no config.json", archive(path, weights))
    fails(InvalidModelError, "no model.weights.h5", archive(path, config))
    fails(InvalidModelError, "unusable HDF5 file", archive(path, config, weights))
    fails(InvalidModelError, "a member twice", archive(path, config, config, weights))
    fails(InvalidModelError, "outside of it", archive(path, config, weights, ("../x", "")))
    fails(InvalidModelError, "other than deflate", archive(path, config, weights, compression=zipfile.ZIP_BZIP2))
    zeros = ("model.weights.h5", bytes(1 << 27))
    fails(InvalidModelError, "unpacks from", archive(path, config, zeros, compression=zipfile.ZIP_DEFLATED))
    data = archive(path, config, weights).read_bytes()
    path.write_bytes(data[:-30])
    fails(InvalidModelError, "damaged archive", path)
    path.write_bytes(data.replace(b'"Sequential"', b'"sequential"'))
    fails(InvalidModelError, "damaged archive: Bad CRC-32", path)
    encrypted = bytearray(data)
    encrypted[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    fails(InvalidModelError, "config.json is encrypted", path)


def test_sources_that_are_no_models(tmp_path):
    for data, said in (
        (b"", "the file is empty"),
        (b"<html>", "not a Keras model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "unusable HDF5 file"),
    ):
        (tmp_path / "m.h5").write_bytes(data)
        fails(InvalidModelError, said, tmp_path / "m.h5")
    whole = legacy(tmp_path / "m.h5").read_bytes()
    (tmp_path / "m.h5").write_bytes(whole[: len(whole) // 2])
    fails(InvalidModelError, "unusable HDF5 file", tmp_path / "m.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    fails(InvalidModelError, "not a Keras model", tmp_path / "other.h5")
    fails(FileError, "cannot be read: No such file", tmp_path / "missing.h5")
    fails(FileError, "is a directory", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    fails(FileError, "is not a regular file", tmp_path / "pipe")
    with pytest.raises(InvalidModelError, match="int is neither a path nor a Keras model"):
        read(5)


def test_half_a_model(tmp_path):
    weights, arch = legacy(tmp_path / "w.h5", config=None), tmp_path / "arch.json"
    arch.write_text(json.dumps(DENSE))
    fails(InvalidModelError, f"`kerasgen export arch.json --weights {weights}`", weights)
    fails(InvalidModelError, "holds no weights; pass --weights", arch)
    fails(InvalidModelError, "holds no weights; give a file that does", arch, arch)
    fails(FileError, "cannot be read", arch, tmp_path / "missing.h5")
    file = read(arch, weights)
    weights.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        file.weights.bind(file.model, VARIABLES)
