"""Results in a notebook, and modules that are imported there."""

from __future__ import annotations

import io
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType

import nbclient
import nbformat
import numpy as np
import pytest
from command import altered, small
from support import ROOT, randomize, relative_error

import kerasgen
from kerasgen.bench.report import Comparison, Line, Report, Timing
from kerasgen.display import Display, Displayed, Table
from kerasgen.emit.load import load_module

X = np.random.RandomState(0).standard_normal((2, 6, 6, 1)).astype("float32")


class Page(HTMLParser):
    """The elements and the texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.open.append(tag)
        assert {name for name, _ in attrs} <= {"style"}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


PLAIN = {"div", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def shown(result: Displayed) -> list[str]:
    """The texts of a result's HTML, whose elements are plain ones."""
    page = Page(result._repr_html_())
    assert set(page.elements) <= PLAIN
    return page.texts


def test_inspect(files: Path) -> None:
    summary = kerasgen.inspect(files / "small.keras")
    texts = shown(summary)
    for text in (
        "conv",
        "Conv2D",
        "(None, 4, 4, 2)",
        "20",
        f"{summary.parameters:,} parameters, {summary.macs:,} MACs for one sample",
    ):
        assert text in texts
    lines = str(summary).splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "shape", "parameters", "MACs"]
    assert "conv    Conv2D              (None, 4, 4, 2)          20   288" in lines
    assert lines[-1].endswith("MACs for one sample")


def test_what_is_wrong_stands_out(files: Path) -> None:
    html = kerasgen.inspect(files / "lambda.keras")._repr_html_()
    rows = [part for part in html.split("<tr")[1:] if "crimson" in part.partition(">")[0]]
    assert [row.partition("</td>")[0].rpartition(">")[2] for row in rows] == ["twice"]
    assert 'crimson">unsupported: ' in html
    html = kerasgen.scan(files / "lambda.keras")._repr_html_()
    assert html.count("<tr style") == 1


def test_markup_from_a_model_is_text(tmp_path: Path) -> None:
    """Names of layers, files and outputs, whatever is in them."""
    import keras

    evil = '<img src=x onerror="alert(1)">&amp;\x1b[31m'
    model = keras.Sequential([keras.Input((2,), name="i"), keras.layers.Dense(2, name=evil.replace("/", ""))])
    path = tmp_path / "<b>model.keras"
    model.save(path)
    for result in (kerasgen.inspect(path), kerasgen.scan(path)):
        texts = shown(result)
        assert any("<b>model.keras" in text for text in texts)
        assert not any("\x1b" in text for text in texts)
        assert "\x1b" not in str(result)
    assert '<img src=x onerror="alert(1)">&amp;\\x1b[31m' in shown(kerasgen.inspect(path))


def test_export(files: Path, tmp_path: Path) -> None:
    result = kerasgen.export(files / "small.keras", tmp_path / "small.py", store="sidecar", verify=False)
    lines = [str(tmp_path / "small.npz"), str(tmp_path / "small.py"), "not verified: skipped on request"]
    assert str(result).splitlines() == lines
    assert shown(result) == lines


def test_verify(files: Path, tmp_path: Path) -> None:
    result = kerasgen.export(files / "small.keras", tmp_path / "small.py", verify=True)
    assert str(result).splitlines()[-1].startswith("verified against Keras: largest error ")
    right = kerasgen.verify(files / "small.keras", tmp_path / "small.py")
    assert {"ok", "scores"} <= set(shown(right))
    assert shown(right)[-1] == f"{files / 'small.keras'}: the module answers as Keras does"

    def change(weights: dict[str, np.ndarray]) -> None:
        weights["scores/bias"] += 1

    altered(tmp_path / "small.py", change)
    wrong = kerasgen.verify(files / "small.keras", tmp_path / "small.py")
    assert {"DIFFERS", f"{files / 'small.keras'}: the module differs from Keras"} <= set(shown(wrong))
    assert shown(wrong)[-1].startswith("first wrong layer: scores (Dense), ")


