"""Load on the service: many clients with good, broken and hostile files, slow clients, uploads without an end.

python tests/load_service.py [--uploads 200] [--clients 20]: prints what it has measured, exit code 1 if a job was lost
or an answer was wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event

import httpx
from hostile import configs, containers, weights
from services import DIGITS, PATIENCE, Service, running

LIMIT = 100_000_000  # bytes of an upload
ENDLESS = 2_000_000_000
HEAD = b'--x\r\nContent-Disposition: form-data; name="model"; filename="big.h5"\r\n\r\n'
KIND = {"Content-Type": "multipart/form-data; boundary=x"}


@dataclass(frozen=True)
class Result:
    """What was measured. `lost` and `wrong` are numbers of jobs, memory is the most that the server took, in bytes."""

    uploads: int
    seconds: float
    refused: int  # times that a client was told to come back later
    cached: int
    lost: int
    wrong: int
    memory_before: int
    memory: int


@dataclass(frozen=True)
class Stopped:
    """How an upload of ENDLESS bytes ended: what the client had sent, and the most disk that it took, in bytes."""

    status: int
    seconds: float
    sent: int
    disk: int


def samples(folder: Path) -> list[tuple[str, bytes, int]]:
    """Files by name, content and exit code: half of them good, the others damaged, hostile or unsupported."""
    faults = [fault for table in (containers, configs, weights) for fault in table.FAULTS if fault.code in (3, 4)]
    found = []
    for number, fault in enumerate(faults[::6]):
        place = folder / str(number)
        place.mkdir()
        model, *more = fault.make(place)
        if not more and (place / model).stat().st_size < 5_000_000:
            found += [
                ("digits.h5", DIGITS.read_bytes(), 0),
                (f"{number}-{model}", (place / model).read_bytes(), fault.code),
            ]
    return found


def load(service: Service, uploads: int, clients: int) -> Result:
    """Upload from many clients at once, which retry when the service says so, and check every outcome."""
    before, start = service.memory(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = samples(Path(folder))

    def one(number: int) -> tuple[int, bool, bool, bool]:
        name, data, code = files[number % len(files)]
        options = {"optimize": number % 3, "strict": number % 2 == 0}
        refused = 0
        while (answer := service.post(data, name, **options)).status_code == 429:
            refused += 1
            time.sleep(int(answer.headers["retry-after"]) / 5)  # impatient, but not much
        if answer.status_code != 202:
            return refused, False, True, False
        with suppress(AssertionError, httpx.HTTPError, ValueError):
            state = service.ended(answer.json()["id"])
            right = state["exit_code"] == code and state["name"] == name
            return refused, False, not right, state["cached"]
        return refused, True, False, False

    with ThreadPoolExecutor(clients) as pool:
        refused, lost, wrong, cached = (sum(column) for column in zip(*pool.map(one, range(uploads)), strict=True))
    seconds = round(time.monotonic() - start, 1)
    return Result(uploads, seconds, refused, cached, lost, wrong, before, service.memory())


def disk(service: Service) -> int:
    """Bytes that uploads and results take now."""
    sizes = [0]
    for folder, _, names in os.walk(service.data / "work"):
        for name in names:
            with suppress(OSError):  # it has been removed
                sizes.append(os.path.getsize(os.path.join(folder, name)))
    return sum(sizes)


def stopped(service: Service, chunked: bool) -> Stopped:
    """Upload ENDLESS bytes, with or without telling so in advance."""
    start, sent, used, before = time.monotonic(), 0, 0, disk(service)

    def body() -> Iterator[bytes]:
        nonlocal sent, used
        yield HEAD
        for count in range(ENDLESS // 65536):
            sent += 65536
            if count % 200 == 0:
                used = max(used, disk(service) - before)
            yield bytes(65536)

    headers = KIND if chunked else {**KIND, "Content-Length": str(len(HEAD) + ENDLESS // 65536 * 65536)}
    status = 0
    with suppress(httpx.WriteError, httpx.ReadError):
        status = service.client.post("/api/jobs", content=body(), headers=headers).status_code
    return Stopped(status, round(time.monotonic() - start, 2), sent, used)


def slow(service: Service, clients: int, meanwhile: Callable[[], Result]) -> Result:
    """The result of a load during which other clients send a byte a second."""
    end = Event()

    def crawl() -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", service.port), PATIENCE) as connection:
            head = f"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: {KIND['Content-Type']}\r\n"
            connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + HEAD)
            while not end.wait(1):
                connection.sendall(b"x")

    with ThreadPoolExecutor(clients) as pool:
        for _ in range(clients):
            pool.submit(crawl)
        try:
            return meanwhile()
        finally:
            end.set()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "data", "--max-upload", LIMIT) as service:
        for chunked in (False, True):
            print(f"2 GB, chunked={chunked}:", json.dumps(asdict(stopped(service, chunked))), flush=True)
        result = slow(service, 10, lambda: load(service, arguments.uploads, arguments.clients))
        print(json.dumps(asdict(result), indent=2))
        print("uploads left:", service.metric("kerasgen_uploads"), "disk:", disk(service), "exit code:", service.stop())
    return int(bool(result.lost or result.wrong))


if __name__ == "__main__":
    sys.exit(main())
