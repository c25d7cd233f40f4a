"""The command line as a process of its own: streams, signals, terminals, what it imports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from command import ended, on_terminal, running, script, shell, wait_for
from keras import layers as L


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "small.keras"],
        ["inspect", "small.keras", "--json"],
        ["export", "small.keras", "--no-verify", "-o", "-"],
        ["--debug", "export", "small.keras", "--no-verify", "-o", "-"],
        ["scan", "small.keras"],
        ["layers"],
        ["layers", "--json"],
        ["layers", "--help"],
        ["--help"],
        ["--version"],
    ],
    ids=" ".join,
)
def test_broken_pipe(files: Path, arguments: list[str]) -> None:
    """Whoever reads no more, as `| head`, need not be told so."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "kerasgen", *arguments]
    done = subprocess.run(command, cwd=files, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
@pytest.mark.parametrize("arguments", [["layers"], ["layers", "--help"], ["--help"], ["--version"]], ids=" ".join)
def test_full_stdout_of_what_is_short(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "kerasgen", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "kerasgen: stdout: cannot be written: No space left on device\n")


def test_closed_stdout(files: Path, tmp_path: Path) -> None:
    command = f"{sys.executable} -m kerasgen inspect '{files / 'small.keras'}' >&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (5, "kerasgen: stdout: is closed\n")


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_leaves_nothing(files: Path, tmp_path: Path, sign: signal.Signals, code: int) -> None:
    """The module is staged when the signal comes."""
    wait = "import kerasgen.api as a\na._verified = lambda *_: (print('now', flush=True), sys.stdin.readline())"
    with running(script(wait, "export", files / "small.keras"), cwd=tmp_path) as process:
        wait_for(process, b"now")
        assert list(tmp_path.iterdir())
        process.send_signal(sign)
        assert ended(process) == (code, b"kerasgen: interrupted\n" if sign is signal.SIGINT else b"")
    assert not list(tmp_path.iterdir())


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
