"""Operations on images."""

from __future__ import annotations

import numpy as np
from keras import ops
from keras.ops import image

from cases.table import FIRST_IMAGE, IMAGE, row

FIRST = {"data_format": "channels_first"}
TURNED = np.array([0.9, -0.3, 1.3, 0.25, 1.1, -2.1, 0.004, -0.003], "float32")
STRETCHED = np.array([[2.3, 0.1, -7.4, 0.2, 2.9, -5.3, 0.0, 0.0]], "float32")
CORNERS = np.array([[0, 0], [9, 0], [0, 8], [9, 8]], "float32")
MOVED = np.array([[1.2, 0.4], [8.1, 1.3], [0.3, 6.9], [9.4, 8.2]], "float32")
PLACES = np.random.RandomState(3).uniform(-6, 14, (3, 2, 30)).astype("float32")
PLACES[0] *= 0.01
INSIDE = np.where(PLACES > 8, PLACES / 2, PLACES)  # Keras's "mirror" fails at the cell after the last

for _op in (image.rgb_to_grayscale, image.rgb_to_hsv, image.hsv_to_rgb):
    row(f"ops.{_op.__name__}", IMAGE, _op)
    row(f"ops.{_op.__name__} channels first", FIRST_IMAGE, lambda x, op=_op: op(x, **FIRST))
    row(f"ops.{_op.__name__} colours", IMAGE, lambda x, op=_op: op(ops.sigmoid(x)))
row("ops.rgb_to_grayscale one", IMAGE, lambda x: image.rgb_to_grayscale(x[0]))
row("ops.rgb_to_grayscale gray", (5, 4, 1), image.rgb_to_grayscale)
row("ops.rgb_to_grayscale whole", IMAGE, lambda x: image.rgb_to_grayscale(x * 60), dtype="uint8")

row("ops.extract_patches", IMAGE, lambda x: image.extract_patches(x, 3))
row("ops.extract_patches same", IMAGE, lambda x: image.extract_patches(x, (3, 2), strides=2, padding="same"))
row("ops.extract_patches dilated", IMAGE, lambda x: image.extract_patches(x, 2, strides=1, dilation_rate=3))
row("ops.extract_patches channels first", FIRST_IMAGE, lambda x: image.extract_patches(x, 4, strides=(2, 3), **FIRST))
row("ops.extract_patches one", IMAGE, lambda x: image.extract_patches(x[0], (4, 3)))
row("ops.extract_patches volume", (4, 5, 6, 2), lambda x: image.extract_patches_3d(x, 2))
row("ops.extract_patches volume settings", (4, 5, 6, 2), lambda x: image.extract_patches_3d(x, (1, 2, 3), 2, 1, "same"))

row("ops.pad_images", IMAGE, lambda x: image.pad_images(x, 1, 2, 3, 4))
row(
    "ops.pad_images target",
    IMAGE,
    lambda x: image.pad_images(x, top_padding=1, right_padding=2, target_height=13, target_width=16),
)
row("ops.pad_images channels first", FIRST_IMAGE, lambda x: image.pad_images(x, 1, 2, 0, 0, **FIRST), dtype="int32")
row("ops.pad_images one", IMAGE, lambda x: image.pad_images(x[0], 1, 2, 0, 1))
row("ops.crop_images", IMAGE, lambda x: image.crop_images(x, 1, 2, 3, 4))
row(
    "ops.crop_images target",
    IMAGE,
    lambda x: image.crop_images(x, top_cropping=1, right_cropping=2, target_height=3, target_width=6),
)
row("ops.crop_images channels first", FIRST_IMAGE, lambda x: image.crop_images(x, 1, 2, 0, 0, **FIRST))
row("ops.crop_images one", IMAGE, lambda x: image.crop_images(x[0], 1, 2, 0, 1))

row("ops.gaussian_blur", IMAGE, image.gaussian_blur)
row("ops.gaussian_blur oblong", IMAGE, lambda x: image.gaussian_blur(x, (5, 3), (1.5, 0.7)))
row("ops.gaussian_blur channels first", FIRST_IMAGE, lambda x: image.gaussian_blur(x, (3, 3), (0.8, 0.8), **FIRST))
row("ops.gaussian_blur one", IMAGE, lambda x: image.gaussian_blur(x[0]))
row("ops.sobel_edges", IMAGE, image.sobel_edges)
row("ops.sobel_edges channels first", FIRST_IMAGE, lambda x: image.sobel_edges(x, **FIRST))
row("ops.ssim", [(14, 13, 3)] * 2, lambda a, b: image.ssim(ops.sigmoid(a), ops.sigmoid(a + 0.1 * b)))
row("ops.ssim settings", [FIRST_IMAGE] * 2, lambda a, b: image.ssim(a, a + b, 8.0, 5, 1.1, 0.02, 0.05, **FIRST))
row("ops.ssim one", [IMAGE] * 2, lambda a, b: image.ssim(a[0], b[0], 8.0, 4), mixes=True)

