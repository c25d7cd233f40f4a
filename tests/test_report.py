"""The report of a model: its data against what is known of the model, its page, its file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import tracemalloc
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import MACS, Run, counted
from keras import layers as L
from support import ROOT, randomize, run_python, save

import kerasgen
from kerasgen.reporting import data as reporting
from kerasgen.reporting.data import collect
from kerasgen.reporting.histograms import described
from kerasgen.reporting.pictures import averaged, picture, spread
from kerasgen.reporting.plain import plain
from kerasgen.reporting.render import render

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
SIZE = 64  # a global that the function of a Lambda reads
EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>"


def by_id(data: Any) -> dict[str, Any]:
    return {layer["id"]: layer for layer in data["layers"]}


def code(data: Any, layer: str) -> str:
    """The lines that compute a layer, as one text."""
    lines = data["source"].split("\n")
    return " ".join(lines[number - 1].strip() for number in by_id(data)[layer]["lines"])


def pixels(activation: Any) -> np.ndarray:
    return np.frombuffer(base64.b64decode(activation["pixels"]), np.uint8)


@pytest.fixture(scope="module")
def digits() -> dict[str, Any]:
    """The data on the example, compared with Keras."""
    return collect(DIGITS, verify=True)


def block() -> Any:
    x = inner = keras.Input((8, 8, 4), name="inner")
    x = L.Conv2D(4, 3, padding="same", name="conv")(x)
    x = L.BatchNormalization(name="norm")(x)
    return keras.Model(inner, L.Add(name="sum")([x, inner]), name="block")


def nested() -> Any:
    """A model called twice inside of another, one of layers in a row, a model in TimeDistributed, two outputs."""
    shared = block()
    x = image = keras.Input((8, 8, 4), name="image")
    x = shared(shared(x))
    row = keras.Sequential([keras.Input((8, 4)), L.Dense(3, name="inside"), L.Flatten(name="flat")], name="row")
    y = L.TimeDistributed(row, name="steps")(x)
    head = keras.Sequential([keras.Input((8, 8, 4)), L.GlobalAveragePooling2D(name="pool")], name="head")
    return keras.Model(image, {"pooled": head(x), "steps": L.LSTM(2, name="memory")(y)}, name="nested")


@pytest.fixture(scope="module")
def nested_model() -> Any:
    return randomize(nested())


@pytest.fixture(scope="module")
def nested_data(nested_model: Any) -> dict[str, Any]:
    return collect(nested_model, verify=False)


def unsupported(path: Path, *layers: Any) -> Path:
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, name="fine"), *layers, L.Dense(2, name="last")], name="odd")
    return save(randomize(model), path)


@keras.saving.register_keras_serializable("test_report")
class Gain(L.Layer):
    """A layer without a rule, with a weight."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.gain


# ---------------------------------------------------------------- what is in the model


def test_parameters_shapes_and_macs() -> None:
    model = randomize(counted())
    data = collect(model, verify=False)
    layers = by_id(data)
    assert {name: layers[name]["macs"] for name in MACS} == MACS
    for layer in model.layers:
        assert layers[layer.name]["parameters"] == layer.count_params()
        assert layers[layer.name]["shapes"] == [list(layer.output.shape)]
        assert [weight["shape"] for weight in layers[layer.name]["weights"]] == [list(w.shape) for w in layer.weights]
    assert data["model"]["parameters"] == model.count_params()
    assert data["model"]["macs"] == sum(MACS.values())
    assert data["model"]["weight_bytes"] == 4 * model.count_params()
    assert data["model"]["inputs"] == [{"name": "image", "shape": [None, 8, 8, 3], "dtype": "float32"}]
    assert layers["conv"]["output_bytes"] == 4 * 4 * 4 * 4
    assert layers["conv"]["config"]["strides"] == [2, 2]


