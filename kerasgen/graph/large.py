"""The sizes that passes go by. A layer below SMALL or FEW takes less time whole than in blocks."""

from __future__ import annotations

SMALL = 1 << 18  # bytes of one sample
FEW = 4_000_000  # multiplications
RUN = 1 << 22  # bytes of the largest array of the samples that are computed at once
