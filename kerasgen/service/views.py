"""What the API tells of a job."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from kerasgen.service.progress import Snapshot
from kerasgen.service.reproduction import NAME as REPRODUCTION
from kerasgen.service.requests import shown_name
from kerasgen.service.runner import RESULTS
from kerasgen.service.store import JobRow, State

ADVICE = {
    1: "The module was not written. Please report it, with the reproduction.",
    3: "Save the model again with the Keras that trained it, and upload that file.",
    4: "Look at the problems: each says what to do.",
    5: "Try a smaller model, or a server with higher limits.",
    70: "Please report it, with the reproduction.",
}


class File(BaseModel):
    """A result."""

    name: str
    size: int = Field(description="bytes")


class Details(BaseModel):
    """What is known of a model; null is what could not be found out, or not yet."""

    parameters: int | None = None
    macs: int | None = Field(default=None, description="multiply-adds for one sample")
    problems: list[str] = Field(default=[], description="what cannot be converted, and what to do")
    errors: list[dict[str, Any]] = Field(default=[], description="of each output against Keras, if compared")
    warning: str = ""
    unverified: str = Field(default="", description="why the module was not compared with Keras")
    dangerous: bool | None = Field(default=None, description="the verdict of a scan of the file")


class JobView(BaseModel):
    """A job. Times are seconds since 1970; null is what is still to come."""

    id: str
    name: str = Field(description="what the client called the model")
    state: State
    step: str
    fraction: float = Field(description="how much is done, from 0 to 1")
    text: str
    exit_code: int | None = Field(description="as `kerasgen export` would exit: 0, 1, 3, 4, 5 or 70")
    message: str
    advice: str
    files: list[File]
    created: float
    ended: float | None
    expires: float | None = Field(description="when the job and its files are deleted")
    cached: bool = Field(description="whether it shares the conversion of an earlier job")
    details: Details


class Problem(BaseModel):
    """Why a request was not answered as it was meant."""

    detail: str


class Health(BaseModel):
    """Whether the server works; `queued` and `running` are conversions."""

    status: Literal["ok", "broken"]
    version: str
    queued: int
    running: int


def view(row: JobRow, snapshot: Snapshot | None, work: Path) -> JobView:
    """A job as its client sees it. `snapshot` says how far it is, if it has not ended; `work` holds the folders."""
    outcome = row.outcome
    progress = snapshot if snapshot and outcome is None else Snapshot("", row.state)
    code = None if outcome is None else outcome.exit_code
    return JobView(
        id=row.id,
        name=row.name,
        state=progress.state,
        step=progress.step if outcome is None else "done",
        fraction=progress.fraction if outcome is None else 1.0,
        text=progress.text,
        exit_code=code,
        message="" if outcome is None else _own(outcome.message, row),
        advice=ADVICE.get(code or 0, ""),
        files=(
            [] if outcome is None else [File(name=name, size=p.stat().st_size) for name, p in files(row, work).items()]
        ),
        created=row.created,
        ended=row.ended,
        expires=row.expires,
        cached=row.cached,
        details=Details() if outcome is None else Details.model_validate(outcome.details),
    )


def files(row: JobRow, work: Path) -> dict[str, Path]:
    """The results of a job that has ended, by the names that its client sees."""
    if row.outcome is None:
        return {}
    folder = work / row.folder / RESULTS
    names = (*row.outcome.files, REPRODUCTION)
    return {shown_name(name, row.request, row.name): folder / name for name in names if (folder / name).is_file()}


def _own(message: str, row: JobRow) -> str:
    """The message with the client's name of the model in place of the neutral one."""
    for key, name in (("model", row.name), ("weights", "weights")):
        file = row.request[key]
        if file and message.startswith(f"{file}:"):
            return name + message[len(file) :]
    return message
