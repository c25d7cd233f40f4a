"""What `export` and `inspect` promise of any model: no code of its own runs, nothing else is opened, memory is bounded.

The first two are watched through Python's audit hooks, in the command line's process and in the one that reads HDF5.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hostile.fault import archive, dense, legacy, sequential
from support import ROOT, randomize, save

from kerasgen.hdf5 import process
from kerasgen.readers.content import MAX_TEXT

MARK = "evil_marker"
# What docs/untrusted-models.md says: bytes, and times the bytes of the parameters.
BASE, TIMES = 100_000_000, 4
READER_BASE = 100_000_000

WATCH = """
import json, os, sys
events = []
def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) if isinstance(flags, int) else False
        events.append([event, os.fsdecode(path) if isinstance(path, (str, bytes)) else path, writes])
    elif event == "compile":
        source = arguments[0]
        text = source.decode(errors="replace") if isinstance(source, bytes) else str(source)
        events.append([event, str(arguments[1]), %(mark)r in text])
    elif event == "exec":
        events.append([event, arguments[0].co_filename, holds(arguments[0])])
    elif event == "import":
        events.append([event, arguments[0], False])
    elif event.partition(".")[0] in FOREIGN or event in ("os.system", "os.exec", "os.posix_spawn", "os.fork"):
        events.append([event, repr(arguments), False])
    elif event in CHANGES:
        events.append([event, str(arguments[0]), True])
def holds(code):
    return %(mark)r in repr([code.co_names, code.co_consts])
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
FOREIGN = {"socket", "urllib", "ftplib", "http", "smtplib", "subprocess", "pty", "webbrowser", "winreg"}
"""
COMMAND_LINE = WATCH + """
sys.addaudithook(watch)
from kerasgen.cli import main
try:
    main(sys.argv[1:])
finally:
    sys.stdout.flush()
    print("\\nevents:", json.dumps(events))
"""


def hostile_model(folder: Path) -> list[str]:
    """A config that names modules, files, addresses and code wherever it can."""
    code = {"class_name": "__lambda__", "config": {"value": f"{MARK}"}}
    lambda_ = {"module": MARK, "class_name": "function", "config": MARK, "registered_name": f"{MARK}>run"}
    layers = [
        dense(f"{MARK}_a", activation=lambda_, kernel_initializer=code, module=MARK),
        {**dense(f"{MARK}_b"), "module": MARK, "class_name": "Run", "registered_name": f"{MARK}>Run"},
        {"class_name": "Lambda", "config": {"name": MARK, "function": [f"import {MARK}", None, None]}},
        {"class_name": "TFSMLayer", "config": {"name": "t", "filepath": "/etc/passwd"}},
        {"class_name": "StringLookup", "config": {"name": "s", "vocabulary": "http://127.0.0.1:9/x"}},
        {"class_name": "IntegerLookup", "config": {"name": "i", "vocabulary": "/etc/passwd"}},
    ]
    return legacy(sequential(*layers))(folder)


@pytest.fixture
def models(tmp_path: Path) -> dict[str, list[str]]:
    """Models that are exported, and one that is not; a module lies beside them that none of them may import."""
    folder = tmp_path / "models"
    folder.mkdir()
    (tmp_path / f"{MARK}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    layers = [keras.Input((6, 6, 1)), keras.layers.Conv2D(2, 3, name=f"{MARK}_conv"), keras.layers.Flatten()]
    model = randomize(keras.Sequential([*layers, keras.layers.Dense(2, name=f"{MARK}_dense")]))
    (folder / "arch.json").write_text(model.to_json())
    model.save_weights(folder / "w.weights.h5")
    os.mkdir(folder / "hostile")
    return {
        "keras": [str(save(model, folder / "net.keras"))],
        "h5": [str(save(model, folder / "net.h5"))],
        "json": [str(folder / "arch.json"), "--weights", str(folder / "w.weights.h5")],
        "hostile": [str(folder / "hostile" / name) for name in hostile_model(folder / "hostile")],
    }


LIBRARIES = tuple(
    {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, ROOT / "kerasgen", ROOT / "templates")}
)


def is_library(path: str) -> bool:
    return os.path.realpath(path).startswith(LIBRARIES) or path in (os.devnull, "<frozen importlib._bootstrap>")


@pytest.mark.parametrize("command", ["export", "inspect", "scan"])
@pytest.mark.parametrize("kind", ["keras", "h5", "json", "hostile"])
def test_command_line(kind: str, command: str, models: dict[str, list[str]], tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    arguments = [command, *models[kind][: 1 if command == "scan" else None]]
    if command == "export":
        arguments += ["-o", "target/net.py", "--no-verify", "--store", "sidecar"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", COMMAND_LINE % {"mark": MARK}, *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ((1 if command == "scan" else 4) if kind == "hostile" else 0), done.stderr
    events = json.loads(done.stdout.rpartition("events: ")[2])
    allowed = {os.path.realpath(path) for path in models[kind] if path != "--weights"}
    for event, what, flag in events:
        if isinstance(what, int):
            assert event == "open"  # again, what is open already
        elif event == "import":
            assert what.partition(".")[0] not in ("tensorflow", "keras", "tf_keras", "torch", "jax", MARK), what
        elif event == "exec":
            assert not flag, what
        elif event == "compile":
            assert not flag or what == "<unknown>", what  # ast.parse, of what is about to be published
        elif event == "open" and not flag:
            place = Path(tmp_path, what).resolve()
            assert is_library(what) or str(place) in allowed or place.is_relative_to(target) or what in NEW, what
        elif event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
            assert (
                what == os.devnull or Path(tmp_path, what).is_relative_to(target) or "dir_fd" in what or what in NEW
            ), what
        else:
            assert event == "subprocess.Popen", (event, what)
            assert sys.executable in what
            assert "kerasgen.hdf5.server" in what
    assert {event for event, _, _ in events} >= {"open", "import", "subprocess.Popen"}
    assert not (tmp_path / "ran").exists()
    written = {path.name for path in target.iterdir()}
    assert written == ({"net.py", "net.npz"} if command == "export" and kind != "hostile" else set())


NEW = ("new", "old", "net.py", "net.npz")  # as rmtree names what it removes, inside of the folder that it has opened

READER = WATCH + """
sys.path[:] = {path}
from kerasgen.hdf5 import server
import atexit
pipe = os.open({pipe}, os.O_WRONLY)
sys.addaudithook(watch)
try:
    server.main()
