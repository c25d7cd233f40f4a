"""kerasgen takes a trained Keras network out of Keras: one readable Python module that needs only NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kerasgen.errors import (
    FileError,
    InvalidModelError,
    KerasgenError,
    ParityError,
    UnsupportedModelError,
    UsageError,
)

if TYPE_CHECKING:
    from kerasgen.api import ExportResult, check, export, inspect, verify
    from kerasgen.layers.registry import rule

__version__ = "0.1.0"
__all__ = [
    "ExportResult",
    "FileError",
    "InvalidModelError",
    "KerasgenError",
    "ParityError",
    "UnsupportedModelError",
    "UsageError",
    "check",
    "export",
    "inspect",
    "rule",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Load the converter when it is first asked for: `kerasgen --help` needs neither NumPy nor h5py."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module("kerasgen.layers" if name == "rule" else "kerasgen.api"), name)
