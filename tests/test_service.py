"""`kerasgen serve` as its clients see it: a real server, real files, broken connections, kills."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import load_service
import numpy as np
import pytest
from hostile import configs, containers, hdf5, weights
from hostile.fault import Fault, archive, dense, sequential, weights_h5, written
from services import DIGITS, PATIENCE, Service, running
from support import ROOT
from test_readme import matches

import kerasgen
from kerasgen import cli
from kerasgen.emit.load import load_module

FAULTS = [*containers.FAULTS, *hdf5.FAULTS, *configs.FAULTS, *weights.FAULTS]
PAGE_CSP = "default-src 'none'"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A server with default settings, for tests that leave it as it was."""
    with running(tmp_path_factory.mktemp("service") / "data") as service:
        yield service


@pytest.fixture(scope="module")
def digits(service: Service) -> Any:
    """A job that has succeeded."""
    return service.ended(service.submit(DIGITS, "digits.h5")["id"])


def unsupported(folder: Path) -> Path:
    """A model with a layer that cannot be converted."""
    config = sequential(dense(), {"class_name": "Capsule", "config": {"name": "odd", "table": list(range(100))}})
    return folder / archive(config=config)(folder)[0]


def test_a_model_becomes_a_module(service: Service, digits: Any, tmp_path: Path) -> None:
    assert digits["name"] == "digits.h5"
    assert (digits["state"], digits["exit_code"], digits["message"], digits["advice"]) == ("done", 0, "", "")
    assert (digits["step"], digits["fraction"]) == ("done", 1.0)
    assert digits["details"]["parameters"] == 20890
    assert digits["created"] < digits["ended"] < digits["expires"]
    assert digits["expires"] - digits["ended"] == pytest.approx(24 * 3600)
    assert service.client.get(f"/api/jobs/{digits['id']}").json() == digits
    assert digits in service.client.get("/api/jobs").json()
    names = [file["name"] for file in digits["files"]]
    assert {"digits.py", "summary.json"} <= set(names)
    for file in digits["files"]:
        assert len(service.file(digits["id"], file["name"])) == file["size"]
    (tmp_path / "digits.py").write_bytes(service.file(digits["id"], "digits.py"))
    assert load_module(tmp_path / "digits.py").predict(np.zeros((2, 8, 8, 1), "float32")).shape == (2, 10)
    assert str(service.data) not in service.file(digits["id"], "summary.json").decode()


def test_a_module_with_its_weights_beside_it_knows_their_name(service: Service, tmp_path: Path) -> None:
    job = service.ended(service.submit(DIGITS, "my net.h5", store="sidecar", optimize=0)["id"])
    assert [file["name"] for file in job["files"]][:2] == ["my_net.npz", "my_net.py"]
    for name in ("my_net.py", "my_net.npz"):
        (tmp_path / name).write_bytes(service.file(job["id"], name))
    assert load_module(tmp_path / "my_net.py").predict(np.zeros((2, 8, 8, 1), "float32")).shape == (2, 10)


def test_options_arrive(service: Service) -> None:
    options = {"gradients": True, "name": "mine", "labels": list("0123456789"), "preprocess": "1/16,0"}
    job = service.ended(service.submit(DIGITS, **options)["id"])
    assert "mine.py" in [file["name"] for file in job["files"]]
    text = service.file(job["id"], "mine.py")
    assert all(part in text for part in (b"\ndef backward(", b'\nLABELS = ("0", "1"', b"return x * 0.0625"))


def test_architecture_and_weights(service: Service, tmp_path: Path) -> None:
    architecture = json.dumps(sequential(dense())).encode()
    right, wrong = weights_h5(tmp_path / "right.h5"), tmp_path / written("wrong.h5", b"odd")(tmp_path)[0]
    jobs = [service.submit(architecture, "net.json", weights=file)["id"] for file in (right, wrong)]
    states = [service.ended(id) for id in jobs]
    assert [state["exit_code"] for state in states] == [0, 3]
    assert states[1]["message"].startswith("weights: not a Keras model")


