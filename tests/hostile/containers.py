"""Faults 1 to 10: the file is not what its name says, or not whole."""

from __future__ import annotations

import os
import socket
import stat
import struct
import zipfile
from pathlib import Path

from hostile.fault import Fault, altered, archive, legacy, written

ZEROS = ("assets/zeros", bytes(1 << 27))
NO_MODEL = "not a Keras model: neither HDF5 nor a .keras archive nor JSON"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


def spoilt(data: bytes, field: int, value: bytes, member: str = "model.weights.h5") -> bytes:
    """An archive with other bytes at `field` of a member's entry in the central directory."""
    start = data.index(member.encode(), data.index(b"PK\x01\x02")) - 46
    assert data[start : start + 4] == b"PK\x01\x02"
    return data[: start + field] + value + data[start + field + len(value) :]


def zip64(data: bytes) -> bytes:
    """An archive whose weights claim 40 TB in a zip64 field that takes the place of their own comment."""
    lie = struct.pack("<HHQQ", 1, 16, 40 * 10**12, 40 * 10**12)
    start = data.index(b"model.weights.h5", data.index(b"PK\x01\x02")) - 46
    end = start + 46 + len("model.weights.h5")
    data = data[:end] + lie + data[end:]
    data = data[: start + 20] + b"\xff" * 8 + data[start + 28 : start + 30] + struct.pack("<H", 20) + data[start + 32 :]
    place = data.index(b"PK\x05\x06") + 12
    (size,) = struct.unpack("<I", data[place : place + 4])
    return data[:place] + struct.pack("<I", size + 20) + data[place + 4 :]


def link() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("model.weights.h5")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def folder(place: Path) -> list[str]:
    (place / "model.h5").mkdir()
    return ["model.h5"]


def fifo(place: Path) -> list[str]:
    os.mkfifo(place / "model.h5")
    return ["model.h5"]


def unix_socket(place: Path) -> list[str]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "model.h5"))
    return ["model.h5"]


FAULTS = [
    Fault(1, "empty .h5", written("model.h5", b""), 3, "not a Keras model: the file is empty"),
    Fault(1, "empty .keras", written("model.keras", b""), 3, "not a Keras model: the file is empty"),
    Fault(2, "half an .h5", altered(legacy(), lambda d: d[: len(d) // 2]), 3, "unusable HDF5 file: .*truncated file.*"),
    Fault(2, "all but the end", altered(legacy(), lambda d: d[:-1]), 3, "unusable HDF5 file: .*truncated file.*"),
    Fault(2, "the signature alone", altered(legacy(), lambda d: d[:8]), 3, "unusable HDF5 file: .*"),
    Fault(3, "HTML", written("model.h5", "<!DOCTYPE html>\n"), 3, "not a Keras model but a web page: .*"),
    Fault(3, "a text", written("model.h5", "no model\n"), 3, NO_MODEL),
    Fault(
        3, "a git-lfs pointer", written("model.h5", POINTER), 3, "not a Keras model but a git-lfs pointer to one: .*"
    ),
    Fault(3, "a zip called .h5", altered(archive(without="config.json"), bytes), 3, ".*holds no config.json"),
    Fault(3, "a pickle", written("model.h5", b"\x80\x04cos\nsystem\n."), 3, "not a Keras model but a pickle: .*"),
    Fault(4, "half an archive", altered(archive(), lambda d: d[: len(d) // 2]), 3, "damaged archive: .*"),
    Fault(4, "no central directory", altered(archive(), lambda d: d[: d.index(b"PK\1\2")]), 3, "damaged archive: .*"),
    Fault(
        4,
        "a config that its CRC does not fit",
        altered(archive(), lambda d: d.replace(b"Sequential", b"sequential")),
        3,
        "damaged archive: Bad CRC-32 .*'config.json'",
    ),
    Fault(
        4,
        "weights that their CRC does not fit",
        altered(archive(), lambda d: spoilt(d, 16, b"\0\0\0\0")),
        3,
        "damaged archive: Bad CRC-32 .*'model.weights.h5'",
    ),
    Fault(5, "a second config", archive(("config.json", "{}")), 3, "unusable archive: it holds a member twice"),
    Fault(6, "a member above it", archive(("../x", "")), 3, "unusable archive: a member lies outside of it"),
    Fault(6, "above, for Windows", archive(("assets\\..\\..\\x", "")), 3, ".*: a member lies outside of it"),
    Fault(6, "an absolute member", archive(("/tmp/x", "")), 3, "unusable archive: a member lies outside of it"),
    Fault(6, "absolute, for Windows", archive(("C:/x", "")), 3, "unusable archive: a member lies outside of it"),
    Fault(
        6,
        "a link to a file",
        archive((link(), "/etc/passwd"), without="model.weights.h5"),
        3,
        "unusable archive: model.weights.h5 is a symbolic link",
    ),
    Fault(
        7,
        "weights of zeros",
        archive(("model.weights.h5", ZEROS[1]), without="model.weights.h5", method=zipfile.ZIP_DEFLATED),
        3,
        r"unusable archive: model.weights.h5 unpacks from \d+ to 134217728 bytes",
    ),
    Fault(
        7,
        "a config of zeros",
        archive(config=bytes(1 << 26), method=zipfile.ZIP_DEFLATED),
        3,
        "unusable archive: config.json is too large for what it is: 67108864 bytes",
    ),
    Fault(
        7,
        "40 TB by zip64",
        altered(archive(), zip64),
        3,
        r"unusable archive: model.weights.h5 has 40000000000000 bytes of the archive's \d+",
    ),
    Fault(
        7, "less than there is", altered(archive(), lambda d: spoilt(d, 24, b"\x40\0\0\0")), 3, "damaged archive: .*"
    ),
    Fault(
        8,
        "encrypted weights",
        altered(archive(), lambda d: spoilt(d, 8, b"\1")),
        3,
        "unusable archive: model.weights.h5 is encrypted",
    ),
    Fault(8, "bzip2", archive(method=zipfile.ZIP_BZIP2), 3, ".* is compressed by a method other than deflate"),
    Fault(8, "lzma", archive(method=zipfile.ZIP_LZMA), 3, ".* is compressed by a method other than deflate"),
    Fault(
        8,
        "method 77",
        altered(archive(), lambda d: spoilt(d, 10, b"\x4d\0")),
        3,
        "unusable archive: model.weights.h5 is compressed by a method other than deflate",
    ),
    Fault(9, "no config", archive(without="config.json"), 3, "not a Keras model: it holds no config.json"),
    Fault(
        9, "no weights", archive(without="model.weights.h5"), 3, "it holds no model.weights.h5; save the model again"
    ),
    Fault(9, "an .h5 without either", legacy(None, lambda root: root.file.clear()), 3, "not a Keras model: .*"),
    Fault(10, "a directory", folder, 5, "is a directory without a config.json; give a model .*"),
    Fault(10, "a FIFO", fifo, 5, "is not a regular file"),
    Fault(10, "a socket", unix_socket, 5, "is not a regular file"),
    Fault(10, "a device", lambda place: ["/dev/zero"], 5, "is not a regular file"),
]
