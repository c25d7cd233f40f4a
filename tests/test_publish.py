"""Files appear whole or not at all: interrupted, on a full disk, and where two are written at once."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run, alive, ended, running, script, shell, wait_for
from support import randomize, relative_error

import kerasgen
from kerasgen.emit import publish
from kerasgen.emit.load import load_module
from kerasgen.emit.publish import staged

OLD = "# what was there before\n"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two models whose modules are alike but for the weights, of 200 KB."""
    folder = tmp_path_factory.mktemp("models")
    for seed in (0, 1):
        layers = [keras.Input((64,), name="x"), keras.layers.Dense(800, name="wide"), keras.layers.Dense(2, name="y")]
        randomize(keras.Sequential(layers), seed).save(folder / f"{seed}.keras")
    return [folder / "0.keras", folder / "1.keras"]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def is_pair(folder: Path) -> bool:
    """Whether the module there pins the sidecar there."""
    digest = hashlib.sha256((folder / "net.npz").read_bytes()).hexdigest()
    return digest in (folder / "net.py").read_text()


# ---------------------------------------------------------------- signals

# What the command line is at when the signal comes: it says so and waits for a line, or for the end of its stdin.
STAGES = {
    "start": "cli.export.process.start = wait",
    "read": "api.read = wait",
    "child describes": "process.Child._reply = wait",
    "child sends arrays": "process.Child._fill = wait",
    "build": "prepared.build = wait",
    "optimise": "plans.optimize = wait",
    "emit": "api.emit = wait",
    "audit": "module.audit = wait",
    "pack": "module.pack = wait",
    "stage": "tempfile.mkdtemp = after(tempfile.mkdtemp)",
    "write": "module.Module.write = lambda self, file: (file.write(b'half'), file.flush(), wait())",
    "sidecar written": "os.fsync = after(os.fsync)",
    "verify": "api._verified = wait",
    "Keras loads": "verify.oracle = wait",
    "Keras answers": "oracle.Oracle.__call__ = wait",
    "clean up": "shutil.rmtree = before(shutil.rmtree)",
}
WAITING = """
import os, shutil, tempfile
from kerasgen import api, cli
from kerasgen.emit import module
from kerasgen.hdf5 import process
from kerasgen.planning import plans, prepared
from kerasgen.verification import oracle, verify
def wait(*_, **__):
    print("now", flush=True)
    sys.stdin.readline()
def after(function):
    return lambda *args, **settings: (function(*args, **settings), wait())[0]
def before(function):
    return lambda *args, **settings: (wait(), function(*args, **settings))[1]
"""


def export(model: Path, setup: str) -> list[str]:
    """A command that exports after this setup; Keras is asked where the setup says so."""
    verify = "--verify" if "oracle" in setup.removeprefix(WAITING) else "--no-verify"
    return script(setup, "export", model, "-o", "net.py", "--store", "sidecar", "--force", verify)


def interrupted(stage: str, model: Path, folder: Path, sign: signal.Signals) -> tuple[int, bytes]:
    """Exit code and stderr of an export that gets a signal at this stage."""
    with running(export(model, WAITING + stage), cwd=folder) as process:
        wait_for(process, b"now")
        os.killpg(process.pid, sign)  # as a terminal does it: to all processes
        return ended(process)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("sign", "old"),
    [
        (signal.SIGINT, {}),
        pytest.param(signal.SIGTERM, {"net.py": OLD.encode(), "net.npz": b"old"}, marks=pytest.mark.one_in(3)),
    ],
)
def test_interrupted(
    stage: str, sign: signal.Signals, old: dict[str, bytes], models: list[Path], tmp_path: Path
) -> None:
    """Nothing is left, nothing is lost."""
    for name, data in old.items():
        (tmp_path / name).write_bytes(data)
    code, err = interrupted(STAGES[stage], models[0], tmp_path, sign)
    assert code == 128 + sign
    assert err == (b"kerasgen: interrupted\n" if sign is signal.SIGINT else b"")
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    if stage == "clean up":  # the files are in their places
        assert is_pair(tmp_path)
    else:
        assert contents(tmp_path) == old


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_between_the_two_files(sign: signal.Signals, models: list[Path], tmp_path: Path) -> None:
    """The second one follows the first before the signal is heeded."""
    for _ in range(2):  # where there are none, then where there are some
        code, _ = interrupted("os.replace = after(os.replace)", models[0], tmp_path, sign)
        assert code == 128 + sign
        assert sorted(contents(tmp_path)) == ["net.npz", "net.py"]
        assert is_pair(tmp_path)


