"""The models of the benchmark suite, with random weights. Run as a program, it builds one of them with Keras."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.readers.model import ModelSpec

LARGE = (
    "MobileNetV2",
    "MobileNetV3Small",
    "EfficientNetB0",
    "ResNet50",
    "DenseNet121",
    "InceptionV3",
    "Xception",
    "ConvNeXtTiny",
    "VGG16",
)


def two_conv1d(keras: Any) -> Any:
    """Two strided Conv1D layers: (100, 1) to (1, 16)."""
    conv = keras.layers.Conv1D
    settings = {"strides": 12, "padding": "same"}
    return keras.Sequential([keras.Input((100, 1)), conv(16, 12, **settings), conv(16, 12, **settings)])


def mnist_cnn(keras: Any) -> Any:
    """A small classifier of handwritten digits."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )


TINY: Mapping[str, Callable[[Any], Any]] = {"TwoConv1D": two_conv1d, "MnistCNN": mnist_cnn}
GROUPS = {"large nets": LARGE, "tiny nets": tuple(TINY)}
SIZE = (224, 224)
SIZES = {"InceptionV3": (299, 299), "Xception": (299, 299)}  # that they are trained with
NAMES = (*TINY, *LARGE)
SCALING = ("Rescaling", "Normalization")


def build(name: str) -> Any:
    """A model of the suite, with random weights."""
    import keras

    random = np.random.Generator(np.random.SFC64(NAMES.index(name)))
    if name in TINY:
        model = TINY[name](keras)
    else:
        settings = {"weights": None, "classifier_activation": None, "input_shape": (*SIZES.get(name, SIZE), 3)}
        model = getattr(keras.applications, name)(**settings)
    size = tuple(model.input_shape[1:])
    scaled = any(type(layer).__name__ in SCALING for layer in model.layers)
    randomize(model, random, images(random, 8, size, scaled) if name in LARGE else np.empty((0, *size)))
    return model


def inputs(model: ModelSpec, shape: Sequence[int | None], batch: int) -> np.ndarray:
    """The inputs that a model of the suite is timed with."""
    random = np.random.Generator(np.random.SFC64(batch))
    size = tuple(n or 1 for n in shape[1:])
    if len(size) < 3:
        return random.standard_normal((batch, *size), dtype=np.float32)
    return images(random, batch, size, any(layer.kind in SCALING for layer in model.layers))


def images(random: np.random.Generator, count: int, size: tuple[int, ...], scaled: bool) -> np.ndarray:
    """Coarse patches with fine noise: pixels of 0 to 255 for a network that scales them, else about -2 to 2."""
    height, width, channels = size
    coarse = random.random((count, height // 16 + 1, width // 16 + 1, channels), dtype=np.float32)
    coarse = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    pixels = 0.7 * coarse + 0.3 * random.random(coarse.shape, dtype=np.float32)
    return pixels * 255 if scaled else pixels * 4 - 2


def randomize(model: Any, random: np.random.Generator, batch: np.ndarray) -> None:
    """Give every weight a random value, such that the network behaves like a trained one.

    With random statistics the image would vanish among constants within fifty layers. So the statistics are those of a
    random batch. Mostly positive shifts keep most units alive: with dead ones, rounding errors grow with each layer,
    and two correct computations of 150 layers differ in the fourth digit.
    """
    import keras

    for variable in model.weights:
        if "int" not in variable.dtype:  # not the sample count of a Normalization
            variable.assign(_random_weight(variable, random))
            assert variable.shape == () or np.ptp(variable) > 0
    layers = list(model._flatten_layers(include_self=False))
    for layer in layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    _measure(model, [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)], batch)


def _random_weight(variable: Any, random: np.random.Generator) -> np.ndarray:
    shape, name = tuple(variable.shape), variable.path.split("/")[-1]
    if len(shape) > 1:
        inputs = np.prod(shape[:-2] if "depthwise" in variable.path else shape[:-1])
        return np.asarray(random.standard_normal(shape) * np.sqrt(2 / inputs))
    if name in ("gamma", "variance", "moving_variance"):
        return random.uniform(0.5, 1.5, shape)
    return random.uniform(-0.3, 1.2, shape)


def _measure(model: Any, norms: Sequence[Any], batch: np.ndarray) -> None:
    """Set the statistics of batch normalisations to those of this batch."""
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    if norms:
        model(batch, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        assert np.ptp(layer.moving_mean) > 0
        assert np.ptp(layer.moving_variance) > 0


def main() -> None:
    """Write the model `name` to the file `target`."""
    job = json.loads(sys.argv[1])
    target = Path(job["target"])
    part = target.with_name(f"part-{target.name}")
    build(job["name"]).save(part)
    part.replace(target)


if __name__ == "__main__":
    main()
