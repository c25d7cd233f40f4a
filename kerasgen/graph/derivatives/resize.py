"""Derivatives of upsampling and resizing: linear maps, transposed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kerasgen.graph.derivatives.call import Call, Operand, Rule
from kerasgen.kernels.backward import resize as backward


def sized(kernel: Callable[..., Any], settings: bool = True) -> Rule:
    """The rule of a kernel whose gradient this function computes, from its settings and the size of the image."""

    def rule(call: Call, i: int) -> Operand:
        return call.of_operand(i, kernel, call.d, sized=True, **(call.attrs if settings else {}))

    return rule


def by_settings(kernel: Callable[..., Any]) -> Rule:
    """The rule of a kernel whose gradient this function computes, from its settings alone."""

    def rule(call: Call, i: int) -> Operand:
        return call.of_operand(i, kernel, call.d, **call.attrs)

    return rule


upsample_nearest = by_settings(backward.upsample_nearest_backward)
upsample = by_settings(backward.upsample_backward)
resize = sized(backward.resize_backward)
resize_corners = sized(backward.resize_corners_backward)
crop_to_aspect_ratio = sized(backward.centre_crop_backward, settings=False)
pad_to_aspect_ratio = sized(backward.pad_to_aspect_ratio_backward, settings=False)
center_crop = sized(backward.center_crop_backward)
