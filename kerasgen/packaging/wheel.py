"""A wheel: a typed package of the module, with its weights as data and a command that runs it."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.names import printable
from kerasgen.packaging.card import card
from kerasgen.packaging.subject import Subject, python, rendered

# A version as the specification of versions has it, without a local part: https://packaging.python.org/specifications
VERSION = re.compile(r"(\d+!)?\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")


def prepare(version: str = "0.1.0") -> str:
    """The version of the wheel. Raises UsageError where it is none, or where no hatchling is installed."""
    if not VERSION.fullmatch(version):
        raise UsageError(f"a version is as 1.0.2, 2.0rc1 or 1.0.dev3, not {printable(version)}")
    if importlib.util.find_spec("hatchling") is None:
        raise UsageError("a wheel needs hatchling, which is not installed: pip install 'kerasgen-numpy[package]'")
    return version


def build(subject: Subject, stage: Path, settings: str) -> tuple[Path, list[str]]:
    """Build the wheel with hatchling: its dates are SOURCE_DATE_EPOCH, or a day of 2020."""
    from hatchling.builders.wheel import WheelBuilder

    package = subject.file.parent
    contents = {
        "__init__.py": python("init.py.jinja", subject=subject, version=settings),
        "__main__.py": subject.program(f"{subject.module}.model", subject.name),
        "py.typed": b"",
        "../README.md": card(subject, subject.module, subject.name),
        "../pyproject.toml": rendered("pyproject.toml.jinja", subject=subject, version=settings, quoted=quoted),
    }
    for name, content in contents.items():
        (package / name).write_bytes(content)
    (built,) = WheelBuilder(str(package.parent)).build(directory=str(stage / "dist"), versions=["standard"])
    return Path(built), []


def quoted(text: Any) -> str:
    """A string of TOML, which JSON's is, too."""
    return json.dumps(str(text))
