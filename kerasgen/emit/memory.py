"""Modules that make do with little memory: smaller blocks take more calls, and less room."""

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
    """The module with the largest blocks whose call on one sample makes arrays of at most `limit` bytes at once.

    Raises UsageError where there is none, and where a size of the input is known only at run time.
    """
    for value in plan.graph.inputs:
        if None in value.shape[1:]:
            raise UsageError(f"input {value.name!a} leaves a size open, which the memory of a call depends on")
    needed = []
    for block in BLOCKS:
        module = emit(replace(plan, block=block, max_batch=1 if plan.max_batch else None))
        needed.append(call_bytes(module, plan, sidecar))
        if needed[-1] <= limit:
            return module
    raise UsageError(f"a call takes at least {min(needed)} bytes of memory beside the weights; allow it as many")


def call_bytes(module: Module, plan: Plan, sidecar: str) -> int:
    """How many bytes the arrays that calls on one sample make take at once, measured."""
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
        for _ in range(2):  # the second call finds all buffers there, at their full size
            predict(*inputs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
