"""Jobs: what becomes of a model in a process of its own, and of the process.

A job runs a test's Python in its process by way of a custom function, whose module is imported there.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from command import unsupported
from keras import layers as L
from support import ROOT

import kerasgen
from kerasgen.jobs import Job, Limits, LocalPool, Outcome, run
from kerasgen.jobs.sandbox import group_memory

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
PATIENCE = 120.0  # seconds until a test gives up
LONG = "import time\ntime.sleep(600)\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="what a group of processes takes is told by /proc")

Make = Callable[..., Job]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a job; `code` runs in its process before the model is built."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()

    def job(code: str = "", model: Path = DIGITS, **settings: Any) -> Job:
        if code:
            body = "from kerasgen.layers import RULES\nfunction = RULES['Flatten']\n"
            (tmp_path / "hook.py").write_text(f"{body}{code}")
            settings["options"] = {"custom": ["Flatten=hook:function"]}
        return Job(str(model), "results", **settings)

    return job


def results() -> list[str]:
    return sorted(path.name for path in Path("results").iterdir())


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended may still wait for its parent to notice."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(fact: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end
        time.sleep(0.05)


@contextmanager
def cancelling(file: str) -> Iterator[threading.Event]:
    """An event that is set once this file is there."""
    cancelled = threading.Event()

    def cancel() -> None:
        wait_until(Path(file).exists)
        cancelled.set()

    thread = threading.Thread(target=cancel)
    thread.start()
    yield cancelled
    thread.join()


def test_a_job(make: Make) -> None:
    """The module is that of `export`; the steps come in order, each once."""
    events: list[Any] = []
    outcome = run(make(), listener=events.append)
    assert (outcome.ok, outcome.message) == (True, "")
    assert list(outcome.files) == results()
    assert {"digits.py", "summary.json"} <= set(outcome.files)
    kerasgen.export(DIGITS, "own.py", verify=False)
    assert Path("results", "digits.py").read_bytes() == Path("own.py").read_bytes()
    summary = json.loads(Path("results", "summary.json").read_text())
    assert summary["parameters"] == outcome.details["parameters"] == kerasgen.inspect(DIGITS).parameters
    assert summary["layers"][0]["kind"] == "Rescaling"
    assert summary["unverified"] == "skipped on request"
    assert not summary["scan"]["dangerous"]
    steps = [event["step"] for event in events]
    assert [step for step in steps if step != "report"] == ["scan", "read", "build", "optimise", "emit", "done"]
    fractions = [event["fraction"] for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_plain_data() -> None:
    """Jobs and outcomes survive JSON."""
    job = Job("model.h5", "folder", options={"store": "sidecar", "optimize": 1}, verify=None)
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    outcome = Outcome(4, "unsupported", ("summary.json",), 1.5, {"problems": ["x"]})
    assert Outcome.from_dict(json.loads(json.dumps(outcome.to_dict()))) == outcome


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"options": {"force": True}}, "no option 'force'"),
        ({"name": "../x"}, "is an identifier, not '../x'"),
    ],
    ids=["option", "name"],
)
def test_impossible_jobs(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(kerasgen.UsageError, match=words):
        Job("model.h5", "folder", **settings)


def test_a_part_of_a_model(make: Make) -> None:
    """What decides what is read counts for the summary and the report, too."""
    outcome = run(make(options={"outputs": ["flat"]}))
    assert outcome.ok
    summary = json.loads(Path("results", "summary.json").read_text())
    assert "digit" not in {layer["name"] for layer in summary["layers"]}
    assert '"name":"flat"' in Path("results", "report.html").read_text()
    assert '"name":"digit"' not in Path("results", "report.html").read_text()


def test_options(make: Make) -> None:
    options = {"store": "sidecar", "gradients": {"loss": "mean_squared_error", "optimizer": "sgd"}}
    outcome = run(make(name="other", options=options, report=False))
    assert outcome.files == ("other.npz", "other.py", "summary.json")
    assert "def train_step(" in Path("results", "other.py").read_text()


def test_unsupported(make: Make, tmp_path: Path) -> None:
    """There is no module, but a summary that says why."""
    unsupported(L.Lambda(lambda x: x * 2 if x is not None else x, name="twice")).save(tmp_path / "lambda.keras")
    outcome = run(make(model=tmp_path / "lambda.keras"))
    assert outcome.exit_code == 4
    assert "unsupported: twice (Lambda)" in outcome.message
    assert "`custom={'twice': function}`" in outcome.message
    assert not (tmp_path / "results" / "lambda.py").exists()
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert (summary["exit_code"], summary["problems"]) == (4, outcome.details["problems"])
    assert summary["scan"]["dangerous"] is outcome.details["dangerous"] is True


def test_no_folder(make: Make) -> None:
    assert run(Job(str(DIGITS), "missing")).exit_code == 5


@pytest.mark.parametrize(
    ("code", "exit_code", "words"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", 70, "crashed (SIGSEGV)"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", 5, "was killed: out of memory?"),
        ("import os\nos._exit(3)", 70, "crashed (exit code 3)"),
    ],
    ids=["crash", "kill", "exit"],
)
def test_a_process_that_dies(make: Make, code: str, exit_code: int, words: str) -> None:
    outcome = run(make(code))
    assert outcome.exit_code == exit_code
    assert outcome.message.startswith("digits.h5: ")
    assert words in outcome.message
    assert results() == []


def test_a_bug(make: Make) -> None:
    """An unexpected error becomes one line; text that libraries print is ignored."""
    outcome = run(make("import kerasgen\nprint('noise', flush=True)\nkerasgen.export = lambda *_, **__: 1 / 0"))
    message = "digits.h5: a bug in kerasgen: ZeroDivisionError: division by zero"
    assert (outcome.exit_code, outcome.message) == (70, message)
    assert outcome.details["parameters"] > 0


def test_the_worker_itself(make: Make, tmp_path: Path) -> None:
    """It ends well while its stdin is still open, and nothing but events is on its stdout."""
    request = {"job": make(report=False).to_dict(), "limits": {}, "stage": str(tmp_path / "results")}
    with subprocess.Popen(
        [sys.executable, "-m", "kerasgen.jobs.worker"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        *_, last = map(json.loads, process.stdout)
        assert process.wait() == 0
    assert (last["step"], last["outcome"]["exit_code"]) == ("done", 0)


def test_time_limit(make: Make) -> None:
    outcome = run(make(LONG), Limits(seconds=0.5))
    assert (outcome.exit_code, outcome.message) == (5, "digits.h5: takes longer than 0.5 s")
    assert outcome.seconds < PATIENCE
    assert results() == []


def test_memory_limit(make: Make) -> None:
    """A process that needs more says so itself. The limit is enough for an ordinary model."""
    code = "import kerasgen\nkerasgen.export = lambda *_, **__: bytearray(1 << 30)"
    outcome = run(make(code), Limits(memory=500_000_000))
    assert (outcome.exit_code, outcome.message) == (5, "digits.h5: needs more memory than it may take")
    assert run(make(), Limits(memory=500_000_000)).ok


@linux
def test_memory_of_all_processes(make: Make) -> None:
    """Children that stay below the limit each, but not together, end with the job."""
    code = """
