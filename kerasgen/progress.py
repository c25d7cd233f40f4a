"""Tells a listener which step of the way from a file to a module has begun."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[str], object]] = ContextVar("listener", default=len)


def step(name: str) -> None:
    """A step of `kerasgen.export` begins: build, optimise, verify or emit."""
    _listener.get()(name)


@contextmanager
def listening(listener: Callable[[str], object]) -> Iterator[None]:
    """Call this function with the name of each step that begins in the block."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
