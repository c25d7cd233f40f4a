"""What a module says of itself: the model, who has verified it, and how it was exported."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cases import CASES
from command import HOSTILE, Run, small
from keras import layers as L
from support import randomize, save

import kerasgen
from kerasgen.api import generate
from kerasgen.emit.load import load_module
from kerasgen.planning.options import Options
from kerasgen.readers import read
from kerasgen.readers.fingerprint import fingerprint

SAME = ("residual", "nested models deep", "bidirectional lstm concat", "integer_lookup one_hot", "fake_quant axis")


def digest(model: Any, folder: Path, name: str = "model.keras") -> str:
    file = save(model, folder / name)
    return str(load(file)["MODEL"]["sha256"])


def load(path: Path, **options: Any) -> dict[str, Any]:
    """The constants at the head of the module of a model."""
    tree = ast.parse(generate(read(path), Options(**options)).text)
    pairs = ((node.targets[0], node.value) for node in tree.body if isinstance(node, ast.Assign))
    names = ("MODEL", "VERIFIED", "EXPORT")
    return {name.id: ast.literal_eval(value) for name, value in pairs if getattr(name, "id", "") in names}


@pytest.mark.parametrize("name", SAME)
def test_every_file_of_a_model_is_the_same_module(name: str, tmp_path: Path) -> None:
    model = randomize(CASES[name].model())
    one, other = (generate(read(save(model, tmp_path / file))) for file in ("model.keras", "model.h5"))
    assert one == other
    (tmp_path / "model.json").write_text(model.to_json())
    model.save_weights(tmp_path / "model.weights.h5")
    parts = generate(read(tmp_path / "model.json", tmp_path / "model.weights.h5"))
    assert parts.text.replace('"keras": "3"', f'"keras": "{keras.__version__}"') == one.text  # JSON tells no more


def test_the_digest_is_of_all_that_counts(tmp_path: Path) -> None:
    """One number of a weight, one setting; not what only training needs."""
    model = randomize(small())
    first = digest(model, tmp_path)
    model.compile("adam", "mse")
    assert digest(model, tmp_path) == first
    kernel = model.get_layer("scores").kernel
    array = kernel.numpy()
    array[3, 1] = np.nextafter(array[3, 1], np.float32(9))
    kernel.assign(array)
    second = digest(model, tmp_path)
    assert second != first
    config = json.loads(json.dumps(model.get_config()))
    config["layers"][2]["config"]["epsilon"] = 0.01
    other = keras.Sequential.from_config(config)
    other.set_weights(model.get_weights())
    assert digest(other, tmp_path) not in (first, second)


def test_the_digest_tells_arrays_apart() -> None:
    spec = read(keras.Sequential([keras.Input((2,)), L.ReLU()])).model
    arrays: list[dict[str, Any]] = [
        {},
        {"a": np.zeros(2, "float32")},
        {"b": np.zeros(2, "float32")},
        {"a": np.zeros(1, "float64")},
        {"a": np.zeros((2, 1), "float32")},
        {"a": np.zeros(0, "float32")},
        {"a": np.zeros((), "float32")},
        {"a": np.zeros((), "int32")},
    ]
    assert len({fingerprint(spec, some) for some in arrays}) == len(arrays)
    swapped = np.arange(6.0).reshape(2, 3)
    assert fingerprint(spec, {"a": swapped.T}) == fingerprint(spec, {"a": swapped.T.copy()})


def double(x):  # type: ignore[no-untyped-def] # it is copied into a module
    return 2 * x


def test_the_options_of_the_export(run: Run) -> None:
    version = kerasgen.__version__
    assert load(run.files / "small.keras")["EXPORT"] == {"kerasgen": version, "optimize": 2}
    x = keras.Input((3,), name="x")
    model = keras.Model(x, L.ReLU(name="custom layer")(L.Dense(4)(x)), name="named")
    save(model, Path("model.h5"))
    options: dict[str, Any] = {"activations": True, "optimize": 1, "store": "sidecar", "max_memory": 10_000}
    custom = {"custom layer": double}
    kerasgen.export("model.h5", "net.py", verify=False, custom=custom, **options)
    module = load_module(Path("net.py"))
    recorded = module.EXPORT
    assert recorded == {"kerasgen": version, "custom": ["custom layer"], **options}
    assert (module.MODEL["name"], module.MODEL["keras"]) == ("named", keras.__version__)
    assert not kerasgen.check("model.h5", "net.py", custom=custom, **options)
    assert kerasgen.check("model.h5", "net.py", custom=custom, **{**options, "max_memory": 20_000}).code


def test_who_has_verified_it(run: Run) -> None:
    run("export", run.files / "small.keras", "-o", "one.py", "--verify")
    run("export", run.files / "small.keras", "-o", "other.py", "--no-verify")
    one, other = (load_module(Path(name)) for name in ("one.py", "other.py"))
    recorded = one.VERIFIED
    assert recorded == {"by": f"Keras {keras.__version__}", "tolerance": 3e-5}
    assert other.VERIFIED is None
    assert one.MODEL == other.MODEL
    for name in ("one.py", "other.py"):
        run("export", run.files / "small.keras", "-o", name, "--check")


def test_names_of_any_kind(tmp_path: Path) -> None:
    """They are data: nothing of them reaches a comment, and the code means the same."""
    for name in (*HOSTILE, "a\nVERIFIED = {}\n"):
        x = keras.Input((3,), name="x")
        header = load(save(keras.Model(x, L.ReLU()(x), name=name), tmp_path / "model.keras"))
        assert header["MODEL"]["name"] == name
        assert header["VERIFIED"] is None
