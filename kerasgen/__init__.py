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
    from kerasgen.api import check, export, inspect, load
    from kerasgen.backward.options import GradientOptions
    from kerasgen.batches import BatchResult, batch
    from kerasgen.layers.registry import rule
    from kerasgen.packaging import Package, package
    from kerasgen.reporting import Report, report
    from kerasgen.scanner import Scan, scan
    from kerasgen.verification.result import ExportResult
    from kerasgen.verification.verify import Verification, verify

__version__ = "0.1.0"
__all__ = [
    "BatchResult",
    "ExportResult",
    "FileError",
    "GradientOptions",
    "InvalidModelError",
    "KerasgenError",
    "Package",
    "ParityError",
    "Report",
    "Scan",
    "UnsupportedModelError",
    "UsageError",
    "Verification",
    "batch",
    "check",
    "export",
    "inspect",
    "load",
    "package",
    "report",
    "rule",
    "scan",
    "verify",
]
_HOMES = {  # of what is not in kerasgen.api
    "BatchResult": "kerasgen.batches",
    "ExportResult": "kerasgen.verification.result",
    "GradientOptions": "kerasgen.backward.options",
    "Package": "kerasgen.packaging",
    "Report": "kerasgen.reporting",
    "Scan": "kerasgen.scanner",
    "Verification": "kerasgen.verification.verify",
    "batch": "kerasgen.batches",
    "package": "kerasgen.packaging",
    "report": "kerasgen.reporting",
    "rule": "kerasgen.layers",
    "scan": "kerasgen.scanner",
    "verify": "kerasgen.verification.verify",
}


def __getattr__(name: str) -> Any:
    """Load the converter when it is first asked for: `kerasgen --help` needs neither NumPy nor h5py."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES.get(name, "kerasgen.api")), name)
