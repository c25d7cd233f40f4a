"""Kernels chosen by measurement: the choice, the file that keeps it, and modules that measure themselves."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from keras import layers as L
from pairs import Pair
from support import randomize, relative_error, run_python

import kerasgen
from kerasgen.backward.options import GradientOptions
from kerasgen.batches.journal import key
from kerasgen.builder import build
from kerasgen.emit.runtime import tuning
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Tuning
from kerasgen.jobs import Job
from kerasgen.kernels import threads
from kerasgen.passes import PIPELINES, optimize
from kerasgen.readers import read
from kerasgen.tuning import Works, works_of
from kerasgen.tuning.file import read_tuning

SIZE = (1, 32, 32, 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each kind of layer that can be computed in several ways, and two equal ones."""
    x = image = keras.Input(SIZE[1:], name="image")
    x = L.Conv2D(32, 3, padding="same", activation="relu", name="stem")(x)
    x = stem = L.Conv2D(32, 1, activation="relu6", name="cells")(x)
    x = L.Conv2D(32, 3, padding="same", activation="silu", name="first")(x)
    x = L.Conv2D(32, 3, padding="same", activation="silu", name="second")(x)
    x = L.Add(name="join")([L.Conv2D(32, 3, padding="same", name="residual")(x), stem])
    x = L.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = L.DepthwiseConv2D(5, strides=2, padding="same", name="strided")(x)
    x = L.Conv2D(32, (1, 7), padding="same", name="row")(x)
    gray = L.Conv2D(1, 1, name="gray")(x)
    x = L.Concatenate(name="both")([x, L.Conv2D(4, 5, padding="same", name="taps")(gray)])
    x = L.Dense(8, name="dense")(x)
    made = randomize(keras.Model(image, L.GlobalAveragePooling2D(name="mean")(x), name="tuned"))
    path = tmp_path_factory.mktemp("model") / "model.keras"
    made.save(path)
    return path


@pytest.fixture(scope="module")
def graph(model: Path) -> Graph:
    return build(read(model)).bind()


@pytest.fixture(scope="module")
def works(graph: Graph) -> Works:
    return works_of(graph, 2, "model.keras")


@pytest.fixture(scope="module")
def file(model: Path) -> Path:
    """A tuning that was measured here, and the module that was written with it, which answers as Keras does."""
    path = model.with_name("tuning.json")
    kerasgen.export(model, model.with_name("tuned.py"), tune=path, verify=True)
    return path


# --- the choice ------------------------------------------------------------------------------------------------------


def usual(x: Any) -> None: ...


def other(x: Any) -> None: ...


WAYS = {"usual": (usual, ((None, 2),), {}), "other": (other, ((None, 2),), {})}
WORK = (("work", ("a", "b"), WAYS),)


def chosen(seconds: Callable[[str, int, int], float], works: Any = WORK) -> tuple[int, list[str]]:
    """The choice if a call takes `seconds(kernel name, block size, number of the call)`."""
    counts: dict[Any, itertools.count[int]] = {}

    def timer(kernel: Any, operands: Any, settings: Any) -> float:
        key = kernel, threads.BLOCK
        return seconds(kernel.__name__, threads.BLOCK, next(counts.setdefault(key, itertools.count())))

    block, names = tuning.choose(works, tuning.measure(works, 1, timer))
    return block, names


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.9, "other"), (0.98, "usual"), (1.1, "usual")], ids=["clearly", "hardly", "slower"]
)
def test_what_is_clearly_faster_is_chosen(factor: float, expected: str) -> None:
    assert chosen(lambda name, *_: factor if name == "other" else 1.0) == (threads.BLOCK, [expected])


def test_noise_decides_nothing() -> None:
    """What is faster in every second round only, may be so by chance."""
    assert chosen(lambda name, block, call: 0.5 if name == "other" and call % 2 else 1.0)[1] == ["usual"]
    assert chosen(lambda name, block, call: 0.5 if name == "other" and not call % 2 else 1.0)[1] == ["usual"]
    assert chosen(lambda name, block, call: 0.5 + call % 3 if name == "other" else 1.0 + call % 3)[1] == ["other"]


