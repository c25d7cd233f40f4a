"""`inspect`: layers, shapes, parameters and multiplications, as a table and as JSON."""

from __future__ import annotations

import json

import keras
import pytest
from command import MACS, Run
from keras import layers as L
from support import SHARED_MODELS

import kerasgen


def test_inspect_table(run: Run) -> None:
    out, err = run("inspect", run.files / "counted.keras")
    assert err == ""
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    for name, macs in MACS.items():
        assert rows[name][-1] == f"{macs:,}"
    assert rows["conv"][1:] == ["Conv2D", "(None,", "4,", "4,", "4)", "112", "1,728"]
    assert f"{sum(MACS.values()):,} MACs" in out
    assert "input image (None, 8, 8, 3) float32" in out
    assert "output dense (None, 5) float32" in out
    assert "counted.keras" in out
    assert "\x1b" not in out


def test_inspect_json(run: Run) -> None:
    out, err = run("inspect", run.files / "counted.keras", "--json")
    assert err == ""
    summary = json.loads(out)
    model = keras.models.load_model(run.files / "counted.keras")
    assert summary["parameters"] == model.count_params()
    assert summary["macs"] == sum(MACS.values())
    assert {layer["name"]: layer["macs"] for layer in summary["layers"] if layer["kind"] != "InputLayer"} == MACS
    for layer in summary["layers"]:
        other = model.get_layer(layer["name"])
        assert layer["parameters"] == other.count_params()
        assert [tuple(shape) for shape in layer["shapes"]] == [tuple(other.output.shape)]
        assert layer["kind"] == type(other).__name__
    assert summary["keras_version"] == keras.__version__
    assert summary["inputs"] == [["image", [None, 8, 8, 3], "float32"]]
    assert summary["outputs"] == [["dense", [None, 5], "float32"]]
    assert summary["problems"] == []


def test_inspect_unknown_sizes(run: Run) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3, name="conv"), L.GlobalMaxPooling2D()])
    model.save("any.keras")
    summary = json.loads(run("inspect", "any.keras", "--json")[0])
    assert summary["macs"] is None
    assert {layer["name"]: layer["macs"] for layer in summary["layers"]}["conv"] is None
    assert "? MACs" in run("inspect", "any.keras")[0]


def test_inspect_shared_and_separable(run: Run) -> None:
    """A layer that is called twice multiplies twice and has its parameters once."""
    a, b = keras.Input((5, 5, 2)), keras.Input((5, 5, 2))
    shared = L.SeparableConv2D(3, 3, depth_multiplier=2, name="shared")
    model = keras.Model([a, b], L.Add(name="sum")([shared(a), shared(b)]))
    model.save("shared.keras")
    summary = json.loads(run("inspect", "shared.keras", "--json")[0])
    assert summary["parameters"] == model.count_params()
    assert summary["macs"] == 2 * 9 * (9 * 2 * 2 + 4 * 3)


def test_inspect_attention(run: Run) -> None:
    """Products of arrays count like those with weights."""
    x = keras.Input((6, 8), name="x")
    y = L.MultiHeadAttention(2, 4, name="heads")(x, x)
    y = L.Attention(name="attention")([y, x])
    y = L.EinsumDense("...c,cd->...d", 5, name="equation")(y)
    keras.Model(x, keras.ops.matmul(y, keras.ops.transpose(y, (0, 2, 1)))).save("attention.keras")
    summary = json.loads(run("inspect", "attention.keras", "--json")[0])
    macs = {layer["name"]: layer["macs"] for layer in summary["layers"]}
    assert macs["heads"] == 4 * (6 * 8 * 8) + 2 * (2 * 6 * 6 * 4)  # four projections, scores, sums
    assert macs["attention"] == 2 * (6 * 6 * 8)
    assert macs["equation"] == 6 * 8 * 5
    assert macs["matmul"] == 6 * 6 * 5


