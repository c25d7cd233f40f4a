"""The cases of Keras's own tests of Lambda, Hashing and HashedCrossing, in models: the module answers as the layer.

Strings and sparse tensors are no arrays that a module takes; that they are refused is tested, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from keras import ops

import kerasgen
from kerasgen.api import generate
from kerasgen.emit.load import load_module
from kerasgen.readers import read

ROWS = 12  # of each input: the rows of a case, repeated
UP_TO_4 = np.arange(5)
Case = tuple[Callable[[Any], Any], tuple[Any, ...]]  # a layer, of a module of layers, and what it is called with


def _hashing(rows: Any, **settings: Any) -> Case:
    return lambda layers: layers.Hashing(**settings), (rows,)


def _crossing(*rows: Any, **settings: Any) -> Case:
    return lambda layers: lambda xs: layers.HashedCrossing(**settings)(tuple(xs)), rows


COLUMN, IN_A_ROW = UP_TO_4[:, None], UP_TO_4[None]
FIRST, SECOND = np.array([1, 2]), np.array([4, 5])
HASHES: dict[str, Case] = {
    "numbers": _hashing(UP_TO_4, num_bins=3),
    "a column": _hashing(COLUMN, num_bins=3),
    "a single bin": _hashing(COLUMN, num_bins=1),
    "two salts": _hashing(COLUMN, num_bins=3, salt=[133, 137]),
    "other salts": _hashing(COLUMN, num_bins=2, salt=[211, 137]),
    "one salt": _hashing(COLUMN, num_bins=3, salt=133),
    "a masked number": _hashing(COLUMN, num_bins=3, mask_value=0),
    "another masked number": _hashing(COLUMN, num_bins=3, mask_value=4),
    "salts and a masked number": _hashing(COLUMN, num_bins=3, salt=[133, 137], mask_value=3),
    "one_hot of a column": _hashing(COLUMN, num_bins=3, output_mode="one_hot"),
    "one_hot of numbers": _hashing(UP_TO_4, num_bins=3, output_mode="one_hot"),
    "multi_hot": _hashing(IN_A_ROW, num_bins=3, output_mode="multi_hot"),
    "count": _hashing(IN_A_ROW, num_bins=3, output_mode="count"),
    "int32": _hashing(IN_A_ROW, num_bins=3, dtype="int32"),
    "int64": _hashing(IN_A_ROW, num_bins=3, dtype="int64"),
    "one_hot as float64": _hashing(COLUMN, num_bins=3, output_mode="one_hot", dtype="float64"),
    "vectors": _hashing(np.array([[1, 2], [2, 3], [3, 4]]), num_bins=2),
    "matrices": _hashing(np.array([[[1], [2]], [[2], [3]], [[3], [4]]]), num_bins=2),
    **{
        f"{mode} of {rows.shape[1:]}": _hashing(rows, num_bins=5, output_mode=mode)
        for mode in ("int", "multi_hot", "count")
        for rows in (np.arange(12).reshape((3, 4)), np.arange(12).reshape((3, 4, 1)), np.arange(24).reshape((2, 3, 4)))
        if mode == "int" or rows.ndim == 2
    },
    "crossed": _crossing(FIRST, SECOND, num_bins=3),
    "crossed columns": _crossing(FIRST[:, None], SECOND[:, None], num_bins=5),
    "crossed one_hot": _crossing(FIRST, SECOND, num_bins=4, output_mode="one_hot"),
    "crossed columns one_hot": _crossing(FIRST[:, None], SECOND[:, None], num_bins=5, output_mode="one_hot"),
    "crossed into one bin": _crossing(FIRST, FIRST, num_bins=1),
    "crossed as int32": _crossing(FIRST, FIRST, num_bins=2, dtype="int32"),
    "crossed one_hot as float64": _crossing(FIRST, FIRST, num_bins=2, output_mode="one_hot", dtype="float64"),
}


def stacked(x: Any) -> Any:
    return keras.ops.concatenate([x, x], axis=1)


MATRIX = np.arange(6.0).reshape((2, 3)).astype("float32")
LAMBDAS: dict[str, Case] = {
    "squared": (lambda layers: layers.Lambda(lambda x: x**2), (2 * np.ones((2, 3), "float32"),)),
    "by a function of Keras": (lambda layers: layers.Lambda(lambda x: ops.square(x)), (MATRIX,)),
    "with a shape": (
        lambda layers: layers.Lambda(lambda x: ops.concatenate([x, x], axis=1), output_shape=(6,)),
        (MATRIX,),
    ),
    "with a function for its shape": (
        lambda layers: layers.Lambda(
            lambda x: ops.concatenate([x, x], axis=1), output_shape=lambda shape: (shape[0], shape[1] * 2)
        ),
        (MATRIX,),
    ),
    "with a function that cannot be read for its shape": (
        lambda layers: layers.Lambda(lambda x: x**2, output_shape=lambda shape: shape if len(shape) else None),
        (MATRIX,),
    ),
    "with arguments": (lambda layers: layers.Lambda(lambda x, by: x * by, arguments={"by": 2.5}), (MATRIX,)),
    "with a mask": (
        lambda layers: layers.Lambda(lambda x: ops.square(x), mask=lambda x, mask: ops.any(x > 0, -1)),
        (np.arange(24.0).reshape((2, 3, 4)).astype("float32"),),
    ),
}


def model_of(library: Any, cases: dict[str, Case]) -> tuple[Any, list[np.ndarray]]:
    """A model whose outputs are the cases, and its inputs."""
    inputs, arrays, outputs = [], [], []
    for layer, rows in cases.values():
        own = [library.Input(each.shape[1:], dtype=each.dtype.name) for each in rows]
        inputs += own
        arrays += [np.resize(each, (ROWS, *each.shape[1:])) for each in rows]
        outputs.append(layer(library.layers)(own if len(own) > 1 else own[0]))
    return library.Model(inputs, outputs), arrays


def compare(model: Any, arrays: Sequence[np.ndarray], cases: dict[str, Case], path: Path) -> None:
    model.save(path)
    with open(path.with_suffix(".py"), "wb") as file:
        generate(read(path)).write(file)
    got = load_module(path.with_suffix(".py")).predict(*arrays)
    wrong = {
        name: (own, np.asarray(theirs))
        for name, own, theirs in zip(cases, got, model(list(arrays)), strict=True)
        if own.dtype != np.asarray(theirs).dtype or not np.array_equal(own, theirs)
    }
    assert not wrong


@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
def test_hashes(library: Any, tmp_path: Path) -> None:
    model, arrays = model_of(library, HASHES)
    compare(model, arrays, HASHES, tmp_path / "model.keras")


def test_lambdas(tmp_path: Path) -> None:
    model, arrays = model_of(keras, LAMBDAS)
    compare(model, arrays, LAMBDAS, tmp_path / "model.keras")


def _saved(path: Path, layer: Callable[[Any], Any], *shapes: tuple[Any, ...], dtype: str = "int64") -> Path:
    inputs = [keras.Input(shape, dtype=dtype) for shape in shapes]
    keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0])).save(path)
    return path


def _edit(path: Path, change: Callable[[Any], Any]) -> None:
    """Change the config in a legacy file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)


