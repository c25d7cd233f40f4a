"""Generated modules: what they promise to whoever imports, runs, copies, zips or damages them."""

from __future__ import annotations

import ast
import compileall
import io
import os
import py_compile
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L
from support import randomize, relative_error, run_python

from kerasgen.api import generate
from kerasgen.emit.load import load_module
from kerasgen.emit.weights import NPZ
from kerasgen.planning.options import Options
from kerasgen.readers import read
from kerasgen.verification.compare import flat
from kerasgen.verification.inputs import random_inputs

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.py"))
IMPORTS = set("binascii collections contextlib hashlib io math numpy os queue sys threading time weakref".split())
INSIDE = {
    "PIL.Image",
    "argparse",
    "ctypes",
    "json",
    "mmap",
    "platform",
    "signal",
    "subprocess",
    "tempfile",
    "warnings",
    "zipfile",
}  # what only the command line and the self-test need


# ---------------------------------------------------------------- modules


def classifier() -> Any:
    image = keras.Input((8, 8, 3), name="image")
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="conv")(image)
    x = L.BatchNormalization(name="norm")(L.DepthwiseConv2D(3, name="depthwise")(x))
    x = L.Dense(5, activation="softmax", name="probs")(L.Flatten(name="flat")(x))
    return keras.Model(image, x)


def two_heads() -> Any:
    """Its outputs have the names of NumPy's and Python's own arguments."""
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate(name="both")([left, right])
    return keras.Model([left, right], [L.Dense(2, name="file")(y), L.Dense(3, name="self")(y)])


def named_heads() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([left, right])
    return keras.Model({"left": left, "right": right}, {"b": L.Dense(2, name="p")(y), "a": L.Dense(3, name="q")(y)})


def any_size() -> Any:
    image = keras.Input((None, None, 3), name="image")
    return keras.Model(image, L.GlobalAveragePooling2D()(L.Conv2D(4, 3, strides=2, padding="same")(image)))


def no_weights() -> Any:
    """What goes in comes out, and half of it, too."""
    x = keras.Input((4,), name="x1")
    return keras.Model(x, [L.Dropout(0.5, name="same")(x), L.Cropping1D(1)(L.Reshape((4, 1))(x))])


def bytes_in() -> Any:
    x = keras.Input((6,), name="pixels", dtype="uint8")
    return keras.Model(x, L.Dense(2)(L.Rescaling(1 / 255)(x)))


MODELS: dict[str, Callable[[], Any]] = {
    f.__name__: f for f in (classifier, two_heads, named_heads, any_size, no_weights, bytes_in)
}


