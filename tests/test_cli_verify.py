"""`verify`, and what `export` does about it: altered modules are found, and wrong ones not published."""

from __future__ import annotations

import io
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from command import Run, altered, small
from keras import layers as L
from support import randomize, save

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.emit.weights import NPZ
from kerasgen.layers import RULES
from kerasgen.verification.inputs import random_inputs


def test_no_verify_is_said(run: Run) -> None:
    _, err = run("export", run.files / "small.keras", "--no-verify")
    assert err == "not verified: skipped on request\n"


@pytest.mark.usefixtures("no_tensorflow")
def test_without_tensorflow(run: Run) -> None:
    line = run.fails(2, "export", run.files / "small.keras", "--verify")
    assert "kerasgen-numpy[verify]" in line
    out, err = run("export", run.files / "small.keras")
    assert out == "small.py\n"
    assert err == "not verified: TensorFlow is not installed\n"
    assert "kerasgen-numpy[verify]" in run.fails(2, "verify", run.files / "small.keras", "small.py")


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("output", ["net.py", "-"])
def test_wrong_module_is_not_published(run: Run, output: str) -> None:
    line = run.fails(1, "export", run.files / "small.keras", "-o", output)
    assert "small.keras" in line
    assert "scores" in line
    assert re.search(r"worst at \(\d, \d\)", line)


@pytest.mark.usefixtures("broken")
def test_wrong_module_is_kept_when_asked(run: Run) -> None:
    out, err = run("export", run.files / "small.keras", "--keep-failed", code=1)
    assert out == ""
    assert err.startswith("kerasgen: ")
    assert load_module(Path("small.py")).INPUTS
    out, err = run("export", run.files / "small.keras", "--keep-failed", "-o", "-", code=1)
    assert out == Path("small.py").read_text()


def test_keras_cannot_load_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then there is no comparison, unless one was asked for."""
    monkeypatch.setattr(keras.models, "load_model", lambda *_, **__: 1 / 0)
    assert "division by zero" in run.fails(1, "export", run.files / "small.keras", "--verify")
    _, err = run("export", run.files / "small.keras")
    assert err.startswith("not verified: ")
    assert "division by zero" in err
    assert "division by zero" in run.fails(1, "verify", run.files / "small.keras", "small.py")


@pytest.fixture
def exported(run: Run) -> Run:
    for name in ("small", "two"):
        run("export", run.files / f"{name}.keras", "--no-verify")
    return run


def test_verify(exported: Run) -> None:
    out, err = exported("verify", exported.files / "two.keras", "two.py")
    assert err == ""
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["ok one", "ok two"]


def test_verify_finds_an_altered_weight(exported: Run) -> None:
    def change(weights: dict[str, np.ndarray]) -> None:
        weights["two/bias"][1] += 5

    altered(Path("two.py"), change)
    out, err = exported("verify", exported.files / "two.keras", "two.py", code=1)
    assert err == ""
    one, two, why = out.splitlines()
    assert "two/bias" in why
    assert one.startswith("ok one: ")
    assert two.startswith("DIFFERS two: ")
    assert re.search(r"worst at \([0-4], 1\)", two)
    out, _ = exported("verify", exported.files / "two.keras", "two.py", "--json", code=1)
    one, two = json.loads(out)["outputs"]
    assert (one["name"], one["ok"], two["name"], two["ok"]) == ("one", True, "two", False)
    assert two["absolute"] == pytest.approx(5, rel=1e-4)
    assert two["worst"][1] == 1
    assert two["got"] - two["expected"] == pytest.approx(5, rel=1e-4)
    exported("verify", exported.files / "two.keras", "two.py", "--tolerance", "100")


def test_verify_the_module_of_another_model(exported: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is said, and Keras is not even asked, where the module takes or returns other arrays."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    line = exported.fails(1, "verify", exported.files / "two.keras", "small.py")
    other = f"kerasgen: small.py: is the module of another model than {exported.files / 'two.keras'}: "
    assert line == f"{other}its inputs are image, the model's left, right\n"


def several(a: Any, b: Any, outputs: int = 2, dtype: str = "float32") -> Any:
    x = [keras.Input((4,), name=a), keras.Input((4,), name=b, dtype=dtype)]
    y = L.Concatenate()([x[0], L.Dense(4)(x[1])])
    return keras.Model(x, [L.Dense(2 + i, name=f"out_{i}")(y) for i in range(outputs)])


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (lambda: several("b", "a"), "its inputs are a, b, the model's b, a"),
        (lambda: several("a", "b", 1), "its outputs are out_0, out_1, the model's out_0"),
        (
            lambda: several("a", "b", dtype="int32"),
            "its input b is (None, 4) float32, the model's input b is (None, 4) int32",
        ),
        (
            lambda: keras.Model(x := [keras.Input((4,)), keras.Input((5,), name="c")], L.Concatenate()(x)),
            "its input b is (None, 4) float32, the model's input c is (None, 5) float32",
        ),
        (
            lambda: keras.Model(x := [keras.Input((4,)), keras.Input((4,))], [L.Dense(2)(y) for y in x]),
            "its output out_1 is (None, 3) float32, the model's output ",
        ),
    ],
    ids=["other order", "fewer outputs", "another dtype", "another shape", "another output"],
)
def test_verify_says_what_is_of_another_model(run: Run, other: Any, difference: str) -> None:
    several("a", "b").save("own.keras")
    run("export", "own.keras", "--no-verify")
    other().save("other.keras")
    line = run.fails(1, "verify", "other.keras", "own.py")
    assert line.startswith("kerasgen: own.py: is the module of another model than other.keras: ")
    assert difference in line
    with pytest.raises(kerasgen.ParityError, match="is the module of another model"):
        kerasgen.verify("other.keras", "own.py")


def test_verify_looks_at_names_only_for_their_order(run: Run) -> None:
    """Keras numbers the names that it chooses: the same model has other ones in another session."""
    model = several(None, None)
    model.save("first.keras")
    run("export", "first.keras", "--no-verify")
    again = several(None, None)
    again.set_weights(model.get_weights())
    again.save("second.keras")
    assert [tensor.name for tensor in again.inputs] != [tensor.name for tensor in model.inputs]
    run("verify", "second.keras", "first.py")


def test_verify_a_module_with_functions_of_the_user(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an unsupported layer makes is not known without them, but to Keras."""
    model = keras.Sequential([keras.Input((4,), name="given"), L.ReLU(name="cut"), L.Dense(2, name="last")])
    model.save("model.keras")
    kerasgen.export("model.keras", "model.py", verify=False)
    monkeypatch.delitem(RULES, "ReLU")
    run("verify", "model.keras", "model.py")
    keras.Sequential([keras.Input((5,), name="given"), L.ReLU(), L.Dense(2, name="last")]).save("other.keras")
    assert "its input given is (None, 4)" in run.fails(1, "verify", "other.keras", "model.py")


