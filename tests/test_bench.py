"""The benchmark: what it computes from times, and that every installed engine takes part. No time is asserted."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from support import randomize

import kerasgen
from kerasgen import cli
from kerasgen.bench import compare, convert, engines, join, lines, machine, report, rounds
from kerasgen.bench.report import Comparison, Report, Timing
from kerasgen.builder import build
from kerasgen.readers import read

PRODUCTS = machine.products


@pytest.fixture(autouse=True)
def no_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rate of products takes a second, and is measured by one test."""
    monkeypatch.setattr(machine, "products", lambda: "1 GF/s with 1 thread")


def timing(engine: str, *times: float) -> Timing:
    return Timing.of(engine, times, first=2.0, memory=50_000_000, error=1e-7)


NETS = (
    Comparison("A", 1, (timing("kerasgen", 0.02, 0.03, 0.01), timing("tf.function", 0.04), timing("LiteRT", 0.01))),
    Comparison(
        "B",
        1,
        (
            timing("kerasgen", 0.06, 0.02),
            timing("tf.function", 0.02),
            timing("ONNX Runtime", 0.01),
            Timing("LiteRT", problem="fails: no"),
        ),
    ),
    Comparison("C", 1, (timing("kerasgen", 0.01), timing("ONNX Runtime", 0.02), timing("LiteRT", 0.04))),
)
REPORT = Report(
    2,
    3,
    {"processor": "Some processor", "system": "any", "python": "3"},
    NETS,
    {"all": ("A", "B", "C"), "only A": ("A",), "none": ("Z",)},
)


def test_median_and_minimum() -> None:
    assert [(c["kerasgen"].median, c["kerasgen"].minimum) for c in NETS[:2]] == [(0.02, 0.01), (0.04, 0.02)]


def test_a_ratio_is_our_time_over_the_fastest_of_them() -> None:
    assert NETS[0].ratio("tf.function") == 0.5
    assert NETS[0].ratio("LiteRT") == 2.0
    assert NETS[2].ratio("ONNX Runtime", "LiteRT") == 0.5  # 0.01 over 0.02
    assert NETS[1].ratio("ONNX Runtime", "LiteRT") == 4.0  # one that failed does not count
    assert math.isnan(NETS[1].ratio("LiteRT"))
    assert math.isnan(NETS[2].ratio("tf.function"))


def test_geometric_mean() -> None:
    assert report.geometric_mean([2.0, 8.0]) == pytest.approx(4.0)
    assert report.geometric_mean([0.5, math.nan, 2.0, 1.0]) == pytest.approx(1.0)
    assert math.isnan(report.geometric_mean([]))


def test_means_of_groups() -> None:
    means = {(m["group"], m["engine"], m["against"]): (m["models"], m["ratio"]) for m in REPORT.means()}
    fastest = "faster of ONNX Runtime and LiteRT"
    assert means == {
        ("all", "kerasgen", "tf.function"): (2, pytest.approx(1.0)),  # 0.5 and 2
        ("all", "kerasgen", fastest): (3, pytest.approx((2.0 * 4.0 * 0.5) ** (1 / 3))),
        ("only A", "kerasgen", "tf.function"): (1, pytest.approx(0.5)),
        ("only A", "kerasgen", fastest): (1, pytest.approx(2.0)),
    }


def test_means_of_processes() -> None:
    net = Comparison("A", 1, (timing("kerasgen", 0.03), timing("kerasgen, processes", 0.02), timing("LiteRT", 0.01)))
    both = Report(2, 3, {}, (net,), {"all": ("A",)}).means()
    assert [(m["engine"], m["ratio"]) for m in both] == [
        ("kerasgen", pytest.approx(3.0)),
        ("kerasgen, processes", pytest.approx(2.0)),
    ]


def test_the_table() -> None:
    table = report.rows(REPORT)
    assert table[0] == ("A", "1", "kerasgen", "20.0 ms", "10.0 ms", "50.0", "", "2.00 s", "50 MB")
    assert table[1][6] == "0.5 x"
    assert table[6][:4] == ("B", "1", "LiteRT", "fails: no")
    assert report.sentences(REPORT)[-1] == (
        "only A, batch 1: kerasgen takes 2.00 times the time of faster of ONNX Runtime and LiteRT "
        "(geometric mean over 1)"
    )


