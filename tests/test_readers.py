"""Readers: every way in which Keras saves a model gives the same architecture and the model's own weights."""

import json
import os
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tf_keras
from model_files import DENSE, VARIABLES, fails, legacy
from saved_models import (
    LIBRARIES,
    MODELS,
    check_graph,
    check_weights,
    make,
    masked,
    more_than_ten,
    operations,
    operations_of_tf,
    plain_sequential,
    randomise,
)
from support import SHARED_MODELS, save

from kerasgen.errors import FileError, InvalidModelError, UnsupportedModelError
from kerasgen.readers import read
from kerasgen.readers.model import Variable


@pytest.mark.one_in(2)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("build", MODELS)
def test_files_give_graph_and_weights(build, library, tmp_path):
    model = make(build, LIBRARIES[library])
    (tmp_path / "arch.json").write_text(model.to_json())
    model.save_weights(tmp_path / "new.weights.h5")
    files = {
        "keras": read(save(model, tmp_path / "model.keras")),
        "h5": read(str(save(model, tmp_path / "model.h5"))),
        "live": read(model),
        "pair": read(tmp_path / "arch.json", tmp_path / "new.weights.h5"),
        "json and .keras": read(tmp_path / "arch.json", weights=tmp_path / "model.keras"),
    }
    if library == "keras2":
        model.save_weights(tmp_path / "old.h5")
        files["legacy pair"] = read(tmp_path / "arch.json", tmp_path / "old.h5")
    for form, file in files.items():
        assert file.keras_version.split(".")[0] == library[-1], form
        assert file.model == files["keras"].model, form
        check_weights(file, model)
    check_graph(files["keras"].model, model)


@pytest.mark.parametrize("build", [operations, masked, operations_of_tf])
def test_operations(build, tmp_path):
    keras.backend.clear_session()
    model = randomise(build())
    for ending in ("keras", "h5"):
        file = read(save(model, tmp_path / f"model.{ending}"))
        check_weights(file, model)
        check_graph(file.model, model)


def test_layers_match_by_order_where_names_differ(tmp_path):
    """An architecture and weights of two sessions: the same model, other automatic names."""
    for library, ending in ((keras, "new.weights.h5"), (tf_keras, "new.weights.h5"), (tf_keras, "old.h5")):
        model = make(plain_sequential, library)
        other = plain_sequential(library)
        (tmp_path / "arch.json").write_text(other.to_json())
        model.save_weights(tmp_path / ending)
        other.set_weights(model.get_weights())
        check_weights(read(tmp_path / "arch.json", tmp_path / ending), other)


def test_dependency_lists_of_tensorflow_2_12(tmp_path):
    """Every layer with weights is listed twice there, so that the second of a class is called `_2`."""
    model = make(more_than_ten, tf_keras)
    model.save_weights(tmp_path / "new.weights.h5")
    (tmp_path / "arch.json").write_text(model.to_json())
    with h5py.File(tmp_path / "new.weights.h5") as new, h5py.File(tmp_path / "old.weights.h5", "w") as old:
        old.create_group("vars")
        for number in range(12):
            name = f"_layer_checkpoint_dependencies/dense{f'_{2 * number}' if number else ''}"
            new.copy(f"layers/dense{f'_{number}' if number else ''}", old, name)
    check_weights(read(tmp_path / "arch.json", tmp_path / "old.weights.h5"), model)


def test_bfloat16_becomes_float32(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16", name="dense")])
    kernel = np.asarray(model.get_weights()[0]).astype("float32")
    for ending in ("keras", "h5"):
        file = read(save(model, tmp_path / f"model.{ending}"))
        assert file.model.layers[1].config["dtype"] == "bfloat16"
        got = file.weights.bind(file.model, VARIABLES)["kernel"]
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, kernel)


