"""Modules without NumPy: what they promise to whoever runs them, on each interpreter. Parity is in test_parity.py."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from interpreters import NAMES, command
from keras import layers as L
from support import ROOT, randomize, relative_error

import kerasgen
from kerasgen import kernels
from kerasgen.emit.load import load_module
from kerasgen.graph.facts import FACTS
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.lowering import RULES, lower
from kerasgen.lowering.limits import check_limits
from kerasgen.lowering.moves import grid_of
from kerasgen.pure_kernels import lists, window

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
IMAGES = np.arange(128, dtype="float32").reshape(2, 8, 8, 1) * 7 % 17
EVERYWHERE = pytest.mark.parametrize("name", NAMES)
Model = Callable[..., Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's module: with its weights inside, and with a file beside it."""
    folder = tmp_path_factory.mktemp("pure")
    kerasgen.export(DIGITS, folder / "digits.py", target="pure", verify=False)
    kerasgen.export(DIGITS, folder / "board.py", target="pure", store="sidecar", verify=False)
    (folder / "in.json").write_text(json.dumps(IMAGES.tolist()))
    return folder


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    """What the NumPy module answers."""
    answer: np.ndarray = kerasgen.load(DIGITS, verify=False).predict(IMAGES)
    return answer


@pytest.fixture
def saved(tmp_path: Path) -> Model:
    """Saves a model of a layer or a function."""

    def save(shape: tuple[int | None, ...], make: Callable[[Any], Any]) -> Path:
        x = keras.Input(shape, name="image")
        path = tmp_path / "model.keras"
        randomize(keras.Model(x, make(x))).save(path)
        return path

    return save


def run(name: str, *arguments: str, folder: Path, given: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(name), *arguments], cwd=folder, input=given, text=True, capture_output=True, check=False, timeout=120
    )


# -------------------------------------------------------------------- in a shell, on each interpreter


@EVERYWHERE
@pytest.mark.parametrize("module", ["digits.py", "board.py"])
def test_selftest(name: str, module: str, folder: Path) -> None:
    done = run(name, module, "--selftest", folder=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("ok 'digit'")


@EVERYWHERE
def test_json(name: str, folder: Path, expected: np.ndarray) -> None:
    done = run(name, "digits.py", "in.json", folder=folder)
    assert relative_error(np.array(json.loads(done.stdout), "float32"), expected) < 1e-6
    again = run(name, "board.py", "-", folder=folder, given=json.dumps({"image": IMAGES.tolist()}))
    assert again.stdout == done.stdout


@EVERYWHERE
@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "usage: digits.py in.json"),
        (["a", "b"], 2, "usage: digits.py in.json"),
        (["-"], 1, "input 'image' takes float32 of the shape (None, 8, 8, 1)"),
        (["none.json"], 1, "digits.py: "),
    ],
)
def test_wrong_use(name: str, arguments: list[str], code: int, text: str, folder: Path) -> None:
    done = run(name, "digits.py", *arguments, folder=folder, given="[[1, 2]]")
    assert done.returncode == code
    assert text in done.stderr


@EVERYWHERE
def test_selftest_finds_a_changed_weight(name: str, folder: Path, tmp_path: Path) -> None:
    lines = (folder / "digits.py").read_text().splitlines(keepends=True)
    line = lines.index('WEIGHTS = """\n') + 5
    lines[line] = lines[line][::-1].replace("\n", "", 1) + "\n"
    (tmp_path / "digits.py").write_text("".join(lines))
    done = run(name, "digits.py", "--selftest", folder=tmp_path)
    assert done.returncode == 1
    assert "WRONG 'digit'" in done.stdout


