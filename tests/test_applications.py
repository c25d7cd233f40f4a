"""Every architecture of keras.applications, from its files to a module that runs and answers as Keras does.

The networks are as large as Keras ships them, 1000 classes included; only the images are small, odd in width and not
square. Pytest's junit report holds the largest error of each (`record_property`).
"""

from __future__ import annotations

import gc
import inspect
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from support import relative_error, run_python

import kerasgen
from kerasgen.backward.options import GradientOptions
from kerasgen.bench.suite import images, randomize
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.kernels.losses import sparse_categorical_crossentropy_loss
from kerasgen.passes import LEVEL
from kerasgen.readers import read

# Heavy ones first, so that no worker is left with one at the end.
HEAVY = """
InceptionResNetV2 VGG16 ConvNeXtXLarge ConvNeXtLarge EfficientNetV2L EfficientNetB7 ConvNeXtBase NASNetLarge
EfficientNetV2M EfficientNetB6 VGG19 ResNet152 ResNet152V2 EfficientNetB5 ConvNeXtSmall EfficientNetV2S ResNet101
ResNet101V2
""".split()
FOUND = [name for name, thing in vars(keras.applications).items() if inspect.isfunction(thing)]
ARCHITECTURES = HEAVY + sorted(set(FOUND) - set(HEAVY))

IMAGES = 2
SIZE = (96, 107)  # maps of 3 x 4 at the end of most
SIZES = {"InceptionV3": (123, 139), "InceptionResNetV2": (123, 139)}  # they cut borders: 2 x 3 remain
TOLERANCE = 1e-4
# Different ones; --thorough takes them all, and both formats of each.
CHOSEN = """
ConvNeXtTiny DenseNet121 EfficientNetB0 InceptionV3 MobileNetV2 NASNetMobile ResNet50
""".split()
FORMATS = ("keras", "h5")  # each goes through one of them, in turn
GRADIENT_TOLERANCE = 1e-3  # float32 through a hundred layers and back
FAMILIES = ("DenseNet121", "EfficientNetB0", "MobileNetV2")
SMALLEST = {
    "InceptionV3": (75, 75),
    "InceptionResNetV2": (75, 75),
    "Xception": (71, 71),
    "NASNetLarge": (96, 96),
    "NASNetMobile": (64, 64),
}
EMBEDDED = 30_000_000  # parameters up to which the weights go into the module itself
IN_A_PROCESS = ("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "MobileNetV2", "NASNetMobile", "VGG16")


def thorough_but(chosen: Sequence[str]) -> list[Any]:
    """All architectures; those that are not chosen run with --thorough only."""
    return [pytest.param(name, marks=() if name in chosen else pytest.mark.thorough) for name in ARCHITECTURES]


def test_list() -> None:
    assert {*HEAVY, *CHOSEN, *FAMILIES} <= set(FOUND)
    assert len(ARCHITECTURES) >= 40


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", thorough_but(CHOSEN))
def test_architecture(name: str, record_property: Any, request: pytest.FixtureRequest) -> None:
    keras.backend.clear_session()
    gc.collect()
    random = np.random.Generator(np.random.SFC64(ARCHITECTURES.index(name)))
    size = SIZES.get(name, SIZE)
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=(*size, 3))
    scaled = any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in model.layers)
    randomize(model, random, images(random, 8, (*size, 3), scaled))
    batch = images(random, IMAGES, (*size, 3), scaled)
    expected = np.asarray(model(batch, training=False))
    scale = np.abs(expected).max()
    assert 0.1 < scale < 1e3  # neither faded nor exploded; false for NaN
    assert expected.std(axis=-1).min() > 0.02 * scale  # the classes differ
    assert np.abs(expected[0] - expected[1]).max() > 0.02 * scale  # and so do the images
    store = "embedded" if model.count_params() <= EMBEDDED else "sidecar"
    thorough = request.config.getoption("--thorough")
    for ending in FORMATS if thorough else FORMATS[ARCHITECTURES.index(name) % 2 :][:1]:
        with tempfile.TemporaryDirectory() as folder:
            file, module = Path(folder, f"model.{ending}"), Path(folder, "model.py")
            model.save(file)
            kerasgen.export(file, module, store=store, verify=False)
            file.unlink()
            got = run_alone(module, batch) if name in IN_A_PROCESS else load_module(module).predict(batch)
        error = relative_error(got, expected)
        record_property(ending, f"{error:.1e}")
        assert error < TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", thorough_but(FAMILIES))
def test_gradients(name: str, record_property: Any) -> None:
    """Of a loss, in every weight that is trained, at the smallest image that the architecture takes."""
    keras.backend.clear_session()
    gc.collect()
    random = np.random.Generator(np.random.SFC64(ARCHITECTURES.index(name)))
    size = SMALLEST.get(name, (32, 32))
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=(*size, 3))
    scaled = any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in model.layers)
    randomize(model, random, images(random, 8, (*size, 3), scaled))
    batch = images(random, 1, (*size, 3), scaled)
    with tf.GradientTape() as tape:
        scores = model(tf.constant(batch), training=False)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(np.zeros(1), scores)
    variables = model.trainable_variables
    pairs = zip(variables, tape.gradient(loss, variables), strict=True)
    by_numbers = {np.asarray(variable).tobytes(): np.asarray(gradient) for variable, gradient in pairs}
    built = build(read(model))
    del model, tape, variables, pairs
    gc.collect()
    graph = built.bind()
    training = GradientOptions(inputs=False).plan(built, graph, LEVEL)
    expected = {name: by_numbers[graph.weights[name].tobytes()] for name in training.trainable}
    assert len(expected) == len(by_numbers)
    values = training.forward.trace(batch)
    outputs = training.forward.graph.outputs
    _, d_scores = sparse_categorical_crossentropy_loss(values[outputs[0]], np.zeros(1), from_logits=True)
    saved = [values[name] for name in outputs[1 : 1 + len(training.backward.saved)]]
    del values
    back = training.backward.graph.trace(*saved, d_scores)
    largest = max(float(np.abs(gradient).max()) for gradient in expected.values())
    worst = 0.0
    for key, wanted in expected.items():
        error = np.abs(back[training.backward.gradients[key]] - wanted).max()
        worst = max(worst, float(error / max(np.abs(wanted).max(), 1e-3 * largest)))
    record_property("gradients", f"{worst:.1e}")
    assert worst < GRADIENT_TOLERANCE


def run_alone(module: Path, batch: np.ndarray) -> np.ndarray:
    """The answer of a module that runs as a program, in a process of its own."""
    given, answer = module.with_name("in.npy"), module.with_name("out.npy")
    np.save(given, batch)
    process = run_python("-I", module, given, "-o", answer)
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    return np.load(answer)
