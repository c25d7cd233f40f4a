"""`kerasgen serve` at its limits: a token, uploads without an end, full queues, kills and restarts."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from command import alive
from services import DIGITS, PATIENCE, Service, running
from support import ROOT
from typer.main import get_command

from kerasgen import cli
from kerasgen.jobs import Outcome
from kerasgen.service.store import Store

STALL = 2  # seconds


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with a token and small limits."""
    options = ["--jobs", 1, "--queue", 1, "--max-upload", "200kB", "--stall", f"{STALL}s"]
    with running(tmp_path_factory.mktemp("strict") / "data", *options, KERASGEN_TOKEN="sesame") as service:
        service.client.headers["Authorization"] = "Bearer sesame"
        yield service


def test_the_report_has_no_origin(tmp_path: Path) -> None:
    """Its own policy allows its script by hash; the header takes away what a page of this server may do."""
    id, outcome = "a" * 22, Outcome(4, "model.h5: odd", ("report.html",))
    store = Store(tmp_path / "jobs.sqlite3")
    request = {"name": "model", "model": "model.h5", "weights": None}
    store.add(id, "net.h5", key="k", folder="f", request=request, queue=1, keep=900.0)
    store.finish(1, outcome, share=True, keep=900.0)
    store.close()
    (tmp_path / "work" / "f" / "results").mkdir(parents=True)
    (tmp_path / "work" / "f" / "results" / "report.html").write_text("<!DOCTYPE html>")
    with running(tmp_path) as service:
        answer = service.client.get(f"/api/jobs/{id}/files/report.html")
    assert (answer.text, answer.headers["content-type"]) == ("<!DOCTYPE html>", "text/html; charset=utf-8")
    assert "content-disposition" not in answer.headers
    policy = answer.headers["content-security-policy"].split("; ")
    assert policy[:2] == ["sandbox allow-scripts allow-downloads", "default-src 'none'"]
    assert not any(part.startswith("connect-src") for part in policy)


def test_without_the_token_there_is_nothing(strict: Service) -> None:
    with httpx.Client(base_url=strict.url, timeout=PATIENCE) as stranger:
        assert stranger.get("/health").status_code == 200
        assert stranger.get("/").status_code == 200
        paths = ["/api/jobs", f"/api/jobs/{22 * 'a'}", f"/api/jobs/{22 * 'a'}/files/x", "/metrics"]
        for path in paths:
            for header in ("", "Bearer", "Bearer wrong", "Basic sesame", "Bearer sesam\xe9"):
                answer = stranger.get(path, headers={"Authorization": header.encode("latin-1")} if header else {})
                assert answer.status_code == 401, (path, header)
                assert answer.headers["www-authenticate"] == "Bearer"
        assert stranger.post("/api/jobs", files={"model": b"x" * 100_000}).status_code == 401
        assert stranger.delete(f"/api/jobs/{22 * 'a'}").status_code == 401


def test_a_cookie_opens_the_files_of_one_job(strict: Service) -> None:
    job = strict.ended(strict.submit(b"{}", "a.json")["id"])
    answer = strict.client.get(f"/api/jobs/{job['id']}")
    cookie = answer.headers["set-cookie"]
    assert f"Path=/api/jobs/{job['id']}/files;" in cookie
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Max-Age=600"))
    cookies = {"Cookie": cookie.partition(";")[0]}
    with httpx.Client(base_url=strict.url, timeout=PATIENCE) as browser:
        assert browser.get(f"/api/jobs/{job['id']}/files/summary.json", headers=cookies).status_code == 200
        assert browser.get(f"/api/jobs/{job['id']}", headers=cookies).status_code == 401
        assert browser.get(f"/api/jobs/{22 * 'a'}/files/summary.json", headers=cookies).status_code == 401
        expires, _, signature = cookies["Cookie"].partition(".")
        later = {"Cookie": f"{expires}0.{signature}"}
        assert browser.get(f"/api/jobs/{job['id']}/files/summary.json", headers=later).status_code == 401