import os, time
for number in range(3):
    if os.fork() == 0:
        own = b"x" * 250_000_000
        open(f"child{number}", "w").write(str(os.getpid()))
        time.sleep(600)
"""
    outcome = run(make(f"{code}{LONG}"), Limits(memory=600_000_000))
    assert (outcome.exit_code, outcome.message) == (5, "digits.h5: takes more than 600 MB of memory")
    wait_until(lambda: not any(alive(int(path.read_text() or 0)) for path in Path().glob("child*")))


@linux
def test_memory_of_a_group() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "x = b'x' * 50_000_000; print(flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        assert 50_000_000 < group_memory(process.pid) < 100_000_000
        process.communicate(b"\n")
    assert group_memory(process.pid) == 0


def test_cancel(make: Make) -> None:
    """The process ends, and its children."""
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nopen('new', 'w').write(str(child.pid))\n"
    code += "import os\nos.rename('new', 'child')\n"
    with cancelling("child") as cancelled:
        outcome = run(make(code + LONG), cancelled=cancelled)
    assert (outcome.exit_code, outcome.message) == (130, "digits.h5: cancelled")
    wait_until(lambda: not alive(int(Path("child").read_text())))
    assert results() == []
    assert run(make(), cancelled=cancelled).exit_code == 130


def test_no_network(make: Make) -> None:
    """A server of this machine cannot be reached; the job itself goes well."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        code = f"""
