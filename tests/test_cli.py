"""The command line: what goes to stdout and stderr, exit codes, and that a failure leaves nothing behind."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tokenize
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers as L
from support import randomize

import kerasgen
from kerasgen import api, cli
from kerasgen.emit import Module
from kerasgen.parity import load_module, random_inputs
from kerasgen.passes import optimize
from kerasgen.runtime import MARKER, EmbeddedFile

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")

HOSTILE = ["two\nlines", '"""', "'''", "{{ 7 * 7 }}", "{% raw %}", "\x1b[31mred", "\u202egnp.exe", "\\", "# x", "é\r"]


# ---------------------------------------------------------------- the files


class Odd(L.Layer):
    """A layer of the user's own."""

    def call(self, x: Any) -> Any:
        return x


def small(k: Any = keras) -> Any:
    layers = k.layers
    return k.Sequential(
        [
            layers.Input((6, 6, 1), name="image"),
            layers.Conv2D(2, 3, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="scores"),
        ]
    )


def counted() -> Any:
    return keras.Sequential(
        [
            keras.Input((8, 8, 3), name="image"),
            L.Conv2D(4, 3, strides=2, padding="same", name="conv"),
            L.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise"),
            L.Conv2DTranspose(3, 2, strides=2, name="up"),
            L.Flatten(name="flat"),
            L.Dense(5, name="dense"),
        ]
    )


MACS = {
    "conv": 4 * 4 * (3 * 3 * 3 * 4),  # windows x weights
    "depthwise": 2 * 2 * (3 * 3 * 4 * 2),
    "up": 2 * 2 * (2 * 2 * 3 * 8),  # cells of the input x weights
    "flat": 0,
    "dense": 4 * 4 * 3 * 5,
}


def two_inputs() -> Any:
    left, right = keras.Input((4,), name="left"), keras.Input((3,), name="right")
    y = L.Concatenate()([left, right])
    return keras.Model([left, right], [L.Dense(2, name="one")(y), L.Dense(3, name="two")(y)])


def unsupported(*layers: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), L.Dense(4, name="fine"), *layers, L.Dense(2, name="last")])


def hostile() -> Any:
    x = image = keras.Input((3,), name=HOSTILE[0])
    made = {}
    for name in HOSTILE:
        x = L.Dense(3, name=name + "layer")(x)
        made[name] = x
    return keras.Model(image, made, name="a\nmodel")


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of model files, good and bad."""
    folder = tmp_path_factory.mktemp("files")
    model = randomize(small())
    model.save(folder / "small.keras")
    model.save(folder / "small.h5")
    model.save_weights(folder / "small.weights.h5")
    (folder / "small.json").write_text(model.to_json())
    legacy = randomize(small(tf_keras))
    legacy.save_weights(folder / "legacy_weights.h5")
    (folder / "legacy.json").write_text(legacy.to_json())
    randomize(counted()).save(folder / "counted.keras")
    randomize(two_inputs()).save(folder / "two.keras")
    unsupported(L.Lambda(lambda x: x * 2, name="twice")).save(folder / "lambda.keras")
    unsupported(Odd(name="odd")).save(folder / "custom.keras")
    unsupported(L.Lambda(lambda x: x * 2, name="twice"), Odd(name="odd")).save(folder / "both.keras")
    randomize(hostile()).save(folder / "hostile.keras")
    (folder / "text.h5").write_text("no model\n")
    (folder / "page.keras").write_text("<!DOCTYPE html>\n<p>Not found</p>\n")
    (folder / "empty.h5").touch()
    for name in ("small.h5", "small.keras"):
        data = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(data[: len(data) // 2])
    (folder / "folder.h5").mkdir()
    return folder


# ---------------------------------------------------------------- running it


class Run:
    """The command line in this process, in an empty folder."""

    def __init__(self, files: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.files, self.folder, self.capsys = files, folder, capsys

    def __call__(self, *arguments: Any, code: int = 0) -> tuple[str, str]:
        """Stdout and stderr; the exit code must be this one."""
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as exit:
            cli.main([str(argument) for argument in arguments])
        out, err = self.capsys.readouterr()
        assert exit.value.code == code, err
        return out, err

    def fails(self, code: int, *arguments: Any) -> str:
        """The one line that a failure prints. It changes no file."""
        before = self.listing()
        out, err = self(*arguments, code=code)
        assert out == ""
        assert err.startswith("kerasgen: ")
        assert err.endswith("\n")
        assert len(err.splitlines()) == 1, err
        assert err.rstrip("\n").isprintable()
        assert self.listing() == before
        return err

    def listing(self) -> dict[Path, tuple[int, int]]:
        paths = [*self.files.rglob("*"), *self.folder.rglob("*")]
        return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


@pytest.fixture
def run(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(files, tmp_path, capsys)


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules come out with weights that are a little off."""

    def wrong(graph: Any, *passes: Any) -> Any:
        graph = optimize(graph, *passes)
        return replace(graph, weights={name: array * 1.01 for name, array in graph.weights.items()})

    monkeypatch.setattr(api, "optimize", wrong)


