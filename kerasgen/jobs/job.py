"""What a job is, and what becomes of it. All of it is plain data, so that it travels to other processes as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.jobs.options import OPTIONS
from kerasgen.names import module_name, printable

Event = Mapping[str, Any]
"""A step of a job: `step` is a key of STEPS, `text` says it in words, `fraction` is from 0 to 1."""

Listener = Callable[[Event], object]

STEPS: Mapping[str, tuple[str, float]] = {
    "scan": ("looking for dangers", 0.0),
    "read": ("reading the model", 0.1),
    "build": ("building the graph", 0.2),
    "optimise": ("optimising the graph", 0.3),
    "verify": ("comparing with Keras", 0.4),
    "emit": ("writing the module", 0.6),
    "report": ("writing the report", 0.8),
    "done": ("done", 1.0),
}


def event(step: str) -> Event:
    """The event that a step begins."""
    text, fraction = STEPS[step]
    return {"step": step, "text": text, "fraction": fraction}


@dataclass(frozen=True)
class Limits:
    """Limits of the process of one job; None is no limit.

    `memory` are bytes, `seconds` wall time. Without `network` the process has none, where the system allows that.
    """

    memory: int | None = None
    seconds: float | None = None
    network: bool = True


@dataclass(frozen=True)
class Job:
    """A model to convert.

    `model` and `weights` are paths; the results are put into `folder`, which exists. `name` is the module's, without
    .py; by default it is made from the model's. `options` are those of `kerasgen.jobs.options`, `verify` is as for
    `kerasgen.export`, `report` asks for report.html. Raises UsageError for options that do not exist and for a name
    that is no identifier.
    """

    model: str
    folder: str
    weights: str | None = None
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    verify: bool | None = False
    report: bool = True

    def __post_init__(self) -> None:
        unknown = sorted(self.options.keys() - OPTIONS)
        if unknown:
            raise UsageError(f"a job has no option {unknown[0]!r}; it has {', '.join(sorted(OPTIONS))}")
        if self.name and not self.name.isidentifier():
            raise UsageError(f"the name of a module is an identifier, not {self.name!r}")

    @property
    def source(self) -> str:
        """The file name of the model, for messages."""
        return printable(os.path.basename(self.model))

    @property
    def module(self) -> str:
        """The file name of the module."""
        return f"{self.name}.py" if self.name else module_name(Path(self.model))

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job of this data."""
        return cls(**data)


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    `exit_code` is that of the command line: 5 for a job over its limits, 130 for a cancelled one. `message` is the line
    of the error, or "". `files` are the names of the results in the job's folder; also a job that failed may have some,
    such as the report on an unsupported model. `details` has what summary.json begins with: parameters, macs, problems,
    errors of the outputs, warning, unverified, dangerous, network.
    """

    exit_code: int
    message: str = ""
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the module was written, and is right as far as it was compared."""
        return self.exit_code == 0

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "files": list(self.files)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Outcome:
        """The outcome of this data."""
        return cls(**{**data, "files": tuple(data["files"])})