L = keras.layers
REFUSED: dict[str, tuple[Callable[[Any], Any], tuple[tuple[Any, ...], ...], str, str]] = {
    "texts": (L.Hashing(3), ((1,),), "string", "string"),
    "a masked text": (L.Hashing(3, mask_value="omar"), ((1,),), "int64", "mask_value is text"),
    "crossed texts": (L.HashedCrossing(5), ((), ()), "string", "string"),
    "a function by its name": (L.Lambda(stacked, output_shape=(6,)), ((3,),), "float32", "'stacked', but not its code"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, tmp_path: Path) -> None:
    layer, shapes, dtype, reason = REFUSED[name]
    path = _saved(tmp_path / "model.keras", layer, *shapes, dtype=dtype)
    with pytest.raises(kerasgen.UnsupportedModelError, match=reason):
        generate(read(path))


# Settings that Keras does not accept, so that only a damaged file has them.
IMPOSSIBLE: dict[str, tuple[str, Any]] = {
    "no bins": ("num_bins", None),
    "zero bins": ("num_bins", 0),
    "fewer bins": ("num_bins", -1),
    "a text as the salt": ("salt", "string"),
    "a list of one salt": ("salt", [1]),
    "three salts": ("salt", [133, 137, 177]),
    "another mode": ("output_mode", "unsupported"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible_settings(name: str, tmp_path: Path) -> None:
    key, value = IMPOSSIBLE[name]
    path = _saved(tmp_path / "model.h5", L.Hashing(2), (1,))
    _edit(path, lambda config: config["config"]["layers"][1]["config"].update({key: value}))
    with pytest.raises(kerasgen.InvalidModelError, match=key):
        generate(read(path))


@pytest.mark.parametrize(("key", "value"), [("dtype", "float32"), ("batch_shape", [None, 1, 1])])
def test_what_is_not_crossed(key: str, value: Any, tmp_path: Path) -> None:
    path = _saved(tmp_path / "model.h5", L.HashedCrossing(5), (), ())

    def change(config: Any) -> None:
        for layer in config["config"]["layers"][:2]:
            layer["config"][key] = value

    _edit(path, change)
    with pytest.raises(kerasgen.InvalidModelError, match="it takes single integers"):
        generate(read(path))