def test_the_sidecar_must_belong_to_the_module(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "board.py").write_bytes((folder / "board.py").read_bytes())
    (tmp_path / "board.bin").write_bytes((folder / "board.bin").read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(kerasgen.ParityError, match=r"board\.bin does not belong to this module"):
        load_module(tmp_path / "board.py")


def test_memory_of_micropython(folder: Path) -> None:
    """The example runs in 256 KB; with less than its weights take it cannot."""
    script = "import board, gc; print(len(board.predict([[1.0] * 64])[0])); gc.collect(); print(gc.mem_alloc())"
    done = run("micropython", "-X", "heapsize=256k", "-c", script, folder=folder)
    assert done.stdout.split()[0] == "10", done.stderr
    assert int(done.stdout.split()[1]) < 128 * 1024  # weights and code
    small = run("micropython", "-X", "heapsize=80k", "-c", script, folder=folder)
    assert small.returncode != 0


# -------------------------------------------------------------------- from Python


def test_predict_takes_what_is_at_hand(folder: Path, expected: np.ndarray) -> None:
    module = load_module(folder / "digits.py")
    for given in (IMAGES, IMAGES.tolist(), list(IMAGES), IMAGES.reshape(2, 64), tuple(IMAGES.reshape(2, 64).tolist())):
        assert relative_error(np.array(module.predict(given), "float32"), expected) < 1e-6
    assert module.predict([]) == []
    one = module.predict_sample(IMAGES[0].ravel().tolist())
    assert one == module.predict(IMAGES[:1])[0]
    for wrong in (3, [3], [[1, 2]], IMAGES[:, :7], [["a"] * 64], None):
        with pytest.raises(ValueError, match=r"input 'image' takes float32 of the shape"):
            module.predict(wrong)


def test_names_that_the_module_needs_itself(tmp_path: Path) -> None:
    """Inputs and layers that are called as kernels; several inputs and outputs, by name."""
    a, b = keras.Input((4,), name="dense"), keras.Input((4,), name="dot")
    x = L.Dense(4, name="blocks")(L.Add(name="add")([a, b]))
    outputs = {"floats": L.Dense(2, name="relu", activation="relu")(x), "answer": L.Add(name="grid")([x, a])}
    model = randomize(keras.Model([a, b], outputs))
    module = kerasgen.load(model, target="pure", verify=True)
    arrays = [np.random.RandomState(seed).rand(3, 4).astype("float32") for seed in (1, 2)]
    got = module.predict(*arrays)
    assert sorted(got) == ["answer", "floats"]
    for name, answer in model(arrays).items():
        assert relative_error(np.array(got[name], "float32"), answer) < 1e-6
    with pytest.raises(ValueError, match="'dense_2' has 3, 'dot' has 2"):
        module.predict(arrays[0], arrays[1][:2])


def test_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    kerasgen.export(DIGITS, tmp_path / "digits.py", target="pure", verify=False)
    assert (tmp_path / "digits.py").read_bytes() == (folder / "digits.py").read_bytes()


@pytest.mark.parametrize("setting", ["activations", "gradients", "max_memory"])
def test_what_needs_numpy(setting: str, tmp_path: Path) -> None:
    value = kerasgen.GradientOptions() if setting == "gradients" else 10**6
    with pytest.raises(kerasgen.UsageError, match=f"a module without NumPy has no `{setting}`"):
        kerasgen.export(DIGITS, tmp_path / "m.py", target="pure", **{setting: value})
    with pytest.raises(kerasgen.UsageError, match="target is one of numpy, pure, not 'c'"):
        kerasgen.export(DIGITS, tmp_path / "m.py", target="c")


# -------------------------------------------------------------------- what does not fit


def test_every_layer_in_the_way_is_named(saved: Model, tmp_path: Path) -> None:
    def make(x: Any) -> Any:
        x = L.ConvLSTM1D(2, 2, name="one")(x)
        return L.UpSampling1D(name="two")(keras.ops.cumsum(x, axis=1))

    path = saved((3, 5, 2), make)
    with pytest.raises(kerasgen.UnsupportedModelError) as caught:
        kerasgen.export(path, tmp_path / "m.py", target="pure", verify=False)
    assert caught.value.exit_code == 4
    assert "unsupported without NumPy: one (ConvLSTM1D): the kernel conv_lstm" in str(caught.value)
    assert "(ops.Cumsum): the kernel cumsum has no counterpart without NumPy" in str(caught.value)
    assert not (tmp_path / "m.py").exists()


def test_open_sizes(saved: Model, tmp_path: Path) -> None:
    with pytest.raises(kerasgen.UnsupportedModelError, match=r"image: it leaves a size open"):
        kerasgen.export(saved((None, 3), L.Conv1D(2, 2)), tmp_path / "m.py", target="pure", verify=False)


def test_limits(saved: Model, tmp_path: Path) -> None:
    path = saved((256, 256, 3), lambda x: L.Conv2D(2, 1, name="small")(L.Conv2D(32, 3, name="large")(x)))
    with pytest.raises(kerasgen.UnsupportedModelError) as caught:
        kerasgen.export(path, tmp_path / "m.py", target="pure", verify=False)
    assert "59,870,848 multiply-adds for one sample, 50,000,000 at most; 55,741,824 of them in large (Conv2D)" in str(
        caught.value
    )
    x = Value("x", (None, 4), "float32")
    nodes = [Node(("y",), kernels.dense, ("x", "w"), layer="wide")]
    wide = Graph((x,), tuple(nodes), ("y",), {"w": np.zeros((4, 600_000), "float32")}, ("y",))
    with pytest.raises(
        kerasgen.UnsupportedModelError, match=r"9,600,000 bytes of weights, 8,000,000 at most.* in wide"
    ):
        check_limits(lower(wide), "wide.h5", {"wide": "Dense"})


# -------------------------------------------------------------------- compared


def test_verify(folder: Path, tmp_path: Path) -> None:
    """By Keras: the module as it is, with another line, and with other weights."""
    text = (folder / "digits.py").read_text()
    assert kerasgen.verify(DIGITS, folder / "digits.py").ok
    path = tmp_path / "damaged.py"
    path.write_text(text.replace("0.0 if v < 0 else v", "0.5 if v < 0 else v"))
    found = kerasgen.verify(DIGITS, path)
    assert not found.ok
    assert found.divergence is not None
    assert (found.divergence.layer, found.divergence.stage) == ("strokes", "emitter")
    assert found.divergence.culprit.startswith("x = conv2d(image, W['strokes/kernel']")
    path.write_text(text.replace("\n\n# For `python", '\nW["corners/bias"][3] += 1\n\n# For `python', 1))
    found = kerasgen.verify(DIGITS, path)
    assert found.divergence is not None
    assert found.divergence.fault == "the weights in the module: corners/bias differs from the model's"


@pytest.mark.parametrize("store", ["embedded", "sidecar"])
def test_check(store: str, folder: Path, tmp_path: Path) -> None:
    name, options = "digits" if store == "embedded" else "board", {"target": "pure", "store": store}
    assert not kerasgen.check(DIGITS, folder / f"{name}.py", **options)
    model = keras.saving.load_model(DIGITS, compile=False)
    model.get_layer("digit").bias.assign_add(np.eye(10, dtype="float32")[3])
    model.save(tmp_path / "other.keras")
    found = kerasgen.check(tmp_path / "other.keras", folder / f"{name}.py", **options)
    (line,) = found.weights
    assert line == "digit/bias: 1 of 10 numbers change, by 1 at most"
    assert not any(len(text) > 200 for text in found.code)
    assert kerasgen.check(DIGITS, folder / f"{name}.py").code  # of the other target


# -------------------------------------------------------------------- kernels and rules


def test_rules_are_of_kernels_that_exist() -> None:
    assert RULES.keys() <= FACTS.keys() | {kernel for kernel in RULES if isinstance(kernel, np.ufunc)}


@pytest.mark.parametrize("dot", [lists.dot, lists.dot_by_index, lists.dot_by_map])
def test_dot(dot: Callable[..., float]) -> None:
    assert dot([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]) == 32.0
    assert dot([], []) == 0


def test_windows() -> None:
    image = np.arange(4 * 5 * 2, dtype=float).reshape(1, 4, 5, 2)
    for strides, dilation, pads in (((1, 1), (1, 1), None), ((2, 1), (1, 2), ((1, 0), (0, 2)))):
        x = image if pads is None else kernels.pad(image, pads=pads)
        right = kernels.conv2d(x, np.eye(12).reshape(2, 3, 2, 12), strides=strides, dilation=dilation)
        got = list(window.windows(image.ravel().tolist(), (4, 5, 2), (2, 3), strides, dilation, pads))
        assert got == right.reshape(-1, 12).tolist()


def test_aligned() -> None:
    a, b = np.arange(6.0).reshape(2, 1, 3), np.arange(4.0).reshape(4, 1)
    got = [v * w for v, w in lists.aligned(a.ravel().tolist(), b.ravel().tolist(), shapes=(a.shape, b.shape))]
    assert got == (a * b).ravel().tolist()
    assert list(map(tuple, lists.aligned(2.0, [1, 3], shapes=None))) == [(2.0, 1), (2.0, 3)]


@pytest.mark.parametrize(
    "move",
    [
        lambda x: x,
        lambda x: x.transpose(2, 0, 1),
        lambda x: x[::-1, 1:, ::2],
        lambda x: np.repeat(x, 2, axis=1),
        lambda x: np.tile(x, (1, 2, 1)),
        lambda x: x[1, 2],
        lambda x: x[:, :1] * 0 + np.arange(3)[:, None],
    ],
)
def test_grid_of(move: Callable[..., Any]) -> None:
    places = move(np.arange(24).reshape(2, 3, 4)).ravel()
    grid = grid_of(places)
    assert grid is not None
    assert lists.grid(grid.shape, grid.strides, grid.offset) == places.tolist()


def test_there_is_no_grid() -> None:
    assert grid_of(np.array([0, 1, 3, 7, 2, 5])) is None
