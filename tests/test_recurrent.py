"""Recurrent layers: files of Keras 2, states that outlive a call, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers as L
from pairs import Pair
from support import SHARED_MODELS, randomize, relative_error
from tf_keras import layers as K

from kerasgen import kernels
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.passes import CLEAN, FOLD, JOIN, MOVE, PIPELINES, optimize
from kerasgen.readers import read
from kerasgen.readers.model import Call, LayerSpec, ModelFile, ModelSpec, Ref
from kerasgen.verification.compare import flat

pytestmark = pytest.mark.usefixtures("unformatted")

BATCH = 3
STEPS = (7, 3)
TABLES = (4, 5, 3)


def saved(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the file format
        model.save(path)
    return path


def module_of(plan: Plan, folder: Path) -> Any:
    with open(folder / "module.py", "wb") as file:
        emit(plan).write(file)
    return load_module(folder / "module.py")


def random_inputs(model: Any, seed: int = 7) -> list[np.ndarray]:
    """Floats of which a third of the steps are zeros; whole numbers from 0 to 3."""
    random = np.random.RandomState(seed)
    arrays = []
    for tensor in model.inputs:
        shape = [BATCH, *(5 if size is None else size for size in tensor.shape[1:])]
        if "float" in str(getattr(tensor.dtype, "name", tensor.dtype)):
            array = random.uniform(-2, 2, shape) * (random.uniform(size=(*shape[:-1], 1)) > 1 / 3)
        else:
            array = random.randint(0, 4, shape)
        arrays.append(array.astype(getattr(tensor.dtype, "name", tensor.dtype)))
    return arrays


# Keras 2: masks are implied, and `hard_sigmoid` has another slope
KERAS_2: dict[str, Callable[[], Any]] = {}


def keras2(*shapes: Any, dtype: str = "float32") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a model of tf_keras, made from an input for each shape."""

    def enter(make: Callable[..., Any]) -> Callable[..., Any]:
        def model() -> Any:
            inputs = [tf_keras.Input(shape, dtype=dtype) for shape in shapes]
            return tf_keras.Model(inputs, make(*inputs))

        KERAS_2[make.__name__] = model
        return make

    return enter


@keras2((2, *TABLES))
def time_distributed_twice(x: Any) -> Any:
    """One in the other around a model: two weights whose names end alike."""
    steps = tf_keras.Sequential([tf_keras.Input(TABLES[1:]), K.Dense(4, name="first"), K.LSTM(4), K.Dense(2)])
    return K.TimeDistributed(K.TimeDistributed(steps))(x)


@keras2(STEPS)
def lstm(x: Any) -> Any:
    return K.LSTM(4, recurrent_activation="hard_sigmoid")(K.LSTM(4, return_sequences=True)(x))


@keras2(STEPS)
def lstm_backwards(x: Any) -> Any:
    return K.LSTM(4, go_backwards=True, return_sequences=True, return_state=True)(K.Masking()(x))


@keras2(STEPS)
def gru_reset_before(x: Any) -> Any:
    y = K.GRU(4, reset_after=False, recurrent_activation="hard_sigmoid", return_sequences=True)(x)
    return K.GRU(4, reset_after=False, use_bias=False)(y)


@keras2(STEPS)
def gru_reset_after(x: Any) -> Any:
    return K.GRU(4, return_state=True)(K.Masking()(x))


@keras2(STEPS)
def simple_rnn(x: Any) -> Any:
    return K.SimpleRNN(4)(K.SimpleRNN(3, activation="relu", return_sequences=True)(K.Masking()(x)))


@keras2((None, 3))
def any_length(x: Any) -> Any:
    return K.LSTM(3)(K.Bidirectional(K.LSTM(4, return_sequences=True))(x))


@keras2(STEPS)
def masked_zeros(x: Any) -> Any:
    return K.LSTM(4, return_sequences=True, zero_output_for_mask=True)(K.Masking()(x))


