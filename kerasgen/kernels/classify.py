"""What stands before and after a classifier of images: images of any kind become its input, scores become classes."""

import numpy as np

from kerasgen.kernels.image_ops import rgb_to_grayscale
from kerasgen.kernels.resize import resize


def fit_images(images, *, size, channels):
    """Images from 0 to 255 with this size and number of channels, as float32: (N, *size, channels).

    They are (N, H, W, C) or one image, (H, W, C) or grey (H, W); the channels are grey or RGB, perhaps with alpha,
    which is left out unless there are to be four. A size of None is kept.
    """
    x = np.asarray(images)
    x = x[..., np.newaxis] if x.ndim == 2 else x
    x = x[np.newaxis] if x.ndim == 3 else x
    if x.dtype.kind not in "fiu" or x.ndim != 4 or x.shape[-1] not in (1, 2, 3, 4) or 0 in x.shape[1:3]:
        raise ValueError(f"images are (N, H, W, C) or (H, W, C) with 1 to 4 channels, not {x.dtype} {np.shape(images)}")
    x = x.astype(np.float32)
    alpha = np.full_like(x[..., :1], 255)
    if x.shape[-1] in (2, 4):
        x, alpha = x[..., :-1], x[..., -1:]
    if channels == 1 and x.shape[-1] == 3:
        x = rgb_to_grayscale(x)
    elif channels > 1 and x.shape[-1] == 1:
        x = np.repeat(x, 3, axis=-1)
    if channels == 4:
        x = np.concatenate([x, alpha], axis=-1)
    size = tuple(new or old for new, old in zip(size, x.shape[1:3]))
    return x if size == x.shape[1:3] else resize(x, size=size)


def top_classes(scores, labels, top=5):
    """The classes with the largest scores of each sample, largest first: (N, classes) → N lists of (label, score).

    Equal scores keep the order of the labels. A single score is the probability of the second of two labels.
    """
    if scores.shape[-1] < len(labels):
        scores = np.concatenate([1 - scores, scores], axis=-1)
    order = np.argsort(-scores, axis=-1, kind="stable")[:, :top]
    return [[(labels[i], float(row[i])) for i in best] for row, best in zip(scores, order)]
