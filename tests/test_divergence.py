"""Where a module begins to differ from its model: `verify` names the layer and the step that is at fault."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from command import Run, altered
from keras import layers as L
from support import randomize, save

import kerasgen
from kerasgen import kernels
from kerasgen.builder import build
from kerasgen.graph.facts import FACTS
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.layers import RULES
from kerasgen.passes import LEVEL, PIPELINES, Phase, on_graph
from kerasgen.passes.fold.fold_batch_norm import fold_batch_norm
from kerasgen.readers import read
from kerasgen.verification.oracle import Oracle, oracle


def twin(k: Any) -> Any:
    """A nested model called twice, with a shared layer inside that is called twice itself, and two outputs."""
    x = k.Input((4,), name="given")
    dense = k.layers.Dense(4, activation="tanh", name="dense")
    inner = k.Model(x, k.layers.Add(name="sum")([dense(dense(x)), x]), name="inner")
    a, b = k.Input((4,), name="a"), k.Input((4,), name="b")
    y = k.layers.Concatenate(name="both")([inner(a), inner(b)])
    y = k.layers.BatchNormalization(name="norm")(k.layers.Dense(3, name="wide")(y))
    return k.Model([a, b], [k.layers.ReLU(name="first")(y), k.layers.Dense(2, name="second")(y)])


def image_model() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            L.Conv2D(4, 3, name="conv_a"),
            L.BatchNormalization(name="norm_a"),
            L.ReLU(name="relu_a"),
            L.Conv2D(4, 3, name="conv_b"),
            L.BatchNormalization(name="norm_b"),
            L.ReLU(negative_slope=0.1, name="relu_b"),
            L.Flatten(name="flat"),
            L.Dense(3, name="scores"),
        ]
    )


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Saves a model and exports it; both paths."""

    def make(model: Any, ending: str = "keras", **options: Any) -> tuple[Path, Path]:
        path = tmp_path / f"model.{ending}"
        save(randomize(model), path)
        kerasgen.export(path, tmp_path / "model.py", verify=False, force=True, **options)
        return path, tmp_path / "model.py"

    return make


def found(verification: kerasgen.Verification) -> Any:
    assert not verification.ok
    assert verification.divergence is not None
    return verification.divergence


def largest(reports: Any) -> float:
    return max(report.relative for report in reports)


# ---------------------------------------------------------------- what Keras makes of each call


@pytest.mark.parametrize(("library", "ending"), [(keras, "keras"), (tf_keras, "keras"), (tf_keras, "h5")])
def test_every_call_is_seen(library: Any, ending: str, tmp_path: Path) -> None:
    """By its address in the file: nested twice, shared, in the order of the calls."""
    path = tmp_path / f"model.{ending}"
    save(randomize(twin(library)), path)
    file = read(path)
    built = build(file)
    arrays = [np.random.RandomState(i).standard_normal((3, 4)).astype("float32") for i in range(2)]
    made = {call.address: call.results for call in oracle(path, None, file.keras_version).layers(arrays)}
    assert set(made) == set(built.addresses.values())
    values = built.bind().trace(*arrays)
    for layer, names in built.graph.layers.items():
        for name, array in zip(names, made[built.addresses[layer]], strict=True):
            np.testing.assert_allclose(values[name], array, rtol=1e-4, atol=1e-5)
    assert built.addresses["inner/dense#3"] == (("inner", 1), ("dense", 0))