@keras2(STEPS, (4,), (4,))
def masked_initial_state(x: Any, h: Any, c: Any) -> Any:
    return K.LSTM(4, return_sequences=True)(K.Masking()(x), initial_state=[h, c])


@keras2(STEPS, (None, 2))
def encoder_and_decoder(x: Any, y: Any) -> Any:
    _, h, c = K.LSTM(4, return_state=True)(x)
    return K.Dense(3)(K.LSTM(4, return_sequences=True)(y, initial_state=[h, c]))


@keras2(STEPS)
def cells(x: Any) -> Any:
    return K.RNN([K.LSTMCell(4), K.GRUCell(3)], return_sequences=True, return_state=True)(K.Masking()(x))


@keras2(STEPS)
def bidirectional(x: Any) -> Any:
    y = K.Bidirectional(K.LSTM(4, return_sequences=True, recurrent_activation="hard_sigmoid"))(K.Masking()(x))
    return K.Bidirectional(K.GRU(3), merge_mode="sum")(y)


@keras2(STEPS)
def bidirectional_two_layers(x: Any) -> Any:
    backward = K.SimpleRNN(3, return_sequences=True, go_backwards=True)
    return K.Bidirectional(K.SimpleRNN(3, return_sequences=True), merge_mode="mul", backward_layer=backward)(x)


@keras2(STEPS, *[(4,)] * 4)
def bidirectional_states(x: Any, *states: Any) -> Any:
    return K.Bidirectional(K.LSTM(4, return_state=True))(x, initial_state=list(states))


@keras2(STEPS)
def bidirectional_apart(x: Any) -> Any:
    y = K.Bidirectional(K.LSTM(4, return_sequences=True), merge_mode=None)(K.Masking()(x))
    return [K.LSTM(2)(part) for part in y]


@keras2((3, 6, 5, 2))
def conv_lstm(x: Any) -> Any:
    y = K.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)  # hard_sigmoid is its default
    return K.ConvLSTM2D(2, 2, strides=2, return_state=True)(y)


@keras2((None,), dtype="int32")
def embedding(x: Any) -> Any:
    return K.LSTM(3)(K.Dropout(0.5)(K.Embedding(4, 5, mask_zero=True)(x)))


@keras2((4, 6), dtype="int32")
def sentences_of_words(x: Any) -> Any:
    """The mask of the inner steps comes from the wrapped layer, that of the outer ones from the inner."""
    words = K.TimeDistributed(K.Embedding(4, 5, mask_zero=True))(x)
    sentences = K.TimeDistributed(K.LSTM(3))(words)
    return K.LSTM(2)(sentences)


@keras2((4, 6), dtype="int32")
def sentences_by_a_model(x: Any) -> Any:
    words = tf_keras.Input((6,), dtype="int32")
    encoder = tf_keras.Model(words, K.Bidirectional(K.GRU(3))(K.Embedding(4, 5, mask_zero=True)(words)))
    return K.LSTM(2)(K.TimeDistributed(encoder)(x))


@keras2((4, 6), dtype="int32")
def sequences_by_a_model(x: Any) -> Any:
    encoder = tf_keras.Sequential([K.Embedding(4, 5, mask_zero=True), K.GRU(3, return_sequences=True)])
    return K.TimeDistributed(K.LSTM(2))(K.TimeDistributed(encoder)(x))


@keras2(TABLES)
def time_distributed(x: Any) -> Any:
    y = K.TimeDistributed(K.Conv1D(4, 2, activation="relu"))(x)
    return K.TimeDistributed(K.Bidirectional(K.LSTM(3)))(y)


@keras2(STEPS)
def time_distributed_masked(x: Any) -> Any:
    return K.GRU(2)(K.TimeDistributed(K.Dense(4))(K.Masking()(x)))


