"""Derivatives of operations on images."""

from __future__ import annotations

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.graph.derivatives.resize import by_settings, sized
from kerasgen.kernels.backward import image as backward
from kerasgen.kernels.image_ops import unfold
from kerasgen.kernels.shape import depth_to_space as to_space
from kerasgen.kernels.shape import space_to_depth as to_depth

rgb_to_grayscale = by_settings(backward.rgb_to_grayscale_backward)
sobel_edges = by_settings(backward.sobel_edges_backward)
extract_patches = sized(backward.extract_patches_backward)
unfolded = sized(backward.unfold_backward)
depth_to_space = by_settings(to_depth)
space_to_depth = by_settings(to_space)


def rgb_to_hsv(call: Call, i: int) -> Operand:
    """Of hue, saturation and value."""
    return call.of_operand(i, backward.rgb_to_hsv_backward, call.d, call.x[0], call.y)


def auto_contrast(call: Call, i: int) -> Operand:
    """Of the image, whose range counts too."""
    return call.of_operand(i, backward.auto_contrast_backward, call.d, call.x[0], **call.attrs)


def ssim(call: Call, i: int) -> Operand:
    """Of either image: they may be swapped."""
    a, b, window = call.x
    if i == 2:
        return None
    pair = (b, a) if i else (a, b)
    return call.of_operand(i, backward.ssim_backward, call.d, *pair, window, **call.attrs)


def fold(call: Call, i: int) -> Operand:
    """Every column reads what it was added to."""
    settings = {key: value for key, value in call.attrs.items() if key != "sizes"}
    return call.of_operand(i, unfold, call.d, **settings)


def projective_transform(call: Call, i: int) -> Operand:
    """Of the image; TensorFlow has no gradient for the transform."""
    if i == 1:
        return None
    settings = {"interpolation": "bilinear", "fill_mode": "constant", **call.attrs}
    settings.pop("fill_value", None)
    return call.of_operand(i, backward.projective_transform_backward, call.d, call.x[1], **settings)


def map_coordinates(call: Call, i: int) -> Operand:
    """Of the array and of the coordinates."""
    settings = dict(call.attrs)
    if i == 1:
        return call.of_operand(i, backward.map_coordinates_backward_coordinates, call.d, *call.x, **settings)
    settings.pop("fill_value", None)
    return call.of_operand(i, backward.map_coordinates_backward, call.d, *call.x, **settings)


def scale_and_translate(call: Call, i: int) -> Operand:
    """Of the image."""
    if i > 0:
        raise UnsupportedModelError(f"no gradient goes through the scale and translation of {call.node.layer}")
    operands = (call.d, call.x[1], call.x[2])
    if 0 in call.attrs["axes"]:
        return call.of_operand(i, backward.scale_and_translate_backward, *operands, call.x[0], **call.attrs)
    return call.of_operand(i, backward.scale_and_translate_backward, *operands, sized=True, **call.attrs)
