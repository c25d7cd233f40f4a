"""The command line: arguments, messages and exit codes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import atexit
import gc
import io
import signal
import sys
from functools import cache
from typing import Any

import typer

import kerasgen

# In the order of the help, export first.
from kerasgen.cli import batch, export, packaging, reporting, serve, show, speed, verify
from kerasgen.cli.app import Settings, app, report

__all__ = ["app", "batch", "command", "export", "main", "packaging", "reporting", "serve", "show", "speed", "verify"]


# How many new objects make Python look for garbage: imports alone make a hundred thousand that stay.
GARBAGE = 100_000


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code."""
    gc.set_threshold(GARBAGE)
    Settings.quiet = Settings.debug = False
    signal.signal(signal.SIGTERM, _terminated)
    atexit.register(_unheard)
    if sys.stdout is None:
        sys.exit(report(kerasgen.FileError("stdout: is closed")))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot encode
    try:
        code = command()(arguments, standalone_mode=False)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # from the options before the command, or from printing
        code = report(error)
    gc.freeze()  # Python need not look for garbage at its end
    sys.exit(code or 0)


@cache
def command() -> Any:
    """The application as Click has it, made once for all calls of `main` in a program."""
    return typer.main.get_command(app)


def _terminated(*_: Any) -> None:
    """Exit by an exception, so that half-written files are removed."""
    sys.exit(128 + signal.SIGTERM)


def _unheard() -> None:
    """Ignore signals while Python shuts down."""
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_IGN)