@keras2((4, 9, 8, 2))
def time_distributed_network(x: Any) -> Any:
    layers = [K.Conv2D(4, 3, padding="same"), K.BatchNormalization(), K.Activation("relu"), K.MaxPooling2D(2)]
    layers += [K.Conv2D(3, 3), K.Activation("relu"), K.Dropout(0.5), K.Flatten()]
    for layer in layers:
        x = K.TimeDistributed(layer)(x)
    return K.TimeDistributed(K.Dense(2, activation="sigmoid"))(K.LSTM(3, return_sequences=True)(x))


@keras2(STEPS)
def time_distributed_masked_chain(x: Any) -> Any:
    y = K.TimeDistributed(K.Dense(4))(K.Masking()(x))
    y = K.TimeDistributed(K.Activation("relu"))(K.TimeDistributed(K.BatchNormalization())(y))
    return K.GRU(2)(K.TimeDistributed(K.Dense(3))(y))


@keras2((4, 6), dtype="int32")
def time_distributed_mask_inside(x: Any) -> Any:
    """The mask of the words, of the same chain, is merged and split, too."""
    y = K.TimeDistributed(K.Embedding(4, 5, mask_zero=True))(x)
    y = K.TimeDistributed(K.LSTM(3, return_sequences=True))(K.TimeDistributed(K.Dense(4))(y))
    return K.LSTM(2)(K.TimeDistributed(K.LSTM(3))(y))


@keras2(STEPS, STEPS)
def merged_masks(a: Any, b: Any) -> Any:
    a, b = K.Masking()(a), K.Masking()(b)
    kinds = (K.Add, K.Subtract, K.Multiply, K.Average, K.Maximum, K.Minimum, K.Concatenate)
    return [K.GRU(2)(kind()([a, b])) for kind in kinds]


@keras2(STEPS, STEPS)
def merged_with_unmasked(a: Any, b: Any) -> Any:
    a = K.Masking()(a)
    return [K.GRU(2)(K.Add()([a, b])), K.GRU(2)(K.Multiply()([b, a])), K.GRU(2)(K.Concatenate()([a, b]))]


@keras2(STEPS, STEPS)
def joined_in_time(a: Any, b: Any) -> Any:
    return K.GRU(2)(K.Concatenate(axis=1)([K.Masking()(a), K.Masking()(b)]))


@keras2(STEPS)
def layers_that_keep_or_end_masks(x: Any) -> Any:
    x = K.Masking()(x)
    kept = K.LayerNormalization()(K.BatchNormalization()(K.ReLU()(K.Dense(4)(x))))
    return [K.LSTM(2)(kept), K.LSTM(2)(K.Conv1D(4, 1)(x)), K.LSTM(2)(K.Rescaling(2.0)(x))]


@keras2(STEPS)
def mean_of_steps(x: Any) -> Any:
    return K.GlobalAveragePooling1D()(K.Masking()(x))


@keras2(STEPS)
def nested_model(x: Any) -> Any:
    inner = tf_keras.Input(STEPS)
    reader = tf_keras.Model(inner, K.Dense(3)(K.GRU(4, return_sequences=True)(inner)))
    return K.LSTM(2)(reader(K.Masking()(x)))


@keras2(STEPS)
def nested_sequential(x: Any) -> Any:
    return K.LSTM(2)(tf_keras.Sequential([K.Masking(), K.Dense(4), K.GRU(3, return_sequences=True)])(x))


@pytest.fixture(scope="module", params=list(KERAS_2))
def model2(request: pytest.FixtureRequest) -> Iterator[Any]:
    yield randomize(KERAS_2[request.param]())
    tf_keras.backend.clear_session()