def fresh(folder: Path) -> Path:
    """A new folder inside of this one."""
    new = folder / str(len(list(folder.iterdir())))
    new.mkdir()
    return new


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"odd": 1}, "options.odd: Extra inputs are not permitted"),
        ({"optimize": 3}, "options.optimize: Input should be 0, 1 or 2"),
        ({"strict": "yes"}, "options.strict: Input should be a valid boolean"),
        ({"store": "/etc"}, "options.store: Input should be 'embedded' or 'sidecar'"),
        ({"labels": "cat"}, "options.labels: Input should be a valid array"),
        ({"preprocess": "no"}, "options.preprocess: preprocess is tf, torch, caffe or SCALE,OFFSET as 1/255,0, not no"),
        ({"name": "../x"}, "options.name: it must be an identifier, and no name of Python's"),
        ({"name": "numpy"}, "options.name: it must be an identifier, and no name of Python's"),
        ({"activations": True, "gradients": True}, "options: a module has either activations, gradients or streaming"),
    ],
)
def test_wrong_options(service: Service, options: dict[str, Any], says: str) -> None:
    answer = service.post(DIGITS, **options)
    assert (answer.status_code, answer.json()["detail"]) == (422, says)


@pytest.mark.parametrize(
    ("content", "kind", "status", "says"),
    [
        (b"", "multipart/form-data; boundary=x", 400, "ends before its last boundary"),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422, "model: the field is missing"),
        (b"odd", "multipart/form-data; boundary=x", 400, "the form is damaged"),
        (b"--x\r\nContent-Disposition: form-data; name=odd\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x",
         422, "odd: no such field"),
        (b"--x\r\nContent-Disposition: form-data; name=options\r\n\r\n{\r\n--x--\r\n",
         "multipart/form-data; boundary=x", 422, "model: the field is missing"),
        (b"--x\r\nContent-Disposition: form-data; name=options\r\n\r\n" + b" " * 20000 + b"\r\n--x--\r\n",
         "multipart/form-data; boundary=x", 413, "options: the text has at most 16 kB"),
        (2 * b"--x\r\nContent-Disposition: form-data; name=model\r\n\r\n1\r\n" + b"--x--\r\n",
         "multipart/form-data; boundary=x", 422, "model: the field is there twice"),
        (b"--x\r\n" + b"A: b\r\n" * 100 + b"\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x", 400, "damaged"),
        (b"{}", "application/json", 415, "upload a form"),
        (b"{}", "multipart/form-data", 415, "upload a form"),
        (b"{}", "multipart/form-data; boundary=" + 300 * "x", 400, "damaged"),
    ],
)  # fmt: skip
def test_damaged_forms(service: Service, content: bytes, kind: str, status: int, says: str) -> None:
    before = service.folders()
    answer = service.client.post("/api/jobs", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert says in answer.json()["detail"]
    assert set(service.folders()) <= set(before)  # jobs of other tests may end meanwhile


def test_unsupported_models_list_their_problems(service: Service, tmp_path: Path) -> None:
    job = service.ended(service.submit(unsupported(tmp_path), "odd.keras")["id"])
    assert (job["state"], job["exit_code"]) == ("failed", 4)
    assert job["message"].startswith("odd.keras: unsupported: odd (Capsule)")
    assert job["advice"]
    (problem,) = job["details"]["problems"]
    assert "Capsule" in problem
    assert job["details"]["dangerous"] is False
    with zipfile.ZipFile(io.BytesIO(service.file(job["id"], "reproduction.zip"))) as archive:
        problem, structure = (json.loads(archive.read(f"{name}.json")) for name in ("problem", "structure"))
        assert sorted(archive.namelist()) == ["README.txt", "problem.json", "structure.json"]
    assert problem["message"].startswith("model.keras: unsupported: odd (Capsule)")
    assert problem["request"]["options"]["optimize"] == 2
    assert structure["keras_version"] == "3.5.0"
    assert structure["config"]["config"]["layers"][2]["config"]["table"] == [0, 1, 2, "... 97 more"]


def test_models_with_hostile_contents(service: Service, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The verdict is that of the command line. By default, of every twelfth file."""
    rows = [fault for fault in FAULTS if fault.code != 5]  # those are no files
    if not request.config.getoption("--thorough"):
        rows = rows[::12]
    jobs: list[tuple[Fault, str, str]] = []
    for fault in rows:
        folder = fresh(tmp_path)
        model, *more = fault.make(folder)
        beside = folder / more[1] if more[:1] == ["--weights"] else None
        options = {"strict": True} if "--strict" in more else {}
        jobs.append((fault, model, service.submit(folder / model, model, weights=beside, **options)["id"]))
    wrong = []
    for fault, model, id in jobs:
        state = service.ended(id)
        if state["exit_code"] != fault.code or (fault.code and not state["message"].startswith((model, "model."))):
            wrong.append((fault.what, fault.code, state["exit_code"], state["message"]))
    assert not wrong


def test_the_same_model_is_converted_once(service: Service) -> None:
    """Both jobs have the results; neither learns what the other called its model."""
    data = DIGITS.read_bytes()
    first, second = (service.submit(data, name, optimize=1) for name in ("mine.h5", "../secret\u202e.keras"))
    states = [service.ended(job["id"]) for job in (first, second)]
    assert [state["cached"] for state in states] == [False, True]
    assert [state["name"] for state in states] == ["mine.h5", "secret\\u202e.keras"]
    assert [state["files"][0]["name"] for state in states] == ["mine.py", "secret_u202e.py"]
    assert service.file(first["id"], "mine.py") == service.file(second["id"], "secret_u202e.py")
    for job, other in ((states[0], "secret"), (states[1], "mine")):
        told = json.dumps(job) + "".join(service.file(job["id"], file["name"]).decode() for file in job["files"])
        assert other not in told
    assert service.client.get(f"/api/jobs/{first['id']}/files/secret_u202e.py").status_code == 404
    assert service.client.delete(f"/api/jobs/{first['id']}").status_code == 204
    assert service.client.get(f"/api/jobs/{first['id']}").status_code == 404
    assert service.file(second["id"], "secret_u202e.py")
    folders = service.folders()
    assert service.client.delete(f"/api/jobs/{second['id']}").status_code == 204
    assert len(service.folders()) == len(folders) - 1
    assert service.client.delete(f"/api/jobs/{second['id']}").status_code == 404
    third = service.submit(data, "mine.h5", optimize=1)
    assert not third["cached"]
    assert service.client.delete(f"/api/jobs/{third['id']}").status_code == 204


def test_events_go_on_where_they_were_cut_off(service: Service, digits: Any) -> None:
    job = service.submit(DIGITS, "events.h5", optimize=0)
    events = list(service.events(job["id"]))
    assert [state["state"] for _, state in events][-1] == "done"
    fractions = [state["fraction"] for _, state in events]
    assert fractions == sorted(fractions)
    assert len({id for id, _ in events}) == len(events)
    assert [id for id, _ in service.events(job["id"])] == ["end"]
    assert [id for id, _ in service.events(job["id"], last="1-2")] == ["end"]
    answer = service.client.get(f"/api/jobs/{job['id']}/events", headers={"Last-Event-ID": "end"})
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_client_that_goes_is_forgotten(service: Service) -> None:
    """The stream ends on the server too, while the job goes on."""
    job = service.submit(DIGITS, "left.h5", strict=True, name="left")
    service.begun(job["id"])  # it closes its stream
    for worker in service.workers():
        os.kill(worker, signal.SIGSTOP)
    record = service.logged("request", route="/api/jobs/{id}/events", job=job["id"])
    assert record["status"] == 200
    assert service.client.get(f"/api/jobs/{job['id']}").json()["state"] == "running"
    for worker in service.workers():
        os.kill(worker, signal.SIGCONT)
    assert service.ended(job["id"])["exit_code"] == 0


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("POST", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Origin": "null"}, 403),
        ("POST", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:1"}, 403),
        ("DELETE", {"Origin": "http://evil.example"}, 403),
        ("POST", {"Host": "evil.example"}, 421),
        ("GET", {"Host": "evil.example"}, 421),
        ("GET", {"Host": "localhost.evil.example"}, 421),
        ("GET", {"Host": ""}, 421),
        ("GET", {"Host": "localhost:99999999"}, 200),
        ("GET", {"Host": "[::1]:8000"}, 200),
        ("GET", {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}, 200),  # it cannot read the answer
        ("POST", {"Origin": "OWN", "Sec-Fetch-Site": "same-origin"}, 415),
    ],
)
def test_pages_of_other_sites_drive_nothing(service: Service, method: str, headers: Any, status: int) -> None:
    headers = {key: service.url if value == "OWN" else value for key, value in headers.items()}
    path = "/api/jobs" if method == "POST" else "/health" if method == "GET" else f"/api/jobs/{22 * 'a'}"
    answer = service.client.request(method, path, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path",
    [
        "//etc/passwd",
        "/docs",
        "/redoc",
        "/assets/../index.html",
        "/assets/%2e%2e%2fjobs.sqlite3",
        "/assets/..%5cindex.html",
        "/api/jobs/../../etc/passwd",
        "/api/jobs/%2e%2e/files/x",
        "/api/jobs/'%20OR%201=1--aaaaaaaaa",
        "/api/jobs/ID/files/",
        "/api/jobs/ID/files/..",
        "/api/jobs/ID/files/..%2f..%2f..%2fjobs.sqlite3",
        "/api/jobs/ID/files/%2fetc%2fpasswd",
        "/api/jobs/ID/files/model.h5",
        "/api/jobs/ID/files/digits.py%00",
        "/api/jobs/ID%00/files/digits.py",
    ],
)
def test_paths_lead_nowhere_else(service: Service, digits: Any, path: str) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        target = path.replace("ID", digits["id"])
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 404")
    assert b"root:" not in answer


def test_every_answer_is_sealed(service: Service, digits: Any) -> None:
    paths = ["/", "/health", "/metrics", "/openapi.json", "/api/jobs", "/nothing", f"/api/jobs/{digits['id']}"]
    paths += [f"/api/jobs/{digits['id']}/files/digits.py", f"/api/jobs/{digits['id']}/events"]
    ids = set()
    for path in paths:
        headers = service.client.get(path).headers
        assert headers["content-security-policy"].startswith(PAGE_CSP)
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        ids.add(headers["x-request-id"])
    assert len(ids) == len(paths)
    assert (
        service.client.get(f"/api/jobs/{digits['id']}/files/digits.py")
        .headers["content-disposition"]
        .startswith("attachment")
    )


def test_the_page_and_its_files(service: Service) -> None:
    page = service.client.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    asset = service.client.get("/assets/index.html")
    assert asset.content == page.content
    again = service.client.get("/assets/index.html", headers={"If-None-Match": asset.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["content-security-policy"].startswith(PAGE_CSP)


def test_the_description_is_complete(service: Service, digits: Any) -> None:
    from fastapi.openapi.models import OpenAPI

    document = service.client.get("/openapi.json").json()
    OpenAPI.model_validate(document)
    operations = {
        (method, path): operation for path, item in document["paths"].items() for method, operation in item.items()
    }
    assert set(operations) == {
        ("post", "/api/jobs"),
        ("get", "/api/jobs"),
        ("get", "/api/jobs/{id}"),
        ("delete", "/api/jobs/{id}"),
        ("get", "/api/jobs/{id}/events"),
        ("get", "/api/jobs/{id}/files/{name}"),
        ("get", "/health"),
        ("get", "/metrics"),
    }
    for (method, path), operation in operations.items():
        assert operation["description"]
        assert "421" in operation["responses"]
        assert ("security" in operation) == (path != "/health")
        assert ("403" in operation["responses"]) == (method in ("post", "delete"))
    form = operations["post", "/api/jobs"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert set(form["properties"]) == {"model", "weights", "options"}
    assert set(form["properties"]["options"]["properties"]) == {
        "store", "optimize", "activations", "gradients", "streaming", "strict", "labels", "preprocess", "name",
    }  # fmt: skip
    assert {"202", "400", "401", "408", "413", "415", "422", "429", "507"} <= set(
        operations["post", "/api/jobs"]["responses"]
    )
    assert set(document["components"]["schemas"]["JobView"]["properties"]) == set(digits)


def test_metrics_count(service: Service, digits: Any) -> None:
    text = service.client.get("/metrics")
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert service.metric('kerasgen_conversions_total{exit_code="0"}') >= 1
    assert service.metric(f'kerasgen_build_info{{version="{kerasgen.__version__}"}}') == 1
    sample = 'kerasgen_requests_total{method="DELETE",status="404"}'
    counts = []
    for _ in range(2):
        service.client.delete(f"/api/jobs/{22 * 'a'}")
        counts.append(service.metric(sample))
    assert counts[1] == counts[0] + 1
    assert 10e6 < service.metric("process_resident_memory_bytes") < 500e6


def test_the_log_is_json_without_text_of_clients(service: Service) -> None:
    answer = service.client.get("/api/jobs/%0a%1b[31m\u202e")
    record = service.logged("request", request=answer.headers["x-request-id"])
    assert (record["status"], record["method"], record["level"]) == (404, "GET", "info")
    job = service.submit(b"\n{}", "\x1b[31m\n.h5")
    accepted = service.logged("accepted", job=job["id"])
    assert accepted["request"]
    service.ended(job["id"])
    assert all(isinstance(record, dict) and "time" in record for record in service.log)
    assert not any("\x1b" in json.dumps(record, ensure_ascii=False) for record in service.log)


def test_the_commands_of_the_page_run(service: Service, tmp_path: Path) -> None:
    """One after the other in one shell, with the server's port."""
    shutil.copy(DIGITS, tmp_path)
    page = (ROOT / "docs" / "service.md").read_text()
    blocks = "".join(re.findall(r"^```console\n(.*?)^```", page, flags=re.M | re.S))
    serve, *commands = [text.splitlines() for text in re.split(r"^\$ ", blocks, flags=re.M)[1:]]
    assert serve == ["kerasgen serve --port 8000 --data kerasgen-data"]
    assert len(commands) > 6
    script = "".join(f"{command}\nprintf '\\036'\n" for command, *_ in commands).replace(":8000", f":{service.port}")
    result = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert result.returncode == 0, result.stderr
    for (command, *expected), got in zip(commands, result.stdout.split("\x1e"), strict=False):
        assert matches(expected, got.splitlines()), (command, got)


def test_a_killed_process_of_a_job_is_an_outcome(service: Service) -> None:
    job = service.submit(DIGITS, "killed.h5", activations=True)
    service.begun(job["id"])
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
    state = service.ended(job["id"])
    assert (state["state"], state["exit_code"]) == ("failed", 5)
    assert state["message"] == "killed.h5: its process was killed: out of memory?"
    again = service.submit(DIGITS, "again.h5", activations=True)
    assert not again["cached"]
    assert service.ended(again["id"])["exit_code"] == 0


def test_a_deleted_job_is_killed(service: Service) -> None:
    job = service.submit(DIGITS, "deleted.h5", activations=True, optimize=0)
    service.begun(job["id"])
    workers = service.workers()
    assert service.client.delete(f"/api/jobs/{job['id']}").status_code == 204
    service.logged("cancelled", conversion=service.logged("accepted", job=job["id"])["conversion"])
    assert len(set(workers) - set(service.workers())) >= 1
    assert service.client.get(f"/api/jobs/{job['id']}/events").status_code == 404


def test_two_servers_do_not_share_a_folder(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    for options, says in [
        (["--data", service.data, "--port", 0], f"{service.data}: is in use by another server; give this one another"),
        (
            ["--data", service.data.parent / "other", "--port", service.port],
            f"127.0.0.1:{service.port}: cannot be liste",
        ),
    ]:
        with pytest.raises(SystemExit) as exit:
            cli.main(["serve", *map(str, options)])
        assert exit.value.code == 5
        assert capsys.readouterr().err.startswith(f"kerasgen: {says}")


def test_load(service: Service) -> None:
    """The short form of load_service.py."""
    result = load_service.slow(service, 3, lambda: load_service.load(service, 12, 6))
    assert (result.lost, result.wrong) == (0, 0)
    assert result.memory < 200e6
    end = load_service.stopped(service, chunked=False)
    assert (end.status, end.disk) == (413, 0)
    assert service.metric("kerasgen_uploads") == 0