# The command line says when it is in charge; while Python starts and imports it, a signal has Python's own answer.
BEGINNING = """
from kerasgen import cli
command = cli.command
cli.command = lambda: (print("begun", flush=True), command())[1]
"""
# Python drops what is raised in some of its own callbacks. The signal is lost, the export goes on.
DROPPED = re.compile(rb"Exception ignored in: .*?\n(KeyboardInterrupt|SystemExit).*?\n", re.S)


@pytest.mark.slow
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_at_any_time(sign: signal.Signals, models: list[Path], tmp_path: Path) -> None:
    """Both files are as before or new, from the first moment of the process to its last."""
    command = export(models[0], BEGINNING)
    before = time.monotonic()
    with running(command, cwd=tmp_path) as process:
        assert ended(process)[0] == 0
    took, new = time.monotonic() - before, contents(tmp_path)
    old = {"net.py": OLD.encode(), "net.npz": b"old"}
    for part in range(16):
        for name, data in old.items():
            (tmp_path / name).write_bytes(data)
        with running(command, cwd=tmp_path) as process:
            time.sleep(took * part / 15)
            os.killpg(process.pid, sign)
            out, err = process.communicate(timeout=300)
        if out.startswith(b"begun\n"):
            assert process.returncode in (0, 128 + sign), err
            assert b"Traceback" not in DROPPED.sub(b"", err)
            assert contents(tmp_path) in (old, new)
        else:
            assert contents(tmp_path) == old
        assert sorted(path.name for path in tmp_path.iterdir()) == ["net.npz", "net.py"]


