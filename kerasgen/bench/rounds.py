"""Processes that take turns: each runs a round of calls while the others sleep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.errors import KerasgenError

PAUSE = 0.05  # seconds before a round, for spinning threads of the last one to fall asleep
ROUND = 0.1  # seconds that a round should last
CALLS = 1000  # per round, at most


class EngineError(KerasgenError):
    """A benchmark process ended early. The text is the last line that it wrote."""


def environment(threads: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process: these variables for its threads, and no GPU."""
    here = str(Path(__file__).parents[2])
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH", ""))))
    settings = {"PYTHONPATH": paths, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {**os.environ, **threads, **settings}


def run(program: str, job: Mapping[str, Any], threads: Mapping[str, str]) -> None:
    """Run a module of this package to completion. Raises EngineError if it fails."""
    process = subprocess.run(
        [sys.executable, "-m", program, json.dumps(job)],
        env=environment(threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    if process.returncode:
        raise EngineError(_last_line(process.stderr, process.returncode))


class Worker:
    """A process that holds one engine.

    `first` is the seconds from its start to its first answer, `call` those of that answer alone, `times` those of each
    call in the rounds so far, `memory` its peak memory in bytes. Raises EngineError if the process ends early.
    """

    def __init__(self, job: Mapping[str, Any], threads: Mapping[str, str]) -> None:
        self.answer = Path(job["outputs"])
        self.messages = tempfile.TemporaryFile()  # noqa: SIM115, closed by close()
        self.memory: int | None = None
        self.times: list[float] = []
        self.calls = 1
        start = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kerasgen.bench.worker", json.dumps(job)],
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.messages,
            text=True,
        )
        try:
            self.call = float(self._read())
            self.first = time.perf_counter() - start
            self._read()
        except BaseException:
            self.close()
            raise

    def outputs(self) -> list[np.ndarray]:
        """The first answer."""
        with np.load(self.answer, allow_pickle=False) as npz:
            return [npz[name] for name in npz.files]

    def calibrate(self) -> None:
        """Choose the number of calls per round."""
        fastest = min(self._ask(3 if self.call < 1 else 1))
        self.calls = max(1, min(CALLS, round(ROUND / fastest)))

    def round(self) -> None:
        """Time one round of calls."""
        time.sleep(PAUSE)
        self.times.extend(self._ask(self.calls))

    def _ask(self, calls: int) -> Sequence[float]:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # `_read` reports why the process ended
            self.process.stdin.write(f"{calls}\n")
            self.process.stdin.flush()
        reply = json.loads(self._read())
        self.memory = reply["memory"]
        times: list[float] = reply["times"]
        return times

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.messages.seek(0)
            raise EngineError(_last_line(self.messages.read(), code))
        return line

    def close(self) -> None:
        """End the process; does nothing if called again."""
        if self.messages.closed:
            return
        self.process.kill()
        self.process.communicate()
        self.messages.close()


def _last_line(messages: bytes, code: int) -> str:
    if code < 0:
        return f"its process was killed by signal {-code}"
    lines = messages.decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else f"its process ended with code {code}"