def test_a_shared_layer_that_is_called_late_first(tmp_path: Path) -> None:
    """Its first call in the file is the second that can be computed."""
    x = keras.Input((4,), name="x")
    shared = L.Dense(4, name="shared")
    deep = shared(L.Dense(4, name="before")(x))
    model = randomize(keras.Model(x, L.Subtract(name="difference")([deep, shared(x)])))
    model.save(tmp_path / "model.keras")
    built = build(read(tmp_path / "model.keras"))
    array = np.ones((2, 4), "float32")
    values, keras_model = built.bind().trace(array), oracle(tmp_path / "model.keras", None, "3")
    made = {call.address: call.results for call in keras_model.layers([array])}
    for layer in ("shared", "shared#2"):
        np.testing.assert_allclose(values[built.graph.layers[layer][0]], made[built.addresses[layer]][0], rtol=1e-5)


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
def test_a_wrong_rule(exported: Any, monkeypatch: pytest.MonkeyPatch, library: Any) -> None:
    monkeypatch.setitem(RULES, "Add", lambda layer, inputs: layer.emit(np.subtract, *inputs))
    divergence = found(kerasgen.verify(*exported(twin(library))))
    assert (divergence.stage, divergence.layer, divergence.kind) == ("rule", "inner/sum", "Add")
    assert largest(divergence.outputs) > 0.1
    assert "the rule for Add" in str(divergence)
    assert "inner/sum" in str(divergence)


def test_a_wrong_rule_of_the_users_own(exported: Any) -> None:
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, name="first"), L.ReLU(name="mine"), L.Dense(2)])
    custom = {"mine": wrong_relu}
    divergence = found(kerasgen.verify(*exported(model, custom=custom), custom=custom))
    assert (divergence.stage, divergence.layer) == ("rule", "mine")


def wrong_relu(x):  # type: ignore[no-untyped-def] # it is copied into a module
    return np.maximum(x, 0.5)


