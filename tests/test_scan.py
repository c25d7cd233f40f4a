"""`scan`: every danger is told, nothing dangerous is done, and sound files are left in peace."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import keras
import pytest
import tf_keras
from command import Run, script, small
from hostile import configs, containers, hdf5, weights
from hostile.fault import MODEL, Fault, archive, dense, legacy, sequential, written
from model_files import layer
from support import ROOT, save

import kerasgen
from kerasgen.cli.flags import flags
from kerasgen.hdf5 import process
from kerasgen.scanner import RISKS

FAULTS = [*containers.FAULTS, *hdf5.FAULTS, *configs.FAULTS, *weights.FAULTS]
# What is found, by a fault's number; by its name where those of one number differ. None: it cannot be read.
FOUND: dict[Any, set[str] | None] = {
    **dict.fromkeys((1, 2, 3, 4, 8, 10, 17, 18, 19, 20, 22, 24, 26), None),
    5: {"ambiguous"},
    6: {"escape", "stranger"},
    7: {"bomb"},
    **{number: {"elsewhere"} for number in (11, 12, 13, 14)},
    **{number: {"bomb"} for number in (15, 16)},
    23: {"damage", "bomb"},
    25: {"ambiguous"},
    27: {"code"},
    28: {"import"},
    29: {"path"},
    32: {"escape", "name"},
    "a pickle": {"pickle"},
    "a link to a file": {"escape"},
    "40 TB by zip64": None,
    "less than there is": None,
    "no config": None,
    "250 models in each other": set(),
    "NaN units": set(),
    "infinite units": set(),
    "NaN in place of a small number": set(),
    "an activation of the user's own": set(),
    "a subclassed model": {"class"},
    "TFSMLayer": {"program", "path"},
    "TorchModuleWrapper": {"program"},
    "an input of 1e30": {"bomb"},
}


@pytest.mark.parametrize("fault", FAULTS, ids=[f"{fault.number} {fault.what}" for fault in FAULTS])
def test_fault(fault: Fault, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code and the kinds of danger; what is merely wrong is left to `export`."""
    monkeypatch.setattr(process, "SECONDS", 2)
    path = fault.make(run.folder)[0]
    found = FOUND.get(fault.what, FOUND.get(fault.number, set()))
    if found is None:
        run.fails(5 if fault.number == 10 else 3, "scan", path)
        return
    out, err = run("scan", path, "--json", code=int(any(RISKS[risk].danger for risk in found)))
    assert err == ""
    assert {finding["risk"] for finding in json.loads(out)["findings"]} == found


def function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def called(name: str) -> dict[str, Any]:
    return layer("tf", "TFOpLambda", function=name)


CONFIGS = {
    "a command as an activation": (dense(activation=function("os", "system")), "import"),
    "Python's own eval": (dense(activation=function("builtins", "eval")), "import"),
    "a download": (dense(activation=function("keras.utils", "get_file")), "import"),
    "the switch of safe mode": (
        {**layer("x", "enable_unsafe_deserialization"), "module": "keras.config"},
        "import",
    ),
    "a tool in the place of a loss": (
        {**MODEL, "compile_config": {"loss": {"class_name": "Popen", "module": "subprocess", "config": {}}}},
        "import",
    ),
    "another package's layer": ({**dense(), "module": "mine.layers", "registered_name": "mine>Dense"}, "class"),
    "a layer that nobody knows": (layer("mine", "Mine"), "class"),
    "a Lambda of a function by name": (layer("f", "Lambda", function="f", function_type="function"), "class"),
    "a function that writes files": (called("io.write_file"), "function"),
    "a library": (called("load_op_library"), "function"),
    "a node that reads files": (layer("n", "TensorFlowOpLayer", node_def={"op": "ReadFile"}), "function"),
    "a path to a vocabulary": (layer("v", "StringLookup", vocabulary="words.txt"), "path"),
    "an address": (layer("v", "Mine", anything="https://example.org/x"), "path"),
    "a path for Windows": (dense(x="C:\\secret"), "path"),
    "a name that climbs": (dense("../../x"), "escape"),
    "a name of nothing": (dense("a\u200bb"), "name"),
}


@pytest.mark.parametrize("what", CONFIGS)
@pytest.mark.parametrize("make", [archive, legacy], ids=["keras", "h5"])
def test_config(what: str, make: Any, run: Run) -> None:
    """Found inside of a nested model, too, whose layer is named."""
    inner, risk = CONFIGS[what]
    for config in (sequential(inner), sequential({**sequential(inner), "name": "nested"})):
        (path,) = make(config=config)(run.folder)
        findings = kerasgen.scan(path).findings
        assert risk in {finding.risk for finding in findings}
        name = inner.get("name")
        assert name is None or all(f"layer {name!a}" in finding.where for finding in findings)


def test_training_config(run: Run) -> None:
    """Keras compiles what it loads: what it makes a loss or an optimizer of is a danger like a layer."""
    text = json.dumps({"loss": function("os", "system"), "optimizer_config": {"class_name": "Adam", "config": {}}})
    (path,) = legacy(spoil=lambda root: root.file.attrs.__setitem__("training_config", text))(run.folder)
    (finding,) = kerasgen.scan(path).findings
    assert (finding.risk, finding.where) == ("import", "training_config")


def test_the_other_of_two_keys(run: Run) -> None:
    """A key that is there twice: whichever a program takes was looked at."""
    bad = json.dumps(sequential(configs.LAMBDA))
    for first, second in ((json.dumps(MODEL), bad), (bad, json.dumps(MODEL))):
        (path,) = written("arch.json", f'{{"a": {first}, "a": {second}}}')(run.folder)
        assert {finding.risk for finding in kerasgen.scan(path).findings} == {"ambiguous", "code"}


