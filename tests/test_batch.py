"""`kerasgen batch`: many models, each in a process of its own, none twice."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from command import Run, running, script
from support import ROOT

import kerasgen
from kerasgen.batches import BatchResult, Item
from kerasgen.batches.journal import files_of, key
from kerasgen.batches.models import find, names
from kerasgen.batches.page import render
from kerasgen.errors import worst
from kerasgen.jobs import Job, Outcome

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
FAST = ("--no-verify", "--no-report")


@pytest.fixture
def models(run: Run, tmp_path: Path) -> Path:
    """Good and bad models in the folder `models` of the current one; two have the same stem."""
    folder = tmp_path / "models"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(DIGITS, folder)
    shutil.copy(run.files / "small.keras", folder / "deep" / "digits.keras")
    shutil.copy(run.files / "lambda.keras", folder)
    (folder / "broken.h5").write_text("no model")
    (folder / "notes.txt").write_text("not for us")
    return folder


def stamps(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.*") if path.name != "index.html"}


def test_a_batch(models: Path, run: Run) -> None:
    """Broken models stop nobody; a second run converts nothing; a changed model is converted again."""
    out, err = run("batch", "models", "-o", "out", "--jobs", 2, *FAST, "--json", "--junit", "junit.xml", code=3)
    assert err == ""  # no progress, for stderr is no terminal
    lines = [json.loads(line) for line in out.splitlines()]
    codes = {line["name"]: line["exit_code"] for line in lines}
    assert codes == {"digits_h5": 0, "deep_digits_keras": 0, "lambda_2": 4, "broken": 3}
    assert not any(line["reused"] for line in lines)
    assert {path.name for path in Path("out").iterdir()} == {*codes, "index.html", "journal.jsonl"}
    assert {path.name for path in Path("out", "digits_h5").iterdir()} == {"digits_h5.py", "summary.json"}
    assert [path.name for path in Path("out", "lambda_2").iterdir()] == ["summary.json"]
    unsupported = next(line for line in lines if line["name"] == "lambda_2")  # the word alone is Python's
    assert "--custom twice=module:function" in unsupported["message"]

    suite = ET.parse("junit.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "0", "2")
    errors = {case.get("name"): case.find("error") for case in suite}
    assert errors["digits_h5"] is None
    assert errors["broken"].get("type") == "invalid"

    before = stamps(Path("out"))
    journal = Path("out", "journal.jsonl").read_bytes()
    out, _ = run("batch", "models", "-o", "out", *FAST, code=3)
    assert out.splitlines()[-1] == ("4 models: 2 ok, 1 invalid, 1 unsupported (4 from an earlier run); out/index.html")
    assert stamps(Path("out")) == before
    assert Path("out", "journal.jsonl").read_bytes() == journal

    shutil.copy(DIGITS, models / "broken.h5")
    Path("out", "digits_h5", "digits_h5.py").unlink()
    out, _ = run("batch", "models", "-o", "out", *FAST, "--json", code=4)
    lines = [json.loads(line) for line in out.splitlines()]
    assert {line["name"]: line["reused"] for line in lines} == {
        "digits_h5": False,
        "deep_digits_keras": True,
        "lambda_2": True,
        "broken": False,
    }


def test_other_options_convert_again(models: Path) -> None:
    """What the options no longer write is removed."""
    options: dict[str, Any] = {"verify": False, "report": False}
    first = kerasgen.batch(models / "digits.h5", "out", store="sidecar", **options)
    assert first.items[0].outcome.files == ("digits.npz", "digits.py", "summary.json")
    steps: list[tuple[str, str]] = []
    second = kerasgen.batch(
        "models/dig*", "out", started=lambda name, event: steps.append((name, event["step"])), **options
    )
    assert second.items[0].outcome.files == ("digits.py", "summary.json")
    assert not Path("out", "digits", "digits.npz").exists()
    assert not second.items[0].reused
    assert {name for name, _ in steps} == {"digits"}
    assert steps[-1][1] == "done"
    assert str(second) == "1 model: 1 ok; out/index.html"
    assert second.ok


def test_an_interrupted_batch_goes_on(models: Path) -> None:
    """What had ended before SIGINT is kept; what ran is killed, and leaves nothing."""
    (models / "lambda.keras").unlink()
    Path("slow.py").write_text("import time\nopen('begun', 'w')\ntime.sleep(600)\n")
    wait = """
from kerasgen.batches import run
from kerasgen.batches.models import Task
from pathlib import Path
import signal
own = run._tasks
def tasks(*arguments):
    return [*own(*arguments), Task(Path("models/digits.h5"), "slow", verify=False, options={"custom": ["x=slow:f"]})]
