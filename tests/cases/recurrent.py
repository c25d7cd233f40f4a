"""Recurrent layers, masks, and layers applied to every step.

Inputs are random, so the masks are made in the models: a step whose first channel is negative is masked, and of
integers, which are drawn from 0 to 3, the zeros.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers as L
from keras import ops

from cases.table import IMAGE, STEPS, VECTOR, row

ANY_STEPS = (None, 3)
FILM = (4, 6, 7, 2)  # steps, height, width, channels
TABLES = (4, 5, 3)  # steps of steps
LAYERS = {"simple_rnn": L.SimpleRNN, "lstm": L.LSTM, "gru": L.GRU}
CELLS = {"simple_rnn": L.SimpleRNNCell, "lstm": L.LSTMCell, "gru": L.GRUCell}


def _masked(x: Any, value: float = 0.0) -> Any:
    on = ops.cast(x[..., :1] > 0, "float32")
    return L.Masking(value)(x * on + value * (1.0 - on))


def _states(name: str, count: int = 1, units: int = 4) -> list[tuple[int, ...]]:
    return [(units,)] * (count * (2 if name == "lstm" else 1))


for _name, _Layer in LAYERS.items():
    row(_name, STEPS, _Layer(4))
    row(f"{_name} one unit", (5, 1), _Layer(1))
    row(f"{_name} one step", (1, 3), _Layer(4, return_sequences=True))
    row(f"{_name} float64", STEPS, _Layer(4, dtype="float64"))
    row(f"{_name} no bias", STEPS, _Layer(4, use_bias=False))
    row(f"{_name} activation", STEPS, _Layer(4, activation="softsign"))
    row(f"{_name} linear", STEPS, _Layer(4, activation=None, return_sequences=True))
    row(f"{_name} softmax", STEPS, _Layer(4, activation="softmax", return_sequences=True))
    row(f"{_name} then relu", STEPS, lambda x, layer=_Layer: L.ReLU()(layer(4)(x)))
    row(f"{_name} sequences", STEPS, _Layer(4, return_sequences=True))
    row(f"{_name} states", STEPS, _Layer(4, return_state=True))
    row(f"{_name} sequences and states", STEPS, _Layer(4, return_sequences=True, return_state=True))
    row(f"{_name} backwards", STEPS, _Layer(4, go_backwards=True))
    row(f"{_name} backwards sequences", STEPS, _Layer(4, go_backwards=True, return_sequences=True))
    row(f"{_name} unrolled", STEPS, _Layer(4, unroll=True, return_sequences=True))
    row(f"{_name} any length", ANY_STEPS, _Layer(4, return_sequences=True))
    row(
        f"{_name} initial state",
        [STEPS, *_states(_name)],
        lambda x, *states, layer=_Layer: layer(4, return_sequences=True, return_state=True)(
            x, initial_state=states if states[1:] else states[0]
        ),
    )
    row(
        f"{_name} encoder and decoder",
        [ANY_STEPS, (5, 2)],
        lambda x, y, layer=_Layer: layer(4, return_sequences=True)(
            y, initial_state=list(layer(4, return_state=True)(x)[1:])
        ),
    )
    row(f"{_name} masked", STEPS, lambda x, layer=_Layer: layer(4)(_masked(x)))
    for _key, _settings in {
        "value": {},
        "sequences": {"return_sequences": True},
        "states": {"return_state": True, "return_sequences": True},
        "backwards": {"go_backwards": True, "return_sequences": True},
        "unrolled": {"unroll": True, "return_sequences": True},
        "zeros": {"zero_output_for_mask": True, "return_sequences": True},
        "zeros last": {"zero_output_for_mask": True, "return_state": True},
        "zeros unrolled": {"zero_output_for_mask": True, "return_sequences": True, "unroll": True},
        "zeros unrolled backwards": dict.fromkeys(
            ("zero_output_for_mask", "return_sequences", "unroll", "go_backwards"), True
        ),
    }.items():
        row(
            f"{_name} masked {_key}",
            STEPS,
            lambda x, layer=_Layer, settings=_settings: layer(4, **settings)(_masked(x, 0.25)),
        )
    row(
        f"{_name} masked any length",
        ANY_STEPS,
        lambda x, layer=_Layer: layer(3)(layer(4, return_sequences=True)(_masked(x))),
    )
    row(
        f"{_name} of embedding",
        (8,),
        lambda x, layer=_Layer: layer(3)(L.Embedding(4, 5, mask_zero=True)(x)),
        dtype="int32",
    )
    # Keras 3 drops the mask where initial states are given.
    row(
        f"{_name} masked initial state",
        [STEPS, *_states(_name)],
        lambda x, *states, layer=_Layer: layer(2)(
            layer(4, return_sequences=True)(_masked(x), initial_state=list(states))
        ),
    )
    row(f"{_name} shared", [STEPS, (5, 3)], lambda a, b, layer=_Layer: [(one := layer(4))(a), one(b)])

    # the same by cells
    row(f"{_name} cell", STEPS, L.RNN(CELLS[_name](4)))
    row(f"{_name} cell twice", STEPS, L.RNN([CELLS[_name](4), CELLS[_name](3)], return_sequences=True))
    row(
        f"{_name} step",
        [VECTOR, *_states(_name)],
        lambda x, *states, cell=CELLS[_name]: keras.tree.flatten(cell(4)(x, states if states[1:] else states[0])),
    )

    # in both directions
    for _mode in ("concat", "sum", "mul", "ave", None):
        row(f"bidirectional {_name} {_mode}", STEPS, L.Bidirectional(_Layer(4), merge_mode=_mode))
        row(
            f"bidirectional {_name} {_mode} masked sequences",
            STEPS,
            lambda x, layer=_Layer, mode=_mode: L.Bidirectional(layer(4, return_sequences=True), merge_mode=mode)(
                _masked(x)
            ),
        )
    row(
        f"bidirectional {_name} states",
        STEPS,
        L.Bidirectional(_Layer(4, return_state=True, return_sequences=True)),
    )
    row(
        f"bidirectional {_name} initial states",
        [STEPS, *_states(_name, 2)],
        lambda x, *states, layer=_Layer: L.Bidirectional(layer(4))(x, initial_state=list(states)),
    )
    row(f"bidirectional {_name} masked", STEPS, lambda x, layer=_Layer: L.Bidirectional(layer(4))(_masked(x)))

for _activation in ("hard_sigmoid", "softmax"):
    for _name in ("lstm", "gru"):
        row(f"{_name} gates {_activation}", STEPS, LAYERS[_name](4, recurrent_activation=_activation))
row("gru reset before", STEPS, L.GRU(4, reset_after=False))
row("gru reset before no bias", STEPS, L.GRU(4, reset_after=False, use_bias=False, return_sequences=True))
row("gru reset before masked", STEPS, lambda x: L.GRU(4, reset_after=False, return_state=True)(_masked(x)))
row("gru cell reset before", STEPS, L.RNN(L.GRUCell(4, reset_after=False)))
row("lstm wide", (7, 40), L.LSTM(65, return_sequences=True))

# stacks of cells
row(
    "cells mixed",
    STEPS,
    lambda x: keras.tree.flatten(L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)], return_state=True)(x)),
)
row("cells stacked", STEPS, L.RNN(L.StackedRNNCells([L.LSTMCell(4), L.LSTMCell(3)]), return_sequences=True))
row("cells backwards", STEPS, L.RNN([L.GRUCell(4), L.LSTMCell(3)], go_backwards=True, return_sequences=True))
row("cells masked", STEPS, lambda x: L.RNN([L.GRUCell(4), L.LSTMCell(3)], return_sequences=True)(_masked(x)))
row(
    "cells masked backwards",
    STEPS,
    lambda x: L.RNN([L.GRUCell(4), L.GRUCell(3)], go_backwards=True, return_sequences=True, return_state=True)(
        _masked(x)
    ),
)
row(
    "cells masked zeros",
    STEPS,
    lambda x: L.RNN([L.GRUCell(4), L.GRUCell(3)], zero_output_for_mask=True, return_sequences=True)(_masked(x)),
)
row(
    "cells initial states",
    [STEPS, (4,), (4,), (3,)],
    lambda x, h, c, g: keras.tree.flatten(
        L.RNN([L.LSTMCell(4), L.GRUCell(3)], return_state=True)(x, initial_state=[[h, c], [g]])
    ),
)
row("cells in both directions", STEPS, L.Bidirectional(L.RNN([L.LSTMCell(4), L.GRUCell(3)])))
row(
    "cells step",
    [VECTOR, (4,), (3,)],
    lambda x, a, b: keras.tree.flatten(L.StackedRNNCells([L.GRUCell(4), L.GRUCell(3)])(x, [[a], [b]])),
)

row(
    "bidirectional two layers",
    STEPS,
    L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(4, go_backwards=True, activation="relu")),
)
row(
    "bidirectional backwards first",
    STEPS,
    L.Bidirectional(L.GRU(4, go_backwards=True, return_sequences=True), backward_layer=L.GRU(4, return_sequences=True)),
)
row("bidirectional any length", ANY_STEPS, L.Bidirectional(L.LSTM(4, return_sequences=True)))
row(
    "bidirectional None states",
    STEPS,
    L.Bidirectional(L.LSTM(4, return_state=True, return_sequences=True), merge_mode=None),
)
row(
    "bidirectional None masks on",
    STEPS,
    lambda x: [L.LSTM(3)(y) for y in L.Bidirectional(L.GRU(4, return_sequences=True), merge_mode=None)(_masked(x))],
)
row(
    "bidirectional masked twice",
    STEPS,
    lambda x: L.Bidirectional(L.LSTM(3))(L.Bidirectional(L.LSTM(4, return_sequences=True))(_masked(x))),
)
row(
    "bidirectional masked initial states",
    [STEPS, *_states("lstm", 2)],
    lambda x, *states: L.Bidirectional(L.LSTM(4, return_sequences=True))(_masked(x), initial_state=list(states)),
)

# convolutional
_RANKS = ((L.ConvLSTM1D, (4, 6, 2)), (L.ConvLSTM2D, FILM), (L.ConvLSTM3D, (3, 4, 5, 4, 2)))
for _rank, (_Layer, _shape) in enumerate(_RANKS, start=1):
    _first = (_shape[0], _shape[-1], *_shape[1:-1])
    row(f"conv_lstm{_rank}d", _shape, _Layer(3, 2))
    row(f"conv_lstm{_rank}d same", _shape, _Layer(3, 3, padding="same", return_sequences=True))
    row(f"conv_lstm{_rank}d strided", _shape, _Layer(3, 2, strides=2, padding="same", return_state=True))
    row(f"conv_lstm{_rank}d dilated", _shape, _Layer(3, 2, dilation_rate=2, go_backwards=True))
    row(f"conv_lstm{_rank}d first", _first, _Layer(3, 2, data_format="channels_first"))
    row(
        f"conv_lstm{_rank}d first sequences and states",
        _first,
        _Layer(3, 3, strides=2, data_format="channels_first", return_sequences=True, return_state=True),
    )
row("conv_lstm2d uneven", FILM, L.ConvLSTM2D(3, (1, 3), strides=(2, 1), padding="same", use_bias=False))
row("conv_lstm2d gates", FILM, L.ConvLSTM2D(3, 2, recurrent_activation="hard_sigmoid", activation="relu"))
row("conv_lstm2d softmax", FILM, L.ConvLSTM2D(3, 2, activation="softmax", return_sequences=True))
row("conv_lstm2d any length", (None, 6, 7, 2), L.ConvLSTM2D(3, 2, return_sequences=True))
row("conv_lstm2d in both directions", FILM, L.Bidirectional(L.ConvLSTM2D(3, 2, return_sequences=True)))
row(
    "conv_lstm2d initial states",
    [FILM, (5, 6, 3), (5, 6, 3)],
    lambda x, h, c: L.ConvLSTM2D(3, 2, return_state=True)(x, initial_state=[h, c]),
)
row(
    "conv_lstm2d first initial states",
    [(4, 2, 6, 7), (3, 5, 6), (3, 5, 6)],
    lambda x, h, c: L.ConvLSTM2D(3, 2, data_format="channels_first")(x, initial_state=[h, c]),
)
row(
    "conv_lstm2d masked",
    FILM,
    lambda x: L.ConvLSTM2D(3, 2, padding="same", return_sequences=True)(x, mask=x[:, :, 0, 0, 0] > 0),
)
row(
    "conv_lstm2d masked unrolled in both directions",
    FILM,
    lambda x: L.Bidirectional(L.ConvLSTM2D(3, 2, return_sequences=True, unroll=True))(x, mask=x[:, :, 0, 0, 0] > 0),
)
row("conv_lstm2d masked cells", FILM, lambda x: L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(_masked(x)))


# embeddings and masks
row("embedding", (6,), L.Embedding(4, 5), dtype="int32")
row("embedding of floats", (6,), lambda x: L.Embedding(5, 2)(ops.abs(x)))
row("embedding of table", (3, 6), L.Embedding(4, 5, mask_zero=True), dtype="int64")
row("embedding any length", (None,), lambda x: L.LSTM(3)(L.Embedding(4, 5, mask_zero=True)(x)), dtype="int32")
row("embedding shared", [(6,), (4,)], lambda a, b: [(one := L.Embedding(4, 5))(a), one(b)], dtype="int32")
row("embedding float64", (6,), L.Embedding(4, 5, dtype="float64"), dtype="int32")
row(
    "embedding mean",
    (6,),
    lambda x: L.GlobalAveragePooling1D()(L.Embedding(5, 5, mask_zero=True)(x + 1)),
    dtype="int32",
)


def _reversed(x: Any, **settings: Any) -> Any:
    table = L.ReversibleEmbedding(4, 5, **settings)
    return table(L.LSTM(5, return_sequences=True)(table(x)), reverse=True)


row("reversible_embedding", (6,), _reversed, dtype="int32")
row("reversible_embedding own", (6,), lambda x: _reversed(x, tie_weights=False), dtype="int32")
row("reversible_embedding cap", (6,), lambda x: _reversed(x, logit_soft_cap=0.5, mask_zero=True), dtype="int32")

row("masking", STEPS, _masked)
row("masking value", STEPS, lambda x: _masked(x, -1.5))
row("masking of films", FILM, _masked)
row("global_average_pool1d masked", STEPS, lambda x: L.GlobalAveragePooling1D()(_masked(x)))
row("global_average_pool1d masked keepdims", STEPS, lambda x: L.GlobalAveragePooling1D(keepdims=True)(_masked(x)))
row(
    "global_average_pool1d masked first",
    (5, 5),
    lambda x: L.GlobalAveragePooling1D(data_format="channels_first")(_masked(x)),
)
row(
    "mask through layers",
    STEPS,
    lambda x: L.LSTM(3)(
        L.LayerNormalization()(
            L.Dropout(0.5)(L.BatchNormalization()(L.ReLU()(L.Dense(4, activation="tanh")(_masked(x)))))
        )
    ),
)
row("mask through rescaling", STEPS, lambda x: L.GRU(3)(L.Identity()(L.Rescaling(0.5)(_masked(x)))))
for _Merge in (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum):
    _name = _Merge.__name__.lower()
    row(
        f"mask through {_name}",
        [STEPS, STEPS],
        lambda a, b, merge=_Merge: L.GRU(3)(merge()([_masked(a), _masked(b)])),
    )
for _Merge in (L.Multiply, L.Maximum):
    _name = _Merge.__name__.lower()
    row(f"mask through {_name} of one", [STEPS, STEPS], lambda a, b, merge=_Merge: L.GRU(3)(merge()([a, _masked(b)])))
    row(
        f"mask through {_name} of three",
        [STEPS, STEPS, STEPS],
        lambda a, b, c, merge=_Merge: L.GRU(3)(merge()([_masked(a), b, _masked(c)])),
    )
row("mask through add of one", [STEPS, STEPS], lambda a, b: L.GRU(3)(L.Add()([_masked(a), b])))
row("mask through concatenate", [STEPS, STEPS], lambda a, b: L.GRU(3)(L.Concatenate()([_masked(a), _masked(b)])))
row("mask through concatenate of one", [STEPS, STEPS], lambda a, b: L.GRU(3)(L.Concatenate()([a, _masked(b)])))
row(
    "mask through concatenate of steps",
    [STEPS, STEPS, STEPS],
    lambda a, b, c: L.GRU(3)(L.Concatenate(axis=1)([_masked(a), b, _masked(c)])),
)


def _net(shape: Any, *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape), *layers])


def _reader(shape: Any) -> Any:
    x = keras.Input(shape)
    return keras.Model(x, L.Dense(3)(L.GRU(4, return_sequences=True)(x)), name="reader")


row("mask in sequential", STEPS, lambda x: _net(STEPS, L.Masking(), L.Bidirectional(L.LSTM(4)), L.Dense(3)))
row(
    "mask in sequential of embedding",
    (8,),
    lambda x: keras.Sequential(
        [
            keras.Input((8,), dtype="int32"),
            L.Embedding(4, 5, mask_zero=True),
            L.GRU(4, return_sequences=True),
            L.LSTM(3),
        ]
    ),
    dtype="int32",
)
row(
    "mask of a model's own",
    STEPS,
    lambda x: L.LSTM(2)(_net(STEPS, L.Masking(), L.Dense(4))(x * ops.cast(x[..., :1] > 0, "float32"))),
)
row("mask as argument", STEPS, lambda x: L.LSTM(4)(x, mask=x[..., 0] > 0))
row("mask as argument of numbers", STEPS, lambda x: L.LSTM(4)(x, mask=ops.cast(x[..., 0] > 0, "int32")))

# each step by itself
row("time_distributed dense", TABLES, L.TimeDistributed(L.Dense(4, activation="relu")))
row("time_distributed conv2d", (3, *IMAGE), L.TimeDistributed(L.Conv2D(4, 3, padding="same")))
row("time_distributed flatten", FILM, L.TimeDistributed(L.Flatten()))
row("time_distributed pool", FILM, L.TimeDistributed(L.GlobalAveragePooling2D()))
row("time_distributed batch_norm", TABLES, L.TimeDistributed(L.BatchNormalization()))
row("time_distributed dropout", TABLES, L.TimeDistributed(L.Dropout(0.5)))
row("time_distributed activation", TABLES, L.TimeDistributed(L.Activation("softmax")))
row("time_distributed lstm", TABLES, L.TimeDistributed(L.LSTM(4, return_sequences=True)))
row("time_distributed bidirectional", TABLES, L.TimeDistributed(L.Bidirectional(L.GRU(4))))
row("time_distributed conv_lstm2d", (2, *FILM), L.TimeDistributed(L.ConvLSTM2D(3, 2)))
row("time_distributed twice", FILM, L.TimeDistributed(L.TimeDistributed(L.Dense(4))))
row("time_distributed embedding", (3, 5), lambda x: L.TimeDistributed(L.Embedding(4, 5))(x), dtype="int32")
row("time_distributed any length", (None, 5, 3), L.TimeDistributed(L.Conv1D(4, 2)))
row("time_distributed sequential", TABLES, lambda x: L.TimeDistributed(_net((5, 3), L.GRU(4), L.Dense(2)))(x))
row("time_distributed model", TABLES, lambda x: L.TimeDistributed(_reader((5, 3)))(x))
row("time_distributed twice model", FILM, lambda x: L.TimeDistributed(L.TimeDistributed(_net((7, 2), L.GRU(4))))(x))
row(
    "time_distributed thrice models",
    (2, *FILM),
    lambda x: L.TimeDistributed(L.TimeDistributed(_net(FILM[1:], L.TimeDistributed(_net((7, 2), L.Dense(3))))))(x),
)
row(
    "time_distributed twice masked model",
    FILM,
    lambda x: L.TimeDistributed(L.TimeDistributed(_net((7, 2), L.LSTM(3, return_sequences=True))))(_masked(x)),
)
row(
    "time_distributed model any length", (None, 5, 3), lambda x: L.LSTM(2)(L.TimeDistributed(_net((5, 3), L.GRU(4)))(x))
)
row("time_distributed masked", STEPS, lambda x: L.GRU(2)(L.TimeDistributed(L.Dense(4))(_masked(x))))
row("time_distributed masked inside", TABLES, lambda x: L.TimeDistributed(L.LSTM(4))(_masked(x)))
row(
    "time_distributed masked model",
    TABLES,
    lambda x: L.TimeDistributed(_net((5, 3), L.Dense(4), L.LSTM(3, return_sequences=True)))(_masked(x)),
)
row(
    "time_distributed of model",
    STEPS,
    lambda x: L.GRU(2)(L.TimeDistributed(L.Dense(3))(L.GRU(4, return_sequences=True)(x))),
)

# chains of such layers, where all that stays of the merges and splits is the first and the last


def _chain(shape: Any, *layers: Any, behind: Any = ()) -> Any:
    return keras.Sequential([keras.Input(shape), *map(L.TimeDistributed, layers), *behind])


def _branches(x: Any) -> Any:
    y = L.TimeDistributed(L.Conv2D(3, 3, padding="same"))(x)
    z = L.TimeDistributed(L.BatchNormalization())(L.TimeDistributed(L.Conv2D(3, 3, padding="same"))(y))
    y = L.ReLU()(L.Add()([y, z]))
    return [L.TimeDistributed(L.GlobalAveragePooling2D())(y), L.TimeDistributed(L.Conv2D(2, 2))(L.Rescaling(0.5, 1)(y))]


row(
    "time_distributed chain",
    FILM,
    lambda x: _chain(
        *(FILM, L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.Activation("relu"), L.MaxPooling2D(2)),
        *(L.Dropout(0.5), L.Conv2D(3, 2), L.BatchNormalization(), L.Flatten()),
        behind=[L.LSTM(3)],
    ),
)
row(
    "time_distributed chain any length",
    (None, 6, 7, 2),
    lambda x: _chain((None, 6, 7, 2), L.Conv2D(4, 3), L.LeakyReLU(0.1), L.Flatten(), behind=[L.Dense(3), L.Softmax()]),
)
row(
    "time_distributed chain between others",
    FILM,
    lambda x: L.TimeDistributed(L.Flatten())(
        L.Activation("tanh")(L.BatchNormalization()(L.TimeDistributed(L.Conv2D(4, 3))(L.BatchNormalization()(x))))
    ),
)
row("time_distributed branches", FILM, _branches)
row(
    "time_distributed chain masked",
    STEPS,
    lambda x: L.GRU(2)(
        L.TimeDistributed(L.Dense(3))(
            L.ReLU()(L.TimeDistributed(L.Dense(4))(L.TimeDistributed(L.Dense(5))(_masked(x))))
        )
    ),
)
row(
    "time_distributed chain of steps",
    TABLES,
    lambda x: L.TimeDistributed(L.TimeDistributed(L.Dense(4)))(
        L.TimeDistributed(L.LSTM(4, return_sequences=True))(L.TimeDistributed(L.TimeDistributed(L.Dense(3)))(x))
    ),
)
