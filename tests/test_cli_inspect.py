"""`inspect`: layers, shapes, parameters and multiplications, as a table and as JSON."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras
from command import MACS, Run
from keras import layers as L
from support import SHARED_MODELS, save

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
    assert [count for name, count in macs.items() if name.startswith("matmul")] == [6 * 6 * 5]


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


def wide(k: Any) -> type:
    """A layer of the user's own with a weight and a layer inside: (N, ..., C) becomes (N, ..., 6) and 3 more."""

    class Wide(k.layers.Layer):  # type: ignore[misc,name-defined]
        def build(self, shape: Any) -> None:
            self.matrix = self.add_weight(shape=(shape[-1], 6), name="matrix")
            self.inner = k.layers.Dense(3)
            self.inner.build((*shape[:-1], 6))
            self.built = True

        def call(self, x: Any) -> Any:
            y = x @ self.matrix
            return [y, self.inner(y)]

        def compute_output_shape(self, shape: Any) -> Any:
            return [(*shape[:-1], 6), (*shape[:-1], 3)]

    return Wide


def branched(k: Any) -> Any:
    """One unsupported layer, in a nested model, too, with all kinds of layers behind it."""
    layers, Wide = k.layers, wide(k)
    x = k.Input((5, 4), name="x")
    y, z = Wide(name="wide")(layers.BatchNormalization(name="norm")(x))
    y = layers.LSTM(4, return_sequences=True, name="lstm")(y)
    inside = k.Input((5, 4), name="inside")
    a, b = Wide(name="inner_wide")(layers.Dense(4, name="inner_dense")(inside))
    nested = k.Model(inside, [layers.Dense(2, name="inner_last")(a), b], name="nested")
    c, d = nested(y)
    z = layers.Dense(7, name="behind")(layers.Concatenate(name="both")([z, c]))
    return k.Model(x, [layers.Bidirectional(layers.GRU(2), name="last")(z), d])


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
def test_inspect_behind_an_unsupported_layer(run: Run, library: Any, ending: str) -> None:
    """Parameters are counted in the file, shapes go on where it records them."""
    library.backend.clear_session()
    model = branched(library)
    save(model, Path(f"branched.{ending}"))
    summary = json.loads(run("inspect", f"branched.{ending}", "--json", code=4)[0])
    rows = {layer["name"]: layer for layer in summary["layers"]}
    nested = model.get_layer("nested")
    wanted = {layer.name: layer.count_params() for layer in model.layers if layer is not nested}
    wanted.update((f"nested/{layer.name}", layer.count_params()) for layer in nested.layers)
    counts = {name: row["parameters"] for name, row in rows.items()}
    assert counts == {name: wanted[name] for name in counts}
    assert {name for name, count in wanted.items() if count} <= set(counts)
    assert summary["parameters"] == model.count_params() > 0
    assert [problem.partition(" (")[0] for problem in summary["problems"]] == ["wide, nested/inner_wide"]
    assert (rows["wide"]["macs"], summary["macs"]) == (None, None)
    assert [name for name, _, _ in summary["outputs"]] == ["last", "nested"]
    shapes = {name: row["shapes"] for name, row in rows.items()}
    assert shapes["norm"] == [[None, 5, 4]]
    if library is keras:  # its calls record the shapes of what they read
        assert shapes["wide"] == [[None, 5, 6], [None, 5, 3]]
        assert shapes["lstm"] == [[None, 5, 4]]
        assert shapes["nested/inner_dense"] == [[None, 5, 4]]
        assert shapes["nested/inner_last"] == [[None, 5, 2]]
        assert shapes["both"] == [[None, 5, 5]]
        assert shapes["last"] == [[None, 4]]
        assert rows["last"]["macs"] == 2 * 5 * (7 + 2) * 3 * 2
        assert summary["outputs"] == [["last", [None, 4], "float32"], ["nested", None, None]]
    elif ending == "keras":  # one shape for each layer that reads one tensor
        assert shapes["lstm"] == [[None, 5, 4]]
        assert shapes["behind"] == [[None, 5, 7]]
        assert summary["outputs"] == [["last", [None, 4], "float32"], ["nested", None, None]]
    else:
        assert shapes["last"] is shapes["behind"] is None
        assert summary["outputs"] == [["last", None, None], ["nested", None, None]]


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
def test_inspect_a_sequential_model_with_an_unsupported_layer(run: Run, library: Any, ending: str) -> None:
    layers = library.layers
    odd = layers.Lambda(lambda x: x * 2 if x is not None else x, name="twice")
    inner = library.Sequential([library.Input((6,)), layers.Dense(3, name="d1"), odd, layers.Dense(5, name="d2")])
    model = library.Sequential(
        [
            library.Input((4, 6), name="x"),
            layers.TimeDistributed(inner, name="each"),
            layers.ReLU(name="relu"),
            layers.Conv1D(2, 3, name="conv"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="last"),
        ]
    )
    save(model, Path(f"each.{ending}"))
    out, _ = run("inspect", f"each.{ending}", code=4)
    assert f"{model.count_params():,} parameters, ? MACs" in out
    summary = json.loads(run("inspect", f"each.{ending}", "--json", code=4)[0])
    rows = {layer["name"]: layer for layer in summary["layers"]}
    assert summary["parameters"] == model.count_params()
    assert rows["conv"]["parameters"] == model.get_layer("conv").count_params()
    assert rows["each/d1"]["parameters"] == 6 * 3 + 3
    if ending == "keras":
        assert rows["conv"]["shapes"] == [[None, 2, 2]]
        assert rows["last"]["shapes"] == [[None, 3]]
        assert rows["last"]["macs"] == 4 * 3
        assert summary["outputs"] == [["last", [None, 3], "float32"]]
    else:
        assert rows["last"]["shapes"] is None
        assert "output last ? ?" in out