def test_markdown(tmp_path: Path) -> None:
    lines = report.markdown(REPORT).splitlines()
    assert lines[0] == "2 threads of Some processor; python 3. In brackets: our time over theirs."
    assert lines[2:6] == [
        "| median time | kerasgen | tf.function | LiteRT | ONNX Runtime |",
        "|---|---|---|---|---|",
        "| A, batch 1 | 20.0 ms | 40.0 ms (0.5 x) | 10.0 ms (2 x) |  |",
        "| B, batch 1 | 40.0 ms | 20.0 ms (2 x) | fails | 10.0 ms (4 x) |",
    ]
    assert lines[8].startswith(
        "* all, batch 1: kerasgen takes 1.00 times the time of tf.function (geometric mean over 2)"
    )
    assert lines[-1] == "| C, batch 1 | 2.00 s, 50 MB |  | 2.00 s, 50 MB | 2.00 s, 50 MB |"
    file = tmp_path / "README.md"
    file.write_text("".join(["above\n", *report.MARKS, "\nbelow\n"]))
    for text in ("one\n", "two\n"):
        report.insert(file, text)
        assert file.read_text() == f"above\n{report.MARKS[0]}{text}{report.MARKS[1]}\nbelow\n"


def test_lines_beside_their_products() -> None:
    lines = (report.Line("x = dense(x)", 0.03, 0.01), report.Line("x = relu(x)", 0.01, None))
    assert report.line_rows(replace(NETS[0], lines=lines)) == [
        ("x = dense(x)", "30.0 ms", "75.0%", "10.0 ms", "3 x"),
        ("x = relu(x)", "10.0 ms", "25.0%", "", ""),
        ("all lines", "40.0 ms", "100.0%", "10.0 ms", "4 x"),
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(123.4, "123 s"), (1.0, "1.00 s"), (0.01234, "12.3 ms"), (8.71e-6, "8.71 us"), (5e-7, "0.50 us"), (math.nan, "")],
)
def test_durations(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


@pytest.mark.parametrize(("ratio", "text"), [(0.01234, "0.0123 x"), (2.0, "2 x"), (129.4, "129 x"), (1234.0, "1230 x")])
def test_ratios(ratio: float, text: str) -> None:
    assert report.fold(ratio) == text


def model() -> Any:
    given = keras.Input((6, 6, 1), name="z"), keras.Input((5,), name="a")
    image = L.Flatten()(L.BatchNormalization()(L.Conv2D(2, 3, activation="relu")(given[0])))
    return keras.Model(given, [L.Dense(3)(image), L.Dense(2)(L.Concatenate()([image, given[1]]))])


def test_a_clock_around_each_line(tmp_path: Path) -> None:
    path = tmp_path / "clocked.py"
    path.write_text(
        "def predict(x):\n"
        "    if len(x) > 1:\n"
        "        return [predict(x[:1]), predict(x[1:])]\n"
        "    y = work(x, W['a/b'])\n"
        "    return y + y\n"
        "W = {'a/b': 1}\n"
        "def work(x, w):\n"
        "    return [*x, w]\n"
    )
    measured = lines.measure(path, [[5, 6]], rounds=3)
    assert [text for text, _ in measured] == ["y = work(x, W['a/b'])", "return y + y"]
    assert all(seconds > 0 for _, seconds in measured)
    import clocked

    assert clocked.predict([5, 6]) == [[5, 1, 5, 1], [6, 1, 6, 1]]
    assert lines.WEIGHT.findall(measured[0][0]) == ["a/b"]


def test_sizes_of_matrix_products(tmp_path: Path) -> None:
    layers = [
        L.Conv2D(4, (3, 2), strides=2, padding="same", name="conv"),
        L.DepthwiseConv2D(3, name="depthwise"),
        L.Conv2DTranspose(5, 2, strides=2, name="up"),
        L.Dense(7, name="cells"),
    ]
    keras.Sequential([keras.Input((9, 8, 3)), *layers]).save(tmp_path / "net.keras")
    assert lines.products(build(read(tmp_path / "net.keras")), batch=2) == {
        "conv/kernel": (2 * 5 * 4, 3 * 2 * 3, 4),
        "up/kernel": (2 * 3 * 2, 4, 2 * 2 * 5),  # each cell adds to a window
        "cells/kernel": (2 * 6 * 4, 5, 7),
    }


def test_a_long_product_is_timed_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "CELLS", 1000)
    seen: list[tuple[int, ...]] = []
    monkeypatch.setattr(np, "matmul", lambda a, b, out: seen.append((*a.shape, *b.shape, *out.shape)))
    clock = iter(range(100))
    monkeypatch.setattr(lines.time, "perf_counter", lambda: next(clock))
    assert lines.product_seconds((1000, 10, 20)) == 1000 / 50
    assert set(seen) == {(50, 10, 10, 20, 50, 20)}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "net.keras"
    randomize(model()).save(path)
    return path


