"""Operations that are refused, and operations in files that nobody's Keras wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import kerasgen
from kerasgen.builder import Built, build
from kerasgen.readers import read

SHAPE = (4, 5)
REFUSED: dict[str, tuple[Callable[..., Any], str]] = {
    "nonzero": (lambda x: ops.nonzero(x)[0], "depends on the data"),
    "where without choices": (lambda x: ops.where(x > 0)[0], "depends on the data"),
    "unique of any size": (ops.unique, "depends on the data"),
    "unique unsorted": (lambda x: ops.unique(x, sorted=False, size=3), "not defined"),
    "bincount": (lambda x: ops.bincount(ops.cast(x[:, 0], "int32")), "depends on the data"),
    "argpartition": (lambda x: ops.argpartition(x, 1), "do not agree"),
    "rot90 half a turn": (lambda x: ops.rot90(x, k=2, axes=(1, 2)), "do not agree about a half turn"),
    "vstack of one axis": (lambda x: ops.vstack([ops.mean(x, axis=(1, 2)), ops.mean(x, axis=(1, 2))]), "of one axis"),
    "unravel_index": (lambda x: ops.unravel_index(ops.cast(x, "int32"), (2, 3))[0], "a single axis"),
    "broadcast_to": (lambda x: ops.broadcast_to(x, (3, 4, 5)), "size of the batch"),
    "prod dtype": (lambda x: ops.prod(x, axis=1, dtype="float64"), "do not agree"),
    "ndim": (ops.ndim, "not a tensor"),
    "cast": (lambda x: ops.cast(x, "float8_e4m3fn"), "no dtype"),
}


def built(model: Any, folder: Path, change: Callable[[dict[str, Any]], None] = lambda layer: None) -> Built:
    """The model, built from its architecture with the last layer changed, and its weights."""
    config = json.loads(model.to_json())
    change(config["config"]["layers"][-1])
    (folder / "net.json").write_text(json.dumps(config))
    model.save_weights(folder / "net.weights.h5")
    return build(read(folder / "net.json", folder / "net.weights.h5"))


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    make, reason = REFUSED[name]
    x = keras.Input(SHAPE)
    (problem,) = built(keras.Model(x, make(x)), tmp_path).problems
    assert reason in problem


def config(**values: Any) -> Callable[[dict[str, Any]], None]:
    """Other settings."""
    return lambda layer: layer["config"].update(values)


def second(value: Any) -> Callable[[dict[str, Any]], None]:
    """Another second argument."""
    return lambda layer: layer["inbound_nodes"][0]["args"].__setitem__(1, value)


MALFORMED: dict[str, tuple[Callable[..., Any], Callable[[dict[str, Any]], None]]] = {
    "axis": (ops.sum, config(axis="1")),
    "no axis to stack along": (lambda x: ops.stack([x, x]), config(axis=[])),
    "no axis to join along": (lambda x: ops.concatenate([x, x], axis=1), config(axis=[])),
    "several axes to join along": (lambda x: ops.concatenate([x, x], axis=1), config(axis=[1, 2])),
    "no shape": (lambda x: ops.reshape(x, (-1, 5)), config(newshape=None)),
    "no list of sizes": (lambda x: ops.reshape(x, (-1, 5)), config(newshape={"a": 1})),
    "a size that is text": (lambda x: ops.reshape(x, (-1, 5)), config(newshape=["all", 5])),
    "a size below -1": (lambda x: ops.reshape(x, (-1, 5)), config(newshape=[-2, 5])),
    "axis out of range": (ops.sort, config(axis=7)),
    "keepdims": (ops.max, config(keepdims=3)),
    "initial": (ops.max, config(initial="large")),
    "shift": (lambda x: ops.roll(x, 1), config(shift=None)),
    "number of parts": (lambda x: ops.hsplit(x, 2), config(indices_or_sections=0)),
    "parts that do not fit": (lambda x: ops.hsplit(x, 2), config(indices_or_sections=3)),
    "pairs of axes": (lambda x: ops.moveaxis(x, 1, 2), config(source=[1, 2])),
    "method": (lambda x: ops.percentile(x, 30, axis=1), config(method="magic")),
    "percent": (lambda x: ops.percentile(x, 30, axis=1), second("thirty")),
    "places": (lambda x: ops.trapezoid(x, x=[0.0, 1.0, 2.0, 3.0, 4.0]), config(x=["a"])),
    "limits": (lambda x: ops.histogram(x[:, 0, 0], range=(0, 1)), config(range=[1])),
    "bins": (lambda x: ops.histogram(x[:, 0, 0]), config(bins=2**40)),
    "steps": (lambda x: ops.linspace(x, 1.0, 4), config(num=2**30)),
    "size": (lambda x: ops.unique(x, size=3), config(size=2**30)),
    "edges": (lambda x: ops.digitize(x, np.array([0.0, 1.0])), second([[0.0], [1.0, 2.0]])),
    "indices": (lambda x: ops.take(x, [0, 1], axis=1), second({"a": 1})),
    "ragged": (lambda x: ops.add(x, x), second([[1.0], [1.0, 2.0]])),
    "list of numbers": (
        lambda x: ops.hstack([x, x]),
        lambda layer: layer["inbound_nodes"][0].update(args=[[1.0, 2.0]]),
    ),
    "no list": (lambda x: ops.vstack([x, x]), lambda layer: layer["inbound_nodes"][0].update(args=[3.0])),
    "text": (lambda x: ops.add(x, x), second("x")),
    "shape that does not fit": (lambda x: ops.add(x, x), second([1.0, 2.0, 3.0])),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str, tmp_path: Path) -> None:
    make, change = MALFORMED[name]
    x = keras.Input(SHAPE)
    with pytest.raises(kerasgen.InvalidModelError, match=r"layer '\w+' \(ops\.\w+\): .") as caught:
        built(keras.Model(x, make(x)), tmp_path, change)
    assert "\n" not in str(caught.value)
