"""Files appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError


def check_target(path: Path, *, source: Any, force: bool) -> None:
    """Raise FileError where the output may not be written: it exists and `force` is off, or it is the input."""
    if isinstance(source, (str, os.PathLike)) and path.exists() and os.path.exists(source) and path.samefile(source):
        raise FileError(f"{path}: is the model itself; give the module another name")
    if path.exists() and not force:
        raise FileError(f"{path}: exists; use --force to replace it")
    if not path.parent.is_dir():
        raise FileError(f"{path.parent}: no such folder")


@contextmanager
def staged(files: Mapping[Path, Callable[[Any], None]], *, keep: bool = False) -> Iterator[Path]:
    """Write files into a temporary folder beside their final place; rename them, in order, when the block ends.

    Where the block raises, nothing is left, unless `keep` is set. Yields the staged path of the last file. All files
    are in one folder.
    """
    (folder,) = {path.parent for path in files}
    try:
        stage = Path(tempfile.mkdtemp(prefix=".kerasgen-", dir=folder))
        try:
            for path, write in files.items():
                with open(stage / path.name, "wb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
            try:
                yield stage / path.name
            except Exception:
                if not keep:
                    raise
                _rename(files, stage)
                raise
            _rename(files, stage)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise FileError(f"{error.filename or folder}: {error.strerror or error}") from error


def _rename(files: Mapping[Path, Any], stage: Path) -> None:
    for path in files:
        os.replace(stage / path.name, path)
