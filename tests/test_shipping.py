"""Ways of shipping a module: with the weights in it or beside it each works, or says in one line what to do."""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L
from pairs import kept, run
from pyodide import run_in_pyodide
from support import ROOT, randomize, relative_error, run_python, save

import kerasgen

STORES = ("embedded", "sidecar")
THREADS = {"KERASGEN_THREADS": "2", "OPENBLAS_NUM_THREADS": "1"}
SAVE = "import numpy; numpy.save('y.npy', {}(numpy.load('x.npy')))"
IMPORT = "import net; " + SAVE.format("net.predict")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `embedded` and `sidecar` with a module, net.py, that has buffers and shares its blocks among threads."""
    folder = tmp_path_factory.mktemp("shipped")
    x = image = keras.Input((32, 32, 3), name="image")
    for number in (1, 2):
        x = L.Conv2D(32, 3, padding="same", activation="relu", name=f"conv{number}")(x)
    x = L.Dense(4, activation="softmax", name="probs")(L.GlobalMaxPooling2D()(x))
    model = randomize(keras.Model(image, x))
    save(model, folder / "net.keras")
    array = np.random.RandomState(1).uniform(-1, 1, (5, 32, 32, 3)).astype("float32")
    np.save(folder / "answer.npy", model(array))
    for store in STORES:
        (folder / store).mkdir()
        kerasgen.export(folder / "net.keras", folder / store / "net.py", store=store, verify=False)
        np.save(folder / store / "x.npy", array)
    text = (folder / "embedded" / "net.py").read_text(encoding="utf-8")
    assert "buffers(" in text
    assert "share(" in text
    return folder


@pytest.fixture
def place(shipped: Path, store: str, tmp_path: Path) -> Path:
    """A folder with net.py, with net.npz if that is the store, and with the input, x.npy."""
    return shutil.copytree(shipped / store, tmp_path / "place")


@pytest.fixture
def right(shipped: Path, place: Path) -> Callable[..., None]:
    """Checks that a run went well and left the right answer, y.npy."""

    def check(done: subprocess.CompletedProcess[str], name: str = "y.npy") -> None:
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        assert relative_error(np.load(place / name), np.load(shipped / "answer.npy")) < 1e-5
        (place / name).unlink()

    return check


# ---------------------------------------------------------------- a Python at the other end


def zipped(place: Path, archive: str, *more: tuple[str, str]) -> None:
    """Put the module, with its sidecar, into an archive, with `more` files of these names and texts."""
    with zipfile.ZipFile(place / archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in place.glob("net.*"):
            file.write(path, path.name)
            path.unlink()
        for name, text in more:
            file.writestr(name, text)


def plain(place: Path) -> list[str]:
    return ["-c", IMPORT]


def without_asserts_and_docstrings(place: Path) -> list[str]:
    return ["-OO", "-c", IMPORT]


def program(place: Path) -> list[str]:
    return ["-OO", "net.py", "x.npy", "-o", "y.npy"]


def zipimport(place: Path) -> list[str]:
    zipped(place, "app.zip")
    return ["-c", f"import sys; sys.path.insert(0, 'app.zip'); {IMPORT}"]


def zipapp(place: Path) -> list[str]:
    zipped(place, "app.pyz", ("__main__.py", IMPORT))
    return ["app.pyz"]


def bytecode(place: Path) -> list[str]:
    """All that is left of net.py is net.pyc."""
    assert compileall.compile_file(place / "net.py", quiet=2, legacy=True)
    (place / "net.py").unlink()
    return ["-c", IMPORT]


def bytecode_program(place: Path) -> list[str]:
    bytecode(place)
    return ["net.pyc", "x.npy", "-o", "y.npy"]


def executed(names: dict[str, str]) -> list[str]:
    code = f"names = {names}; exec(open('net.py').read(), names); predict = names['predict']; {SAVE.format('predict')}"
    return ["-c", code]


def exec_without_names(place: Path) -> list[str]:
    return executed({})


def exec_with_names(place: Path) -> list[str]:
    return executed({"__name__": "net", "__file__": str(place / "net.py")})


def exec_in_a_program(place: Path) -> list[str]:
    """Whose arguments are not for the module."""
    (place / "main.py").write_text(f"exec(open('net.py').read())\n{SAVE.format('predict')}")
    return ["main.py", "--rows", "5"]


def spawn(place: Path) -> list[str]:
    lines = [
        "import multiprocessing, numpy, net",
        "if __name__ == '__main__':",
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:",
        "        numpy.save('y.npy', pool.map(net.predict, [numpy.load('x.npy')])[0])",
    ]
    (place / "main.py").write_text("\n".join(lines))
    return ["main.py"]


def joblib(place: Path) -> list[str]:
    call = "(joblib.Parallel(2)(joblib.delayed(net.predict)(part) for part in numpy.split(numpy.load('x.npy'), [2])))"
    return ["-c", f"import joblib, net, numpy; numpy.save('y.npy', numpy.concatenate{call})"]


def pickled(place: Path, code: str) -> list[str]:
    """The code pickles `predict` after a call, which has made buffers and threads; the other end has no net.py."""
    (place / "main.py").write_text(f"import cloudpickle, numpy\n{code}\nassert pool.calls and pool.threads")
    done = run_python("main.py", cwd=place, env={**os.environ, **THREADS})
    assert (done.returncode, done.stderr) == (0, "")
    for path in place.glob("net.*"):
        path.unlink()
    return ["-c", f"import pickle; predict = pickle.load(open('predict.pickle', 'rb')); {SAVE.format('predict')}"]


PICKLE = "predict(numpy.load('x.npy')); cloudpickle.dump(predict, open('predict.pickle', 'wb'))"


def pickle_of_executed(place: Path) -> list[str]:
    """As Databricks and Ray do it with what a notebook defines."""
    return pickled(place, f"exec(open('net.py').read()); {PICKLE}; pool = POOL")


def pickle_of_imported(place: Path) -> list[str]:
    return pickled(
        place,
        f"import net; cloudpickle.register_pickle_by_value(net); predict = net.predict; {PICKLE}; pool = net.POOL",
    )


def no_thread_can_start(place: Path) -> list[str]:
    """The stack that it asks for is larger than all memory."""
    code = f"import threading; threading.stack_size(2**60); {IMPORT}; assert net.POOL.calls and not net.POOL.threads"
    return ["-c", code]


WAYS = (
    plain,
    without_asserts_and_docstrings,
    program,
    zipimport,
    zipapp,
    bytecode,
    bytecode_program,
    exec_without_names,
    exec_with_names,
    exec_in_a_program,
    spawn,
    joblib,
    pickle_of_executed,
    pickle_of_imported,
    no_thread_can_start,
)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_way(way: Callable[[Path], list[str]], place: Path, right: Callable[..., None]) -> None:
    right(run_python(*way(place), cwd=place, env={**os.environ, **THREADS}))


@pytest.mark.parametrize("store", ["sidecar"])
def test_sidecar_is_missing(place: Path) -> None:
    """The line names the folder that it belongs into."""
    sidecar = place / "net.npz"
    sidecar.unlink()
    done = run_python("-c", IMPORT, cwd=place)
    assert done.stderr.splitlines()[-1] == f"OSError: net.npz, which holds the weights, is missing: put it into {place}"
    arguments = exec_in_a_program(place)
    done = run_python(*arguments, cwd=place)
    assert done.stderr == f"net.npz, which holds the weights, is missing: put it into {place}\n"
    arguments = zipapp(place)
    done = run_python(*arguments, cwd=place)
    assert done.stderr.splitlines()[-1].endswith(f"net.npz, which holds the weights, is missing: put it into {place}")


@pytest.mark.slow
@pytest.mark.parametrize("store", ["embedded"])
def test_dask(shipped: Path, place: Path, right: Callable[..., None]) -> None:
    """The workers get a module as a file, one with a sidecar as an archive of both."""
    with zipfile.ZipFile(place / "side.zip", "w") as archive:
        archive.writestr("side.py", (shipped / "sidecar" / "net.py").read_bytes())
        archive.write(shipped / "sidecar" / "net.npz", "net.npz")
    lines = [
        "import sys, numpy, distributed",
        "def answer(name, x):",
        "    return __import__(name).predict(x)",
        "if __name__ == '__main__':",
        "    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:",
        "        with distributed.Client(cluster) as client:",
        "            for name, file in (('net', '../files/net.py'), ('side', '../files/side.zip')):",
        "                client.upload_file(file)",
        "                numpy.save(name + '.npy', client.submit(answer, name, numpy.load('x.npy')).result())",
    ]
    (place / "main.py").write_text("\n".join(lines))
    files = place.with_name("files")
    files.mkdir()
    for name in ("net.py", "side.zip"):
        (place / name).rename(files / name)
    done = run_python("main.py", cwd=place)
    right(done, "net.npy")
    right(done, "side.npy")


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_pyodide(store: str, place: Path, right: Callable[..., None]) -> None:
    """Where the source is run by name of no file, and where it is imported; no thread can start there."""
    source = (place / "net.py").read_text(encoding="utf-8")
    right(run_in_pyodide(f"{source}\n{SAVE.format('predict')}\n{IMPORT}\nassert POOL.calls", place, **THREADS))
    if store == "sidecar":
        (place / "net.npz").unlink()
        done = run_in_pyodide(source, place)
        assert done.returncode == 1
        assert "net.npz, which holds the weights, is missing: put it into /here" in done.stderr


# ---------------------------------------------------------------- frozen programs


@pytest.fixture(scope="module")
def freezers() -> Path:
    """The folder of commands of an environment with the freezers and NumPy alone: they pack what else they find."""

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder, cwd=folder)
        pip = (folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        run(*pip, "numpy", "pyinstaller", "nuitka", "cx_Freeze", cwd=folder)

    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("the freezers need Linux and a C compiler here: apt-get install gcc")
    (ROOT / "build").mkdir(exist_ok=True)
    return kept(ROOT / "build" / f"freezers-{sys.version_info[0]}.{sys.version_info[1]}", install) / "bin"


def pyinstaller(commands: Path) -> list[object]:
    return [
        commands / "python",
        "-m",
        "PyInstaller",
        "--log-level=ERROR",
        "--distpath=..",
        "--add-data=packed.npz:.",
        "main.py",
    ]


def cx_freeze(commands: Path) -> list[object]:
    options = ("--target-dir=../main", "--include-files=packed.npz", "--silent")
    return [commands / "python", "-m", "cx_Freeze", "build", "--script=main.py", *options]


def nuitka(commands: Path) -> list[object]:
    """Without NumPy, which takes minutes to compile; files are looked for beside the program."""
    modules = [f"--follow-import-to={name}" for name in ("net", "packed", "loose")]
    options = ("--quiet", "--remove-output", "--lto=no", "--output-dir=../main", "--output-filename=main")
    return [commands / "python", "-m", "nuitka", *modules, *options, "--file-reference-choice=runtime", "main.py"]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["embedded"])
@pytest.mark.parametrize("freezer", [pyinstaller, cx_freeze, nuitka], ids=lambda freezer: freezer.__name__)
def test_frozen(
    freezer: Callable[[Path], list[object]], freezers: Path, shipped: Path, place: Path, right: Callable[..., None]
) -> None:
    """A program with three modules: one with its weights in it, one with its sidecar packed, one that has it beside."""
    source = (shipped / "sidecar" / "net.py").read_text(encoding="utf-8")
    sidecar = shipped / "sidecar" / "net.npz"
    for name in ("packed", "loose"):
        (place / f"{name}.py").write_text(source.replace("net.npz", f"{name}.npz"), encoding="utf-8")
    shutil.copy(sidecar, place / "packed.npz")
    names = ("net", "packed", "loose")
    lines = [f"import {name}, numpy; numpy.save('{name}.npy', {name}.predict(numpy.load('x.npy')))" for name in names]
    (place / "main.py").write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CCFLAGS", "-O0")  # Nuitka's C code compiles in a quarter of the time
        run(*freezer(freezers), cwd=place)
    program = place.with_name("main") / "main"
    for path in place.glob("*.py"):
        path.unlink()
    if freezer is nuitka:
        shutil.copy(sidecar, program.with_name("packed.npz"))
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def start() -> subprocess.CompletedProcess[str]:
        return subprocess.run([program], cwd=place, env=clean, capture_output=True, text=True, check=False, timeout=600)

    done = start()
    message = f"OSError: loose.npz, which holds the weights, is missing: put it into {program.parent}"
    assert message in done.stderr.splitlines()
    shutil.copy(sidecar, program.with_name("loose.npz"))
    done = start()
    for name in names:
        right(done, f"{name}.npy")
