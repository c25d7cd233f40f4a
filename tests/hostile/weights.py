"""Faults 35 to 39: weights that the config does not fit."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from hostile.fault import BIAS, KERNEL, Fault, X, archive, dense, legacy, replaced, sequential

HALF = np.array([1.0, 1.0], "float16")
OTHER = sequential(dense("first"), dense("second"))
SQUARE = np.ones((2, 2), "float32")
PAIR = (("first", KERNEL, BIAS), ("second", SQUARE, BIAS))
NAN = np.full((1, 2), np.nan)
WARNING = "NaN or infinite numbers among the weights of dense/{}"


def swapped(root: h5py.Group) -> None:
    """Names that tell nothing, and arrays in another order."""
    group = root["dense"]
    group["a"], group["b"] = group["dense/bias:0"], group["dense/kernel:0"]
    group.attrs["weight_names"] = ["a", "b"]


def bfloat16(file: h5py.File) -> None:
    del file["layers/dense/vars/1"]
    file.create_dataset("layers/dense/vars/1", data=np.array([b"\x80\x3f"] * 2, "V2"))


def twice(file: h5py.File) -> None:
    file.copy("layers", "_layer_checkpoint_dependencies")


def quantized() -> dict[str, Any]:
    policy = {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int7", "source_name": "float32"}}
    return sequential(dense(dtype=policy))


FAULTS = [
    Fault(
        35,
        "no bias",
        legacy(spoil=lambda root: root["dense"].attrs.__setitem__("weight_names", ["dense/kernel:0"])),
        3,
        "layer 'dense' has 1 weights in the file, but the architecture says 2: kernel, bias",
    ),
    Fault(
        35,
        "no bias, by objects",
        archive(spoil=lambda file: file.__delitem__("layers/dense/vars/1")),
        3,
        "layer 'dense' has 1 weights in the file, but the architecture says 2: kernel, bias",
    ),
    Fault(
        35,
        "a weight more",
        archive(spoil=lambda file: file.__setitem__("layers/dense/vars/2", BIAS)),
        3,
        "layer 'dense' has 3 weights in the file, but the architecture says 2: kernel, bias",
    ),
    Fault(
        35,
        "a layer more",
        legacy(layers=(("dense", KERNEL, BIAS), ("more", KERNEL, BIAS))),
        3,
        "the file has weights for 2 layers, the architecture for 1: layer 'more' is not in the model",
    ),
    Fault(
        35,
        "a layer more, by objects",
        archive(spoil=lambda file: file.copy("layers/dense", file["layers"], "dense_1")),
        3,
        "no layer of the architecture has the weights at '/layers/dense_1/vars'",
    ),
    Fault(
        35,
        "a layer less",
        legacy(OTHER, layers=PAIR[:1]),
        3,
        "the file has weights for 1 layers, the architecture for 2: layer 'second' has no weights in the file",
    ),
    Fault(
        35,
        "arrays in another order",
        legacy(spoil=swapped),
        3,
        r"layer 'dense': weight 'kernel' has shape \(2,\) in the file, but the architecture says \(3, 2\)",
    ),
    Fault(
        35,
        "layers in another order, of other names",
        legacy(OTHER, layers=[("b", SQUARE, BIAS), ("a", KERNEL, BIAS)]),
        3,
        r"layer 'first': weight 'kernel' has shape \(2, 2\) in the file, but the architecture says \(3, 2\)",
    ),
    Fault(
        35,
        "layers in another order, by their names",
        legacy(OTHER, layers=PAIR[::-1]),
        0,
        "",
        (X @ KERNEL + BIAS) @ SQUARE + BIAS,
    ),
    Fault(
        36,
        "three units where the config has two",
        legacy(sequential(dense(units=3))),
        3,
        r"layer 'dense': weight 'kernel' has shape \(3, 2\) in the file, but the architecture says \(3, 3\)",
    ),
    Fault(
        36,
        "a kernel that lies on its side",
        legacy(layers=(("dense", KERNEL.T, BIAS),)),
        3,
        r"layer 'dense': weight 'kernel' has shape \(2, 3\) in the file, but the architecture says \(3, 2\)",
    ),
    Fault(37, "NaN", legacy(layers=(("dense", KERNEL, BIAS * np.nan),)), 0, f"warning: {WARNING.format('bias')}", NAN),
    Fault(
        37,
        "infinity",
        legacy(layers=(("dense", np.full_like(KERNEL, np.inf), BIAS),)),
        0,
        f"warning: {WARNING.format('kernel')}",
        NAN,
    ),
    Fault(
        37,
        "NaN, strictly",
        lambda folder: [*legacy(layers=(("dense", KERNEL, BIAS * np.nan),))(folder), "--strict"],
        3,
        WARNING.format("bias"),
    ),
    Fault(38, "float16", legacy(spoil=replaced(data=HALF)), 0, ""),
    Fault(38, "float64", legacy(spoil=replaced(data=BIAS.astype("float64"))), 0, ""),
    Fault(38, "big-endian", legacy(spoil=replaced(data=BIAS.astype(">f4"))), 0, ""),
    Fault(38, "bfloat16", archive(spoil=bfloat16), 0, ""),
    Fault(38, "quantised as nobody does", legacy(quantized()), 4, "unsupported: dense .*"),
    Fault(
        39,
        "layers twice",
        archive(spoil=twice),
        3,
        "unusable HDF5 file: '/' holds its layers twice, as 'layers' and as '_layer_checkpoint_dependencies'",
    ),
    Fault(
        39,
        "weights of Keras 2 and of Keras 3",
        legacy(spoil=lambda root: root.file.create_group("layers/dense/vars")),
        3,
        "holds weights twice, as Keras 2 writes them and as Keras 3 does",
    ),
]