@dataclass(frozen=True)
class Made:
    """A model, its file and its module."""

    model: Any
    path: Path
    module: ModuleType


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Makes the module of a model, once."""
    folder = tmp_path_factory.mktemp("made")
    known: dict[str, Made] = {}

    def get(name: str) -> Made:
        if name not in known:
            model = randomize(MODELS[name]())
            model.save(folder / f"{name}.keras")
            path = folder / f"{name}.py"
            with open(path, "wb") as file:
                generate(read(folder / f"{name}.keras"), Options(activations=True)).write(file)
            known[name] = Made(model, path, load_module(path))
        return known[name]

    return get


@pytest.fixture
def copy(made: Callable[[str], Made], tmp_path: Path) -> Callable[[str], Path]:
    """Copies a module to `net.py` in an empty folder."""

    def copied(name: str) -> Path:
        path = tmp_path / "net.py"
        path.write_bytes(made(name).path.read_bytes())
        return path

    return copied


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python that has NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    done = run_python("-m", "venv", "--without-pip", folder)
    assert done.returncode == 0, done.stderr
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    site = Path(run_python("-c", "import site; print(site.getsitepackages()[0])", python=str(python)).stdout.strip())
    source = Path(np.__file__).parent
    for package in (source, source.with_name("numpy.libs")):
        if package.exists():
            (site / package.name).symlink_to(package, target_is_directory=True)
    return str(python)


def inputs(module: ModuleType, batch: int = 3) -> list[np.ndarray]:
    arrays = random_inputs([(n, [16 if s is None else s for s in shape], d) for n, shape, d in module.INPUTS])
    return [np.resize(array, (batch, *array.shape[1:])) for array in arrays]


def listed(result: Any) -> list[np.ndarray]:
    return (
        list(result.values()) if isinstance(result, dict) else list(result) if isinstance(result, tuple) else [result]
    )


# ---------------------------------------------------------------- a process of its own


def test_only_numpy(bare: str, copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    code = "import sys, net; print(*{name.partition('.')[0] for name in sys.modules})"
    done = run_python("-W", "error", "-c", code, cwd=path.parent, python=bare)
    assert (done.returncode, done.stderr) == (0, "")
    known = {"numpy", "net", "__main__", "__mp_main__", "sitecustomize"}  # the last one is part of Debian's Python
    foreign = set(done.stdout.split()) - set(sys.stdlib_module_names) - known
    assert not {name for name in foreign if not name.startswith("_")}
    assert run_python("-c", "import h5py", python=bare).returncode == 1


def test_shell(bare: str, copy: Callable[[str], Path], made: Callable[[str], Made]) -> None:
    path, (array,) = copy("classifier"), inputs(made("classifier").module)
    np.save(path.parent / "in.npy", array)
    done = run_python(path, "in.npy", "-o", "out.npy", cwd=path.parent, python=bare)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert relative_error(np.load(path.parent / "out.npy"), made("classifier").model(array)) < 1e-5
    done = run_python(path, "in.npy", cwd=path.parent, python=bare)
    assert done.returncode == 0
    assert done.stdout.startswith("'probs' (3, 5) float32\n[[")


@pytest.mark.parametrize("name", ["two_heads", "named_heads"])
def test_shell_many(name: str, copy: Callable[[str], Path], made: Callable[[str], Made]) -> None:
    path, module = copy(name), made(name).module
    arrays = inputs(module)
    for (input_name, _, _), array in zip(module.INPUTS, arrays, strict=True):
        np.save(path.parent / f"{input_name}.npy", array)
    done = run_python(path, "left.npy", "right.npy", "--output", "out.npz", cwd=path.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    with np.load(path.parent / "out.npz", allow_pickle=False) as npz:
        assert npz.files == [output for output, _, _ in module.OUTPUTS]
        for output, expected in zip(npz.files, listed(module.predict(*arrays)), strict=True):
            assert relative_error(npz[output], expected) < 1e-6
    assert run_python(path, "left.npy", cwd=path.parent).returncode == 2


@pytest.mark.parametrize("name", ["classifier", "two_heads"])
def test_shell_to_stdout(name: str, copy: Callable[[str], Path], made: Callable[[str], Made]) -> None:
    path, module = copy(name), made(name).module
    arrays = inputs(module)
    for number, array in enumerate(arrays):
        np.save(path.parent / f"{number}.npy", array)
    before = sorted(path.parent.iterdir())
    command = [sys.executable, path, *(f"{number}.npy" for number in range(len(arrays))), "-o", "-"]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    loaded: Any = np.load(io.BytesIO(done.stdout), allow_pickle=False)
    got = [loaded] if name == "classifier" else [loaded[output] for output, _, _ in module.OUTPUTS]
    for array, expected in zip(got, listed(module.predict(*arrays)), strict=True):
        np.testing.assert_array_equal(array, expected)
    assert sorted(path.parent.iterdir()) == before
    done = subprocess.run(
        " ".join(map(str, command)) + " >&-", shell=True, cwd=path.parent, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, b"net.py: [Errno 9] Bad file descriptor\n")


def test_shell_help(copy: Callable[[str], Path]) -> None:
    done = run_python(copy("two_heads"), "--help")
    assert done.returncode == 0
    for words in ("'left' (None, 4) float32", "'right' (None, 3) float32", "'file' (None, 2) float32", "out.npy"):
        assert words in " ".join(done.stdout.split())


def test_shell_errors(copy: Callable[[str], Path], made: Callable[[str], Made]) -> None:
    path, (array,) = copy("classifier"), inputs(made("classifier").module)
    folder = path.parent
    np.save(folder / "good.npy", array)
    np.save(folder / "shape.npy", array[..., :2])
    np.save(folder / "words.npy", np.array(["a"]))
    np.save(folder / "objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez(folder / "arrays.npz", array, array)
    (folder / "text.npy").write_text("1, 2")
    (folder / "empty.npy").touch()
    (folder / "cut.npy").write_bytes((folder / "good.npy").read_bytes()[:-10])
    before = sorted(folder.iterdir())
    for name, says in {
        "shape.npy": "'image'",
        "words.npy": "'image'",
        "objects.npy": "objects.npy",
        "arrays.npz": "arrays.npz",
        "text.npy": "text.npy",
        "empty.npy": "empty.npy",
        "cut.npy": "cut.npy",
        "missing.npy": "missing.npy",
    }.items():
        done = run_python(path, name, "-o", "out.npy", cwd=folder)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("net.py: ")
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert says in done.stderr
    done = run_python(path, "good.npy", "-o", "nowhere/out.npy", cwd=folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert sorted(folder.iterdir()) == before


# ---------------------------------------------------------------- predict


def test_contract(made: Callable[[str], Made]) -> None:
    module = made("two_heads").module
    assert module.INPUTS == (("left", (None, 4), "float32"), ("right", (None, 3), "float32"))
    assert module.OUTPUTS == (("file", (None, 2), "float32"), ("self", (None, 3), "float32"))
    module = made("any_size").module
    assert module.INPUTS == (("image", (None, None, None, 3), "float32"),)


@pytest.mark.parametrize("name", ["two_heads", "named_heads"])
def test_by_name(name: str, made: Callable[[str], Made]) -> None:
    module = made(name).module
    left, right = inputs(module)
    for given in (module.predict(left=left, right=right), module.predict(left, right=right)):
        for got, expected in zip(listed(given), listed(module.predict(left, right)), strict=True):
            np.testing.assert_array_equal(got, expected)
    with pytest.raises(TypeError):
        module.predict(left)
    with pytest.raises(TypeError):
        module.predict(left, right, left)
    with pytest.raises(TypeError):
        module.predict(left, wrong=right)


def test_kind_of_result(made: Callable[[str], Made]) -> None:
    for name, kind in (("classifier", np.ndarray), ("two_heads", tuple), ("named_heads", dict), ("no_weights", tuple)):
        module = made(name).module
        assert type(module.predict(*inputs(module))) is kind
    module = made("named_heads").module
    assert list(module.predict(*inputs(module))) == ["b", "a"] == [name for name, _, _ in module.OUTPUTS]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch", [0, 1, 5])
def test_batches(name: str, batch: int, made: Callable[[str], Made]) -> None:
    module = made(name).module
    arrays = inputs(module, batch)
    results = listed(module.predict(*arrays))
    for result, (_, shape, dtype) in zip(results, module.OUTPUTS, strict=True):
        assert result.shape == (batch, *shape[1:])
        assert result.dtype == dtype
    if batch:
        keys = [array.name for array in made(name).model.inputs]
        given = dict(zip(keys, arrays, strict=True)) if len(keys) > 1 else arrays[0]
        answer = made(name).model(given if name == "named_heads" else arrays if len(arrays) > 1 else arrays[0])
        answers = list(answer.values()) if isinstance(answer, dict) else answer if len(results) > 1 else [answer]
        for result, expected in zip(results, answers, strict=True):
            assert relative_error(result, expected) < 1e-5


def test_other_dtypes(made: Callable[[str], Made]) -> None:
    module = made("two_heads").module
    left, right = np.array([[1, 0, 0, 1]]), np.array([[0, 1, 1]])
    expected = listed(module.predict(left.astype("float32"), right.astype("float32")))
    for dtype in ("float64", "float16", "int8", "uint64", "bool", ">f8"):
        for got, array in zip(listed(module.predict(left.astype(dtype), right.astype(dtype))), expected, strict=True):
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got, array)
    for got, array in zip(listed(module.predict(left.tolist(), right.tolist())), expected, strict=True):
        np.testing.assert_array_equal(got, array)
    strided = np.asfortranarray(np.ones((5, 8), "float32"))[::2, ::2]
    for got, array in zip(
        listed(module.predict(strided, np.ones((3, 3)))),
        listed(module.predict(strided.copy(), np.ones((3, 3)))),
        strict=True,
    ):
        np.testing.assert_array_equal(got, array)


@pytest.mark.parametrize(
    "wrong",
    [
        np.array([["a", "b", "c", "d"]]),
        np.array([[b"a", b"b", b"c", b"d"]]),
        np.ones((1, 4), complex),
        np.ones((1, 4), object),
        np.ones((1, 4), "datetime64[s]"),
        None,
        "word",
        np.ones(4),
        np.ones((1, 5)),
        np.ones((4, 1)),
        np.ones((1, 4, 1)),
        np.float32(1),
    ],
    ids=lambda value: f"{getattr(value, 'dtype', value)} {getattr(value, 'shape', '')}",
)
def test_wrong_input(wrong: Any, made: Callable[[str], Made]) -> None:
    module = made("two_heads").module
    for answer in (module.predict, module.activations):
        with pytest.raises(ValueError, match="'left'"):
            answer(wrong, np.ones((1, 3)))


def two_images() -> Any:
    """Large enough for threads to share the batch."""
    left, right = keras.Input((48, 48, 3), name="left"), keras.Input((48, 48, 3), name="right")
    y = L.Add()([L.Conv2D(64, 3, padding="same", name="a")(left), L.Conv2D(64, 3, padding="same", name="b")(right)])
    return keras.Model([left, right], L.GlobalMaxPooling2D()(L.Conv2D(16, 3, padding="same", name="c")(y)))


def two_series() -> Any:
    left, right = keras.Input(batch_shape=(14, 5, 4), name="left"), keras.Input(batch_shape=(14, 5, 2), name="right")
    return keras.Model([left, right], L.LSTM(3, stateful=True)(L.Concatenate()([left, right])))


@pytest.mark.parametrize("make", [two_heads, named_heads, two_images, two_series])
def test_unequal_batches(make: Callable[[], Any], tmp_path: Path) -> None:
    model = randomize(make())
    model.save(tmp_path / "model.keras")
    with open(tmp_path / "net.py", "wb") as file:
        generate(read(tmp_path / "model.keras"), Options(activations=make is not two_images)).write(file)
    module = load_module(tmp_path / "net.py")
    shares = re.search(r"share_batch\(predict, \d+, left, right\)", (tmp_path / "net.py").read_text())
    assert bool(shares) == (make is two_images)
    left, right = inputs(module, 14)
    expected = flat(model([left, right] if make is not named_heads else {"left": left, "right": right}))
    more = np.concatenate([right, right[:7]])
    for answer in filter(None, (module.predict, getattr(module, "activations", None))):
        for arrays, sizes in (((left, more), (14, 21)), ((left[:0], right), (0, 14)), ((left, right[:1]), (14, 1))):
            said = "the inputs differ in their number of samples: 'left' has {}, 'right' has {}".format(*sizes)
            with pytest.raises(ValueError, match=f"^{said}$"):
                answer(*arrays)
            with pytest.raises(ValueError, match=f"^{said}$"):
                answer(right=arrays[1], left=arrays[0])
    for got, wanted in zip(listed(module.predict(left, right)), expected, strict=True):  # no state was left
        assert relative_error(got, wanted) < 1e-5


def test_one_input_is_not_compared_with_others(made: Callable[[str], Made]) -> None:
    assert "check_batch(INPUTS, left, right)" in made("two_heads").path.read_text()
    assert "check_batch" not in made("classifier").path.read_text()


def test_integers_must_fit(made: Callable[[str], Made]) -> None:
    module = made("bytes_in").module
    ones = np.full((2, 6), 200)
    np.testing.assert_array_equal(module.predict(ones), module.predict(ones.astype("uint8")))
    for wrong in (ones + 100, -ones, ones / 3, ones.astype("float32")):
        with pytest.raises(ValueError, match="'pixels'"):
            module.predict(wrong)


@pytest.mark.parametrize("name", MODELS)
def test_pure(name: str, made: Callable[[str], Made]) -> None:
    """No input or weight is written to, or returned so that the caller could write to it."""
    module = load_module(made(name).path)
    weights = list(getattr(module, "W", {}).values())
    arrays = inputs(module)
    for array in (*arrays, *weights):
        array.setflags(write=False)
    first = [array.copy() for array in listed(module.predict(*arrays))]
    results = [*listed(module.predict(*arrays)), *module.activations(*arrays).values()]
    for result in results:
        assert not any(np.shares_memory(result, array) for array in weights)
        if result.flags.writeable and not any(np.shares_memory(result, array) for array in arrays):
            result[...] = 7
    for again, array in zip(listed(module.predict(*arrays)), first, strict=True):
        np.testing.assert_array_equal(again, array)


def test_activations(made: Callable[[str], Made]) -> None:
    """Every layer's output is that of Keras."""
    one = made("classifier")
    (array,) = inputs(one.module)
    answers = one.module.activations(array)
    layers = [layer for layer in one.model.layers if not isinstance(layer, L.InputLayer)]
    assert {layer.name for layer in layers} <= set(answers)
    expected = keras.Model(one.model.inputs, [layer.output for layer in layers])([array])
    for layer, answer in zip(layers, expected, strict=True):
        assert relative_error(answers[layer.name], answer) < 1e-5
    np.testing.assert_allclose(answers["probs"], one.module.predict(array), rtol=1e-5)


