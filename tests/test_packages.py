"""Layers of packages: models that the packages themselves wrote and answered, in tests/packages."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras import ops
from support import randomize, relative_error, save

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.layers.packages import keras_contrib, keras_hub, tensorflow_addons
from kerasgen.layers.registry import RULES, find_rule

FOLDER = Path(__file__).parent / "packages"
FILES = sorted([*FOLDER.glob("*.h5"), *FOLDER.glob("*.keras")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("level", [0, 2])
def test_a_model_of_a_package(path: Path, level: int, tmp_path: Path) -> None:
    kerasgen.export(path, tmp_path / "module.py", verify=False, optimize=level)
    module = load_module(tmp_path / "module.py")
    with np.load(path.with_suffix(".npz")) as arrays:
        inputs = [arrays[name] for name in sorted(arrays) if name[0] == "x"]
        expected = [arrays[f"y{i}"] for i in range(len(arrays) - len(inputs))]
    answers = module.predict(*inputs)
    answers = answers if isinstance(answers, (list, tuple)) else [answers]
    assert len(answers) == len(expected)
    assert max(map(relative_error, answers, expected)) < 2e-5


@keras.saving.register_keras_serializable("contrib")
class InstanceNormalization(keras.layers.Layer):
    """That of keras-contrib, which no current Keras can import, in Keras's operations."""

    def __init__(
        self, axis: int | None = None, epsilon: float = 1e-3, center: bool = True, scale: bool = True, **more: Any
    ) -> None:
        super().__init__(**more)
        self.axis, self.epsilon, self.center, self.scale = axis, epsilon, center, scale

    def build(self, shape: Any) -> None:
        size = (1,) if self.axis is None else (shape[self.axis],)
        self.gamma = self.add_weight(name="gamma", shape=size) if self.scale else None
        self.beta = self.add_weight(name="beta", shape=size) if self.center else None

    def call(self, x: Any) -> Any:
        axes = [i for i in range(1, len(x.shape)) if self.axis is None or i != self.axis % len(x.shape)]
        shape = [1] * len(x.shape)
        if self.axis is not None:
            shape[self.axis] = x.shape[self.axis]
        y = (x - ops.mean(x, axes, keepdims=True)) / (ops.std(x, axes, keepdims=True) + self.epsilon)
        y = y if self.gamma is None else y * ops.reshape(self.gamma, shape)
        return y if self.beta is None else y + ops.reshape(self.beta, shape)

    def get_config(self) -> dict[str, Any]:
        own = {"axis": self.axis, "epsilon": self.epsilon, "center": self.center, "scale": self.scale}
        return {**super().get_config(), **own}


SETTINGS: list[dict[str, Any]] = [{"axis": -1}, {"axis": 1, "epsilon": 0.1}, {}, {"axis": 3, "scale": False}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_instance_normalization_of_keras_contrib(tmp_path: Path, settings: dict[str, Any]) -> None:
    x = keras.Input((6, 5, 4))
    model = randomize(keras.Model(x, InstanceNormalization(name="norm", **settings)(x)))
    path = save(model, tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:  # keras-contrib does not register its classes
        file.attrs["model_config"] = file.attrs["model_config"].replace("contrib>", "")
    kerasgen.export(path, tmp_path / "module.py", verify=False)
    array = np.random.RandomState(2).uniform(-1, 1, (3, 6, 5, 4)).astype("float32")
    assert relative_error(load_module(tmp_path / "module.py").predict(array), model(array)) < 1e-5


def test_gradients_of_a_package(tmp_path: Path) -> None:
    """Rules of packages are made of kernels that have derivatives."""
    for name in ("tcn", "keras_hub", "self_attention", "addons-2"):
        path = FOLDER / f"{name}.keras"
        kerasgen.export(path, tmp_path / "m.py", gradients=kerasgen.GradientOptions(), verify=False, force=True)


def spec(kind: str, package: str = "", **config: Any) -> Any:
    return find_rule(kind, {"name": "layer", "trainable": True, **config}, package)


def test_a_class_is_known_by_its_package_or_by_its_config() -> None:
    contrib = {"axis": -1, "epsilon": 1e-3, "center": True, "scale": True}
    assert spec("InstanceNormalization", **contrib) is keras_contrib.instance_norm
    assert spec("InstanceNormalization", groups=-1, **contrib) is tensorflow_addons.group_norm
    assert spec("InstanceNormalization", "Addons") is tensorflow_addons.group_norm
    assert spec("InstanceNormalization", "other", **contrib) is None
    assert spec("InstanceNormalization", **contrib, momentum=0.9) is None
    assert spec("GroupNormalization", groups=2, **contrib) is not spec("Addons>GroupNormalization", groups=2, **contrib)
    assert spec("TransformerEncoder", "keras_nlp") is keras_hub.transformer_encoder
    assert spec("TransformerEncoder", num_heads=2) is None
    assert spec("StochasticDepth", "Addons") is tensorflow_addons.stochastic_depth
    assert spec("StochasticDepth", drop_path_rate=0.1) is RULES["StochasticDepth"]


def test_a_rule_of_the_user_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def mine(layer: Any, x: Any) -> Any:
        return x

    monkeypatch.setitem(RULES, "FixedDropout", mine)
    assert spec("FixedDropout", rate=0.5, noise_shape=None, seed=None) is mine


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("tcn_layer_norm.keras", {"use_batch_norm": True}, "two kinds of normalisation"),
        ("keras_hub_positions.keras", {"rope_type": "yarn"}, "frequencies are scaled"),
        ("keras_hub.keras", {"sequence_length": 4}, "7 steps, its table 4"),
    ],
)
def test_what_a_rule_declines(tmp_path: Path, file: str, change: dict[str, Any], message: str) -> None:
    with zipfile.ZipFile(FOLDER / file) as old, zipfile.ZipFile(tmp_path / file, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                for layer in config["config"]["layers"]:
                    layer["config"].update({key: item for key, item in change.items() if key in layer["config"]})
                data = json.dumps(config).encode()
            new.writestr(name, data)
    with pytest.raises(kerasgen.KerasgenError, match=message):
        kerasgen.export(tmp_path / file, tmp_path / "module.py", verify=False)