def test_structure_of_nested_models(nested_model: Any, nested_data: dict[str, Any]) -> None:
    edges = {tuple(edge) for edge in nested_data["edges"]}
    assert edges == {
        ("image", "block/conv"),
        ("block/conv", "block/norm"),
        ("block/norm", "block/sum"),
        ("image", "block/sum"),
        ("block/sum", "block/conv#2"),
        ("block/conv#2", "block/norm#2"),
        ("block/norm#2", "block/sum#2"),
        ("block/sum", "block/sum#2"),
        ("block/sum#2", "head/pool"),
        ("block/sum#2", "steps"),
        ("steps", "memory"),
    }
    groups = [(group["id"], group["name"], group["kind"], group["group"]) for group in nested_data["groups"]]
    assert sorted(groups) == [
        ("block", "block", "Functional", ""),
        ("block#2", "block", "Functional", ""),
        ("head", "head", "Sequential", ""),
    ]
    layers = by_id(nested_data)
    assert {name: layer["group"] for name, layer in layers.items() if layer["group"]} == {
        **dict.fromkeys(("block/conv", "block/norm", "block/sum"), "block"),
        **dict.fromkeys(("block/conv#2", "block/norm#2", "block/sum#2"), "block#2"),
        "head/pool": "head",
    }
    assert layers["image"]["kind"] == "InputLayer"
    assert layers["steps"]["parameters"] == 4 * 3 + 3  # of the layer inside of the model that it wraps
    assert layers["steps"]["macs"] == 8 * 8 * 4 * 3
    assert layers["block/conv#2"]["weights"] == []
    assert layers["block/conv#2"]["macs"] == layers["block/conv"]["macs"] > 0
    assert sum(layer["parameters"] for layer in layers.values()) == nested_model.count_params()


def test_lines_point_to_what_computes_a_layer(digits: dict[str, Any], nested_data: dict[str, Any]) -> None:
    first = code(digits, "strokes")
    assert 'conv2d(x, W["strokes/kernel"]' in first
    for fused in ("unit_range", "strokes_norm", "strokes_relu"):  # folded into it, or applied where the array is made
        assert code(digits, fused) == first
    assert "max_pool(" in code(digits, "halve")
    assert "flatten(" in code(digits, "drop")
    assert code(digits, "image").startswith("x = as_input(image")
    assert "activation=softmax)" in code(digits, "digit")
    assert code(nested_data, "block/conv") != code(nested_data, "block/conv#2")
    assert code(nested_data, "block/norm") == code(nested_data, "block/conv")
    assert code(nested_data, "block/norm#2") == code(nested_data, "block/conv#2")
    assert "lstm(" in code(nested_data, "memory")
    assert all(layer["lines"] for data in (digits, nested_data) for layer in data["layers"])


def test_a_norm_whose_value_no_later_pass_keeps_is_where_it_was_folded() -> None:
    """Borders take the values of all these layers out of the graph's list."""
    x = image = keras.Input((32, 32, 8))
    for number in range(3):
        x = L.Conv2D(16, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        x = L.ReLU(name=f"relu{number}")(L.BatchNormalization(name=f"norm{number}")(x))
    data = collect(randomize(keras.Model(image, x)), verify=False)
    for number in range(3):
        assert f'W["conv{number}/kernel"]' in code(data, f"conv{number}")
        assert code(data, f"norm{number}") == code(data, f"conv{number}") == code(data, f"relu{number}")


def test_the_source_is_the_module(digits: dict[str, Any], tmp_path: Path) -> None:
    kerasgen.export(DIGITS, tmp_path / "module.py", verify=False)
    module = (tmp_path / "module.py").read_text()
    predict = module[module.index("def predict") : module.index("if __name__")]
    assert predict[: predict.index("\n\n\n")] in digits["source"]
    html = digits["source_html"]
    assert len(html) == digits["source"].count("\n") + 1

    class Text(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.text = ""

        def handle_data(self, data: str) -> None:
            self.text += data

    parser = Text()
    parser.feed("\n".join(html))
    assert parser.text.rstrip("\n") == digits["source"].rstrip("\n")
    assert "<span class=" in html[0] or "<span class=" in html[1]


# ---------------------------------------------------------------- weights


def test_histograms_count_every_weight(digits: dict[str, Any]) -> None:
    model = keras.models.load_model(DIGITS, compile=False)
    rows = [weight for layer in digits["layers"] for weight in layer["weights"]]
    assert len(rows) == len(model.weights)
    for row in rows:
        assert sum(row["counts"]) == math.prod(row["shape"])
    kernel = np.asarray(model.get_layer("digit").kernel)
    row = by_id(digits)["digit"]["weights"][0]
    assert (row["name"], row["dtype"]) == ("kernel", "float32")
    counts, _ = np.histogram(kernel, 32)
    assert np.abs(counts - row["counts"]).sum() <= 4  # a number on the border of two bins
    found = [row["min"], row["max"], row["mean"], row["std"]]
    np.testing.assert_allclose(found, [kernel.min(), kernel.max(), kernel.mean(), kernel.std()], rtol=1e-5)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.float32([1, math.nan, math.inf, 0]), {"min": 0.0, "max": 1.0, "zeros": 0.5, "not_finite": 2}),
        (np.full(5, 3, np.int64), {"min": 3.0, "max": 3.0, "std": 0.0, "not_finite": 0}),
        (np.full(2, math.nan), {"min": None, "counts": [], "not_finite": 2}),
        (np.zeros((0, 3)), {"min": None, "counts": []}),
        (np.array([False, True]), {"mean": 0.5, "zeros": 0.5}),
        (np.float64([-1e308, 1e308]), {"min": -1e308, "max": 1e308}),
    ],
)
def test_odd_weights_are_described(array: np.ndarray, expected: dict[str, Any]) -> None:
    found = described(array)
    assert {key: found[key] for key in expected} == expected
    json.dumps(found, allow_nan=False)
    if found["counts"]:
        assert sum(found["counts"]) == np.isfinite(array).sum()


