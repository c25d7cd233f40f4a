"""How a batch ended: its exit code, a JUnit file and a page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasgen.errors import worst
from kerasgen.jobs import Outcome
from kerasgen.names import printable
from kerasgen.verification.junit import finished

STATES = {0: "ok", 1: "differs", 2: "not possible", 3: "invalid", 4: "unsupported", 5: "failed", 70: "bug"}


@dataclass(frozen=True)
class Item:
    """A model of a batch: the path it was given by, its name, and how its job ended.

    `reused` tells that an earlier run has converted it. The results are in the folder `name` of the batch.
    """

    model: str
    name: str
    outcome: Outcome
    reused: bool = False

    @property
    def state(self) -> str:
        """A word for the exit code."""
        return STATES.get(self.outcome.exit_code, "cancelled")

    @property
    def error(self) -> float | None:
        """The largest error against Keras, as a part of the largest number in an output; None if unknown."""
        errors = [report["relative"] for report in self.outcome.details.get("errors", ())]
        return None if not errors or None in errors else max(errors)

    def file(self, suffix: str) -> str:
        """The path of the result that ends so, from the folder of the batch; "" if there is none."""
        found = (name for name in self.outcome.files if name.endswith(suffix))
        return next((f"{self.name}/{name}" for name in found), "")

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"model": printable(self.model), "name": self.name, "reused": self.reused, **self.outcome.to_dict()}

    def __str__(self) -> str:
        """One line for people."""
        return printable(f"{self.state} {self.name}: {self.outcome.message}".removesuffix(": "))


@dataclass(frozen=True)
class BatchResult:
    """How the models of a batch ended, in their order. Their results are in `folder`, with index.html above them."""

    folder: Path
    items: tuple[Item, ...]

    @property
    def ok(self) -> bool:
        """Whether every model was converted, and is right as far as it was compared."""
        return self.exit_code == 0

    @property
    def exit_code(self) -> int:
        """0 where all is well, else the worst of a model: see `kerasgen.errors.worst`."""
        return worst(item.outcome.exit_code for item in self.items)

    @property
    def total(self) -> str:
        """How many models there are, and of each state."""
        counts = Counter(item.state for item in self.items)
        states = ", ".join(f"{count} {state}" for state, count in counts.most_common())
        return f"{len(self.items)} model{'s' * (len(self.items) != 1)}: {states}"

    def __str__(self) -> str:
        """A line for each model that is not right, then how many there are of each kind."""
        wrong = [str(item) for item in self.items if not item.outcome.ok]
        reused = sum(item.reused for item in self.items)
        kept = f" ({reused} from an earlier run)" if reused else ""
        return "\n".join([*wrong, f"{self.total}{kept}; {self.folder / 'index.html'}"])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {"exit_code": self.exit_code, "models": [item.to_dict() for item in self.items]}

    def junit(self) -> bytes:
        """The XML of a JUnit file: a test for each model."""
        suite = ET.Element("testsuite", name="kerasgen batch")
        for item in self.items:
            outcome = item.outcome
            test = ET.SubElement(
                suite,
                "testcase",
                classname="batch",
                name=item.name,
                file=printable(item.model),
                time=f"{outcome.seconds}",
            )
            if not outcome.ok:
                kind = "failure" if outcome.exit_code == 1 else "error"
                ET.SubElement(test, kind, type=item.state, message=printable(outcome.message))
        return finished(suite)
