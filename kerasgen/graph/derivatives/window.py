"""Derivatives of padding and cropping: each is the other's."""

from __future__ import annotations

from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.shape import crop as crop_kernel
from kerasgen.kernels.window import pad as pad_kernel


def pad(call: Call, i: int) -> Operand:
    """Of the image, not of the value around it."""
    return call.of_operand(i, crop_kernel, call.d, crops=call.attrs["pads"])


def crop(call: Call, i: int) -> Operand:
    """Zeros where cells were cut off."""
    return call.of_operand(i, pad_kernel, call.d, pads=call.attrs["crops"])