@pytest.mark.one_in(3)
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_keras_2(model2: Any, ending: str, tmp_path: Path, pairs: list[Pair]) -> None:
    inputs = random_inputs(model2)
    expected = keras.tree.flatten(model2(inputs if len(inputs) > 1 else inputs[0]))
    graph = build(read(saved(model2, tmp_path / f"model.{ending}"))).bind()
    results = {
        "graph": graph.run(*inputs),
        "optimized graph": optimize(graph).run(*inputs),
        "module": flat(module_of(optimize(graph), tmp_path).predict(*inputs)),
    }
    results.update((pair.python, pair.predict(tmp_path / "module.py", inputs)) for pair in pairs)
    for name, got in results.items():
        assert len(got) == len(expected), name
        for y, wanted in zip(got, expected, strict=True):
            assert relative_error(y, wanted) <= 1e-5, name


@pytest.mark.parametrize(
    ("name", "chains", "kinds"),
    [
        ("time_distributed_network", 2, ["conv2d", "max_pool", "conv2d", "flatten", "lstm", "dense"]),
        ("time_distributed_masked_chain", 1, ["not_equal", "any", "masked", "dense", "dense", "gru"]),
    ],
)
def test_a_chain_under_time_distributed_is_one(name: str, chains: int, kinds: list[str], tmp_path: Path) -> None:
    """One merge before the chain and one split behind it; between them all is folded and fused."""
    graph = build(read(saved(randomize(KERAS_2[name]()), tmp_path / "model.h5"))).bind()
    names = [node.kernel.__name__ for node in optimize(graph, (CLEAN, JOIN, FOLD, MOVE)).graph.nodes]
    assert [n for n in names if n not in ("merge_steps", "split_steps")] == kinds
    for level in PIPELINES:
        names = [node.kernel.__name__ for node in optimize(graph, PIPELINES[level]).graph.nodes]
        assert (names.count("merge_steps"), names.count("split_steps")) == (chains, chains), level


def test_sequential_of_keras_2(tmp_path: Path) -> None:
    model = randomize(
        tf_keras.Sequential(
            [K.Masking(input_shape=STEPS), K.Bidirectional(K.LSTM(4, recurrent_activation="hard_sigmoid")), K.Dense(2)]
        )
    )
    inputs = random_inputs(model)
    graph = build(read(saved(model, tmp_path / "model.h5"))).bind()
    assert relative_error(graph.run(*inputs)[0], model(inputs[0])) <= 1e-5


@pytest.mark.skipif(not SHARED_MODELS.is_dir(), reason="the models from the wild are not here")
def test_simple_rnn_from_the_wild() -> None:
    golden = np.load(SHARED_MODELS / "tfkeras2.2.4_simple_rnn.golden.npz")
    graph = build(read(SHARED_MODELS / "tfkeras2.2.4_simple_rnn.h5")).bind()
    assert relative_error(graph.run(golden["x"])[0], golden["y"]) <= 1e-5


# Masks that reach layers through models, which Keras 3 warns about
@pytest.mark.filterwarnings("ignore:Layer .* does not support masking")
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_masks_through_nested_models(ending: str, tmp_path: Path) -> None:
    inner = keras.Input(STEPS)
    reader = keras.Model(inner, L.Dense(3)(L.GRU(4, return_sequences=True)(inner)), name="reader")
    x = keras.Input(STEPS)
    y = L.Masking()(x)
    model = randomize(keras.Model(x, [L.LSTM(2)(reader(y)), L.LSTM(2)(L.Conv1D(3, 1)(y)), L.GlobalMaxPooling1D()(y)]))
    inputs = random_inputs(model)
    graph = build(read(saved(model, tmp_path / f"model.{ending}"))).bind()
    for got, expected in zip(graph.run(*inputs), model(inputs[0]), strict=True):
        assert relative_error(got, expected) <= 1e-5


# States that outlive a call
def nested(x: Any) -> Any:
    inner = keras.Sequential([keras.Input(batch_shape=(BATCH, *STEPS)), L.LSTM(3, stateful=True)])
    return L.Dense(2)(inner(x))


def shared(x: Any) -> Any:
    layer = L.GRU(3, stateful=True, return_sequences=True)
    return layer(layer(x))


