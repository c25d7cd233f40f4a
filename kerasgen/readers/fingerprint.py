"""What a model is, in 64 digits: the same for every file that it is saved to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from kerasgen.readers.model import ModelSpec


def fingerprint(model: ModelSpec, weights: Mapping[str, np.ndarray]) -> str:
    """The SHA-256, in hexadecimal digits, of an architecture in the canonical dialect and of its weights by name."""
    digest = hashlib.sha256(json.dumps(_plain(model), sort_keys=True).encode())
    for name, array in sorted(weights.items()):
        digest.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
    return digest.hexdigest()


def _plain(value: Any) -> Any:
    """A part of an architecture as JSON has it, without what only some files record of it.

    Legacy files do not tell an operation from a layer of its name, nor do they record the shapes of tensors.
    """
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value) if part.compare}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return [value.dtype.str, *_plain(value.tolist() if value.ndim else [value.item()])]
    if isinstance(value, str):
        return value.removeprefix("ops.")
    return value if value is None or isinstance(value, (bool, int, float)) else repr(value)
