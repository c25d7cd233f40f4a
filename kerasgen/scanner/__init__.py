"""What is dangerous in a model file, found by looking at it: nothing is loaded, run, imported or followed.

The readers refuse what is found here, but stop at the first; this goes on, and tells what Keras would do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.errors import InvalidModelError
from kerasgen.readers import content
from kerasgen.scanner.files import look_at
from kerasgen.scanner.risks import RISKS, Finding

__all__ = ["RISKS", "Finding", "Scan", "scan"]


@dataclass(frozen=True)
class Scan:
    """What was found in a model, the dangers before what is merely odd."""

    source: str
    findings: tuple[Finding, ...]

    @property
    def dangerous(self) -> bool:
        """Whether there is more than what is merely odd."""
        return any(RISKS[finding.risk].danger for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        findings = [{**finding._asdict(), **RISKS[finding.risk]._asdict()} for finding in self.findings]
        return {"source": self.source, "dangerous": self.dangerous, "findings": findings}


def scan(path: str | os.PathLike[str]) -> Scan:
    """What is dangerous in a model, a file or a folder.

    Raises FileError where it cannot be read, InvalidModelError where it is no model, or damaged and nothing else.
    """
    file = content.on_disk(Path(path))
    found = list(dict.fromkeys(look_at(file)))
    if found and all(finding.risk == "damage" for finding in found):
        raise InvalidModelError(f"{found[0].where}: {found[0].what}")
    found.sort(key=lambda finding: not RISKS[finding.risk].danger)
    return Scan(file.name, tuple(finding.inside(file.name) for finding in found))
