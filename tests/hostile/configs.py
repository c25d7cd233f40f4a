"""Faults 22 to 34: a config that contradicts itself, wants code to be run, or is made to confuse."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
from model_files import layer

from hostile.fault import MODEL, Fault, archive, dense, functional, legacy, reading, sequential

NAMES = [
    '"',
    "'",
    "two\nlines",
    '"""',
    "{{ 7 * 7 }}",
    "{% x %}",
    "\u202egnp.exe",
    "\\",
    "# x",
    "a\x00b",
    "é\r",
    "\x1b[31m",
]
CLASHES = ["a b", "a-b", "a_b", "class", "np", "predict", "W", "print", "a/b", "__import__", "x"]


def texts(number: int, what: str, text: bytes | str, says: str) -> list[Fault]:
    """A config in each of the places where one can be."""

    def alone(folder: Path) -> list[str]:
        data = text.encode() if isinstance(text, str) else text
        (folder / "arch.json").write_bytes(data)
        (weights,) = legacy(None)(folder)
        return ["arch.json", "--weights", weights]

    rows = [
        ("JSON", alone, ""),
        (".keras", archive(config=text), "config.json: "),
        ("h5", legacy(text), "model_config: "),
    ]
    return [Fault(number, f"{what}, {place}", make, 3, where + says) for place, make, where in rows]


def spelled(**config: str) -> str:
    """MODEL with settings of its Dense layer spelled like this."""
    written = json.dumps(sequential(dense(**{key: f"<{key}>" for key in config})))
    for key, value in config.items():
        written = written.replace(f'"<{key}>"', value)
    return written


def row(number: int, what: str, config: Any, says: str, code: int = 3) -> Fault:
    return Fault(number, what, legacy(config), code, says)


def setting(value: Any, *, kind: str = "Conv2D", key: str = "strides", shape: Any = (None, 8, 8, 1)) -> dict[str, Any]:
    """A model of one layer with this setting."""
    given = {
        "Conv2D": {"filters": 2, "kernel_size": [3, 3]},
        "MaxPooling2D": {"pool_size": [2, 2]},
        "Dense": {"units": 2},
        "Embedding": {"input_dim": 4, "output_dim": 2},
        "Reshape": {"target_shape": [64]},
        "ZeroPadding2D": {"padding": [1, 1]},
        "UpSampling2D": {"size": [2, 2]},
    }[kind]
    return sequential(layer("dense", kind, **{**given, key: value}), shape=shape)


def named(names: list[str]) -> Callable[[Path], list[str]]:
    """Layers of these names, each of which takes the input and is an output."""
    layers = [dense(name) for name in names]
    for item in layers:
        item["inbound_nodes"] = [reading(("image", 0, 0))]
    config = functional(*layers)
    config["config"]["output_layers"] = [[item["name"], 0, 0] for item in layers]

    def spoil(file: h5py.File) -> None:
        for number in range(1, len(names)):
            file.copy("layers/dense", f"layers/dense_{number}")

    return archive(config=config, spoil=spoil)


def nested(levels: int) -> dict[str, Any]:
    """Models in each other."""
    config = MODEL
    for number in range(levels):
        config = sequential({**config, "name": f"s{number}"})
    return config


def doubled(levels: int) -> dict[str, Any]:
    """A model that is called twice in a model, which is called twice in a model."""
    config = functional(dense(units=3) | {"inbound_nodes": [reading(("image", 0, 0))]})
    for number in range(levels):
        name = f"m{number}"
        inner = {**config, "name": name, "inbound_nodes": [reading(("image", 0, 0)), reading((name, 0, 0))]}
        config = functional(inner, output=(name, 1, 0))
    return config


