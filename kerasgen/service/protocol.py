"""uvicorn's HTTP/1.1 with patience that ends: for headers that do not come, and for answers that are not taken."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


def patient(seconds: float) -> type[H11Protocol]:
    """The protocol class of a server whose clients may be idle for this long.

    An idle body is the reader's to judge: see `kerasgen.service.upload`.
    """

    class PatientProtocol(H11Protocol):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._timers: dict[str, asyncio.TimerHandle] = {}

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect("headers")

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is None or self.cycle.response_complete:
                self._expect("headers")
            else:
                self._met("headers")

        def pause_writing(self) -> None:
            super().pause_writing()
            self._expect("reading")

        def resume_writing(self) -> None:
            super().resume_writing()
            self._met("reading")

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            for what in list(self._timers):
                self._met(what)

        def _expect(self, what: str) -> None:
            if what not in self._timers:
                self._timers[what] = self.loop.call_later(seconds, self.transport.abort)

        def _met(self, what: str) -> None:
            timer = self._timers.pop(what, None)
            if timer is not None:
                timer.cancel()

    return PatientProtocol
