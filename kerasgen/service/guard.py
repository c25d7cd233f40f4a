"""What every request goes through: who may ask, how long the answer may take, what its headers say, the log.

A service on the loopback interface can be reached by any web page that its user looks at. Such a page is kept out by
the Host header (a name that an attacker points at 127.0.0.1 is not ours), by Origin and Sec-Fetch-Site on requests
that change something, and by headers that let no other site read or frame an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import secrets
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kerasgen.service.metrics import Metrics

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": PAGE,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LINGER = 2.0  # seconds to let a client read why its upload was refused, before the connection is closed
LINGER_BYTES = 50_000_000  # that it may go on to send
SAFE = ("GET", "HEAD", "OPTIONS")
request_id: ContextVar[str] = ContextVar("request_id", default="")
log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, hosts: Iterable[str], metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics
        self.hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        token = request_id.set(exchange.id)
        try:
            refusal = self._refusal(scope["method"], Headers(scope=scope))
            await (refusal or self.app)(scope, exchange.receive, exchange.send)
        finally:
            self.metrics.add("requests_total", method=exchange.method, status=exchange.status)
            log.info("request", extra=exchange.record())
            request_id.reset(token)

    def _refusal(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return JSONResponse({"detail": "unknown host: the server does not allow it"}, 421)
        if method in SAFE:
            return None
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or site not in ("same-origin", "none"):
            return JSONResponse({"detail": "this request comes from a page of another site"}, 403)
        return None

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header is one of this server's. A number is: names alone can be pointed elsewhere."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            return name in self.hosts or bool(ipaddress.ip_address(name))
        except ValueError:
            return False


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = secrets.token_hex(8)
        self.scope, self._receive, self._send = scope, receive, send
        self.method = scope["method"] if scope["method"] in (*SAFE, "POST", "DELETE") else "other"
        self.status = 499  # the client has gone before it got an answer
        self.start = time.monotonic()
        headers = Headers(scope=scope)
        self.unread = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"

    def record(self) -> dict[str, Any]:
        """What the log says of it: the route and its parameters, not the path as it came."""
        route = self.scope.get("route")
        return {
            "request": self.id,
            "method": self.method,
            "route": getattr(route, "path", ""),
            "job": self.scope.get("path_params", {}).get("id", "") if self.status != 404 else "",
            "status": self.status,
            "seconds": round(time.monotonic() - self.start, 3),
        }

    async def receive(self) -> Message:
        """The next part of the body."""
        message = await self._receive()
        self.unread = self.unread and message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """A part of the answer, with what every answer has. An answer to an unread body ends when the client does."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers["X-Request-ID"] = self.id
            if self.unread:
                headers["Connection"] = "close"
            await self._send(message)
        elif self.unread and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await self._send(message)

    async def _linger(self) -> None:
        """Throw away what still comes, for a while: closing at once would reset the connection, and lose the answer."""

        async def drain() -> None:
            size = 0
            while self.unread and size < LINGER_BYTES:
                size += len((await self.receive()).get("body", b""))

        try:
            await asyncio.wait_for(drain(), LINGER)
        except asyncio.TimeoutError:
            return
