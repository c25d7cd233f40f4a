"""The structure of the project: which folder may import which, and files that can be read in one go."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "kerasgen"
GROUND = {"display", "errors", "names"}  # which every folder may import
# What a folder imports beside those and itself, as docs/architecture.md has it. Every name stands above its own row.
ROOMS: dict[str, set[str]] = {
    "kernels": set(),
    "pure_kernels": set(),
    "graph": {"kernels"},
    "hdf5": set(),
    "readers": {"hdf5"},
    "bytecode": set(),
    "layers": {"kernels", "graph", "readers", "bytecode"},
    "builder": {"kernels", "graph", "readers", "layers"},
    "lowering": {"kernels", "pure_kernels", "graph", "builder"},
    "passes": {"kernels", "graph"},
    "backward": {"kernels", "graph", "readers", "builder", "passes"},
    "streaming": {"kernels", "graph", "builder", "passes"},
    "emit": {"kernels", "pure_kernels", "graph", "passes", "backward", "streaming"},
    "tuning": {"kernels", "graph", "passes", "emit"},
    "verification": {
        *("kernels", "graph", "readers", "bytecode", "layers", "builder", "lowering", "passes", "backward"),
        *("streaming", "emit"),
    },
    "planning": {
        *("graph", "readers", "builder", "lowering", "passes", "backward", "streaming", "emit", "tuning"),
        "verification",
    },
    "scanner": {"readers", "bytecode", "layers"},
    "bench": {"kernels", "graph", "readers", "builder", "passes", "emit", "verification", "planning", "api"},
    "reporting": {"graph", "readers", "builder", "passes", "emit", "verification", "planning", "scanner", "api"},
    "packaging": {"emit", "verification", "reporting", "api"},
    "jobs": {"hdf5", "builder", "backward", "emit", "reporting", "api"},
    "batches": {"emit", "readers", "verification", "reporting", "jobs"},
    "service": {"readers", "emit", "jobs"},
    "cli": {
        "builder",
        "backward",
        "emit",
        "hdf5",
        "layers",
        "scanner",
        "verification",
        "bench",
        "reporting",
        "batches",
        "jobs",
        "packaging",
        "service",
        "api",
        "config",
    },
}


def imports(path: Path) -> Iterator[str]:
    """The modules of this project that a file imports, without the project's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] == "kerasgen":
            inside = node.module.partition(".")[2] if node.module else ""
            yield from [inside] if inside else (alias.name for alias in node.names if (PACKAGE / alias.name).exists())
        elif isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[2] for alias in node.names if alias.name.startswith("kerasgen."))


def test_every_folder_is_a_room() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_lead_downwards(room: str) -> None:
    above = list(ROOMS)[: list(ROOMS).index(room)]
    assert ROOMS[room] - {"api", "config"} <= set(above), "a circle"
    rooms = {name.partition(".")[0] for path in (PACKAGE / room).rglob("*.py") for name in imports(path)}
    assert rooms - GROUND - {room} <= ROOMS[room]


def test_no_pass_imports_another() -> None:
    passes = [path for path in (PACKAGE / "passes").glob("*/*.py") if path.name != "__init__.py"]
    assert len(passes) > 20
    assert not [path.name for path in passes if any(name.startswith("passes") for name in imports(path))]


def test_few_modules_outside_of_the_rooms() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_lengths() -> None:
    files = [path for folder in ("kerasgen", "tests") for path in (ROOT / folder).rglob("*.py")]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > 600 and "golden" not in name} == {}
