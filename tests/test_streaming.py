"""Modules that stream: what `step` answers to parts of a sequence adds up to what Keras answers to the whole."""

from __future__ import annotations

import gc
import io
import pickle
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from keras import ops
from pairs import Pair
from support import randomize, relative_error

import kerasgen
from kerasgen.streaming.clock import Clock

L = keras.layers
TOLERANCE = 1e-5


def wavenet() -> Any:
    x = y = keras.Input((None, 1), name="wave")
    y = L.Conv1D(6, 2, padding="causal")(y)
    skips = []
    for dilation in (1, 2, 4, 8, 1, 2):
        settings = {"dilation_rate": dilation, "padding": "causal"}
        gate = L.Conv1D(6, 2, activation="sigmoid", **settings)(y)
        z = L.Multiply()([L.Conv1D(6, 2, activation="tanh", **settings)(y), gate])
        skips.append(L.Conv1D(8, 1)(z))
        y = L.Add()([y, L.Conv1D(6, 1)(z)])
    y = L.Activation("relu")(L.Add()(skips))
    return keras.Model(x, L.Conv1D(10, 1, activation="softmax")(L.Conv1D(8, 1, activation="relu")(y)))


def tcn(*, last: bool) -> Any:
    """As keras-tcn builds it."""
    x = y = keras.Input((60, 4), name="samples")
    for dilation in (1, 2, 4):
        z = y
        for _ in range(2):
            z = L.Conv1D(6, 3, dilation_rate=dilation, padding="causal")(z)
            z = L.SpatialDropout1D(0.1)(L.Activation("relu")(L.BatchNormalization()(z)))
        y = L.Conv1D(6, 1, padding="same")(y) if y.shape[-1] != 6 else y
        y = L.Activation("relu")(L.Add()([y, z]))
    return keras.Model(x, L.Dense(3)(y[:, -1] if last else y))


def keyword_spotting() -> Any:
    """Convolutions over a spectrogram of 10 bands."""
    x = y = keras.Input((49, 10, 1), name="spectrogram")
    y = L.BatchNormalization()(L.Conv2D(8, (5, 3), strides=(2, 1), activation="relu")(y))
    y = L.Conv2D(8, 1, activation="relu")(L.DepthwiseConv2D(3)(y))
    y = L.AveragePooling2D((2, 1))(L.MaxPooling2D((1, 2))(y))
    y = L.TimeDistributed(L.Flatten())(L.Conv2D(6, (3, 3), strides=(2, 1))(y))
    return keras.Model(x, L.Dense(5, activation="softmax")(y))


def padded_bands() -> Any:
    x = keras.Input((None, 10), name="bands")
    y = L.ZeroPadding2D(((2, 0), (1, 1)))(L.Reshape((-1, 10, 1))(x))
    y = L.SeparableConv2D(6, (1, 3), activation="relu")(L.Conv2D(4, 3)(y))
    y = L.Reshape((-1, 24))(L.MaxPooling2D((1, 2))(y))
    return keras.Model(x, L.Dense(3)(L.GRU(5, return_sequences=True)(y)))


def recurrent() -> Any:
    x = keras.Input((40, 3), name="samples")
    y = L.GRU(6, return_sequences=True)(L.Conv1D(8, 3, activation="relu")(x))
    y = L.SimpleRNN(5, return_sequences=True)(y)
    return keras.Model(x, L.Dense(2)(L.LSTM(4)(y)))


def stateful() -> Any:
    x = keras.Input(batch_shape=(2, None, 3), name="samples")
    return keras.Model(
        x, L.LSTM(4, stateful=True)(L.GRU(4, stateful=True, return_sequences=True, reset_after=False)(x))
    )


def words() -> Any:
    """Some steps are masked, including the first ones."""
    x = keras.Input((20,), dtype="int32", name="words")
    y = L.LSTM(5, return_sequences=True)(L.Embedding(4, 6, mask_zero=True)(x))
    head = keras.Sequential([L.Dense(4, activation="relu"), L.Dense(3, activation="softmax")])
    return keras.Model(x, [L.TimeDistributed(head)(y), L.GRU(4)(y)])


