"""The page of `kerasgen serve` in a real browser, against a server in a process of its own."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError

import keras
import pytest
from command import Odd, running, unsupported
from keras import layers as L
from support import ROOT, randomize

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "build" / "node_modules" / "axe-core" / "axe.min.js"
TOKEN = "a token"
HTML = "<img src=x onerror=trap=1>"  # sets window.trap where it becomes markup
LIMIT = 2_000_000  # bytes of an upload

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed")


@pytest.fixture(scope="module")
def models(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models that are uploaded, named as what they are for."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("small.keras", "small.json", "small.weights.h5", "cut_small.keras"):
        (folder / name).write_bytes((files / name).read_bytes())
    hostile = keras.Sequential([keras.Input((4,), name=f"{HTML}0"), L.Dense(2, name=f"{HTML}1")], name=HTML)
    randomize(hostile).save(folder / "hostile.keras")
    twice = L.Lambda(lambda x: x * 2 if x is not None else x, name="twice")
    unsupported(twice, Odd(name=HTML)).save(folder / "unsupported.keras")
    (folder / "large.h5").write_bytes(bytes(LIMIT + 100_000))
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server, which wants a token."""
    command = [sys.executable, "-m", "kerasgen", "serve", "--port", "0", "--max-upload", f"{LIMIT}"]
    environment = {**os.environ, "KERASGEN_TOKEN": TOKEN}
    with running(command, cwd=tmp_path_factory.mktemp("server"), env=environment) as process:
        assert process.stderr is not None
        log = json.loads(process.stderr.readline())
        assert log["event"] == "listening", log
        Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop the server
        yield f"http://127.0.0.1:{log['port']}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
    window.violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""

Open = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, server: str) -> Iterator[Open]:
    """Opens the page in a context of its own; whatever the test does there, no script of a model may run."""
    contexts = []
    errors: list[str] = []
    requests: list[str] = []

    def open_page(token: str = TOKEN, **settings: Any) -> Any:
        context = browser.new_context(**settings)
        contexts.append(context)
        context.set_default_timeout(20_000)
        context.add_init_script(WATCH)
        if token:
            context.add_init_script(f"try {{ sessionStorage.setItem('kerasgen-token', {token!r}) }} catch {{}}")
        context.on("request", lambda request: requests.append(request.url))
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(server)
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            for frame in page.frames:
                assert frame.evaluate("window.violations") == [], frame.url
                assert not frame.evaluate("'trap' in window"), frame.url
        context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith((f"{server}/", "blob:", "data:"))] == []


@pytest.fixture
def page(open_page: Open) -> Any:
    return open_page()


def submit(page: Any, *files: Any) -> None:
    """Choose a model, perhaps with its weights, and have it converted."""
    page.set_input_files("#model", files[0])
    if len(files) > 1:
        page.set_input_files("#weights", files[1])
    page.get_by_role("button", name="Convert").click()


def wait_for_end(page: Any, state: str) -> str:
    """The id of the job that is shown, when it is in this last state."""
    page.locator("#job-state", has_text=re.compile("done|failed")).wait_for()
    assert page.locator("#job-state").inner_text() == state, page.locator("#verdict").inner_text()
    return str(page.evaluate("location.hash")).removeprefix("#job/")


