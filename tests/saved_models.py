"""Small models of every shape, and what a file of one must give back."""

import keras
import numpy as np
import pytest
import tf_keras

from kerasgen.readers.model import Variable, leaves, map_leaves

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
    """Names of weights that contain the layer's name and end alike: only the order tells the two directions apart."""
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
