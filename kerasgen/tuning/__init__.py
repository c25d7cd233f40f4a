"""Tuning: the fastest kernel for each layer on a machine, measured here or by a module, and kept in a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.tuning.file import Tuned, measured, read_tuning
from kerasgen.tuning.works import Works, works_of

__all__ = ["Tune", "Tuned", "Works", "check_settings", "works_of"]


@dataclass(frozen=True)
class Tune:
    """A tuning file for batches of this size, None for any. With `measure`, a missing file is measured and written."""

    path: str | os.PathLike[str]
    batch: int | None = None
    measure: bool = True

    def of(self, works: Works) -> Tuned:
        """The tuning for these works. Raises UsageError if it is for another model, FileError if there is no file."""
        if self.measure and not os.path.exists(self.path):
            return measured(self.path, works, 1 if self.batch is None else self.batch)
        return read_tuning(self.path, works, self.batch)


def check_settings(setting: str, others: Mapping[str, Any], target: str) -> None:
    """Raise UsageError if a tuning `setting` cannot be combined with another one that is set."""
    for name, value in others.items():
        if value:
            raise UsageError(f"a module has either `{name}` or `{setting}`")
    if target == "pure":
        raise UsageError(f"a module without NumPy has no `{setting}`")
