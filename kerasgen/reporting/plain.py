"""Whatever a file holds, as plain data for JSON: short, on one line, numbers finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kerasgen.names import printable

LONGEST = 24  # items of a list
WIDEST = 200  # items of a mapping
DEEPEST = 8  # levels
TEXT = 300  # characters


def plain(value: Any, depth: int = 0) -> Any:
    """The value as JSON has it, with texts made printable; long lists and texts end in how much is left out."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (Mapping, list, tuple)) and depth >= DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())
        shown = {shortened(str(key)): plain(item, depth + 1) for key, item in items[:WIDEST]}
        return shown if len(items) <= WIDEST else {**shown, "…": f"{len(items) - WIDEST:,} more"}
    if isinstance(value, (list, tuple)):
        shown_items = [plain(item, depth + 1) for item in value[:LONGEST]]
        return shown_items if len(value) <= LONGEST else [*shown_items, f"… {len(value) - LONGEST:,} more"]
    return shortened(value if isinstance(value, str) else str(value))


def shortened(text: str) -> str:
    """The text on one line, cut if it is long."""
    return printable(text if len(text) <= TEXT else f"{text[:TEXT]}… {len(text) - TEXT:,} more characters")


def finite(number: float) -> float | None:
    """The number, None for one that JSON does not have."""
    return float(number) if math.isfinite(number) else None
