"""HDF5 files: all that is readable is read, and all that is hostile is refused on one line that names the file."""

import json

import h5py
import numpy as np
import pytest
from model_files import DENSE, VARIABLES, fails, legacy, load

from kerasgen.errors import InvalidModelError
from kerasgen.readers import read
from kerasgen.readers.model import Variable


def put(data=None, key="dense/bias:0", **how):
    def change(group):
        del group[key]
        if isinstance(data, (h5py.SoftLink, h5py.ExternalLink)):
            group[key] = data
        else:
            group.create_dataset(key, data=data, **how)

    return change


def named(*names):
    return lambda group: group.attrs.__setitem__("weight_names", list(names))


def split_names(group):
    del group.attrs["weight_names"]
    group.attrs["weight_names0"], group.attrs["weight_names1"] = ["dense/kernel:0"], ["dense/bias:0"]


def virtual(group):
    layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(2,))
    del group["dense/bias:0"]
    group.create_virtual_dataset("dense/bias:0", layout)


BIAS = np.ones(2, "float32")
READABLE = {
    "as it is": None,
    "big-endian": put(BIAS.astype(">f4")),
    "float16": put(BIAS.astype("float16")),
    "float64": put(BIAS.astype("float64")),
    "gzip": put(BIAS, compression="gzip", shuffle=True, fletcher32=True),
    "lzf": put(BIAS, compression="lzf"),
    "names as text": named("dense/kernel:0", "dense/bias:0"),
    "names in another order": named("dense/bias:0", "dense/kernel:0"),
    "split names": split_names,
    "random state": lambda group: (
        group.create_dataset("dense/StateVar:0", data=[1, 2, 3]),
        named("dense/kernel:0", "dense/bias:0", "dense/StateVar:0")(group),
    ),
}


@pytest.mark.parametrize("change", READABLE)
def test_readable_hdf5(change, tmp_path):
    got = load(legacy(tmp_path / "m.h5", READABLE[change]))
    np.testing.assert_array_equal(got["kernel"], np.arange(6).reshape(3, 2))
    np.testing.assert_array_equal(got["bias"], [1, 1])
    assert got["bias"].dtype.isnative
    assert got["bias"].flags.aligned


HOSTILE = {
    "missing dataset": (lambda group: group.__delitem__("dense/bias:0"), "'dense/bias:0' is missing"),
    "missing group": (lambda group: group.parent.__delitem__("dense"), "layer 'dense'"),
    "missing name": (named("dense/kernel:0"), "layer 'dense' has 1 weights in the file, but the architecture says 2"),
    "extra name": (
        lambda group: (group.create_dataset("x", data=BIAS), named("dense/kernel:0", "dense/bias:0", "x")(group)),
        "layer 'dense' has 3 weights",
    ),
    "extra layer": (
        lambda group: (
            group.parent.copy(group, "more"),
            group.parent.attrs.__setitem__("layer_names", ["dense", "more"]),
        ),
        "layer 'more' is not in the model",
    ),
    "no layer": (lambda group: group.attrs.__delitem__("weight_names"), "layer 'dense' has no weights in the file"),
    "shape": (put(np.ones(3, "f4")), "weight 'bias' has shape (3,) in the file, but the architecture says (2,)"),
    "40 terabytes": (put(shape=(10**13,), dtype="f4", chunks=(1024,)), "has shape (10000000000000,)"),
    "group": (lambda group: (group.__delitem__("dense/bias:0"), group.create_group("dense/bias:0")), "is a group"),
    "soft link": (put(h5py.SoftLink("/model_weights/dense/dense/kernel:0")), "soft or external link"),
    "cyclic soft link": (put(h5py.SoftLink("/model_weights/dense/dense/bias:0")), "soft or external link"),
    "external link": (put(h5py.ExternalLink("/etc/passwd", "/x")), "soft or external link"),
    "external storage": (put(shape=(2,), dtype="f4", external=[("/etc/passwd", 0, 8)]), "stored in another file"),
    "virtual": (virtual, "stored in another file"),
    "scale-offset filter": (put(np.ones(2, "i4"), scaleoffset=2), "compressed with a filter"),
    "strings": (put(["a", "b"]), "unusable type"),
    "fixed strings": (put(np.array([b"a", b"b"])), "unusable type"),
    "compound": (put(np.zeros(2, [("a", "f4")])), "unusable type"),
    "vlen": (put(shape=(2,), dtype=h5py.vlen_dtype("f4")), "unusable type"),
    "references": (put(shape=(2,), dtype=h5py.ref_dtype), "unusable type"),
    "complex": (put(np.ones(2, "complex64")), "unusable type"),
    "names that are numbers": (lambda group: group.attrs.__setitem__("weight_names", 5), "unusable HDF5 file"),
    "names that are not text": (named(b"\xff\xfe"), "unusable HDF5 file"),
}


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_hdf5(change, tmp_path):
    change, said = HOSTILE[change]
    fails(InvalidModelError, said, legacy(tmp_path / "m.h5", change))


def test_layer_in_two_dimensions_too_large(tmp_path):
    """File and architecture agree on a size, but hardly any of it is stored."""
    shape = (1 << 20, 1 << 20)
    path = legacy(tmp_path / "m.h5", put(key="dense/kernel:0", shape=shape, dtype="f4", chunks=(1024, 1024)))
    file = read(path)
    with pytest.raises(InvalidModelError, match="declare 4398046511112 bytes, of which 8 are stored"):
        file.weights.bind(file.model, [Variable("kernel", ("dense",), "kernel", shape), VARIABLES[1]])


OBJECTS = {
    "missing": (
        lambda vars: vars.__delitem__("1"),
        "layer 'dense' has 1 weights in the file, but the architecture says 2",
    ),
    "extra": (lambda vars: vars.__setitem__("2", BIAS), "layer 'dense' has 3 weights"),
    "shape": (lambda vars: (vars.__delitem__("1"), vars.__setitem__("1", np.ones(3))), "has shape (3,) in the file"),
    "other layer": (lambda vars: vars.file.copy("layers/dense", vars.file, "layers/dense_1"), "/layers/dense_1/vars"),
    "other part": (lambda vars: vars.file.copy("layers/dense", vars.file["layers/dense"], "x"), "/layers/dense/x/vars"),
    "number": (lambda vars: vars.move("1", "one"), "unusable HDF5 file"),
    "no layer": (lambda vars: vars.parent.parent.move("dense", "conv2d"), "layer 'dense' has 0 weights"),
    "soft link": (lambda vars: (vars.move("1", "/x"), vars.__setitem__("1", h5py.SoftLink("/x"))), "soft or external"),
}


@pytest.mark.parametrize("change", OBJECTS)
def test_hostile_objects(change, tmp_path):
    change, said = OBJECTS[change]
    (tmp_path / "arch.json").write_text(json.dumps(DENSE))
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group["0"], group["1"] = np.ones((3, 2), "f4"), BIAS
        file["layers/dense/seed_generator/vars/0"] = BIAS
    assert load(tmp_path / "arch.json", tmp_path / "m.weights.h5").keys() == {"kernel", "bias"}
    with h5py.File(tmp_path / "m.weights.h5", "r+") as file:
        change(file["layers/dense/vars"])
    fails(InvalidModelError, said, tmp_path / "arch.json", tmp_path / "m.weights.h5")
