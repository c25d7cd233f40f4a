"""The page of `kerasgen package --as pyodide` in a real browser, with Pyodide beside it or from another server."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import keras
import numpy as np
import pytest
from pyodide import pyodide_folder
from support import ROOT, randomize, relative_error

import kerasgen

playwright = pytest.importorskip("playwright.sync_api", reason="drives the page with Playwright")

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "build/node_modules/axe-core/axe.min.js"
LABELS = ("nought", "<img src=x onerror=alert(1)>", "two", "three", "four", "five", "six", "seven", "eight", "nine")
READY, READY_OR_NOT = "#state:text('Ready.')", "#state:text('Ready.'), #state.bad"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium at /usr/bin/chromium"),
]


class Handler(SimpleHTTPRequestHandler):
    """A static host; others may read its files, as those of a CDN."""

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def pyodide() -> Path:
    return pyodide_folder()


@pytest.fixture(scope="module")
def open_page() -> Iterator[Callable[..., Any]]:
    """Opens a page that is ready; none may complain or show a dialog."""
    complaints: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])

        def opened(address: str, ready: str = READY, **options: Any) -> Any:
            page = browser.new_context(**{"viewport": {"width": 1000, "height": 800}, **options}).new_page()
            page.set_default_timeout(120_000)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("console", lambda message: "404" in message.text or complaints.append(message.text))
            page.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
            page.goto(address)
            page.locator(READY_OR_NOT).wait_for()
            page.locator(ready).wait_for(timeout=1000)
            return page

        yield opened
        browser.close()
    assert complaints == []


@pytest.fixture(scope="module")
def digits(pyodide: Path, open_page: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page of the example, with labels; all that it loads is beside it."""
    folder = tmp_path_factory.mktemp("digits") / "page"
    kerasgen.package(ROOT / "examples/digits/digits.h5", "pyodide", folder, verify=False)
    (folder / "pyodide").symlink_to(pyodide)
    with open(folder / "digits.py", "a", encoding="utf-8") as module:
        module.write(f"\nLABELS = {LABELS!r}\n")
    with served(folder) as address:
        page = open_page(address)
        page.requests = []
        page.on("request", lambda request: page.requests.append(request.url))
        yield page
        assert all(url.startswith((address, f"blob:{address}", "data:")) for url in page.requests)


def shown(page: Any) -> list[list[str]]:
    """The rows of the first table: labels and numbers."""
    rows = page.locator("#outputs table").first.locator("tr")
    return [rows.nth(row).locator("th, td.number").all_inner_texts() for row in range(rows.count())]


def answer(page: Any, act: Callable[[], object]) -> list[list[str]]:
    """What the page shows after something was done that asks the model."""
    page.evaluate("() => document.getElementById('outputs').replaceChildren()")
    act()
    page.locator("#outputs .output").first.wait_for()
    return shown(page)


def seen(page: Any) -> np.ndarray:
    """What the model sees, which is grey."""
    pixels = np.array(page.evaluate("() => [...view.getContext('2d').getImageData(0, 0, 8, 8).data]")).reshape(8, 8, 4)
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    return pixels[..., 0]


def best_of_keras(pixels: np.ndarray) -> list[list[str]]:
    """The rows that belong to these pixels; the model takes numbers from 0 to 16."""
    model = keras.models.load_model(ROOT / "examples/digits/digits.h5", compile=False)
    scores = np.asarray(model((pixels / 255 * 16).reshape(1, 8, 8, 1).astype("float32")))[0]
    return [[LABELS[place], f"{100 * scores[place]:.1f} %"] for place in np.argsort(-scores)[:5]]


def samples() -> tuple[np.ndarray, np.ndarray]:
    with np.load(ROOT / "examples/digits/digits.npz") as data:
        images = data["images"][:3].reshape(-1, 8, 8, 1).astype("float32")
    return images, np.asarray(keras.models.load_model(ROOT / "examples/digits/digits.h5", compile=False)(images))