def test_uploads_that_are_too_large(strict: Service) -> None:
    """By Content-Length before anything is read, while it is uploaded, and where only the files are too large."""
    head = "POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sesame\r\n"
    head += "Content-Type: multipart/form-data; boundary=x\r\n"
    for more in ("Content-Length: 2000000000\r\nExpect: 100-continue\r\n", "Content-Length: 2000000000\r\n"):
        with socket.create_connection(("127.0.0.1", strict.port), PATIENCE) as connection:
            connection.sendall(f"{head}{more}\r\n".encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")  # though not a byte of the body was sent
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="model"; filename="m.h5"\r\n\r\n'
        while sent < 1_000_000_000:
            sent += 65536
            yield bytes(65536)

    before = strict.folders()
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    with suppress(httpx.WriteError, httpx.ReadError):  # the connection was closed while the client went on
        assert strict.client.post("/api/jobs", content=body(), headers=kind).status_code == 413
    assert sent < 100_000_000
    answer = strict.post(bytes(200_001))
    assert (answer.status_code, answer.json()["detail"]) == (413, "an upload has at most 0.2 MB")
    assert strict.folders() == before


def test_a_slow_client_is_cut_and_holds_up_nobody(strict: Service) -> None:
    address = ("127.0.0.1", strict.port)
    head = b"POST /api/jobs HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer sesame\r\n"
    with socket.create_connection(address, PATIENCE) as headers, socket.create_connection(address, PATIENCE) as body:
        headers.sendall(head)
        body.sendall(head + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 1000\r\n\r\n--x\r\n")
        job = strict.ended(strict.submit(b"[1]", "b.json")["id"])
        assert job["exit_code"] == 3
        assert body.recv(65536).startswith(b"HTTP/1.1 408")
        with suppress(ConnectionResetError):
            assert headers.recv(65536) == b""
    assert strict.metric("kerasgen_uploads") == 0


def test_a_full_queue_says_when_to_come_back(strict: Service) -> None:
    first = strict.submit(DIGITS, "first.h5")
    strict.begun(first["id"])
    (worker,) = strict.workers()
    os.kill(worker, signal.SIGSTOP)
    second = strict.submit(b'{"a": 1}', "second.json")
    answer = strict.post(b'{"a": 2}', "third.json")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    assert strict.post(DIGITS, "first again.h5").status_code == 429  # whether it is the same is known too late
    os.kill(worker, signal.SIGCONT)
    assert [strict.ended(job["id"])["exit_code"] for job in (first, second)] == [0, 3]
    assert strict.post(b'{"a": 2}', "third.json").status_code == 202


def test_a_killed_server_loses_no_job(tmp_path: Path) -> None:
    models = {"good": DIGITS.read_bytes(), "bad": b"no model"}
    jobs = []
    for _ in range(3):
        with running(tmp_path / "data", "--jobs", 1) as service:
            if not jobs:
                jobs = [service.submit(model, f"{name}.h5")["id"] for name, model in models.items()]
            service.begun(jobs[0])
            workers = service.workers()
            service.stop(signal.SIGKILL)
    with running(tmp_path / "data", "--jobs", 1) as service:
        until = time.monotonic() + PATIENCE
        while any(map(alive, workers)):
            assert time.monotonic() < until
            time.sleep(0.05)
        good, bad = (service.ended(id) for id in jobs)
        assert (good["exit_code"], good["message"]) == (5, "good.h5: the server ended 3 times while it was converted")
        assert bad["exit_code"] == 3
        again = service.submit(models["good"], "good.h5")
        assert not again["cached"]
        assert service.ended(again["id"])["exit_code"] == 0
        assert service.stop() == 0


def test_a_server_that_is_stopped_puts_jobs_back(tmp_path: Path) -> None:
    (tmp_path / "data" / "work" / "orphan").mkdir(parents=True)
    with running(tmp_path / "data", "--jobs", 1, "--grace", "0s") as service:
        assert "orphan" not in service.folders()
        jobs = [service.submit(DIGITS, "a.h5", optimize=level)["id"] for level in (0, 2)]
        service.begun(jobs[0])
        assert service.stop() == 0
        service.logged("put back")
    with running(tmp_path / "data", "--jobs", 1, "--grace", "60s") as service:
        assert service.logged("begins")["attempt"] == 1
        service.begun(jobs[0])
        assert service.stop() == 0  # in the grace period the first job ends, the second does not begin
        assert service.logged("ended")["exit_code"] == 0
    with running(tmp_path / "data", "--jobs", 1) as service:
        assert service.client.get(f"/api/jobs/{jobs[0]}").json()["state"] == "done"
        assert service.ended(jobs[1])["exit_code"] == 0


def test_results_expire(tmp_path: Path) -> None:
    with running(tmp_path / "data", "--keep", "1s") as service:
        job = service.ended(service.submit(b"{}", "a.json")["id"])
        assert job["expires"] == pytest.approx(job["ended"] + 1)
        service.logged("expired", jobs=1)
        assert service.client.get(f"/api/jobs/{job['id']}").status_code == 404
        assert service.folders() == []


def test_a_database_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "jobs.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(SystemExit) as exit:
        cli.main(["serve", "--data", str(tmp_path), "--port", "0"])
    says = f"kerasgen: {tmp_path}/jobs.sqlite3: cannot be used: file is not a database\n"
    assert (exit.value.code, capsys.readouterr().err) == (5, says)


def test_the_container_starts_what_there_is() -> None:
    """Its instructions are known, it is not root's, and the command line takes its options."""
    text = (ROOT / "examples" / "service" / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    assert {word for word, _ in lines} <= set(
        "FROM WORKDIR COPY RUN USER VOLUME EXPOSE ENV HEALTHCHECK STOPSIGNAL ENTRYPOINT".split()
    )
    told = dict(lines)  # the last of each
    assert told["USER"] == "kerasgen"
    kerasgen_, serve, *options = json.loads(told["ENTRYPOINT"])
    assert (kerasgen_, serve, options[-1]) == ("kerasgen", "serve", told["VOLUME"])
    get_command(cli.app).commands["serve"].make_context("serve", options)  # type: ignore[attr-defined]
    _, python = told["HEALTHCHECK"].split(" CMD ")
    compile(json.loads(python)[2], "healthcheck", "exec")
    for _, source in (line for line in lines if line[0] == "COPY" and "--from" not in line[1]):
        assert all((ROOT / name).exists() for name in source.split()[:-1])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max-upload", "many"], "--max-upload is a size as 8MB, not many"),
        (["--keep", "1y"], "--keep is a time as 24h, not 1y"),
    ],
)
def test_wrong_settings(options: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        cli.main(["serve", *options])
    assert (exit.value.code, capsys.readouterr().err) == (2, f"kerasgen: {says}\n")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as exit:
        cli.main(["serve"])
    says = "kerasgen: serve needs uvicorn, which is not installed: pip install 'kerasgen-numpy[serve]'\n"
    assert (exit.value.code, capsys.readouterr().err) == (2, says)
