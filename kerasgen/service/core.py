"""The service without HTTP: accepts uploads, has them converted, forgets them when their time is over."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import HTTPException

from kerasgen.jobs import Pool
from kerasgen.service import requests
from kerasgen.service.metrics import Metrics
from kerasgen.service.progress import Hub
from kerasgen.service.requests import Options
from kerasgen.service.runner import Runner
from kerasgen.service.settings import Settings
from kerasgen.service.store import JobRow, QueueFull, Store
from kerasgen.service.upload import Form

UPLOADS = 64  # received at once; each takes a file descriptor, some memory and up to the allowed size of disk
OFTEN, SWEEP = 0.25, 60.0  # seconds between two looks for what has expired: the least, and the most
SECONDS = 5  # a guess at how long a conversion takes
log = logging.getLogger(__name__)


class Core:
    """The parts of the service, and what they do together."""

    def __init__(self, settings: Settings, store: Store, pool: Pool) -> None:
        self.settings, self.store, self.pool = settings, store, pool
        self.metrics = Metrics()
        self.work = settings.data / "work"
        self.work.mkdir(exist_ok=True)
        self._uploading: set[str] = set()
        self._stopped = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep_often, name="sweeper")
        self._deadline = 0.0

    @property
    def uploads(self) -> int:
        """How many uploads are being received."""
        return len(self._uploading)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to work."""
        self.hub = Hub(loop)
        self.runner = Runner(self.store, self.hub, self.pool, self.metrics, self.settings)
        self.runner.start()
        self._sweeper.start()

    def stop_soon(self) -> None:
        """The server stops: nobody waits for events any longer, and the grace period begins. In the event loop."""
        self._deadline = time.monotonic() + self.settings.grace
        self.hub.end_all()

    def stop(self) -> None:
        """Return when nothing runs any longer."""
        self._stopped.set()
        self.runner.stop(self._deadline)
        self._sweeper.join()
        self.store.close()

    @asynccontextmanager
    async def uploading(self) -> AsyncIterator[Path]:
        """A new folder to receive an upload in; it is gone at the end, unless a job was made of it.

        HTTPException 429 where there is no room.
        """
        waiting = await asyncio.to_thread(self.store.waiting)
        if len(self._uploading) >= UPLOADS or waiting >= self.settings.queue:
            raise self._full(waiting)
        name = secrets.token_hex(16)
        folder = self.work / name
        folder.mkdir()
        self._uploading.add(name)
        try:
            yield folder
        finally:
            self._uploading.discard(name)
            if not self.store.has_folder(name):
                shutil.rmtree(folder, ignore_errors=True)

    def accept(self, folder: Path, form: Form, options: Options) -> JobRow:
        """Make a job of an upload. HTTPException 429 where the queue has become full meanwhile."""
        request = requests.request_of(form, options, verify=self.settings.verify)
        model = form.files["model"]
        try:
            row = self.store.add(
                secrets.token_urlsafe(16),
                model.name,
                key=requests.key_of(request),
                folder=folder.name,
                request=request,
                queue=self.settings.queue,
                keep=self.settings.keep,
            )
        except QueueFull:
            raise self._full(self.settings.queue) from None
        self.metrics.add("jobs_total", cached=str(row.cached).lower())
        self.metrics.add("uploaded_bytes_total", sum(file.size for file in form.files.values()))
        log.info("accepted", extra={"job": row.id, "conversion": row.conversion, "cached": row.cached})
        self.runner.wake()
        return row

    def _full(self, waiting: int) -> HTTPException:
        """Retry-After is when a tenth of the queue may be gone, if a conversion takes a few seconds."""
        seconds = max(5, waiting * SECONDS // (10 * self.settings.jobs))
        return HTTPException(429, "the queue is full: try again later", {"Retry-After": str(seconds)})

    def delete(self, id: str) -> bool:
        """Delete a job; False if there is no such job."""
        conversions = self.store.delete(id)
        for conversion, folder in conversions or ():
            self.runner.discard(conversion, folder)
        return conversions is not None

    def _sweep_often(self) -> None:
        while True:
            try:
                self.sweep()
            except Exception:
                log.exception("the sweep failed")
            if self._stopped.wait(min(SWEEP, max(OFTEN, self.settings.keep / 4))):
                return

    def sweep(self) -> None:
        """Remove what has expired, and folders that belong to nothing: of uploads that a dead server was receiving."""
        present = [folder.name for folder in self.work.iterdir()]  # before the store is asked: new ones come later
        uploading = set(self._uploading)
        count, conversions = self.store.expire()
        for conversion, folder in conversions:
            self.runner.discard(conversion, folder)
        for name in set(present) - uploading - self.store.folders():
            shutil.rmtree(self.work / name, ignore_errors=True)
        if count:
            log.info("expired", extra={"jobs": count})
