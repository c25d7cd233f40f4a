"""What fooled the proof once: errors that the inputs, the softmax or the tolerance hid, and right modules refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from cases import CASES
from command import Run, altered
from false_alarms import SHORT, alarms, case
from keras import layers as L
from support import SHARED_MODELS, randomize

import kerasgen
from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.layers import RULES
from kerasgen.verification.compare import compare
from kerasgen.verification.steps import FACTOR, Walk, Witness, is_near

# ---------------------------------------------------------------- altered modules


def net(scale: float, offset: float = 0.0) -> Any:
    """A network for pixels from 0 to 255."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1), name="image"),
            L.Rescaling(scale, offset, name="scaled"),
            L.Conv2D(8, 3, activation="relu", name="first"),
            L.MaxPooling2D(2, name="pool"),
            L.Conv2D(8, 3, activation="relu", name="second"),
            L.Flatten(name="flat"),
            L.Dense(10, activation="softmax", name="scores"),
        ]
    )


def every_filter(weights: dict[str, np.ndarray], name: str = "first/kernel") -> Any:
    """A kernel with its output channels as the first axis."""
    array = weights[name]
    return np.moveaxis(array, -1, 0)


def scaled(by: float) -> Callable[[dict[str, np.ndarray]], None]:
    return lambda weights: every_filter(weights).__imul__(by)


def flipped_row(weights: dict[str, np.ndarray]) -> None:
    every_filter(weights)[2].reshape(-1)[:3] *= -1


MUTANTS: dict[str, Callable[[dict[str, np.ndarray]], Any]] = {
    "first kernel * 1.05": scaled(1.05),
    "first kernel * 1.2": scaled(1.2),
    "sign of a filter": lambda weights: every_filter(weights)[2].__imul__(-1),
    "sign of a row of a filter": flipped_row,
    "a filter is zero": lambda weights: every_filter(weights)[2].__imul__(0),
    "two filters swapped": lambda weights: every_filter(weights).__setitem__([2, 3], every_filter(weights)[[3, 2]]),
    "second biases flipped": lambda weights: weights["second/bias"].__imul__(-1),
    "second biases zero": lambda weights: weights["second/bias"].__imul__(0),
    "second biases swapped": lambda weights: weights["second/bias"].__setitem__([0, 1], weights["second/bias"][[1, 0]]),
    "logits' bias flipped": lambda weights: weights["scores/bias"].__imul__(-1),
}


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("nets")
    paths = {"0 to 1": folder / "unsigned.keras", "-1 to 1": folder / "signed.keras"}
    for (_, path), settings in zip(paths.items(), ((1 / 255, 0.0), (1 / 127.5, -1.0)), strict=True):
        randomize(net(*settings)).save(path)
        kerasgen.export(path, path.with_suffix(".py"), verify=True)
    return paths


@pytest.mark.parametrize("mutant", MUTANTS)
@pytest.mark.parametrize("name", ["0 to 1", "-1 to 1"])
def test_an_altered_module_is_caught(nets: dict[str, Path], tmp_path: Path, name: str, mutant: str) -> None:
    """Whatever the inputs have to be for that."""
    module = tmp_path / "net.py"
    module.write_bytes(nets[name].with_suffix(".py").read_bytes())
    altered(module, MUTANTS[mutant])
    verification = kerasgen.verify(nets[name], module)
    assert not verification.ok
    assert verification.divergence is not None
    assert verification.divergence.stage == "weights"


def saturated() -> Any:
    """One score is so much larger than the others that nothing else shows after the softmax."""
    model = randomize(
        keras.Sequential([keras.Input((6,)), L.Dense(4, name="hidden"), L.Dense(5, "softmax", name="last")])
    )
    kernel, bias = model.layers[-1].get_weights()
    bias[1] = 80
    model.layers[-1].set_weights([kernel, bias])
    return model