ARRAY = {"class_name": "__numpy__", "config": {"value": [1.0, 2.0], "dtype": "float32"}}
LAMBDA = layer("λ", "Lambda", function=["4wEAAAAAAAAA", None, None], function_type="lambda")
CODE = {"class_name": "__lambda__", "config": {"value": "4wEAAAAAAAAA"}}
MINE = {**layer("mine", "Mine"), "module": "os", "registered_name": "os>system"}
NO_RULE = "unsupported: .*no rule for this kind of layer; .*"
MALFORMED = "malformed JSON: "

FAULTS = [
    *texts(22, "100,000 objects in each other", '{"a":' * 100_000, f"{MALFORMED}nested too deeply"),
    *texts(22, "100,000 lists in each other", "[" * 100_000 + "]" * 100_000, f"{MALFORMED}nested too deeply"),
    row(22, "250 models in each other", nested(250), "malformed config: nested too deeply"),
    *texts(23, "a number of 5000 digits", spelled(units="9" * 5000), f"{MALFORMED}an integer of 5000 digits"),
    *texts(24, "1e999", spelled(units="1e999"), f"{MALFORMED}the number 1e999 is too large"),
    *texts(24, "-1e999", spelled(x="-1e999"), f"{MALFORMED}the number -1e999 is too large"),
    row(24, "NaN units", spelled(units="NaN"), "layer 'dense' .*units = nan, not a whole number from 1"),
    row(24, "infinite units", spelled(units="Infinity"), "layer 'dense' .*units = inf, not a whole number from 1"),
    row(
        24,
        "NaN in place of a small number",
        sequential(layer("dense", "LeakyReLU", negative_slope=float("nan"))),
        r"layer 'dense' \(LeakyReLU\): its config has negative_slope = nan, not a number",
    ),
    *texts(
        25, "units twice", spelled(units='2, "units": 3'), f"{MALFORMED}the key 'units' appears twice in one object"
    ),
    *texts(26, "bytes that are no UTF-8", spelled(x='"\xff"').encode("latin-1"), f"{MALFORMED}.*"),
    *texts(26, "half a surrogate pair", spelled(x='"\\ud800"'), f"{MALFORMED}.*surrogates not allowed"),
    row(27, "Lambda", sequential(LAMBDA, dense()), "unsupported: λ .*Lambda.*no Python .* has written its code.*", 4),
    row(
        27, "Lambda in a model", sequential({**sequential(LAMBDA, dense()), "name": "inner"}), ".*unsupported: .*λ.*", 4
    ),
    row(
        27,
        "Lambda in a layer",
        sequential(layer("dense", "TimeDistributed", layer=LAMBDA)),
        ".*has written its code.*",
        4,
    ),
    row(27, "Lambda as an activation", sequential(dense(activation=CODE)), "unsupported: dense .*", 4),
    row(28, "a class of the user's own", sequential(MINE, dense()), f"unsupported: mine .*{NO_RULE[13:]}", 4),
    row(28, "an activation of the user's own", sequential(dense(activation="os>system")), "unsupported: dense .*", 4),
    row(28, "a class in Keras's name", sequential({**MINE, "class_name": "Dense"}), ".*os>Dense.*", 4),
    row(28, "a subclassed model", {"class_name": "Mine", "config": {}}, "'Mine' is a subclassed model, .*", 4),
    row(29, "TFSMLayer", sequential(layer("tf", "TFSMLayer", filepath="/etc"), dense()), ".*TFSMLayer.*", 4),
    row(29, "TorchModuleWrapper", sequential(layer("t", "TorchModuleWrapper", module="x"), dense()), ".*Torch.*", 4),
    row(
        29,
        "a vocabulary in a file",
        sequential(layer("dense", "StringLookup", vocabulary="/etc/passwd")),
        "unsupported: dense .*text.*",
        4,
    ),
    row(
        29,
        "numbers in a file",
        sequential(layer("dense", "IntegerLookup", vocabulary="http://127.0.0.1/x", num_oov_indices=1)),
        "unsupported: dense .*",
        4,
    ),
    row(
        30,
        "a circle",
        functional(
            layer("a", nodes=[reading(("dense", 0, 0))], units=2), dense() | {"inbound_nodes": [reading(("a", 0, 0))]}
        ),
        "layer '(a|dense)' reads a tensor that no layer produces",
    ),
    row(
        30,
        "a layer that is not there",
        functional(dense() | {"inbound_nodes": [reading(("z", 0, 0))]}),
        "layer 'dense': reads from layer 'z', which is not in the model",
    ),
    row(
        30,
        "a call that is not made",
        functional(dense() | {"inbound_nodes": [reading(("image", 3, 0))]}),
        "layer 'dense': reads output 0 of call 3 of layer 'image', which is called 1 times",
    ),
    row(
        30,
        "a tensor that is not there",
        functional(dense() | {"inbound_nodes": [reading(("image", 0, 5))]}),
        "layer 'image' has no output 0:5",
    ),
    row(30, "an output that is not there", functional(), "the model's inputs or outputs: reads from layer 'dense'.*"),
    row(30, "two layers of one name", sequential(dense(), dense()), "the layer name 'dense' appears twice"),
    row(
        31, "units as a text", setting("2", kind="Dense", key="units", shape=(None, 3)), ".*units = '2', not a whole.*"
    ),
    row(31, "no units", setting(0, kind="Dense", key="units", shape=(None, 3)), ".*units = 0, not a whole number.*"),
    row(31, "a kernel that is true", setting(True, key="kernel_size"), ".*kernel_size = True, not a whole number.*"),
    row(31, "a negative stride", setting([-1, 1], key="strides"), r".*strides = -1, not a whole number.*"),
    row(31, "a stride of nothing", setting([0, 1], key="strides"), ".*strides = 0, not a whole number.*"),
    row(31, "a stride of 2e12", setting(2 * 10**12, key="strides"), ".*strides = 2000000000000, not a whole number.*"),
    row(31, "a dilation of 1e9", setting(10**9, key="dilation_rate"), "layer 'dense' .*"),
    row(31, "half a filter", setting(0.5, key="filters"), ".*filters = 0.5, not a whole number.*"),
    row(31, "2e9 filters", setting(2 * 10**9, key="filters"), ".*"),
    row(31, "groups of nothing", setting(0, key="groups"), ".*groups = 0, not a whole number.*"),
    row(31, "padding of another kind", setting("sideways", key="padding"), ".*padding = 'sideways', not one of.*"),
    row(31, "a border of 1e9", setting(10**9, kind="ZeroPadding2D", key="padding"), ".*"),
    row(31, "1e9 times as large", setting(10**9, kind="UpSampling2D", key="size"), ".*"),
    row(
        31, "a pool without size", setting([], kind="MaxPooling2D", key="pool_size"), ".*pool_size = .*, not 2 numbers"
    ),
    row(31, "a shape of another size", setting([63], kind="Reshape", key="target_shape"), "layer 'dense' .*"),
    row(
        31,
        "an input of 1e30",
        sequential(dense(), shape=(None, 10**30)),
        "layer 'image': the shape of the model's input has an axis 10+ long",
    ),
    Fault(32, "names that are code", named(NAMES), 0, ""),
    Fault(33, "names that are one once sanitised", named(CLASHES), 0, ""),
    row(
        34,
        "flattened, of any size",
        sequential(layer("flat", "Flatten"), dense(), shape=(None, None, 3)),
        r"unsupported: dense \(Dense\): .*must be known.*",
        4,
    ),
    row(50, "a model in itself twice, and so on", doubled(30), "its layers are called more than 1000 times"),
    row(
        51,
        "numbers for a dtype",
        {
            "class_name": "Sequential",
            "config": {"layers": [layer("image", "InputLayer", batch_shape=[None, 3], dtype=ARRAY), dense()]},
        },
        "input 'image' holds .*",
        4,
    ),
]
