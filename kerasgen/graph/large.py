"""From which sizes on a layer counts as large: what is smaller takes less time than going through it in blocks."""

from __future__ import annotations

SMALL = 1 << 18  # bytes of one sample
FEW = 4_000_000  # multiplications
