"""The page of a report in a real browser: what it shows, by pointer and by keyboard, and what it must never do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import report_data
from report_data import group, layer, report
from support import ROOT

from kerasgen.reporting.render import render

playwright = pytest.importorskip("playwright.sync_api", reason="drives the page with Playwright")

CHROMIUM = Path("/usr/bin/chromium")
AXE = ROOT / "build/node_modules/axe-core/axe.min.js"
HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "__proto__",
    "constructor",
    "\u202egnp.tset\u2066",
    "{{ 7*7 }}${7*7}",
    "'; alert(1); //",
    "層" * 5000,
    "<!--",
]

FINDING = {
    "risk": "code",
    "where": "layer a",
    "what": "a Lambda",
    "danger": True,
    "effect": "it runs",
    "advice": "do not",
}

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium at /usr/bin/chromium")
Opener = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opener]:
    """Opens the page of some data, all of its sections filled; no page may complain, load anything or show a dialog."""
    contexts, complaints = [], []

    def open_page(data: dict[str, Any], address: str = "", **options: Any) -> Any:
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(render(data), encoding="utf-8")
        context = browser.new_context(**{"viewport": {"width": 1300, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: (complaints.append(f"a dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url.startswith(file.as_uri()) or complaints.append(request.url))
        page.goto(file.as_uri() + address)
        page.wait_for_selector("#source[data-shown]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def title(page: Any) -> str:
    return page.inner_text("#details-title")


def node(page: Any, name: str) -> Any:
    """A layer or a nested model in the graph, by the name that is written on it."""
    return page.locator(".node", has=page.locator(f":scope > .title:text-matches('^[▸▾! ]*{name}( ·|$)')"))


def layouts(page: Any, change: str) -> int:
    """How often the browser lays the page out while something changes in each of ten frames."""
    metrics = page.context.new_cdp_session(page)
    metrics.send("Performance.enable")

    def count() -> int:
        return next(m["value"] for m in metrics.send("Performance.getMetrics")["metrics"] if m["name"] == "LayoutCount")

    before = count()
    for _ in range(10):
        page.evaluate(
            f"new Promise((done) => requestAnimationFrame(() => {{ {change}; requestAnimationFrame(done); }}))"
        )
    return count() - before


def names(page: Any) -> list[str]:
    """The layers in the table, those that are shown, from the top."""
    return page.eval_on_selector_all(".layers tbody tr:not([hidden]) th button", "all => all.map(e => e.textContent)")


# ------------------------------------------------------------------------------------------ the graph


def test_the_graph_has_a_node_for_each_layer_and_folds_nested_models(opened: Opener) -> None:
    page = opened(report_data.small())
    assert page.locator(".node").count() == 11  # ten layers, and the box around the nested model
    page.click("#fold-all")
    assert page.locator(".node").count() == 7
    assert page.locator("path.edge").count() == 7
    node(page, "block").click()
    assert page.locator(".node").count() == 11
    assert title(page) == "block"
    node(page, "block").locator("> .title").click()
    assert page.locator(".node").count() == 7


def test_nested_models_within_nested_models(opened: Opener) -> None:
    layers = [
        layer("a"),
        layer("m/b", group="m"),
        layer("m/n/c", group="m/n"),
        layer("m/n#2/c", group="m/n#2"),
        layer("z"),
    ]
    edges = [["a", "m/b"], ["m/b", "m/n/c"], ["m/n/c", "m/n#2/c"], ["m/n#2/c", "z"], ["gone", "z"]]
    groups = [group("m"), group("m/n", "m"), group("m/n#2", "m")]
    page = opened(report(layers, edges, groups=groups))
    assert page.locator(".node").count() == 8
    assert page.locator(".node.box .node.box").count() == 2
    assert page.locator("path.edge").count() == 4


def test_a_large_nested_model_is_folded_at_first(opened: Opener) -> None:
    layers = [layer("a"), *[layer(f"m/{i}", group="m") for i in range(50)]]
    edges = [["a", "m/0"], *[[f"m/{i}", f"m/{i + 1}"] for i in range(49)]]
    page = opened(report(layers, edges, groups=[group("m")]))
    assert page.locator(".node").count() == 2
    assert "50 layers" in node(page, "m").text_content()
    page.click(".layers tbody tr:nth-child(5) button")
    assert node(page, "m").get_attribute("class").split()[-1] == "selected"  # it stands for what is folded in it


def test_dragging_and_zooming_only_move_the_scene(opened: Opener) -> None:
    page = opened(report_data.small())
    page.focus("#canvas")
    page.evaluate("""() => {
        window.changes = [];
        const note = (change) => changes.push(`${change.target.tagName} ${change.attributeName}`);
        const watch = new MutationObserver((all) => all.forEach(note));
        watch.observe(canvas, { subtree: true, attributes: true, childList: true });
    }""")
    before = page.evaluate("slide.style.transform")
    box = page.locator("#canvas").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    page.mouse.move(box["x"] + 130, box["y"] + 90, steps=4)
    page.mouse.up()
    moved = page.wait_for_function("was => slide.style.transform !== was && slide.style.transform", arg=before)
    moved = moved.json_value()
    page.mouse.wheel(0, -300)
    page.wait_for_function("was => slide.style.transform !== was", arg=moved)
    assert set(page.evaluate("changes")) == {"DIV style"}
    assert title(page) == "Layer"  # to drag is not to click


def test_the_wheel_scrolls_the_page_until_the_graph_has_the_focus(opened: Opener) -> None:
    page = opened(report_data.small())
    before = page.evaluate("slide.style.transform")
    page.hover("#canvas")
    page.mouse.wheel(0, 300)
    page.wait_for_function("() => window.scrollY > 0")
    assert page.evaluate("slide.style.transform") == before


def test_two_fingers_zoom(opened: Opener) -> None:
    page = opened(report_data.small(), has_touch=True)
    page.focus("#canvas")
    before = page.evaluate("view.scale")
    box = page.locator("#canvas").bounding_box()
    x, y = box["x"] + 200, box["y"] + 200
    fingers = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 80), ("touchEnd", 0)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}] if apart else []
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.wait_for_function("before => view.scale > before * 2", arg=before)


def test_a_network_of_five_hundred_layers_is_ready_soon(opened: Opener) -> None:
    page = opened(report_data.large())
    ready = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
    print(f"505 layers: ready after {ready:.0f} ms")
    assert ready < 20_000  # 500 on a quiet machine
    assert page.locator(".node").count() == 505
    assert layouts(page, "zoom(0.98); view.x += 5; applyView()") == 0
    assert page.locator(".layers tbody tr").count() == 505
    overlaps = page.evaluate("""() => {
        const rows = layout("").nodes.sort((a, b) => a.y - b.y);
        return rows.filter((a, i) => rows.slice(i + 1, i + 8).some((b) =>
            Math.abs(a.x - b.x) < (a.width + b.width) / 2 && Math.abs(a.y - b.y) < (a.height + b.height) / 2)).length;
    }""")
    assert overlaps == 0


# ------------------------------------------------------------------------------------------ details


def test_a_click_shows_what_is_known_of_a_layer(opened: Opener) -> None:
    page = opened(report_data.small())
    node(page, "conv").click()
    text = page.inner_text("#details")
    assert title(page) == "conv"
    for expected in ("(None, 28, 28, 8)", "56,448", "300 µs", "90 kB", "25.1 kB", "2.0e-7", "within the tolerance"):
        assert expected in text
    assert "kernel_size" in text
    assert "[3,3]" in text
    assert "kernel (3, 3, 1, 8) float32" in text
    assert page.locator("#details .histogram").count() == 2
    assert page.locator("#details .histogram").first.locator("rect").count() == 32
    assert page.inner_text("#live") == "Selected conv, Conv2D, output (None, 28, 28, 8)"


def test_activations_are_drawn(opened: Opener) -> None:
    page = opened(report_data.small())
    node(page, "conv").click()
    assert page.locator("#details canvas").count() == 8
    pixels = page.eval_on_selector("#details canvas", "e => [...e.getContext('2d').getImageData(0, 0, 3, 1).data]")
    assert pixels == [0, 0, 0, 255, 20, 20, 20, 255, 40, 40, 40, 255]
    node(page, "left").click()
    assert page.locator("#details polyline").count() == 3
    assert len(page.get_attribute("#details polyline >> nth=0", "points").split()) == 40
    node(page, "probs").click()
    assert page.locator("#details .histogram rect").count() == 10


def test_the_line_of_a_layer_is_shown_in_the_source(opened: Opener) -> None:
    page = opened(report_data.small())
    node(page, "conv").click()
    assert "x = conv2d(x, W['a'])" in page.inner_text("#details .lines")
    page.click("#details .lines a:text('Lines 5 to 6')")
    lit = page.eval_on_selector_all(".line.lit", "all => all.map(e => e.id)")
    assert lit == ["L5", "L6"]
    page.wait_for_function("() => { const y = L5.getBoundingClientRect().y; return y > 0 && y < innerHeight; }")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Line 5"


def test_the_source_is_coloured_numbered_and_copied(opened: Opener) -> None:
    page = opened(report_data.small(), "#L4", permissions=["clipboard-read", "clipboard-write"])
    assert page.locator("#L4.lit").count() == 1
    assert page.text_content(".code").rstrip("\n") == "\n".join(report_data.SOURCE)
    assert page.text_content("#L4 .nf") == "predict"
    page.click("#copy")
    page.wait_for_function("() => document.querySelector('#source [role=status]').textContent === 'Copied'")
    assert page.evaluate("navigator.clipboard.readText()") == "\n".join(report_data.SOURCE)


# ------------------------------------------------------------------------------------------ table and plots


def test_the_table_sorts_and_filters(opened: Opener) -> None:
    page = opened(report_data.small())
    head = page.locator(".layers thead th", has_text="MACs")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page)[:3] == ["block/out", "conv", "probs"]
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(page)[:3] == ["probs", "conv", "block/out"]  # what is unknown stays at the end
    page.click(".layers thead button:text('Layer')")
    assert head.get_attribute("aria-sort") == "none"
    assert names(page) == sorted(names(page))
    page.fill("#filter", "block norm")
    assert names(page) == ["block/norm"]
    assert "1 of 10 layers" in page.inner_text("#layers .bar")
    page.click(".layers tbody tr:not([hidden]) button")
    assert title(page) == "norm"
    assert page.locator(".node.selected > .title").text_content() == "norm"


def test_plots_have_a_bar_for_each_layer_that_was_measured(opened: Opener) -> None:
    page = opened(report_data.small())
    plots = page.locator("#plots .plot")
    assert [plots.nth(index).locator("[role=option]").count() for index in range(3)] == [6, 5, 3]
    errors = plots.nth(0)
    assert errors.locator(".tolerance").count() == 1
    assert errors.locator(".wrong").get_attribute("aria-label") == "left: 3.0e-3"
    heights = errors.locator(".value").evaluate_all("all => all.map(e => Number(e.getAttribute('height')))")
    assert heights[1] == 1  # an error of zero
    assert heights[2] < heights[0] < heights[4]
    plots.nth(1).locator("[role=option]").nth(1).click()
    assert title(page) == "conv"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert title(page) == "norm"
    assert errors.locator("[aria-selected=true]").get_attribute("aria-label") == "norm: 0"


def test_what_was_not_measured_is_said(opened: Opener) -> None:
    verification = {
        "compared": False,
        "reason": "TensorFlow is not installed",
        "ok": False,
        "outputs": [],
        "summary": "",
    }
    data = report([layer("a")], [], verification=verification, profile=None, warning="the weights are random")
    page = opened({**data, "model": {**data["model"], "macs": None}})
    assert "unverified TensorFlow is not installed" in page.inner_text("#verdict")
    assert page.inner_text("#warning") == "the weights are random"
    for missing in ("not compared with Keras", "Nothing was timed", "No memory was measured"):
        assert missing in page.inner_text("#plots")


def test_an_unsupported_model_says_what_to_do(opened: Opener) -> None:
    data = report(
        [layer("a", "Capsule", problem="no rule for Capsule", shapes=None)],
        [],
        supported=False,
        source=None,
        source_html=None,
        problems=[{"layer": "a", "kind": "Capsule", "problem": "no rule for Capsule", "advice": "write a rule"}],
        scan={"dangerous": True, "findings": [FINDING]},
    )
    page = opened(data)
    assert "unsupported" in page.inner_text("#verdict")
    assert "write a rule" in page.inner_text("#problems")
    assert page.locator(".node.wrong").count() == 1
    assert "There is no module" in page.text_content("#source")
    for word in ("danger", "a Lambda", "it runs", "do not"):
        assert word in page.text_content("#scan")
    page.click("#problems button:text('a')")
    assert "no rule for Capsule" in page.inner_text("#details .warning")


def test_a_report_of_nothing(opened: Opener) -> None:
    page = opened(report([], [], source=None, source_html=None, profile=None))
    page.focus("#canvas")
    page.keyboard.press("ArrowDown")
    assert page.locator(".node").count() == 0


# ------------------------------------------------------------------------------------------ for everybody


def test_all_of_it_works_with_the_keyboard(opened: Opener) -> None:
    page = opened(report_data.small())
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "canvas":
            break
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#live") == "conv, Conv2D, output (None, 28, 28, 8)"
    page.keyboard.press("Enter")
    assert title(page) == "conv"
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#live") == "block, Functional, unfolded, 4 layers"
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#live").startswith("in, InputLayer")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    assert page.locator(".node").count() == 7
    page.keyboard.press("ArrowDown")
    side = page.inner_text("#live").split(",")[0]
    page.keyboard.press("ArrowRight" if page.evaluate("beside(graph.current, 1)") else "ArrowLeft")
    assert {side, page.inner_text("#live").split(",")[0]} == {"left", "right"}
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#live").startswith("join")
    page.keyboard.press("0")
    before = page.evaluate("view.scale")
    page.keyboard.press("+")
    assert page.evaluate("view.scale") > before
    page.keyboard.press("0")
    assert page.evaluate("view.scale") == before
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    assert page.evaluate("document.activeElement.id") == "canvas"  # the graph is no trap


def test_a_narrow_window_has_no_scroll_bar_below(opened: Opener) -> None:
    page = opened(report_data.small(), viewport={"width": 360, "height": 740}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#details").is_hidden()
    node(page, "conv").tap()
    assert page.locator("#details").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.keyboard.press("Escape")
    assert page.locator("#details").is_hidden()


def test_on_paper_all_is_shown_and_nothing_can_be_pressed(opened: Opener) -> None:
    page = opened(report_data.small())
    page.evaluate("slide.style.transform = 'translate(5000px)'")
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".controls:visible").count() == 0
    graph, paper = page.locator("#canvas svg").bounding_box(), page.locator("main").bounding_box()
    assert graph["x"] == paper["x"]
    assert graph["width"] <= paper["width"]
    assert page.locator("main > section[data-shown]").count() == 5


def test_what_a_model_is_called_never_runs(opened: Opener) -> None:
    layers = [
        layer(
            name,
            name,
            problem=name,
            config={name: name, "__proto__": [name]},
            weights=[report_data.weight(name, [1])],
            error=report_data.error(1.0),
        )
        for name in HOSTILE
    ]
    groups = [{"id": f"{name} ", "name": name, "kind": name, "group": ""} for name in HOSTILE]
    data = report(
        layers,
        [list(pair) for pair in pairwise(HOSTILE)],
        groups=groups,
        problems=[{"layer": name, "kind": name, "problem": name, "advice": name} for name in HOSTILE],
        warning=HOSTILE[0],
        source="\n".join(HOSTILE),
        source_html=[
            "<img src=x onerror=alert(1)>",
            '<span class="k" onclick="alert(1)">x</span>',
            "<script>alert(1)</script>",
            '<span class="k">a</span></span></span>b',
        ],
        verification={"compared": False, "reason": HOSTILE[2], "ok": False, "outputs": [], "summary": ""},
    )
    for key in ("name", "source", "keras_version", "sha256"):
        data["model"][key] = HOSTILE[1]
    page = opened(data)
    for row in range(len(HOSTILE)):
        page.locator(".layers tbody button").nth(row).click()
        assert page.text_content("#details-title") in HOSTILE
    assert page.locator("img, iframe, object, embed, [onerror], [onload], [onclick]").count() == 0
    assert page.locator("script").count() == 3  # the data, the library and the page's own
    assert page.text_content("#name") == HOSTILE[1]
    assert page.evaluate("document.documentElement.scrollWidth") == 1300
    assert page.text_content("#L3") == "<script>alert(1)</script>\n"
    assert page.evaluate("({}).name") is None


@pytest.mark.skipif(not AXE.exists(), reason="needs axe-core in build/node_modules")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barriers(opened: Opener, scheme: str) -> None:
    data = {
        **report_data.small(),
        "warning": "odd",
        "problems": [{"layer": "conv", "kind": "Conv2D", "problem": "p", "advice": "a"}],
        "scan": {"dangerous": True, "findings": [FINDING, {**FINDING, "danger": False}]},
    }
    page = opened(data, color_scheme=scheme, bypass_csp=True)
    light = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (min(light) > 200) if scheme == "light" else (max(light) < 60)
    node(page, "conv").click()
    page.add_style_tag(content="* { content-visibility: visible !important }")  # axe looks at what is drawn
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    serious = [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
