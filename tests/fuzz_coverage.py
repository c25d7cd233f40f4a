"""Fuzzing led by coverage, for as long as one likes: `python tests/fuzz_coverage.py SEEDS`, with the extra `fuzz`.

SEEDS is a folder of sound files, as `fuzz.py` leaves them. The arguments behind it are those of libFuzzer.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from random import Random

import fuzz


class Bytes(Random):
    """Bytes as a source of decisions: those that a fuzzer changes change what is decided."""

    def __init__(self, data: bytes) -> None:
        super().__init__(0)
        self.data = data
        self.place = 0

    def random(self) -> float:
        """The next two bytes, then what `Random` says."""
        part = self.data[self.place : self.place + 2]
        self.place += 2
        return int.from_bytes(part, "big") / 65536 if len(part) == 2 else super().random()

    def getrandbits(self, count: int, /) -> int:
        """The next bytes, then what `Random` says."""
        length = (count + 7) // 8
        part = self.data[self.place : self.place + length]
        self.place += length
        return (
            int.from_bytes(part, "big") >> (8 * length - count) if len(part) == length else super().getrandbits(count)
        )


def one_input(data: bytes, sources: list[Path]) -> None:
    """Spoil one of the files as these bytes say, and see that it does no harm."""
    with tempfile.TemporaryDirectory() as folder:
        fuzz.attempt(Bytes(data), sources, Path(folder))


def main() -> None:
    """Hand over to libFuzzer."""
    import atheris

    sources = fuzz.seeds(Path(sys.argv.pop(1)))
    atheris.instrument_all()
    atheris.Setup(sys.argv, lambda data: one_input(data, sources))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