def test_blocks() -> None:
    small, large = min(tuning.BLOCKS), max(tuning.BLOCKS)
    assert chosen(lambda name, block, call: 0.9 if block == small else 1.0)[0] == small
    assert chosen(lambda name, block, call: 0.98 if block == small else 1.0)[0] == threads.BLOCK
    assert chosen(lambda name, block, call: 0.5 if (name, block) == ("other", large) else 1.0) == (large, ["other"])
    assert threads.BLOCK in tuning.BLOCKS


def test_what_is_far_too_slow_is_soon_left_alone() -> None:
    calls: list[str] = []
    chosen(lambda name, block, call: calls.append(name) or (9.0 if name == "other" else 1.0))
    assert calls.count("usual") == tuning.ROUNDS * len(tuning.BLOCKS)
    assert calls.count("other") == tuning.LEAST_ROUNDS * len(tuning.BLOCKS)


def test_blocks_are_as_before_after_an_error() -> None:
    def fails(*_: Any) -> float:
        raise KeyboardInterrupt

    before = threads.BLOCK
    with pytest.raises(KeyboardInterrupt):
        tuning.measure(WORK, 1, fails)
    assert before == threads.BLOCK


def test_the_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SECONDS", 0.0)
    times = tuning.measure(WORK, 1, lambda *_: 1.0)
    assert {len(each) for each in times.values()} == {tuning.LEAST_ROUNDS}


@pytest.mark.parametrize(("batch", "max_batch", "timed"), [(3, None, 3), (7, 2, 2), (1, 2, 1)])
def test_batches(batch: int, max_batch: int | None, timed: int) -> None:
    """Layers are timed with as many samples as the model runs at once; the file records the requested batch."""
    seen = set()

    def timer(kernel: Any, operands: Any, settings: Any) -> float:
        seen.add(operands[0].shape)
        return 1.0

    assert json.loads(tuning.tuning_of(WORK, batch, max_batch, timer))["batch"] == batch
    assert seen == {(timed, 2)}


# --- the works of a model --------------------------------------------------------------------------------------------


def test_equal_layers_are_one_work(works: Works) -> None:
    layers = {name: work for work in works.all for name in work[1]}
    assert layers["first_conv2d"] is layers["second_conv2d"]
    assert layers["first_conv2d"] is not layers["residual"]
    expected = ["winograd_conv2d 4x4", "blocked_conv", "half_unfolded_conv", "kn2row_conv", "winograd_conv2d 2x2"]
    assert list(layers["first_conv2d"][2]) == list(layers["residual"][2]) == expected  # unfolded, it adds no residual
    assert list(layers["cells_conv2d"][2]) == ["pointwise", "conv2d"]
    expected = ["tiled_depthwise_conv2d 32", "winograd_depthwise_conv2d 4", "winograd_depthwise_conv2d 2"]
    assert list(layers["depthwise"][2]) == expected  # one by one, it writes no border
    assert list(layers["taps_2"][2]) == ["conv_by_taps", "blocked_conv", "winograd_conv2d 2x2", "conv2d"]
    assert list(layers["dense_2"][2]) == ["pointwise", "dense"]


def test_works_run(works: Works) -> None:
    """The shapes fit: each way to compute a work gives what the others do, and its border."""
    for text, _, ways in works.all:
        shapes = set()
        for kernel, arrays, settings in ways.values():
            operands = [tuning.filled(shape, 2) for shape in arrays]
            shapes.add(kernel(*operands, **{k: v for k, v in settings.items() if k != "out"}).shape)
        assert len(shapes) == 1, text


def test_every_way_answers_alike(graph: Graph, works: Works) -> None:
    """Each candidate is the kernel that the plan then uses, and gives the same answers."""
    x = np.random.RandomState(0).standard_normal((2, *SIZE[1:])).astype(np.float32)
    (expected,) = graph.run(x)
    for rank in range(max(len(ways) for _, _, ways in works.all)):
        choices = {}
        for _, layers, ways in works.all:
            choices.update((layer, list(ways)[rank % len(ways)]) for layer in layers)
        plan = optimize(graph, PIPELINES[2], Tuning(choices))
        (result,) = plan.run(x)
        assert relative_error(result, expected) < 1e-5, choices
        kernels = sorted(node.kernel.__name__ for node in plan.graph.nodes if len(node.inputs) > 2)
        assert kernels == sorted(name.split()[0] for name in choices.values())