def api(server: str, path: str) -> bytes:
    request = urllib.request.Request(
        f"{server}/api/jobs/{path}".rstrip("/"), headers={"Authorization": f"Bearer {TOKEN}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


def download(page: Any, name: str) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("button", name=f"Download {name}", exact=True).click()
    assert waiting.value.suggested_filename == name
    return Path(waiting.value.path()).read_bytes()


def texts_of(page: Any, *ids: str) -> None:
    """Begin to record what these elements say."""
    page.evaluate(
        """ids => {
            window.texts = Object.fromEntries(ids.map(id => [id, []]));
            for (const id of ids) {
                const node = document.getElementById(id);
                new MutationObserver(() => window.texts[id].push(node.textContent))
                    .observe(node, {childList: true, characterData: true, subtree: true});
            }
        }""",
        ids,
    )


def test_upload_progress_and_download(page: Any, server: str, models: Path) -> None:
    for _ in range(3):  # on a busy machine, a job may be done before the page has heard of it
        texts_of(page, "upload-text", "job-step", "job-state", "status")
        submit(page, models / "small.keras")
        job = wait_for_end(page, "done")
        texts = page.evaluate("window.texts")
        assert texts["upload-text"][-1].startswith("Uploading: ")
        if "running" in texts["job-state"] and "writing the code" in texts["job-step"]:
            break
        page.goto(server)
    else:
        pytest.fail("the page never showed a job at work")
    assert texts["status"][-1] == "small.keras: done. The module is ready."
    assert page.evaluate("document.activeElement.id") == "job-title"
    assert "Kept on this server until" in page.locator("#job-expires").inner_text()
    module = download(page, "small.py")
    assert module == api(server, f"{job}/files/small.py")
    assert b"def predict(image: np.ndarray) -> np.ndarray:" in module
    summary = json.loads(download(page, "summary.json"))
    assert f"{summary['parameters']}" in page.locator("#facts").inner_text()


def test_report(page: Any, models: Path) -> None:
    submit(page, models / "small.keras")
    wait_for_end(page, "done")
    report = page.frame_locator("#report-frame iframe")
    report.locator("#canvas svg").wait_for()
    assert "conv" in report.locator("#canvas").text_content()
    frame = page.frames[1]
    assert frame.evaluate("window.origin") == "null"
    with page.context.expect_page() as tab:
        page.get_by_role("link", name="Open in a new tab").click()
    tab.value.locator("#canvas svg").wait_for()
    assert tab.value.evaluate("window.origin") == "null"


def test_options(page: Any, server: str, models: Path) -> None:
    page.get_by_text("Options").click()
    page.get_by_label("Sidecar").check()
    page.get_by_label("textbook kernels").check()
    page.get_by_label("Activations").check()
    page.get_by_label("Strict").check()
    page.get_by_label("Module name").fill("digits")
    submit(page, models / "small.keras")
    job = wait_for_end(page, "done")
    module = api(server, f"{job}/files/digits.py").decode()
    assert "def activations(" in module
    assert "digits.npz" in module
    assert download(page, "digits.npz") == api(server, f"{job}/files/digits.npz")
    posted = page.evaluate("""async () => {
        const form = document.getElementById("form");
        form.elements.functions.value = "gradients";
        let posted;
        XMLHttpRequest.prototype.send = (form) => (posted = form.get("options"));
        form.requestSubmit();
        return posted;
    }""")
    options = {"store": "sidecar", "optimize": 0, "activations": False, "gradients": True, "streaming": False}
    assert json.loads(posted) == {**options, "strict": True, "name": "digits"}


def test_options_that_the_server_refuses(page: Any, models: Path) -> None:
    page.get_by_text("Options").click()
    name = page.get_by_label("Module name")
    name.fill("no-name")
    page.get_by_text("Options").click()
    submit(page, models / "small.keras")
    assert name.evaluate("node => node === document.activeElement")  # the browser says what is wrong with it
    name.fill("numpy")
    page.get_by_role("button", name="Convert").click()
    page.locator("#form-error", has_text="options.name").wait_for()
    assert page.evaluate("document.activeElement.id") == "submit"


def test_dropped_architecture_and_weights(page: Any, models: Path) -> None:
    files = [(name, list((models / name).read_bytes())) for name in ("small.weights.h5", "small.json")]
    transfer = page.evaluate_handle(
        """files => {
            const transfer = new DataTransfer();
            for (const [name, bytes] of files) transfer.items.add(new File([new Uint8Array(bytes)], name));
            return transfer;
        }""",
        files,
    )
    page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    assert page.evaluate("[model.files[0].name, weights.files[0].name]") == ["small.json", "small.weights.h5"]
    assert page.evaluate("document.activeElement.id") == "submit"
    page.keyboard.press("Enter")
    wait_for_end(page, "done")
    assert b"def predict(" in download(page, "small.py")


def test_unsupported_model(page: Any, models: Path) -> None:
    submit(page, models / "unsupported.keras")
    wait_for_end(page, "failed")
    verdict = page.locator("#verdict").inner_text()
    assert "The file is sound, but holds something that cannot be converted." in verdict
    problems = page.locator("#problems li").all_inner_texts()
    assert [problem.partition(" (")[0] for problem in problems] == ["twice", HTML]
    assert download(page, "reproduction.zip").startswith(b"PK")


def test_broken_file(page: Any, models: Path) -> None:
    submit(page, models / "cut_small.keras")
    wait_for_end(page, "failed")
    verdict = page.locator("#verdict").inner_text()
    assert "The file is damaged, incomplete or contradicts itself." in verdict
    assert "cut_small.keras: " in verdict


@pytest.mark.parametrize(("model", "state"), [("hostile.keras", "done"), ("unsupported.keras", "failed")])
def test_names_are_no_markup(open_page: Open, models: Path, model: str, state: str) -> None:
    page = open_page(viewport={"width": 360, "height": 800})
    file = {"name": f"{HTML}.keras", "mimeType": "", "buffer": (models / model).read_bytes()}
    submit(page, file)
    wait_for_end(page, state)
    assert page.locator("#job-title").inner_text() == f"{HTML}.keras"
    assert page.locator("#jobs button.link").inner_text() == f"{HTML}.keras"
    if state == "failed":
        assert HTML in page.locator("#problems").inner_text()
    page.reload()
    wait_for_end(page, state)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_the_trap_springs(browser: Any) -> None:
    """What the tests rely on: as markup, the hostile name does run."""
    page = browser.new_page()
    page.set_content(HTML)
    page.wait_for_function("'trap' in window")
    page.close()


def tab_to(page: Any, text: str) -> None:
    """Press Tab until the focus is on something with this text, or this id."""
    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.id, document.activeElement.textContent]")
        if text in focused:
            return
    raise AssertionError(f"Tab does not lead to {text}, but to {focused}")


def choose_by_keyboard(page: Any, file: Path) -> None:
    """Press Space on the field that has the focus until the browser asks for a file.

    On a busy machine, the first press has once been without effect.
    """
    choosers: list[Any] = []
    page.on("filechooser", lambda chooser: choosers.append(chooser))
    for _ in range(30):
        page.keyboard.press("Space")
        page.wait_for_timeout(1000)
        if choosers:
            break
    assert choosers, "Space opens no file chooser"
    choosers[0].set_files(file)


def test_keyboard_only(page: Any, models: Path) -> None:
    tab_to(page, "model")
    choose_by_keyboard(page, models / "small.keras")
    tab_to(page, "Options")
    page.keyboard.press("Enter")
    tab_to(page, "name")
    tab_to(page, "submit")
    page.keyboard.press("Enter")
    wait_for_end(page, "done")
    tab_to(page, "Download small.py")
    with page.expect_download() as waiting:
        page.keyboard.press("Enter")
    assert waiting.value.suggested_filename == "small.py"
    page.locator("#status", has_text="small.py is downloaded.").wait_for()
    assert page.evaluate("document.activeElement.textContent") == "Download small.py"


def test_narrow(open_page: Open, models: Path) -> None:
    page = open_page(viewport={"width": 360, "height": 800})
    page.get_by_text("Options").click()
    page.set_input_files("#model", models / "small.json")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    submit(page, models / "small.keras")
    wait_for_end(page, "done")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_jobs_are_remembered_and_deleted(page: Any, server: str, models: Path) -> None:
    submit(page, models / "small.keras")
    job = wait_for_end(page, "done")
    page.goto(server)
    assert page.locator("#job").is_hidden()
    page.locator("#jobs .badge", has_text="done").wait_for()
    assert "until" in page.locator("#jobs li").inner_text()
    other_tab = page.context.new_page()
    other_tab.goto(server)
    other_tab.locator("#jobs .badge", has_text="done").wait_for()
    page.locator("#jobs").get_by_role("button", name="small.keras", exact=True).click()
    wait_for_end(page, "done")
    remove = page.locator("#jobs").get_by_role("button", name="Delete small.keras")
    remove.click()
    page.keyboard.press("Escape")
    assert json.loads(api(server, job))["state"] == "done"
    remove.click()
    page.locator("#delete-dialog").get_by_role("button", name="Delete").click()
    page.locator("#list").wait_for(state="hidden")
    assert page.locator("#job").is_hidden()
    assert page.evaluate("document.activeElement.id") == "model"
    other_tab.locator("#list").wait_for(state="hidden")
    with pytest.raises(HTTPError, match="404"):
        api(server, job)
    page.goto(f"{server}/#job/{job}")
    page.locator("#verdict", has_text="This job is gone").wait_for()


def test_token(open_page: Open, models: Path) -> None:
    page = open_page(token="")
    submit(page, models / "small.keras")
    token = page.get_by_label("Token", exact=True)
    token.fill("a wrong token")
    page.keyboard.press("Enter")
    page.get_by_text("The server did not accept this token.").wait_for()
    page.keyboard.press("Escape")
    page.locator("#form-error", has_text="The server wants a token.").wait_for()
    page.get_by_role("button", name="Convert").click()
    token.fill(TOKEN)
    page.keyboard.press("Enter")
    wait_for_end(page, "done")
    assert b"def predict(" in download(page, "small.py")


def test_too_large(page: Any, models: Path) -> None:
    submit(page, models / "large.h5")
    page.locator("#form-error", has_text="The file is too large").wait_for()
    assert "2 MB" in page.locator("#form-error").inner_text()


def test_full_queue(page: Any, models: Path) -> None:
    texts_of(page, "countdown", "status")
    refusals = [{"status": 429, "headers": {"Retry-After": "2"}, "json": {"detail": "the queue is full"}}]

    def answer(route: Any) -> None:
        if route.request.method == "POST" and refusals:
            route.fulfill(**refusals.pop())
        else:
            route.continue_()

    page.route("**/api/jobs", answer)
    submit(page, models / "small.keras")
    page.locator("#waiting", has_text="The queue is full. Next try in").wait_for()
    wait_for_end(page, "done")
    assert page.evaluate("window.texts.countdown") == ["2 s", "1 s"]
    assert "The queue is full. Next try in 2 seconds." in page.evaluate("window.texts.status")


def test_cancelled_upload(page: Any, server: str, models: Path) -> None:
    before = json.loads(api(server, ""))
    client = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 50_000}
    client.send("Network.emulateNetworkConditions", slow)
    submit(page, {"name": "slow.h5", "mimeType": "", "buffer": bytes(LIMIT // 2)})
    page.locator("#upload-text", has_text="Uploading: ").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.locator("#status", has_text="Cancelled.").wait_for()
    assert page.get_by_role("button", name="Convert").is_enabled()
    assert json.loads(api(server, "")) == before


def test_lost_connection(page: Any, models: Path) -> None:
    """A stream that breaks is taken up where it was; one that cannot be reached is tried again."""
    texts_of(page, "job-step")
    last_ids: list[str | None] = []

    def answer(route: Any) -> None:
        headers = route.request.headers
        last_ids.append(headers.get("last-event-id"))
        if len(last_ids) == 1:
            job = route.request.url.split("/")[-2]
            state = {"id": job, "name": "half", "state": "running", "step": "read", "text": "half a stream"}
            state |= {"fraction": 0.5, "files": [], "details": {}, "expires": None}
            body = f": hello\r\n\r\nevent: state\r\nid: 7\r\ndata: {json.dumps(state)}\r\n\r\nid: 8\r\ndata: cut"
            route.fulfill(body=body, content_type="text/event-stream")
        elif len(last_ids) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/events", answer)
    submit(page, models / "small.keras")
    page.get_by_text("The connection is lost.").wait_for()
    wait_for_end(page, "done")
    assert "half a stream" in page.evaluate("window.texts")["job-step"]
    assert last_ids == [None, "7", "7"]
    assert page.locator("#job-lost").is_hidden()


def test_lost_upload(page: Any, models: Path) -> None:
    page.route("**/api/jobs", lambda route: route.abort())
    submit(page, models / "small.keras")
    page.locator("#form-error", has_text="The connection was lost.").wait_for()
    page.unroute("**/api/jobs")
    page.get_by_role("button", name="Convert").click()
    wait_for_end(page, "done")


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not installed")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility(open_page: Open, models: Path, scheme: str) -> None:
    page = open_page(color_scheme=scheme, bypass_csp=True)
    page.add_script_tag(path=AXE)

    def check() -> None:
        violations = page.evaluate("axe.run(document, {iframes: false}).then(result => result.violations)")
        assert [v["id"] for v in violations if v["impact"] in ("serious", "critical")] == [], violations

    page.get_by_text("Options").click()
    page.set_input_files("#model", models / "small.json")
    check()
    for model, state in [("small.keras", "done"), ("unsupported.keras", "failed")]:
        submit(page, models / model)
        page.locator("#job-title", has_text=model).wait_for()
        wait_for_end(page, state)
        check()
    page.locator("#job-delete").click()
    check()