import socket
try:
    socket.create_connection({address!r}, timeout=60).close()
    found = "connected"
except OSError as error:
    found = type(error).__name__
open("found", "w").write(found)
"""
        assert run(make(code)).details["network"]
        assert Path("found").read_text() == "connected"
        outcome = run(make(code), Limits(network=False))
    if outcome.details["network"]:
        pytest.skip("this system lets its users make no namespaces")
    assert Path("found").read_text() == "OSError"
    assert outcome.ok


def test_the_worker_ends_with_its_parent(make: Make) -> None:
    job = make(f"import os\nopen('new', 'w').write(str(os.getpid()))\nos.rename('new', 'worker')\n{LONG}")
    code = f"from kerasgen.jobs import Job, run\nrun(Job(**{job.to_dict()!r}))"
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}) as parent:
        wait_until(Path("worker").exists)
        worker = int(Path("worker").read_text())
        assert alive(worker)
        parent.send_signal(signal.SIGKILL)
    wait_until(lambda: not alive(worker))


def test_a_pool(make: Make) -> None:
    """Two jobs run at once. At the end, running jobs are killed, and waiting ones never begin."""
    code = "import os, time\nopen(f'{os.getpid()}.begun', 'w')\n" + LONG
    with LocalPool(2) as pool:
        futures = [pool.submit(make(code)) for _ in range(3)]
        wait_until(lambda: len(list(Path().glob("*.begun"))) == 2)
    assert [future.cancelled() or future.result().exit_code for future in futures] == [130, 130, True]
    assert results() == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_dask(make: Make, tmp_path: Path) -> None:
    """Files and events travel; a job whose worker is killed is done by another; a cancelled one ends."""
    distributed = pytest.importorskip("distributed")
    from kerasgen.jobs.dask_pool import DaskPool

    code = """
import os, time
if not os.path.exists("killed"):
    open("new", "w").write(f"{os.getppid()} {os.getpid()}")
    os.rename("new", "worker")
    time.sleep(600)
if os.path.exists("wait"):
    open("waiting", "w")
    time.sleep(600)
"""
    settings = {"n_workers": 2, "processes": True, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**settings) as cluster:
        pool = DaskPool(cluster.scheduler_address)
        try:
            events: list[Any] = []
            future = pool.submit(make(code), Limits(seconds=PATIENCE), events.append)
            wait_until(Path("worker").exists)
            dask_worker, worker = map(int, Path("worker").read_text().split())
            Path("killed").touch()
            os.kill(dask_worker, signal.SIGKILL)
            outcome = future.result(timeout=PATIENCE)
            assert (outcome.exit_code, outcome.message) == (0, "")
            assert {"digits.py", "summary.json"} <= set(results()) == set(outcome.files)
            wait_until(lambda: not alive(worker))
            assert "emit" in {event["step"] for event in events}
            Path("bad.h5").write_text("no model")
            bad = pool.submit(make(model=Path("bad.h5"))).result(timeout=PATIENCE)
            assert (bad.exit_code, bad.message.partition(":")[0]) == (3, "bad.h5")
            Path("wait").touch()
            with cancelling("waiting") as cancelled:
                assert pool.submit(make(code), cancelled=cancelled).result(timeout=PATIENCE).exit_code == 130
        finally:
            pool.shutdown()


def test_no_scheduler() -> None:
    pytest.importorskip("distributed")
    from kerasgen.jobs import dask_pool

    with pytest.raises(kerasgen.UsageError, match="nothing://: is no address of a Dask scheduler"):
        dask_pool.DaskPool("nothing://")