# ---------------------------------------------------------------- time, memory, pictures


def test_time_and_memory_are_those_of_the_lines(digits: dict[str, Any]) -> None:
    layers = by_id(digits)
    times = [layer["time"] for layer in digits["layers"]]
    assert sum(times) == pytest.approx(digits["profile"]["seconds"])
    assert layers["strokes"]["time"] > 0 == layers["strokes_norm"]["time"]
    assert digits["profile"]["runs"] >= 3
    assert all(layer["memory"] >= layer["output_bytes"] for layer in digits["layers"])


def test_memory_sees_a_large_array() -> None:
    """A table is added to each sample: 4 MB."""
    x = image = keras.Input((10,))
    model = keras.Model(image, L.GlobalMaxPooling1D(name="least")(L.RepeatVector(100_000, name="large")(x)))
    tracemalloc.start()  # by somebody else, who goes on
    try:
        layers = by_id(collect(model, verify=False))
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()
    assert 4_000_000 <= layers["large"]["memory"] < 10_000_000


def test_pictures_are_of_what_the_layers_make(tmp_path: Path) -> None:
    image = np.zeros((2, 48, 24, 1), np.float32)
    image[0, :24] = 2.0
    np.save(tmp_path / "image.npy", image)
    model = keras.Sequential(
        [
            keras.Input((48, 24, 1), name="image"),
            L.MaxPooling2D(2, name="half"),
            L.Reshape((24, 12), name="signal"),
            L.Flatten(name="flat"),
        ]
    )
    data = collect(model, inputs=tmp_path / "image.npy", verify=False)
    layers = by_id(data)
    assert data["given"] == "a file"
    shown = layers["image"]["activation"]
    assert (shown["kind"], shown["height"], shown["width"], shown["channels"]) == ("maps", 24, 12, 1)
    assert (shown["shown"], shown["min"], shown["max"]) == ([0], 0.0, 2.0)
    assert (pixels(shown).reshape(24, 12) == np.repeat([255, 0], 12)[:, None]).all()
    signal = layers["signal"]["activation"]
    assert (signal["kind"], signal["steps"], signal["channels"], len(signal["shown"])) == ("lines", 24, 12, 12)
    assert (pixels(signal).reshape(12, 24) == np.repeat([255, 0], 12)).all()
    flat = layers["flat"]["activation"]
    assert (flat["kind"], flat["size"], len(flat["values"])) == ("values", 288, 64)
    assert flat["values"] == [2.0] * 32 + [0.0] * 32


