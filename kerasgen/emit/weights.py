"""The weights of a module: the bytes of an .npz file, and these bytes as comment lines."""

from __future__ import annotations

import binascii
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

LINE = 116  # characters of base64 in a line, a multiple of 4
STEP = LINE // 4 * 3 * 10_000  # bytes converted to lines at a time


def pack(weights: Mapping[str, np.ndarray]) -> bytes:
    """The weights as the bytes of an uncompressed .npz file; the same weights give the same bytes on any machine."""
    packed = io.BytesIO()
    arrays: dict[str, Any] = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in weights.items()
    }
    np.savez(packed, **arrays)
    return packed.getvalue()


def comment_lines(npz: bytes) -> Iterator[bytes]:
    """The bytes as comment lines of base64, a few thousand lines at a time."""
    for start in range(0, len(npz), STEP):
        yield _comments(npz[start : start + STEP])


def _comments(data: bytes) -> bytes:
    """Bytes as comment lines of base64, by whole blocks: a line at a time would take seconds for a large model."""
    text = np.frombuffer(binascii.b2a_base64(data, newline=False), np.uint8)
    whole = text[: len(text) // LINE * LINE].reshape(-1, LINE)
    lines = np.empty((len(whole), LINE + 3), np.uint8)
    lines[:, :2], lines[:, 2:-1], lines[:, -1] = (35, 32), whole, 10  # "# ", base64, newline
    rest = text[whole.size :].tobytes()
    return lines.tobytes() + (b"# " + rest + b"\n" if rest else b"")
