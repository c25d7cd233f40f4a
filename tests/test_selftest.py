"""`python model.py --selftest`: a module proves on the spot that it answers as it did when it was written."""

from __future__ import annotations

import os
import py_compile
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run, altered, small
from keras import layers as L
from keras import ops
from pairs import Pair
from support import SHARED_MODELS, randomize, run_python

import kerasgen
from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.emit.runtime.inputs import hashed, make_input
from kerasgen.emit.runtime.selftest import difference, numbers
from kerasgen.graph.plan import Plan
from kerasgen.planning import plans
from kerasgen.readers import read
from kerasgen.verification import selftest as recording
from kerasgen.verification.compare import allowed
from kerasgen.verification.inputs import TOO_MANY_CELLS, Recipe
from kerasgen.verification.selftest import MOST_AT_ONCE, MOST_PRODUCTS, Answer, affordable


def two_heads() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([left, right])
    return keras.Model([left, right], [L.Dense(2, name="one")(y), L.Dense(3, name="two")(y)])


def named_heads() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([left, right])
    return keras.Model({"right": right, "left": left}, {"b": L.Dense(2, name="p")(y), "a": L.Dense(3, name="q")(y)})


def any_size() -> Any:
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, L.GlobalAveragePooling2D()(L.Conv2D(4, 3, strides=2, padding="same")(image)))


def stateful() -> Any:
    x = keras.Input(batch_shape=(3, 5, 4), name="steps")
    return keras.Model(x, L.Dense(2)(L.LSTM(6, stateful=True, name="memory")(x)))


def tokens() -> Any:
    """Integers that must be in a table of seven, and others that are bytes."""
    words, pixels = keras.Input((5,), name="words", dtype="int32"), keras.Input((4,), name="pixels", dtype="uint8")
    y = L.Concatenate()([L.Flatten()(L.Embedding(7, 3, name="table")(words)), L.Rescaling(1 / 255)(pixels)])
    y = L.Dense(4, name="scores")(y)
    return keras.Model([words, pixels], [y, ops.argmax(y, axis=-1), y > 0.0])


def half() -> Any:
    return keras.Sequential([keras.Input((8,), dtype="float16"), L.Dense(5, dtype="float16", name="scores")])


def no_weights() -> Any:
    x = keras.Input((4,), name="x")
    return keras.Model(x, ops.exp(L.Dropout(0.5)(x)))


MODELS: dict[str, Callable[[], Any]] = {
    f.__name__: f for f in (small, two_heads, named_heads, any_size, stateful, tokens, half, no_weights)
}


