"""Modules that fit a memory limit: smaller blocks take less memory, but more calls, and so does one block at a time."""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kerasgen.emit.load import load_module
from kerasgen.errors import UsageError
from kerasgen.graph.plan import Plan
from kerasgen.kernels.threads import BLOCK

if TYPE_CHECKING:
    from kerasgen.emit.module import Module

BLOCKS = (BLOCK, BLOCK // 4, BLOCK // 16, BLOCK // 64)


def within(limit: int, plan: Plan, emit: Callable[[Plan], Module], sidecar: str) -> Module:
    """The module with the largest blocks whose arrays in a call on one sample take at most `limit` bytes.

    Raises UsageError if there is none, or if a size of an input is known only at run time.
    """
    for value in plan.graph.inputs:
        if None in value.shape[1:]:
            raise UsageError(f"input {value.name!a} leaves a size open, so the memory of a call is unknown")
    needed = []
    for block in BLOCKS:
        module = emit(
            replace(plan, block=block, max_batch=1 if plan.max_batch else None, shares_batch=None, own_threads=None)
        )
        needed.append(call_bytes(module, plan, sidecar))
        if needed[-1] <= limit:
            return module
    raise UsageError(f"a call takes at least {min(needed)} bytes of memory beside the weights; raise the limit")


def call_bytes(module: Module, plan: Plan, sidecar: str) -> int:
    """The peak memory of the arrays in a call on one sample, in bytes, measured."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "module.py")
        with open(path, "wb") as file:
            module.write(file)
        if sidecar:
            Path(folder, sidecar).write_bytes(module.npz)
        predict = load_module(path).predict
    inputs = [np.zeros((1, *(size or 1 for size in value.shape[1:])), value.dtype) for value in plan.graph.inputs]
    tracemalloc.start()
    try:
        for _ in range(2):  # in the second call, all buffers have their full size
            predict(*inputs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