def strided() -> Any:
    x = keras.Input((None, 2), name="samples")
    y = L.MaxPooling1D(3, 2)(L.Conv1D(4, 5, strides=2, activation="elu")(x))
    short = L.Conv1D(3, 1, strides=2)(y)  # windows with steps between them
    y = L.Add()([short, L.Conv1D(3, 3, strides=2, padding="causal")(y)])
    return keras.Model(x, L.AveragePooling1D(2)(L.MaxPooling1D(1, 2)(y)))


def separable() -> Any:
    x = keras.Input((None, 4), name="samples")
    y = L.SeparableConv1D(6, 3, strides=2)(L.DepthwiseConv1D(3, depth_multiplier=2)(x))
    return keras.Model(x, L.Conv1D(6, 3, groups=2)(L.LayerNormalization()(y)))


def upsampled() -> Any:
    x = keras.Input((None, 2), name="samples")
    y = L.UpSampling1D(2)(L.Conv1D(4, 4, strides=4, activation="relu")(x))
    y = L.UpSampling1D(2)(L.Conv1D(4, 3, padding="causal")(y))
    z = L.Conv1DTranspose(3, 3, strides=2, padding="same")(L.Conv1D(4, 2, strides=2)(x))
    return keras.Model(x, [L.Conv1D(3, 3)(L.ZeroPadding1D((2, 0))(y)), z])


def branches() -> Any:
    """With different delays: a branch that is ahead waits; zeros that are cropped again at the end do no harm."""
    x = keras.Input((50, 3), name="samples")
    late = L.Conv1D(4, 5)(x)
    parts = [late, L.Cropping1D((2, 0))(L.Conv1D(4, 3)(x)), L.Conv1D(2, 1)(L.Cropping1D((0, 4))(x))]
    parts.append(L.Cropping1D((2, 2))(x))
    y = L.Conv1D(4, 3, padding="same", dilation_rate=2)(L.Conv1D(4, 3, padding="same")(x))
    return keras.Model(x, [L.Concatenate()(parts), L.Cropping1D((1, 3))(L.Add()([y, L.Conv1D(4, 1)(x)]))])


def two_inputs() -> Any:
    a, b = keras.Input((None, 2), name="a"), keras.Input((None, 3), name="state")
    y = L.Conv1D(3, 2, padding="causal")(L.Concatenate()([L.Conv1D(3, 3, padding="causal")(a), b]))
    return keras.Model([a, b], {"y": y, "z": L.Dense(2)(y)})


def images() -> Any:
    x = keras.Input((None, 6, 5, 2), name="frames")
    y = L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)(x)
    y = L.Permute((1, 3, 2, 4))(L.MaxPooling3D((2, 2, 1))(L.Conv3D(3, (2, 3, 3), activation="relu")(y)))
    return keras.Model(x, L.Reshape((-1, 18))(y))


def operations() -> Any:
    x = keras.Input((None, 4), name="samples")
    y = L.Conv1D(3, 2)(x[:, 3:])[:, ::2]
    y = L.PReLU(shared_axes=[1])(y - ops.mean(y, axis=-1, keepdims=True))
    return keras.Model(x, ops.squeeze(ops.expand_dims(y, -1), -1))


MODELS: dict[str, Callable[[], Any]] = {
    "wavenet": wavenet,
    "tcn": lambda: tcn(last=False),
    "tcn, last step": lambda: tcn(last=True),
    "keyword spotting": keyword_spotting,
    "padded bands": padded_bands,
    "recurrent": recurrent,
    "stateful": stateful,
    "words": words,
    "strided": strided,
    "separable": separable,
    "upsampled": upsampled,
    "branches": branches,
    "two inputs": two_inputs,
    "images": images,
    "operations": operations,
}


def step(x: Any) -> Any:
    return np.maximum(x, 0)


