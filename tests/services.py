"""A real `kerasgen serve` in a process of its own, and what its clients do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from support import ROOT

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
PATIENCE = 120.0  # seconds for anything to happen, on a busy machine


class Service:
    """A running server. `log` has the records that it has logged."""

    def __init__(self, data: Path, *options: Any, **environment: str) -> None:
        self.data = data
        self.log: list[dict[str, Any]] = []
        self._logged = threading.Condition()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kerasgen", "serve", "--port", "0", "--data", str(data), *map(str, options)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", **environment},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.port = self.logged("listening")["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.client = httpx.Client(base_url=self.url, timeout=PATIENCE)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._logged:
                self.log.append(json.loads(line) if line.startswith(b"{") else {"event": line.decode()})
                self._logged.notify_all()
        with self._logged:
            self.log.append({"event": "gone"})
            self._logged.notify_all()

    def logged(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first record of this event with these fields, as soon as it is there."""

        def found() -> Any:
            records = [r for r in self.log if r["event"] == event and fields.items() <= r.items()]
            return records[:1] or any(r["event"] == "gone" for r in self.log)

        with self._logged:
            records = self._logged.wait_for(found, PATIENCE)
            assert isinstance(records, list), (event, self.log)
            record: dict[str, Any] = records[0]
            return record

    def post(self, model: Path | bytes, name: str = "net.h5", /, *, weights: Path | None = None, **options: Any) -> Any:
        """The answer to an upload."""
        files = {"model": (name, model.read_bytes() if isinstance(model, Path) else model)}
        if weights is not None:
            files["weights"] = (weights.name, weights.read_bytes())
        return self.client.post("/api/jobs", files=files, data={"options": json.dumps(options)} if options else None)

    def submit(self, *arguments: Any, **options: Any) -> Any:
        """The state of a new job."""
        answer = self.post(*arguments, **options)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def events(self, id: str, last: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a job until its stream ends, each with its id."""
        headers = {"Last-Event-ID": last} if last else {}
        with self.client.stream("GET", f"/api/jobs/{id}/events", headers=headers) as stream:
            assert stream.headers["content-type"] == "text/event-stream; charset=utf-8"
            number = ""
            for line in stream.iter_lines():
                if line.startswith("id: "):
                    number = line[4:]
                elif line.startswith("data: "):
                    yield number, json.loads(line[6:])

    def ended(self, id: str) -> Any:
        """The state of a job when it has ended."""
        *_, (_, state) = self.events(id)
        assert state["state"] in ("done", "failed")
        return state

    def begun(self, id: str) -> None:
        """Wait until the process of a job does something."""
        for _, state in self.events(id):
            assert state["state"] in ("queued", "running")
            if state["step"]:
                return

    def workers(self) -> list[int]:
        """The processes of the jobs that run now."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and b"kerasgen.jobs.worker" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except (OSError, IndexError):  # the process has ended
                continue
        return found

    def file(self, id: str, name: str) -> bytes:
        answer = self.client.get(f"/api/jobs/{id}/files/{name}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def folders(self) -> list[str]:
        return sorted(folder.name for folder in (self.data / "work").iterdir())

    def metric(self, sample: str) -> float:
        """The value of a sample as /metrics writes it."""
        (line,) = [line for line in self.client.get("/metrics").text.splitlines() if line.startswith(f"{sample} ")]
        return float(line.split()[-1])

    def memory(self) -> int:
        """The most memory that the server has had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    def stop(self, sign: int = signal.SIGTERM) -> int:
        """Send a signal; returns the exit code."""
        self.process.send_signal(sign)
        code = self.process.wait(PATIENCE)
        self._reader.join()
        self.client.close()
        assert self.process.stderr is not None
        self.process.stderr.close()
        return code


@contextmanager
def running(data: Path, *options: Any, **environment: str) -> Iterator[Service]:
    """A server that is gone at the end, whatever has happened."""
    service = Service(data, *options, **environment)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop(signal.SIGKILL)
