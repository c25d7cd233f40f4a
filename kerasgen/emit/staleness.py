"""Whether an existing module is what an export would write now, and what would change."""

from __future__ import annotations

import ast
import difflib
import inspect
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kerasgen.emit.module import Module
from kerasgen.emit.pure import split_weights
from kerasgen.emit.weights import split
from kerasgen.errors import FileError
from kerasgen.names import printable


@dataclass(frozen=True)
class Changes:
    """How a module differs from the one that an export would write.

    `code` is a unified diff, `weights` a line for each array, `missing` the files that do not exist. If all three
    are empty, the module is current.
    """

    module: Path
    code: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    missing: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.code or self.weights or self.missing)

    def __str__(self) -> str:
        """One line for people."""
        name = printable(str(self.module))
        if not self:
            return f"{name}: is current"
        if self.missing:
            return f"{name}: is not current: {' and '.join(file.name for file in self.missing)} must be written"
        parts = ["the code"] * bool(self.code) + ["the weights"] * bool(self.weights)
        return f"{name}: is not current: an export would change {' and '.join(parts)}"


def changes(new: Module, path: Path, sidecar: Path | None) -> Changes:
    """What an export of `new` would change in the module at `path`, and in the sidecar beside it if it has one.

    Raises FileError where a file exists but cannot be read.
    """
    missing = tuple(file for file in (path, sidecar) if file is not None and not file.exists())
    if missing:
        return Changes(path, missing=missing)
    beside = _read(sidecar) if sidecar else b""
    if "predict_sample" in new.text:  # without NumPy
        code, old = split_weights(_read(path), beside)
        new_code, written = split_weights(new.text.encode(), new.npz)
        npz = written or b""
    else:
        code, embedded = split(_read(path))
        old = beside if sidecar else embedded
        new_code, npz = new.text, new.npz if new.embedded or sidecar else b""
    lines = [] if _means_the_same(_comparable(code), _comparable(new_code)) else _diff(path, code, new_code)
    return Changes(path, tuple(lines), tuple(_weights(old, npz)))


def _diff(path: Path, old: str, new: str) -> Iterator[str]:
    name = printable(str(path))
    before, after = _comparable(old).splitlines(), _comparable(new).splitlines()
    return difflib.unified_diff(before, after, name, f"{name} (exported)", lineterm="")


def _comparable(text: str) -> str:
    """A module without what depends on whether Keras was asked."""
    text = re.sub(r"^VERIFIED = .*?\n(?=[^ })])", "", text, count=1, flags=re.M | re.S)
    return re.sub(r"^SELFTEST = .*?\n\n", "\n", text, count=1, flags=re.M | re.S)


def _means_the_same(old: str, new: str) -> bool:
    """Whether two modules differ in nothing but what a formatter may change."""
    if old == new:
        return True
    try:
        return _syntax(old) == _syntax(new)
    except (SyntaxError, ValueError, RecursionError):
        return False


def _syntax(text: str) -> str:
    """What Python sees of a module: no comments, no spaces, docstrings without their indentation."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            node.value.value = inspect.cleandoc(node.value.value)
    return ast.dump(tree)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{printable(str(path))}: cannot be read: {error.strerror or error}") from error


def _weights(old: bytes | None, new: bytes) -> Iterator[str]:
    """A line for each array that differs between two .npz files."""
    if old == new:
        return
    if old is None:
        yield "the existing weights cannot be read: their lines are not base64"
        return
    try:
        before = _arrays(old)
    except Exception as error:  # NumPy and zipfile raise many kinds
        yield f"the existing weights cannot be read: {printable(str(error))}"
        return
    after = _arrays(new)
    lines = [(name, _change(before.get(name), after.get(name))) for name in {**before, **after}]
    reports = [f"{printable(name)}: {line}" for name, line in lines if line]
    yield from reports or ["the arrays are the same, the file that holds them is not"]


def _arrays(npz: bytes) -> dict[str, np.ndarray]:
    if not npz:
        return {}
    with np.load(io.BytesIO(npz), allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _change(old: np.ndarray | None, new: np.ndarray | None) -> str:
    """How one array changes, "" if it does not."""
    if new is None:
        return "removed"
    if old is None:
        return f"added, {_kind(new)}"
    if _kind(old) != _kind(new):
        return f"{_kind(old)} becomes {_kind(new)}"
    if old.tobytes() == new.tobytes():
        return ""
    differ = (old != new) & ~(np.isnan(old) & np.isnan(new))
    most = np.nanmax(np.abs(old.astype("float64") - new.astype("float64")), initial=0.0)
    return f"{differ.sum()} of {old.size} numbers change, by {most:.3g} at most"


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"