finally:
    os.write(pipe, json.dumps(events).encode())
"""


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
@pytest.mark.parametrize("link", [None, h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/x")])
def test_reader(link: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that reads HDF5 opens nothing, imports nothing and starts nothing once it has begun."""
    os.mkfifo(tmp_path / "pipe")
    said: list[bytes] = []
    listener = threading.Thread(target=lambda: said.append((tmp_path / "pipe").read_bytes()))
    listener.start()
    text = READER % {"mark": MARK}
    text = text.replace("{", "{{").replace("}", "}}").replace("{{path}}", "{path}")
    process._end()
    monkeypatch.setattr(process, "_START", text.replace("{{pipe}}", repr(str(tmp_path / "pipe"))))
    make = archive(spoil=lambda file: None if link is None else file.__setitem__("layers/dense/vars/2", link))
    (path,) = make(tmp_path)
    with process.reading(path) as reader:
        name = tmp_path / "plain.h5"
        with h5py.File(name, "w") as file:
            file["a"] = np.ones(3)
            if link is not None:
                file["b"] = link
        reader.open(path, str(name))
        reader.requests.close()
        listener.join(timeout=60)
        reader.close = lambda: None  # type: ignore[method-assign]
    process._end()
    opened = [event for event in json.loads(said[0]) if not isinstance(event[1], int)]
    assert opened == [["open", os.devnull, True]]


PEAK = """
import resource, sys
from kerasgen.hdf5 import process
from kerasgen.cli import main
try:
    main(sys.argv[1:])
except SystemExit as exit:
    code = exit.code
process._end()
of = [resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(code, *(size * (1 if sys.platform == "darwin" else 1024) for size in of))
"""


def peak(*arguments: Any, cwd: Path) -> tuple[int, int, int]:
    """The exit code of the command line, and the most memory that it and its process took, in bytes."""
    # Linux counts what the process was before it became this one: a shell, for it to be small.
    command = ["sh", "-c", '"$0" "$@"; exit $?', sys.executable, "-c", PEAK, "-q", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    code, own, reader = done.stdout.split()[-3:]
    return int(code), int(own), int(reader)


@pytest.mark.parametrize("options", [[], ["--activations"], ["--store", "sidecar"]], ids=" ".join)
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_memory(ending: str, options: list[str], tmp_path: Path) -> None:
    """Peak memory against the promise, for 40 MB of parameters that no two passes leave as they are."""
    x = keras.Input((16, 16, 512))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(1024, 4, name="a")(x))
    y = keras.layers.BatchNormalization()(keras.layers.Conv2D(256, 3, name="b")(y))
    model = keras.Model(x, y)
    parameters = model.count_params() * 4
    path = save(model, tmp_path / f"net.{ending}")
    code, own, reader = peak("export", path, "--no-verify", *options, cwd=tmp_path)
    assert code == 0
    assert own < BASE + TIMES * parameters
    assert reader < READER_BASE + path.stat().st_size + 2 * parameters
    assert own > parameters  # it is measured


ZEROS = {
    "40 TB where two numbers are declared": {"shape": (10**13,), "chunks": (1024,)},
    "half a gigabyte in one piece": {"shape": (1 << 27,), "chunks": (1 << 27,), "compression": "gzip"},
}


@pytest.mark.parametrize("zeros", ZEROS)
def test_memory_of_lies(zeros: str, tmp_path: Path) -> None:
    """A file that declares more than its config is read no further."""
    with h5py.File(tmp_path / "zeros.h5", "w") as file:
        array = file.create_dataset("zeros", dtype="f4", **ZEROS[zeros])
        if "compression" in ZEROS[zeros]:
            array[:] = 0
    data = (tmp_path / "zeros.h5").read_bytes()
    assert len(data) < 1_000_000

    def spoil(root: h5py.Group) -> None:
        with h5py.File(tmp_path / "zeros.h5") as file:
            del root["dense/dense/bias:0"]
            file.copy("zeros", root["dense"], "dense/bias:0")

    (path,) = legacy(spoil=spoil)(tmp_path)
    code, own, reader = peak("export", path, "--no-verify", cwd=tmp_path)
    assert code == 3
    assert own < BASE
    assert reader < READER_BASE


def test_memory_of_texts(tmp_path: Path) -> None:
    """JSON becomes up to 30 times as large in memory; the largest that is taken has 16 MB."""
    (tmp_path / "long.json").write_bytes(b"[" + b"[]," * (MAX_TEXT // 3 - 2) + b"[]]")
    (tmp_path / "longer.json").write_bytes(b"[" + b"[]," * (MAX_TEXT // 3 + 2) + b"[]]")
    for name in ("long.json", "longer.json"):
        code, own, _ = peak("inspect", name, cwd=tmp_path)
        assert code == 3
        assert own < BASE + 30 * MAX_TEXT