def test_verify_a_changed_shape(exported: Run) -> None:
    """A shape that differs is said, and makes JSON that every parser reads."""
    wide = keras.Sequential([keras.Input((6, 6, 1), name="image"), L.Flatten(), L.Dense(4, name="scores")])
    wide.save("wide.keras")
    Path("small.py").write_text(Path("small.py").read_text().replace('("scores", (None, 3)', '("scores", (None, 4)'))
    out, _ = exported("verify", "wide.keras", "small.py", code=1)
    assert out.startswith("DIFFERS scores: the shape is (5, 3), Keras has (5, 4)\nat fault: the weights in the module")
    out, _ = exported("verify", "wide.keras", "small.py", "--json", code=1)
    (report,) = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))["outputs"]
    assert report["absolute"] is None
    assert report["shapes"] == [[5, 3], [5, 4]]


def test_verify_tolerance_and_seed(exported: Run) -> None:
    def change(weights: dict[str, np.ndarray]) -> None:
        weights["scores/bias"] += 1e-3

    altered(Path("small.py"), change)
    arguments = ["verify", exported.files / "small.keras", "small.py", "--json"]
    first, _ = exported(*arguments, "--tolerance", "0.1")
    assert exported(*arguments, "--tolerance", "0.1", "--seed", "0")[0] == first
    assert exported(*arguments, "--tolerance", "0.1", "--seed", "1")[0] != first
    exported(*arguments, "--tolerance", "1e-7", code=1)


def test_verify_with_inputs(exported: Run) -> None:
    left, right = np.ones((2, 4), "float32"), np.zeros((2, 3))
    np.savez("named.npz", right=right, left=left)
    np.savez("unnamed.npz", left, right)
    np.save("image.npy", np.ones((5, 6, 6, 1)))
    for name in ("named.npz", "unnamed.npz"):
        out, _ = exported("verify", exported.files / "two.keras", "two.py", "--inputs", name)
        assert out.startswith("ok one: ")
    out, _ = exported("verify", exported.files / "small.keras", "small.py", "--inputs", "image.npy")
    assert out.startswith("ok scores: ")


def test_export_with_inputs(run: Run) -> None:
    """They are what Keras is asked, and are not stored."""
    np.save("mine.npy", np.full((7, 6, 6, 1), 0.25, "float32"))
    _, err = run("export", run.files / "small.keras", "--verify", "--inputs", "mine.npy")
    assert err.startswith("verified against Keras: ")
    assert load_module(Path("small.py")).SELFTEST["inputs"][0][0] != (7, 6, 6, 1)
    np.save("wrong.npy", np.ones((5, 6, 7, 1), "float32"))
    assert "wrong.npy" in run.fails(
        2, "export", run.files / "small.keras", "--verify", "--force", "--inputs", "wrong.npy"
    )


