"""Modules as programs: the files that they read and write, and what they print."""

from __future__ import annotations

import csv
import io
import json
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pairs import Pair
from support import randomize, relative_error
from test_labels import MODELS, NAMES

import kerasgen
from kerasgen.emit.load import load_module

RANDOM = np.random.RandomState(0)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a module, once."""
    folder = tmp_path_factory.mktemp("programs")

    def get(name: str, **options: Any) -> Path:
        path = folder / ("_".join([name, *options]) + ".py")
        if not path.exists():
            randomize(MODELS[name]()).save(folder / "model.keras")
            kerasgen.export(folder / "model.keras", path, verify=False, **options)
        return path

    return get


@pytest.fixture
def program(
    programs: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., tuple[str, str]]]:
    """Runs a module as a program, in this process and an empty folder; stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGPIPE)

    def run(path: Path, *arguments: Any, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        ended: Any = 0
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as error:
            ended = error.code
        out, err = capsys.readouterr()
        assert ended == code, err
        return out, err

    yield run
    signal.signal(signal.SIGPIPE, before)


TABLE = np.round(RANDOM.standard_normal((3, 6)), 3).astype("float32")
LINES = "\n".join(",".join(map(str, row)) for row in TABLE.tolist())
LISTS = json.dumps(TABLE.tolist())


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def picture(array: Any, kind: str = "png", mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = PIL.Image.fromarray(np.asarray(array, "uint8"))
    (image.convert(mode) if mode else image).save(file, kind)
    return file.getvalue()


FORMS: dict[str, bytes] = {
    "x.npy": npy(TABLE),
    "x.npz": npz(image=TABLE, other=TABLE[:1]),
    "other.npz": npz(other=TABLE),
    "x.csv": LINES.encode(),
    "header.csv": f"\ufeffa,b,c,d,e,\u9ce5\r\n{LINES}\r\n\r\n".encode(),
    "x.json": LISTS.encode(),
    "names.json": f' {{"image": {LISTS}}}'.encode(),
    "x": LISTS.encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_a_table(name: str, program: Any, programs: Any) -> None:
    Path(name).write_bytes(FORMS[name])
    program(programs("table"), name, "-o", "y.npy")
    np.testing.assert_array_equal(np.load("y.npy"), load_module(programs("table")).predict(TABLE))


@pytest.mark.parametrize("name", ["x.npz", "x.csv", "x.png"])
def test_stdin(name: str, programs: Any, tmp_path: Path) -> None:
    """From a pipe, and from a file that is stdin."""
    pixels = np.arange(80).reshape(8, 10)
    data = picture(pixels) if name == "x.png" else FORMS[name]
    path, x = (programs("grey"), pixels.reshape(1, 8, 10, 1)) if name == "x.png" else (programs("table"), TABLE)
    (tmp_path / name).write_bytes(data)
    outputs = []
    for settings in ({"input": data}, {"stdin": open(tmp_path / name, "rb")}):  # noqa: SIM115
        command = [sys.executable, "-W", "error", path, "-", "-o", "-"]
        done = subprocess.run(command, capture_output=True, check=False, **settings)  # type: ignore[call-overload]
        assert (done.returncode, done.stderr) == (0, b"")
        outputs.append(np.load(io.BytesIO(done.stdout)))
    settings["stdin"].close()
    for output in outputs:
        np.testing.assert_array_equal(output, load_module(path).predict(x))


@pytest.mark.parametrize(
    ("model", "content", "shape"),
    [
        ("table", npy(TABLE[0]), (1, 6)),
        ("table", b"[1, 2, 3, 4, 5, 6]", (1, 6)),
        ("table", b"1,2,3,4,5,6", (1, 6)),
        ("rgb", npy(np.ones((8, 10, 3))), (1, 8, 10, 3)),
        ("open", npy(np.ones((4, 5, 3))), (1, 4, 5, 3)),
        ("grey", npy(np.ones((8, 10))), (1, 8, 10, 1)),
        ("grey", npy(np.ones((8, 10, 1))), (1, 8, 10, 1)),
        ("grey", npy(np.ones((4, 80))), (4, 8, 10, 1)),
        ("flat", npy(np.ones((8, 10))), (1, 8, 10)),
        ("flat", npy(np.ones((2, 80))), (2, 8, 10)),
        ("bytes", ",".join(["7"] * 48).encode(), (1, 4, 4, 3)),
        ("bytes", b",".join([b"7.0"] * 48), (1, 4, 4, 3)),
    ],
)
def test_the_only_reading(model: str, content: bytes, shape: Any, program: Any, programs: Any) -> None:
    Path("x").write_bytes(content)
    program(programs(model), "x", "-o", "y.npy")
    module = load_module(programs(model))
    array = module.read_file("x")
    np.testing.assert_array_equal(np.load("y.npy"), module.predict(np.reshape(array, shape)))


@pytest.mark.parametrize("kind", ["png", "bmp", "webp", "gif", "tiff", "jpeg", "ppm"])
def test_images(kind: str, program: Any, programs: Any) -> None:
    """Several are one batch, whatever their sizes."""
    path = programs("rgb", preprocess="tf", labels=NAMES)
    module = load_module(path)
    small, large = RANDOM.randint(0, 256, (5, 4, 3)), RANDOM.randint(0, 256, (16, 30, 3))
    pixels = []
    for name, array in (("small", small), ("large", large)):
        Path(name).write_bytes(picture(array, kind))
        with PIL.Image.open(name) as image:
            pixels.append(np.array(image.convert("RGB")))
    program(path, "small", "large", "-o", "y.npy")
    expected = module.predict(np.concatenate([module.preprocess(image) for image in pixels]))
    np.testing.assert_array_equal(np.load("y.npy"), expected)


def test_images_of_other_modes(program: Any, programs: Any) -> None:
    path = programs("rgb", preprocess="tf", labels=NAMES)
    module = load_module(path)
    pixels = RANDOM.randint(0, 256, (8, 10, 4)).astype("uint8")
    for mode in ("L", "LA", "RGBA", "P", "1", "CMYK"):
        Path("x.png").write_bytes(picture(pixels, "tiff" if mode == "CMYK" else "png", mode))
        with PIL.Image.open("x.png") as image:
            assert image.mode == mode
            x = module.preprocess(np.array(image.convert("RGBA"))[..., :3])
        program(path, "x.png", "-o", "y.npy")
        assert relative_error(np.load("y.npy"), module.predict(x)) < 1e-6


def test_images_and_arrays_of_bytes_are_prepared_and_nothing_else(program: Any, programs: Any) -> None:
    path = programs("grey", preprocess="1/255,0")
    module = load_module(path)
    pixels = RANDOM.randint(0, 256, (8, 10, 1)).astype("uint8")
    Path("x.png").write_bytes(picture(pixels[..., 0]))
    Path("bytes.npy").write_bytes(npy(pixels))
    Path("input.npy").write_bytes(npy(pixels.astype("float32")))
    for name, x in (("x.png", pixels / 255), ("bytes.npy", pixels / 255), ("input.npy", pixels)):
        program(path, name, "-o", "y.npy")
        assert relative_error(np.load("y.npy"), module.predict(x[np.newaxis])) < 1e-6


def test_classes_are_printed(program: Any, programs: Any) -> None:
    path = programs("rgb", preprocess="tf", labels=NAMES)
    module = load_module(path)
    for name in ("one.png", "two.png"):
        Path(name).write_bytes(picture(RANDOM.randint(0, 256, (8, 10, 3))))
    x = np.concatenate([module.preprocess(module.read_file(name)) for name in ("one.png", "two.png")])
    lines = [", ".join(f"{label} {p:.3g}" for label, p in best) for best in module.classify(x)]
    assert program(path, "one.png", "two.png")[0] == f"one.png: {lines[0]}\ntwo.png: {lines[1]}\n"
    assert program(path, "two.png")[0] == f"two.png: {lines[1]}\n"
    np.save("both.npy", x)
    assert program(path, "both.npy")[0] == f"0: {lines[0]}\n1: {lines[1]}\n"


def test_forms_of_outputs(program: Any, programs: Any) -> None:
    path, module = programs("table"), load_module(programs("table"))
    y = module.predict(TABLE)
    np.save("x.npy", TABLE)
    for name in ("y.npy", "y.npz", "y.csv", "y.JSON", "y"):
        assert program(path, "x.npy", "-o", name) == ("", "")
    np.testing.assert_array_equal(np.load("y.npy"), y)
    np.testing.assert_array_equal(np.load("y"), y)
    np.testing.assert_array_equal(np.load("y.npz")["probs"], y)
    np.testing.assert_array_equal(np.array(json.loads(Path("y.JSON").read_text())).astype("float32"), y)
    with open("y.csv", newline="") as file:
        np.testing.assert_array_equal(np.array(list(csv.reader(file))).astype("float32"), y)


def test_forms_of_several_inputs_and_outputs(program: Any, programs: Any) -> None:
    path, module = programs("heads", labels=NAMES), load_module(programs("heads", labels=NAMES))
    left, right = RANDOM.standard_normal((2, 4)), RANDOM.standard_normal((2, 3))
    y = module.predict(left, right)
    Path("both.json").write_text(json.dumps({"right": right.tolist(), "left": left.tolist()}))
    Path("both.npz").write_bytes(npz(right=right, left=left))
    Path("ordered.npz").write_bytes(npz(a=left, b=right))
    np.save("left.npy", left)
    np.save("right.npy", right)
    for files in (["both.json"], ["both.npz"], ["ordered.npz"], ["left.npy", "right.npy"]):
        program(path, *files, "-o", "y.npz")
        program(path, *files, "-o", "y.json")
        for name, array in y.items():
            np.testing.assert_array_equal(np.load("y.npz")[name], array)
            np.testing.assert_array_equal(np.array(json.loads(Path("y.json").read_text())[name]), array)
    assert program(path, "both.npz")[0].splitlines()[1].startswith("1: ")
    for name in ("y.csv", "new.npy"):
        _, err = program(path, "both.npz", "-o", name, code=2)
        assert "holds one array, not 2" in err
    for files in ([], ["left.npy"], ["left.npy", "right.npy", "left.npy"]):
        assert "takes 2 files" in program(path, *files, code=2)[1]


WRONG: dict[str, tuple[bytes, str]] = {
    "missing.npy": (b"", "No such file"),
    "empty.csv": (b" \n", "holds no numbers"),
    "header.csv": (b"a,b,c,d,e,f\n", "holds no numbers"),
    "words.csv": (b"1,2,3,4,5,6\n1,2,3,4,5,six\n", "six"),
    "short.csv": (b"1,2,3\n", "'image' takes the shape"),
    "uneven.csv": (b"1,2,3,4,5,6\n1,2\n", "columns"),
    "bad.json": (b"[1, 2", "Expecting"),
    "word.json": (b'["a"]', "'image' takes float32"),
    "deep.json": (b"[[[[1]]]]", "'image' takes the shape"),
    "names.json": (b'{"a": [1], "b": [2]}', "holds a, b; the inputs are image"),
    "cut.npz": (FORMS["x.npz"][:-30], "cut.npz: cannot be read"),
    "cut.npy": (FORMS["x.npy"][:-3], "cut.npy: cannot be read"),
    "noise.png": (b"\x89PNG" + bytes(range(256)), "nor an image that Pillow can read"),
    "cut.png": (picture(np.zeros((80, 100)))[:-30], "cut.png: cannot be read"),
    "large.png": (picture(np.zeros((80, 100))), "'image' takes the shape"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_with_something_else(name: str, program: Any, programs: Any) -> None:
    content, message = WRONG[name]
    if content:
        Path(name).write_bytes(content)
    out, err = program(programs("table"), name, code=1)
    assert out == ""
    assert err.startswith(f"table.py: {name}: ")
    assert err.endswith("\n")
    assert len(err.splitlines()) == 1
    assert message in err


def test_files_that_make_no_batch(program: Any, programs: Any) -> None:
    for name, size in (("a.png", (5, 5, 3)), ("b.png", (5, 6, 3))):
        Path(name).write_bytes(picture(np.zeros(size)))
    assert "b.png: holds (5, 6, 3), a.png (5, 5, 3)" in program(programs("open"), "a.png", "b.png", code=1)[1]


def test_deep_colours_are_refused(program: Any, programs: Any) -> None:
    PIL.Image.fromarray(np.zeros((8, 10), "uint16")).save("x.png")
    assert "x.png: cannot be read: holds an image of more than 8 bits" in program(programs("grey"), "x.png", code=1)[1]


def test_without_pillow(program: Any, programs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.png").write_bytes(picture(np.zeros((8, 10))))
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.delitem(sys.modules, "PIL.Image")
    _, err = program(programs("grey"), "x.png", code=1)
    assert err == "grey.py: x.png: cannot be read: holds neither arrays nor text; to read images, install Pillow\n"


def test_a_module_without_them_has_nothing_of_them(programs: Any) -> None:
    text = programs("grey").read_text()
    assert not any(word in text for word in ("LABELS", "def classify", "def preprocess", "fit_images", "def resize"))


# ---------------------------------------------------------------- old Pythons


def test_on_old_pairs(programs: Any, pairs: list[Pair], tmp_path: Path) -> None:
    """What needs no Pillow gives the same there."""
    path = programs("rgb", preprocess="torch", labels=NAMES)
    module = load_module(path)
    images = RANDOM.randint(0, 256, (2, 13, 7, 3)).astype("uint8")
    x = module.preprocess(images)
    np.save(tmp_path / "images.npy", images)
    np.savetxt(tmp_path / "x.csv", x.reshape(2, -1), delimiter=",", header="cells")
    (tmp_path / "x.json").write_text(json.dumps(x.tolist()))
    for pair in pairs:
        done = pair.run(path, tmp_path / "images.npy")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"0: {module.classify(x)[0][0][0]} ")
        for given, written in (("x.csv", "y.json"), ("x.json", "y.csv")):
            done = pair.run(path, tmp_path / given, "-o", tmp_path / written)
            assert (done.returncode, done.stderr) == (0, "")
        y = module.predict(x)
        assert relative_error(np.loadtxt(tmp_path / "y.csv", delimiter=","), y) < 1e-5
        assert relative_error(json.loads((tmp_path / "y.json").read_text()), y) < 1e-5
        (tmp_path / "uneven.json").write_text("[[1, 2], [3]]")
        done = pair.run(path, tmp_path / "uneven.json")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