def flat(result: Any) -> list[np.ndarray]:
    if isinstance(result, dict):
        return [np.asarray(y) for y in result.values()]
    return [np.asarray(y) for y in (result if isinstance(result, (list, tuple)) else [result])]


def sequences(model: Any, random: np.random.RandomState, batch: int = 2) -> list[np.ndarray]:
    length = model.inputs[0].shape[1] or 61
    shapes = [(batch, length, *x.shape[2:]) for x in model.inputs]
    return [
        random.randint(0, 4, shape).astype("int32") if "int" in x.dtype else random.normal(size=shape).astype("float32")
        for x, shape in zip(model.inputs, shapes, strict=True)
    ]


def by_step(module: Any, arrays: list[np.ndarray], sizes: Iterable[int]) -> list[np.ndarray]:
    """The joined answers to parts of these sizes; no state may be changed."""
    state, at, found = module.start(len(arrays[0])), 0, []
    for size in sizes:
        before = pickle.dumps(state)
        answer, after = module.step(*(x[:, at : at + size] for x in arrays), state)
        assert pickle.dumps(state) == before
        state, at = after, at + size
        found.append(flat(answer))
        if at >= arrays[0].shape[1]:
            return [np.concatenate(ys, axis=1) for ys in zip(*found, strict=True)]
    raise AssertionError("sizes are missing")


def patterns(random: np.random.RandomState) -> Iterator[Iterable[int]]:
    """Steps one by one, in any numbers, and all at once."""
    yield [1] * 100
    yield [0, *random.choice([0, 1, 2, 3, 7, 20], 400)]
    yield [1000]


@pytest.mark.parametrize("name", MODELS)
def test_adds_up_to_keras(name: str) -> None:
    model = randomize(MODELS[name]())
    module = kerasgen.load(model, streaming=True, verify=False)
    random = np.random.RandomState(0)
    arrays = sequences(model, random)
    expected = flat(model(arrays if len(arrays) > 1 else arrays[0]))
    for sizes in patterns(random):
        for got, right in zip(by_step(module, arrays, sizes), expected, strict=True):
            latest = got[:, -1] if got.ndim > right.ndim else got
            assert relative_error(latest, right) < TOLERANCE


@pytest.mark.parametrize(("name", "level"), [("tcn", 0), ("padded bands", 0), ("branches", 1)])
def test_levels(name: str, level: int) -> None:
    """At level 0, pads and normalisations are steps of their own; every level computes the same."""
    model = randomize(MODELS[name]())
    module = kerasgen.load(model, streaming=True, verify=False, optimize=level)
    arrays = sequences(model, np.random.RandomState(0))
    for got, right in zip(by_step(module, arrays, [3, 0, 1, 1, 10, 100]), flat(module.predict(*arrays)), strict=True):
        assert relative_error(got, right) < TOLERANCE


def random_stack(random: np.random.RandomState) -> Any:
    """A chain of layers drawn at random, some around a shortcut."""

    def draw() -> Any:
        size, stride, dilation = random.randint(1, 5), random.randint(1, 4), random.randint(1, 4)
        padding = random.choice(["valid", "causal"])
        return [
            lambda: L.Conv1D(4, size, strides=stride, padding=padding, activation="tanh"),
            lambda: L.Conv1D(4, size, dilation_rate=dilation, padding=padding),
            lambda: L.DepthwiseConv1D(size),
            lambda: L.SeparableConv1D(4, size, strides=stride),
            lambda: L.MaxPooling1D(size, stride),
            lambda: L.AveragePooling1D(size, stride),
            lambda: L.UpSampling1D(size),
            lambda: L.Cropping1D((size - 1, dilation - 1)),
            lambda: L.ZeroPadding1D((size, 0)),
            lambda: L.GRU(4, return_sequences=True),
            lambda: L.BatchNormalization(),
            lambda: L.Dense(4, activation="relu"),
        ][random.randint(12)]()

    x = y = keras.Input((None, 4), name="x")
    for _ in range(random.randint(2, 7)):
        shortcut, layer = y, draw()
        y = layer(y)
        if isinstance(layer, L.Conv1D) and layer.padding == "causal" and layer.strides == (1,):
            y = L.Add()([y, shortcut])
        elif isinstance(layer, L.Conv1D) and layer.strides == (1,):
            lost = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
            before = random.randint(lost + 1)
            y = L.Concatenate()([y, L.Cropping1D((before, lost - before))(shortcut)])
            y = L.Dense(4)(y)
    return keras.Model(x, y)


