"""Writes the first wrong layer by itself into a folder: a script that runs it, its code, and its arrays."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.emit.module import emit
from kerasgen.errors import FileError, UsageError
from kerasgen.names import printable
from kerasgen.verification.divergence import Divergence


def reproduce(divergence: Divergence, folder: Path) -> tuple[Path, ...]:
    """Write `reproduce.py`, `layer.py` and `layer.npz` into a folder, which must be new or empty. Returns their paths.

    Raises UsageError if there is no layer to show, FileError if the folder cannot be written.
    """
    evidence = divergence.evidence
    if evidence is None or not evidence.plan.graph.inputs:
        raise UsageError(f"there is no layer to reproduce: {divergence.fault}")
    arrays: dict[str, Any] = {
        "layer": divergence.layer,
        "fault": divergence.fault,
        "config": json.dumps(evidence.config, default=str, sort_keys=True),
        "tolerance": max(report.tolerance for report in divergence.outputs),
        **{f"weight/{name}": array for name, array in evidence.plan.graph.arrays.items()},
        **{f"input/{v.name}": array for v, array in zip(evidence.plan.graph.inputs, evidence.inputs, strict=True)},
        **{f"expected/{n}": array for n, array in zip(evidence.plan.graph.outputs, evidence.expected, strict=True)},
        **{f"got/{name}": array for name, array in zip(evidence.plan.graph.outputs, evidence.got, strict=True)},
    }
    packed, module = io.BytesIO(), io.BytesIO()
    np.savez(packed, **arrays)
    emit(evidence.plan).write(module)
    files = {
        "reproduce.py": Path(__file__).with_name("rerun.py").read_bytes(),
        "layer.py": module.getvalue(),
        "layer.npz": packed.getvalue(),
    }
    _write(folder, files)
    return tuple(folder / name for name in files)


def _write(folder: Path, files: dict[str, bytes]) -> None:
    """Write all files or none: they go into a temporary folder beside this one, which is then renamed."""
    try:
        stage = Path(tempfile.mkdtemp(prefix=".kerasgen-", dir=folder.parent))
        try:
            for name, data in files.items():
                (stage / name).write_bytes(data)
            os.replace(stage, folder)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise FileError(f"{printable(str(folder))}: cannot be written: {error.strerror or error}") from error