run._tasks = tasks
"""
    command = script(wait, "batch", "models", "-o", "out", "--jobs", "1", "--json", *FAST)
    with running(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
        assert process.stdout is not None
        done = [json.loads(process.stdout.readline())["name"] for _ in range(3)]
        while not Path("begun").exists():
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (130, b"kerasgen: interrupted\n")
    assert list(Path("out", "slow").iterdir()) == []
    result = kerasgen.batch("models", "out", verify=False, report=False)
    assert sorted(done) == sorted(item.name for item in result.items if item.reused)
    assert len(result.items) == 3


def test_two_batches_in_one_folder(models: Path, run: Run) -> None:
    from kerasgen.batches import journal

    Path("out").mkdir()
    with journal.opened(Path("out")):
        assert "out: another batch is at work here" in run.fails(5, "batch", "models/digits.h5", "-o", "out")


def test_a_journal_that_cannot_be_written(models: Path, run: Run) -> None:
    Path("out", "journal.jsonl").mkdir(parents=True)
    said = run.fails(5, "batch", "models/digits.h5", "-o", "out")
    assert said == "kerasgen: out: cannot be written: Is a directory\n"


def test_the_journal_is_cut_off(tmp_path: Path) -> None:
    """A line that was not written whole is no entry, and the next one begins on a line of its own."""
    from kerasgen.batches import journal

    with journal.opened(tmp_path) as first:
        first.add("a", "1", Outcome(4))
    with open(tmp_path / journal.FILE, "ab") as file:
        file.write(b'{"name": "b", "key"')
    with journal.opened(tmp_path) as second:
        assert second.outcome("a", "1", tmp_path) == Outcome(4)
        second.add("c", "2", Outcome(4))
        second.add("d", "3", Outcome(5))
    with journal.opened(tmp_path) as third:
        assert third.outcome("c", "2", tmp_path) == Outcome(4)
        assert third.outcome("c", "3", tmp_path) is None  # another content
        assert third.outcome("d", "3", tmp_path) is None  # the next run may be luckier


def test_what_results_depend_on(tmp_path: Path) -> None:
    model, weights = tmp_path / "model.h5", tmp_path / "weights.h5"
    model.write_bytes(b"x")
    weights.write_bytes(b"x")
    job = Job(str(model), "folder")
    keys = [
        key(job, compared=False),
        key(job, compared=True),
        key(Job(str(model), "folder", options={"optimize": 1}), compared=False),
        key(Job(str(model), "folder", name="other"), compared=False),
        key(Job(str(model), "folder", report=False), compared=False),
        key(Job(str(model), "folder", weights=str(weights)), compared=False),
    ]
    assert len(set(keys)) == len(keys)
    assert key(Job(str(model), "elsewhere"), compared=False) == keys[0]
    os.utime(model, (1, 1))
    assert key(job, compared=False) == keys[0]
    model.write_bytes(b"y")
    assert key(job, compared=False) not in keys
    assert key(Job(str(model), "folder", options={"custom": ["a=b:c"]}), compared=False) == ""
    assert key(Job(str(tmp_path / "missing"), "folder"), compared=False) == ""


def test_which_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.h5", "b/c.keras", "b/d/e.HDF5", "b/notes.txt", "f.keras/config.json", "f.keras/x.h5"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert find(["b", "*.h5", "a.h5", "f.keras"]) == [
        Path("b/c.keras"),
        Path("b/d/e.HDF5"),
        Path("a.h5"),
        Path("f.keras"),
    ]
    assert find(["**/c.*"]) == [Path("b/c.keras")]
    assert [name for name, _ in files_of(Path("f.keras"))] == ["config.json", "x.h5"]
    for pattern, words in (("x*", "there is no such model"), ("b/notes.txt/x", "no such model")):
        with pytest.raises(kerasgen.UsageError, match=words):
            find([pattern])
    Path("empty").mkdir()
    with pytest.raises(kerasgen.UsageError, match="empty: holds no models"):
        find(["empty"])


def test_names(tmp_path: Path) -> None:
    """Distinct where case does not count, and none that shadows a module."""
    paths = [tmp_path / name for name in ("a/m.h5", "b/M.h5", "b/m.keras", "c/numpy.h5", "c/one.h5", "c/two x.h5")]
    assert names(paths) == ["a_m_h5", "b_m_h5", "b_m_keras", "numpy_2", "one", "two_x"]
    assert names([tmp_path / "a/m.h5"]) == ["m"]
    assert names([]) == []


def test_the_exit_code() -> None:
    """As documented: the worst one, in any order."""
    assert worst([]) == worst([0, 0]) == 0
    assert worst([4, 0, 3]) == worst([3, 4]) == 3
    assert [worst(codes) for codes in ([4, 2], [2, 5], [5, 3], [3, 1], [1, 70], [70, 130])] == [2, 5, 3, 1, 70, 130]


class Cells(HTMLParser):
    """The text of each cell, the addresses of links, and the elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        found = dict(attrs)
        if tag == "td":
            self.cells.append("")
        if tag == "a":
            self.links.append(found["href"] or "")
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data.strip()