@pytest.mark.parametrize("seed", range(9))
def test_random_stacks(seed: int) -> None:
    random = np.random.RandomState(seed)
    model = randomize(random_stack(random))
    module = kerasgen.load(model, streaming=True, verify=False)
    x = random.normal(size=(2, 400, 4)).astype("float32")
    right = module.predict(x)
    assert relative_error(*by_step(module, [x], random.choice([0, 1, 2, 5, 40, 90], 400)), right) < TOLERANCE


def test_every_length_answers_as_predict() -> None:
    """After each sample, the answers are exactly those of `predict` for the samples so far."""
    module = kerasgen.load(randomize(strided()), streaming=True, verify=False)
    x = np.random.RandomState(0).normal(size=(1, 80, 2)).astype("float32")
    state, count = module.start(), 0
    for t in range(80):
        y, state = module.step(x[:, t : t + 1], state)
        count += y.shape[1]
        if t + 1 >= 45:  # from here on, every window is filled once
            assert count == module.predict(x[:, : t + 1]).shape[1]


def test_the_latest_answer() -> None:
    """A layer that returns the last step alone does so for each step."""
    model = randomize(keras.Sequential([keras.Input((None, 3)), L.GRU(4), L.Dense(2)]))
    module = kerasgen.load(model, streaming=True, verify=False)
    x = np.random.RandomState(0).normal(size=(2, 9, 3)).astype("float32")
    y, _ = module.step(x, module.start(2))
    assert y.shape == (2, 9, 2)
    for t in range(9):
        assert relative_error(y[:, t], module.predict(x[:, : t + 1])) < TOLERANCE


def test_memory_is_constant() -> None:
    module = kerasgen.load(randomize(strided()), streaming=True, verify=False)
    x = np.random.RandomState(0).normal(size=(1, 101, 2)).astype("float32")
    state = module.start()
    largest, traced = 0, []
    own = [tracemalloc.Filter(True, module.step.__code__.co_filename)]  # not what other threads of the tests allocate
    tracemalloc.start()
    try:
        for number in range(1024):  # 103,424 steps
            _, state = module.step(x, state)
            size = sum(array.nbytes for array in state.values())
            largest = max(largest, size) if number < 100 else largest
            assert size <= largest or number < 100
            if number % 256 == 255:  # the windows begin at the same place
                gc.collect()  # what Python keeps for tuples to come does not count
                traces = tracemalloc.take_snapshot().filter_traces(own).traces
                traced.append(sum(trace.size for trace in traces))
    finally:
        tracemalloc.stop()
    assert 0 < min(traced) <= max(traced) < min(traced) + 500
    _, state = module.step(np.zeros((1, 100_000, 2), "float32"), state)
    assert all(array.base is None or array.base.nbytes < 10_000 for array in state.values())


def test_states_are_plain_and_kept() -> None:
    """A state can be stored and continued from twice; a batch of another size is refused."""
    module = kerasgen.load(randomize(recurrent()), streaming=True, verify=False)
    x = np.random.RandomState(0).normal(size=(2, 40, 3)).astype("float32")
    _, state = module.step(x[:, :20], module.start(2))
    copy = pickle.loads(pickle.dumps(state))
    first, _ = module.step(x[:, 20:], state)
    again, _ = module.step(x[:, 20:], copy)
    assert np.array_equal(first, again)
    with pytest.raises(ValueError, match="a batch of 1 cannot continue from the state of a batch of 2"):
        module.step(x[:1], state)
    with pytest.raises(ValueError, match="input 'samples' takes the shape"):
        module.step(x[0], state)