@pytest.mark.parametrize("name", ["keras2.0.5_mini_xception.hdf5", "tfkeras2.2.4_simple_rnn.h5"])
def test_files_of_old_keras(name):
    path = SHARED_MODELS / name
    if not path.exists():
        pytest.skip(f"{name} is not distributed with the project")
    file = read(path)
    assert name.startswith(f"{'keras' if 'xception' in name else 'tfkeras'}{file.keras_version.removesuffix('-tf')}")
    with h5py.File(path) as stored:
        variables, wanted = [], {}
        for layer, group in stored["model_weights"].items():
            for key in group.attrs["weight_names"]:
                data = group[key]
                last = key.decode().rpartition("/")[2].removesuffix(":0")
                variables.append(Variable(f"{layer}/{last}", (layer,), last, data.shape, "moving" not in last))
                wanted[f"{layer}/{last}"] = data[()]
    got = file.weights.bind(file.model, variables)
    assert got.keys() == wanted.keys()
    assert all(np.array_equal(got[key], wanted[key]) for key in wanted)
    assert all(layer.calls for layer in file.model.layers if layer.kind != "InputLayer")


def test_subclassed_model_is_unsupported(tmp_path):
    class Mine(keras.Model):
        def call(self, x):
            return x

    model = Mine()
    model.build((None, 3))
    model(np.ones((1, 3)))
    fails(UnsupportedModelError, "'Mine' is a subclassed model", save(model, tmp_path / "m.keras"))


def archive(path, *members, **how):
    with zipfile.ZipFile(path, "w", **how) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in members:
            file.writestr(name, data)
    return path


def test_archives(tmp_path):
    config, weights = ("config.json", json.dumps(DENSE)), ("model.weights.h5", b"x")
    path = tmp_path / "m.keras"
    fails(InvalidModelError, "no config.json", archive(path, weights))
    fails(InvalidModelError, "no model.weights.h5", archive(path, config))
    fails(InvalidModelError, "unusable HDF5 file", archive(path, config, weights))
    fails(InvalidModelError, "a member twice", archive(path, config, config, weights))
    fails(InvalidModelError, "outside of it", archive(path, config, weights, ("../x", "")))
    fails(InvalidModelError, "other than deflate", archive(path, config, weights, compression=zipfile.ZIP_BZIP2))
    zeros = ("model.weights.h5", bytes(1 << 27))
    fails(InvalidModelError, "unpacks from", archive(path, config, zeros, compression=zipfile.ZIP_DEFLATED))
    data = archive(path, config, weights).read_bytes()
    path.write_bytes(data[:-30])
    fails(InvalidModelError, "damaged archive", path)
    path.write_bytes(data.replace(b'"Sequential"', b'"sequential"'))
    fails(InvalidModelError, "damaged archive: Bad CRC-32", path)
    encrypted = bytearray(data)
    encrypted[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(encrypted)
    fails(InvalidModelError, "config.json is encrypted", path)


def test_sources_that_are_no_models(tmp_path):
    for data, said in (
        (b"", "the file is empty"),
        (b"<html>", "not a Keras model"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "unusable HDF5 file"),
    ):
        (tmp_path / "m.h5").write_bytes(data)
        fails(InvalidModelError, said, tmp_path / "m.h5")
    whole = legacy(tmp_path / "m.h5").read_bytes()
    (tmp_path / "m.h5").write_bytes(whole[: len(whole) // 2])
    fails(InvalidModelError, "unusable HDF5 file", tmp_path / "m.h5")
    h5py.File(tmp_path / "other.h5", "w").close()
    fails(InvalidModelError, "not a Keras model", tmp_path / "other.h5")
    fails(FileError, "cannot be read: No such file", tmp_path / "missing.h5")
    fails(FileError, "is a directory", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    fails(FileError, "is not a regular file", tmp_path / "pipe")
    with pytest.raises(InvalidModelError, match="int is neither a path nor a Keras model"):
        read(5)


def test_half_a_model(tmp_path):
    weights, arch = legacy(tmp_path / "w.h5", config=None), tmp_path / "arch.json"
    arch.write_text(json.dumps(DENSE))
    fails(InvalidModelError, f"(arch.json beside it fits), and `weights={str(weights)!r}`", weights)
    fails(InvalidModelError, "holds no weights; give a file that does: `weights='FILE'`", arch)
    fails(InvalidModelError, "holds no weights; give a file that does", arch, arch)
    fails(FileError, "cannot be read", arch, tmp_path / "missing.h5")
    file = read(arch, weights)
    weights.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        file.weights.bind(file.model, VARIABLES)