def shell(*arguments: Any, cwd: Path, **settings: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kerasgen", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        **settings,
    )


def script(text: str, *arguments: Any) -> list[str]:
    """A command that runs the command line after some Python."""
    code = f"import sys\n{text}\nfrom kerasgen.cli import main\nmain(sys.argv[1:])"
    return [sys.executable, "-c", code, *map(str, arguments)]


# ---------------------------------------------------------------- a process of its own


def test_export_in_a_shell(files: Path, tmp_path: Path) -> None:
    """The default: verified against Keras, whose logs do not show, the path alone on stdout."""
    done = shell("export", files / "small.keras", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "small.py\n")
    assert re.fullmatch(r"verified against Keras: largest error \S+ of the largest output\n", done.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["small.py"]


def test_error_in_a_shell(files: Path, tmp_path: Path) -> None:
    done = shell("export", files / "text.h5", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("kerasgen: ")
    assert len(done.stderr.splitlines()) == 1


LIGHT = "names = {'numpy', 'h5py', 'jinja2', 'black', 'tensorflow', 'keras', 'tf_keras'}"
ATEXIT = f"import atexit; {LIGHT}; atexit.register(lambda: print(*names & set(sys.modules), file=sys.stderr))"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["export", "--help"], ["verify", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    done = subprocess.run(script(ATEXIT, *arguments), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--json"], ["export", "--no-verify", "-o", "-"]])
def test_never_imports_tensorflow(files: Path, arguments: list[str]) -> None:
    command = script(ATEXIT, "--quiet", *arguments, files / "small.h5")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert not {"tensorflow", "keras", "tf_keras"} & set(done.stderr.split())


def test_no_tensorflow_in_a_shell(files: Path, tmp_path: Path) -> None:
    """Nothing of it is found: the module is written, and said to be unverified."""
    block = "sys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'tf_keras']))"
    command = script(block, "export", files / "small.keras")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "small.py\n")
    assert done.stderr == "not verified: TensorFlow is not installed\n"


@pytest.mark.parametrize("arguments", [["inspect"], ["export", "--no-verify", "-o", "-"]])
def test_broken_pipe(files: Path, tmp_path: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kerasgen", "--quiet", *arguments, str(files / "small.keras")]
    done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (5, "kerasgen: stdout: cannot be written: Broken pipe\n")


def test_closed_stdout(files: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m kerasgen inspect '{files / 'small.keras'}' >&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "kerasgen: stdout: is closed\n")


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_leaves_nothing(files: Path, tmp_path: Path, sign: signal.Signals, code: int) -> None:
    """The module is staged when the signal comes."""
    wait = "import kerasgen.api as a, time\na._verified = lambda *_: (print('now', flush=True), time.sleep(60))"
    process = subprocess.Popen(
        script(wait, "export", files / "small.keras"), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    assert list(tmp_path.iterdir())
    process.send_signal(sign)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert err == (b"kerasgen: interrupted\n" if sign is signal.SIGINT else b"")
    assert not list(tmp_path.iterdir())


def on_terminal(command: list[str], cwd: Path, *, stream: str, **environment: str) -> bytes:
    """What a process writes to a terminal."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", **environment}
    for name in ("NO_COLOR", "FORCE_COLOR"):
        if name not in environment:
            env.pop(name, None)
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: theirs}
    process = subprocess.Popen(command, cwd=cwd, env=env, **streams)
    os.close(theirs)
    written = b""
    while True:
        try:
            block = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not block:
            break
        written += block
    process.wait(timeout=60)
    os.close(ours)
    return written


def test_spinner_on_a_terminal_only(files: Path, tmp_path: Path) -> None:
    arguments = ["export", str(files / "small.keras"), "--no-verify", "--force"]
    command = [sys.executable, "-m", "kerasgen", *arguments]
    written = on_terminal(command, tmp_path, stream="stderr")
    assert b"\x1b[" in written
    assert b"small.py" in written
    assert on_terminal([*command, "--quiet"], tmp_path, stream="stderr") == b""
    done = shell(*arguments, cwd=tmp_path, env={**os.environ, "FORCE_COLOR": "1"})
    assert done.stderr == "not verified: it was not asked for\n"


def test_no_color(files: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kerasgen", "inspect", str(files / "lambda.keras")]
    assert b"\x1b[31m" in on_terminal(command, tmp_path, stream="stdout")
    assert b"\x1b[31m" not in on_terminal(command, tmp_path, stream="stdout", NO_COLOR="1")


def test_locale_without_letters(files: Path, tmp_path: Path) -> None:
    """Names that stdout's encoding lacks are escaped."""
    model = keras.Sequential([keras.Input((2,), name="größe"), L.Dense(2, name="層")])
    path = tmp_path / "größe.keras"
    model.save(path)
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    done = shell("inspect", path, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u5c64" in done.stdout
    done = shell("export", path, "--no-verify", cwd=tmp_path, env=environment)
    assert done.returncode == 0
    assert (tmp_path / done.stdout.rstrip("\n")).exists()


# ---------------------------------------------------------------- help, version, usage


def test_version(run: Run) -> None:
    assert run("--version") == (f"kerasgen {kerasgen.__version__}\n", "")


def test_help(run: Run) -> None:
    out, err = run("--help")
    assert err == ""
    for word in ("export", "inspect", "verify", "--quiet", "--debug", "--version", "Exit codes", "130"):
        assert word in out


def test_no_command(run: Run) -> None:
    out, err = run(code=2)
    assert out == ""
    assert "Usage:" in err


USAGE: list[tuple[list[str], str]] = [
    (["--nope"], "--nope"),
    (["exprt"], "exprt"),
    (["export"], "model"),
    (["export", "{}/small.h5", "--nope"], "--nope"),
    (["export", "{}/small.h5", "extra.h5"], "extra.h5"),
    (["export", "{}/small.h5", "--store", "cloud"], "cloud"),
    (["export", "{}/small.h5", "-o"], "-o"),
    (["export", "{}/small.h5", "-o", "-", "--store", "sidecar"], "sidecar"),
    (["export", "{}/small.h5", "-o", "out.npz", "--store", "sidecar"], "out.npz"),
    (["inspect"], "model"),
    (["verify", "{}/small.h5"], "module"),
    (["verify", "{}/small.h5", "small.py", "--seed", "many"], "--seed"),
    (["verify", "{}/small.h5", "small.py", "--seed", "-1"], "--seed"),
    (["verify", "{}/small.h5", "small.py", "--tolerance", "-1"], "--tolerance"),
]


@pytest.mark.parametrize(("arguments", "names"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_usage_error(run: Run, arguments: list[str], names: str) -> None:
    assert names in run.fails(2, *(word.replace("{}", str(run.files)) for word in arguments))


# ---------------------------------------------------------------- export


def test_export_default_name(run: Run) -> None:
    out, err = run("export", run.files / "small.h5")
    assert out == "small.py\n"
    assert err.startswith("verified against Keras: ")
    module = load_module(run.folder / "small.py")
    assert module.predict(*random_inputs(module.INPUTS)).shape == (3, 3)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("2nd model.v1.keras", "layer_2nd_model_v1.py"),
        ("random.keras", "random_2.py"),  # such a name would hide Python's own module
        ("numpy.keras", "numpy_2.py"),
        ("class.keras", "class_2.py"),
        ('a"""\n{{x}}\x1b[31m.keras', "a_x_31m.py"),
    ],
)
def test_export_makes_a_name(run: Run, name: str, module: str) -> None:
    Path(name).write_bytes((run.files / "small.keras").read_bytes())
    out, err = run("export", name, "--no-verify")
    assert out == f"{module}\n"
    assert err == "not verified: it was not asked for\n"
    assert load_module(Path(module)).INPUTS


def test_export_to_a_name(run: Run) -> None:
    (run.folder / "deep").mkdir()
    out, _ = run("export", run.files / "small.keras", "-o", "deep/net.py", "--no-verify")
    assert out == f"{Path('deep/net.py')}\n"
    assert [path.name for path in run.folder.rglob("*.*")] == ["net.py"]


def test_export_any_ending(run: Run) -> None:
    run("export", run.files / "small.keras", "-o", "net", "--verify")
    assert load_module(Path("net")).INPUTS


@pytest.mark.parametrize("verify", [[], ["--no-verify"], ["--verify"]])
def test_export_to_stdout(run: Run, verify: list[str]) -> None:
    before = run.listing()
    out, err = run("export", run.files / "small.keras", "-o", "-", *verify)
    assert run.listing() == before
    assert err.startswith("not verified: " if verify == ["--no-verify"] else "verified against Keras: ")
    module = load_module(out.encode())
    assert module.predict(*random_inputs(module.INPUTS)).shape == (3, 3)
    run("export", run.files / "small.keras", "--no-verify")
    assert (run.folder / "small.py").read_text() == out


def test_export_sidecar(run: Run) -> None:
    out, _ = run("export", run.files / "small.keras", "--store", "sidecar")
    assert out.split() == ["small.npz", "small.py"]
    assert load_module(Path("small.py")).W
    with np.load("small.npz", allow_pickle=False) as npz:
        assert "scores/kernel" in npz.files


def test_export_activations(run: Run) -> None:
    run("export", run.files / "small.keras", "--activations")
    module = load_module(Path("small.py"))
    answers = module.activations(*random_inputs(module.INPUTS))
    assert [name for name in answers if name != "image"] == ["conv", "norm", "flat", "scores"]


def test_export_refuses_to_replace(run: Run) -> None:
    Path("small.py").write_text("mine")
    assert "small.py" in run.fails(5, "export", run.files / "small.keras")
    Path("other.npz").write_text("mine")
    assert "other.npz" in run.fails(5, "export", run.files / "small.keras", "-o", "other.py", "--store", "sidecar")
    run("export", run.files / "small.keras", "--force", "--no-verify")
    assert "predict" in Path("small.py").read_text()
    run("export", run.files / "small.keras", "-o", "other.py", "--store", "sidecar", "--force", "--no-verify")
    assert load_module(Path("other.py")).W


def test_export_onto_itself(run: Run) -> None:
    Path("net.keras").write_bytes((run.files / "small.keras").read_bytes())
    os.link("net.keras", "link.py")
    for output in ("net.keras", "link.py"):
        assert "is the model itself" in run.fails(5, "export", "net.keras", "-o", output, "--force")
    Path("net.npz").write_bytes((run.files / "small.keras").read_bytes())
    assert "net.npz: is the model itself" in run.fails(5, "export", "net.npz", "--store", "sidecar", "--force")
    weights = run.folder / "w.weights.h5"
    weights.write_bytes((run.files / "small.weights.h5").read_bytes())
    json_file = run.files / "small.json"
    assert "w.weights.h5" in run.fails(5, "export", json_file, "--weights", weights, "-o", weights, "--force")


def test_export_into_no_folder(run: Run) -> None:
    line = run.fails(5, "export", run.files / "small.keras", "-o", "nowhere/net.py")
    assert "nowhere" in line
    assert "net.py" in line
    (run.folder / "place.py").mkdir()
    assert "place.py: is a folder" in run.fails(5, "export", run.files / "small.keras", "-o", "place.py", "--force")


@pytest.mark.parametrize("where", ["os.fsync", "os.replace", "tempfile.mkdtemp"])
def test_export_to_a_full_disk(run: Run, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/.kerasgen-x")

    monkeypatch.setattr(where, full)
    line = run.fails(5, "export", run.files / "small.keras", "--no-verify")
    assert line == "kerasgen: small.py: cannot be written: No space left on device\n"


def test_sidecar_goes_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    replace_file = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (moved.append(Path(b).name), replace_file(a, b)))
    run("export", run.files / "small.keras", "--store", "sidecar", "--no-verify")
    assert moved == ["small.npz", "small.py"]


MODULE = "INPUTS, OUTPUTS, predict, as_input = (), (), None, None\n"
BAD: list[tuple[str, int, str]] = [
    ("missing.h5", 5, "No such file"),
    ("folder.h5", 5, "directory"),
    ("empty.h5", 3, "empty"),
    ("text.h5", 3, "not a Keras model"),
    ("page.keras", 3, "not a Keras model"),
    ("cut_small.h5", 3, ""),
    ("cut_small.keras", 3, ""),
    ("small.weights.h5", 3, "--weights"),
    ("legacy_weights.h5", 3, "--weights"),
    ("small.json", 3, "--weights"),
    ("lambda.keras", 4, "twice"),
    ("custom.keras", 4, "odd"),
]


# `inspect` answers where a layer is unsupported, and there is no module to verify.
COMMANDS = [("export", *bad) for bad in BAD] + [(c, *bad) for bad in BAD if bad[1] != 4 for c in ("inspect", "verify")]


@pytest.mark.parametrize(("command", "name", "code", "says"), COMMANDS, ids=[f"{c} {name}" for c, name, *_ in COMMANDS])
def test_bad_file(run: Run, command: str, name: str, code: int, says: str) -> None:
    arguments = [command, run.files / name]
    if command == "verify":
        Path("module.py").write_text(MODULE)
        arguments.append("module.py")
    line = run.fails(code, *arguments)
    assert name in line
    assert says in line
    _, err = run("--debug", *arguments, code=code)
    assert "Traceback (most recent call last)" in err
    assert err.endswith(line)


def test_all_unsupported_layers_at_once(run: Run) -> None:
    line = run.fails(4, "export", run.files / "both.keras")
    assert "both.keras" in line
    assert "twice" in line
    assert "odd" in line
    assert "fine" not in line


@pytest.mark.parametrize(
    ("architecture", "weights"), [("small.json", "small.weights.h5"), ("legacy.json", "legacy_weights.h5")]
)
def test_architecture_and_weights(run: Run, architecture: str, weights: str) -> None:
    _, err = run("export", run.files / architecture, "--weights", run.files / weights, "-o", "net.py")
    assert err.startswith("verified against Keras: ")
    out, _ = run("verify", run.files / architecture, "net.py", "--weights", run.files / weights)
    assert out.startswith("ok scores: ")
    out, _ = run("inspect", run.files / architecture, "--weights", run.files / weights)
    assert "scores" in out


def test_wrong_weights(run: Run) -> None:
    assert "missing.h5" in run.fails(5, "export", run.files / "small.json", "--weights", "missing.h5")
    line = run.fails(3, "export", run.files / "small.json", "--weights", run.files / "text.h5")
    assert "text.h5" in line


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "_verified", interrupt)
    assert run.fails(130, "export", run.files / "small.keras") == "kerasgen: interrupted\n"


def test_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "generate", lambda *_, **__: 1 / 0)
    line = run.fails(70, "export", run.files / "small.keras")
    assert line == "kerasgen: a bug in kerasgen: ZeroDivisionError: division by zero\n"


def test_quiet(run: Run) -> None:
    for number, arguments in enumerate((["--quiet", "export"], ["-q", "export"])):
        assert run(*arguments, run.files / "small.keras", "-o", f"a{number}.py") == (f"a{number}.py\n", "")
    assert run("export", run.files / "small.keras", "-o", "b.py", "--quiet") == ("b.py\n", "")
    out, err = run("verify", run.files / "small.keras", "b.py", "--quiet")
    assert out
    assert not err
    run.fails(5, "--quiet", "export", "missing.h5")


# ---------------------------------------------------------------- verification


def test_no_verify_is_said(run: Run) -> None:
    _, err = run("export", run.files / "small.keras", "--no-verify")
    assert err == "not verified: it was not asked for\n"


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


def altered(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the weights inside a module."""
    data = path.read_bytes()
    text, _, _ = data.partition(b"\n" + MARKER)
    with np.load(EmbeddedFile(io.BytesIO(data)), allow_pickle=False) as npz:
        weights = dict(npz)
    change(weights)
    packed = io.BytesIO()
    np.savez(packed, **weights)
    with open(path, "wb") as file:
        Module(text.decode(), packed.getvalue(), embedded=True).write(file)


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
    one, two = out.splitlines()
    assert one.startswith("ok one: ")
    assert two.startswith("DIFFERS two: ")
    assert re.search(r"worst at \([012], 1\)", two)
    out, _ = exported("verify", exported.files / "two.keras", "two.py", "--json", code=1)
    one, two = json.loads(out)
    assert (one["name"], one["ok"], two["name"], two["ok"]) == ("one", True, "two", False)
    assert two["absolute"] == pytest.approx(5, rel=1e-4)
    assert two["worst"][1] == 1
    assert two["got"] - two["expected"] == pytest.approx(5, rel=1e-4)
    exported("verify", exported.files / "two.keras", "two.py", "--tolerance", "100")


def test_verify_the_module_of_another_model(exported: Run) -> None:
    line = exported.fails(1, "verify", exported.files / "two.keras", "small.py")
    assert "two.keras" in line


def test_verify_a_changed_shape(exported: Run, tmp_path: Path) -> None:
    """A shape that differs is said, and makes JSON that every parser reads."""
    wide = keras.Sequential([keras.Input((6, 6, 1), name="image"), L.Flatten(), L.Dense(4, name="scores")])
    wide.save("wide.keras")
    out, _ = exported("verify", "wide.keras", "small.py", code=1)
    assert out == "DIFFERS scores: the shape is (3, 3), Keras has (3, 4)\n"
    out, _ = exported("verify", "wide.keras", "small.py", "--json", code=1)
    (report,) = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert report["absolute"] is None
    assert report["shapes"] == [[3, 3], [3, 4]]


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


def test_verify_with_wrong_inputs(exported: Run) -> None:
    np.save("shape.npy", np.ones((5, 6, 7, 1), "float32"))
    np.save("words.npy", np.array(["a", "b"]))
    np.save("objects.npy", np.array([{}], object), allow_pickle=True)
    np.savez("objects.npz", image=np.array([{}], object))
    np.savez("three.npz", a=np.ones(1), b=np.ones(1), c=np.ones(1))
    Path("text.npy").write_text("1, 2, 3")
    Path("empty.npy").touch()
    with zipfile.ZipFile("zip.npz", "w") as archive:
        archive.writestr("image.npy", "nothing")
    arguments = ["verify", exported.files / "small.keras", "small.py", "--inputs"]
    for name in ("shape.npy", "words.npy", "objects.npy", "objects.npz", "three.npz", "text.npy", "empty.npy"):
        assert name in exported.fails(2, *arguments, name)
    assert "zip.npz" in exported.fails(2, *arguments, "zip.npz")
    assert "missing.npy" in exported.fails(5, *arguments, "missing.npy")
    assert "shape.npy" in exported.fails(2, "verify", exported.files / "two.keras", "two.py", "--inputs", "shape.npy")


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
    Path("small.py").write_text(text[:-100])
    assert "cannot read the weights" in exported.fails(1, "verify", model, "small.py")


@pytest.mark.parametrize("library", [keras, tf_keras], ids=lambda library: library.__name__)
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_verify_named_inputs(run: Run, library: Any, ending: str) -> None:
    """In the order of the model's dict, which is not the alphabet's."""
    layers = library.layers
    zeta, alpha = library.Input((4,), name="zeta"), library.Input((4,), name="alpha")
    y = layers.Dense(3)(layers.Subtract()([alpha, zeta]))
    model = library.Model({"zeta": zeta, "alpha": alpha}, {"two": y, "one": layers.Dense(2)(y)})
    randomize(model).save(f"named.{ending}")
    run("export", f"named.{ending}", "--verify")
    module = load_module(Path("named.py"))
    assert list(module.predict(*random_inputs(module.INPUTS))) == ["two", "one"]
    out, _ = run("verify", f"named.{ending}", "named.py")
    assert [line.split(":")[0] for line in out.splitlines()] == ["ok two", "ok one"]


@pytest.mark.parametrize(("inside", "allowed"), [("mixed_float16", 2e-2), ("float32", 1e-4), ("float64", 1e-4)])
def test_tolerance_follows_the_precision(run: Run, inside: str, allowed: float) -> None:
    """An answer in float32 is no closer than the half precision that it was computed from."""
    layers = [L.Dense(300, dtype=inside), L.Dense(5, dtype="float32")]
    randomize(keras.Sequential([keras.Input((8,)), *layers])).save("mixed.keras")
    run("export", "mixed.keras", "--verify")
    (report,) = json.loads(run("verify", "mixed.keras", "mixed.py", "--json")[0])
    assert report["tolerance"] == allowed


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
    (report,) = kerasgen.verify(model, "net.py")
    assert report.ok
    assert kerasgen.inspect(model).parameters == model.count_params()
    with pytest.raises(kerasgen.InvalidModelError):
        kerasgen.export(3, "other.py")


# ---------------------------------------------------------------- inspect


def test_inspect_table(run: Run) -> None:
    out, err = run("inspect", run.files / "counted.keras")
    assert err == ""
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    for name, macs in MACS.items():
        assert rows[name][-1] == f"{macs:,}"
    assert rows["conv"][1:] == ["Conv2D", "(None,", "4,", "4,", "4)", "112", "1,728"]
    assert f"{sum(MACS.values()):,} MACs" in out
    assert "input image (None, 8, 8, 3) float32" in out
    assert "output dense (None, 5) float32" in out
    assert "counted.keras" in out
    assert "\x1b" not in out


def test_inspect_json(run: Run) -> None:
    out, err = run("inspect", run.files / "counted.keras", "--json")
    assert err == ""
    summary = json.loads(out)
    model = keras.models.load_model(run.files / "counted.keras")
    assert summary["parameters"] == model.count_params()
    assert summary["macs"] == sum(MACS.values())
    assert {layer["name"]: layer["macs"] for layer in summary["layers"] if layer["kind"] != "InputLayer"} == MACS
    for layer in summary["layers"]:
        other = model.get_layer(layer["name"])
        assert layer["parameters"] == other.count_params()
        assert [tuple(shape) for shape in layer["shapes"]] == [tuple(other.output.shape)]
        assert layer["kind"] == type(other).__name__
    assert summary["keras_version"] == keras.__version__
    assert summary["inputs"] == [["image", [None, 8, 8, 3], "float32"]]
    assert summary["outputs"] == [["dense", [None, 5], "float32"]]
    assert summary["problems"] == []


def test_inspect_unknown_sizes(run: Run) -> None:
    model = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3, name="conv"), L.GlobalMaxPooling2D()])
    model.save("any.keras")
    summary = json.loads(run("inspect", "any.keras", "--json")[0])
    assert summary["macs"] is None
    assert {layer["name"]: layer["macs"] for layer in summary["layers"]}["conv"] is None
    assert "? MACs" in run("inspect", "any.keras")[0]


def test_inspect_shared_and_separable(run: Run) -> None:
    """A layer that is called twice multiplies twice and has its parameters once."""
    a, b = keras.Input((5, 5, 2)), keras.Input((5, 5, 2))
    shared = L.SeparableConv2D(3, 3, depth_multiplier=2, name="shared")
    model = keras.Model([a, b], L.Add(name="sum")([shared(a), shared(b)]))
    model.save("shared.keras")
    summary = json.loads(run("inspect", "shared.keras", "--json")[0])
    assert summary["parameters"] == model.count_params()
    assert summary["macs"] == 2 * 9 * (9 * 2 * 2 + 4 * 3)


def test_inspect_attention(run: Run) -> None:
    """Products of arrays count like those with weights."""
    x = keras.Input((6, 8), name="x")
    y = L.MultiHeadAttention(2, 4, name="heads")(x, x)
    y = L.Attention(name="attention")([y, x])
    y = L.EinsumDense("...c,cd->...d", 5, name="equation")(y)
    keras.Model(x, keras.ops.matmul(y, keras.ops.transpose(y, (0, 2, 1)))).save("attention.keras")
    summary = json.loads(run("inspect", "attention.keras", "--json")[0])
    macs = {layer["name"]: layer["macs"] for layer in summary["layers"]}
    assert macs["heads"] == 4 * (6 * 8 * 8) + 2 * (2 * 6 * 6 * 4)  # four projections, scores, sums
    assert macs["attention"] == 2 * (6 * 6 * 8)
    assert macs["equation"] == 6 * 8 * 5
    assert macs["matmul"] == 6 * 6 * 5


def test_inspect_recurrent(run: Run) -> None:
    x = keras.Input((6, 3), name="x")
    y = L.LSTM(4, return_sequences=True, name="lstm")(x)
    y = L.GRU(2, return_sequences=True, name="gru")(y)
    keras.Model(x, L.SimpleRNN(5, name="simple")(y)).save("recurrent.keras")
    summary = json.loads(run("inspect", "recurrent.keras", "--json")[0])
    macs = {layer["name"]: layer["macs"] for layer in summary["layers"]}
    assert macs["lstm"] == 6 * (3 + 4) * 4 * 4
    assert macs["gru"] == 6 * (4 + 2) * 3 * 2
    assert macs["simple"] == 6 * (2 + 5) * 5


def test_inspect_lists_what_is_unsupported(run: Run) -> None:
    out, err = run("inspect", run.files / "both.keras", code=4)
    assert err == ""
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert {"fine", "twice", "odd", "last"} <= set(rows)
    problems = [line for line in out.splitlines() if line.startswith("unsupported: ")]
    assert len(problems) == 2
    assert "twice" in problems[0]
    assert "odd" in problems[1]
    summary = json.loads(run("inspect", run.files / "both.keras", "--json", code=4)[0])
    assert len(summary["problems"]) == 2
    shapes = {layer["name"]: layer["shapes"] for layer in summary["layers"]}
    assert shapes["fine"] == [[None, 4]]
    assert shapes["last"] is None


# ---------------------------------------------------------------- hostile names


def test_hostile_names_on_a_terminal(run: Run) -> None:
    for arguments in (["inspect"], ["inspect", "--json"], ["export", "--no-verify"]):
        for text in run(*arguments, run.files / "hostile.keras"):
            assert all(line.isprintable() for line in text.split("\n"))
    out, err = run("verify", run.files / "hostile.keras", "hostile.py")
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert len(out.splitlines()) == len(HOSTILE)


def test_hostile_names_in_the_module(run: Run) -> None:
    """They work, and stand nowhere but in string literals, escaped."""
    run("export", run.files / "hostile.keras", "--verify", "--activations")
    module = load_module(Path("hostile.py"))
    arrays = random_inputs(module.INPUTS)
    assert list(module.predict(*arrays)) == HOSTILE
    assert {name + "layer" for name in HOSTILE} <= set(module.activations(*arrays))
    text, _, _ = Path("hostile.py").read_text().partition(MARKER.decode())
    assert all(line.isprintable() for line in text.split("\n"))
    words = [name for name in HOSTILE if name not in ("\\", '"""', "# x")]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            assert not any(word in token.string or ascii(word)[1:-1] in token.string for word in words), token
    assert "49" not in str(module.__doc__)


def test_hostile_names_in_errors(run: Run) -> None:
    name = "evil\n\x1b[31m\u202e"
    unsupported(L.Lambda(lambda x: x, name=name)).save("evil.keras")
    line = run.fails(4, "export", "evil.keras")
    assert "evil\\n\\x1b" in line
    Path("a\nb\x1b.h5").write_text("no model")
    run.fails(3, "export", "a\nb\x1b.h5")
    run.fails(5, "export", "missing\n\x1b.h5")
    run.fails(5, "export", run.files / "small.keras", "-o", "missing\n\x1b/a.py")
