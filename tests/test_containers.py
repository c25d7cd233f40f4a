"""Folders, shards and files of Windows: what Keras writes beside single files, and what must be refused of it.

And files of other tools, which are called by their names.
"""

import bz2
import gzip
import io
import json
import lzma
import ntpath
import os
import re
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import onnx
import pytest
import tensorflow as tf
import tf_keras
from command import Run
from keras.src.saving import saving_lib
from model_files import DENSE, fails, load
from saved_models import MODELS, check_weights, make, more_than_ten, parts_of_layers
from support import save
from tf_keras.src.saving import saving_lib as saving_lib_2

from kerasgen.errors import FileError, InvalidModelError, UnsupportedModelError
from kerasgen.readers import read

SHARD = 200 / 1024**3  # Keras takes gigabytes


@pytest.mark.parametrize("build", MODELS)
def test_folder(build, tmp_path):
    model = make(build, keras)
    model.save(tmp_path / "model", zipped=False)
    assert {"config.json", "metadata.json", "model.weights.h5"} <= set(os.listdir(tmp_path / "model"))
    file = read(tmp_path / "model")
    assert file.keras_version == keras.__version__
    assert file.model == read(model).model
    check_weights(file, model)
    (tmp_path / "arch.json").write_text(model.to_json())
    check_weights(read(tmp_path / "arch.json", tmp_path / "model"), model)


@pytest.mark.parametrize("build", MODELS)
def test_shards(build, tmp_path):
    model = make(build, keras)
    (tmp_path / "arch.json").write_text(model.to_json())
    most = max(weight.dtype == "float32" and int(np.prod(weight.shape)) * 4 for weight in model.weights)
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=(most + 1) / 1024**3)
    places = json.loads((tmp_path / "w.weights.json").read_text())["weight_map"].values()
    assert len(list(tmp_path.glob("w_*.weights.h5"))) > 1
    assert any(isinstance(place, list) for place in places)  # the kernel here, the bias there
    check_weights(read(tmp_path / "arch.json", tmp_path / "w.weights.json"), model)


def windows(path, *parts):
    return (os.path if os.path.isabs(path) else ntpath).join(path, *parts)


@pytest.mark.parametrize("build", MODELS)
def test_backslashes(build, tmp_path, monkeypatch):
    model = make(build, tf_keras)
    (tmp_path / "arch.json").write_text(model.to_json())
    monkeypatch.setattr(saving_lib_2.tf.io.gfile, "join", windows)
    model.save_weights(tmp_path / "new.weights.h5")
    with h5py.File(tmp_path / "new.weights.h5") as file:
        assert any("\\" in name for name in file)
        assert "layers" not in file
    check_weights(read(tmp_path / "arch.json", tmp_path / "new.weights.h5"), model)
    check_weights(read(save(model, tmp_path / "model.keras")), model)


def test_command_line(run: Run) -> None:
    """Every command takes a folder and shards; Keras, which reads them too, agrees."""
    model = make(parts_of_layers, keras)
    model.save("folder", zipped=False)
    model.save_weights("w.weights.json", max_shard_size=2 * SHARD)
    Path("arch.json").write_text(model.to_json())
    for source in (["folder/"], ["arch.json", "--weights", "w.weights.json"]):
        out, err = run("export", *source, "-o", "net.py", "--force")
        assert (out, err[:9]) == ("net.py\n", "verified ")
        assert run("verify", source[0], "net.py", *source[1:])[0].startswith("ok gru: ")
        assert f"{model.count_params():,} parameters" in run("inspect", *source)[0]
    assert run("export", "folder")[0] == "folder.py\n"
    line = run.fails(5, "export", "folder", "-o", "folder/model.weights.h5", "--force")
    assert "is the model itself" in line


def test_vocabulary_in_a_folder(run: Run) -> None:
    lookup = keras.layers.IntegerLookup(vocabulary=[5, 3, 9])
    numbers = keras.Input((4,), dtype="int64")
    keras.Model(numbers, keras.layers.Embedding(4, 3)(lookup(numbers))).save("folder", zipped=False)
    assert run("export", "folder", "--verify")[1].startswith("verified ")


def test_links_in_a_folder(tmp_path):
    """As downloads are kept: the folder holds links to files elsewhere."""
    model = make(more_than_ten, keras)
    model.save(tmp_path / "store", zipped=False)
    (tmp_path / "model").mkdir()
    for path in (tmp_path / "store").iterdir():
        (tmp_path / "model" / path.name).symlink_to(path)
    check_weights(read(tmp_path / "model"), model)