# ---------------------------------------------------------------- the file


def predicts(folder: Path, name: str = "net", *, before: str = "pass") -> str:
    """Import the module in a process of its own and predict; its error, if any."""
    code = f"import numpy as np; {before}; import {name}; print({name}.predict(np.ones((2, 8, 8, 3))).shape)"
    done = run_python("-W", "error", "-c", code, cwd=folder)
    assert done.returncode == 0 or "Traceback" in done.stderr
    assert done.returncode != 0 or done.stdout == "(2, 5)\n"
    return done.stderr


def test_inside_an_archive(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path.with_name("app.zip"), "w", compression) as archive:
            archive.write(path, "inside.py")
            archive.write(path, "package/inside.py")
            archive.writestr("package/__init__.py", "")
        assert predicts(path.parent, "inside", before="import sys; sys.path.insert(0, 'app.zip')") == ""
        assert predicts(path.parent, "package.inside", before="import sys; sys.path.insert(0, 'app.zip')") == ""


def test_line_ends_of_windows(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert predicts(path.parent) == ""


def test_compiled(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    for mode in (py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.UNCHECKED_HASH):
        assert compileall.compile_dir(path.parent, quiet=2, force=True, invalidation_mode=mode)
        assert predicts(path.parent) == ""
    (compiled,) = path.parent.rglob("*.pyc")
    assert path.read_bytes().splitlines()[-1].strip(b"# ") not in compiled.read_bytes()  # no second copy of the weights


def test_run_in_other_ways(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    np.save(path.parent / "in.npy", np.ones((2, 8, 8, 3), "float32"))
    archive = path.with_name("app.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(path, "__main__.py")
    code = "import runpy, numpy; print(runpy.run_path('net.py')['predict'](numpy.ones((2, 8, 8, 3))).shape)"
    assert run_python("-c", code, cwd=path.parent).stdout == "(2, 5)\n"
    for command in (["-m", "net"], ["net.py"], ["app.zip"], ["-O", "net.py"], ["-I", "net.py"]):
        done = run_python(*command, "in.npy", cwd=path.parent)
        assert done.stderr == ""
        assert done.stdout.startswith("'probs' (2, 5) float32\n")


def test_edited_by_hand(copy: Callable[[str], Path]) -> None:
    """Code may be changed; and an editor that ends the file in its own way does no harm."""
    path = copy("classifier")
    text = path.read_text(encoding="utf-8")
    for changed in (f"# mine\n{text}", text + "\n", text + "\n\n", text.rstrip("\n"), text + " \n"):
        path.write_text(changed, encoding="utf-8")
        assert load_module(path).predict(np.ones((2, 8, 8, 3))).shape == (2, 5)


def damaged(text: str) -> Iterator[str]:
    """Modules whose weights were cut or edited."""
    code, marker, rest = text.partition(NPZ)
    lines, quotes, rest = rest.partition('"""')
    middle = len(lines) // 2
    letter = "A" if lines[middle] != "A" else "B"
    for changed in (
        "",
        "\n",
        lines[:-20],
        lines[:middle],
        lines[:middle] + letter + lines[middle + 1 :],
        lines[:middle] + lines[middle + 1 :],
        lines[:middle] + 5 * "!" + lines[middle + 1 :],
        lines[:middle] + 3 * "\n" + lines[middle:],
        "\n".join(lines.splitlines()[::-1]) + "\n",
        "no weights at all\n",
    ):
        yield code + marker + changed + quotes + rest


def test_damaged_weights(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    texts = list(damaged(path.read_text(encoding="utf-8")))
    assert len(set(texts)) == len(texts)
    for number, text in enumerate(texts):
        path = path.with_name(f"net{number}.py")
        path.write_text(text, encoding="utf-8")
        last = predicts(path.parent, path.stem).splitlines()[-1]
        assert last.startswith("OSError: "), (number, last)
        assert "the weights in the module cannot be read" in last, number


def test_sidecar(tmp_path: Path, made: Callable[[str], Made]) -> None:
    """It is found from any folder; missing, changed or another model's it is refused by name."""
    module = generate(read(made("classifier").path.with_suffix(".keras")), Options(sidecar="net.npz"))
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "net.npz").write_bytes(module.npz)
    with open(folder / "net.py", "wb") as file:
        module.write(file)
    assert predicts(folder) == ""
    assert predicts(tmp_path, before="import sys; sys.path.insert(0, 'place')") == ""
    for data in (module.npz[:-1], module.npz + b"\0", bytes([module.npz[0] ^ 1]) + module.npz[1:], b""):
        (folder / "net.npz").write_bytes(data)
        last = predicts(folder).splitlines()[-1]
        assert last.startswith("OSError: ")
        assert "net.npz does not belong to this module" in last
    (folder / "net.npz").unlink()
    last = predicts(folder).splitlines()[-1]
    assert last == f"OSError: net.npz, which holds the weights, is missing: put it into {folder}"


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_source(path: Path) -> None:
    """Python 3.7 parses it; it imports what is light, and does nothing else when it is imported."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 7))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= IMPORTS | INSIDE
        assert not isinstance(node, (ast.ImportFrom, ast.Global, ast.Nonlocal))
    top = [name for node in tree.body if isinstance(node, ast.Import) for name in node.names]
    assert {alias.name for alias in top} <= IMPORTS
    calls = [node for node in tree.body if not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Import))]
    called = {
        child.func.id
        for node in calls
        for child in ast.walk(node)
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name)
    }
    layouts = {"conv_matrix", "merge_groups", "winograd_filters", "tile", "winograd_tile"}
    learning = {"SGD", "Adam", "RMSprop"}
    assert called <= {
        "read_embedded",
        "read_sidecar",
        "globals",
        "main",
        "thread_count",
        "has_blas",
        "decode_weights",
        "ThreadMemory",
        "ThreadPool",
        "Processes",
        "Team",
        *layouts,
        *learning,
    }
    assert max(map(len, text.splitlines())) <= 120


def test_import_has_no_side_effects(copy: Callable[[str], Path]) -> None:
    path = copy("classifier")
    state = "(dict(os.environ), numpy.geterr(), os.getcwd(), sys.path[:])"
    code = f"import os, sys, numpy; old = {state}; import net; assert old == {state}"
    done = run_python("-B", "-W", "error", "-c", code, cwd=path.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(path.parent.iterdir()) == [path]
