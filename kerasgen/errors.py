"""Errors, one class per exit code."""

from collections.abc import Iterable
from typing import Any

from kerasgen.names import printable

# Exit codes from the worst: interrupted, a bug, wrong answers, a damaged file, a file or a limit, an impossible
# request, something unsupported.
WORST = (130, 70, 1, 3, 5, 2, 4)


def worst(codes: Iterable[int]) -> int:
    """The exit code of several things: 0 where all are, else the first of WORST that one has."""
    codes = set(codes)
    return next((code for code in WORST if code in codes), 0)


class KerasgenError(Exception):
    """An error that the user can act on. Its text is one line.

    Settings appear in it as Python spells them, in backticks: `force=True`. The command line shows flags instead:
    --force (see `kerasgen.cli.flags`).
    """

    exit_code = 70

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))  # it may hold names from an untrusted file


class ParityError(KerasgenError):
    """The module answers differently from the model.

    `verification` is the comparison that found it (see `kerasgen.verify`), or None if nothing could be compared.
    """

    exit_code = 1
    verification: Any = None


class UsageError(KerasgenError):
    """The request is not possible: a missing extra, options that exclude each other."""

    exit_code = 2


class InvalidModelError(KerasgenError):
    """The file is damaged, incomplete or contradicts itself."""

    exit_code = 3


class UnsupportedModelError(KerasgenError):
    """The file is sound, but holds something that cannot be exported."""

    exit_code = 4


class FileError(KerasgenError):
    """A file cannot be read or written."""

    exit_code = 5
