"""A generated module, loaded from its file or from its bytes."""

from __future__ import annotations

import importlib.abc
import importlib.util
from pathlib import Path
from types import ModuleType

from kerasgen.errors import FileError, ParityError, UsageError
from kerasgen.names import printable


class _Loader(importlib.abc.SourceLoader):
    """Loads a module from its file, whatever the file's name, or from its bytes; writes no .pyc."""

    def __init__(self, source: Path | bytes) -> None:
        self.source = source

    def get_filename(self, fullname: str) -> str:
        """See importlib.abc.SourceLoader."""
        return str(self.source) if isinstance(self.source, Path) else "<module>"

    def get_data(self, path: str | bytes) -> bytes:
        """See importlib.abc.SourceLoader."""
        return self.source.read_bytes() if isinstance(self.source, Path) else self.source


def load_module(source: Path | bytes) -> ModuleType:
    """A generated module, executed from its file or its bytes, under a name of its own.

    Raises FileError if there is no such file, ParityError if it does not run, UsageError if it is not a generated
    module.
    """
    name = printable(str(source)) if isinstance(source, Path) else "<module>"
    if isinstance(source, Path) and not source.is_file():
        raise FileError(f"{name}: no such file")
    spec = importlib.util.spec_from_loader("_kerasgen_module", _Loader(source))
    assert spec is not None
    assert spec.loader is not None
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ParityError(f"{name}: does not run: {type(error).__name__}: {error}") from error
    takes = "as_samples" if hasattr(module, "predict_sample") else "as_input"
    missing = [part for part in ("INPUTS", "OUTPUTS", "predict", takes) if not hasattr(module, part)]
    if missing:
        raise UsageError(f"{name}: not a module that kerasgen wrote: it lacks {', '.join(missing)}")
    return module
