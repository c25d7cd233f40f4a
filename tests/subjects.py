"""The models whose modules tests/mutate.py alters, and inputs as their users would have them.

The inputs are drawn here, by NumPy's generator and by what a row says, and not by what is under test: they decide
whether a mutant counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import keras
import numpy as np
from cases import CASES
from keras import layers as L
from support import ROOT, SHARED_MODELS, randomize, save

from kerasgen.bench import suite

Draw = Callable[[np.random.RandomState, tuple[int, ...]], np.ndarray]
SAMPLES = 5


def noise(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
    """Normal noise."""
    return random.standard_normal(shape)


def between(low: float, high: float) -> Draw:
    """Even noise; whole numbers up to `high`, itself left out, where the input takes those."""
    return lambda random, shape: random.uniform(low, high, shape)


def pictures(low: float = 0.0, high: float = 255.0) -> Draw:
    """Pictures: soft shapes in a few colours, each with a light of its own, and a little noise."""

    def draw(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
        n, *sizes, c = shape
        y = np.zeros((n, *sizes, c))
        for _ in range(5):
            wave = random.uniform(0, 2 * np.pi, (n, *[1] * len(sizes), 1))
            for axis, size in enumerate(sizes):
                t = np.arange(size).reshape([1, *(size if i == axis else 1 for i in range(len(sizes))), 1]) / size
                wave = wave + t * random.uniform(-9, 9, (n, *[1] * len(sizes), 1))
            y += np.cos(wave) * random.uniform(0, 1, (n, *[1] * len(sizes), c))
        y += 0.2 * random.standard_normal(y.shape)
        y -= y.min(axis=tuple(range(1, y.ndim)), keepdims=True)
        y /= y.max(axis=tuple(range(1, y.ndim)), keepdims=True)
        return np.asarray(low + (high - low) * y * random.uniform(0.5, 1, (n, *[1] * (y.ndim - 1))))

    return draw


def words(count: int) -> Draw:
    """Numbers of words; the more frequent have lower ones."""
    return lambda random, shape: (count * random.uniform(0, 1, shape) ** 2).astype(int)


def columns(means: Any, deviations: Any) -> Draw:
    """A table: every column has a mean and a deviation of its own."""
    return lambda random, shape: means + deviations * random.standard_normal(shape)


def stored(path: Path, name: str) -> Draw:
    """Inputs that lie in an .npz file."""

    def draw(random: np.random.RandomState, shape: tuple[int, ...]) -> np.ndarray:
        with np.load(path) as npz:
            array = np.asarray(npz[name])
        return array[random.permutation(len(array))[:SAMPLES]]

    return draw


@dataclass(frozen=True)
class Subject:
    """A model: who writes its file into a folder, how each of its inputs is drawn, how many mutants are wanted."""

    name: str
    write: Callable[[Path], Path]
    draws: Sequence[Draw]
    most: int = 50
    sizes: tuple[int, ...] = (8,)  # that stand for unknown ones, in turn

    def inputs(self, module: Any, seed: int = 1) -> list[np.ndarray]:
        """An array for each input of the module."""
        random = np.random.RandomState(seed)
        drawn = []
        for (_, shape, dtype), draw in zip(module.INPUTS, cycle(self.draws), strict=False):
            unknown = cycle(self.sizes)
            sizes = [next(unknown) if size is None else size for size in shape[1:]]
            drawn.append(draw(random, (SAMPLES, *sizes)).astype(dtype))
        return drawn


def case(name: str) -> Subject:
    """A parity case, its inputs in the range that it is tested with."""
    row = CASES[name]

    def write(folder: Path) -> Path:
        keras.utils.clear_session()
        model = randomize(row.model())
        if row.finish is not None:
            row.finish(model)
        return save(model, folder / "model.keras")

    low, high = row.values or ((-4, 4) if "float" in row.dtype else (0, 4))
    return Subject(name, write, [between(low, high)], sizes=row.sizes)


def net(make: Callable[[], Any], *draws: Draw) -> Subject:
    """A network that is built here, its weights random."""

    def write(folder: Path) -> Path:
        keras.utils.clear_session()
        return save(randomize(make()), folder / "model.keras")

    return Subject(make.__name__, write, draws, most=70)


def of_the_suite(name: str) -> Subject:
    """A network that speed is judged by; where it is large, a few mutants."""

    def write(folder: Path) -> Path:
        keras.utils.clear_session()
        return save(suite.build(name), folder / "model.keras")

    scaled = ("MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny")  # they begin with a layer for that
    draw = noise if name == "TwoConv1D" else pictures() if name in scaled else pictures(-2, 2)
    return Subject(name, write, [draw], most=14 if name in suite.LARGE else 50)


def trained(path: Path, *draws: Draw) -> Subject:
    """A network that somebody trained; by default with the inputs that lie beside it."""
    beside = path.with_name(f"{path.name}.golden.npz")
    if not beside.exists():
        beside = path.with_name(f"{path.stem}.golden.npz")
    names = ["x"] if not beside.name.startswith(path.name) else ["x0", "x1"]
    return Subject(path.stem, lambda folder: path, draws or [stored(beside, name) for name in names])


def classifier() -> Any:
    """What it takes to fool a proof: pixels divided by 255, and a softmax that is soon saturated."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            L.Rescaling(1 / 255),
            L.Conv2D(8, 3, activation="relu", name="first"),
            L.MaxPooling2D(),
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(10, activation="softmax"),
        ]
    )