def test_bench() -> None:
    timing = Timing.of("kerasgen", [0.002, 0.004], first=0.1, memory=50_000_000, error=0.0)
    lines = (Line("x = relu(x)", 0.001, None), Line("return dense(x)", 0.003, 0.001))
    report = Report(2, 1, {}, (Comparison("<m>", 1, (timing,), lines),), {"all": ["<m>"]})
    texts = shown(report)
    assert {"kerasgen", "3.00 ms", "50 MB", "<m>, batch 1", "x = relu(x)", "75.0%"} <= set(texts)
    assert "<m>, batch 1" in str(report).splitlines()


def test_a_table_without_rows_or_title() -> None:
    assert Display([Table(("a", "b"), [])], ["end"]).text() == "a  b\n\nend"
    assert Display().text() == ""


@pytest.mark.parametrize("store", ["embedded", "sidecar"])
def test_the_module_of_an_export(store: str, files: Path, tmp_path: Path) -> None:
    result = kerasgen.export(files / "small.keras", tmp_path / "small.py", store=store, verify=False)
    module = result.load()
    assert isinstance(module, ModuleType)
    assert module.predict(X).shape == (2, 3)
    (tmp_path / "small.py").unlink()
    with pytest.raises(kerasgen.FileError, match=r"small\.py: no such file"):
        result.load()


def test_a_stream_has_no_module_to_import(files: Path) -> None:
    stream = io.BytesIO()
    result = kerasgen.export(files / "small.keras", stream, verify=False)
    with pytest.raises(kerasgen.UsageError, match="into a stream, not a file"):
        result.load()
    assert str(result) == "not verified: skipped on request"
    assert load_module(stream.getvalue()).predict(X).shape == (2, 3)


def test_load(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = kerasgen.load(files / "small.keras", verify=False, activations=True)
    assert set(module.activations(X)) >= {"conv", "scores"}
    assert module.VERIFIED is None
    with pytest.raises(kerasgen.UsageError, match="a sidecar stands beside the module"):
        kerasgen.load(files / "small.keras", store="sidecar")
    assert list(tmp_path.iterdir()) == []


def test_load_warns() -> None:
    model = small()
    model.get_layer("scores").bias.assign([0, np.nan, 0])
    with pytest.warns(UserWarning, match="NaN or infinite numbers among the weights of .*scores/bias") as warned:
        kerasgen.load(model, verify=False)
    assert warned[0].filename == __file__


def test_load_a_live_model() -> None:
    model = randomize(small())
    module = kerasgen.load(model, verify=True)
    assert module.VERIFIED["by"].startswith("Keras ")
    assert relative_error(module.predict(X), model(X)) < 1e-5


@pytest.mark.usefixtures("broken")
def test_load_is_verified_as_export_is(files: Path) -> None:
    with pytest.raises(kerasgen.ParityError, match="differs from Keras"):
        kerasgen.load(files / "small.keras")


def test_the_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run from the first cell to the last, by the kernel of this environment."""
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    shutil.copytree(ROOT / "examples" / "digits", tmp_path / "digits", ignore=shutil.ignore_patterns("__pycache__"))
    notebook = nbformat.read(ROOT / "examples" / "notebook.ipynb", as_version=4)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert not any(cell.outputs or cell.execution_count for cell in cells.values())  # none is stored
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    for name, text in (("inspect", "20,890 parameters"), ("scan", "no known dangers"), ("export", "digits.py")):
        (result,) = (output for output in cells[name].outputs if output.output_type == "execute_result")
        assert text in result.data["text/html"]
    printed = "".join(output.text for output in cells["export"].outputs if output.output_type == "stream")
    assert printed.split() == ["read", "build", "optimise", "emit"]  # in one piece or several
    assert cells["predict"].outputs[0].text == "accuracy 99.6%\n"
    assert "('digit', (None, 10), 'float32')" in cells["load"].outputs[0].data["text/plain"]
