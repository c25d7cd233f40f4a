"""The command line under test: a folder of models, and ways to run it. pytest has this as a plugin."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers as L
from support import randomize, save

from kerasgen import cli
from kerasgen.emit.module import Module
from kerasgen.emit.weights import split
from kerasgen.passes import optimize
from kerasgen.planning import plans

HOSTILE = [
    "two\nlines",
    '"""',
    "'''",
    "{{ 7 * 7 }}",
    "{% raw %}",
    "\x1b[31mred",
    "\u202egnp.exe",
    "\\",
    "# x",
    "é\r",
    "# (kernels)",
]


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


def alive(number: int) -> bool:
    """Whether this process runs; one that nobody has waited for yet has ended."""
    try:
        return ") Z " not in Path(f"/proc/{number}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


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
    save(model, folder / "small.h5")
    model.save_weights(folder / "small.weights.h5")
    (folder / "small.json").write_text(model.to_json())
    legacy = randomize(small(tf_keras))
    legacy.save_weights(folder / "legacy_weights.h5")
    (folder / "legacy.json").write_text(legacy.to_json())
    randomize(counted()).save(folder / "counted.keras")
    randomize(two_inputs()).save(folder / "two.keras")
    unsupported(L.Lambda(lambda x: x * 2 if x is not None else x, name="twice")).save(folder / "lambda.keras")
    unsupported(Odd(name="odd")).save(folder / "custom.keras")
    unsupported(L.Lambda(lambda x: x * 2 if x is not None else x, name="twice"), Odd(name="odd")).save(
        folder / "both.keras"
    )
    randomize(hostile()).save(folder / "hostile.keras")
    (folder / "text.h5").write_text("no model\n")
    (folder / "page.keras").write_text("<!DOCTYPE html>\n<p>Not found</p>\n")
    (folder / "empty.h5").touch()
    for name in ("small.h5", "small.keras"):
        data = (folder / name).read_bytes()
        (folder / f"cut_{name}").write_bytes(data[: len(data) // 2])
    (folder / "folder.h5").mkdir()
    return folder


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

    def wrong(graph: Any, *pipeline: Any) -> Any:
        plan = optimize(graph, *pipeline)
        weights = {name: array * 1.01 for name, array in plan.graph.weights.items()}
        return plan.on(replace(plan.graph, weights=weights))

    monkeypatch.setattr(plans, "optimize", wrong)


def altered(path: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Change the weights inside a module."""
    text, data = split(path.read_bytes())
    with np.load(io.BytesIO(data), allow_pickle=False) as npz:
        weights = dict(npz)
    change(weights)
    packed = io.BytesIO()
    np.savez(packed, **weights)
    with open(path, "wb") as file:
        Module(text, packed.getvalue(), embedded=True).write(file)


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
    process.wait(timeout=300)
    os.close(ours)
    return written


def script(text: str, *arguments: Any) -> list[str]:
    """A command that runs the command line after some Python."""
    code = f"import sys\n{text}\nfrom kerasgen.cli import main\nmain(sys.argv[1:])"
    return [sys.executable, "-c", code, *map(str, arguments)]


@contextmanager
def running(command: list[str], **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a group of its own, with pipes; the whole group ends with the block, whatever happens in there."""
    pipe = subprocess.PIPE
    settings = {"stdin": pipe, "stdout": pipe, "stderr": pipe, **settings}
    with subprocess.Popen(command, start_new_session=True, **settings) as process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(process: subprocess.Popen[bytes], line: bytes) -> None:
    """Return when the process prints this line."""
    assert process.stdout is not None
    printed = process.stdout.readline()
    assert printed == line + b"\n", printed or process.communicate()


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """The exit code and what was left on stderr; it no longer waits for its stdin, for that is closed."""
    _, err = process.communicate(timeout=300)
    return process.returncode, err