def centred_classifier() -> Any:
    return keras.Sequential(
        [
            keras.Input((32, 32, 3), name="image"),
            L.Rescaling(1 / 127.5, offset=-1),
            L.Conv2D(12, 3, strides=2, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.DepthwiseConv2D(3, padding="same"),
            L.Conv2D(20, 1, activation="swish"),
            L.GlobalAveragePooling2D(),
            L.Dense(7, activation="softmax"),
        ]
    )


def unet() -> Any:
    """Pixels of 0 to 255 as they come: sums of hundreds, and a sigmoid that is nearly always 0 or 1."""
    image = keras.Input((32, 32, 3), name="image")
    skips, x = [], image
    for filters in (6, 10):
        x = L.Conv2D(filters, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    x = L.Conv2D(14, 3, padding="same", activation="relu")(x)
    for filters, skip in zip((10, 6), reversed(skips), strict=True):
        x = L.Concatenate()([L.Conv2DTranspose(filters, 2, strides=2)(x), skip])
        x = L.Conv2D(filters, 3, padding="same", activation="relu")(x)
    return keras.Model(image, L.Conv2D(1, 1, activation="sigmoid")(x))


def autoencoder() -> Any:
    return keras.Sequential(
        [
            keras.Input((24, 24, 1), name="image"),
            L.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
            L.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            L.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
            L.UpSampling2D(),
            L.Conv2D(1, 3, padding="same", activation="sigmoid"),
        ]
    )


MEANS, DEVIATIONS = np.array([40.0, 1e4, 0.02, -3.0, 500.0, 7.0]), np.array([9.0, 3e3, 0.005, 0.1, 40.0, 2.0])


def table() -> Any:
    return keras.Sequential(
        [
            keras.Input((6,), name="row"),
            L.Normalization(mean=MEANS, variance=DEVIATIONS**2),
            L.Dense(16, activation="relu"),
            L.Dense(8, activation="tanh"),
            L.Dense(1, activation="sigmoid"),
        ]
    )


def statistics() -> Any:
    return keras.Sequential(
        [
            keras.Input((12,), name="row"),
            L.BatchNormalization(),
            L.Dense(16, activation="elu"),
            L.BatchNormalization(),
            L.Dense(4, activation="softmax"),
        ]
    )


def text() -> Any:
    return keras.Sequential(
        [
            keras.Input((20,), dtype="int32", name="words"),
            L.Embedding(50, 8),
            L.Conv1D(12, 3, activation="relu"),
            L.GlobalMaxPooling1D(),
            L.Dense(3, activation="softmax"),
        ]
    )


def story() -> Any:
    return keras.Sequential(
        [
            keras.Input((12,), dtype="int32", name="words"),
            L.Embedding(30, 6, mask_zero=True),
            L.Bidirectional(L.LSTM(8)),
            L.Dense(1, activation="sigmoid"),
        ]
    )


def pixels_of_bytes() -> Any:
    image = keras.Input((16, 16, 3), dtype="uint8", name="image")
    x = L.Conv2D(8, 3, activation="relu")(L.Rescaling(1 / 255)(image))
    x = L.Conv2D(8, 3, strides=2, activation="relu")(x)
    return keras.Model(image, L.Dense(5, activation="softmax")(L.Flatten()(x)))


def network_of_two() -> Any:
    image, row = keras.Input((20, 20, 1), name="image"), keras.Input((6,), name="row")
    x = L.Flatten()(L.Conv2D(6, 5, strides=3, activation="relu")(L.Rescaling(1 / 255)(image)))
    y = L.Dense(8, activation="relu")(L.Normalization(mean=MEANS, variance=DEVIATIONS**2)(row))
    x = L.Concatenate()([L.Dense(8)(x), y])
    return keras.Model([image, row], [L.Dense(3, activation="softmax")(x), L.Dense(1)(x)])


NETS = (
    net(classifier, pictures()),
    net(centred_classifier, pictures()),
    net(unet, pictures()),
    net(autoencoder, pictures()),
    net(table, columns(MEANS, DEVIATIONS)),
    net(statistics, noise),
    net(text, words(50)),
    net(story, words(30)),
    net(pixels_of_bytes, pictures()),
    net(network_of_two, pictures(), columns(MEANS, DEVIATIONS)),
)
OF_THE_CASES = """
    residual
    densenet
    squeeze and excite
    shared layer
    many outputs
    branches
    nested model twice
    nested models deep
    dict inputs and outputs
    layer with op nodes
    first conv chain
    sequential
    conv1d causal dilated
    conv1d any length same strided
    conv2d strided same
    conv2d first groups
    conv2d softmax
    conv2d any size same strided
    depthwise_conv2d multiplier
    separable_conv2d same strided
    conv2d_transpose strided same
    batch_norm before conv2d
    batch_norm after activation
    layer_norm axes
    group_norm
    normalization before conv2d
    preprocessing before conv2d
    rescaling before conv2d same
    dense softmax
    lstm
    gru reset before
    simple_rnn sequences and states
    bidirectional lstm concat
    conv_lstm2d same
    embedding any length
    time_distributed conv2d
    multi_head_attention self
    grouped_query_attention key
    transformer
    transformer of embeddings
    mixed_float16 then float32
    float64
"""
WILD = """
    tmp122_cnn_model.keras didayolo_autoencoder.h5 thedim0n_generator-v0.1.h5 coderrps_audio_model.h5
    soniakutyrkina_ecg_model.h5
    """.split()
DIGITS = ROOT / "examples" / "digits"


def subjects() -> list[Subject]:
    """All of them that are on this machine."""
    cases = [case(name.strip()) for name in OF_THE_CASES.strip().splitlines()]
    strangers = [SHARED_MODELS / "keras2.0.5_mini_xception.hdf5", SHARED_MODELS / "tfkeras2.2.4_simple_rnn.h5"]
    strangers += [SHARED_MODELS / "wild" / name for name in WILD]
    return [
        *NETS,
        *cases,
        trained(DIGITS / "digits.h5", stored(DIGITS / "digits.npz", "images")),
        *(trained(path) for path in strangers if path.exists()),
        *map(of_the_suite, suite.NAMES),
    ]
