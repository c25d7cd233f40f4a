"""Modules that end at layers inside of a model: what they answer, what they hold, what they are compared with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from command import Run, altered
from saved_models import LIBRARIES
from support import SHARED_MODELS, randomize, relative_error, save

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.readers import read
from kerasgen.verification.verify import original

VAE = SHARED_MODELS / "wild" / "savewater1_vae.h5"


def chain(k: Any) -> Any:
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(3, 3, name="conv"),
            layers.Dropout(0.5, name="drop"),
            layers.Flatten(name="flat"),
            layers.Dense(4, name="dense"),
            layers.Dense(2, name="last"),
        ]
    )


def two_inputs(k: Any) -> Any:
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    shared = k.layers.Dense(4, name="shared")
    one, two = shared(a), shared(b)
    both = k.layers.Concatenate(name="both")([one, two])
    return k.Model([a, b], [k.layers.Dense(2, name="x")(both), k.layers.Dense(3, name="y")(two)])


def nested(k: Any) -> Any:
    x, z = k.Input((4,)), k.Input((4,))
    h = k.layers.Dense(5, name="first")(x)
    g = k.layers.Dense(3, name="second")(z)
    block = k.Model([x, z], [k.layers.Dense(2, name="up")(h), k.layers.Dense(2, name="down")(g)], name="block")
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    up, down = block([a, k.layers.Dense(4, name="before")(b)])
    return k.Model([a, b], k.layers.Add(name="sum")([k.layers.Dense(2, name="after")(up), down]))


def states(k: Any) -> Any:
    x = k.Input((5, 3), name="x")
    _, h, c = k.layers.LSTM(4, return_sequences=True, return_state=True, name="lstm")(x)
    return k.Model(x, k.layers.Dense(2, name="last")(k.layers.Add(name="sum")([h, c])))


@dataclass(frozen=True)
class Row:
    """A model, the layers at which the module ends, what Keras makes there, and the inputs and layers that are left."""

    make: Callable[[Any], Any]
    outputs: str
    ends: Callable[[Any], Any]  # the inputs and outputs of a Keras model
    inputs: tuple[int, ...]
    layers: str


def at(*names: str) -> Callable[[Any], Any]:
    return lambda model: (model.inputs, [model.get_layer(name).output for name in names])


def at_all_outputs(model: Any) -> Any:
    return model.inputs, list(model.get_layer("lstm").output)


def second_call(model: Any) -> Any:
    return model.inputs, model.get_layer("both").input[1]


def inner(model: Any) -> Any:
    block = model.get_layer("block")
    return block.inputs, block.get_layer("first").output


ROWS = {
    "the middle of a chain": Row(chain, "drop", at("drop"), (0,), "conv drop"),
    "two layers of a chain": Row(chain, "dense,conv", at("dense", "conv"), (0,), "conv drop flat dense"),
    "a shared layer": Row(two_inputs, "shared", lambda m: (m.inputs, m.get_layer("both").input[0]), (0,), "shared"),
    "its second call": Row(two_inputs, "shared#2", second_call, (1,), "shared"),
    "one of two outputs": Row(two_inputs, "y", at("y"), (1,), "shared y"),
    "a layer of a nested model": Row(nested, "block/first", inner, (0,), "block/first"),
    "a layer that needs half a nested model": Row(
        nested, "after", at("after"), (0,), "block/first block/up after"
    ),
    "a nested model": Row(
        nested,
        "block",
        lambda m: (m.inputs, [m.get_layer("after").input, m.get_layer("sum").input[1]]),
        (0, 1),
        "before block/first block/second block/up block/down",
    ),
    "a layer with several outputs": Row(
        states, "lstm", at_all_outputs, (0,), "lstm"
    ),
}  # fmt: skip


CASES = [(name, ending) for name in ROWS for ending in ("keras", "old h5")]
CASES += [(name, "h5") for name in ("two layers of a chain", "a layer that needs half a nested model")]


@pytest.fixture(scope="module", params=CASES, ids=" ".join)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Row, Any, Path]:
    name, ending = request.param
    row = ROWS[name]
    model = randomize(row.make(LIBRARIES["keras2" if "old" in ending else "keras3"]))
    return row, model, save(model, tmp_path_factory.mktemp("cut") / f"model.{ending.split()[-1]}")


def samples(model: Any) -> list[np.ndarray]:
    random = np.random.RandomState(3)
    return [random.uniform(-1, 1, (3, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]


def test_it_answers_as_the_model_does_inside(case: tuple[Row, Any, Path], tmp_path: Path) -> None:
    row, model, path = case
    result = kerasgen.export(path, tmp_path / "m.py", outputs=row.outputs.split(","), verify=True)
    assert not result.unverified
    module = load_module(tmp_path / "m.py")
    inputs, ends = row.ends(model)
    library = keras if isinstance(model, keras.Model) else tf_keras
    arrays = samples(model)
    expected = library.Model(inputs, ends)(arrays, training=False)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    answers = module.predict(*(arrays[i] for i in row.inputs))
    answers = answers if isinstance(answers, (list, tuple)) else [answers]
    assert len(answers) == len(expected)
    assert max(map(relative_error, answers, expected)) < 1e-5
    assert module.OUTPUTS[0][0] == row.outputs.split(",")[0]
    assert len(module.INPUTS) == len(row.inputs)
    assert module.EXPORT["outputs"] == row.outputs.split(",")


def test_what_it_does_not_need_is_gone(case: tuple[Row, Any, Path]) -> None:
    row, model, path = case
    summary = kerasgen.inspect(path, outputs=row.outputs.split(","))
    assert [layer.name for layer in summary.layers] == row.layers.split()
    assert summary.parameters == sum(layer.count_params() for layer in needed(model, row.layers.split()))
    assert not kerasgen.check(path, written(path, row), outputs=row.outputs.split(","))


def needed(model: Any, names: list[str]) -> list[Any]:
    parts = (name.split("/") for name in names)
    return [model.get_layer(p[0]) if len(p) == 1 else model.get_layer(p[0]).get_layer(p[1]) for p in parts]


def written(path: Path, row: Row) -> Path:
    module = path.with_name("written.py")
    kerasgen.export(path, module, outputs=row.outputs.split(","), verify=False, force=True)
    return module


def test_gradients_of_a_cut_model(tmp_path: Path) -> None:
    path = save(randomize(nested(keras)), tmp_path / "model.keras")
    options = kerasgen.GradientOptions()
    kerasgen.export(path, tmp_path / "m.py", outputs=["after"], gradients=options, verify=False)
    verified = kerasgen.verify(path, tmp_path / "m.py", outputs=["after"], gradients=True)
    assert verified.ok
    assert len(verified.gradients) == 7  # of one input and three layers


def test_a_wrong_layer_of_a_cut_model_is_found(tmp_path: Path) -> None:
    path = save(randomize(nested(keras)), tmp_path / "model.keras")
    kerasgen.export(path, tmp_path / "m.py", outputs=["block/up"], optimize=0, verify=False)
    altered(
        tmp_path / "m.py", lambda weights: weights.update({"block_first/kernel": weights["block_first/kernel"] + 1})
    )
    verified = kerasgen.verify(path, tmp_path / "m.py", outputs=["block/up"])
    assert not verified.ok
    assert "block/first" in str(verified.divergence)


@pytest.mark.skipif(not VAE.exists(), reason="no published models here")
def test_an_encoder_before_a_layer_that_is_unsupported(tmp_path: Path) -> None:
    with pytest.raises(kerasgen.UnsupportedModelError, match="lambda_1"):
        kerasgen.export(VAE, tmp_path / "vae.py")
    result = kerasgen.export(VAE, tmp_path / "vae.py", outputs=["dense_2"], verify=True)
    assert result.outputs[0].name == "dense_2"
    file = read(VAE, outputs=["dense_2"])
    built = original(
        VAE, None, file
    ).model.layers  # the oracle does not even build the rest, whose code Keras would run
    assert [layer.name for layer in built][-1] == "dense_2"


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("dens", "no layer is called 'dens', to end the module at; did you mean dense?"),
        ("nothing like it", "no layer is called 'nothing like it', to end the module at"),
        ("dense,dense", "is a list of the names of layers, each once"),
        ("dense#2", "no layer is called 'dense#2', to end the module at; did you mean dense?"),
    ],
)
def test_names_that_no_layer_has(run: Run, tmp_path: Path, outputs: str, message: str) -> None:
    path = save(chain(keras), tmp_path / "model.keras")
    _, err = run("inspect", path, "--outputs", outputs, code=2)
    assert message in err
