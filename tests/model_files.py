"""Configs and files made by hand, small enough to be spoilt one thing at a time."""

import json

import h5py
import numpy as np
import pytest

from kerasgen.readers import read
from kerasgen.readers.model import Variable


def layer(name, kind="Dense", nodes=(), **config):
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": list(nodes)}


def load(*sources):
    file = read(*sources)
    return file.weights.bind(file.model, VARIABLES)


def fails(error, said, *sources):
    with pytest.raises(error) as caught:
        load(*sources)
    assert type(caught.value) is error
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert any(str(source) in str(caught.value) for source in sources)


VARIABLES = [Variable("kernel", ("dense",), "kernel", (3, 2)), Variable("bias", ("dense",), "bias", (2,))]
DENSE = {
    "class_name": "Sequential",
    "config": {"name": "s", "layers": [layer("dense", units=2, batch_input_shape=[None, 3])]},
}


def legacy(path, change=None, config=DENSE):
    """The smallest legacy file, changed."""
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = config if isinstance(config, (str, bytes)) else json.dumps(config)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = [b"dense"]
        group = root.create_group("dense")
        group.attrs["weight_names"] = [b"dense/kernel:0", b"dense/bias:0"]
        group["dense/kernel:0"] = np.arange(6, dtype="float32").reshape(3, 2)
        group["dense/bias:0"] = np.ones(2, "float32")
        if change:
            change(group)
    return path