@pytest.mark.slow
def test_every_engine(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two inputs and two outputs, so that an engine which mixes them up is seen."""
    arguments = [
        "bench",
        str(file),
        "--batch",
        "4",
        "--rounds",
        "2",
        "--layers",
        "--cache",
        str(tmp_path / "c"),
        "--json",
    ]
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert not ended.value.code
    data = json.loads(capsys.readouterr().out)
    assert (data["threads"], data["rounds"], data["means"]) == (2, 2, [])
    assert data["machine"]["numpy"] == np.__version__
    assert [(result["model"], result["batch"]) for result in data["results"]] == [("net", 4)]
    for result in data["results"]:
        assert [e["engine"] for e in result["engines"]] == ["kerasgen", *(e.name for e in engines.OTHERS)]
        for engine in result["engines"]:
            assert engine["problem"] == ""
            assert 0 < engine["minimum"] <= engine["median"]
            assert engine["first"] > 0
            assert engine["memory"] is None or engine["memory"] > 1_000_000
            assert engine["error"] < 1e-5
            assert engine["ratio"] == pytest.approx(result["engines"][0]["median"] / engine["median"])
        texts = {line["text"]: line["product"] for line in result["lines"]}
        assert len(texts) >= 7
        assert all((product is None) == ("/kernel" not in text) for text, product in texts.items())
    assert sorted(path.suffix for path in (tmp_path / "c").iterdir()) == [".onnx", ".tflite"]


def test_the_reference_implementation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has few rounds, and none at all where a call takes long."""
    from onnx import TensorProto, helper, numpy_helper, save

    net = randomize(keras.Sequential([keras.Input((4,)), L.Dense(3)]))
    net.save(tmp_path / "net.keras")
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"]), helper.make_node("Add", ["y", "b"], ["z"])]
    weights = [numpy_helper.from_array(w, name) for w, name in zip(net.get_weights(), "wb", strict=True)]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, n]) for name, n in (("x", 4), ("z", 3)))
    save(helper.make_model(helper.make_graph(nodes, "net", [x], [z], weights)), tmp_path / "net.onnx")
    monkeypatch.setattr(compare.Task, "_converted", lambda task, ending: tmp_path / f"net.{ending}")
    monkeypatch.setattr(compare, "OTHERS", ())
    monkeypatch.setattr(rounds, "PAUSE", 0.0)
    asked: list[str] = []
    taking_turns = rounds.Worker.round
    monkeypatch.setattr(rounds.Worker, "round", lambda worker: asked.append(worker.answer.stem) or taking_turns(worker))
    (result,) = compare.bench([str(tmp_path / "net.keras")], [1], rounds=5, reference=True).comparisons
    assert (result["ONNX reference"].problem, result["ONNX reference"].error < 1e-5) == ("", True)
    assert (asked.count("kerasgen"), asked.count("ONNX reference")) == (5, 3)
    monkeypatch.setattr(compare, "REFERENCE", replace(engines.REFERENCE, patience=0.0))
    (result,) = compare.bench([str(tmp_path / "net.keras")], [1], rounds=1, reference=True).comparisons
    assert result["ONNX reference"].problem.startswith("skipped: a call takes 0.")
    assert report.medians(result, result["ONNX reference"]) == "skipped"
    assert result["kerasgen"].median > 0


def test_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "products", PRODUCTS)
    monkeypatch.setattr(machine, "cores", lambda: 1)
    facts = machine.machine()
    assert facts["numpy"] == np.__version__
    assert facts["processor"]
    assert facts["cores"] == "1"
    assert re.fullmatch(r"[\d.]+ GF/s with 1 thread", facts["products"])
    assert "kernels" in facts["blas"]
    assert machine.caches(tmp_path) == ""
    for index, (level, kind) in enumerate([("1", "Data"), ("1", "Instruction"), ("2", "Unified")]):
        folder = tmp_path / "cpu0" / "cache" / f"index{index}"
        folder.mkdir(parents=True)
        for name, text in (("level", level), ("type", kind), ("size", f"{index}K")):
            (folder / name).write_text(f"{text}\n")
    assert machine.caches(tmp_path) == "L1d 0K, L2 2K"


