"""Finds dangers in a model file by inspection: nothing is loaded, run, imported or followed.

The readers refuse the same things, but stop at the first; the scanner goes on, and says what Keras would do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.display import Display, Displayed, Table
from kerasgen.errors import InvalidModelError
from kerasgen.readers import content
from kerasgen.scanner.files import look_at
from kerasgen.scanner.risks import RISKS, Finding

__all__ = ["RISKS", "Finding", "Scan", "scan"]


@dataclass(frozen=True)
class Scan(Displayed):
    """The findings in a model, dangers before oddities."""

    source: str
    findings: tuple[Finding, ...]

    @property
    def dangerous(self) -> bool:
        """Whether there is a danger among the findings."""
        return any(RISKS[finding.risk].danger for finding in self.findings)

    def display(self) -> Display:
        """A table of the findings, then the effect of each kind, and the verdict."""
        wrong = {row for row, finding in enumerate(self.findings) if RISKS[finding.risk].danger}
        tables = [Table(("risk", "where", "what"), self.findings, wrong=wrong)] if self.findings else []
        risks = dict.fromkeys(finding.risk for finding in self.findings)
        effects = [f"{risk}: {RISKS[risk].effect}; {RISKS[risk].advice}" for risk in risks]
        verdict = "dangerous" if self.dangerous else "no known dangers found"
        return Display(tables, [*effects, f"{self.source}: {verdict}"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        findings = [{**finding._asdict(), **RISKS[finding.risk]._asdict()} for finding in self.findings]
        return {"source": self.source, "dangerous": self.dangerous, "findings": findings}


def scan(path: str | os.PathLike[str]) -> Scan:
    """Scan a model, a file or a folder.

    Raises FileError if it cannot be read, InvalidModelError if it is not a model, or if damage is the only finding.
    """
    file = content.on_disk(Path(path))
    findings = list(dict.fromkeys(look_at(file)))
    if findings and all(finding.risk == "damage" for finding in findings):
        raise InvalidModelError(f"{findings[0].where}: {findings[0].what}")
    findings.sort(key=lambda finding: not RISKS[finding.risk].danger)
    return Scan(file.name, tuple(finding.inside(file.name) for finding in findings))
