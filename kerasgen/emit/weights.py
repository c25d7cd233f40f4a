"""The weights of a module: the bytes of an .npz file, and these bytes as lines of base64."""

from __future__ import annotations

import binascii
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from kerasgen.emit.runtime.weights import Base64File

NPZ = 'NPZ = b"""\\\n'  # what comes before these lines in a module
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


def base64_lines(npz: bytes) -> Iterator[bytes]:
    """The bytes as lines of base64, a few thousand lines at a time: one at a time would take seconds."""
    for start in range(0, len(npz), STEP):
        text = np.frombuffer(binascii.b2a_base64(npz[start : start + STEP], newline=False), np.uint8)
        whole = text[: len(text) // LINE * LINE].reshape(-1, LINE)
        lines = np.empty((len(whole), LINE + 1), np.uint8)
        lines[:, :-1], lines[:, -1] = whole, ord("\n")
        rest = text[whole.size :].tobytes()
        yield lines.tobytes() + (rest + b"\n" if rest else b"")


def split(source: bytes) -> tuple[str, bytes | None]:
    """The text of a module without its lines of base64, and the bytes of the .npz file that they stand for.

    The bytes are empty where there are no such lines, None where they cannot be decoded. Line ends become those of
    Unix.
    """
    source = source.replace(b"\r\n", b"\n")
    start = source.rfind(NPZ.encode())
    start += len(NPZ) if start >= 0 else 0
    stop = source.find(b'"""', start) if start > 0 else -1
    if stop < 0:
        return source.decode(errors="replace"), b""
    text = (source[:start] + source[stop:]).decode(errors="replace")
    try:
        return text, Base64File(source[start:stop]).read()
    except (OSError, ValueError):
        return text, None
