"""reproduction.zip: what a report of an error needs, without the weights of the model."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from kerasgen.jobs import Outcome

NAME = "reproduction.zip"
MEMORY = 1_000_000_000  # bytes that the reading process may take
SECONDS = 10
MOST_NUMBERS = 32  # a longer list is data, such as a constant or a vocabulary
MOST_TEXT = 1000  # characters of a text; more is code or data
README = """\
What went wrong when kerasgen converted a model, for a bug report.

problem.json    the message, the options, the versions
structure.json  the model's architecture as far as it could be read. Weights are not in here, and of long lists and
                texts only the beginning is. Names of layers are: look at them before you give this to others.
"""


def write_reproduction(folder: Path, results: str, request: Mapping[str, Any], outcome: Outcome) -> None:
    """Write reproduction.zip into `results` inside of a conversion's folder."""
    (folder / results).mkdir(parents=True, exist_ok=True)
    problem = {
        **replace(outcome, files=()).to_dict(),
        "request": dict(request),
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    with zipfile.ZipFile(folder / results / NAME, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        archive.writestr("problem.json", json.dumps(problem, indent=2))
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            if _write_structure(folder / request["model"], file):
                archive.write(file.name, "structure.json")


def _write_structure(model: Path, file: IO[bytes]) -> bool:
    """Write the architecture as JSON, read in a process of its own; False where that is not possible."""
    try:
        subprocess.run(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path[:] = {sys.path!a}; from {__name__} import main; main()",
            ],
            input=str(model).encode(),
            stdout=file,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def main() -> None:
    """Print the shortened architecture of the model whose path is on stdin."""
    from kerasgen.jobs.sandbox import disconnect, limit_memory

    disconnect()
    limit_memory(MEMORY)
    from kerasgen.readers import architecture

    config, version = architecture(sys.stdin.read())
    json.dump({"keras_version": version, "config": shortened(config)}, sys.stdout, indent=1)


def shortened(value: Any) -> Any:
    """Plain data without long lists of numbers or texts, and without long texts."""
    if isinstance(value, Mapping):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        flat = all(isinstance(item, (int, float, str)) for item in value)
        if flat and len(value) > MOST_NUMBERS:
            return [shortened(item) for item in value[:3]] + [f"... {len(value) - 3} more"]
        return [shortened(item) for item in value]
    if isinstance(value, str) and len(value) > MOST_TEXT:
        return f"{value[:100]}... {len(value) - 100} more characters"
    return value
