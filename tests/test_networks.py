"""Networks that nobody thought of: layers, skips and gates drawn at random, at every level, against Keras.

`pytest tests/test_networks.py --hypothesis-profile long` draws many more.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers as L
from support import randomize, relative_error
from teams import Team
from test_parity import FAST, FAST_TOLERANCE, GRADIENT_TOLERANCE, UNROLLED

from kerasgen.backward.options import GradientOptions
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.emit.training import Training
from kerasgen.passes import LEVEL, PIPELINES, optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat
from kerasgen.verification.gradients import FLOOR
from kerasgen.verification.oracle import Oracle

ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "hard_silu", "sigmoid", "tanh", "leaky_relu", "elu", "softmax")
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*softmax over axis")  # of one channel


def network(draw: Any) -> tuple[Any, np.ndarray]:
    """A Keras model for signals, images or volumes of any size or of a known one, and a batch for it."""
    rank, channels = draw(st.sampled_from((1, 2, 2, 2, 3))), draw(st.integers(1, 8))
    shape = (*(draw(st.integers(5, 80 // rank)) for _ in range(rank)), channels)
    values = [keras.Input(shape)]
    for _ in range(draw(st.integers(1, 8))):
        values.append(draw(st.sampled_from(KINDS))(draw, values))
    x, end, is_open = values[-1], draw(st.sampled_from((None, "pool", "flatten"))), draw(st.booleans())
    if end is not None:
        x = L.Dense(3, activation="softmax")(L.Flatten()(x if end == "flatten" else means(x)))
    outputs = [x, draw(st.sampled_from(values[1:]))] if draw(st.booleans()) else x
    model = keras.Model(values[0], outputs)
    if is_open and end != "flatten":
        model = keras.models.clone_model(model, input_tensors=keras.Input((*[None] * rank, channels)))
    random = np.random.RandomState(draw(st.integers(0, 9)))
    batch = random.uniform(-1, 1, (draw(st.integers(1, 3)), *shape)).astype("float32")
    return randomize(model, 1), batch


def rank_of(x: Any) -> int:
    return len(x.shape) - 2


def layer(x: Any, name: str, *settings: Any, **others: Any) -> Any:
    """The layer for as many axes as x has, as Conv3D for `Conv`, applied to x."""
    kind, _, end = name.partition("-")
    return getattr(L, f"{kind}{rank_of(x)}D{end}")(*settings, **others)(x)


def means(x: Any) -> Any:
    """Of every channel, (N, 1, 1, C), over few cells: TensorFlow's means of many are less accurate than ours."""
    few = [max(1, size // 8) for size in x.shape[1:-1]]
    return layer(layer(x, "MaxPooling", few), "GlobalAveragePooling", keepdims=True)


def activation(draw: Any) -> Any:
    return draw(st.sampled_from((None, "relu", *ACTIVATIONS)))


def sizes(draw: Any, x: Any, most: int) -> tuple[int, ...]:
    return draw(st.tuples(*[st.integers(1, most)] * rank_of(x)))


def padding(draw: Any) -> str:
    return draw(st.sampled_from(("same", "same", "valid")))


def steps(draw: Any) -> dict[str, Any]:
    """Strides or dilation; Keras allows one of them at a time."""
    kind = draw(st.sampled_from(("strides", "dilation_rate", None)))
    return {kind: draw(st.integers(2, 3))} if kind else {}


def conv(draw: Any, values: list[Any]) -> Any:
    x = values[-1]
    settings = {"padding": padding(draw), "activation": activation(draw), "use_bias": draw(st.booleans())}
    return layer(x, "Conv", draw(st.integers(1, 24)), sizes(draw, x, 5), **settings, **steps(draw))


def square_conv(draw: Any, values: list[Any]) -> Any:
    """Of the kind that Winograd's filtering computes."""
    window, settings = draw(st.sampled_from((3, 3, 5))), {"padding": padding(draw), "activation": activation(draw)}
    return layer(values[-1], "Conv", draw(st.integers(1, 24)), window, **settings)


def pointwise(draw: Any, values: list[Any]) -> Any:
    return layer(values[-1], "Conv", draw(st.integers(1, 24)), 1, activation=activation(draw))


def grouped(draw: Any, values: list[Any]) -> Any:
    x = values[-1]
    groups = draw(st.sampled_from([n for n in range(1, x.shape[-1] + 1) if x.shape[-1] % n == 0]))
    filters = groups * draw(st.integers(1, 3))
    return layer(x, "Conv", filters, sizes(draw, x, 3), groups=groups, padding=padding(draw))


def depthwise(draw: Any, values: list[Any]) -> Any:
    x = values[-1]
    if rank_of(x) == 3:
        return conv(draw, values)
    settings = {"depth_multiplier": draw(st.sampled_from((1, 1, 2))), "activation": activation(draw)}
    return layer(x, "DepthwiseConv", sizes(draw, x, 7), padding=padding(draw), **settings, **steps(draw))


def separable(draw: Any, values: list[Any]) -> Any:
    x, settings = values[-1], {"padding": padding(draw), "activation": activation(draw)}
    return layer(x, "Conv" if rank_of(x) == 3 else "SeparableConv", draw(st.integers(1, 16)), 3, **settings)


def transposed(draw: Any, values: list[Any]) -> Any:
    x = values[-1]
    settings = {"strides": draw(st.integers(1, 3)), "padding": padding(draw), "activation": activation(draw)}
    return layer(x, "Conv-Transpose", draw(st.integers(1, 8)), sizes(draw, x, 4), **settings)


def pool(draw: Any, values: list[Any]) -> Any:
    x, kind = values[-1], draw(st.sampled_from(("MaxPooling", "AveragePooling")))
    return layer(x, kind, sizes(draw, x, 3), strides=draw(st.integers(1, 3)), padding=padding(draw))


def upsample(draw: Any, values: list[Any]) -> Any:
    x = values[-1]
    settings = {"interpolation": draw(st.sampled_from(("nearest", "bilinear")))} if rank_of(x) == 2 else {}
    return layer(x, "UpSampling", 2 if rank_of(x) == 1 else sizes(draw, x, 3), **settings)


def normalise(draw: Any, values: list[Any]) -> Any:
    kind = draw(st.sampled_from((L.BatchNormalization, L.BatchNormalization, L.LayerNormalization)))
    return kind(epsilon=0.1)(values[-1])


def activate(draw: Any, values: list[Any]) -> Any:
    return L.Activation(draw(st.sampled_from(ACTIVATIONS)))(values[-1])


def pad_or_crop(draw: Any, values: list[Any]) -> Any:
    x, pair = values[-1], st.tuples(st.integers(0, 2), st.integers(0, 2))
    edges = draw(pair if rank_of(x) == 1 else st.tuples(*[pair] * rank_of(x)))
    return layer(x, draw(st.sampled_from(("ZeroPadding", "Cropping"))), edges)


def residual(draw: Any, values: list[Any]) -> Any:
    """A layer of the same shape, joined with what it reads."""
    x, settings = values[-1], {"padding": "same", "activation": activation(draw)}
    if rank_of(x) == 3 or draw(st.booleans()):
        y = layer(x, "Conv", x.shape[-1], draw(st.sampled_from((1, 3))), **settings)
    else:
        y = layer(x, "DepthwiseConv", 3, **settings)
    pair = draw(st.permutations([x, y]))
    x = draw(st.sampled_from((L.Add, L.Add, L.Multiply, L.Subtract, L.Maximum, L.Average, L.Concatenate)))()(pair)
    return activate(draw, [x]) if draw(st.booleans()) else x


def skip(draw: Any, values: list[Any]) -> Any:
    """An earlier value, joined if the shapes allow it."""
    earlier = draw(st.sampled_from(values))
    if earlier.shape[:-1] != values[-1].shape[:-1]:
        return pointwise(draw, [earlier])
    return L.Concatenate()([values[-1], earlier])


def gate(draw: Any, values: list[Any]) -> Any:
    """Squeeze and excitation."""
    x = values[-1]
    y = layer(means(x), "Conv", 2, 1, activation=activation(draw))
    return L.Multiply()([x, layer(y, "Conv", x.shape[-1], 1, activation="sigmoid")])


KINDS = (
    *(conv, square_conv, square_conv, pointwise, grouped, depthwise, separable, transposed),
    *(pool, upsample, normalise, activate, pad_or_crop, residual, residual, skip, gate),
)
LEVELS = {**PIPELINES, "fast": FAST, "unrolled": UNROLLED}


class Drawn(NamedTuple):
    """A model, a batch, and Keras's answer."""

    model: Any
    batch: np.ndarray
    expected: list[np.ndarray]

    def check(self, results: Sequence[np.ndarray], name: Any) -> None:
        for got, wanted in zip(results, self.expected, strict=True):
            assert got.dtype == wanted.dtype
            assert relative_error(got, wanted) < (FAST_TOLERANCE if name == "fast" else 1e-5), name


def drawn(draw: Any) -> Drawn:
    """A network that Keras can compute."""
    try:
        model, batch = network(draw)
        expected = [np.asarray(array) for array in flat(model(batch))]
    except (ValueError, ZeroDivisionError) as refusal:  # a window does not fit
        assume(False)
        raise AssertionError from refusal
    assume(all(array.size and np.isfinite(array).all() for array in expected))
    return Drawn(model, batch, expected)


@given(st.data())
def test_graphs(data: Any) -> None:
    net = drawn(data.draw)
    graph = build(read(net.model)).bind()
    for name, pipeline in LEVELS.items():
        net.check(optimize(graph, pipeline).run(net.batch), name)


@given(st.data())
@pytest.mark.usefixtures("unformatted")
def test_modules(tmp_path: Path, data: Any) -> None:
    """One process, in whose buffers the answer to other images lies; then three processes."""
    net, name = drawn(data.draw), data.draw(st.sampled_from((LEVEL, "fast")))
    plan = optimize(build(read(net.model)).bind(), LEVELS[name])
    with open(tmp_path / "net.py", "wb") as file:
        emit(plan).write(file)
    module = load_module(tmp_path / "net.py")
    module.predict(np.full_like(net.batch, 100))
    net.check(flat(module.predict(net.batch)), name)
    if plan.shares_work:
        team = Team(tmp_path / "net.py", 3)
        for _ in range(2):
            for results in team.predict([net.batch]):
                net.check(results, name)


def has_sound_gradient(layer: Any) -> bool:
    """Whether TensorFlow differentiates it well: docs/gradients.md tells about volumes.

    The gradient of a transposed convolution whose strides are longer than its window writes beyond its memory (2.21).
    """
    if isinstance(layer, (L.Conv1DTranspose, L.Conv2DTranspose, L.Conv3DTranspose)):
        return all(stride <= size for stride, size in zip(layer.strides, layer.kernel_size, strict=True))
    return not isinstance(layer, L.MaxPooling3D)


@given(st.data())
@pytest.mark.usefixtures("unformatted")
def test_gradients(tmp_path: Path, data: Any) -> None:
    """Those in the images and in every weight, as TensorFlow computes them."""
    net = drawn(data.draw)
    assume(all(map(has_sound_gradient, net.model.layers)))
    random = np.random.RandomState(5)
    outer = [random.uniform(-1, 1, y.shape).astype(y.dtype) for y in net.expected]
    of_inputs, of_variables = Oracle(net.model, "the model").gradients([net.batch], outer)
    built, options = build(read(net.model)), GradientOptions()
    graph = built.bind()
    training = options.plan(built, graph, LEVEL)
    with open(tmp_path / "net.py", "wb") as file:
        emit(training.predict, training=Training(training, options)).write(file)
    module = load_module(tmp_path / "net.py")
    outputs, saved = module.forward(net.batch)
    net.check(flat(outputs), LEVEL)
    d_inputs, d_weights = module.backward(saved, *outer)
    by_weight = {numbers.tobytes(): gradient for numbers, gradient in of_variables}
    pairs = [(d_inputs, of_inputs[0])]
    pairs += [(gradient, by_weight[graph.weights[name].tobytes()]) for name, gradient in d_weights.items()]
    largest = max(np.abs(gradient).max() for gradient in (of_inputs[0], *by_weight.values()) if gradient is not None)
    for got, right in pairs:
        right = np.zeros_like(got) if right is None else right
        assert np.abs(got - right).max() <= GRADIENT_TOLERANCE * max(np.abs(right).max(), FLOOR * largest)