def test_pictures_stay_small() -> None:
    large = np.random.RandomState(0).standard_normal((100, 50, 99)).astype(np.float32)
    shown = picture(large)
    assert shown is not None
    assert (shown["height"], shown["width"], len(shown["shown"])) == (24, 12, 12)
    assert len(pixels(shown)) == 24 * 12 * 12
    first = picture(np.moveaxis(large, -1, 0), channels_first=True)
    assert first == shown
    assert picture(np.array(["text"])) is None
    odd = picture(np.float32([math.nan, math.inf, 1]))
    json.dumps(odd, allow_nan=False)


def test_averages_are_of_all_cells() -> None:
    cells = np.arange(20.0).reshape(10, 2)
    small = averaged(cells, 3, 0)
    np.testing.assert_allclose(small[:, 0], [cells[:3, 0].mean(), cells[3:6, 0].mean(), cells[6:, 0].mean()])
    assert spread(5, 12) == [0, 1, 2, 3, 4]
    assert spread(100, 4) == [0, 25, 50, 75]


# ---------------------------------------------------------------- beside Keras


def test_errors_are_small_where_all_is_right(digits: dict[str, Any]) -> None:
    verification = digits["verification"]
    assert verification["compared"]
    assert verification["ok"]
    assert [report["name"] for report in verification["outputs"]] == ["digit"]
    errors = {layer["id"]: layer["error"] for layer in digits["layers"] if layer["kind"] != "InputLayer"}
    assert None not in errors.values()
    assert all(error["ok"] and error["relative"] <= error["tolerance"] < 1e-4 for error in errors.values())


def tamper(monkeypatch: pytest.MonkeyPatch, change: Callable[[Any], None]) -> None:
    """Change every module that a report loads."""
    load = reporting.load_module

    def load_changed(source: Any) -> Any:
        module = load(source)
        change(module)
        return module

    monkeypatch.setattr(reporting, "load_module", load_changed)


def test_a_wrong_weight_shows_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(module: Any) -> None:
        module.W["corners/bias"] = module.W["corners/bias"] + np.float32(0.5)

    tamper(monkeypatch, change)
    data = collect(DIGITS, verify=True)
    right = {layer["id"] for layer in data["layers"] if layer["error"] and layer["error"]["ok"]}
    assert {"unit_range", "strokes", "strokes_norm", "strokes_relu"} <= right
    assert right.isdisjoint({"corners_relu", "halve", "shapes_relu", "flat", "digit"})
    assert not data["verification"]["ok"]
    assert "corners/bias" in data["verification"]["summary"]


def steep(x):  # type: ignore[no-untyped-def] # it is copied into the module
    """Nearly ReLU."""
    return np.maximum(x, 0) * np.float32(1.001)


def test_a_wrong_function_shows_at_its_layer() -> None:
    data = collect(DIGITS, verify=True, custom={"shapes_relu": steep})
    wrong = [layer["id"] for layer in data["layers"] if layer["error"] and not layer["error"]["ok"]]
    assert wrong[0] == "shapes_relu"
    assert "the rule for ReLU" in data["verification"]["summary"]


def test_a_module_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(module: Any) -> None:
        del module.W["corners/bias"]

    tamper(monkeypatch, change)
    data = collect(DIGITS, verify=False)
    assert data["profile"] is None
    assert "KeyError" in data["warning"]
    assert by_id(data)["corners"]["lines"]
    assert by_id(data)["corners"]["time"] is None


def test_no_comparison_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kerasgen.verification.selftest.available", lambda: False)
    data = collect(DIGITS)
    assert data["verification"] == {
        "compared": False,
        "reason": "TensorFlow is not installed",
        "ok": False,
        "outputs": [],
        "summary": "",
    }
    assert all(layer["error"] is None for layer in data["layers"])
    assert all(layer["activation"] for layer in data["layers"])


def test_tensorflow_stays_out_unless_it_is_asked_for(tmp_path: Path) -> None:
    program = (
        "import sys, kerasgen; kerasgen.report(sys.argv[1], 'page.html', verify=False); "
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras', 'tf_keras')))"
    )
    done = run_python("-c", program, DIGITS, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "page.html").exists()


# ---------------------------------------------------------------- unsupported and hostile models


