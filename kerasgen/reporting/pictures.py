"""What a layer makes of one sample, as a picture of a few bytes."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from kerasgen.reporting.plain import finite

MAPS = 12  # channels that are shown
CELLS = 24  # of the longer side of a map
STEPS = 128  # of a line
VALUES = 64  # of a vector


def picture(sample: np.ndarray, *, channels_first: bool = False) -> dict[str, Any] | None:
    """Maps of an image (H, W, C), lines of a signal (N, C), values of a vector; None where there are no numbers.

    `sample` has no axis for the batch. Of a volume, (D, H, W, C), the slice in the middle is shown.
    """
    if not sample.size or sample.dtype.kind not in "fiubc":
        return None
    cells = np.abs(sample) if sample.dtype.kind == "c" else sample
    cells = np.nan_to_num(cells.astype(np.float64), posinf=0.0, neginf=0.0)
    if channels_first and cells.ndim > 1:
        cells = np.moveaxis(cells, 0, -1)
    while cells.ndim > 3:
        cells = cells[len(cells) // 2]
    if cells.ndim == 3:
        return _maps(cells)
    return _lines(cells) if cells.ndim == 2 else _values(cells.reshape(-1))


def _maps(cells: np.ndarray) -> dict[str, Any]:
    height, width, channels = cells.shape
    shown = spread(channels, MAPS)
    scale = max(1.0, max(height, width) / CELLS)
    small = cells[:, :, shown]
    for axis, size in enumerate((height, width)):
        small = averaged(small, max(1, round(size / scale)), axis)
    return {
        "kind": "maps",
        "height": small.shape[0],
        "width": small.shape[1],
        "channels": channels,
        "shown": shown,
        **_pixels(np.moveaxis(small, -1, 0)),
    }


def _lines(cells: np.ndarray) -> dict[str, Any]:
    steps, channels = cells.shape
    shown = spread(channels, MAPS)
    small = averaged(cells[:, shown], min(steps, STEPS), 0)
    return {"kind": "lines", "steps": len(small), "channels": channels, "shown": shown, **_pixels(small.T)}


def _values(cells: np.ndarray) -> dict[str, Any]:
    values = [float(f"{cell:.6g}") for cell in cells[spread(cells.size, VALUES)]]
    return {
        "kind": "values",
        "size": cells.size,
        "min": finite(cells.min()),
        "max": finite(cells.max()),
        "values": values,
    }


def spread(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, at equal distances."""
    return [index * count // min(count, most) for index in range(min(count, most))]


def averaged(cells: np.ndarray, size: int, axis: int) -> np.ndarray:
    """The array with this size of an axis, its cells averaged."""
    old = cells.shape[axis]
    starts = np.arange(size) * old // size
    counts = np.diff(np.append(starts, old)).reshape([-1 if i == axis else 1 for i in range(cells.ndim)])
    return np.asarray(np.add.reduceat(cells, starts, axis) / counts)


def _pixels(cells: np.ndarray) -> dict[str, Any]:
    """The cells as bytes, 0 for the least and 255 for the largest."""
    low, high = float(cells.min()), float(cells.max())
    span = high - low
    grey = (cells - low) * (255 / span if span > 0 else 0.0)
    data = np.rint(np.nan_to_num(grey)).astype(np.uint8).tobytes()
    return {"min": finite(low), "max": finite(high), "pixels": base64.b64encode(data).decode()}