def draw(page: Any, *points: tuple[float, float]) -> None:
    """A line with the pointer."""
    box = page.locator("#board").bounding_box()
    for index, (x, y) in enumerate(points):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not index:
            page.mouse.down()
    page.mouse.up()


def test_numbers_get_the_answer_of_keras(digits: Any, tmp_path: Path) -> None:
    images, expected = samples()
    digits.check("input[value=numbers]")
    lines = "\n".join(["pixels", *(",".join(map(str, image.reshape(-1))) for image in images)])
    digits.fill("#text-0", lines)
    rows = answer(digits, lambda: digits.click("#run"))
    best = np.argsort(-expected[0])
    assert [label for label, _ in rows] == [LABELS[place] for place in best[:5]]
    assert rows[0][1] == f"{100 * expected[0, best[0]]:.1f} %"
    assert digits.locator("#outputs caption").all_inner_texts() == ["Sample 1", "Sample 2", "Sample 3"]
    with digits.expect_download() as saved:
        digits.get_by_role("button", name="Save as .npy: digit").click()
    saved.value.save_as(tmp_path / "out.npy")
    assert relative_error(np.load(tmp_path / "out.npy"), expected) < 1e-5
    npy = io.BytesIO()
    np.save(npy, images)
    digits.set_input_files("#file-0", {"name": "in.npy", "mimeType": "", "buffer": npy.getvalue()})
    assert answer(digits, lambda: digits.click("#run")) == rows
    digits.set_input_files("#file-0", [])


def test_numbers_that_do_not_fit_are_explained(digits: Any) -> None:
    digits.check("input[value=numbers]")
    for text, message in (
        ("1,2,3", "input image: sample 1 has 3 numbers, not 64"),
        ("only words", "input image: a line of numbers for each sample"),
    ):
        digits.fill("#text-0", text)
        digits.click("#run")
        digits.locator("#wrong", has_text=message).wait_for()
    assert digits.locator("#outputs *").count() == 0
    digits.fill("#text-0", " ".join(["1"] * 64))
    answer(digits, lambda: digits.click("#run"))
    assert digits.locator("#wrong").is_hidden()


def test_a_drawing(digits: Any) -> None:
    digits.check("input[value=drawing]")
    digits.click("#clear")
    rows = answer(digits, lambda: draw(digits, (0.3, 0.2), (0.7, 0.2), (0.5, 0.5), (0.4, 0.85)))
    pixels = seen(digits)
    assert pixels[1].max() > 100 > 10 > pixels[0].max()
    assert rows == best_of_keras(pixels)
    digits.check("#inverted")
    assert seen(digits).min() == 255
    digits.uncheck("#inverted")
    assert seen(digits).max() == 0


def test_a_drawing_with_the_keyboard(digits: Any) -> None:
    digits.check("input[value=drawing]")
    digits.click("#clear")
    digits.focus("#board")
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 16:
        digits.keyboard.press(key)
    assert digits.locator("#pen.down").is_visible()
    assert digits.inner_text("#said") == "The pen is down."
    rows = answer(digits, lambda: digits.keyboard.press(" "))
    assert rows[0][0] == LABELS[1]  # a vertical line
    digits.keyboard.press("Tab")
    assert digits.evaluate("document.activeElement.id") == "thickness"
    assert digits.locator("#pen").is_hidden()


def test_an_image(digits: Any) -> None:
    """A picture twice as wide as high is seen whole, in the middle, on white."""
    code = """() => {
        const canvas = new OffscreenCanvas(64, 32), context = canvas.getContext('2d');
        context.fillRect(0, 0, 64, 32);
        return canvas.convertToBlob().then(blob => blob.arrayBuffer()).then(bytes => [...new Uint8Array(bytes)]);
    }"""
    picture = {"name": "black.png", "mimeType": "image/png", "buffer": bytes(digits.evaluate(code))}
    digits.check("input[value=picture]")
    rows = answer(digits, lambda: digits.set_input_files("#file", picture))
    expected = np.full((8, 8), 255)
    expected[2:6] = 0
    assert np.array_equal(seen(digits), expected)
    assert rows == best_of_keras(expected)
    digits.set_input_files("#file", {"name": "no.png", "mimeType": "image/png", "buffer": b"no"})
    digits.locator("#wrong", has_text="no.png is no image").wait_for()


