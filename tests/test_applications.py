"""Every architecture of keras.applications, from both file formats to a module that runs and answers as Keras does.

The networks are as large as Keras ships them, 1000 classes included; only the images are small, odd in width and not
square. Pytest's junit report holds the largest error of each (`record_property`).
"""

from __future__ import annotations

import gc
import inspect
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support import relative_error, run_python

import kerasgen
from kerasgen.parity import load_module

# Heavy ones first, so that no worker is left with one at the end; a new architecture joins by itself.
HEAVY = """
ConvNeXtXLarge ConvNeXtLarge EfficientNetV2L EfficientNetB7 ConvNeXtBase NASNetLarge EfficientNetV2M EfficientNetB6
InceptionResNetV2 VGG19 VGG16 ResNet152 ResNet152V2 EfficientNetB5 ConvNeXtSmall EfficientNetV2S ResNet101 ResNet101V2
""".split()
FOUND = [name for name, thing in vars(keras.applications).items() if inspect.isfunction(thing)]
ARCHITECTURES = HEAVY + sorted(set(FOUND) - set(HEAVY))

IMAGES = 2
SIZE = (96, 107)  # maps of 3 x 4 at the end of most
SIZES = {"InceptionV3": (123, 139), "InceptionResNetV2": (123, 139)}  # they cut borders: 2 x 3 remain
TOLERANCE = 1e-4
EMBEDDED = 30_000_000  # parameters up to which the weights go into the module itself
IN_A_PROCESS = ("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "MobileNetV2", "NASNetMobile", "VGG16")


def test_list() -> None:
    assert set(HEAVY) <= set(FOUND)
    assert len(ARCHITECTURES) >= 40


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name: str, record_property: Any) -> None:
    keras.backend.clear_session()
    gc.collect()
    random = np.random.Generator(np.random.SFC64(ARCHITECTURES.index(name)))
    size = SIZES.get(name, SIZE)
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, input_shape=(*size, 3))
    scaled = any(isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)) for layer in model.layers)
    randomize(model, random, images(random, 8, size, scaled))
    batch = images(random, IMAGES, size, scaled)
    expected = np.asarray(model(batch, training=False))
    scale = np.abs(expected).max()
    assert 0.1 < scale < 1e3  # neither faded nor exploded; false for NaN
    assert expected.std(axis=-1).min() > 0.02 * scale  # the classes differ
    assert np.abs(expected[0] - expected[1]).max() > 0.02 * scale  # and so do the images
    store = "embedded" if model.count_params() <= EMBEDDED else "sidecar"
    for ending in ("keras", "h5"):
        with tempfile.TemporaryDirectory() as folder:
            file, module = Path(folder, f"model.{ending}"), Path(folder, "model.py")
            model.save(file)
            kerasgen.export(file, module, store=store, verify=False)
            file.unlink()
            got = run_alone(module, batch) if name in IN_A_PROCESS else load_module(module).predict(batch)
        error = relative_error(got, expected)
        record_property(ending, f"{error:.1e}")
        assert error < TOLERANCE


def images(random: np.random.Generator, count: int, size: tuple[int, int], scaled: bool) -> np.ndarray:
    """Coarse patches under fine noise: pixels of 0 to 255 for a network that scales them, else about -2 to 2."""
    height, width = size
    coarse = random.random((count, height // 16 + 1, width // 16 + 1, 3), dtype=np.float32)
    coarse = coarse.repeat(16, axis=1).repeat(16, axis=2)[:, :height, :width]
    pixels = 0.7 * coarse + 0.3 * random.random(coarse.shape, dtype=np.float32)
    return pixels * 255 if scaled else pixels * 4 - 2


def randomize(model: Any, random: np.random.Generator, batch: np.ndarray) -> None:
    """Give every weight a random value, and the network the manners of a trained one.

    Random statistics would drown the image in constants within fifty layers. They are therefore those of a random
    batch. Mostly positive shifts keep most units alive: with dead ones, the rounding of a sum grows by each layer, and
    two exact computations of 150 layers differ in the fourth digit.
    """
    for variable in model.weights:
        shape, name = tuple(variable.shape), variable.path.split("/")[-1]
        if len(shape) > 1:
            inputs = np.prod(shape[:-2] if "depthwise" in variable.path else shape[:-1])
            value = random.standard_normal(shape, dtype=np.float32)
            value *= np.float32(np.sqrt(2 / inputs))
        elif "int" in variable.dtype:  # how many samples a Normalization has seen
            continue
        elif name in ("gamma", "variance", "moving_variance"):
            value = random.uniform(0.5, 1.5, shape)
        else:
            value = random.uniform(-0.3, 1.2, shape)
        variable.assign(value)
        assert variable.shape == () or np.ptp(variable) > 0
    layers = list(model._flatten_layers(include_self=False))
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with copies of its weights
    if norms:
        momenta = [layer.momentum for layer in norms]
        for layer in norms:
            layer.momentum = 0.0
        model(batch, training=True)
        for layer, momentum in zip(norms, momenta, strict=True):
            layer.momentum = momentum
            assert np.ptp(layer.moving_mean) > 0
            assert np.ptp(layer.moving_variance) > 0


def run_alone(module: Path, batch: np.ndarray) -> np.ndarray:
    """The answer of a module that runs as a program, in a process of its own."""
    given, answer = module.with_name("in.npy"), module.with_name("out.npy")
    np.save(given, batch)
    process = run_python("-I", module, given, "-o", answer)
    assert process.returncode == 0, process.stderr
    assert not process.stderr
    return np.load(answer)
