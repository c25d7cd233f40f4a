"""The process that reads HDF5: what it may do, who is told when it ends, and that nobody waits for it for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command import Run
from model_files import legacy, load
from support import ROOT, run_python

import kerasgen
from kerasgen.errors import FileError, InvalidModelError
from kerasgen.hdf5 import process, server

INSTEAD = """
import sys
sys.path[:] = {path}
from kerasgen.hdf5 import server
def describe(file):
    %s
server.File.describe = describe
server.main()
"""


@pytest.fixture
def fresh() -> None:
    """No process is there yet."""
    process._end()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return legacy(tmp_path / "m.h5")


def doing(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The next process does this as soon as it has opened a file."""
    process._end()
    monkeypatch.setattr(process, "_START", INSTEAD % code)


ENDS = {
    "crash": ("import ctypes; ctypes.string_at(0)", InvalidModelError, r"libhdf5 crashes on it \(SIGSEGV\)"),
    "abort": ("import os; os.abort()", InvalidModelError, r"libhdf5 crashes on it \(SIGABRT\)"),
    "hang": ("while True: pass", InvalidModelError, "libhdf5 hangs on it"),
    "sleep": ("import time; time.sleep(600)", FileError, "libhdf5 does not finish"),
    "killed": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", FileError, "was killed: out of memory?"),
    "ended": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", FileError, "was ended by SIGTERM"),
    "memory": ("return [bytearray(1 << 30)]", FileError, "it needs too much memory"),
    "raise": ("raise RuntimeError('two\\nlines')", InvalidModelError, "unusable HDF5 file: two"),
    "open": ("return open('/etc/hosts').read()", InvalidModelError, "Too many open files"),
}


@pytest.mark.parametrize("end", ENDS)
def test_ends(end: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, error, said = ENDS[end]
    doing(monkeypatch, code)
    monkeypatch.setattr(process, "SECONDS", 1)
    monkeypatch.setattr(process, "PATIENCE", 120.0 if end != "sleep" else 0.0)
    with pytest.raises(error, match=f"m.h5: .*{said}"):
        load(path)
    assert not process._idle
    monkeypatch.undo()
    assert load(path).keys() == {"kernel", "bias"}


def test_writes_nothing(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even into a file that was open before the model's was."""
    code = INSTEAD.replace("def describe", f"log = open({str(tmp_path / 'log')!r}, 'wb', 0)\ndef describe")
    process._end()
    monkeypatch.setattr(process, "_START", code % "log.write(b'x')")
    with pytest.raises(InvalidModelError, match=r"SIGXFSZ|File too large"):
        load(path)
    assert (tmp_path / "log").read_bytes() == b""


def test_command_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for end, code in (("crash", 3), ("memory", 5)):
        doing(monkeypatch, ENDS[end][0])
        for model in ("small.h5", "small.keras"):
            assert f"{model}: " in run.fails(code, "export", run.files / model)
    process._end()


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("python", ["/nowhere/python", "/bin/true"])
def test_does_not_start(python: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", python)
    with pytest.raises(FileError, match=r"m.h5: cannot be read: its reader process does not start"):
        load(path)


@pytest.mark.usefixtures("fresh")
@pytest.mark.parametrize("size", [2, 5_000_000])
def test_without_processes(size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a browser: the same answers, from this process."""
    array = np.arange(size, dtype="f4")
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["a"], file["b"] = array, array[1:2]
    data = (tmp_path / "m.h5").read_bytes()
    monkeypatch.setattr(process, "_ALONE", True)
    monkeypatch.setattr(server, "resource", None)  # that has no limits
    monkeypatch.setattr(subprocess, "Popen", None)
    for place in ((str(tmp_path / "m.h5"), 0, ()), ("", len(data), (data[:100], data[100:]))):
        with process.reading("m.h5") as reader:
            number, objects = reader.open("m.h5", *place)
            numbers = [(number, objects[0]["links"][name]) for name in "ba"]
            first, second = reader.read(numbers, [4, size * 4])
            assert np.frombuffer(first, "f4").tolist() == [1]
            assert np.array_equal(np.frombuffer(second, "f4"), array)
    with pytest.raises(FileError, match="No such file"), process.reading("m.h5") as reader:
        reader.open("m.h5", "/nowhere")
    process._end()


@pytest.mark.usefixtures("fresh")
def test_one_process_serves_many(path: Path) -> None:
    load(path)
    (first,) = process._idle
    load(path)
    assert process._idle == [first]
    with pytest.raises(InvalidModelError):
        load(legacy(path.with_name("bad.h5"), lambda group: group.__delitem__("dense/bias:0")))
    assert process._idle == []  # whom a file has troubled serves no other


@pytest.mark.usefixtures("fresh")
def test_threads(path: Path) -> None:
    answers: list[Any] = []
    threads = [threading.Thread(target=lambda: answers.append(load(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [sorted(answer) for answer in answers] == [["bias", "kernel"]] * 4
    assert len(process._idle) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_fork(path: Path) -> None:
    """Both of the two have a process, each its own."""
    load(path)
    (mine,) = process._idle
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not process._idle and load(path) and process._idle[0] is not mine else 1)
    assert os.waitpid(pid, 0)[1] == 0
    load(path)
    assert process._idle == [mine]


SCRIPT = """
import sys
import kerasgen
sys.path.insert(0, {tests!r})
print(kerasgen.export({model!r}, {module!r}, verify=False).module)
"""


def test_script_without_a_guard(run: Run) -> None:
    """A program that exports at its top level is not run a second time, nor are the options it was started with."""
    code = SCRIPT.format(tests=str(ROOT / "tests"), model=str(run.files / "small.h5"), module="net.py")
    Path("script.py").write_text(code + "print('once')\n")
    done = run_python("-X", "dev", "-W", "error", "script.py")
    assert (done.stdout, done.stderr) == ("net.py\nonce\n", "")


def test_imports_little(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process starts in a fraction of a second because it needs so little."""
    known = "set(sys.modules) & set('numpy jinja2 black typer keras kerasgen.readers'.split())"
    loaded = f"import sys; raise RuntimeError(' '.join(sorted({known})))"
    doing(monkeypatch, loaded)
    with pytest.raises(InvalidModelError) as caught:
        kerasgen.export(path, path.with_name("net.py"), verify=False)
    assert str(caught.value).endswith(": numpy")