def test_an_unsupported_model_has_a_report(tmp_path: Path) -> None:
    path = unsupported(tmp_path / "odd.keras", L.Lambda(lambda x: x * 2 if x is not None else x, name="twice"))
    data = collect(path, verify=True)
    assert not data["supported"]
    (problem,) = data["problems"]
    assert (problem["layer"], problem["kind"]) == ("twice", "Lambda")
    assert "`custom={'twice': function}`" in problem["advice"]
    layers = by_id(data)
    assert layers["twice"]["problem"] == problem["problem"]
    assert sum(layers["fine"]["weights"][0]["counts"]) == 16
    image, *_ = layers
    assert data["edges"] == [[image, "fine"], ["fine", "twice"], ["twice", "last"]]
    for nothing in ("source", "source_html", "profile"):
        assert data[nothing] is None
    assert data["scan"]["dangerous"]
    assert all(layer["activation"] is None and layer["lines"] == [] for layer in data["layers"])
    assert not data["verification"]["compared"]
    assert "unsupported" in render(data)


def test_a_lambda_that_was_read(tmp_path: Path) -> None:
    """Its expression is shown, and a comparison does not hide that the reading was not compared."""
    scaled = L.Lambda(lambda x: x / SIZE, output_shape=(4,), name="scaled")
    path = save(keras.Sequential([keras.Input((4,)), scaled, L.Dense(2, name="last")]), tmp_path / "scaled.keras")
    assert not collect(path, verify=False)["supported"]
    data = collect(path, verify=True, defines={"SIZE": 64})
    assert by_id(data)["scaled"]["note"] == "x / SIZE"
    assert data["verification"]["ok"]
    assert "not compared: the reading of scaled" in data["warning"]
    assert "not compared" not in collect(path, verify=False, defines={"SIZE": 64})["warning"]


def test_a_part_of_a_model(tmp_path: Path) -> None:
    path = unsupported(tmp_path / "gain.keras", Gain(name="gain"))
    data = collect(path, verify=True, outputs=["fine"])
    assert data["supported"]
    assert data["verification"]["ok"]
    assert "fine" in by_id(data)
    assert not {"gain", "last"} & by_id(data).keys()
    assert data["model"]["parameters"] == 20


def test_weights_of_a_layer_that_could_not_be_built(tmp_path: Path) -> None:
    data = collect(unsupported(tmp_path / "gain.keras", Gain(name="gain")))
    layer = by_id(data)["gain"]
    assert layer["parameters"] == 4
    assert [weight["shape"] for weight in layer["weights"]] == [[4]]
    assert data["model"]["parameters"] == 20 + 4 + 10


