"""Runs the service until it is told to stop."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvicorn

from kerasgen.emit.publish import try_lock
from kerasgen.errors import FileError
from kerasgen.jobs import pool_of
from kerasgen.names import printable
from kerasgen.service.app import create_app
from kerasgen.service.core import Core
from kerasgen.service.guard import Guard
from kerasgen.service.logs import start_logging
from kerasgen.service.protocol import patient
from kerasgen.service.settings import Settings
from kerasgen.service.store import Store

CONNECTIONS = 1000  # at once; more get a 503
log = logging.getLogger(__name__)


def serve(settings: Settings, *, quiet: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; then running jobs get the grace period, and are put back into the queue.

    Raises FileError where the address is taken, or the folder of the data is in use or cannot be written.
    """
    with _locked(settings.data), _listening(settings.host, settings.port) as listener:
        core = Core(settings, _opened(settings.data / "jobs.sqlite3"), pool_of(settings.jobs, settings.scheduler))
        hosts = ("localhost", settings.host, *settings.allowed_hosts)
        config = uvicorn.Config(
            Guard(create_app(core), hosts, core.metrics),
            http=patient(settings.stall),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=max(1, round(settings.grace)),
        )
        start_logging(quiet)
        _warn(settings)
        host, port, *_ = listener.getsockname()
        log.info("listening", extra={"host": host, "port": port, "data": str(settings.data)})
        signal.signal(signal.SIGTERM, _stopped)
        _Server(config, core).run([listener])
        log.info("stopped")


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, core: Core) -> None:
        super().__init__(config)
        self._core = core

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        log.info("stopping")
        self._core.stop_soon()
        await super().shutdown(sockets)


def _stopped(*_: object) -> None:
    """uvicorn repeats the signal when it has stopped: that is no error."""


def _opened(path: Path) -> Store:
    try:
        return Store(path)
    except sqlite3.Error as error:
        raise FileError(f"{printable(str(path))}: cannot be used: {error}") from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make the folder of the data, and keep other servers out of it; FileError where one is in there."""
    name = printable(str(folder))
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = stack.enter_context(open(folder / "lock", "w"))
        except OSError as error:
            raise FileError(f"{name}: cannot be written: {error.strerror}") from error
        if not try_lock(lock):
            raise FileError(f"{name}: is in use by another server; give this one another folder")
        yield


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there; FileError where that is not possible."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise FileError(f"{printable(host)}:{port}: cannot be listened at: {error.strerror}") from error
    with listener:
        yield listener


def _warn(settings: Settings) -> None:
    try:
        loopback = ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        loopback = settings.host == "localhost"
    if not loopback and not settings.token:
        log.warning("no token: whoever reaches this address may upload models and list all jobs")