def test_inspect_behind_a_wrong_shape(run: Run) -> None:
    """What the file says of a tensor is no more than that: a layer that cannot take it is not the file's fault."""
    x = keras.Input((5, 4), name="x")
    y = L.Lambda(lambda x: x if x is not None else 0, name="same")(x)
    keras.Model(x, L.Dense(3, name="last")(L.LSTM(2, name="lstm")(L.Conv1D(2, 3, name="conv")(y)))).save("right.keras")
    for wrong in ("[null, 5]", "[null]", "[]", "7", '"x"', "[null, -1, 4]", "[null, 1e3, 4]", "[2, 5, 4]", "{}"):
        with zipfile.ZipFile("right.keras") as right, zipfile.ZipFile("wrong.keras", "w") as archive:
            for name in right.namelist():
                text = right.read(name)
                if name == "config.json":
                    said = text.decode()
                    start = said.index('"class_name": "Conv1D"')
                    said = said[:start] + said[start:].replace("[null, 5, 4]", wrong)
                    text = said.encode()
                archive.writestr(name, text)
        summary = json.loads(run("inspect", "wrong.keras", "--json", code=4)[0])
        rows = {layer["name"]: layer for layer in summary["layers"]}
        assert len(summary["problems"]) == 1, wrong
        assert rows["conv"]["macs"] is None, wrong
        assert rows["lstm"]["macs"] == 3 * (2 + 2) * 4 * 2  # it reads what the file records, again
        assert summary["parameters"] == 26 + 40 + 9


def test_inspect_finds_what_is_unsupported_behind_it(run: Run) -> None:
    x = keras.Input((5, 4), name="x")
    y = L.Lambda(lambda x: x if x is not None else 0, name="same")(x)
    y = L.TimeDistributed(L.Lambda(lambda x: x if x is not None else 0), name="each")(y)
    keras.Model(x, y).save("both.keras")
    summary = json.loads(run("inspect", "both.keras", "--json", code=4)[0])
    assert [problem.partition(" ")[0] for problem in summary["problems"]] == ["same", "each"]
