"""Whole models, and precisions other than float32."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as L
from keras import ops
from keras.src.applications.convnext import StochasticDepth

from cases.table import FIRST_IMAGE, IMAGE, VECTOR, Shape, row


# whole models
def _residual(x: Any) -> Any:
    y = L.Conv2D(3, 3, padding="same", activation="relu")(x)
    y = L.BatchNormalization()(L.Conv2D(3, 3, padding="same")(y))
    return L.Dense(4)(L.GlobalAveragePooling2D()(L.ReLU()(L.Add()([x, y]))))


def _densenet(x: Any) -> Any:
    for width in (2, 3, 2):
        y = L.Conv2D(width, 3, padding="same", use_bias=False)(L.ReLU()(L.BatchNormalization()(x)))
        x = L.Concatenate()([x, y])
    return L.Dense(3, activation="softmax")(L.Flatten()(L.AveragePooling2D(2)(x)))


def _squeeze_excite(x: Any) -> Any:
    y = L.Conv2D(6, 3, padding="same", activation="swish")(x)
    gate = L.Reshape((1, 1, 6))(L.GlobalAveragePooling2D()(y))
    gate = L.Conv2D(6, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="relu")(gate))
    return L.Conv2D(3, 1)(L.Multiply()([y, gate]))


def _shared(a: Any, b: Any) -> Any:
    dense = L.Dense(4, activation="relu", name="shared")
    return L.Subtract()([dense(a), dense(L.Dense(7)(b))])


def _shared_on_one(x: Any) -> Any:
    dense = L.Dense(4, name="shared")
    return L.Subtract()([L.ReLU()(dense(x)), L.Activation("tanh")(dense(x))])


def _twin(shape: Shape, name: str = "twin") -> Any:
    x = keras.Input(shape)
    y = L.BatchNormalization(name="bn")(L.Dense(4, name="dense")(x))
    return keras.Model(x, L.Activation("tanh")(y), name=name)


def _nested_twice(a: Any, b: Any) -> Any:
    twin = _twin(VECTOR)
    return L.Concatenate()([twin(a), twin(b)])


def _nested_deep(x: Any) -> Any:
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="dense"), L.ReLU()], name="inner")
    middle_in = keras.Input(VECTOR)
    middle = keras.Model(middle_in, inner(_twin(VECTOR)(middle_in)), name="middle")
    return L.Dense(2, name="dense")(middle(x))


def _nested_frozen(x: Any) -> Any:
    twin = _twin(VECTOR)
    twin.get_layer("dense").trainable = False
    return L.Dense(2)(twin(x))


def _nested_many(x: Any) -> Any:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    inner = keras.Model([a, b], [L.Add()([a, b]), L.Dense(2)(b)], name="inner")
    first, second = inner([L.Dense(4)(x), L.Dense(4)(x)])
    return [second, first]


def _sequential(x: Any) -> Any:
    return keras.Sequential(
        [keras.Input(IMAGE), L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3)], name="net"
    )


def _dict_io(x: Any) -> Any:
    left, right = keras.Input(VECTOR, name="left"), keras.Input((3,), name="right")
    y = L.Dense(4)(L.Concatenate()([left, right]))
    return keras.Model({"left": left, "right": right}, {"sum": L.ReLU()(y), "gate": L.Dense(1)(y)})


row("residual", IMAGE, _residual)
row("densenet", IMAGE, _densenet)
row("squeeze and excite", IMAGE, _squeeze_excite)
row("shared layer", [VECTOR, (5,)], _shared)
row("shared on one input", VECTOR, _shared_on_one)
row("shared, both results", VECTOR, lambda x: [layer(x) for layer in [L.Dense(4)] * 2])
row("shared conv2d and batch_norm", [IMAGE, IMAGE], lambda a, b: _shared_conv(a, b))
row("many outputs", IMAGE, lambda x: [L.Conv2D(2, 3)(x), L.Flatten()(x), L.GlobalMaxPooling2D()(x)])
row("same output twice", VECTOR, lambda x: [y := L.Dense(3)(x), y])
row("input as output", VECTOR, lambda x: [x, L.Dense(3)(x)])
row("branches", IMAGE, lambda x: L.Concatenate()([L.Conv2D(2, k, padding="same")(x) for k in (1, 3, 5)]))
row("nested model", VECTOR, lambda x: L.Dense(2)(_twin(VECTOR)(x)))
row("nested model as output", VECTOR, lambda x: _twin(VECTOR)(x))
row("nested model twice", [VECTOR, VECTOR], _nested_twice)
row("nested model as output twice", [VECTOR, VECTOR], lambda a, b: [(twin := _twin(VECTOR))(a), twin(b)])
row("nested models deep", VECTOR, _nested_deep)
row("nested model frozen", VECTOR, _nested_frozen)
row("nested model many inputs", VECTOR, _nested_many)
row("nested sequential", IMAGE, lambda x: L.Dense(2)(_sequential(x)(x)))
row("sequential", IMAGE, _sequential)
row("dict inputs and outputs", [VECTOR, (3,)], lambda a, b: _dict_io(a))
row("layer with op nodes", IMAGE, lambda x: L.Conv2D(2, 1)(ops.relu6(x + 3.0) * (1.0 / 6.0) * x))
row("layer names to sanitise", VECTOR, lambda x: L.Dense(2, name="class")(L.Dense(3, name="2nd dense-layer")(x)))
row("layer names that collide", VECTOR, lambda x: L.Dense(2, name="a_b")(L.Dense(3, name="a-b")(x)))
row("layer names of kernels", VECTOR, lambda x: L.Dense(2, name="relu")(L.Dense(3, name="dense", activation="relu")(x)))
row("first conv chain", FIRST_IMAGE, lambda x: _first_chain(x))


def _shared_conv(a: Any, b: Any) -> Any:
    conv, norm = L.Conv2D(4, 3, name="conv"), L.BatchNormalization(name="norm")
    return L.Add()([norm(conv(a)), conv(b)])


def _first_chain(x: Any) -> Any:
    x = L.Conv2D(4, 3, data_format="channels_first")(x)
    x = L.ReLU()(L.BatchNormalization(axis=1)(x))
    x = L.MaxPooling2D(data_format="channels_first")(x)
    return L.Flatten(data_format="channels_first")(L.Conv2D(2, 2, data_format="channels_first")(x))


row("stochastic depth", VECTOR, lambda x: StochasticDepth(0.2)(L.Dense(3)(x)))


# other precisions
row("float64", IMAGE, L.Conv2D(4, 3, dtype="float64", activation="softmax"), dtype="float64", tolerance=1e-12)
row("float64 inside", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="float64")(x)))
# Keras rounds to half precision after every operation, kerasgen only at the end.
row("float16", VECTOR, L.Dense(3, dtype="float16"), dtype="float16", tolerance=5e-3)
row("mixed_float16", IMAGE, L.Conv2D(4, 3, dtype="mixed_float16"), tolerance=5e-3)
row("mixed_float16 then float32", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="mixed_float16")(x)), tolerance=5e-3)
row("mixed_bfloat16 then float32", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="mixed_bfloat16")(x)), tolerance=5e-2)
row("bfloat16", IMAGE, L.Conv2D(4, 3, dtype="bfloat16"), tolerance=2e-2)  # its weights are stored in two bytes
row("bfloat16 then float32", VECTOR, lambda x: L.Dense(2)(L.Dense(3, dtype="bfloat16")(x)), tolerance=2e-2)
row("integers", VECTOR, lambda x: L.Dense(2)(L.Rescaling(0.5)(x)), dtype="uint8")
row(
    "integer operations",
    VECTOR,
    lambda x: ops.cast(x, "float32") / 2 + ops.sum(x, axis=-1, keepdims=True),
    dtype="int32",
)