def test_the_head_of_the_tables() -> None:
    facts = {**REPORT.machine, "cores": "2", "products": "95 GF/s with 1 thread"}
    lines = report.markdown(replace(REPORT, machine=facts)).splitlines()
    assert lines[0] == "2 threads of Some processor; python 3. In brackets: our time over theirs."
    assert lines[2] == "cores: 2; products: 95 GF/s with 1 thread."


def test_machines_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = Report(4, 3, {"processor": "Other | one", "system": "any", "cores": "4"}, NETS[1:], {"all": ("B", "C")})
    for name, each in (("a.json", REPORT), ("b.json", other)):
        (tmp_path / name).write_text(json.dumps(each.to_dict()))
        assert join.load(tmp_path / name).to_dict() == each.to_dict()
    page = tmp_path / "speed.md"
    page.write_text("".join(["above\n", *report.MARKS, "\nbelow\n"]))
    with pytest.raises(SystemExit) as ended:
        cli.main(["bench", "--join", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--into", str(page)])
    assert not ended.value.code
    lines = page.read_text().splitlines()
    assert lines[2:8] == [
        "|  | A | B |",
        "|---|---|---|",
        "| processor | Some processor | Other \\| one |",
        "| system | any | any |",
        "| cores |  | 4 |",
        "| python | 3 |  |",
    ]
    assert lines[8] == "| threads of each engine | 2 | 4 |"
    head = next(line for line in lines if line.startswith("| median time"))
    assert head.startswith("| median time | kerasgen, A | kerasgen, B | tf.function, A | tf.function, B |")
    assert "| A, batch 1 | 20.0 ms |  | 40.0 ms (0.5 x) |  | 10.0 ms (2 x) |  |  |  |" in lines
    assert "| B, batch 1 | 40.0 ms | 40.0 ms | 20.0 ms (2 x) | 20.0 ms (2 x) | fails | fails |" in "\n".join(lines)
    assert any(
        line.startswith("* B: all, batch 1: kerasgen takes 2.00 times the time of tf.function") for line in lines
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("{}", "is not what `kerasgen bench --json` prints"), ("[", "is not what"), (None, "cannot be read")],
)
def test_what_cannot_be_joined(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(kerasgen.KerasgenError, match=message):
        join.load(tmp_path / "a.json")


def test_each_size_of_batch_is_converted_once(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    converted = []

    def run(program: str, job: Any, threads: Any) -> None:
        converted.append((program, [shape[0] for shape, _ in job["inputs"]]))
        Path(job["target"]).touch()

    monkeypatch.setattr(compare, "run", run)
    bench = compare.Bench((), 1, 1, False, tmp_path, str)
    (onnx,) = (engine for engine in engines.OTHERS if engine.format == "onnx")
    tasks = [compare.Task(bench, file, None, batch, tmp_path) for batch in (1, 4)]
    paths = [task.job(onnx)["path"] for task in [*tasks, *tasks]]
    assert paths[:2] == paths[2:]
    assert len(set(paths)) == 2
    assert converted == [("kerasgen.bench.convert", [1, 1]), ("kerasgen.bench.convert", [4, 4])]


def test_threads() -> None:
    assert engines.OWN.threads(3)["OPENBLAS_NUM_THREADS"] == "3"
    assert engines.OWN.threads(3)["KERASGEN_THREADS"] == "", "the default"
    assert engines.OWN.threads(3)["KERASGEN_PROCESSES"] == "1"
    assert engines.PROCESSES.threads(3)["KERASGEN_PROCESSES"] == "3"


def test_modules_of_other_levels_and_in_processes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "OTHERS", ())
    made = []
    generated = compare.generate
    monkeypatch.setattr(
        compare, "generate", lambda file, options: made.append(options.level) or generated(file, options)
    )
    results = compare.bench([str(file)], [1, 4], rounds=1, levels=[0, 1], processes=True).comparisons
    assert [result.batch for result in results] == [1, 4]
    for result in results:
        assert [t.engine for t in result.timings] == ["kerasgen", "kerasgen, processes", "kerasgen -O0", "kerasgen -O1"]
        assert [t.problem for t in result.timings] == [""] * 4
    assert made == [2, 0, 1] * 2  # in processes it is the same module


@pytest.mark.thorough
def test_what_converters_find_hard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convolutions in groups, GELU, arrays that are no weights, and a matrix that is large."""
    net = keras.Sequential(
        [
            keras.Input((8, 8, 4)),
            L.Normalization(mean=[1.0, 2.0, 3.0, 4.0], variance=[1.0, 2.0, 3.0, 4.0]),
            L.Conv2D(16, 3, groups=2, activation="gelu"),
            L.Flatten(),
            L.Dense(convert.LARGE // 576 + 1, activation=keras.activations.gelu),
            L.Dense(3),
        ]
    )
    randomize(net).save(tmp_path / "net.keras")
    monkeypatch.setattr(compare, "OTHERS", [engine for engine in engines.OTHERS if engine.runner != "function"])
    (result,) = compare.bench([str(tmp_path / "net.keras")], [2], rounds=1).comparisons
    assert [t.problem for t in result.timings] == [""] * 4
    assert 0 < max(t.error for t in result.timings) < 1e-5


def test_a_wrong_engine_is_reported_and_not_timed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "net.keras"
    randomize(model(), seed=1).save(other)
    monkeypatch.setattr(compare, "OTHERS", engines.OTHERS[:1])
    right = compare.Task.job

    def job(task: compare.Task, engine: engines.Engine) -> dict[str, Any]:
        return {**right(task, engine), **({"path": str(other)} if engine.runner == "predict" else {})}

    monkeypatch.setattr(compare.Task, "job", job)
    monkeypatch.setattr(compare, "REFERENCES", ("kerasgen",))
    (result,) = compare.bench([str(file)], [1], rounds=1).comparisons
    assert result["Keras predict"].problem.startswith("answers wrongly: error ")
    assert math.isnan(result["Keras predict"].median)
    assert result["kerasgen"].median > 0


def test_missing_and_failing_engines_are_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(engines.OTHERS[3], packages=("no_such_package", "tensorflow"))
    broken = replace(engines.OTHERS[2], format="unheard_of")
    monkeypatch.setattr(compare, "OTHERS", (absent, broken))
    said: list[str] = []
    (result,) = compare.bench([str(file)], [1], rounds=1, say=said.append).comparisons
    assert said[0] == ("LiteRT is skipped: no_such_package not installed (pip install 'kerasgen-numpy[bench]')")
    assert [t.engine for t in result.timings] == ["kerasgen", "ONNX Runtime"]
    assert result["ONNX Runtime"].problem == "fails: KeyError: 'unheard_of'"


def test_an_engine_that_dies_in_a_round_is_reported(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "OTHERS", engines.OTHERS[:1])
    taking_turns = rounds.Worker.round

    def round(worker: rounds.Worker) -> None:
        if worker.memory and "predict" in worker.answer.name:
            worker.process.kill()
        taking_turns(worker)

    monkeypatch.setattr(rounds.Worker, "round", round)
    (result,) = compare.bench([str(file)], [1], rounds=2).comparisons
    assert result["Keras predict"].problem == "fails: its process was killed by signal 9"
    assert result["kerasgen"].median > 0


def test_models_of_the_suite_need_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "available", lambda: False)
    with pytest.raises(kerasgen.UsageError, match=r"^MnistCNN: models of the suite need TensorFlow"):
        compare.bench(["MnistCNN"], [1])


def test_a_file_that_keras_answers_otherwise(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = read(file)
    monkeypatch.setattr(compare, "read", lambda *_: replace(right, unlike="Theano made it"))
    with pytest.raises(kerasgen.ParityError, match=r"Theano made it$"):
        compare.bench([str(file)], [1])


def test_marks_that_a_file_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Told before anything is measured."""
    (tmp_path / "README.md").write_text("no marks")
    for name, message in (("README.md", "lacks the lines <!-- bench"), ("none.md", "cannot be read: No such file")):
        with pytest.raises(SystemExit) as ended:
            cli.main(["bench", "m.keras", "--into", str(tmp_path / name)])
        assert ended.value.code == kerasgen.FileError.exit_code
        assert f"{name}: {message}" in capsys.readouterr().err


def test_a_process_that_dies_tells_its_last_line() -> None:
    with pytest.raises(rounds.EngineError, match=r"No module named kerasgen\.bench\.nothing$"):
        rounds.run("kerasgen.bench.nothing", {}, {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "kerasgen: bench needs a model"),
        (["bench", "m.keras", "--batch", "1,x"], "kerasgen: --batch takes positive integers"),
        (["bench", "--join", "one.json"], "kerasgen: --join takes the JSON files of at least two machines"),
        (["bench", "m.keras", "--batch", "0"], "kerasgen: --batch takes positive integers"),
    ],
)
def test_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == kerasgen.UsageError.exit_code
    assert capsys.readouterr().err.startswith(message)