def test_a_layer_behind_whose_softmax_all_is_flat(run: Run) -> None:
    """It counts as a failure though the outputs are equal, in every report."""
    saturated().save("net.keras")
    run("export", "net.keras", "--verify")
    altered(Path("net.py"), lambda weights: weights["last/kernel"].__imul__(1.01))
    out, _ = run("verify", "net.keras", "net.py", "--junit", "report.xml", code=1)
    output, why = out.splitlines()
    assert re.match(r"ok last: error \S+e-3\d of", output)
    assert why.startswith("first wrong layer: last (Dense)")
    assert "last/kernel" in why
    text = Path("report.xml").read_text()
    assert 'failures="1"' in text
    assert "last/kernel" in text
    report = json.loads(run("verify", "net.keras", "net.py", "--json", code=1)[0])
    assert (report["ok"], report["outputs"][0]["ok"], report["divergence"]["layer"]) == (False, True, "last")


def test_a_rule_behind_whose_softmax_all_is_flat(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither is what is built of it published."""

    def rule(layer: Any, x: Any, _rule: Any = RULES["Dense"]) -> Any:
        return _rule(layer, layer.emit(np.multiply, x, 1.01))

    monkeypatch.setitem(RULES, "Dense", rule)
    saturated().save("net.keras")
    line = run.fails(1, "export", "net.keras")
    assert "first wrong layer: hidden (Dense)" in line
    assert not Path("net.py").exists()


def test_a_layer_that_another_one_hides(run: Run) -> None:
    """An error of a thousandth in the middle, where the output is constant."""
    x = keras.Input((6,), name="x")
    y = L.Dense(4, name="hidden")(x)
    model = randomize(keras.Model(x, L.Dense(2, name="last")(L.Lambda(lambda z: z * 0.0, name="mute")(y))))
    model.save("net.keras")
    custom = {"mute": muted}
    kerasgen.export("net.keras", "net.py", verify=False, custom=custom)
    altered(Path("net.py"), lambda weights: weights["hidden/kernel"].__imul__(1.001))
    verification = kerasgen.verify(model, "net.py", custom=custom)
    assert all(report.ok for report in verification.outputs)
    assert verification.divergence is not None
    assert verification.divergence.layer == "hidden"


def muted(x):  # type: ignore[no-untyped-def] # it is copied into a module
    return x * 0.0


# ---------------------------------------------------------------- right modules


def cancelling() -> Any:
    """Statistics that subtract large numbers from large numbers, as with unscaled images."""
    image = keras.Input((16, 16, 3), name="image")
    x = L.BatchNormalization(name="norm")(L.Conv2D(8, 3, name="conv")(image))
    x = L.Conv2D(4, 3, name="next")(L.ReLU(name="relu")(x))
    model = randomize(keras.Model(image, x))
    kernel, _ = model.get_layer("conv").get_weights()
    columns = kernel.reshape(-1, 8).astype("float64")
    norm = model.get_layer("norm")
    norm.moving_mean.assign(3e4 * columns.sum(axis=0))
    norm.moving_variance.assign(1 + 0 * columns.sum(axis=0))
    model.get_layer("conv").set_weights([kernel, np.zeros(8, "float32")])
    return model


@pytest.fixture
def cancelled(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model, its module, and inputs of which float32 keeps few digits."""
    cancelling().save(tmp_path / "net.keras")
    kerasgen.export(tmp_path / "net.keras", tmp_path / "net.py", verify=False)
    images = 3e4 + np.random.RandomState(0).standard_normal((2, 16, 16, 3))
    np.save(tmp_path / "images.npy", images.astype("float32"))
    return tmp_path / "net.keras", tmp_path / "net.py", tmp_path / "images.npy"


def test_rounding_is_explained(cancelled: tuple[Path, Path, Path]) -> None:
    """By the distance of Keras itself from float64, although it is beyond our tolerance."""
    path, module, images = cancelled
    (report,) = kerasgen.verify(path, module, inputs=images).outputs
    assert report.ok
    assert report.relative > 1e-4
    assert report.rounding is not None
    assert "off float64" in str(report)
    assert report.relative <= report.tolerance < 0.5
    assert not kerasgen.verify(path, module, inputs=images, tolerance=1e-4).ok


@pytest.mark.parametrize(("name", "factor"), [("conv/kernel", 1.01), ("next/kernel", 1.001), ("next/bias", 1.01)])
def test_rounding_is_no_excuse(cancelled: tuple[Path, Path, Path], name: str, factor: float) -> None:
    """Alterations are caught on the same inputs."""
    path, module, images = cancelled
    altered(module, lambda weights: weights[name].__imul__(factor))
    verification = kerasgen.verify(path, module, inputs=images)
    assert not verification.ok
    assert verification.divergence is not None
    assert verification.divergence.culprit == name


def u_net() -> Any:
    def twice(x: Any, filters: int) -> Any:
        for _ in range(2):
            x = L.ReLU()(L.BatchNormalization()(L.Conv2D(filters, 3, padding="same")(x)))
        return x

    image = keras.Input((32, 32, 3), name="image")
    ways, x = [], image
    for filters in (8, 16, 32):
        x = twice(x, filters)
        ways.append(x)
        x = L.MaxPooling2D()(x)
    x = twice(x, 64)
    for filters, way in zip((32, 16, 8), reversed(ways), strict=True):
        x = L.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = twice(L.Concatenate()([x, way]), filters)
    return keras.Model(image, L.Conv2D(1, 1, activation="sigmoid", name="mask")(x))


def autoencoder() -> Any:
    x = image = keras.Input((28, 28, 1), name="image")
    for filters in (16, 8):
        x = L.MaxPooling2D(2, padding="same")(L.Conv2D(filters, 3, activation="relu", padding="same")(x))
    for filters in (8, 16):
        x = L.UpSampling2D(2)(L.Conv2D(filters, 3, activation="relu", padding="same")(x))
    return keras.Model(image, L.Conv2D(1, 3, activation="sigmoid", padding="same", name="decoded")(x))


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh", "random"])
@pytest.mark.parametrize("make", [u_net, autoencoder])
def test_no_false_alarm(make: Callable[[], Any], fresh: bool, tmp_path: Path) -> None:
    """At the edge, on unscaled pixels, and where the output saturates."""
    model = make() if fresh else randomize(make())
    model.save(tmp_path / "net.keras")
    kerasgen.export(tmp_path / "net.keras", tmp_path / "net.py", verify=True)
    pixels = np.random.RandomState(0).randint(0, 256, (3, *model.input_shape[1:]))
    for inputs in ("edge", [pixels]):
        verification = kerasgen.verify(tmp_path / "net.keras", tmp_path / "net.py", inputs=inputs)
        assert verification.ok, verification


@pytest.mark.skipif(not SHARED_MODELS.exists(), reason="no models of others here")
@pytest.mark.parametrize("name", ["didayolo_autoencoder.h5", "thedim0n_generator-v0.1.h5"])
def test_no_false_alarm_on_models_of_others(name: str, tmp_path: Path) -> None:
    path = SHARED_MODELS / "wild" / name
    kerasgen.export(path, tmp_path / "net.py", verify=True)
    module = kerasgen.emit.load.load_module(tmp_path / "net.py")
    shapes = [(2, *(64 if size is None else size for size in shape[1:])) for _, shape, _ in module.INPUTS]
    pixels = [np.random.RandomState(0).randint(0, 256, shape).astype("float32") for shape in shapes]
    for inputs in ("edge", pixels):
        verification = kerasgen.verify(path, tmp_path / "net.py", inputs=inputs)
        assert verification.ok, verification


@pytest.mark.parametrize("name", SHORT)
def test_no_false_alarm_in_short(name: str) -> None:
    """Cases that once were false alarms, and layers of each kind: `python tests/false_alarms.py`."""
    with np.errstate(all="ignore"):  # large numbers overflow, as they do in Keras
        assert list(alarms(case(CASES[name]))) == []


def test_edges_that_keras_cannot_answer(run: Run) -> None:
    x = keras.Input((1, 1), name="x")
    keras.Model(x, keras.ops.inv(x)).save("net.keras")
    run("export", "net.keras", "--verify")
    verification = kerasgen.verify("net.keras", "net.py", inputs="edge")
    assert verification.ok
    assert verification.unanswered == ("zeros",)
    assert "zeros" not in {report.given for report in verification.outputs}
    out, _ = run("verify", "net.keras", "net.py", "--inputs", "edge")
    assert "not compared: zeros, which Keras cannot answer" in out


# ---------------------------------------------------------------- the rule itself


def test_numbers_that_are_flushed_to_zero() -> None:
    """Numbers below the smallest normal one, as in TensorFlow."""
    assert compare("y", np.float32([0, 2e-38]), np.float32([1e-38, 2e-38])).ok
    assert not compare("y", np.float32([0, 2e-38]), np.float32([1.2e-38, 2e-38])).ok
    assert not compare("y", np.float16([0, 1e-4]), np.float16([5e-5, 1e-4])).ok


def variance(x: Any, window: Any) -> Any:
    mean = np.sum(x * window, axis=-1)
    return np.sum(x * x * window, axis=-1) - mean * mean


def test_a_window_that_does_not_quite_add_up() -> None:
    """Errors of many weights cancel, unless they are the same."""
    x = 100 + np.random.RandomState(0).standard_normal((1, 10_000)).astype("float32")
    window = np.full(10_000, 1e-4, "float32")
    witness = Witness([Node(("y",), variance, ("x", "w"))], {"x": x}, {"w": window}, ("y",))
    assert witness.exact is not None
    off = variance(x.astype("float64"), window.astype("float64") * (1 + 2.0**-23))
    assert abs(off - witness.exact["y"])[0] < 2 * witness.spread("y", 2.0**-23)


def chain(*nodes: Node, weights: dict[str, np.ndarray] | None = None) -> Graph:
    return Graph((Value("x", (None, 4), "float32"),), nodes, nodes[-1].outputs, weights or {}).check()


def test_each_step_starts_from_what_was_offered() -> None:
    """So that an error does not follow into the next step, nor hide there."""
    graph = chain(
        Node(("a",), np.multiply, ("x", 2.0)), Node(("b",), np.add, ("a", 1.0)), Node(("c",), np.subtract, ("b", 1.0))
    )
    x = np.ones((1, 4), "float32")
    walk = Walk(graph, [x])
    assert walk.offer(("a",), [2.00002 * x]) is None
    assert walk.offer(("b",), [3.00002 * x]) is None
    fault = walk.offer(("c",), [2.01 * x])
    assert fault is not None
    assert (fault.names, list(fault.read)) == (("c",), ["b"])
    assert np.allclose(fault.right["c"], 2.00002)


def test_values_are_kept_no_longer_than_they_are_read() -> None:
    nodes = [Node((f"y{i + 1}",), np.multiply, (f"y{i}" if i else "x", 1.5)) for i in range(20)]
    walk = Walk(chain(*nodes), [np.ones((1, 4), "float32")])
    for index in range(20):
        walk.offer((f"y{index + 1}",), [np.full((1, 4), 1.5 ** (index + 1), "float32")])
        assert len(walk.values) <= 2


def test_an_input_that_is_handed_on() -> None:
    """It is still there after its last reader has run."""
    x = np.ones((1, 4), "float32")
    for given, ok in ((x, True), (1.01 * x, False)):
        walk = Walk(chain(Node(("a",), np.multiply, ("x", 2.0))), [x])
        assert walk.offer(("a",), [2 * x]) is None
        assert (walk.offer(("x",), [given]) is None) is ok


def test_whole_numbers_are_equal_unless_float64_differs() -> None:
    graph = chain(Node(("a",), np.multiply, ("x", 0.1)), Node(("y",), np.floor, ("a",)), Node(("z",), cast, ("y",)))
    for x, ok in ((np.float32([[1, 2, 3, 30]]), True), (np.float32([[1, 2, 3, 34]]), False)):
        got = np.floor(x * 0.1).astype("int32")
        got[0, 3] = 2
        assert (Walk(graph, [x]).offer(("z",), [got]) is None) is ok


def cast(x: Any) -> Any:
    return x.astype("int32")


def test_a_cast_of_what_the_dtype_does_not_have() -> None:
    """Its result depends on the processor; that of a number in range does not."""
    graph = chain(Node(("y",), kernels.cast, ("x",), {"dtype": "int8"}))
    x = np.float32([[1, 300, -300, 1e6]])
    right = np.array([[1, 127, -128, 0]], "int8")
    for column, ok in ((0, False), (1, True), (2, True), (3, True)):
        got = right.copy()
        got[0, column] = 17
        assert (Walk(graph, [x]).offer(("y",), [got]) is None) is ok


def test_infinities_of_float16() -> None:
    """They stand for numbers too large for float16, if Keras computes in it."""
    graph = chain(Node(("y",), np.multiply, ("x", 2.0)))
    x = np.float32([[1, 40000, -40000, 30000]])
    for overflow, by_keras, inside, ok in (
        ([2, np.inf, -np.inf, 60000], True, ("float16",), True),
        ([2, np.inf, -np.inf, 60000], False, ("float16",), False),
        ([2, np.inf, -np.inf, 60000], True, (), False),
        ([2, np.inf, np.inf, 60000], True, ("float16",), False),
        ([2, np.inf, -np.inf, np.inf], True, ("float16",), False),
    ):
        walk = Walk(graph, [x], keras=by_keras)
        assert (walk.offer(("y",), [np.float32([overflow])], inside) is None) is ok


def test_whether_there_is_a_number_at_all() -> None:
    """The logarithm of a number that is 0 up to rounding may be NaN; that of 1 may not."""
    graph = chain(
        Node(("a",), np.multiply, ("x", 3.0)), Node(("b",), np.subtract, ("a", 3.0)), Node(("y",), np.log, ("b",))
    )
    x = np.float32([[1 + 1e-7, 2, 3, 4]])
    right = np.log(x * 3 - 3)
    for column, ok in ((0, True), (1, False)):
        got = right.copy()
        got[0, column] = np.nan
        assert (Walk(graph, [x]).offer(("y",), [got]) is None) is ok


def test_kernels_that_cancel_inside() -> None:
    """Rounding costs more in them than errors of their operands show."""
    images = np.ones((1, 4, 4, 1), "float32")
    window = np.full((3, 3), np.float32(1 / 9))
    node = Node(("y",), kernels.ssim, ("x", "z", "w"))
    for off, ok in ((1e-3, True), (2e-3, False)):
        witness = Witness([node], {"x": images, "z": images}, {"w": window}, ("y",))
        report = compare("y", np.float32([1 - off]), np.float32([1]))
        assert witness.report(report, np.float32([1 - off])).ok is ok


def test_the_witness_asks_nobody() -> None:
    """The error allowed depends on the step alone: one rounding of large numbers that cancel."""
    node = Node(("y",), np.subtract, ("x", "w"))
    x, w = np.float32([[1e4 + 0.25, 1e4 + 0.25]]), np.float32([1e4 - 0.75, 1e4 - 1.75])
    witness = Witness([node], {"x": x}, {"w": w}, ("y",))
    assert witness.exact is not None
    assert witness.exact["y"].tolist() == [[1, 2]]
    spread = witness.spread("y", 2.0**-23)
    assert 2.0**-23 * 1e3 < spread < 2.0**-23 * 3e4
    assert FACTOR * spread < 0.05


@pytest.mark.parametrize(
    ("got", "near"),
    [
        ([1.0, 2.0], True),
        ([1.0, 2.00001], True),
        ([1.0, 2.001], False),
        ([1.0, float("nan")], False),
        ([1.0], False),
    ],
)
def test_the_fast_look(got: list[float], near: bool) -> None:
    assert is_near(np.float32(got), np.float32([1, 2]), 2e-5) is near
    assert is_near(np.float32([0, 0]), np.float32([0, 0]), 2e-5)
    assert not is_near(np.float32([np.nan]), np.float32([np.nan]), 2e-5)  # the slow one knows that these are equal