STATEFUL: dict[str, Callable[[Any], Any]] = {
    "lstm": lambda x: L.LSTM(4, stateful=True)(x),
    "two layers": lambda x: L.GRU(3, stateful=True)(L.LSTM(4, stateful=True, return_sequences=True)(x)),
    "with states": lambda x: L.LSTM(4, stateful=True, return_state=True, return_sequences=True)(x),
    "masked": lambda x: L.SimpleRNN(4, stateful=True, return_sequences=True)(L.Masking()(x)),
    "both directions": lambda x: L.Bidirectional(L.LSTM(4, stateful=True))(x),
    "cells": lambda x: L.RNN([L.LSTMCell(4), L.GRUCell(3)], stateful=True)(x),
    "shared": shared,
    "nested": nested,
    "one of two": lambda x: L.Concatenate()([L.LSTM(3, stateful=True)(x), L.LSTM(3)(x)]),
    "convolutional": lambda x: L.ConvLSTM2D(2, 2, stateful=True)(x),
    "channels first": lambda x: L.ConvLSTM2D(2, 2, stateful=True, data_format="channels_first")(x),
}
FILMS = {"convolutional": (3, 5, 4, 2), "channels first": (3, 2, 5, 4)}


def stateful_model(name: str) -> Any:
    x = keras.Input(batch_shape=(BATCH, *FILMS.get(name, STEPS)), name="x")
    return keras.Model(x, STATEFUL[name](x))


@pytest.mark.parametrize("ending", ["h5", pytest.param("keras", marks=pytest.mark.one_in(4))])
@pytest.mark.parametrize("name", STATEFUL)
def test_states_outlive_a_call(name: str, ending: str, tmp_path: Path) -> None:
    model = randomize(stateful_model(name))
    graph = build(read(saved(model, tmp_path / f"model.{ending}"))).bind()
    module = module_of(optimize(graph), tmp_path)
    for _ in range(2):
        states: dict[str, Any] = {}
        module.reset_states()
        for layer in model._flatten_layers():
            for state in keras.tree.flatten(getattr(layer, "states", None) or []):  # Keras cannot reset those of cells
                state.assign(np.zeros(state.shape))
        for seed in range(3):
            inputs = random_inputs(model, seed)
            expected = flat(model(inputs[0]))
            for results in (graph.run(*inputs, states=states), flat(module.predict(*inputs))):
                for got, wanted in zip(results, expected, strict=True):
                    assert relative_error(got, wanted) <= 1e-5


def test_batch_must_fit_the_states(tmp_path: Path) -> None:
    graph = optimize(build(read(saved(stateful_model("lstm"), tmp_path / "model.keras"))).bind())
    module = module_of(graph, tmp_path)
    x = np.ones((BATCH, *STEPS), "float32")
    module.predict(x)
    with pytest.raises(ValueError, match="a batch of 1 cannot continue from the states of a batch of 3"):
        module.predict(x[:1])
    module.reset_states()
    assert module.predict(x[:1]).shape == (1, 4)


def test_only_stateful_models_have_states(tmp_path: Path) -> None:
    x = keras.Input(STEPS)
    plan = optimize(build(read(saved(keras.Model(x, L.LSTM(4, name="reader")(x)), tmp_path / "model.keras"))).bind())
    text = emit(plan).text
    assert "STATES" not in text
    body = text.partition("# Kernels")[0]
    assert "activation=tanh, recurrent_activation=sigmoid" in " ".join(body.split())
    assert "return_state" not in body


