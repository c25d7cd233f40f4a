"""Preparing images: (N, H, W, C)."""

import numpy as np

from kerasgen.kernels.resize import crop_to_aspect_ratio, resize


def center_crop(x, *, size):
    """The centre of an image; if too small, it is cropped to the aspect ratio of `size` and enlarged: (N, *size, C)."""
    (h, w), (oh, ow) = x.shape[1:3], size
    if h < oh or w < ow:
        return resize(crop_to_aspect_ratio(x, size=size), size=size)
    top, left = (h - oh) // 2, (w - ow) // 2
    return x[:, top : top + oh, left : left + ow]


def rescale_range(x, old, new):
    """Map x linearly from one range to another, in float32 as Keras does."""
    (a, b), (c, d) = old, new
    return x if (a, b) == (c, d) else (x.astype(np.float32) - a) / (b - a) * (d - c) + c


def auto_contrast(x, *, value_range):
    """Each channel stretched to the full value range; a constant channel stays as it is: shape kept."""
    low, high = value_range
    darkest = x.min(axis=(1, 2), keepdims=True)
    spread = x.max(axis=(1, 2), keepdims=True) - darkest
    y = (x - darkest) / np.where(spread > 0, spread, 1) * (high - low) + low
    return np.where(spread > 0, y, x)


def tile_curves(x, clip_limit):
    """The equalisation curve of every tile, for 256 values: (N, tiles, cells) → (N, tiles, 256).

    It is the cumulative histogram, after counts above the limit are clipped and spread over all bins.
    """
    n, tiles, cells = x.shape
    offsets = np.arange(n * tiles).reshape(n, tiles, 1) * 256
    counts = np.bincount((x + offsets).ravel(), minlength=n * tiles * 256).reshape(n, tiles, 256).astype(np.float32)
    if clip_limit > 0:
        clipped = np.minimum(counts, np.float32(clip_limit * cells / 256))
        counts = clipped + np.sum(counts - clipped, axis=-1, keepdims=True) / 256
    sums = np.cumsum(counts, axis=-1)
    first = sums[..., :1]
    rest = cells - first
    return np.clip((sums - first) * 255 / np.where(rest == 0, 1, rest), 0, 255)


def between_tiles(size, tile, tiles):
    """For each cell of an axis: the two tiles between whose centres it lies, counted from 1, and the second's weight.

    Tile 0 repeats the first, tile `tiles` + 1 the last.
    """
    places = (np.arange(size, dtype=np.float32) - tile / 2) / tile + 1
    before = np.floor(places)
    return before.astype(int), np.minimum(before.astype(int) + 1, tiles + 1), places - before


def equalize_adaptively(x, *, value_range=(0, 255), clip_limit=4.0, tile_grid_size=(8, 8)):
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994): shape kept.

    Each cell is mapped by the curves of the four nearest tiles, interpolated bilinearly.
    """
    n, h, w, c = x.shape
    gh, gw = tile_grid_size
    th, tw = -(-h // gh), -(-w // gw)
    y = rescale_range(x, value_range, (0, 255))
    y = np.pad(y, ((0, 0), (0, th * gh - h), (0, tw * gw - w), (0, 0)), mode="symmetric")
    pixels = np.clip(y, 0, 255).astype(int)
    tiles = pixels.reshape(n, gh, th, gw, tw, c).transpose(0, 1, 3, 5, 2, 4)
    curves = tile_curves(tiles.reshape(n, gh * gw * c, th * tw), clip_limit).reshape(n, gh, gw, c, 256)
    curves = np.pad(curves, ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0)), mode="edge")
    top, bottom, down = between_tiles(h, th, gh)
    left, right, across = between_tiles(w, tw, gw)
    down, across = down.reshape(h, 1, 1), across.reshape(w, 1)

    def change(row):
        place = (np.arange(n).reshape(n, 1, 1, 1), row.reshape(h, 1, 1))
        cell = (np.arange(c), pixels[:, :h, :w])
        one, other = (curves[place + (side.reshape(w, 1),) + cell] for side in (left, right))
        return one * (1 - across) + other * across

    y = change(top) * (1 - down) + change(bottom) * down
    return rescale_range(y, (0, 255), value_range).astype(x.dtype)
