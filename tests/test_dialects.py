"""Files from whichever Keras wrote them: each answers as its own Keras did, or as tf_keras does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command import Run
from pairs import Pair
from support import SHARED_MODELS, relative_error

from kerasgen.api import export
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.readers import read
from kerasgen.verification.compare import flat
from kerasgen.verification.oracle import oracle

FOLDER = Path(__file__).parent / "old_keras"
FILES = sorted(path.name for ending in ("h5", "keras") for path in FOLDER.glob(f"*.{ending}"))
THEANO_1 = "keras1.2.2-theano"  # whose files do not say that Theano trained them


def arrays_of(path: Path, what: str) -> list[np.ndarray]:
    with np.load(path.with_name(path.name.rpartition(".")[0] + ".npz")) as arrays:
        return [arrays[f"{what}_{i}"] for i in range(len(arrays)) if f"{what}_{i}" in arrays]


def check(results: Any, expected: list[np.ndarray], tolerance: float = 1e-5) -> None:
    results = list(results)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert relative_error(result, wanted) <= tolerance


@pytest.mark.parametrize("name", FILES)
def test_files_of_every_age(name: str, tmp_path: Path, pairs: list[Pair]) -> None:
    """What `old_keras/write.py` wrote, against what the Keras of that age answered."""
    path = FOLDER / name
    export(path, tmp_path / "module.py", verify=False, theano_kernels=name.startswith(THEANO_1))
    for pair in pairs:
        check(pair.predict(tmp_path / "module.py", arrays_of(path, "input")), arrays_of(path, "output"))
    check(flat(load_module(tmp_path / "module.py").predict(*arrays_of(path, "input"))), arrays_of(path, "output"))


def test_every_age_has_files() -> None:
    assert {name.partition("-")[0] for name in FILES} == {
        *("keras1.2.2", "keras2.1.6", "keras2.2.4", "keras2.3.1"),
        *("tf1.15", "tf2.2", "tf2.4", "tf2.12", "tf2.13"),
    }


@pytest.mark.parametrize("path", sorted(SHARED_MODELS.glob("*.h*5")), ids=lambda path: path.name)
def test_found_files(path: Path) -> None:
    built = build(read(path))
    inputs = [np.random.RandomState(0).uniform(-1, 1, (3, *value.shape[1:])) for value in built.graph.inputs]
    arrays = [array.astype("float32") for array in inputs]
    check(built.bind().run(*arrays), oracle(path, None, built.file.keras_version)(arrays))


def test_what_theano_trained_is_not_compared(run: Run) -> None:
    """Keras of today would read the kernels of Theano the wrong way round."""
    path = FOLDER / f"{THEANO_1}-k1_images_tf.h5"
    for options, said in ((["--theano-kernels"], "Theano trained it"), ([], "tf_keras cannot load")):
        _, err = run("export", path, "-o", "net.py", "--force", *options)
        assert err.startswith("not verified: ")
        assert said in err
        assert said in run.fails(1, "verify", path, "net.py", *options)


def keras_1_file(path: Path) -> Path:
    """A file as Keras 1 wrote it, of batch normalisation by each sample's own statistics, which Keras 2 dropped."""
    config = {"name": "norm", "mode": 1, "epsilon": 0.01, "axis": -1, "batch_input_shape": [None, 4]}
    layer = {"class_name": "BatchNormalization", "name": "norm", "config": config, "inbound_nodes": []}
    weights = np.random.RandomState(5).uniform(0.5, 2, (4, 4)).astype("float32")
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [layer]})
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"norm"]
        names = [f"norm_{name}".encode() for name in ("gamma", "beta", "running_mean", "running_std")]
        root.create_group("norm").attrs["weight_names"] = names
        for name, values in zip(names, weights, strict=True):
            root["norm"][name.decode()] = values
    return path


def test_normalisation_by_sample(tmp_path: Path, pairs: list[Pair]) -> None:
    """(x - mean) / (deviation + epsilon), as Keras 1 computed it: its deviation has an epsilon within, too."""
    path = keras_1_file(tmp_path / "keras1.h5")
    with h5py.File(path) as file:
        gamma, beta, *_ = (file["model_weights/norm"][f"norm_{name}"][()] for name in ("gamma", "beta"))
    x = np.random.RandomState(6).uniform(-2, 3, (5, 4)).astype("float32")
    rows = [(row - row.mean()) / (np.sqrt(row.var() + 0.01) + 0.01) * gamma + beta for row in x.astype("float64")]
    export(path, tmp_path / "module.py", verify=False)
    for pair in pairs:
        check(pair.predict(tmp_path / "module.py", [x]), [np.array(rows)])