def test_what_keras_does_not_tell(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer inside another has no output of its own in Keras, so the outer layer is named."""
    inner = keras.Sequential([keras.Input((4,)), L.Dense(3, name="hidden"), L.ReLU(name="cut")], name="inner")
    model = keras.Sequential([keras.Input((5, 4)), L.TimeDistributed(inner, name="steps"), L.Flatten()])
    monkeypatch.setitem(RULES, "ReLU", lambda layer, x: layer.emit(np.square, x))
    divergence = found(kerasgen.verify(*exported(model)))
    assert (divergence.stage, divergence.layer) == ("rule", "steps")
    assert set(divergence.unseen) == {"steps/hidden", "steps/cut"}


def test_keras_that_tells_of_no_layer(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise kerasgen.ParityError("not call by call")

    monkeypatch.setattr(Oracle, "layers", fail)
    path, module = exported(image_model())
    altered(module, lambda weights: weights["scores/bias"].__iadd__(1))
    assert found(kerasgen.verify(path, module)).culprit == "scores/bias"
    monkeypatch.setitem(RULES, "Flatten", lambda layer, x: layer.emit(kernels.flatten, layer.emit(np.negative, x)))
    divergence = found(kerasgen.verify(*exported(image_model())))
    assert (divergence.stage, divergence.layer) == ("rule", "")
    assert "Flatten" in divergence.fault
    assert "flat" in divergence.unseen


def test_export_explains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES, "Flatten", lambda layer, x: layer.emit(kernels.flatten, layer.emit(np.negative, x)))
    randomize(image_model()).save(tmp_path / "model.keras")
    with pytest.raises(kerasgen.ParityError, match=r"first wrong layer: flat \(Flatten\)") as caught:
        kerasgen.export(tmp_path / "model.keras", tmp_path / "model.py")
    assert found(caught.value.verification).layer == "flat"


# ---------------------------------------------------------------- passes


@pytest.mark.parametrize(("activations", "layer"), [(False, "norm_b"), (True, "conv_b")])
def test_a_wrong_pass(exported: Any, monkeypatch: pytest.MonkeyPatch, activations: bool, layer: str) -> None:
    """It folds the second convolution wrongly; if every layer is kept, nothing is folded into it."""

    def wrong(graph: Graph) -> Graph:
        folded = fold_batch_norm(graph)
        return replace(folded, weights={**folded.weights, "conv_b/kernel": folded.weights["conv_b/kernel"] * 3})

    wrong.__name__ = "fold_batch_norm"
    pipeline = [
        Phase(name, tuple(on_graph(wrong) if step.__name__ == wrong.__name__ else step for step in steps))
        for name, steps in PIPELINES[LEVEL]
    ]
    monkeypatch.setitem(PIPELINES, LEVEL, pipeline)
    divergence = found(kerasgen.verify(*exported(image_model(), activations=activations)))
    assert (divergence.stage, divergence.culprit, divergence.layer) == ("pass", "fold_batch_norm", layer)
    assert "the pass fold_batch_norm" in str(divergence)


def fast_model() -> Any:
    """Sizes for which the fast kernels are chosen, with buffers and weights in another layout."""
    image = keras.Input((40, 40, 32), name="image")
    x = L.Conv2D(32, 3, padding="same", activation="relu", name="wide")(image)
    y = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = L.Add(name="join")([L.Conv2D(32, 1, name="project")(y), x])
    return keras.Model(image, L.Dense(3, name="logits")(L.GlobalAveragePooling2D(name="gap")(L.ReLU(name="relu")(x))))


def test_a_wrong_fast_kernel(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kerasgen.verify(*exported(fast_model())).ok
    layout = sys.modules["kerasgen.kernels.winograd"].winograd_filters  # type: ignore[attr-defined]
    monkeypatch.setattr(Plan, "loaded", lambda plan: damaged(plan, layout))
    path, module = exported(fast_model())
    altered(module, lambda weights: weights["wide/bias"].__iadd__(1))
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.culprit, divergence.layer) == ("pass", "choose_kernels", "wide")


def damaged(plan: Plan, layout: Any) -> dict[str, np.ndarray]:
    """The weights in the kernels' layout, but half as large for Winograd's kernel."""
    weights = plan.graph.weights
    laid_out = {name: make(weights[name], **settings) for name, (make, settings) in plan.layouts.items()}
    wrong = {name: laid_out[name] / 2 for name, (make, _) in plan.layouts.items() if make is layout}
    return {**weights, **laid_out, **wrong}


@pytest.mark.parametrize("name", ["wide/kernel", "depthwise/kernel", "project/bias", "logits/bias"])
def test_an_altered_weight_of_a_fast_kernel(exported: Any, name: str) -> None:
    path, module = exported(fast_model())
    altered(module, lambda weights: weights[name].__iadd__(0.5))
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.culprit) == ("weights", name)


def test_an_altered_line_of_a_fast_kernel(exported: Any) -> None:
    path, module = exported(fast_model())
    text = module.read_bytes()
    head, _, rest = text.partition(b"activation=relu")
    module.write_bytes(head + b"activation=None" + rest)
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.kind) == ("emitter", "Conv2D")
    assert "activation=None" in divergence.culprit


# ---------------------------------------------------------------- the module


def test_an_altered_weight(exported: Any) -> None:
    def change(weights: dict[str, np.ndarray]) -> None:
        weights["wide/bias"][1] += 1
        weights["second/bias"][0] += 1

    path, module = exported(twin(keras))
    altered(module, change)
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.layer, divergence.culprit) == ("weights", "wide", "wide/bias")


def test_an_altered_weight_of_a_shared_layer(exported: Any) -> None:
    path, module = exported(twin(keras))
    altered(module, lambda weights: weights["inner_dense/kernel"].__setitem__((0, 0), 9))
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.layer) == ("weights", "inner/dense")
    assert divergence.culprit == "inner_dense/kernel"


def test_an_altered_line(exported: Any) -> None:
    path, module = exported(image_model())
    text = module.read_bytes()
    assert b"general_relu(x, negative_slope=0.1" in text
    module.write_bytes(text.replace(b"general_relu(x, negative_slope=0.1", b"general_relu(x, negative_slope=0.7"))
    divergence = found(kerasgen.verify(path, module))
    assert (divergence.stage, divergence.layer) == ("emitter", "relu_b")
    assert "negative_slope=0.7" in divergence.culprit


def test_a_wrong_emitter(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, L.Dense(2, name="last")(L.Dense(4, name="first")(x) * x))
    monkeypatch.setitem(FACTS, np.multiply, replace(FACTS[np.multiply], syntax=lambda a, b: f"{a} + {b}"))
    divergence = found(kerasgen.verify(*exported(model)))
    assert (divergence.stage, divergence.kind) == ("emitter", "ops.Multiply")
    assert " + " in divergence.culprit


def test_the_module_of_another_training(exported: Any, tmp_path: Path) -> None:
    _, module = exported(image_model())
    randomize(image_model(), seed=1).save(tmp_path / "other.keras")
    divergence = found(kerasgen.verify(tmp_path / "other.keras", module))
    assert (divergence.stage, divergence.layer) == ("weights", "conv_a")


def test_rounding_is_unexplained_fault(exported: Any) -> None:
    verification = kerasgen.verify(*exported(image_model()), tolerance=0.0)
    divergence = found(verification)
    assert divergence.stage in ("rule", "pass")  # with no tolerance at all, the first rounding counts
    assert largest(divergence.outputs) < 1e-5


def test_stateful_layers_start_afresh(exported: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = keras.Sequential(
        [keras.Input(batch_shape=(3, 5, 4)), L.GRU(4, stateful=True, name="memory"), L.ReLU(name="cut"), L.Dense(2)]
    )
    path, module = exported(model)
    assert kerasgen.verify(path, module).ok
    monkeypatch.setitem(RULES, "ReLU", lambda layer, x: layer.emit(np.square, x))
    divergence = found(kerasgen.verify(*exported(model)))
    assert (divergence.stage, divergence.layer) == ("rule", "cut")


# ---------------------------------------------------------------- inputs, figures, reports


def test_edges(exported: Any) -> None:
    x, tokens = keras.Input((6,), name="x"), keras.Input((5,), name="tokens", dtype="int32")
    y = L.Flatten()(L.Embedding(7, 3, name="table")(tokens))
    model = keras.Model([x, tokens], L.Dense(2, name="out")(L.Concatenate()([L.Softmax()(x), y])))
    path, module = exported(model)
    verification = kerasgen.verify(path, module, inputs="edge")
    assert verification.ok
    given = ["zeros", "ones", "negative numbers", "large numbers", "small numbers"]
    assert [report.given for report in verification.outputs] == given
    assert [str(report).partition(":")[0] for report in verification.outputs] == [f"ok out of {name}" for name in given]
    assert "ok out of zeros: error " in str(verification)


def test_units_in_the_last_place() -> None:
    expected = np.array([1.0, 0.25, -0.5], "float32")
    got = expected.copy()
    got[1] += 3 * np.spacing(np.float32(1.0))
    report = kerasgen.verification.compare.compare("y", got, expected)
    assert report.ulps == pytest.approx(3)
    assert "3 ULP" in str(report)
    assert kerasgen.verification.compare.compare("n", np.array([3, 5]), np.array([3, 7])).ulps == 2


@pytest.fixture
def differing(run: Run) -> Run:
    """A model and a module of it with a wrong weight."""
    run("export", run.files / "two.keras", "--no-verify")
    altered(Path("two.py"), lambda weights: weights["two/bias"].__setitem__(1, 5))
    return run


def test_json(differing: Run) -> None:
    out, err = differing("verify", differing.files / "two.keras", "two.py", "--json", code=1)
    assert err == ""
    report = json.loads(out)
    assert (report["ok"], [each["ok"] for each in report["outputs"]]) == (False, [True, False])
    divergence = report["divergence"]
    assert (divergence["stage"], divergence["layer"], divergence["culprit"]) == ("weights", "two", "two/bias")
    assert divergence["outputs"][0]["relative"] > 0.1
    out, _ = differing("verify", differing.files / "two.keras", "two.py", "--json", "--tolerance", "100")
    assert json.loads(out)["divergence"] is None


def test_junit(differing: Run) -> None:
    arguments = ["verify", differing.files / "two.keras", "two.py", "--junit", "report.xml"]
    differing(*arguments, "--inputs", "edge", code=1)
    suite = ET.parse("report.xml").getroot()
    cases = suite.findall("testcase")
    failures = suite.findall("testcase/failure")
    assert (suite.tag, suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("testsuite", "10", "5", "0")
    assert (len(cases), len(failures)) == (10, 5)
    assert {(case.get("classname"), case.get("name")) for case in cases} >= {
        ("two", "one of zeros"),
        ("two", "two of ones"),
    }
    assert "two/bias" in (failures[0].text or "")
    differing(*arguments, "--tolerance", "100")
    suite = ET.parse("report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "0")


def test_junit_of_a_module_that_fails(differing: Run) -> None:
    Path("fails.py").write_text("raise RuntimeError('\x1b <&')\n")
    arguments = ["verify", differing.files / "two.keras", "fails.py", "--junit", "report.xml"]
    differing(*arguments, code=1)
    suite = ET.parse("report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "0", "1")
    (error,) = suite.findall("testcase/error")
    assert "RuntimeError" in (error.get("message") or "")


def rerun(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "reproduce.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_reproduction(differing: Run) -> None:
    """It fails as the layer does, and no longer once its code is right."""
    differing("verify", differing.files / "two.keras", "two.py", "--repro", "wrong", code=1)
    folder = Path("wrong")
    assert {path.name for path in folder.iterdir()} == {"reproduce.py", "layer.py", "layer.npz"}
    done = rerun(folder)
    assert (done.returncode, done.stderr) == (1, "")
    assert "layer: 'two'" in done.stdout
    with np.load(folder / "layer.npz", allow_pickle=False) as npz:
        arrays = dict(npz)
    assert json.loads(str(arrays["config"]))["units"] == 3
    (got,) = (arrays[name] for name in arrays if name.startswith("got/"))
    (expected,) = (arrays[name] for name in arrays if name.startswith("expected/"))
    (given,) = (arrays[name] for name in arrays if name.startswith("input/"))
    np.testing.assert_allclose(given @ arrays["weight/two/kernel"] + arrays["weight/two/bias"], got, rtol=1e-5)
    difference = got - expected
    assert abs(difference[:, 1]).min() > 1
    assert abs(difference[:, [0, 2]]).max() < 1e-5
    altered(folder / "layer.py", lambda weights: weights["two/bias"].__iadd__(-difference[0]))
    assert rerun(folder).returncode == 0
    differing("verify", differing.files / "two.keras", "two.py", "--repro", "wrong", code=5)


def test_a_reproduction_of_a_rule(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has Keras's answers, and needs neither Keras nor the model."""
    monkeypatch.setitem(RULES, "Conv2D", wrong_convolution)
    run("export", run.files / "small.keras", "--no-verify")
    out, _ = run("verify", run.files / "small.keras", "small.py", "--repro", "wrong", code=1)
    assert "first wrong layer: conv (Conv2D)" in out
    with np.load("wrong/layer.npz", allow_pickle=False) as npz:
        expected, image = npz["expected/conv"], npz["input/image"]
    model = keras.saving.load_model(run.files / "small.keras")
    np.testing.assert_allclose(expected, model.layers[0](image), rtol=1e-5, atol=1e-6)
    done = rerun(Path("wrong"))
    assert (done.returncode, done.stderr) == (1, "")


def wrong_convolution(layer: Any, inputs: Any, _rule: Any = RULES["Conv2D"]) -> Any:
    return layer.emit(np.negative, _rule(layer, inputs))


def test_no_reproduction_where_all_is_well(run: Run) -> None:
    run("export", run.files / "two.keras", "--no-verify")
    run("verify", run.files / "two.keras", "two.py", "--repro", "wrong")
    assert not Path("wrong").exists()


def test_a_piece_of_a_graph() -> None:
    """It has only what computes the wanted values from known ones."""
    graph = build(read(randomize(twin(keras)))).bind()
    arrays = [np.random.RandomState(i).standard_normal((2, 4)).astype("float32") for i in range(2)]
    values = graph.trace(*arrays)
    (norm,), (both,) = graph.layers["norm"], graph.layers["both"]
    piece = graph.piece([norm], {both: values[both]})
    assert [value.name for value in piece.inputs] == [both]
    assert len(piece.nodes) == 2
    assert np.array_equal(piece.run(values[both])[0], values[norm])
