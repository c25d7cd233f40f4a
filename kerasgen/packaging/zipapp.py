"""One file that runs where Python and NumPy are: a zip of the module, its weights and a __main__.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasgen.packaging.archive import write_zip
from kerasgen.packaging.subject import Subject


def build(subject: Subject, stage: Path, settings: Any) -> tuple[Path, list[str]]:
    """Write the zipapp. Nothing in it is compressed, so that it starts fast and is the same bytes everywhere."""
    path = stage / f"{subject.module}.pyz"
    main = subject.program(subject.module, f"python {subject.module}.pyz")
    write_zip(path, {"__main__.py": main, **subject.files}, start=b"#!/usr/bin/env python3\n")
    path.chmod(0o777 & ~_umask(stage))
    return path, []


def _umask(stage: Path) -> int:
    """What new files lack, seen at one: to ask the process would change it for other threads."""
    probe = stage / "mode"
    probe.touch(0o777)
    return 0o777 & ~probe.stat().st_mode