def test_the_default_is_what_is_chosen_without(graph: Graph, works: Works) -> None:
    defaults = {layer: next(iter(ways)) for _, layers, ways in works.all for layer in layers}
    tuned, plain = optimize(graph, PIPELINES[2], Tuning(defaults)), optimize(graph)
    assert tuned.graph.nodes == plain.graph.nodes
    assert tuned.layouts == plain.layouts


def test_exact_kernels_only(graph: Graph) -> None:
    names = {name for _, _, ways in works_of(graph, 1, "model").all for name in ways}
    assert {"blocked_conv", "conv2d"} <= names
    assert not [name for name in names if "winograd" in name]


# --- the file --------------------------------------------------------------------------------------------------------


def test_what_was_measured(file: Path, works: Works) -> None:
    record = json.loads(file.read_text())
    assert record["format"] == tuning.FORMAT
    assert record["machine"]["numpy"] == np.__version__
    assert record["machine"]["cores"] > 0
    assert record["machine"]["processor"]
    assert record["layers"].keys() == works.by_layer().keys()
    assert all(entry["ms"][entry["kernel"]] > 0 for entry in record["layers"].values())
    assert len(file.read_text().splitlines()) < len(record["layers"]) + 30  # a line for each layer


def edited(file: Path, folder: Path, **kernels: str) -> Path:
    """The file with other choices."""
    record = json.loads(file.read_text())
    for layer, kernel in kernels.items():
        record["layers"][layer]["kernel"] = kernel
    record["block"] = min(tuning.BLOCKS)
    path = folder / "other.json"
    path.write_text(json.dumps(record))
    return path


OTHERS = {"first_conv2d": "blocked_conv", "strided": "depthwise_conv2d", "taps_2": "blocked_conv"}


def test_the_same_module_again(model: Path, file: Path, tmp_path: Path) -> None:
    """The same bytes from the same file: here, and elsewhere in a process of its own; and nothing is measured."""
    other = edited(file, tmp_path, **OTHERS)
    content = other.read_bytes()
    kerasgen.export(model, tmp_path / "model.py", tune=other, verify=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(other, elsewhere / "renamed.json")
    arguments = ("-m", "kerasgen", "export", model, "-o", "model.py", "--tune", "renamed.json", "--no-verify")
    done = run_python(*arguments, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "model.py").read_bytes() == (tmp_path / "model.py").read_bytes()
    assert other.read_bytes() == content
    text = (tmp_path / "model.py").read_text()
    assert f"\nBLOCK = {min(tuning.BLOCKS)}\n" in text
    assert '"first_conv2d": "blocked_conv"' in text
    assert not kerasgen.check(model, tmp_path / "model.py", tune=other)
    assert kerasgen.check(model, tmp_path / "model.py").code
    assert kerasgen.check(model, model.with_name("tuned.py"), tune=other).code
    assert not kerasgen.check(model, model.with_name("tuned.py"), tune=file)


def test_keras_agrees(model: Path, file: Path, tmp_path: Path) -> None:
    other = edited(file, tmp_path, **OTHERS)
    kerasgen.export(model, tmp_path / "model.py", tune=other, verify=True, activations=False)
    result = kerasgen.verify(model, tmp_path / "model.py")
    assert result.ok


def test_a_wrong_line_is_found(model: Path, file: Path, tmp_path: Path) -> None:
    """The search for the wrong step has the plan of the tuning."""
    module = tmp_path / "model.py"
    kerasgen.export(model, module, tune=edited(file, tmp_path, **OTHERS), verify=False)
    before, call, after = module.read_text().partition(
        'blocked_conv(\n        cells_conv2d,\n        W["first/kernel"]'
    )
    assert call
    module.write_text(before + call + after.replace("activation=silu", "activation=None", 1))
    result = kerasgen.verify(model, module)
    assert not result.ok
    assert result.divergence is not None
    assert (result.divergence.stage, result.divergence.layer) == ("emitter", "first")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: [], "is not a file of the format"),
        (lambda record: {**record, "format": "kerasgen tuning 2"}, "is not a file of the format"),
        (lambda record: {**record, "layers": []}, "lacks the layers"),
        (lambda record: {**record, "machine": "fast"}, "lacks the layers, the machine"),
        (lambda record: {**record, "batch": True}, "lacks the layers, the machine or the batch"),
        (lambda record: {**record, "block": 12345}, "the block is one of"),
        (lambda record: {**record, "block": [1048576]}, "the block is one of"),
        (lambda record: {**record, "layers": {}}, "layer 'stem_conv2d' is not in it"),
        (
            lambda record: {**record, "layers": {**record["layers"], "more\n": {}}},
            r"layer 'more\\n' is not in the model",
        ),
        (
            lambda record: {**record, "layers": {**record["layers"], "cells_conv2d": 1}},
            "layer 'cells_conv2d' has changed: it is conv2d",
        ),
        (
            lambda record: {**record, "layers": {**record["layers"], "cells_conv2d": {"work": "dense of 3 by 3x4"}}},
            "layer 'cells_conv2d' has changed",
        ),
        (
            lambda record: {
                **record,
                "layers": {**record["layers"], "cells_conv2d": {**record["layers"]["cells_conv2d"], "kernel": "rm"}},
            },
            "layer 'cells_conv2d' has no kernel 'rm'; it has pointwise",
        ),
        (
            lambda record: {
                **record,
                "layers": {**record["layers"], "cells_conv2d": {**record["layers"]["cells_conv2d"], "kernel": []}},
            },
            r"layer 'cells_conv2d' has no kernel \[\]",
        ),
    ],
)
def test_a_file_that_does_not_fit(change: Any, message: str, file: Path, works: Works, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps(change(json.loads(file.read_text()))))
    with pytest.raises(kerasgen.UsageError, match=message) as caught:
        read_tuning(path, works)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "delete the file" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000, b'{"batch": ' + b"9" * 9999 + b"}"], ids=len)
