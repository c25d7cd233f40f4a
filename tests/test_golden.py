"""Whole generated modules, reviewed like code: `make golden` writes them anew."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import black
import keras
import pytest
from keras import layers as L
from support import randomize

import kerasgen
from kerasgen import kernels
from kerasgen.backward.options import GradientOptions
from kerasgen.emit import runtime
from kerasgen.emit.target import NUMPY
from kerasgen.emit.weights import split
from kerasgen.names import PYTHON, RESERVED

GOLDEN = Path(__file__).parent / "golden"


def plain_cnn() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            L.Conv2D(2, 3, strides=2, padding="same", use_bias=False, name="stem"),
            L.BatchNormalization(name="stem_norm"),
            L.ReLU(name="stem_relu"),
            L.MaxPooling2D(2, name="pool"),
            L.Flatten(name="flat"),
            L.Dropout(0.5, name="drop"),
            L.Dense(3, activation="softmax", name="probs"),
        ],
        name="plain",
    )


def residual_two_heads() -> Any:
    image = keras.Input((None, None, 3), name="image")
    stem = L.Conv2D(4, 3, padding="same", name="stem")(image)
    x = L.DepthwiseConv2D(3, strides=1, padding="same", name="depthwise")(stem)
    x = L.BatchNormalization(name="norm")(x)
    x = L.Activation("swish", name="swish")(x)
    x = L.Add(name="join")([L.Conv2D(4, 1, name="project")(x), stem])
    x = L.Conv2D(4, 3, strides=2, padding="same", activation="relu6", name="down")(x)
    scaled = (x + 3.0) * (1.0 / 6.0)
    middle = scaled[:, 1:-1, ..., ::2]
    pooled = L.GlobalAveragePooling2D(name="gap")(scaled)
    heads = {"class": L.Dense(3, name="class")(pooled), "map": L.UpSampling2D(name="up")(middle)}
    return keras.Model(image, heads, name="residual")


def channels_first() -> Any:
    image = keras.Input((3, 9, 10), name="image")
    x = L.Conv2D(4, 3, data_format="channels_first", name="conv")(image)
    x = L.MaxPooling2D(2, data_format="channels_first", name="pool")(x)
    x = L.Conv2DTranspose(2, 3, strides=2, data_format="channels_first", name="up")(x)
    return keras.Model(image, x, name="first")


def fast_kernels() -> Any:
    """Large enough for each of the kernels that a large net has."""
    image = keras.Input((96, 96, 3), name="image")
    stem = L.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="stem")(image)
    x = L.Conv2D(32, 3, padding="same", activation="relu", name="winograd")(stem)
    x = L.Conv2D(64, 1, activation="relu6", name="expand")(x)
    x = L.DepthwiseConv2D(3, padding="same", activation="relu6", name="depthwise")(x)
    x = L.Add(name="join")([L.Conv2D(32, 1, name="project")(x), stem])
    x = L.DepthwiseConv2D(5, padding="same", name="wide")(x)
    x = L.GlobalAveragePooling2D(name="gap")(L.ReLU(name="relu")(x))
    return keras.Model(image, L.Dense(3, name="logits")(x), name="fast")


def digits() -> Any:
    return keras.models.load_model(Path(__file__).parents[1] / "examples" / "digits" / "digits.h5", compile=False)


def two_branches() -> Any:
    image = keras.Input((8, 8, 3), name="image")
    stem = L.Conv2D(4, 3, padding="same", activation="relu", name="stem")(image)
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise")(stem)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(x))
    x = L.AveragePooling2D(2, name="pool")(L.Add(name="join")([stem, x]))
    x = L.Flatten(name="flat")(x)
    return keras.Model(image, L.Dense(3, activation="softmax", name="kind")(x), name="two")


LAST_LAYERS = GradientOptions(
    trainable=("shapes", "digit"), inputs=False, loss="sparse_categorical_crossentropy", optimizer="adam"
)
EXPLAINED = GradientOptions(explain=("saliency", "integrated_gradients", "grad_cam=relu"))
MODULES: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "plain_cnn": (plain_cnn, {}),
    "plain_cnn_activations": (plain_cnn, {"activations": True}),
    "plain_cnn_labels": (plain_cnn, {"labels": ("round", "square", "star"), "preprocess": "1/255,0"}),
    "residual_two_heads": (residual_two_heads, {"store": "sidecar"}),
    "channels_first": (channels_first, {}),
    "fast_kernels": (fast_kernels, {"store": "sidecar"}),
    "gradients_last_layers": (digits, {"gradients": LAST_LAYERS}),
    "gradients_two_branches": (two_branches, {"gradients": EXPLAINED}),
}


@pytest.mark.parametrize("name", MODULES)
def test_golden(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    make, options = MODULES[name]
    keras.utils.clear_session()  # which numbers the names that Keras gives
    path = tmp_path / "model.keras"
    randomize(make()).save(path)
    kerasgen.export(path, tmp_path / f"{name}.py", verify=False, **options)
    whole, _ = split((tmp_path / f"{name}.py").read_bytes())
    assert black.format_str(whole, mode=NUMPY.style) == whole
    text = black.format_str(without_hash(whole), mode=NUMPY.style)
    golden = GOLDEN / f"{name}.py"
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text, "`make golden` writes it anew: review the difference like code"


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.py")), ids=lambda path: path.stem)
def test_names_that_predict_reads_are_reserved(path: Path) -> None:
    """Else an input or a layer with such a name would hide them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (predict,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "predict")
    names = [node for node in ast.walk(predict) if isinstance(node, ast.Name)]
    own = {name.id for name in names if isinstance(name.ctx, ast.Store)} | {arg.arg for arg in predict.args.args}
    assert {name.id for name in names} - own <= {*RESERVED, *PYTHON, *kernels.__all__}


SOURCES = [*Path(kernels.__file__).parent.rglob("*.py"), *Path(runtime.__file__).parent.glob("*.py")]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_what_is_copied_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert black.format_str(text, mode=NUMPY.style) == text


def without_hash(text: str) -> str:
    """The module without digests, for Keras's own rounding may differ between machines, and without its version."""
    text = re.sub(r"\b[0-9a-f]{64}\b", "<sha256>".ljust(64, "."), text)
    return text.replace(f'"keras": "{keras.__version__}"', '"keras": "<version>"')


def test_nothing_else_is_golden() -> None:
    assert {path.stem for path in GOLDEN.glob("*.py")} == set(MODULES)