@pytest.mark.parametrize(
    ("name", "data", "risk", "code"),
    [
        ("model.weights.npz", b"PK", "pickle", 1),
        ("assets/x", b"\x80\x04.", "pickle", 1),
        ("data.pkl", b"(.", "pickle", 1),
        ("setup.py", b"import os", "stranger", 0),
        ("assets/words.txt", b"a\nb\n", None, 0),
    ],
)
def test_members(name: str, data: bytes, risk: str | None, code: int, run: Run) -> None:
    """In an archive, and in the folder that it unpacks to."""
    (path,) = archive((name, data))(run.folder)
    with zipfile.ZipFile(path) as zipped:
        zipped.extractall("folder")
    for model in (path, "folder"):
        found = json.loads(run("scan", model, "--json", code=code)[0])
        assert [(each["risk"], each["where"]) for each in found["findings"]] == ([(risk, name)] if risk else [])


def test_weights_elsewhere(run: Run) -> None:
    shards = {"metadata": {}, "weight_map": {"/layers/dense/vars": "../model_00000.weights.h5"}}
    (path,) = written("model.weights.json", json.dumps(shards))(run.folder)
    assert [finding.risk for finding in kerasgen.scan(path).findings] == ["path"]


def test_saved_model(run: Run) -> None:
    (run.folder / "saved").mkdir()
    (run.folder / "saved" / "saved_model.pb").touch()
    assert [finding.risk for finding in kerasgen.scan("saved").findings] == ["program"]


def test_what_keras_writes(run: Run) -> None:
    """The files of Lambda and custom layers that Keras itself saved."""
    for name, risks in (("lambda", ["code"]), ("custom", ["class"]), ("both", ["code", "class"])):
        scan = kerasgen.scan(run.files / f"{name}.keras")
        assert [finding.risk for finding in scan.findings] == risks
        assert scan.dangerous
    model = tf_keras.Sequential([tf_keras.layers.Lambda(lambda x: x, input_shape=(3,), name="twice")])
    (finding,) = kerasgen.scan(save(model, run.folder / "lambda.h5")).findings
    assert (finding.risk, finding.where) == ("code", "model_config: layer 'twice'")


def test_table(run: Run) -> None:
    out, err = run("scan", run.files / "both.keras", code=1)
    assert err == ""
    rows = [line.split()[:4] for line in out.splitlines()]
    assert ["code", "config.json:", "layer", "'twice'"] in rows
    assert ["class", "config.json:", "layer", "'odd'"] in rows
    assert f"code: {RISKS['code'].effect}; {flags(RISKS['code'].advice)}" in " ".join(out.split())
    assert out.rstrip().endswith("both.keras: dangerous")
    out, err = run("scan", run.files / "small.h5")
    assert (out, err) == (f"{run.files / 'small.h5'}: no known dangers found\n", "")


LAMBDA = "Python bytecode, the function of a Lambda, which cannot be read: it has a branch"


def test_json(run: Run) -> None:
    out, _ = run("scan", run.files / "lambda.keras", "--json", code=1)
    risk = RISKS["code"]
    finding = {"risk": "code", "where": "config.json: layer 'twice'", "what": LAMBDA}
    expected = {**finding, "danger": True, "effect": risk.effect, "advice": flags(risk.advice)}
    assert json.loads(out) == {
        "source": str(run.files / "lambda.keras"),
        "dangerous": True,
        "findings": [expected],
    }


def test_nothing_is_imported(run: Run) -> None:
    """What the config names lies in the current folder and on the path; neither Keras nor TensorFlow is imported."""
    (run.folder / "evil.py").write_text("open('done', 'w')")
    config = sequential({**dense(), "module": "evil", "registered_name": "evil>Dense"}, dense("b"))
    config["config"]["layers"][1]["config"]["activation"] = function("evil", "run")
    (path,) = archive(config=config)(run.folder)
    block = """
import atexit, sys
sys.path.insert(0, "")
names = {"evil", "tensorflow", "keras", "tf_keras"}
atexit.register(lambda: print(*names & set(sys.modules), file=sys.stderr))"""
    done = subprocess.run(script(block, "scan", path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "")
    assert not (run.folder / "done").exists()


OLD = [ROOT / "examples" / "digits" / "digits.h5", *(ROOT / "tests" / "old_keras").glob("*.h5")]
OLD += (ROOT / "tests" / "old_keras").glob("*.keras")


@pytest.mark.parametrize("path", OLD, ids=lambda path: path.name)
def test_files_of_every_keras(path: Path) -> None:
    assert kerasgen.scan(path).findings == ()


@pytest.mark.parametrize("k", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize("form", ["keras", "h5"])
def test_trained_models(k: Any, form: str, tmp_path: Path) -> None:
    """With an optimizer, losses, metrics, regularizers and initializers, as objects and as functions."""
    model = small(k)
    model.add(
        k.layers.Dense(3, k.activations.gelu, kernel_regularizer=k.regularizers.L2(0.1), bias_constraint="max_norm")
    )
    model.add(k.layers.Dense(3, kernel_initializer=k.initializers.HeNormal(), kernel_regularizer="l1"))
    rate = k.optimizers.schedules.ExponentialDecay(0.1, 10, 0.1)
    model.compile(k.optimizers.Adam(rate), k.losses.CategoricalCrossentropy(), ["accuracy", k.metrics.AUC(name="auc")])
    assert kerasgen.scan(save(model, tmp_path / f"model.{form}")).findings == ()