def test_interrupted_before_the_options_are_read(models: list[Path], tmp_path: Path) -> None:
    interrupt = "import signal\nfrom kerasgen import cli\ncli.command = lambda: signal.raise_signal(signal.SIGINT)"
    with running(script(interrupt, "export", models[0]), cwd=tmp_path) as process:
        assert ended(process) == (128 + signal.SIGINT, b"kerasgen: interrupted\n")


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_process_that_reads_ends_too(sign: signal.Signals, models: list[Path], tmp_path: Path) -> None:
    """Though the signal came to its parent alone."""
    with running(export(models[0], WAITING + STAGES["child sends arrays"]), cwd=tmp_path) as process:
        wait_for(process, b"now")
        (reader,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid, sign)
        code, _ = ended(process)
        assert code == (-sign if sign is signal.SIGKILL else 128 + sign)
        until = time.monotonic() + 300
        while alive(int(reader)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not alive(int(reader))


def test_signals_are_as_before() -> None:
    handler = signal.getsignal(signal.SIGINT)
    held = []
    with pytest.raises(KeyboardInterrupt), publish._uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        held.append(True)
    assert held
    assert signal.getsignal(signal.SIGINT) is handler


# ---------------------------------------------------------------- a full disk


def limited(size: int) -> Callable[[], None]:
    """Limits the size of files that a process can write, like a disk that is full after that many bytes."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize("store", ["embedded", "sidecar"])
@pytest.mark.parametrize("old", [{}, {"net.py": OLD.encode(), "net.npz": b"old"}], ids=["new", "replacing"])
def test_no_room(store: str, old: dict[str, bytes], models: list[Path], tmp_path: Path) -> None:
    for name, data in old.items():
        (tmp_path / name).write_bytes(data)
    options = ["-o", "net.py", "--no-verify", "--force", "--store", store]
    done = shell("export", models[0], *options, cwd=tmp_path, preexec_fn=limited(50_000))
    assert (done.returncode, done.stdout) == (5, "")
    written = "net.npz" if store == "sidecar" else "net.py"
    assert done.stderr == f"kerasgen: {written}: cannot be written: {os.strerror(errno.EFBIG)}\n"
    assert contents(tmp_path) == old
    assert not [path for path in tmp_path.iterdir() if path.name not in old]
    assert shell("export", models[0], *options, cwd=tmp_path).returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no `mount`")
def test_full_disk(small_disk: Path, models: list[Path]) -> None:
    (small_disk / "net.py").write_text(OLD)
    done = shell("export", models[0], "-o", "net.py", "--no-verify", "--force", cwd=small_disk)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"kerasgen: net.py: cannot be written: {os.strerror(errno.ENOSPC)}\n"
    assert contents(small_disk) == {"net.py": OLD.encode()}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_full_stdout(models: list[Path], tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "kerasgen", "export", str(models[0]), "-o", "-", "--no-verify"]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 5
    assert re.fullmatch(r"kerasgen: stdout: cannot be written: .*\n", done.stderr)


def test_the_second_file_cannot_be_renamed(run: Run, models: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The first gets back what it held, or goes."""
    replace = os.replace

    def fail(source: Any, target: Any) -> None:
        if Path(target).name == "net.py":
            raise OSError(errno.EACCES, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    options = ["-o", "net.py", "--no-verify", "--store", "sidecar"]
    run.fails(5, "export", models[0], *options)
    assert not list(run.folder.iterdir())
    for name in ("net.py", "net.npz"):
        Path(name).write_text(OLD)
    assert run.fails(5, "export", models[0], *options, "--force") == (
        "kerasgen: net.py: cannot be written: Permission denied\n"
    )


# ---------------------------------------------------------------- two at once

# One export stops when its first file is in its place; the other goes on then, and tells when it waits.
ONE = """
import os
replace = os.replace
os.replace = lambda a, b: (replace(a, b), print("renamed", flush=True), sys.stdin.readline())
"""
OTHER = """
from kerasgen import api
from kerasgen.emit import publish
read, lock = api.read, publish.fcntl.flock
api.read = lambda *a, **b: (print("begins", flush=True), sys.stdin.readline(), read(*a, **b))[-1]
publish.fcntl.flock = lambda *a: (print("waits", flush=True), lock(*a))
"""


def at_once(models: list[Path], folder: Path, *options: str) -> list[tuple[int, str]]:
    """Exit codes and messages of exports of two models to one place, where the second waits for the first."""

    def start(text: str, model: Path, says: str) -> subprocess.Popen[str]:
        command = script(text, "export", model, "-o", "net.py", "--no-verify", "--store", "sidecar", *options)
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == says
        return process

    with start(OTHER, models[1], "begins\n") as second, start(ONE, models[0], "renamed\n") as first:
        assert second.stdin is not None
        assert second.stdout is not None
        second.stdin.write("go\n")
        second.stdin.flush()
        waits = second.stdout.readline()
        _, one = first.communicate("go\ngo\n", timeout=300)
        _, other = second.communicate(timeout=300)
    assert waits == "waits\n"
    return [(first.returncode, one), (second.returncode, other)]


def test_two_at_once(models: list[Path], tmp_path: Path) -> None:
    """The second waits for the first, and prevails with both of its files."""
    assert [code for code, _ in at_once(models, tmp_path, "--force")] == [0, 0]
    assert sorted(contents(tmp_path)) == ["net.npz", "net.py"]
    module = load_module(tmp_path / "net.py")  # which compares the digest
    x = np.ones((1, 64), "float32")
    assert relative_error(module.predict(x), keras.saving.load_model(models[1])(x)) < 1e-5


def test_two_at_once_that_may_not_replace(models: list[Path], tmp_path: Path) -> None:
    """The second finds the file of the first, though there was none when it began."""
    first, second = at_once(models, tmp_path)
    assert first[0] == 0
    assert second == (5, "kerasgen: net.npz: exists; use --force to replace it\n")
    assert is_pair(tmp_path)


def test_a_thread_of_a_program_may_export(models: list[Path], tmp_path: Path) -> None:
    """Where no signal arrives."""
    thread = threading.Thread(target=kerasgen.export, args=(models[0], tmp_path / "net.py"), kwargs={"verify": False})
    thread.start()
    thread.join()
    assert load_module(tmp_path / "net.py").predict(np.ones((1, 64))).shape == (1, 2)


def test_waiting_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock leaves no file, and ends with the process that holds it."""
    code = "import sys; from pathlib import Path; from kerasgen.emit.publish import _locked\n"
    code += "with _locked(Path(sys.argv[1])): print('now', flush=True); sys.stdin.readline()"
    lock = publish.fcntl.flock
    with running([sys.executable, "-c", code, str(tmp_path)]) as process:
        wait_for(process, b"now")

        def kill_and_lock(handle: int, operation: int) -> None:
            with pytest.raises(BlockingIOError):
                lock(handle, operation | publish.fcntl.LOCK_NB)
            process.kill()
            lock(handle, operation)

        monkeypatch.setattr(publish.fcntl, "flock", kill_and_lock)
        with staged({tmp_path / "file": lambda file: file.write(b"data")}):
            pass
        assert process.wait() == -signal.SIGKILL
    assert contents(tmp_path) == {"file": b"data"}
