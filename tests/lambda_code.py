"""Functions compiled by other Pythons, and put into the files of their time."""

from __future__ import annotations

import base64
import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lambda_bodies import Body

HOMES = (Path.home() / ".pyenv/versions", Path("/root/.pyenv/versions"), Path("/opt/hostedtoolcache/Python"))
# Runs on every Python: reads sources as JSON, prints the code, the defaults and the closure of each one's `f`.
COMPILE = """
import base64, json, marshal, sys
results = []
for source in json.load(sys.stdin):
    names = {}
    try:
        exec(source, names)
    except SyntaxError:
        results.append(None)
        continue
    f = names["f"]
    cells = [cell.cell_contents for cell in f.__closure__] if f.__closure__ else None
    results.append([base64.b64encode(marshal.dumps(f.__code__)).decode("ascii"), f.__defaults__, cells])
json.dump(results, sys.stdout)
"""
# The same of code: what `dis` says of it and of the functions in it, with its constants and names.
DISASSEMBLE = """
import base64, dis, json, marshal, sys
def known(code):
    if sys.version_info < (3, 4):
        return []
    own = [[i.opname, i.arg or 0] for i in dis.get_instructions(code) if i.opname not in ("EXTENDED_ARG", "CACHE")]
    inner = [known(each) for each in code.co_consts if hasattr(each, "co_code")]
    return [own, list(code.co_names), inner]
results = []
for text in json.load(sys.stdin):
    try:
        results.append(known(marshal.loads(base64.b64decode(text))))
    except Exception as error:
        results.append(repr(error))
json.dump(results, sys.stdout)
"""


def pythons() -> dict[tuple[int, int], Path]:
    """The interpreters on this machine, by version; of several of one version the last."""
    found = {}
    for home in HOMES:
        for path in sorted(home.glob("*/bin/python")):
            major, minor, *_ = (int(part) for part in path.parents[1].name.split(".") if part.isdigit())
            found[major, minor] = path
    return found


def run_on(python: Path, program: str, data: Sequence[str]) -> list[Any]:
    """The results of running a program on texts with an interpreter, passed as JSON."""
    result = subprocess.run(
        [str(python), "-c", program], input=json.dumps(data), capture_output=True, text=True, check=True, timeout=300
    )
    answers: list[Any] = json.loads(result.stdout)
    return answers


@cache
def compiled(python: Path, bodies: tuple[str, ...]) -> list[Any]:
    """The `function` of a Lambda's config for each source, as Keras 2 writes it; None where it is no code."""
    return run_on(python, COMPILE, bodies)


def form(version: tuple[int, int]) -> str:
    """Which Keras writes files with this Python."""
    if version < (3, 5):
        return "keras1"
    if version < (3, 7):
        return "keras2"
    return "tf.keras" if version < (3, 10) else "keras3"


def function_as(form: str, written: Sequence[Any]) -> dict[str, Any]:
    """The entries of a Lambda's config that hold a function, as this Keras writes them."""
    code, defaults, closure = written
    if form == "keras3":
        inner = {"code": base64.encodebytes(base64.b64decode(code)).decode(), "defaults": defaults, "closure": closure}
        return {"function": {"class_name": "__lambda__", "config": inner}}
    if form == "keras1":
        code = base64.b64decode(code).decode("raw_unicode_escape")
        return {"function": [code, defaults, closure], "function_type": "lambda", "output_shape_type": "raw"}
    entries = {"function": [code, defaults, closure], "function_type": "lambda"}
    if form == "tf.keras":
        entries |= {"module": "__main__", "output_shape_module": None}
    return {**entries, "output_shape": None, "output_shape_type": "raw"}


VERSIONS = {"keras1": "1.2.2", "keras2": "2.1.2", "tf.keras": "2.4.0", "keras3": "3.10.0"}


def config_of(form: str, functions: Mapping[str, tuple[Body, Sequence[Any]]]) -> dict[str, Any]:
    """A functional model: a Lambda of each function, by its name, on inputs of their own, as outputs."""
    layers: list[Any] = []
    outputs = []
    shapes = list(dict.fromkeys(body.shapes for body, _ in functions.values()))
    inputs = [[f"x{i}_{j}", 0, 0] for i, several in enumerate(shapes) for j, _ in enumerate(several)]
    for i, several in enumerate(shapes):
        for j, shape in enumerate(several):
            key = "batch_shape" if form == "keras3" else "batch_input_shape"
            config = {"name": f"x{i}_{j}", key: [None, *shape], "dtype": "float32"}
            layers.append({"class_name": "InputLayer", "name": f"x{i}_{j}", "config": config, "inbound_nodes": []})
    for name, (body, written) in functions.items():
        place = shapes.index(body.shapes)
        config = {"name": name, "trainable": True, "dtype": "float32", "arguments": body.arguments}
        config |= function_as(form, written)
        reads = [f"x{place}_{j}" for j, _ in enumerate(body.shapes)]
        if form == "keras3":
            tensors = [_tensor(read, shape) for read, shape in zip(reads, body.shapes, strict=True)]
            nodes: list[Any] = [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}]
        else:
            nodes = [[[read, 0, 0] + ([] if form == "keras1" else [{}]) for read in reads]]
        layers.append({"class_name": "Lambda", "name": name, "config": config, "inbound_nodes": nodes})
        outputs.append([name, 0, 0])
    kind = "Model" if form in ("keras1", "keras2") else "Functional"
    return {
        "class_name": kind,
        "config": {"name": "bodies", "layers": layers, "input_layers": inputs, "output_layers": outputs},
    }


def _tensor(name: str, shape: Sequence[int]) -> dict[str, Any]:
    config = {"shape": [None, *shape], "dtype": "float32", "keras_history": [name, 0, 0]}
    return {"class_name": "__keras_tensor__", "config": config}


def save(path: Path, config: Mapping[str, Any], version: str) -> Path:
    """A legacy file of a model without weights."""
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = version
        file.attrs["backend"] = "tensorflow"
        group = file.create_group("model_weights")
        names = [layer["name"].encode() for layer in config["config"]["layers"]]
        group.attrs["layer_names"] = names
        if not version.startswith("1"):
            group.attrs["keras_version"] = version
            group.attrs["backend"] = "tensorflow"
        for name in names:
            group.create_group(name).attrs["weight_names"] = np.array([], "S1")
    return path


def arrays(shapes: Sequence[Sequence[int]], seed: int = 0) -> list[np.ndarray]:
    """Random inputs, a batch of three."""
    random = np.random.RandomState(seed + sum(map(math.prod, shapes)))
    return [random.standard_normal((3, *shape)).astype("float32") for shape in shapes]