def test_pickled_weights(tmp_path):
    model = make(more_than_ten, keras)
    saving_lib.save_model(model, tmp_path / "model.keras", weights_format="npz")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        keras.models.load_model(tmp_path / "model.keras")
    fails(UnsupportedModelError, "pickled Python objects", tmp_path / "model.keras")


def test_spoilt_folders(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    fails(FileError, "is a directory without a config.json", folder)
    (folder / "saved_model.pb").touch()
    fails(UnsupportedModelError, "a SavedModel of TensorFlow", folder)
    (folder / "config.json").write_text(json.dumps(DENSE))
    fails(InvalidModelError, "holds no model.weights.h5", folder)
    (folder / "model.weights.h5").write_bytes(b"x")
    fails(InvalidModelError, "unusable HDF5 file", folder)
    (folder / "model.weights.h5").unlink()
    (folder / "model.weights.h5").mkdir()
    fails(InvalidModelError, "unusable HDF5 file", folder)
    (folder / "metadata.json").write_text("{")
    fails(InvalidModelError, "metadata.json: malformed JSON", folder)
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")
    fails(FileError, "config.json: is not a regular file", folder)


@pytest.fixture
def shards(tmp_path):
    """An architecture and its weights in two shards."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="dense")])
    (tmp_path / "arch.json").write_text(model.to_json())
    model.save_weights(tmp_path / "w.weights.json", max_shard_size=25 / 1024**3)
    assert load(tmp_path / "arch.json", tmp_path / "w.weights.json").keys() == {"kernel", "bias"}
    return tmp_path


PLACE = "/layers/dense/vars"
MAPS = {
    "out of the folder": ({PLACE: "../w_00000.weights.h5"}, "'../w_00000.weights.h5', which is not a file beside it"),
    "absolute": ({PLACE: "/etc/passwd"}, "which is not a file beside it"),
    "the folder above": ({PLACE: ".."}, "which is not a file beside it"),
    "a number": ({PLACE: 5}, "which is not a file beside it"),
    "nothing": ({PLACE: [""]}, "which is not a file beside it"),
    "itself": ({PLACE: "w.weights.json"}, "unusable HDF5 file"),
    "no such group": ({"/layers/other": "w_00000.weights.h5"}, "'/layers/other', which "),
    "twice": ({PLACE: ["w_00000.weights.h5"] * 2}, "is a group, or an array that has other names"),
    "a part": ({PLACE: "w_00000.weights.h5"}, "layer 'dense' has 1 weights in the file"),
    "a group of groups": ({"/layers": "w_00000.weights.h5"}, "is a group, or an array that has other names"),
}


@pytest.mark.parametrize("places", MAPS)
def test_spoilt_maps(places, shards):
    places, said = MAPS[places]
    (shards / "w.weights.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    with pytest.raises(InvalidModelError, match=rf"w(_0000\d)?\.weights\.(json|h5): .*{re.escape(said)}"):
        load(shards / "arch.json", shards / "w.weights.json")


def test_spoilt_shards(shards):
    with h5py.File(shards / "w_00001.weights.h5", "r+") as file:
        file[PLACE].move("1", "/elsewhere")
        file[f"{PLACE}/1"] = h5py.ExternalLink("w_00000.weights.h5", f"{PLACE}/0")
    with pytest.raises(InvalidModelError, match=r"w_00001\.weights\.h5: .*soft or external link"):
        load(shards / "arch.json", shards / "w.weights.json")
    (shards / "w_00001.weights.h5").unlink()
    with pytest.raises(FileError, match=r"w_00001\.weights\.h5: cannot be read: No such file"):
        load(shards / "arch.json", shards / "w.weights.json")


@pytest.mark.parametrize("link", [h5py.SoftLink("/x"), h5py.ExternalLink("other.h5", "/x")])
def test_links_with_backslashes(link, tmp_path):
    (tmp_path / "arch.json").write_text(json.dumps(DENSE))
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        file["x/vars/0"] = np.ones((3, 2), "f4")
        file["layers\\dense"] = link
    fails(InvalidModelError, "soft or external link", tmp_path / "arch.json", tmp_path / "m.weights.h5")


def onnx_model(**settings):
    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", info[:1], info[1:])
    return onnx.helper.make_model(graph, **settings).SerializeToString()


def zipped(*members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in members:
            archive.writestr(name, b"x")
    return file.getvalue()


def saved_array(save, *arrays):
    file = io.BytesIO()
    save(file, *arrays)
    return file.getvalue()


def frozen(model):
    concrete = tf.function(model).get_concrete_function(tf.TensorSpec((1, 3)))
    return concrete.graph.as_graph_def().SerializeToString(), tf.lite.TFLiteConverter.from_concrete_functions(
        [concrete]
    )


PICKLED = b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00]\x94."
TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
TOLD_BY_CONTENT = {
    "an ONNX model": [onnx_model(), onnx_model(producer_name="tests"), onnx_model(ir_version=4, doc_string="x")],
    "a PyTorch file": [TORCH, zipped("net/data.pkl", "net/version", "net/data/0")],
    "a pickle": [PICKLED],
    "arrays of NumPy": [saved_array(np.save, np.ones(3)), saved_array(np.savez, np.ones(3), np.ones(2))],
    "a safetensors file": [struct.pack("<Q", 34) + b'{"w":{"dtype":"F32","shape":[0]}}'],
    "a TensorFlow.js model": [b'{"format": "layers-model", "modelTopology": {"class_name": "Sequential"}}'],
    "a web page": [b"<!DOCTYPE html>\n<p>Not found</p>\n", b"\n<HTML lang=en>"],
    "packed": [gzip.compress(b"x"), bz2.compress(b"x"), lzma.compress(b"x")],
    "a zip file with a model inside": [zipped("net/model.h5"), zipped("net/config.json", "net/metadata.json")],
}
TOLD_BY_NAME = {
    "an ONNX model": ["net.onnx", "NET.ONNX"],
    "a TensorFlow Lite model": ["net.tflite", "net.lite"],
    "a graph of TensorFlow": ["frozen.pb"],
    "a part of a SavedModel": ["saved_model.pb", "keras_metadata.pb"],
    "a checkpoint of TensorFlow": ["net.ckpt", "net.index", "variables.data-00000-of-00001"],
    "a PyTorch file": ["net.pt", "net.pth"],
    "a pickle": ["net.pkl", "net.joblib"],
    "a safetensors file": ["net.safetensors"],
    "a Core ML model": ["net.mlmodel"],
    "Python code": ["net.py"],
}


@pytest.mark.parametrize("what", TOLD_BY_CONTENT)
def test_files_of_other_tools(what, tmp_path):
    """They are recognised by their content, not their name, and the message says what to do."""
    for data in TOLD_BY_CONTENT[what]:
        (tmp_path / "model.h5").write_bytes(data)
        fails(InvalidModelError, f"model.h5: not a Keras model but {what}: ", tmp_path / "model.h5")


@pytest.mark.parametrize("what", TOLD_BY_NAME)
def test_files_of_other_tools_by_their_names(what, tmp_path):
    for name in TOLD_BY_NAME[what]:
        (tmp_path / name).write_bytes(b"\n\x05something")
        fails(InvalidModelError, f"{name}: not a Keras model but {what}: ", tmp_path / name)


def test_files_of_tensorflow(tmp_path):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.export(tmp_path / "saved", verbose=False)
    fails(UnsupportedModelError, "a SavedModel of TensorFlow: load it with tf_keras", tmp_path / "saved")
    (tmp_path / "model").write_bytes((tmp_path / "saved/saved_model.pb").read_bytes())
    fails(InvalidModelError, "not a Keras model but a part of a SavedModel: load its folder", tmp_path / "model")
    variables = tmp_path / "saved/variables"
    for path in variables.iterdir():
        fails(InvalidModelError, "not a Keras model but a checkpoint of TensorFlow: ", path)
    graph, converter = frozen(model)
    (tmp_path / "graph.pb").write_bytes(graph)
    fails(InvalidModelError, "not a Keras model but a graph of TensorFlow: ", tmp_path / "graph.pb")
    (tmp_path / "model").write_bytes(converter.convert())
    fails(InvalidModelError, "not a Keras model but a TensorFlow Lite model: ", tmp_path / "model")


@pytest.mark.parametrize("url", ["https://example.org/net.h5?raw=true", "s3://models/net.keras", "HTTP://host/x"])
def test_addresses(url, tmp_path):
    """Nothing is downloaded."""
    for source in (url, Path(url)):
        with pytest.raises(FileError, match=re.escape(f"{url}: is an address")):
            read(source)
    fails(FileError, "cannot be read: No such file", Path("C:/models/net.h5"))


@pytest.mark.parametrize("command", ["export", "inspect", "scan", "verify"])
def test_other_tools_on_the_command_line(command, run, tmp_path):
    (tmp_path / "net.onnx").write_bytes(onnx_model())
    more = ["module.py"] if command == "verify" else []
    line = run.fails(3, command, "net.onnx", *more)
    assert line == (
        "kerasgen: net.onnx: not a Keras model but an ONNX model: export the Keras model that it was made from\n"
    )
    line = run.fails(5, command, "https://example.org/net.h5", *more)
    assert line == "kerasgen: https://example.org/net.h5: is an address, not a file: download it and give the file\n"
