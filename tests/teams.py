"""A team of several copies of a module in one process, each in a thread: what the processes of a team compute."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from kerasgen.emit.load import load_module
from kerasgen.verification.compare import flat


class Team:
    """`size` copies of a module that share memory as processes do, and the layers that take `worth` multiplications."""

    def __init__(self, path: Path, size: int, worth: float = 0) -> None:
        self.modules = [load_module(path) for _ in range(size)]
        self.memory = self.modules[0].new_memory()
        self.failed = False
        self.threads = [ThreadPoolExecutor(1) for _ in range(size)]
        for rank, (module, thread) in enumerate(zip(self.modules, self.threads, strict=True)):
            thread.submit(self._join, rank, module).result()
            module.COLUMNS, module.WORTH = 1, worth  # for the layers of tests are small
            for array in getattr(module, "W", {}).values():
                array.flags.writeable = False

    def _join(self, rank: int, module: ModuleType) -> None:
        module.TEAM.join(rank, len(self.modules), module.SharedMemory(self.memory.key, module.TEAMS))
        module.TEAM.spin, module.YIELD, module.TEAM.yielded = 0, 1 << 60, self.wait

    def wait(self) -> None:
        """Let another thread run, as long as none has failed."""
        assert not self.failed, "another process has failed"
        os.sched_yield()

    def predict(self, inputs: Sequence[np.ndarray]) -> list[list[np.ndarray]]:
        """What each copy returns."""
        both = zip(self.modules, self.threads, strict=True)
        calls = [thread.submit(self._answer, module, inputs) for module, thread in both]
        errors = [call.exception() for call in calls if call.exception() is not None]
        for error in sorted(filter(None, errors), key=lambda each: isinstance(each, AssertionError)):
            raise error
        return [call.result() for call in calls]

    def _answer(self, module: ModuleType, inputs: Sequence[np.ndarray]) -> list[Any]:
        inputs = [array.view() for array in inputs]
        for array in inputs:
            array.flags.writeable = False
        try:
            module.TEAM.results = 0
            results = [np.array(y) for y in flat(module.predict(*inputs))]
            module.TEAM.barrier()
            return results
        except BaseException:
            self.failed = True
            raise
