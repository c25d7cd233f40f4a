"""The same model, kerasgen and options give the same bytes, whenever, wherever and by whomever it is run."""

from __future__ import annotations

import io
import json
import locale
import os
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from cases import CASES
from keras import ops
from support import randomize, run_python, save

import kerasgen
from kerasgen.api import generate
from kerasgen.builder.builder import build
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
    one = exported(tmp_path / "a", models, "022", 0, PYTHONHASHSEED="0", LC_ALL="C", TZ="UTC", OPENBLAS_NUM_THREADS="1")
    settings = {"PYTHONHASHSEED": "4711", "LC_ALL": another_locale(), "TZ": "Asia/Tokyo", "OPENBLAS_NUM_THREADS": "2"}
    settings["OPENBLAS_CORETYPE"] = "Prescott"  # sums in another order, and no instruction that multiplies and adds
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


def swap_arrays(file: Any) -> int:
    """Rewrite every array of an HDF5 file with the highest byte first; how many there are."""
    with h5py.File(file, "r+") as root:
        paths: list[str] = []
        root.visititems(lambda path, thing: paths.append(path) if isinstance(thing, h5py.Dataset) else None)
        for path in paths:
            array = root[path][()]
            del root[path]
            root[path] = np.asarray(array, array.dtype.newbyteorder(">"))
    return len(paths)


def swap_constants(config: bytes) -> bytes:
    """The arrays in a config with a dtype that says the same."""
    array = rb'("class_name": "__numpy__", "config": \{"value": [^{}]*, "dtype": ")(float|int)32"'
    return re.sub(array, lambda found: found[1] + b">" + found[2][:1] + b'4"', config)


def big_endian(path: Path, folder: Path) -> Path:
    """A copy of a model's file in which the highest byte of every number comes first."""
    copy = folder / path.name
    if path.suffix == ".h5":
        copy.write_bytes(path.read_bytes())
        assert swap_arrays(copy)
        return copy
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(".h5"):
                file = io.BytesIO(data)
                swap_arrays(file)
                data = file.getvalue()
            new.writestr(name, swap_constants(data) if name == "config.json" else data)
    return copy


def constants() -> Any:
    """Its arrays are in the config."""
    x = keras.Input((4,), name="x")
    y = ops.conv(ops.reshape(x, (-1, 4, 1)), np.float32([[[1, 2]], [[3, 4]]]))
    z = ops.batch_normalization(ops.take(x, np.int32([2, 0]), axis=1), np.float32([1, 2]), np.float32([3, 4]), -1)
    return keras.Model(x, [y, z, ops.searchsorted(np.float32([0, 1, 2]), ops.ravel(z))])


def test_byte_order_of_the_file(models: Path, tmp_path: Path) -> None:
    save(constants(), tmp_path / "constants.keras")
    (tmp_path / "swapped").mkdir()
    for path in (*models.iterdir(), tmp_path / "constants.keras"):
        copy = big_endian(path, tmp_path / "swapped")
        assert path.name not in ("constants.keras", "residual.keras") or path.read_bytes() != copy.read_bytes()
        assert all(array.dtype.isnative for array in build(read(copy)).bind().weights.values())
        for name, source in (("little", path), ("big", copy)):
            kerasgen.export(source, tmp_path / f"{name}.py", store="sidecar", verify=False, force=True)
        for ending in (".py", ".npz"):
            little, big = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("little", "big"))
            assert big.replace(b"big.npz", b"little.npz") == little, path.name
        with np.load(tmp_path / "big.npz") as npz:
            assert all(npz[name].dtype.str[0] in "<|" for name in npz.files)


def test_constants_of_a_rule_are_native() -> None:
    """Whatever the user's rule makes them of."""

    def shifted(layer: Any, x: Any) -> Any:
        return layer.emit(np.add, x, layer.constant("shift", np.array([1, 2, 3], ">f4")))

    x = keras.Input((3,), name="x")
    file = read(keras.Model(x, keras.layers.ReLU(name="shifted")(x)))
    (array,) = build(file, {"shifted": shifted}).bind().weights.values()
    assert (array.dtype.str, array.tolist()) == (np.dtype("float32").str, [1, 2, 3])
