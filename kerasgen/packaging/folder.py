"""A folder to hand over: the module, its weights, a card that tells what they are, and a test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasgen.packaging.card import card
from kerasgen.packaging.subject import Subject, python

REQUIREMENTS = "numpy>=1.17\n"


def build(subject: Subject, stage: Path, settings: Any) -> tuple[Path, list[str]]:
    """Write the folder."""
    command = f"python {subject.module}.py"
    contents = {
        "MODEL.md": card(subject, subject.module, command),
        "requirements.txt": REQUIREMENTS.encode(),
        f"test_{subject.module}.py": python("test.py.jinja", subject=subject),
    }
    folder = subject.file.parent
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder, []