def test_verify_with_wrong_inputs(exported: Run) -> None:
    np.save("shape.npy", np.ones((5, 6, 7, 1), "float32"))
    np.save("words.npy", np.array(["a", "b"]))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez("objects.npz", image=np.array([{}], object))
    np.savez("three.npz", a=np.ones(1), b=np.ones(1), c=np.ones(1))
    np.savez("unequal.npz", left=np.ones((2, 4)), right=np.ones((3, 3)))
    Path("text.npy").write_text("1, 2, 3")
    Path("empty.npy").touch()
    with zipfile.ZipFile("zip.npz", "w") as archive:
        archive.writestr("image.npy", "nothing")
    arguments = ["verify", exported.files / "small.keras", "small.py", "--inputs"]
    for name in ("shape.npy", "words.npy", "objects.npy", "objects.npz", "three.npz", "text.npy", "empty.npy"):
        assert name in exported.fails(2, *arguments, name)
    assert "zip.npz" in exported.fails(2, *arguments, "zip.npz")
    assert "missing.npy" in exported.fails(5, *arguments, "missing.npy")
    arguments = ["verify", exported.files / "two.keras", "two.py", "--inputs"]
    assert "shape.npy" in exported.fails(2, *arguments, "shape.npy")
    said = "unequal.npz: the inputs differ in their number of samples: 'left' has 2, 'right' has 3"
    assert said in exported.fails(2, *arguments, "unequal.npz")


def test_verify_what_is_no_module(exported: Run) -> None:
    Path("other.py").write_text("x = 1\n")
    Path("wrong.py").write_text("x = (\n")
    Path("fails.py").write_text("raise RuntimeError('two\\nlines \\x1b[31m')\n")
    model = exported.files / "small.keras"
    assert "other.py" in exported.fails(2, "verify", model, "other.py")
    assert "wrong.py" in exported.fails(1, "verify", model, "wrong.py")
    assert "RuntimeError" in exported.fails(1, "verify", model, "fails.py")
    assert "missing.py" in exported.fails(5, "verify", model, "missing.py")
    text = Path("small.py").read_text()
    Path("small.py").write_text(text.replace(NPZ, f"{NPZ}AAAA"))
    assert "the weights in the module cannot be read" in exported.fails(1, "verify", model, "small.py")


@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_verify_named_inputs(run: Run, library: Any, ending: str) -> None:
    """In the order of the model's dict, which is not the alphabet's."""
    layers = library.layers
    zeta, alpha = library.Input((4,), name="zeta"), library.Input((4,), name="alpha")
    y = layers.Dense(3)(layers.Subtract()([alpha, zeta]))
    model = library.Model({"zeta": zeta, "alpha": alpha}, {"two": y, "one": layers.Dense(2)(y)})
    save(randomize(model), Path(f"named.{ending}"))
    run("export", f"named.{ending}", "--verify")
    module = load_module(Path("named.py"))
    assert list(module.predict(*random_inputs(module.INPUTS))) == ["two", "one"]
    out, _ = run("verify", f"named.{ending}", "named.py")
    assert [line.split(":")[0] for line in out.splitlines()] == ["ok two", "ok one"]


@pytest.mark.parametrize(("inside", "bits"), [("mixed_float16", 10), ("float32", 23), ("float64", 23)])
def test_tolerance_follows_the_precision(run: Run, inside: str, bits: int) -> None:
    """An answer in float32 is no closer than the half precision that it was computed from."""
    layers = [L.Dense(300, dtype=inside), L.Dense(5, dtype="float32")]
    randomize(keras.Sequential([keras.Input((8,)), *layers])).save("mixed.keras")
    run("export", "mixed.keras", "--verify")
    (report,) = json.loads(run("verify", "mixed.keras", "mixed.py", "--json")[0])["outputs"]
    assert report["tolerance"] == pytest.approx(2 ** (-bits * 2 / 3))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_verify_words(run: Run, dtype: str) -> None:
    """Random inputs stay inside the tables that they are looked up in."""
    words, image = keras.Input((7,), name="words", dtype=dtype), keras.Input((2,), name="image")
    y = L.Flatten()(L.Embedding(3, 4)(words))
    keras.Model([image, words], L.Concatenate()([image, y])).save("words.keras")
    _, err = run("export", "words.keras", "--verify")
    assert err.startswith("verified against Keras: ")
    run("verify", "words.keras", "words.py", "--seed", "5")


def test_export_a_live_model(run: Run) -> None:
    """From memory, into a path or a stream."""
    model = randomize(small())
    result = kerasgen.export(model, "net.py", verify=True)
    assert (result.module, result.unverified, len(result.outputs)) == (Path("net.py"), "", 1)
    stream = io.BytesIO()
    result = kerasgen.export(model, stream, verify=True)
    assert (result.module, result.unverified, len(result.outputs)) == (None, "", 1)
    assert stream.getvalue() == Path("net.py").read_bytes()
    (report,) = kerasgen.verify(model, "net.py").outputs
    assert report.ok
    assert kerasgen.inspect(model).parameters == model.count_params()
    with pytest.raises(kerasgen.InvalidModelError):
        kerasgen.export(3, "other.py")