def test_hostile_files(content: bytes, works: Works, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_bytes(content)
    with pytest.raises(kerasgen.UsageError, match="not JSON"):
        read_tuning(path, works)


@pytest.mark.parametrize(("noise", "warns"), [(0.2, True), (0.01, False), ("much", False), (None, False)])
def test_a_busy_machine(noise: Any, warns: bool, model: Path, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(json.dumps({**json.loads(file.read_text()), "noise": noise}))
    result = kerasgen.export(model, tmp_path / "model.py", tune=path, verify=False)
    assert ("busy machine, where times differ by 20%" in result.warning) == warns
    assert (str(path) in result.warning) == warns


def test_noise() -> None:
    slow = iter([1.0, 1.5] * 99)
    times = tuning.measure(WORK, 1, lambda kernel, *_: next(slow) if kernel is other else 1.0)
    assert tuning.noise_of(WORK, times) == 0
    times[threads.BLOCK, 0, "usual"] = [1.0, 1.5] * 9
    assert tuning.noise_of(WORK, times) == 0.5
    assert tuning.noise_of((), {}) == 0


def test_other_batches(model: Path, file: Path, works: Works, tmp_path: Path) -> None:
    assert read_tuning(file, works, 1).header["batch"] == 1
    with pytest.raises(kerasgen.UsageError, match="is for batches of 1, not 8"):
        kerasgen.export(model, tmp_path / "model.py", tune=file, tune_batch=8)


def test_files_that_cannot_be(model: Path, tmp_path: Path) -> None:
    with pytest.raises(kerasgen.FileError, match="cannot be read"):  # `check` measures nothing
        kerasgen.check(model, tmp_path / "model.py", tune=tmp_path / "tuning.json")
    with pytest.raises(kerasgen.FileError, match="there is no folder"):
        kerasgen.export(model, tmp_path / "model.py", tune=tmp_path / "none" / "tuning.json")
    with pytest.raises(kerasgen.FileError, match="cannot be read"):
        kerasgen.export(model, tmp_path / "model.py", tune=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimize": 0}, "textbook kernels leave nothing to tune: use `optimize=1` or `optimize=2`"),
        ({"gradients": GradientOptions()}, "either `gradients` or `tune`"),
        ({"max_memory": 1 << 30}, "either `max_memory` or `tune`"),
        ({"target": "pure"}, "without NumPy has no `tune`"),
        ({"tune_batch": 0}, "tune_batch is 1 or more"),
        ({"tune": None, "tune_batch": 2}, "`tune_batch` goes with the file of `tune`"),
        ({"tunable": True, "minimal": True}, "either `minimal` or `tunable=True`"),
        ({"tune": None, "tunable": True, "optimize": 0}, "leave nothing to tune"),
    ],
)
def test_settings_that_exclude_each_other(options: dict[str, Any], message: str, model: Path, tmp_path: Path) -> None:
    with pytest.raises(kerasgen.UsageError, match=message):
        kerasgen.export(model, tmp_path / "model.py", **{"tune": tmp_path / "tuning.json", "verify": False, **options})
    assert not list(tmp_path.iterdir())


def test_open_sizes(tmp_path: Path) -> None:
    image = keras.Input((None, None, 3), name="image")
    path = tmp_path / "open.keras"
    keras.Model(image, L.Conv2D(4, 3)(image)).save(path)
    for options in ({"tune": tmp_path / "tuning.json"}, {"tunable": True}):
        with pytest.raises(kerasgen.UsageError, match=r"input 'image' leaves a size open.*give the `input_shape`"):
            kerasgen.export(path, tmp_path / "open.py", verify=False, **options)


def test_command_line(run: Run, model: Path, file: Path) -> None:
    arguments = ("export", model, "-o", "m.py", "--no-verify", "--tune")
    assert "is for batches of 1, not 2" in run.fails(2, *arguments, file, "--tune-batch", 2)
    message = run.fails(2, *arguments, "none.json", "--max-memory", "1MB")
    assert message == "kerasgen: a module has either `max_memory` or `tune`\n"
    run(*arguments, file, "--tune-batch", 1)
    run(*arguments, file, "--check")


def test_project(run: Run, model: Path, file: Path) -> None:
    """In pyproject.toml, the file's path is from there."""
    entry = f'{{model = "{model}", output = "m.py", tune = "t.json", tune_batch = 1}}'
    (run.folder / "pyproject.toml").write_text(f"[tool.kerasgen]\nmodels = [{entry}]\n")
    shutil.copy(file, run.folder / "t.json")
    run("export", "--no-verify")
    run("export", "--check")
    assert not kerasgen.check(model, run.folder / "m.py", tune=file)


def test_another_tuning_is_another_job(model: Path, file: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    job = Job(str(model), str(tmp_path), options={"tune": str(path)})
    assert key(job, compared=False) == ""  # there is none
    path.write_text("{}")
    before = key(job, compared=False)
    shutil.copy(file, path)
    assert key(job, compared=False) not in ("", before)


# --- modules that measure themselves ---------------------------------------------------------------------------------


def test_a_module_measures_itself(model: Path, pairs: list[Pair], tmp_path: Path) -> None:
    """On every Python and NumPy, without kerasgen; what it writes makes a tuned module."""
    module = tmp_path / "model.py"
    kerasgen.export(model, module, tunable=True, verify=False)
    text = module.read_text()
    assert f"\nROUNDS = {tuning.ROUNDS}\n" in text
    module.write_text(text.replace(f"\nROUNDS = {tuning.ROUNDS}\n", "\nROUNDS = 2\n"))
    x = np.random.RandomState(1).standard_normal(SIZE).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    for number, pair in enumerate(pairs):
        file = tmp_path / f"tuning{number}.json"
        done = pair.run(module, "--tune", file, "--batch", 2)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        tuned = tmp_path / f"tuned{number}.py"
        kerasgen.export(model, tuned, tune=file, tune_batch=2, verify=False)
        (expected,) = pair.predict(module, [x])
        assert relative_error(pair.predict(tuned, [x])[0], expected) < 1e-5
        assert pair.run(module, "--tune", file).returncode == 2  # it exists
    assert pairs[-1].run(module, "--tune", tmp_path / "t.json", "--batch", 0).returncode == 2
    assert pairs[-1].run(module, tmp_path / "x.npy", "--tune", tmp_path / "t.json").returncode == 2
    assert pairs[-1].run(module, "--tune", tmp_path / "none" / "t.json").returncode == 1
    assert "--tune FILE" in pairs[-1].run(module, "--help").stdout
    done = pairs[-1].run(module, tmp_path / "x.npy")
    assert done.returncode == 0
    assert "float32" in done.stdout


def test_only_such_modules_can(model: Path, tmp_path: Path) -> None:
    kerasgen.export(model, tmp_path / "plain.py", verify=False)
    text = (tmp_path / "plain.py").read_text()
    assert "tune" not in text.replace("tuned", "")
    assert run_python(tmp_path / "plain.py", "--tune", "f").returncode == 2
    kerasgen.export(model, tmp_path / "tunable.py", verify=False, tunable=True)
    assert kerasgen.check(model, tmp_path / "plain.py", tunable=True).code
    assert not kerasgen.check(model, tmp_path / "tunable.py", tunable=True)
