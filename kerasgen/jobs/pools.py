"""Pools, which do several jobs at once."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from kerasgen.jobs.job import Job, Limits, Listener, Outcome
from kerasgen.jobs.process import run


class Pool(Protocol):
    """Takes jobs, and does as many of them at once as it has processes."""

    def submit(
        self,
        job: Job,
        limits: Limits | None = None,
        listener: Listener = len,
        cancelled: threading.Event | None = None,
    ) -> Future[Outcome]:
        """The outcome of a job, as soon as its turn has come and it has ended; arguments are those of `run`.

        The listener is called in a thread of the pool.
        """
        ...

    def shutdown(self) -> None:
        """Kill what runs and cancel what waits."""
        ...


def pool_of(processes: int, scheduler: str = "") -> Pool:
    """A pool of processes on this machine, or of the workers of the Dask scheduler at this address.

    Raises as DaskPool does.
    """
    if not scheduler:
        return LocalPool(processes)
    from kerasgen.jobs.dask_pool import DaskPool

    return DaskPool(scheduler)


class LocalPool:
    """A pool of processes on this machine. As a context manager it shuts down at the end."""

    def __init__(self, processes: int) -> None:
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="kerasgen-job")
        self._cancels: set[threading.Event] = set()

    def submit(
        self,
        job: Job,
        limits: Limits | None = None,
        listener: Listener = len,
        cancelled: threading.Event | None = None,
    ) -> Future[Outcome]:
        """As `Pool.submit`."""
        cancel = cancelled or threading.Event()
        self._cancels.add(cancel)
        future = self._threads.submit(run, job, limits, listener, cancel)
        future.add_done_callback(lambda _: self._cancels.discard(cancel))
        return future

    def shutdown(self) -> None:
        """As `Pool.shutdown`; returns when the processes are gone."""
        for cancel in list(self._cancels):
            cancel.set()
        self._threads.shutdown(cancel_futures=True)

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