class Page(HTMLParser):
    """The elements of a page that matter: its policy, styles, scripts, and whatever else has been opened."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: dict[str, list[str]] = {"style": [], "script": [], "data": [], "title": []}
        self.policy = ""
        self.inside = ""
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        settings = dict(attrs)
        assert not any(name.startswith("on") or name == "src" for name in settings), (tag, attrs)
        assert (settings.get("href") or "#").startswith("#")
        if settings.get("http-equiv") == "Content-Security-Policy":
            self.policy = settings["content"] or ""
        self.inside = "data" if settings.get("type") == "application/json" else tag
        self.texts.setdefault(self.inside, []).append("")

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


def test_the_page_holds_its_data_and_allows_only_its_own_code(digits: dict[str, Any]) -> None:
    page = Page(render(digits))
    (text,) = page.texts["data"]
    assert json.loads(text) == digits
    assert page.policy.startswith("default-src 'none';")
    assert "unsafe" not in page.policy
    for code_of in (*page.texts["style"], *page.texts["script"]):
        digest = base64.b64encode(hashlib.sha256(code_of.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.policy


def test_hostile_names_stay_data(digits: dict[str, Any]) -> None:
    plain_page = Page(render({**digits, "layers": [], "source": "", "source_html": []}))
    layer = {**digits["layers"][0], "id": EVIL, "name": EVIL, "config": {EVIL: f"{EVIL}\u2028<!--"}}
    hostile = {**digits, "model": {**digits["model"], "name": EVIL}, "layers": [layer], "source": "", "source_html": []}
    page = render(hostile)
    assert "\u2028" not in page
    assert "<img" not in page
    parsed = Page(page)
    assert parsed.tags == plain_page.tags
    assert EVIL in parsed.texts["title"][0]
    assert json.loads(parsed.texts["data"][0]) == hostile


def test_hostile_names_of_a_file_are_printable(tmp_path: Path) -> None:
    x = image = keras.Input((3,), name="a\nb")
    x = L.Dense(3, name="a\\nb")(x)
    x = L.Dense(3, name="\u202egnp.exe<b>")(x)
    data = collect(randomize(keras.Model(image, x, name="{{ 7 * 7 }}")), verify=False)
    ids = [layer["id"] for layer in data["layers"]]
    assert ids == ["a\\nb", "a\\nb#2", "\\u202egnp.exe<b>"]  # unique, though the first two look alike
    assert data["edges"] == [[ids[0], ids[1]], [ids[1], ids[2]]]
    assert [layer["lines"] != [] for layer in data["layers"]] == [True] * 3
    assert Page(render(data)).texts["title"][0].startswith("{{ 7 * 7 }}")


def test_whatever_a_config_holds_is_plain() -> None:
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    shown = plain(
        {"deep": deep, "long": list(range(1000)), "text": "x" * 5000, "nan": math.nan, 7: np.float32(1), "b": b"\0"}
    )
    assert len(json.dumps(shown, allow_nan=False)) < 2000
    assert shown["long"][-1] == "… 976 more"
    assert shown["nan"] == "nan"


# ---------------------------------------------------------------- the file


def test_report_writes_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    steps: list[str] = []
    result = kerasgen.report(DIGITS, verify=False, on_step=steps.append)
    assert result.path == Path("digits.html")
    assert [path.name for path in tmp_path.iterdir()] == ["digits.html"]
    assert result.size == result.path.stat().st_size < 2_000_000
    assert json.loads(Page(result.path.read_text(encoding="utf-8")).texts["data"][0]) == result.data
    assert steps == ["read", "emit", "run", "report"]
    assert result.ok
    shown = result._repr_html_()
    assert '<iframe sandbox="allow-scripts" srcdoc="&lt;!' in shown
    assert "20,890 parameters" in shown


def test_a_file_that_exists_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    target.write_text("mine")
    with pytest.raises(kerasgen.FileError, match=r"exists; use `force=True`"):
        kerasgen.report(DIGITS, target, verify=False)
    with pytest.raises(kerasgen.FileError, match="is the model itself"):
        kerasgen.report(DIGITS, DIGITS, verify=False, force=True)

    def fail(data: Any) -> str:
        raise RuntimeError

    monkeypatch.setattr("kerasgen.reporting.render", fail)
    with pytest.raises(RuntimeError):
        kerasgen.report(DIGITS, target, verify=False, force=True)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert target.read_text() == "mine"


def test_the_command(run: Run, tmp_path: Path) -> None:
    out, err = run("report", DIGITS, "-o", "page.html", "--no-verify")
    assert out == "page.html\n"
    assert "not verified: skipped on request" in err
    assert "exists; use --force" in run.fails(5, "report", DIGITS, "-o", "page.html", "--no-verify")
    assert "No such file" in run.fails(5, "report", "missing.h5")
    run("report", DIGITS, "-o", "page.html", "--no-verify", "--force")
    out, err = run("report", unsupported(tmp_path / "odd.keras", Gain()), "-q")
    assert (out, err) == ("odd.html\n", "")
    (data,) = Page(Path("odd.html").read_text(encoding="utf-8")).texts["data"]
    assert "--custom Gain=module:function" in json.loads(data)["problems"][0]["advice"]


def test_the_command_tells_that_a_module_differs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(module: Any) -> None:
        module.W["digit/bias"] = module.W["digit/bias"] + np.float32([1] + [0] * 9)

    tamper(monkeypatch, change)
    out, err = run("report", DIGITS, "--verify", code=1)
    assert out == "digits.html\n"
    assert "differs from Keras" in err


def test_a_model_of_middle_size_makes_a_small_page() -> None:
    model = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10)
    data = collect(model, verify=False)
    assert len(data["layers"]) > 150
    assert len(render(data)) < 3_000_000
    assert sum(layer["parameters"] for layer in data["layers"]) == model.count_params()
    assert all(layer["lines"] for layer in data["layers"])
