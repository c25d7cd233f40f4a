"""Attention, normalisation and dot products of Keras 2: its files, read from both containers, against tf_keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from support import randomize, relative_error
from tf_keras import layers as K

from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.passes import optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat

pytestmark = pytest.mark.usefixtures("unformatted")

BATCH = 3
QUERY, VALUE, IMAGE = (5, 4), (6, 4), (4, 5, 6)
MODELS: dict[str, tuple[list[Any], Callable[..., Any]]] = {}


def model(name: str, shapes: Any, make: Callable[..., Any]) -> None:
    """Enter a model, made from an input for each shape."""
    MODELS[name] = (shapes if isinstance(shapes, list) else [shapes], make)


def _masking(x: Any) -> Any:
    return K.Masking()(x)


for _name, _settings in (
    ("plain", {}),
    ("sizes", {"value_dim": 5, "output_shape": 7, "use_bias": False}),
    ("dropout", {"dropout": 0.3}),
):
    model(
        f"multi_head_attention {_name}", [QUERY, VALUE], lambda q, v, s=_settings: K.MultiHeadAttention(2, 3, **s)(q, v)
    )
model(
    "multi_head_attention scores",
    [QUERY, VALUE, (5, 6)],
    lambda q, v, m: K.MultiHeadAttention(2, 3)(
        q, v, attention_mask=m > 0, use_causal_mask=True, return_attention_scores=True
    ),
)
model(
    "multi_head_attention masks",
    [QUERY, VALUE],
    lambda q, v: K.MultiHeadAttention(2, 3)(_masking(q), _masking(v), return_attention_scores=True),
)
model(
    "multi_head_attention robust",
    [QUERY, VALUE],
    lambda q, v: K.MultiHeadAttention(2, 3, softmax_robust_masking=True)(_masking(q), _masking(v)),
)
model("multi_head_attention key", [QUERY, VALUE, (6, 2)], lambda q, v, k: K.MultiHeadAttention(2, 3)(q, v, _masking(k)))
model("multi_head_attention axes", (3, 5, 4), lambda x: K.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x))
model(
    "multi_head_attention all axes",
    (3, 5, 4),
    lambda x: K.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x, return_attention_scores=True),
)


def _keeps_masks(x: Any) -> Any:
    x = _masking(x)
    y = K.MultiHeadAttention(2, 3)(x, x)
    return [K.MultiHeadAttention(2, 2)(x, y), K.LSTM(3)(K.LayerNormalization()(K.Add()([x, y])))]


model("multi_head_attention keeps masks", QUERY, _keeps_masks)
for _name, _make in (
    ("attention", lambda: K.Attention(use_scale=True, dropout=0.1)),
    ("attention concat", lambda: K.Attention(score_mode="concat", use_scale=True)),
    ("additive_attention", lambda: K.AdditiveAttention()),
):
    model(_name, [QUERY, VALUE], lambda q, v, make=_make: make()([q, v], use_causal_mask=True))
    model(
        f"{_name} masks",
        [QUERY, VALUE],
        lambda q, v, make=_make: K.LSTM(2)(make()([_masking(q), _masking(v)])),
    )
    model(
        f"{_name} scores",
        [QUERY, VALUE, VALUE],
        lambda q, v, k, make=_make: make()([q, v, k], return_attention_scores=True),
    )
model("softmax masked", [QUERY, QUERY], lambda x, m: K.Softmax()(x, mask=m > 0))
model(
    "einsum_dense", QUERY, lambda x: K.EinsumDense("abc,cde->abde", (None, 2, 3), bias_axes="de", activation="relu")(x)
)
model("layer_norm", IMAGE, lambda x: K.LayerNormalization()(x))
model("layer_norm exact", IMAGE, lambda x: K.LayerNormalization(epsilon=1e-6)(x))
model("layer_norm axes", IMAGE, lambda x: K.LayerNormalization(axis=[1, 3], scale=False)(x))
model("group_norm", IMAGE, lambda x: K.GroupNormalization(3)(x))
model("group_norm first", IMAGE, lambda x: K.GroupNormalization(2, axis=1, center=False)(x))
model("group_norm by channel", IMAGE, lambda x: K.GroupNormalization(-1)(x))
model("unit_norm", IMAGE, lambda x: K.UnitNormalization(axis=(1, 3))(x * 1e-7))
model("batch_norm axes", IMAGE, lambda x: K.BatchNormalization(axis=[1, 3])(x))
model("batch_norm first of a list", IMAGE, lambda x: K.BatchNormalization(axis=[1], scale=False)(x))
model("batch_norm renorm", IMAGE, lambda x: K.BatchNormalization(renorm=True)(x))
model("batch_norm renorm axes", IMAGE, lambda x: K.BatchNormalization(axis=[1, 2], renorm=True, fused=False)(x))


def _spectral_norm(x: Any) -> Any:
    with mock.patch.object(tf.keras.layers, "InputSpec", K.InputSpec):  # tf_keras reaches for Keras 3's
        return K.SpectralNormalization(K.Conv2D(3, 2))(x)


model("spectral_norm", IMAGE, _spectral_norm)
model("repeat_vector", (4,), lambda x: K.RepeatVector(3)(x))
for _name, _axes, _shapes in (
    ("of vectors", 1, [(4,), (4,)]),
    ("of steps", (2, 2), [QUERY, VALUE]),
    ("of two axes", (1, 2), [(4, 5), VALUE]),
    ("from end", -1, [QUERY, VALUE]),
    ("of a vector and steps", (1, 2), [(4,), VALUE]),
    ("of images", (2, 1), [(3, 5, 4), (5, 6, 2)]),
):
    for _factor in (1.0, 1e-8):  # what normalising does to short vectors differs between versions of Keras
        model(
            f"dot {_name} times {_factor}",
            _shapes,
            lambda a, b, axes=_axes, factor=_factor: K.Dot(axes, normalize=True)([a * factor, b * factor]),
        )
    model(f"dot {_name}", _shapes, lambda a, b, axes=_axes: K.Dot(axes)([a, b]))


def _random_inputs(shapes: list[Any]) -> list[np.ndarray]:
    """A third of the steps are zeros."""
    random = np.random.RandomState(7)
    arrays = [random.uniform(-2, 2, (BATCH, *shape)) for shape in shapes]
    return [(array * (random.uniform(size=(*array.shape[:-1], 1)) > 1 / 3)).astype("float32") for array in arrays]


@pytest.mark.parametrize("ending", ["h5", pytest.param("keras", marks=pytest.mark.one_in(4))])
@pytest.mark.parametrize("name", MODELS)
def test_keras2(name: str, ending: str, tmp_path: Path) -> None:
    shapes, make = MODELS[name]
    tf_keras.backend.clear_session()
    inputs = [tf_keras.Input(shape) for shape in shapes]
    written = randomize(tf_keras.Model(inputs, make(*inputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the file format
        written.save(tmp_path / f"model.{ending}")
    arrays = _random_inputs(shapes)
    expected = [np.asarray(y) for y in flat(written(arrays if len(arrays) > 1 else arrays[0]))]
    graph = build(read(tmp_path / f"model.{ending}")).bind()
    with open(tmp_path / "module.py", "wb") as file:
        emit(optimize(graph)).write(file)
    for results in (graph.run(*arrays), flat(load_module(tmp_path / "module.py").predict(*arrays))):
        assert len(results) == len(expected)
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == wanted.dtype
            assert relative_error(result, wanted) <= 1e-5
