"""Sound model files, spoilt at random: in their bytes, in the structure around them, in the values of their config.

Everything is drawn from one `Random`: a number says which file comes out, and Hypothesis can look for a smaller one.
"""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

from kerasgen.readers.layer_names import KERAS_LAYERS

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
NUMBERS = [0, 1, -1, 2, 3, 7, 0.5, -0.5, 1e-9, 1e30, 2**15, 2**31 - 1, 2**31, 2**63, 10**39, float("nan"), float("inf")]
WORDS = [
    "",
    "x",
    "same",
    "valid",
    "relu",
    "linear",
    "channels_first",
    "float16",
    "int8",
    "sum",
    "bilinear",
    "\x00",
    "é\n",
]
VALUES: list[Any] = [None, True, False, *NUMBERS, *WORDS, [], {}, [0], [-1], [None], [[1, 1]], [2, 2], ["x"], [1] * 40]
VALUES += [{"class_name": "__tuple__", "items": [1, 0]}, {"class_name": "Dense", "config": {"units": 1}}]
VALUES += [{"class_name": "__numpy__", "config": {"value": [1, 2], "dtype": "int32"}}, {"class_name": "Lambda"}]
KINDS = sorted(KERAS_LAYERS)


def spoil(random: Random, source: Path, folder: Path) -> list[str]:
    """Write a spoilt copy of a `.keras` or `.h5` file into the folder; the arguments of `kerasgen export` for it."""
    data = source.read_bytes()
    if random.random() < 0.15:
        made = damaged(random, data)
    elif source.suffix == ".keras":
        members = _unzipped(data)
        if random.random() < 0.2:
            config = json.loads(members[CONFIG])
            (folder / "arch.json").write_text(json.dumps(_changed(random, config)), encoding="utf-8", errors="replace")
            (folder / "w.weights.h5").write_bytes(members[WEIGHTS])
            return [str(folder / "arch.json"), "--weights", str(folder / "w.weights.h5")]
        made = _spoilt_archive(random, members)
    else:
        made = _spoilt_hdf5(random, data, _change_config)
    target = folder / f"model{source.suffix}"
    target.write_bytes(made)
    return [str(target)]


def damaged(random: Random, data: bytes) -> bytes:
    """Other bytes, fewer, or more, at one to four places."""
    made = bytearray(data)
    for _ in range(random.randint(1, 4)):
        place, length = random.randrange(len(made) + 1), random.choice([1, 1, 1, 4, 8, 64, 1024])
        if random.random() < 0.5:  # where there is structure, rather than in the numbers
            place = random.randrange(min(len(made), 4096) + 1)
        some = [bytes(length), b"\xff" * length, random.randbytes(length), bytes(made[place : place + length])]
        how = random.choice(["replace", "replace", "replace", "insert", "delete", "cut"])
        made[place : place + (0 if how == "insert" else length)] = b"" if how == "delete" else random.choice(some)
        if how == "cut":
            del made[place:]
    return bytes(made)


def changed(random: Random, config: Any) -> Any:
    """A config with one to three of its parts replaced, removed, repeated or exchanged."""
    made = copy.deepcopy(config)
    for _ in range(random.choice([1, 1, 1, 2, 3])):
        places = list(_places(made))
        if not places:
            break
        holder, key = random.choice(places)
        _CHANGES[random.choice(list(_CHANGES))](random, holder, key, places)
    return made


