"""Counters, and their text for Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import kerasgen
from kerasgen.jobs import Outcome

Sample = tuple[str, tuple[tuple[str, str], ...]]  # a metric's name, and its labels with their values
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "kerasgen_build_info": ("gauge", "The version of kerasgen."),
    "kerasgen_requests_total": ("counter", "Answered HTTP requests."),
    "kerasgen_uploaded_bytes_total": ("counter", "Bytes of models and weights of accepted jobs."),
    "kerasgen_jobs_total": ("counter", "Accepted jobs; cached ones share an earlier conversion."),
    "kerasgen_conversions_total": ("counter", "Conversions that ended, by exit code."),
    "kerasgen_conversion_seconds_total": ("counter", "Time that conversions took."),
    "kerasgen_conversions": ("gauge", "Conversions in the store, by state."),
    "kerasgen_uploads": ("gauge", "Uploads that are being received."),
    "process_resident_memory_bytes": ("gauge", "Memory of the server, without the processes of jobs."),
}


class Metrics:
    """Counts since the server was started; any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: defaultdict[Sample, float] = defaultdict(float)

    def add(self, name: str, value: float = 1, **labels: object) -> None:
        """Count something; `name` is that of the metric without its prefix."""
        with self._lock:
            self._counts[f"kerasgen_{name}", tuple((key, str(label)) for key, label in labels.items())] += value

    def ended(self, outcome: Outcome) -> None:
        """Count a conversion."""
        self.add("conversions_total", exit_code=outcome.exit_code)
        self.add("conversion_seconds_total", outcome.seconds)

    def text(self, conversions: Mapping[str, int], uploads: int) -> str:
        """All metrics; `conversions` are their numbers by state."""
        with self._lock:
            samples = dict(self._counts)
        samples["kerasgen_build_info", (("version", kerasgen.__version__),)] = 1
        samples["kerasgen_uploads", ()] = uploads
        for state in ("queued", "running", "done", "failed"):
            samples["kerasgen_conversions", (("state", state),)] = conversions.get(state, 0)
        with suppress(OSError, ValueError):  # no Linux
            samples["process_resident_memory_bytes", ()] = _resident_bytes()
        lines = []
        for name, (kind, text) in _HELP.items():
            lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
            lines += [_line(name, labels, samples[key, labels]) for key, labels in sorted(samples) if key == name]
        return "\n".join(lines) + "\n"


def _line(name: str, labels: tuple[tuple[str, str], ...], value: float) -> str:
    text = ",".join(f'{key}="{label}"' for key, label in labels)
    return f"{name}{{{text}}} {value:.15g}" if text else f"{name} {value:.15g}"


def _resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