def page() -> str:
    hostile = "<script>alert(1)</script>\x1b[31m"
    details = {"parameters": 1234, "macs": None, "errors": [{"relative": 1e-7}], "warning": hostile}
    items = (
        Item(f"models/{hostile}.h5", "fine", Outcome(0, "", ("fine.py", "report.html"), 1.25, details)),
        Item("models/b.h5", "bad", Outcome(3, f'"{hostile}', (), 0.5)),
    )
    return render(BatchResult(Path("out"), items))


def test_the_page() -> None:
    """Names and messages are text; nothing runs but the page's own script."""
    text = page()
    assert "<script>alert" not in text
    assert "\x1b" not in text
    cells = Cells(text)
    assert cells.elements.count("script") == 1
    assert cells.cells[1] == r"models/<script>alert(1)</script>\x1b[31m.h5"
    assert (cells.cells[3], cells.cells[4], cells.cells[5]) == ("1,234", "", "1.0e-07")
    assert cells.links == ["fine/fine.py", "fine/report.html"]
    assert cells.policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in cells.policy


def test_the_page_sorts(tmp_path: Path) -> None:
    """In a browser: the policy lets the script run, numbers are sorted as such."""
    playwright = pytest.importorskip("playwright.sync_api")
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("Chromium is missing")
    (tmp_path / "index.html").write_text(page(), encoding="utf-8")
    with playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        tab = browser.new_page()
        errors: list[Any] = []
        tab.on("console", lambda message: errors.append(message.text))
        tab.goto((tmp_path / "index.html").as_uri())
        order = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent)"
        tab.get_by_role("button", name="name").click()
        assert tab.evaluate(order) == ["bad", "fine"]
        tab.get_by_role("button", name="parameters").click()
        tab.get_by_role("button", name="parameters").click()
        assert tab.evaluate(order) == ["fine", "bad"]
        assert tab.locator("th[aria-sort=descending]").inner_text().startswith("parameters")
        assert errors == []
        browser.close()


def test_without_arguments(models: Path, run: Run) -> None:
    """pyproject.toml has them; options of the command line go first."""
    Path("pyproject.toml").write_text("""
[tool.kerasgen]
optimize = 0
verify = false
models = ["models/digits.h5", {model = "models/deep/digits.keras", output = "src/small.py", store = "sidecar"}]
[tool.kerasgen.batch]
output = "made"
report = false
""")
    out, _ = run("batch")
    assert out == "2 models: 2 ok; made/index.html\n"
    assert {path.name for path in Path("made", "small").iterdir()} == {"small.py", "small.npz", "summary.json"}
    run("export", "models/digits.h5", "-O0", "--no-verify")
    assert Path("digits.py").read_bytes() == Path("made", "digits", "digits.py").read_bytes()
    out, _ = run("batch", "-O1", "--store", "embedded", "-o", "other", "--no-verify")
    assert {path.name for path in Path("other", "small").iterdir()} == {"small.py", "summary.json"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["models"], 2, "batch needs a folder for the results: -o DIR"),
        (["missing*", "-o", "out"], 2, "missing*: there is no such model"),
        (["models", "-o", "models/notes.txt/x"], 5, "cannot be made: "),
        ([], 2, "no model is given, and no pyproject.toml"),
        (["models", "-o", "out", "--memory", "much"], 2, "--memory is a size as 8MB, not much"),
    ],
    ids=["output", "models", "folder", "nothing", "size"],
)
def test_mistakes(models: Path, run: Run, arguments: list[str], code: int, words: str) -> None:
    assert words in run.fails(code, "batch", *arguments)


def test_limits(models: Path, run: Run) -> None:
    out, _ = run("batch", "models/digits.h5", "-o", "out", "--timeout", "0.01", *FAST, code=5)
    assert out.startswith("failed digits: digits.h5: takes longer than 0.01 s\n")


@pytest.mark.parametrize("quiet", [False, True], ids=["shown", "quiet"])
def test_progress_on_a_terminal(models: Path, quiet: bool) -> None:
    """Names and steps are shown while models are converted, unless --quiet."""
    main, terminal = pty.openpty()
    command = [sys.executable, "-m", "kerasgen", "batch", "models/broken.h5", "-o", "out", *FAST]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
    command += ["--quiet"] * quiet
    with subprocess.Popen(command, stderr=terminal, stdout=subprocess.PIPE, env=environment) as process:
        os.close(terminal)
        shown = b""
        with suppress(OSError):  # the other end is closed
            while block := os.read(main, 1 << 16):
                shown += block
        os.close(main)
        assert process.stdout is not None
        assert process.stdout.read().startswith(b"invalid broken: ")
    assert process.returncode == 3
    assert (b"looking for dangers" in shown, b"invalid broken" in shown) == (not quiet, not quiet)