# What is refused
@keras.saving.register_keras_serializable("tests")
class MinimalCell(L.Layer):
    def __init__(self, units: int = 2, **settings: Any) -> None:
        super().__init__(**settings)
        self.units = self.state_size = units

    def call(self, x: Any, states: Any) -> Any:
        return x[:, : self.units] + states[0], [x[:, : self.units] + states[0]]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: L.RNN(MinimalCell())(x), "the cell 'MinimalCell' is custom code; supported: SimpleRNNCell"),
        (lambda x: L.LSTM(2, activation=L.LeakyReLU())(x), "must be a function, not a layer"),
        (lambda x: L.TimeDistributed(L.LSTM(2, stateful=True))(x[:, :, None]), "the inner layer is stateful"),
    ],
)
def test_refused(make: Callable[[Any], Any], message: str, tmp_path: Path) -> None:
    x = keras.Input(batch_shape=(BATCH, *STEPS))
    result = build(read(saved(keras.Model(x, make(x)), tmp_path / "model.keras")))
    assert any(message in problem for problem in result.problems), result.problems


class Weights:
    """Random weights for any declared variable."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}

    def bind(self, model: Any, variables: Any, *, partial: bool = False) -> dict[str, np.ndarray]:
        random = np.random.RandomState(0)
        self.arrays = {v.name: random.standard_normal(v.shape).astype("float32") for v in variables}
        return {v.key: self.arrays[v.name] for v in variables}


def graph_of(kind: str, config: dict[str, Any], *states: int) -> tuple[Graph, Weights]:
    """A model of one recurrent layer, in the canonical form; `states` are the sizes of its initial states."""
    inputs = [
        LayerSpec(f"in_{i}", "InputLayer", {"batch_shape": shape})
        for i, shape in enumerate([(None, *STEPS), *((None, size) for size in states)])
    ]
    refs = [Ref(layer.name) for layer in inputs]
    layer = LayerSpec("rnn", kind, config, (Call((refs if states else refs[0],)),))
    weights = Weights()
    spec = ModelSpec("model", "Functional", (*inputs, layer), refs, [Ref("rnn")])
    return build(ModelFile("model", "2.2.4", spec, weights)).bind(), weights


@pytest.mark.parametrize(("kind", "twin"), [("CuDNNLSTM", K.LSTM), ("CuDNNGRU", K.GRU)])
def test_cudnn_layers_are_plain_ones(kind: str, twin: Any) -> None:
    """Their configs have no activations. cuDNN knows one kind of each."""
    graph, weights = graph_of(kind, {"units": 4, "return_sequences": True})
    x = np.random.RandomState(1).standard_normal((BATCH, *STEPS)).astype("float32")
    layer = twin(4, return_sequences=True)
    layer.build((None, *STEPS))
    layer.set_weights(list(weights.arrays.values()))
    assert relative_error(graph.run(x)[0], layer(x)) <= 1e-5


def test_too_few_states() -> None:
    with pytest.raises(InvalidModelError, match="is given 1 states, not 2"):
        graph_of("LSTM", {"units": 4}, 4)


def test_time_major() -> None:
    with pytest.raises(UnsupportedModelError, match="the first axis is not the batch"):
        graph_of("LSTM", {"units": 4, "time_major": True})


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("RNN", {"cell": None}),
        ("RNN", {"cell": {"class_name": "StackedRNNCells", "config": {"cells": 3}}}),
        ("RNN", {"cell": {"class_name": "StackedRNNCells", "config": {"cells": []}}}),
        ("Bidirectional", {"layer": None}),
        ("TimeDistributed", {"layer": 1}),
        ("ConvLSTM2D", {"filters": 2, "kernel_size": 3}),
        ("LSTM", {"units": 0}),
        ("GRU", {"units": 2, "reset_after": "yes"}),
    ],
)
def test_malformed(kind: str, config: dict[str, Any]) -> None:
    with pytest.raises(InvalidModelError):
        graph_of(kind, config)


def test_kernels_take_large_numbers() -> None:
    x = np.full((2, 3, 4), 1e30, "float32")
    x[:, 1] *= -1
    weights = [np.ones((4, 12), "float32"), np.ones((3, 12), "float32")]
    for activation in (kernels.tanh, kernels.softsign):
        y = kernels.lstm(x, *weights, activation=activation, recurrent_activation=kernels.sigmoid)
        assert np.isfinite(y).all()