def test_inspect_recurrent(run: Run) -> None:
    x = keras.Input((6, 3), name="x")
    y = L.LSTM(4, return_sequences=True, name="lstm")(x)
    y = L.GRU(2, return_sequences=True, name="gru")(y)
    keras.Model(x, L.SimpleRNN(5, name="simple")(y)).save("recurrent.keras")
    summary = json.loads(run("inspect", "recurrent.keras", "--json")[0])
    macs = {layer["name"]: layer["macs"] for layer in summary["layers"]}
    assert macs["lstm"] == 6 * (3 + 4) * 4 * 4
    assert macs["gru"] == 6 * (4 + 2) * 3 * 2
    assert macs["simple"] == 6 * (2 + 5) * 5


def test_inspect_steps(run: Run) -> None:
    """A layer that is applied to each step multiplies at each of them, as does what a reshape makes samples of."""
    x = keras.Input((5, 8, 9, 3), name="x")
    y = L.TimeDistributed(L.Conv2D(4, 3), name="conv")(x)
    y = L.TimeDistributed(L.TimeDistributed(L.SeparableConv1D(2, 3)), name="twice")(y)
    y = L.ConvLSTM2D(3, 2, padding="same", return_sequences=True, name="film")(y)
    z = L.Dense(6, name="by_hand")(keras.ops.reshape(y, (-1, 6 * 5 * 3)))
    z = L.Dense(7, name="behind")(keras.ops.reshape(z, (-1, 5, 6)))
    model = keras.Model(x, [z, L.TimeDistributed(L.Flatten(), name="flat")(y)])
    model.save("steps.keras")
    summary = json.loads(run("inspect", "steps.keras", "--json")[0])
    macs = {layer["name"]: layer["macs"] for layer in summary["layers"]}
    assert macs["conv"] == 5 * (6 * 7) * (3 * 3 * 3 * 4)
    assert macs["twice"] == 5 * 6 * 5 * (3 * 4 + 4 * 2)
    assert macs["film"] == 5 * (6 * 5) * (2 * 2 * 2 * 12 + 2 * 2 * 3 * 12)
    assert macs["by_hand"] == 5 * (6 * 5 * 3) * 6
    assert macs["behind"] == 5 * 6 * 7
    assert macs["flat"] == 0
    assert summary["macs"] == sum(macs.values())


def test_inspect_any_number_of_steps(run: Run) -> None:
    model = keras.Sequential([keras.Input((None, 4)), L.TimeDistributed(L.Dense(3), name="each"), L.LSTM(2)])
    model.save("any.keras")
    summary = json.loads(run("inspect", "any.keras", "--json")[0])
    assert summary["macs"] is None
    assert {layer["name"]: layer["macs"] for layer in summary["layers"]}["each"] is None


@pytest.mark.skipif(not SHARED_MODELS.is_dir(), reason="the models from the wild are not here")
def test_inspect_a_network_for_fifty_steps() -> None:
    layers = kerasgen.inspect(SHARED_MODELS / "wild" / "vcskaushik1_trained_model.hdf5").layers
    macs = {layer.name: layer.macs for layer in layers}
    assert macs["time_distributed"] == 50 * (145 * 240) * (7 * 7 * 3 * 8)
    assert macs["time_distributed_20"] == 50 * 2
    assert sum(count or 0 for count in macs.values()) == 2_873_650_500


def test_inspect_lists_what_is_unsupported(run: Run) -> None:
    out, err = run("inspect", run.files / "both.keras", code=4)
    assert err == ""
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert {"fine", "twice", "odd", "last"} <= set(rows)
    problems = [line for line in out.splitlines() if line.startswith("unsupported: ")]
    assert len(problems) == 2
    assert "twice" in problems[0]
    assert "odd" in problems[1]
    summary = json.loads(run("inspect", run.files / "both.keras", "--json", code=4)[0])
    assert len(summary["problems"]) == 2
    shapes = {layer["name"]: layer["shapes"] for layer in summary["layers"]}
    assert shapes["fine"] == [[None, 4]]
    assert shapes["last"] is None
