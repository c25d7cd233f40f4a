"""Gradients of upsampling and resizing. `d` is always the gradient of the result."""

import numpy as np

from kerasgen.kernels.resize import crop_to_aspect_ratio, resize, resize_corners, upsample
from kerasgen.kernels.threads import product
from kerasgen.kernels.window import pad


def upsample_nearest_backward(d, *, size):
    """The sum over all copies of a cell: (N, 2H, 3W, C) with size (2, 3) → (N, H, W, C)."""
    for axis, times in enumerate(size, start=1):
        d = np.sum(d.reshape(d.shape[:axis] + (d.shape[axis] // times, times) + d.shape[axis + 1 :]), axis=axis + 1)
    return d


def through_axes(d, sizes, scale):
    """The gradient of what resizes each axis by itself: (N, OH, OW, C) and `sizes` (H, W) → (N, H, W, C).

    `scale(x, axis)` resizes an axis of x, given as its second. The rows of an identity become the linear map's matrix.
    """
    for axis, size in enumerate(sizes, start=1):
        lead, new, rest = product(d.shape[:axis]), d.shape[axis], product(d.shape[axis + 1 :])
        matrix = scale(np.eye(size, dtype=d.dtype).reshape(size, size, 1, 1), axis).reshape(size, new)
        d = (matrix @ d.reshape(lead, new, rest)).reshape(d.shape[:axis] + (size,) + d.shape[axis + 1 :])
    return d


def resize_backward(d, like=None, *, shape=None, size, interpolation="bilinear", antialias=False):
    """Each old cell gets its share of every new one: (N, *size, C) → (N, H, W, C)."""

    def scale(x, axis):
        return resize(x, size=(size[axis - 1], 1), interpolation=interpolation, antialias=antialias)

    return through_axes(d, like.shape[1:-1] if shape is None else shape[:-1], scale)


def resize_corners_backward(d, like=None, *, shape=None, size, interpolation="bilinear", align_corners=False):
    """Each old cell gets its share of every new one: (N, *size, C) → (N, H, W, C)."""

    def scale(x, axis):
        return resize_corners(x, size=(size[axis - 1], 1), interpolation=interpolation, align_corners=align_corners)

    return through_axes(d, like.shape[1:-1] if shape is None else shape[:-1], scale)


def upsample_backward(d, *, size, interpolation, half_pixel_centers=True):
    """Each old cell gets its share of every new one: (N, 2H, 3W, C) with size (2, 3) → (N, H, W, C)."""

    def scale(x, axis):
        factors = (size[axis - 1], 1)
        return upsample(x, size=factors, interpolation=interpolation, half_pixel_centers=half_pixel_centers)

    return through_axes(d, [length // factor for length, factor in zip(d.shape[1:3], size)], scale)


def centre_crop_backward(d, like=None, *, shape=None):
    """Zeros around the central part that was cut out: (N, H', W', C) → (N, H, W, C)."""
    sizes = like.shape[1:-1] if shape is None else shape[:-1]
    firsts = [(size - part) // 2 for size, part in zip(sizes, d.shape[1:])]
    return pad(d, pads=[(a, size - part - a) for a, size, part in zip(firsts, sizes, d.shape[1:])])


def center_crop_backward(d, like=None, *, shape=None, size):
    """Of the centre of an image, which was enlarged if too small: (N, *size, C) → (N, H, W, C)."""
    shape = like.shape[1:] if shape is None else shape
    if shape[0] < size[0] or shape[1] < size[1]:
        cropped = crop_to_aspect_ratio(np.empty((0, *shape), d.dtype), size=size).shape[1:]
        d = resize_backward(d, shape=cropped, size=size)
    return centre_crop_backward(d, shape=shape)


def pad_to_aspect_ratio_backward(d, like=None, *, shape=None):
    """The central part, which is the image: (N, H', W', C) → (N, H, W, C)."""
    h, w = like.shape[1:3] if shape is None else shape[:2]
    top, left = (d.shape[1] - h) // 2, (d.shape[2] - w) // 2
    return d[:, top : top + h, left : left + w]