for _mode in ("constant", "nearest", "wrap", "reflect"):
    for _how in ("bilinear", "nearest"):
        for _name, _transform in (("turned", TURNED), ("stretched", STRETCHED)):
            row(
                f"ops.affine_transform {_mode} {_how} {_name}",
                IMAGE,
                lambda x, mode=_mode, how=_how, t=_transform: image.affine_transform(x, t, how, mode, 0.5),
            )
row("ops.affine_transform each", [IMAGE, (8,)], lambda x, t: image.affine_transform(x, t * 0.02 + TURNED))
row("ops.affine_transform one", IMAGE, lambda x: image.affine_transform(x[0], TURNED))
row("ops.affine_transform channels first", FIRST_IMAGE, lambda x: image.affine_transform(x, TURNED, **FIRST))
row("ops.affine_transform whole", IMAGE, lambda x: image.affine_transform(x * 60, TURNED, fill_value=7), dtype="uint8")
# The transform is the solution of equations in float32, by another algorithm.
row("ops.perspective_transform", IMAGE, lambda x: image.perspective_transform(x, CORNERS, MOVED), tolerance=1e-4)
row(
    "ops.perspective_transform each",
    [IMAGE, (4, 2), (4, 2)],
    lambda x, a, b: image.perspective_transform(x, a * 0.1 + CORNERS, b * 0.1 + MOVED, fill_value=0.3),
    tolerance=1e-4,
)
row(
    "ops.perspective_transform one",
    [FIRST_IMAGE, (4, 2)],
    lambda x, a: image.perspective_transform(x[0], a[0] * 0.1 + CORNERS, MOVED, **FIRST),
    tolerance=1e-4,
)

for _mode in ("constant", "nearest", "wrap", "mirror", "reflect"):
    for _order, _places in enumerate((PLACES, PLACES) if _mode != "mirror" else (INSIDE, INSIDE)):
        row(
            f"ops.map_coordinates {_mode} {_order}",
            (9, 10),
            lambda x, mode=_mode, order=_order, at=_places: image.map_coordinates(x, at, order, mode, 0.7),
            mixes=True,
        )
row(
    "ops.map_coordinates whole",
    (9, 10),
    lambda x: image.map_coordinates(x * 9, PLACES, 1, "nearest"),
    dtype="int32",
    mixes=True,
)
row("ops.map_coordinates places", (2, 11), lambda x: image.map_coordinates(np.eye(9, dtype="float32"), x[0], 1))

SCALE, SHIFT = np.array([1.4, 0.6], "float32"), np.array([-1.2, 0.8], "float32")
for _method in ("linear", "cubic", "lanczos3", "lanczos5"):
    for _antialias in (True, False):
        row(
            f"ops.scale_and_translate {_method} antialias={_antialias}",
            IMAGE,
            lambda x, m=_method, a=_antialias: image.scale_and_translate(
                x, (None, 12, 7, 3), SCALE, SHIFT, (1, 2), m, a
            ),
        )
row(
    "ops.scale_and_translate by tensors",
    [FIRST_IMAGE, (1,)],
    lambda x, s: image.scale_and_translate(x, (None, 3, 9, 6), ops.abs(s[0]) * 0.1 + 0.7, s[0], (-1,), "bilinear"),
    mixes=True,
)
row(
    "ops.scale_and_translate whole",
    IMAGE,
    lambda x: image.scale_and_translate(x * 9, (None, 12, 10, 3), SCALE[:1], SHIFT[:1], (1,), "linear"),
    dtype="int32",
    # TensorFlow refuses whole numbers as the limits of floats (keras/src/backend/tensorflow/image.py, 3.15).
    answer=lambda x: np.rint(
        image.scale_and_translate(x * np.float32(9), (None, 12, 10, 3), SCALE[:1], SHIFT[:1], (1,), "linear")
    ).astype("int32"),
)

for _how in ("bilinear", "bicubic", "nearest", "lanczos3"):  # to a size where no sum ends on a half
    row(f"ops.resize whole {_how}", IMAGE, lambda x, how=_how: image.resize(x * 79, (13, 6), how), dtype="uint8")
row("ops.resize whole signed", IMAGE, lambda x: image.resize(x * 10 - 7, (5, 6)), dtype="int32")
row("ops.resize one", IMAGE, lambda x: image.resize(x[0], (5, 6)))
row("ops.resize one channels first", FIRST_IMAGE, lambda x: image.resize(x[0], (5, 6), **FIRST))
row("ops.resize area", IMAGE, lambda x: image.resize(x, (4, 7), "area"))
row("ops.resize area whole", IMAGE, lambda x: image.resize(x, (3, 5), "area"), dtype="uint8")