def test_inputs_go_in_step() -> None:
    module = kerasgen.load(randomize(two_inputs()), streaming=True, verify=False)
    with pytest.raises(ValueError, match="the inputs differ in their samples and steps"):
        module.step(np.zeros((1, 5, 2)), np.zeros((1, 1, 3)), module.start())


def sequential(shape: tuple[int | None, ...], *layers: Any) -> Any:
    return keras.Sequential([keras.Input(shape, name="x"), *layers], name="net")


def attention() -> Any:
    x = keras.Input((20, 8), name="x")
    return keras.Model(x, L.MultiHeadAttention(2, 4, name="attention")(x, x))


def decoder() -> Any:
    x = keras.Input((20, 8), name="x")
    _, h, c = L.LSTM(4, return_state=True, name="encoder")(x)
    return keras.Model(x, L.LSTM(4, return_sequences=True)(x, initial_state=[h, c]))


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: sequential(
            (None, 3),
            L.Conv1D(4, 4, strides=4),
            L.Conv1D(4, 5, padding="same", name="a"),
            L.Conv1D(4, 3, padding="same", name="b"),
        ),
        r"a \(Conv1D\): it looks 8 steps ahead; b \(Conv1D\): it looks 4 steps ahead; .* a delay of 12 steps",
    ),
    (
        lambda: sequential((None, 3), L.Conv1D(4, 3, strides=2, padding="same", name="a")),
        r"a \(Conv1D\): where its windows begin depends on the length of the whole sequence",
    ),
    (lambda: sequential((50, 3), L.MaxPooling1D(3, 1, "same", name="a")), r"a \(MaxPooling1D\): .* delay of 1 step"),
    (lambda: sequential((50, 3), L.ZeroPadding1D((0, 2)), L.LSTM(3, name="a")), r"a \(LSTM\): .* delay of 2 steps"),
    (
        lambda: sequential((28, 28, 1), L.Conv2D(4, 3, padding="same", name="a"), L.Flatten(name="b"), L.Dense(3)),
        r"with axis 1 of x.* \(None, 28, 28, 1\) as time: a .*: it looks 1 step ahead; b \(Flatten\): it joins all",
    ),
    (
        lambda: sequential((10,), L.Dense(3, name="a")),
        r"a \(Dense\): its input has features alone, and no axis of time",
    ),
    (lambda: sequential((50, 3), L.GlobalAveragePooling1D(name="a")), r"a \(.*\): it pools over all steps"),
    (lambda: sequential((50, 3), L.Bidirectional(L.LSTM(2), name="a")), r"a \(.*\): it reads the steps backwards"),
    (lambda: sequential((50, 3), L.GRU(2, go_backwards=True, name="a")), r"a \(GRU\): it reads the steps backwards"),
    (lambda: sequential((50, 3), L.Permute((2, 1), name="a")), r"a \(Permute\): it moves the axis of the steps"),
    (lambda: sequential((50, 3), L.Softmax(axis=1, name="a")), r"a \(Softmax\): it computes along the axis of the"),
    (lambda: sequential((50, 3), L.PReLU(name="a")), r"a \(PReLU\): .* numbers that differ from step to step"),
    (lambda: sequential((4,), L.RepeatVector(5, name="a")), r"a \(RepeatVector\): it"),
    (lambda: sequential((50, 4), L.GroupNormalization(2, name="a")), r"a .*: group_norm needs all steps at once"),
    (attention, r"attention \(MultiHeadAttention\): it attends to all steps"),
    (decoder, r"encoder \(LSTM\): its last states have another reader"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_refused(case: int) -> None:
    make, message = REFUSED[case]
    with pytest.raises(kerasgen.UnsupportedModelError, match=message):
        kerasgen.export(make(), io.BytesIO(), streaming=True, verify=False)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("streaming") / "net.keras"
    x = keras.Input((None, 2), name="x")
    y = L.Conv1D(4, 3, strides=2, activation="relu", name="conv")(x)
    randomize(keras.Model(x, L.LSTM(3, return_sequences=True, name="lstm")(y))).save(path)
    return path


@pytest.fixture(scope="module")
def exported(net: Path) -> Path:
    """The module, compared with Keras."""
    result = kerasgen.export(net, net.with_name("exported.py"), streaming=True, verify=True)
    assert [report.name for report in result.outputs] == ["lstm", "lstm, by step"]
    return net.with_name("exported.py")


def test_the_command_line(net: Path, exported: Path, run: Run, pairs: list[Pair]) -> None:
    """The command line writes the same, and can check it; the self-test runs `step` on the oldest NumPy."""
    run("export", net, "--streaming", "-o", "net.py", "--no-verify")
    run("export", net, "--streaming", "-o", exported, "--check")
    run("export", net, "-o", exported, "--check", code=1)
    for pair in pairs:
        done = pair.run(exported, "--selftest")
        assert (done.returncode, "ok 'lstm' by step" in done.stdout) == (0, True), done.stderr
    run("export", net, "--streaming", "--activations", "-o", "other.py", code=2)
    run("export", net, "--streaming", "--target", "pure", "-o", "other.py", code=2)


def test_a_wrong_step_is_found(net: Path, exported: Path, run: Run, pairs: list[Pair]) -> None:
    text = exported.read_text(encoding="utf-8")
    wrong = text.replace("complete_windows(x, state", "complete_windows(x[::-1], state")  # sequences change places
    assert wrong != text
    place = run.folder / "net.py"
    place.write_text(wrong, encoding="utf-8")
    out, _ = run("verify", net, "net.py", code=1)
    assert "ok lstm:" in out
    assert "DIFFERS lstm, by step" in out
    done = pairs[0].run(place, "--selftest")
    assert (done.returncode, "WRONG 'lstm' by step" in done.stdout) == (1, True)


def test_your_functions_have_other_names() -> None:
    """After the last step, a function of the user's computes each answer by itself; no module has two `step`s."""
    model = sequential((None, 3), L.GRU(3), L.Activation("relu", name="act"))
    with pytest.raises(kerasgen.UsageError, match="modules have a step of their own"):
        kerasgen.export(model, io.BytesIO(), streaming=True, verify=False, custom={"act": step})
    model = sequential((None, 3), L.Activation("relu", name="act"))
    with pytest.raises(kerasgen.UnsupportedModelError, match=r"act \(Activation\): step needs all steps at once"):
        kerasgen.export(model, io.BytesIO(), streaming=True, verify=False, custom={"act": step})


def test_fewer_bytes() -> None:
    """Weights in fewer bytes are those of `step`, too."""
    x = keras.Input((None, 10), name="x")
    model = randomize(keras.Model(x, L.Conv1D(50, 3)(L.Activation("relu")(L.Conv1D(50, 3)(x)))))
    module = kerasgen.load(model, streaming=True, weights_dtype="float16", verify=False)
    x = np.random.RandomState(0).normal(size=(1, 60, 10)).astype("float32")
    assert relative_error(*by_step(module, [x], [4] * 20), module.predict(x)) < TOLERANCE
    exact = kerasgen.load(model, streaming=True, verify=False)
    assert 1e-5 < relative_error(*by_step(exact, [x], [4] * 20), module.predict(x)) < 0.01


def test_clocks() -> None:
    """Equal functions of the samples have equal forms, and their difference is known."""
    clock = Clock()
    assert clock.moved(2).windows(3, 1) == clock
    assert clock.windows(4, 4).repeated(4).windows(2, 2) == clock.windows(4, 4).repeated(2)
    assert clock.windows(6, 2).windows(2, 3) == clock.windows(8, 6)
    assert clock.moved(4) - clock.moved(1) == 3
    assert (clock.moved(1).strided(2) - clock.strided(2)) is None
    for samples in range(40):
        steps = ((samples // 2) * 3 + 1) // 2
        found = clock.strided(2).repeated(3).moved(1).strided(2)
        assert found(samples) == steps
        assert found(found.until(steps)) >= steps
        assert not steps or found(found.until(steps) - 1) < steps
