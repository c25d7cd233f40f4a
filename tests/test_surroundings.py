"""Faults 40 to 49: of the disk, the terminal, the clock and the other programs, not of the model."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command import Run, ended, running, script, shell, wait_for

from kerasgen.emit.load import load_module

# Where each is tested; a number may be in several places.
PLACES = {
    40: ("test_cli.py", "test_export_refuses_to_replace", "test_export_onto_itself"),
    41: ("test_surroundings.py", "test_full_disk", "test_file_that_may_not_grow"),
    42: ("test_surroundings.py", "test_read_only_folder"),
    43: ("test_surroundings.py", "test_signal_while_writing"),
    44: ("test_surroundings.py", "test_two_runs_on_one_target"),
    45: ("test_child.py", "test_ends", "test_command_line"),
    46: ("test_cli_shell.py", "test_broken_pipe", "test_closed_stdout"),
    47: ("test_surroundings.py", "test_long_names", "test_deep_folder", "test_no_letters"),
    48: ("test_cli_verify.py", "test_without_tensorflow"),
    49: ("test_cli_verify.py", "test_wrong_module_is_not_published", "test_wrong_module_is_kept_when_asked"),
}
OLD = b"# what was there before\n"


def test_every_number_has_a_test() -> None:
    assert list(PLACES) == [*range(40, 50)]
    for file, *names in PLACES.values():
        text = Path(__file__).with_name(file).read_text(encoding="utf-8")
        assert all(f"def {name}(" in text for name in names), (file, names)


def limited(bytes_: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))


@pytest.mark.parametrize("store", ["embedded", "sidecar"])
def test_file_that_may_not_grow(store: str, files: Path, tmp_path: Path) -> None:
    """The system ends a write in the middle: the files that were there are as they were, and nothing is beside them."""
    (tmp_path / "net.py").write_bytes(OLD)
    (tmp_path / "net.npz").write_bytes(OLD)
    arguments = ["export", files / "small.h5", "-o", "net.py", "--no-verify", "--force", "--store", store]
    done = shell(*arguments, cwd=tmp_path, preexec_fn=limited(1000))
    name = "net.py" if store == "embedded" else "net.npz"
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == f"kerasgen: {name}: cannot be written: File too large\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"net.py": OLD, "net.npz": OLD}


def test_full_disk(files: Path, tmp_path: Path) -> None:
    """A disk of 16 kB, most of it taken."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        (tmp_path / "net.py").write_bytes(OLD)
        (tmp_path / "rest").write_bytes(bytes(8192))
        done = shell("export", files / "small.h5", "-o", "net.py", "--no-verify", "--force", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr == "kerasgen: net.py: cannot be written: No space left on device\n"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["net.py", "rest"]
        assert (tmp_path / "net.py").read_bytes() == OLD
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
def test_full_stdout(files: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "kerasgen", "-q", "export", str(files / "small.h5"), "--no-verify", "-o", "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (5, b"kerasgen: stdout: cannot be written: No space left on device\n")


def without_override() -> None:
    """Take from root what lets it write everywhere: PR_CAPBSET_DROP of CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    for capability in (1, 2):
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
def test_read_only_folder(files: Path, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    (target / "net.py").write_bytes(OLD)
    target.chmod(0o500)
    try:
        arguments = ["export", files / "small.h5", "-o", "folder/net.py", "--no-verify", "--force"]
        done = shell(*arguments, cwd=tmp_path, preexec_fn=without_override)
        assert (done.returncode, done.stdout) == (5, "")
        assert done.stderr == "kerasgen: folder/net.py: cannot be written: Permission denied\n"
        assert [path.read_bytes() for path in target.iterdir()] == [OLD]
    finally:
        target.chmod(0o700)


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_while_writing(files: Path, tmp_path: Path, sign: signal.Signals, code: int) -> None:
    """Half of the module is on the disk."""
    (tmp_path / "net.py").write_bytes(OLD)
    half = """
import kerasgen.emit.module as e
def write(module, file):
    file.write(module.text.encode()[:500])
    file.flush()
    print("now", flush=True)
    sys.stdin.readline()
e.Module.write = write"""
    command = script(half, "export", files / "small.h5", "-o", "net.py", "--no-verify", "--force")
    with running(command, cwd=tmp_path) as process:
        wait_for(process, b"now")
        assert {path.stat().st_size for path in tmp_path.rglob("net.py")} == {len(OLD), 500}
        process.send_signal(sign)
        assert ended(process) == (code, b"kerasgen: interrupted\n" if sign is signal.SIGINT else b"")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"net.py": OLD}


def test_two_runs_on_one_target(files: Path, tmp_path: Path) -> None:
    """Each of them writes a whole module, and one is there at the end."""
    wanted = {}
    for name in ("small", "two"):
        assert shell("export", files / f"{name}.keras", "--no-verify", cwd=tmp_path).returncode == 0
        wanted[name] = (tmp_path / f"{name}.py").read_bytes()
        (tmp_path / f"{name}.py").unlink()
    runs = []
    for name in [*wanted, *wanted, *wanted]:
        arguments = ["export", str(files / f"{name}.keras"), "-o", "net.py", "--no-verify", "--force", "-q"]
        runs.append(
            subprocess.Popen([sys.executable, "-m", "kerasgen", *arguments], cwd=tmp_path, stdout=-3, stderr=-3)
        )
    while any(run.poll() is None for run in runs):
        if (tmp_path / "net.py").exists():
            assert (tmp_path / "net.py").read_bytes() in wanted.values()
        time.sleep(0.01)
    assert [run.returncode for run in runs] == [0] * len(runs)
    assert [path.name for path in tmp_path.iterdir()] == ["net.py"]
    assert (tmp_path / "net.py").read_bytes() in wanted.values()


def test_long_names(run: Run) -> None:
    model = run.files / "small.h5"
    for source, target in (("x" * 300 + ".h5", "net.py"), (model, "x" * 300), (model, "y/" * 3000 + "net.py")):
        line = run.fails(5, "export", source, "-o", target, "--no-verify")
        assert "File name too long" in line
    run("export", model, "-o", "x" * 250 + ".py", "--no-verify", "--store", "sidecar")
    assert sorted(len(path.name) for path in run.folder.iterdir()) == [253, 254]
    assert load_module(run.folder / ("x" * 250 + ".py")).INPUTS


def test_deep_folder(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no path from the root is short enough, but the names are."""
    monkeypatch.chdir(tmp_path)
    for _ in range(20):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    Path("small.h5").write_bytes((files / "small.h5").read_bytes())
    done = shell("export", "small.h5", "--no-verify", cwd=None)
    assert (done.returncode, done.stdout) in ((0, "small.py\n"), (5, "")), done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["größe", "a\nb", "\udce9"])
def test_no_letters(name: str, files: Path, tmp_path: Path) -> None:
    """A terminal of ASCII, a name that has other letters, or bytes that are none."""
    (tmp_path / f"{name}.h5").write_bytes((files / "small.h5").read_bytes())
    settings: dict[str, Any] = {
        "PYTHONIOENCODING": "ascii",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    done = shell("export", f"{name}.h5", "--no-verify", cwd=tmp_path, env={**os.environ, **settings})
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.py"))) == 1
    again = shell("export", f"{name}.h5", "--no-verify", cwd=tmp_path, env={**os.environ, **settings})
    assert again.returncode == 5
    assert re.fullmatch(r"kerasgen: [ -~]+: exists; use --force to replace it\n", again.stderr)
