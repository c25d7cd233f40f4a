"""The same model, kerasgen and options give the same bytes, whenever, wherever and by whomever it is run."""

from __future__ import annotations

import io
import json
import locale
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from support import randomize, run_python, save

from kerasgen.api import generate
from kerasgen.readers import read

MODELS = {
    "residual": "keras",
    "densenet": "h5",
    "squeeze and excite": "keras",
    "nested models deep": "keras",
    "dict inputs and outputs": "keras",
    "layer names that collide": "h5",
    "transformer": "keras",
    "bidirectional lstm concat": "h5",
    "integer_lookup one_hot": "keras",
    "mixed_float16 then float32": "keras",
    "first conv chain": "h5",
    "spectral_norm dense": "keras",
}
# Runs in a process of its own. What the clock says is moved by half a year and some.
EXPORT = """
import hashlib, json, os, sys, time
folder, umask, shift = sys.argv[1], int(sys.argv[2], 8), float(sys.argv[3])
os.umask(umask)
now, local = time.time, time.localtime
time.time = lambda: now() + shift
time.localtime = lambda seconds=None: local(now() + shift if seconds is None else seconds)
import locale
locale.setlocale(locale.LC_ALL, "")
import kerasgen
digests = {}
for name in sorted(os.listdir(folder), reverse=shift > 0):
    for options in ({}, {"store": "sidecar", "activations": True}):
        written = kerasgen.export(os.path.join(folder, name), "net.py", verify=False, force=True, **options)
        for path in filter(None, (written.module, written.sidecar)):
            digests[f"{name} {options} {path}"] = hashlib.sha256(path.read_bytes()).hexdigest()
json.dump(digests, sys.stdout)
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, ending in MODELS.items():
        save(randomize(CASES[name].model()), folder / f"{name}.{ending}")
    return folder


def exported(folder: Path, models: Path, *arguments: Any, **environment: str) -> dict[str, str]:
    """The digest of every file that a process of its own writes into `folder`."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        done = run_python("-c", EXPORT, models, *arguments, cwd=folder)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def another_locale() -> str:
    """One with another order of letters and another decimal point, where the machine has one."""
    before = locale.setlocale(locale.LC_ALL)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8", "C.UTF-8"):
        try:
            locale.setlocale(locale.LC_ALL, name)
        except locale.Error:
            continue
        finally:
            locale.setlocale(locale.LC_ALL, before)
        return name
    return "POSIX"


def test_other_process(models: Path, tmp_path: Path) -> None:
    """Other hash seed, folder, locale, time zone, umask, clock, number of threads, order; and copies of the files."""
    copies = tmp_path / "copies"
    copies.mkdir()
    for path in models.iterdir():
        (copies / path.name).write_bytes(path.read_bytes())
    one = exported(tmp_path / "a", models, "022", 0, PYTHONHASHSEED="0", LC_ALL="C", TZ="UTC", OMP_NUM_THREADS="1")
    settings = {"PYTHONHASHSEED": "4711", "LC_ALL": another_locale(), "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "2"}
    two = exported(tmp_path / "a longer name", copies, "077", 2e7, PYTHONDONTWRITEBYTECODE="1", **settings)
    assert len(one) == 3 * len(MODELS)
    assert one == two


def test_no_time_in_the_weights(models: Path) -> None:
    """The members are those of the earliest date that a zip file can tell, not compressed, in the model's order."""
    module = generate(read(models / "residual.keras"))
    with zipfile.ZipFile(io.BytesIO(module.npz)) as archive:
        members = archive.infolist()
        assert {member.date_time for member in members} == {(1980, 1, 1, 0, 0, 0)}
        assert {(member.compress_type, member.extra, member.comment) for member in members} == {(0, b"", b"")}
        assert archive.comment == b""


def test_no_place_in_the_module(models: Path) -> None:
    text = generate(read(models / "residual.keras")).text
    for word in (str(models), os.path.expanduser("~"), "residual.keras", sys.prefix):
        assert word not in text