_changed = changed


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a config, as what holds it and its key there."""
    for key in node if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from _places(node[key])


def _value(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    holder[key] = copy.deepcopy(random.choice(VALUES))


def _tweak(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    """A value that is nearly the one that was there."""
    old = holder[key]
    if isinstance(old, bool) or old is None:
        holder[key] = random.choice([True, False, None, 1, 2])
    elif isinstance(old, (int, float)):
        holder[key] = random.choice([old + 1, old - 1, -old, old * 2, old / 2, str(old), [old], [old] * 2, old * 10**6])
    elif isinstance(old, str):
        holder[key] = random.choice([old.upper(), old + "x", old[:-1], random.choice(KINDS), random.choice(WORDS)])
    elif isinstance(old, list):
        holder[key] = random.choice([old[::-1], old[:-1], old * 2, [old], old[0] if old else 0, old[1:]])
    else:
        holder[key] = random.choice(
            [list(old.values()), {**old, "class_name": random.choice(KINDS)}, dict(list(old.items())[1:])]
        )


def _remove(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    if isinstance(holder, dict) or key < len(holder):
        del holder[key]


def _copy(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    """Something from elsewhere in the config, which may be what holds this."""
    other, place = random.choice(places)
    try:
        holder[key] = copy.deepcopy(other[place])
    except (LookupError, RecursionError):  # it is gone by now
        holder[key] = None


def _rename(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    if isinstance(holder, dict):
        holder[random.choice([str(key) + "_", random.choice(WORDS), *map(str, holder)])] = holder.pop(key)
    else:
        holder.insert(key, copy.deepcopy(holder[key]))


def _kind(random: Random, holder: Any, key: Any, places: Sequence[Any]) -> None:
    """Another class."""
    classes = [holder for holder, key in places if key == "class_name"]
    random.choice(classes or [{}])["class_name"] = random.choice(KINDS)


_CHANGES: dict[str, Callable[[Random, Any, Any, Sequence[Any]], None]] = {
    "value": _value,
    "tweak": _tweak,
    "tweak more": _tweak,
    "remove": _remove,
    "copy": _copy,
    "rename": _rename,
    "kind": _kind,
}


def _unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _spoilt_archive(random: Random, members: dict[str, bytes]) -> bytes:
    """An archive with one member changed, its CRC right."""
    how = random.choice(["config", "config", "config", "bytes", "text", "hdf5", "remove"])
    if how == "config":
        members[CONFIG] = json.dumps(changed(random, json.loads(members[CONFIG]))).encode(errors="replace")
    elif how == "bytes":
        members[WEIGHTS] = damaged(random, members[WEIGHTS])
    elif how == "text":
        members[CONFIG] = damaged(random, members[CONFIG])
    elif how == "hdf5":
        members[WEIGHTS] = _spoilt_hdf5(random, members[WEIGHTS], None)
    else:
        del members[random.choice(list(members))]
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def _change_config(random: Random, file: h5py.File) -> None:
    if "model_config" in file.attrs:
        text = json.dumps(changed(random, json.loads(file.attrs["model_config"])))
        file.attrs["model_config"] = text.replace("\x00", "")


def _spoilt_hdf5(random: Random, data: bytes, config: Callable[[Random, h5py.File], None] | None) -> bytes:
    """An HDF5 file with its config, a group, an array or an attribute changed."""
    made = io.BytesIO(data)
    with h5py.File(made, "r+") as file:
        if config is not None and random.random() < 0.6:
            config(random, file)
        else:
            found: list[str] = []
            file.visit(found.append)
            if found:
                _change_object(random, file, random.choice(found))
    return made.getvalue()


def _change_object(random: Random, file: h5py.File, path: str) -> None:
    thing = file[path]
    how = random.choice(["remove", "array", "array", "link", "move", "attribute", "again"])
    if how == "attribute" and len(thing.attrs):
        key = random.choice(list(thing.attrs))
        value = random.choice([None, 5, "x", b"\xff", ["a", "b"], [b"x"], np.arange(3), h5py.Empty("S1")])
        if value is None:
            del thing.attrs[key]
        else:
            thing.attrs[key] = value
        return
    shape = getattr(thing, "shape", (2,))
    del file[path]
    if how == "array":
        other = random.choice([shape, shape[::-1], (*shape, 1), shape[1:], (), (0,), (1 << 20,) * 2])
        kinds = ["f2", "f4", "f8", ">f4", "i1", "i8", "u1", "?", "c8", "S3", "V2", h5py.string_dtype(), h5py.ref_dtype]
        chunks = True if 0 not in other and other else None
        file.create_dataset(path, other, random.choice(kinds), chunks=chunks)
    elif how == "link":
        file[path] = random.choice(
            [h5py.SoftLink("/"), h5py.SoftLink(f"/{path}"), h5py.ExternalLink("/etc/passwd", "/")]
        )
    elif how == "move":
        place = random.choice([f"{path}_1", "moved", f"{path}/0", f"{path}é"])
        if place not in file:
            file[place] = np.ones(shape, "f4")
    elif how == "again":
        file[path] = file["/"]