@pytest.fixture(scope="session")
def proven(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The module of a model, exported once."""
    folder = tmp_path_factory.mktemp("proven")

    def get(name: str, **options: Any) -> Path:
        path = folder / f"{'_'.join(map(str, [name, *sum(options.items(), ())]))}.py"
        model = folder / f"{name}.keras"
        if not model.exists():
            randomize(MODELS[name]()).save(model)
        if not path.exists():
            kerasgen.export(model, path, **{"verify": True, **options})
        return path

    return get


def selftest(path: Path, code: int = 0) -> list[str]:
    """What it prints; the exit code must be this one."""
    done = run_python("-W", "error", path.name, "--selftest", cwd=path.parent)
    assert (done.returncode, done.stderr) == (code, ""), done.stdout
    return done.stdout.splitlines()


@pytest.mark.parametrize("options", [{}, {"store": "sidecar"}, {"activations": True}, {"verify": False}], ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_it_proves_itself(proven: Callable[..., Path], name: str, options: dict[str, Any]) -> None:
    if options and name not in ("small", "stateful"):
        pytest.skip("two models are enough for the other ways to export")
    path = proven(name, **options)
    *lines, by, where = selftest(path)
    module = load_module(path)
    calls = module.SELFTEST["calls"]
    inside = [f"ok inside: {len(calls)} calls of {len(calls)}"] if calls else []
    outputs = [f"ok {name!a}" for name, _, _ in module.OUTPUTS]
    assert [line.partition(": off by")[0] for line in lines] == outputs + inside
    assert len(calls) >= len(getattr(module, "W", ())) // 2
    assert by.endswith("self-made" if options == {"verify": False} else "by Keras")
    assert re.fullmatch(rf"Python {sys.version.split()[0]} NumPy {np.__version__} BLAS \S+.* \S+", where)


@pytest.mark.parametrize("name", MODELS)
def test_it_proves_itself_on_other_pythons(proven: Callable[..., Path], name: str, pairs: list[Pair]) -> None:
    for pair in pairs:
        done = pair.run(proven(name), "--selftest")
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert re.search(rf"^Python {pair.python} NumPy {pair.numpy} BLAS \w+", done.stdout, flags=re.M)


CHANGES = {
    "small": "conv/kernel",
    "two_heads": "two/bias",
    "named_heads": "q/kernel",
    "any_size": "conv2d/bias",
    "stateful": "memory/cell/recurrent_kernel",
    "tokens": "table/embeddings",
    "half": "scores/kernel",
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_altered_number_fails(proven: Callable[..., Path], tmp_path: Path, name: str) -> None:
    path = tmp_path / "net.py"
    path.write_bytes(proven(name).read_bytes())

    def change(weights: dict[str, np.ndarray]) -> None:
        (key,) = (k for k in weights if re.sub(r"_\d+/", "/", k) == CHANGES[name])
        weights[key].flat[1] += 2

    altered(path, change)
    lines = selftest(path, 1)
    assert any(line.startswith("WRONG ") for line in lines)


def test_an_altered_line_fails(proven: Callable[..., Path], tmp_path: Path) -> None:
    text = proven("no_weights").read_text()
    for changed in (text.replace("np.exp(", "np.tanh("), text.replace("np.exp(x)", "np.ones((3, 3))")):
        assert changed != text
        (tmp_path / "net.py").write_text(changed)
        selftest(tmp_path / "net.py", 1)


def test_what_is_recorded_is_what_keras_answers(proven: Callable[..., Path]) -> None:
    path = proven("tokens")
    record = load_module(path).SELFTEST
    assert record["by"] == "by Keras"
    assert record["inputs"] == (((6, 5), 0, 6, True), ((6, 4), 0, 255, True))
    model = keras.saving.load_model(path.with_suffix(".keras"))
    words, pixels = (
        make_input(shape, "int32", low, high, whole, i) for i, (shape, low, high, whole) in enumerate(record["inputs"])
    )
    answers = [np.asarray(answer, "float64") for answer in model.predict([words, pixels], verbose=0)]
    for answer, (shape, error, found) in zip(answers, record["outputs"], strict=True):
        cells = answer.ravel()
        assert shape == answer.shape
        assert found[1:] == pytest.approx([cells[i * (cells.size - 1) // 5] for i in range(6)], abs=error)
        samples = answer.reshape(len(answer), 1, -1).sum(axis=0)
        assert found[0] == pytest.approx(weighted(samples) / np.sqrt(cells.size), abs=error)
    errors = [error for _, error, _ in record["outputs"]]
    assert 1 <= errors[0] / np.abs(answers[0]).max() / (4 * allowed("float32")) <= 2  # it is rounded up to one digit
    assert errors[1:] == [1e-6, 1e-6]


def weighted(rows: np.ndarray) -> float:
    """The sum of a matrix with the factors of its rows and columns, as documented."""
    total = 0.0
    for seed, axis in ((1, 0), (2, 1)):
        n = hashed(0, rows.shape[axis], seed).astype(object)
        factors = np.array([(0.5 + i / 2**32) * (1 if i % 2 else -1) for i in n])
        assert np.abs(factors).min() >= 0.5
        assert np.abs(factors).max() < 1.5
        rows = rows * np.expand_dims(factors, 1 - axis)
    total += rows.sum()
    return float(total)


def test_every_cell_counts() -> None:
    array = make_input((4, 10, 30), "float32", -2, 2)
    before = numbers(array)
    for place in range(0, array.size, 97):
        changed = array.copy()
        changed.flat[place] += 1
        assert abs(numbers(changed)[0] - before[0]) > 0.25 / array.size**0.5
    assert len(numbers(array * 1j)) == 7
    assert numbers(array[:0]) == []


@pytest.mark.parametrize("verify", [True, False])
def test_the_same_bytes(proven: Callable[..., Path], tmp_path: Path, verify: bool) -> None:
    """Though Keras was asked twice; and the record is small beside the rest."""
    first = proven("small", verify=verify)
    kerasgen.export(first.with_name("small.keras"), tmp_path / "again.py", verify=verify)
    assert (tmp_path / "again.py").read_bytes() == first.read_bytes()
    (record,) = re.findall(r"^SELFTEST = .*?\n\n", first.read_text(), flags=re.M | re.S)
    assert len(record) < 600


@pytest.mark.parametrize("name", MODELS)
def test_keras_changes_no_number(proven: Callable[..., Path], name: str) -> None:
    """The record has no float32 error in it, neither Keras's nor kerasgen's: it is the same on every machine."""
    one, other = (load_module(proven(name, verify=verify)).SELFTEST for verify in (True, False))
    assert (one.pop("by"), other.pop("by")) == ("by Keras", "self-made")
    assert one == other


def test_numbers_that_are_not_finite() -> None:
    nan, inf = float("nan"), float("inf")
    assert difference([nan, inf, -inf, 1.0], ["nan", "inf", "-inf", 1.5]) == 0.5
    for got, expected in ((nan, 0.0), (0.0, "nan"), (inf, "-inf"), (inf, 1.0), (1.0, "inf"), (nan, "inf")):
        assert difference([0.0, got], [0.0, expected]) == inf
    array = np.array([nan, -inf, 1.0, 1.0, 1.0, 2.0], "float32")
    assert Answer(array, array, 1e-3).record() == ((6,), 8e-3, ("nan", "nan", "-inf", 1.0, 1.0, 1.0, 2.0))
    over = array.astype("float64")
    over[1] = -1e39  # which float32 does not have
    assert Answer(over, array, 1e-3).record()[2][2] == "-inf"


def test_check_does_not_mind_who_answered(proven: Callable[..., Path]) -> None:
    for options in ({"verify": True}, {"verify": False}):
        assert not kerasgen.check(proven("small").with_name("small.keras"), proven("small", **options))


def test_a_wrong_module_that_is_kept_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has Keras's answers, not its own, and does not say that they are right."""

    def wrong(graph: Any, *passes: Any) -> Any:
        return Plan(replace(graph, weights={name: array * 1.5 for name, array in graph.weights.items()}))

    monkeypatch.setattr(plans, "optimize", wrong)
    randomize(two_heads()).save(tmp_path / "model.keras")
    with pytest.raises(kerasgen.ParityError):
        kerasgen.export(tmp_path / "model.keras", tmp_path / "net.py", verify=True, keep_failed=True)
    assert selftest(tmp_path / "net.py", 1)[2].endswith("by Keras")
    assert load_module(tmp_path / "net.py").VERIFIED is None
    with open(tmp_path / "other.py", "wb") as stream, pytest.raises(kerasgen.ParityError):
        kerasgen.export(tmp_path / "model.keras", stream, verify=True, keep_failed=True)
    assert (tmp_path / "other.py").read_bytes() == (tmp_path / "net.py").read_bytes()


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow(run: Run) -> None:
    _, err = run("export", run.files / "small.keras")
    assert "TensorFlow is not installed" in err
    assert selftest(Path("small.py").absolute())[-2].endswith("self-made")


def picky(x):  # type: ignore[no-untyped-def] # it is copied into a module
    if x.size:
        raise RuntimeError("not today")
    return x


def test_nothing_to_compare_with(run: Run) -> None:
    """Nothing is recorded if it would take gigabytes, or cannot be computed."""
    x = keras.Input((8, 8, 1))
    for model in (
        keras.Model(x, L.UpSampling2D(int((MOST_AT_ONCE / 64) ** 0.5) + 1)(x)),
        keras.Model(x, L.ReLU(name="picky")(x)),
    ):
        model.save("model.keras")
        kerasgen.export("model.keras", "net.py", verify=False, force=True, custom={"picky": picky})
        done = run_python("net.py", "--selftest", cwd=run.folder)
        assert (done.returncode, done.stdout) == (77, "")
        assert done.stderr == "net.py: no answers were recorded when the module was written\n"
        assert "77 nothing was recorded" in " ".join(run_python("net.py", "--help", cwd=run.folder).stdout.split())


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="pipes are closed in another way")
@pytest.mark.parametrize("arguments", [["--selftest"], ["in.npy"], ["in.npy", "-o", "-"]], ids=" ".join)
def test_nobody_reads_on(proven: Callable[..., Path], arguments: list[str]) -> None:
    """As with `| head`: it ends by the signal, which a shell calls 141, and without a word."""
    path = proven("small")
    np.save(path.with_name("in.npy"), np.ones((2, 6, 6, 1), "float32"))
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, path.name, *arguments]
    done = subprocess.run(command, cwd=path.parent, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (-signal.SIGPIPE, b"")


def test_inputs_too_large_to_make_up(run: Run) -> None:
    x = keras.Input((TOO_MANY_CELLS, 2))
    keras.Model(x, L.ReLU()(x)).save("model.keras")
    _, said = run("export", "model.keras", "-o", "net.py")
    assert said.startswith("not verified: its inputs are too large")
    assert "too large" in run.fails(2, "export", "model.keras", "-o", "other.py", "--verify")
    assert "SELFTEST = None" in Path("net.py").read_text("utf-8")


def test_the_command_line_as_before(proven: Callable[..., Path], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 4)))
    for arguments in ([], ["a.npy"], ["a.npy"] * 3):
        done = run_python(proven("two_heads"), *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "2 files" in done.stderr
    assert "--selftest" in run_python(proven("two_heads"), "--help").stdout
    assert subprocess.run([sys.executable, str(proven("two_heads")), "--selftest", "x"], check=False).returncode == 0


def test_a_graph_without_a_record() -> None:
    text = emit(Plan(build(read(randomize(two_heads()))).bind())).text
    assert "\nSELFTEST = None\n" in text


def test_the_sample_is_as_large_as_one_can_afford() -> None:
    """Nothing is generated or computed to find that out."""

    def samples(layer: Any, *shape: int) -> int:
        x = keras.Input(shape)
        plan = Plan(build(read(keras.Model(x, layer(x)))).bind())
        wanted = [Recipe((4, *shape), "float32", -2.0, 2.0)]
        return sum(recipe.shape[0] for recipe in affordable(plan, wanted))

    assert samples(L.ReLU(), 8, 8, 1) == 4
    assert samples(L.ReLU(), MOST_AT_ONCE // 3) == 3
    assert samples(L.ReLU(), MOST_AT_ONCE) == 1
    assert samples(L.ReLU(), MOST_AT_ONCE + 1) == 0
    side = int((MOST_PRODUCTS / 2 / 9 / 64 / 64) ** 0.5)
    assert samples(L.Conv2D(64, 3, padding="same"), side, side, 64) == 2
    assert samples(L.Conv2D(64, 3, padding="same"), 2 * side, side, 64) == 1
    assert samples(L.Conv2D(512, 5, padding="same"), 300, 100, 128) == 0


@pytest.mark.skipif(not SHARED_MODELS.is_dir(), reason="the models from the wild are not here")
def test_a_small_model_of_large_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty million numbers for one sample: none of them is made."""
    monkeypatch.setattr(recording, "draw", None)
    kerasgen.export(SHARED_MODELS / "wild" / "vcskaushik1_trained_model.hdf5", tmp_path / "net.py", verify=False)
    assert load_module(tmp_path / "net.py").SELFTEST is None


def test_without_source(proven: Callable[..., Path], tmp_path: Path) -> None:
    """The calls are watched in a module that is only byte-compiled, too."""
    path = proven("small", store="sidecar")
    (tmp_path / f"{path.stem}.npz").write_bytes(path.with_suffix(".npz").read_bytes())
    py_compile.compile(str(path), str(tmp_path / f"{path.stem}.pyc"))
    done = run_python(tmp_path / f"{path.stem}.pyc", "--selftest")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search("^ok inside: 3 calls of 3$", done.stdout, flags=re.M)


def test_a_few_samples_at_a_time(proven: Callable[..., Path]) -> None:
    """The sums of the parts are the sums of the whole; the calls of two samples are not those of four."""
    text = proven("small").read_text()
    (whole,) = re.findall(r"x = as_input\(image, .*\n", text)
    for count in (1, 3):
        parts = (
            f"    if len(x) > {count}:\n        return np.concatenate([predict(x[:{count}]), predict(x[{count}:])])\n"
        )
        changed = proven("small").with_name(f"parts{count}.py")
        changed.write_text(text.replace(whole, whole + parts))
        assert "ok inside: 3 calls of 3" in selftest(changed)
    changed.write_text(text.replace(whole, whole + "    x = x[:2]\n"))
    assert any(line.startswith("WRONG inside, call 1, conv") for line in selftest(changed, 1))


def test_a_profiler_goes_on(proven: Callable[..., Path]) -> None:
    module = load_module(proven("small"))
    seen: list[str] = []

    def profiler(frame: Any, event: str, argument: Any) -> None:
        seen.append(frame.f_code.co_name)

    sys.setprofile(profiler)
    try:
        assert module.selftest(module.predict, module.INPUTS, module.OUTPUTS, module.SELFTEST)
        assert sys.getprofile() is profiler
    finally:
        sys.setprofile(None)
    assert "predict" not in seen


def test_no_profiler_can_look_inside(proven: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    """As in a module that was compiled to machine code: the outputs still count."""
    module = load_module(proven("small"))

    def selftest_of(predict: Any) -> bool:
        return bool(module.selftest(predict, module.INPUTS, module.OUTPUTS, module.SELFTEST))

    assert selftest_of(lambda image: module.predict(image))
    assert "nothing is known of what is inside of predict" in capsys.readouterr().out
    assert not selftest_of(lambda image: 1.01 * module.predict(image))
