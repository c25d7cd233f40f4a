"""Networks over time that nobody thought of, with masks, recurrent layers and attention, against Keras.

`pytest tests/test_sequence_networks.py --hypothesis-profile long` draws many more.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers as L
from support import randomize, relative_error
from test_parity import FAST

from kerasgen.builder import build
from kerasgen.passes import PIPELINES, optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat

ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "gelu", "elu", "softmax")
SIZES = st.integers(1, 8)
WORDS = 12
pytestmark = [
    pytest.mark.filterwarnings("ignore:(?s).*softmax over axis"),  # of one number
    pytest.mark.filterwarnings("ignore:.*does not support masking"),
]


def network(draw: Any) -> tuple[Any, np.ndarray]:
    """A Keras model for words or for vectors, of any number of steps or of a known one, and a batch for it.

    A step of zeros is masked. The first step never is: where all steps are, Keras divides by zero.
    """
    steps, size, is_open, masks = draw(st.integers(3, 14)), draw(SIZES), draw(st.booleans()), draw(st.booleans())
    random = np.random.RandomState(draw(st.integers(0, 9)))
    count = draw(st.integers(1, 4))
    if draw(st.booleans()):
        first = keras.Input((steps,), dtype="int32")
        values = [L.Embedding(WORDS, size, mask_zero=masks)(first)]
        batch = random.randint(1, WORDS, (count, steps)).astype("int32")
    else:
        first = keras.Input((steps, size))
        values = [L.Masking()(first) if masks else first]
        batch = random.uniform(-1, 1, (count, steps, size)).astype("float32")
    for sample in batch:
        sample[draw(st.integers(1, steps)) :] = 0
    for _ in range(draw(st.integers(1, 6))):
        values.append(draw(st.sampled_from(KINDS))(draw, values))
    x = draw(st.sampled_from(ENDS))(draw, values[-1])
    model = keras.Model(first, L.Dense(3, activation=activation(draw))(x))
    if is_open:
        open_input = keras.Input((None, *first.shape[2:]), dtype=first.dtype)
        model = keras.models.clone_model(model, input_tensors=open_input)
    return randomize(model, 1), batch


def activation(draw: Any) -> Any:
    return draw(st.sampled_from(ACTIVATIONS))


def recurrent(draw: Any, values: list[Any], *, return_sequences: bool = True) -> Any:
    kind = draw(st.sampled_from((L.LSTM, L.GRU, L.SimpleRNN)))
    settings = {"activation": draw(st.sampled_from(("tanh", "tanh", "relu"))), "use_bias": draw(st.booleans())}
    if kind is L.GRU:
        settings["reset_after"] = draw(st.booleans())
    if kind is not L.SimpleRNN:
        settings["recurrent_activation"] = draw(st.sampled_from(("sigmoid", "hard_sigmoid", "tanh")))
    layer = kind(draw(SIZES), return_sequences=return_sequences, go_backwards=draw(st.booleans()), **settings)
    if draw(st.booleans()):
        layer = kind(draw(SIZES), return_sequences=return_sequences, **settings)
        layer = L.Bidirectional(layer, merge_mode=draw(st.sampled_from(("concat", "sum", "mul", "ave"))))
    return layer(values[-1])


def conv(draw: Any, values: list[Any]) -> Any:
    settings = {"padding": draw(st.sampled_from(("same", "causal"))), "activation": activation(draw)}
    return L.Conv1D(draw(SIZES), draw(st.integers(1, 4)), **settings)(values[-1])


def heads(draw: Any, values: list[Any]) -> Any:
    """Heads of one number are left out: TensorFlow swaps their axes if there are as many heads as steps."""
    layer = L.MultiHeadAttention(draw(st.integers(1, 3)), draw(st.integers(2, 4)), use_bias=draw(st.booleans()))
    return layer(values[-1], values[-1], use_causal_mask=draw(st.booleans()))


def attention(draw: Any, values: list[Any]) -> Any:
    x, is_causal = [values[-1]] * 2, draw(st.booleans())
    if draw(st.booleans()):
        return L.AdditiveAttention(use_scale=draw(st.booleans()))(x, use_causal_mask=is_causal)
    mode = draw(st.sampled_from(("dot", "concat")))
    return L.Attention(use_scale=draw(st.booleans()), score_mode=mode)(x, use_causal_mask=is_causal)


def by_step(draw: Any, values: list[Any]) -> Any:
    layer = L.Dense(draw(SIZES), activation=activation(draw))
    return (L.TimeDistributed(layer) if draw(st.booleans()) else layer)(values[-1])


def plain(draw: Any, values: list[Any]) -> Any:
    """A layer without weights, or with few."""
    layers = (
        *(lambda: L.LayerNormalization(epsilon=0.1), lambda: L.BatchNormalization(epsilon=0.1)),
        *(lambda: L.Dropout(0.2), lambda: L.SpatialDropout1D(0.2), lambda: L.PReLU(shared_axes=[1])),
        *(lambda: L.Activation("softmax"), lambda: L.UpSampling1D(2), lambda: L.ZeroPadding1D(1)),
        *(lambda: L.MaxPooling1D(2, padding="same"), lambda: L.AveragePooling1D(2, strides=1, padding="same")),
    )
    return draw(st.sampled_from(layers))()(values[-1])


def residual(draw: Any, values: list[Any]) -> Any:
    x, y = values[-1], L.Dense(values[-1].shape[-1])(values[-1])
    return draw(st.sampled_from((L.Add, L.Multiply, L.Average, L.Maximum, L.Subtract, L.Concatenate)))()([x, y])


def skip(draw: Any, values: list[Any]) -> Any:
    """An earlier value, joined if it has as many steps."""
    earlier = draw(st.sampled_from(values))
    return L.Concatenate()([values[-1], earlier]) if earlier.shape[1] == values[-1].shape[1] else earlier


def last(draw: Any, x: Any) -> Any:
    return recurrent(draw, [x], return_sequences=False)


def repeated(draw: Any, x: Any) -> Any:
    """The last step, from which a decoder makes four."""
    return L.LSTM(3, return_sequences=True)(L.RepeatVector(4)(last(draw, x)))


KINDS = (recurrent, recurrent, conv, heads, attention, by_step, plain, plain, residual, skip)
ENDS = (
    *(last, repeated, lambda draw, x: x),
    *(lambda draw, x: L.GlobalAveragePooling1D()(x), lambda draw, x: L.GlobalMaxPooling1D()(x)),
)


@given(st.data())
def test_graphs(data: Any) -> None:
    model, batch = network(data.draw)
    expected = [np.asarray(array) for array in flat(model(batch))]
    assume(all(np.isfinite(array).all() for array in expected))
    graph = build(read(model)).bind()
    for level, pipeline in {**PIPELINES, "fast": FAST}.items():
        for got, wanted in zip(optimize(graph, pipeline).run(batch), expected, strict=True):
            assert got.dtype == wanted.dtype
            assert relative_error(got, wanted) < 2e-5, level
