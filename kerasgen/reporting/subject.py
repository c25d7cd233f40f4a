"""What is known of a model that a report is on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasgen.builder import Built
from kerasgen.builder.summary import Summary, summarize
from kerasgen.emit.instrument import Line
from kerasgen.errors import InvalidModelError
from kerasgen.reporting.parity import Parity, Values
from kerasgen.reporting.placement import Placement
from kerasgen.reporting.profile import Profile
from kerasgen.reporting.structure import Structure, structure


@dataclass(frozen=True)
class Code:
    """The text of the module, its lines that compute values, and where the layers are among them."""

    text: str
    lines: Sequence[Line]
    places: Placement


@dataclass
class Subject:
    """A model that was built. Of an unsupported one there is no code, and nothing was run.

    `weights` has the arrays by their keys, as far as they could be read; `values` what each layer of the graph makes of
    the inputs.
    """

    built: Built
    weights: Mapping[str, np.ndarray]
    sha256: str = ""
    warning: str = ""
    code: Code | None = None
    values: Values = field(default_factory=dict)
    profile: Profile | None = None
    parity: Parity | None = None
    summary: Summary = field(init=False)
    structure: Structure = field(init=False)
    verification: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.summary = summarize(self.built)
        self.structure = structure(self.built)
        self.verification = {"compared": False, "reason": "", "ok": False, "outputs": [], "summary": ""}

    def warn(self, text: str) -> None:
        """Add a sentence to the warning."""
        self.warning = "; ".join(filter(None, (self.warning, text)))


def readable_weights(built: Built) -> dict[str, np.ndarray]:
    """The weights of a model that is not supported as a whole: all that are declared, or none.

    They are matched to the file as a whole, which need not work where only some of its layers are understood.
    """
    try:
        return built.file.weights.bind(built.file.model, built.variables)
    except InvalidModelError:
        return {}
