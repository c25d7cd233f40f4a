"""Faults 11 to 21: HDF5 that leads out of the file, claims what is not there, or is damaged."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from hostile.fault import BIAS, Fault, altered, archive, dense, legacy, replaced, sequential

LINK = "unusable HDF5 file: '.*' is a soft or external link; save the model again"
ELSEWHERE = "layer 'dense': weight 'bias' is stored in another file; save the model again"
FILTER = "layer 'dense': weight 'bias' is compressed with a filter other than gzip and lzf; save the model again"
TYPE = "layer 'dense': weight 'bias' has the unusable type .*"
BOMB = r"its weights declare \d+ bytes, of which \d+ are stored"


def virtual(root: h5py.Group) -> None:
    layout = h5py.VirtualLayout(shape=(2,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(2,))
    del root["dense/dense/bias:0"]
    root.create_virtual_dataset("dense/dense/bias:0", layout)


def many(root: h5py.Group) -> None:
    """200 layers whose kernels are one array: 800 MB of an array that is not even stored."""
    kernel = root.create_dataset("zeros", shape=(1000, 1000), dtype="f4", chunks=(1000, 1000))
    for number in range(200):
        group = root.create_group(f"d{number}")
        group["kernel:0"], group.attrs["weight_names"] = kernel, ["kernel:0"]
    root.attrs["layer_names"] = [f"d{number}" for number in range(200)]


MANY = sequential(*(dense(f"d{n}", units=1000, use_bias=False) for n in range(200)), shape=(None, 1000))


def foreign(data: bytes) -> bytes:
    """The number of lzf's filter becomes that of one which nobody has."""
    lzf = (32000).to_bytes(2, "little")
    place = data.index(b"lzf\0")
    start = data.rindex(lzf, 0, place)
    return data[:start] + (32767).to_bytes(2, "little") + data[start + 2 :]


def endless(data: bytes) -> bytes:
    """A heap of texts, whose free space is nothing: libhdf5 1.14 goes on in steps of that size."""
    place = data.index(b"GCOL") + 16
    while data[place : place + 2] != b"\0\0":
        place += 16 + -int.from_bytes(data[place + 8 : place + 16], "little") // 8 * -8
    return data[: place + 8] + bytes(8) + data[place + 16 :]


def loop(file: h5py.File) -> None:
    file["layers/dense/again"] = file["layers"]


def attribute(name: str, value: Any) -> Any:
    return lambda root: root["dense"].attrs.__setitem__(name, value)


def parts(*chunks: Any) -> Any:
    def spoil(root: h5py.Group) -> None:
        del root["dense"].attrs["weight_names"]
        for number, chunk in chunks:
            root["dense"].attrs[f"weight_names{number}"] = chunk

    return spoil


HUGE = sequential(dense(units=1 << 21, use_bias=False), shape=(None, 1 << 21))
TWO: dict[str, Any] = {"shape": (2,), "dtype": "f4"}

FAULTS = [
    Fault(11, "an external link", legacy(spoil=replaced(link=h5py.ExternalLink("/etc/passwd", "/x"))), 3, LINK),
    Fault(
        11,
        "an external link in an archive",
        archive(spoil=lambda f: (f.pop("layers/dense"), f.update({"layers/dense": h5py.ExternalLink("b.h5", "/")}))),
        3,
        LINK,
    ),
    Fault(12, "a soft link", legacy(spoil=replaced(link=h5py.SoftLink("/model_weights/dense"))), 3, LINK),
    Fault(12, "a cycle", legacy(spoil=replaced(link=h5py.SoftLink("/model_weights/dense/dense/bias:0"))), 3, LINK),
    Fault(13, "external storage", legacy(spoil=replaced(**TWO, external=[("/etc/passwd", 0, 8)])), 3, ELSEWHERE),
    Fault(14, "a virtual dataset", legacy(spoil=virtual), 3, ELSEWHERE),
    Fault(
        15,
        "40 TB, where the config has two numbers",
        legacy(spoil=replaced(shape=(10**13,), dtype="f4", chunks=(1024,))),
        3,
        r"layer 'dense': weight 'bias' has shape \(10000000000000,\) in the file, but the architecture says \(2,\)",
    ),
    Fault(
        15,
        "16 TB, as the config has it",
        legacy(
            HUGE,
            lambda root: (
                replaced("dense/kernel:0", shape=(1 << 21, 1 << 21), dtype="f4", chunks=(1024, 1024))(root),
                attribute("weight_names", ["dense/kernel:0"])(root),
            ),
        ),
        3,
        BOMB,
    ),
    Fault(16, "800 MB of one array", legacy(MANY, many, layers=()), 3, BOMB),
    Fault(17, "scale and offset", legacy(spoil=replaced(data=np.ones(2, "i4"), scaleoffset=2)), 3, FILTER),
    Fault(
        17,
        "a filter that nobody has",
        altered(legacy(spoil=replaced(data=BIAS, compression="lzf")), foreign),
        3,
        FILTER,
    ),
    Fault(18, "references", legacy(spoil=replaced(shape=(2,), dtype=h5py.ref_dtype)), 3, TYPE),
    Fault(18, "arrays of any length", legacy(spoil=replaced(shape=(2,), dtype=h5py.vlen_dtype("f4"))), 3, TYPE),
    Fault(18, "a compound", legacy(spoil=replaced(data=np.zeros(2, [("a", "f4")]))), 3, TYPE),
    Fault(18, "texts", legacy(spoil=replaced(data=["a", "b"])), 3, TYPE),
    Fault(18, "texts of one length", legacy(spoil=replaced(data=np.array([b"a", b"b"]))), 3, TYPE),
    Fault(18, "complex numbers", legacy(spoil=replaced(data=np.ones(2, "complex64"))), 3, TYPE),
    Fault(18, "nothing at all", legacy(spoil=replaced(data=h5py.Empty("f4"))), 3, r"layer 'dense': weight 'bias' .*"),
    Fault(
        19, "layers that hold themselves", archive(spoil=loop), 3, "unusable HDF5 file: its group .* another name, .*"
    ),
    Fault(
        19,
        "a layer that holds itself",
        legacy(spoil=lambda root: root["dense"].__setitem__("dense/again", root["dense"])),
        3,
        "unusable HDF5 file: its group .* another name, .*",
    ),
    Fault(
        20,
        "a heap without end",
        altered(legacy(), endless),
        3,
        "unusable HDF5 file: (libhdf5 hangs on it|.*heap.*)",
    ),
    Fault(21, "names that are a number", legacy(spoil=attribute("weight_names", 5)), 3, ".*'weight_names'.*not a list"),
    Fault(21, "names that are no UTF-8", legacy(spoil=attribute("weight_names", [b"\xff\xfe"])), 3, "unusable HDF5 .*"),
    Fault(
        21, "a part is missing", legacy(spoil=parts((0, ["dense/kernel:0"]), (2, ["x"]))), 3, ".* has 1 weights in .*"
    ),
    Fault(21, "a part is a number", legacy(spoil=parts((0, ["dense/kernel:0"]), (1, 7))), 3, ".*: .* is not a list"),
    Fault(
        21,
        "whole and in parts",
        legacy(spoil=attribute("weight_names0", ["dense/kernel:0"])),
        3,
        "unusable HDF5 file: '/model_weights/dense' has its 'weight_names' twice, whole and in parts",
    ),
]
