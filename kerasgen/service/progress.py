"""How far conversions are: in memory alone, for a run that is cut off starts anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerasgen.service.store import State

MOST = 200  # snapshots of one conversion that are kept for clients that come back


@dataclass(frozen=True)
class Snapshot:
    """What a conversion was doing at some time. `id` differs from that of any other snapshot of the conversion."""

    id: str
    state: State
    step: str = ""
    text: str = ""
    fraction: float = 0.0


class Feed:
    """The snapshots of one conversion. All of its methods belong to the event loop."""

    def __init__(self) -> None:
        self._snapshots: deque[Snapshot] = deque([Snapshot("queued", "queued")], maxlen=MOST)
        self._changed = asyncio.Event()
        self._count = 0
        self.ended = False

    @property
    def latest(self) -> Snapshot:
        """The newest snapshot."""
        return self._snapshots[-1]

    def publish(self, attempt: int, state: State, event: Mapping[str, Any]) -> None:
        """Add what a run of the conversion tells: an event of `kerasgen.jobs`, or nothing yet."""
        self._count += 1
        fields = {"step": str(event.get("step", "")), "text": str(event.get("text", ""))}
        fraction = float(event.get("fraction", 0.0))
        self._snapshots.append(Snapshot(f"{attempt}-{self._count}", state, fraction=fraction, **fields))
        self._wake()

    def end(self) -> None:
        """There is nothing more to come: the conversion has ended or was deleted, or the server stops."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def follow(self, last: str, patience: float) -> AsyncIterator[Snapshot | None]:
        """The snapshots after the one with the id `last`, or from the latest on if it is unknown, until the feed ends.

        None where nothing has happened for `patience` seconds.
        """
        known = [snapshot.id for snapshot in self._snapshots]
        pending = list(self._snapshots)[known.index(last) + 1 :] if last in known else [self.latest]
        while True:
            changed = self._changed
            for snapshot in pending:
                last = snapshot.id
                yield snapshot
            if pending := self._after(last):
                continue
            if self.ended:
                return
            try:
                await asyncio.wait_for(changed.wait(), patience)
            except asyncio.TimeoutError:
                yield None
            pending = self._after(last)

    def _after(self, last: str) -> list[Snapshot]:
        ids = [snapshot.id for snapshot in self._snapshots]
        return list(self._snapshots)[ids.index(last) + 1 :] if last in ids else list(self._snapshots)


class Hub:
    """The feeds of the conversions that have not ended. Threads may call `begin`, `publish` and `end`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._feeds: dict[int, Feed] = {}

    def feed(self, conversion: int) -> Feed:
        """The feed of a conversion that has not ended."""
        return self._feeds.setdefault(conversion, Feed())

    def latest(self, conversion: int) -> Snapshot | None:
        """The newest snapshot of a conversion, if it has a feed."""
        feed = self._feeds.get(conversion)
        return feed.latest if feed else None

    def begin(self, conversion: int, attempt: int) -> None:
        """A run of a conversion begins."""
        self._soon(lambda: self.feed(conversion).publish(attempt, "running", {}))

    def publish(self, conversion: int, attempt: int, event: Mapping[str, Any]) -> None:
        """Tell those who follow a conversion, unless it has ended: events may come late."""

        def publish() -> None:
            if conversion in self._feeds:
                self._feeds[conversion].publish(attempt, "running", event)

        self._soon(publish)

    def end(self, conversion: int) -> None:
        """Let those who follow a conversion look at how it ended."""
        self._soon(lambda: self._end(conversion))

    def end_all(self) -> None:
        """Let nobody follow anything any longer. Only in the event loop."""
        for conversion in list(self._feeds):
            self._end(conversion)

    def _end(self, conversion: int) -> None:
        feed = self._feeds.pop(conversion, None)
        if feed is not None:
            feed.end()

    def _soon(self, call: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody follows
            self._loop.call_soon_threadsafe(call)
