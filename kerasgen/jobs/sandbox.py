"""Limits that a process sets itself, and what its parent can see of it. Where a system has none, nothing happens."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


def limit_memory(size: int) -> bool:
    """Let the allocations of this process and of its children, each, come to this many bytes; whether that worked.

    RLIMIT_DATA counts what a process may write to. RLIMIT_AS also counts what libraries only reserve.
    """
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    except (ImportError, ValueError, OSError):  # Windows; a lower limit from outside
        return False
    return True


def disconnect() -> bool:
    """Leave the network, by a namespace without interfaces that are up; whether that worked.

    Only a process with a single thread can: call it before NumPy is imported. It takes either the right to administer
    the system, or one that lets its users make namespaces.
    """
    return _unshare(CLONE_NEWNET) or _unshare(CLONE_NEWUSER | CLONE_NEWNET)


def _unshare(flags: int) -> bool:
    try:
        return bool(ctypes.CDLL(None).unshare(flags) == 0)  # os.unshare needs Python 3.12
    except (AttributeError, OSError, TypeError):  # no Linux
        return False


def group_memory(group: int) -> int:
    """Bytes of memory that the processes of a group have for themselves; 0 where the system does not tell."""
    pages = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # the process has ended
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                _, resident, shared, *_ = (folder / "statm").read_text().split()
                pages += int(resident) - int(shared)
    return pages * os.sysconf("SC_PAGE_SIZE") if pages else 0


def kill_group(group: int) -> None:
    """Kill the processes of a group, if there are any."""
    with suppress(ProcessLookupError, PermissionError):  # macOS says the latter of a group that has ended
        os.killpg(group, signal.SIGKILL)