def test_the_policy_holds_in_the_worker_too(digits: Any) -> None:
    """Neither the page nor Python in it reaches another server, or runs text as a script."""
    with served(ROOT / "docs") as other:
        fetch = f"() => fetch('{other}').then(() => 'sent', error => String(error))"
        assert "Failed to fetch" in digits.workers[0].evaluate(fetch)
    # In a task of its own: what the debugger runs is exempt.
    later = "() => new Promise(done => setTimeout(() => { try { done(eval('1')); } catch (e) { done(String(e)); } }))"
    assert "EvalError" in str(digits.workers[0].evaluate(later))


def test_a_narrow_window_has_no_scroll_bar_below(digits: Any) -> None:
    digits.set_viewport_size({"width": 360, "height": 740})
    for way in ("drawing", "picture", "numbers"):
        digits.check(f"input[value={way}]")
        assert digits.evaluate("document.documentElement.scrollWidth") == 360
        for part in digits.locator("main :visible").all()[:40]:
            box = part.bounding_box()
            assert box is None or box["x"] + box["width"] <= 348
    digits.set_viewport_size({"width": 1000, "height": 800})


def test_labels_are_no_markup(digits: Any) -> None:
    assert digits.locator("img, [onerror]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers(digits: Any, open_page: Callable[..., Any], scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core in build/node_modules")
    digits.emulate_media(color_scheme=scheme)
    light = digits.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (min(light) > 200) if scheme == "light" else (max(light) < 60)
    digits.evaluate(AXE.read_text())
    for way in ("drawing", "picture", "numbers"):
        digits.check(f"input[value={way}]")
        found = digits.evaluate("axe.run().then(({violations}) => violations)")
        assert [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found] == []


@pytest.mark.thorough
def test_pyodide_from_another_server(pyodide: Path, open_page: Callable[..., Any], tmp_path: Path) -> None:
    """A model of two inputs and outputs, one of them no row of scores; what it asks for is there or at that address."""
    left, right = keras.Input((4,), name="left"), keras.Input((None, 3), name="right")
    outputs = [keras.layers.Dense(1, name="one")(left), keras.layers.Dense(2, name="two")(right)]
    model = randomize(keras.Model([left, right], outputs))
    model.save(tmp_path / "two.keras")
    with served(pyodide) as elsewhere:
        made = kerasgen.package(tmp_path / "two.keras", "pyodide", tmp_path / "page", pyodide=elsewhere, verify=False)
        with served(made.path) as address:
            page = open_page(address)
            assert page.locator("input[name=way]").count() == 0
            page.fill("#text-0", "1 2 3 4")
            page.fill("#text-1", "1;2;3;4;5;6")
            rows = answer(page, lambda: page.click("#run"))
    one, two = model([np.array([[1, 2, 3, 4.0]]), np.arange(1.0, 7).reshape(1, 2, 3)])
    assert rows == [["value", f"{one.numpy().item():.4g}"]]
    assert page.locator(".output h3").all_inner_texts() == ["one", "two"]
    assert page.locator(".output table").nth(1).locator(".number").all_inner_texts() == [
        f"{number:.4g}" for number in (two.numpy().min(), two.numpy().mean(), two.numpy().max())
    ]


def test_a_page_without_what_it_needs_says_so(open_page: Callable[..., Any], tmp_path: Path) -> None:
    made = kerasgen.package(ROOT / "examples/digits/digits.h5", "pyodide", tmp_path / "page", verify=False)
    page = open_page((made.path / "index.html").as_uri(), ready="#state:text('http.server')")
    assert "bad" in page.get_attribute("#state", "class")
    assert json.loads(page.inner_html("#model"))["files"] == ["digits.py", "digits.npz", "bridge.py"]
