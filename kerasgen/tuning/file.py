"""Reads, checks and writes tuning files.

    {"format": "kerasgen tuning 1", "machine": {...}, "noise": 0.01, "batch": 1, "block": 1048576,
     "layers": {"conv1": {"work": "conv2d of ...", "kernel": "blocked_conv", "ms": {"blocked_conv": 1.2, ...}}, ...}}

A module depends on `batch`, on `block` and on the entries of the layers except `ms`; the rest is for people. `noise` is
the relative difference between the times of two halves of the rounds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasgen.emit.publish import check_target, staged
from kerasgen.emit.runtime.tuning import BLOCKS, FORMAT, tuning_of
from kerasgen.errors import FileError, UsageError
from kerasgen.graph.plan import Tuning
from kerasgen.kernels.threads import BLOCK, own_threads
from kerasgen.names import printable
from kerasgen.tuning.works import Works

MOST_BYTES = 1 << 24
NOISE = 0.05  # a tuning with more noise is doubtful


@dataclass(frozen=True)
class Tuned:
    """A tuning that fits a model, its record in the module's header, and a warning or ""."""

    tuning: Tuning
    header: Mapping[str, Any]
    warning: str = ""


def read_tuning(path: str | os.PathLike[str], works: Works, batch: int | None = None) -> Tuned:
    """The tuning in a file for these works and this batch; None accepts any batch.

    Raises FileError if the file cannot be read, UsageError if it is not a tuning or belongs to another model.
    """
    where = printable(str(path))
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise FileError(f"{where}: cannot be read: {error.strerror or error}") from error
    try:
        record = json.loads(data[:MOST_BYTES].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    return _checked_in(where, record, works, batch)


def measured(path: str | os.PathLike[str], works: Works, batch: int = 1) -> Tuned:
    """Measure the tuning on this machine and write it to a file.

    Raises FileError if the file cannot be written.
    """
    if batch < 1:
        raise UsageError(f"tune_batch is 1 or more, not {batch!r}")
    check_target(Path(path), sources=(), force=False)
    with own_threads(works.threads):
        text = tuning_of(works.all, batch, works.max_batch)
    with staged({Path(path): lambda file: file.write(text.encode())}, force=False):
        pass
    return _checked_in(printable(str(path)), json.loads(text), works, None)


def _checked_in(where: str, record: Any, works: Works, batch: int | None) -> Tuned:
    """The checked tuning of a file, with the file's name in its messages."""
    again = "delete the file, and the next export measures again"
    try:
        tuned = _checked(record, works, batch)
    except UsageError as error:
        raise UsageError(f"{where}: {error}; {again}") from error
    return replace(tuned, warning=tuned.warning and f"{where}: {tuned.warning}; {again}")


def _checked(record: Any, works: Works, batch: int | None) -> Tuned:
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise UsageError(f"is not a file of the format {FORMAT!r}")
    layers, machine, block = record.get("layers"), record.get("machine"), record.get("block")
    if not isinstance(layers, dict) or not isinstance(machine, dict) or type(record.get("batch")) is not int:
        raise UsageError("lacks the layers, the machine or the batch")
    if type(block) is not int or block not in BLOCKS:
        raise UsageError(f"the block is one of {', '.join(map(str, BLOCKS))}, not {ascii(block)[:80]}")
    if batch is not None and batch != record["batch"]:
        raise UsageError(f"is for batches of {record['batch']}, not {batch}")
    choices: dict[str, str] = {}
    expected = works.by_layer()
    for name in [*expected, *layers]:
        if name not in layers or name not in expected:
            raise UsageError(f"layer {ascii(name)[:80]} is not in {'it' if name in expected else 'the model'}")
        (work, _, ways), entry = expected[name], layers[name]
        if not isinstance(entry, dict) or entry.get("work") != work:
            raise UsageError(f"layer {name!a} has changed: it is {work} now")
        kernel = entry.get("kernel")
        if not isinstance(kernel, str) or kernel not in ways:
            raise UsageError(f"layer {name!a} has no kernel {ascii(kernel)[:80]}; it has {', '.join(ways)}")
        if kernel != next(iter(ways)):
            choices[name] = kernel
    header = {"processor": _text(machine.get("processor")), "batch": record["batch"], "kernels": choices}
    if block != BLOCK:
        header["block"] = block
    noise, warning = record.get("noise"), ""
    if isinstance(noise, (int, float)) and noise > NOISE:
        warning = f"it was measured on a busy machine, where times differ by {noise:.0%}"
    return Tuned(Tuning(choices, None if block == BLOCK else block), header, warning)


def _text(value: Any) -> str:
    return printable(str(value))[:80]
