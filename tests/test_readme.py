"""README.md and docs/ tell the truth: their examples run, their tables are the code's, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support import ROOT, randomize, relative_error, save

from kerasgen import kernels
from kerasgen.api import generate
from kerasgen.backward.options import GradientOptions
from kerasgen.emit.load import load_module
from kerasgen.graph.facts import FACTS
from kerasgen.layers import UNSUPPORTED
from kerasgen.layers.registry import families
from kerasgen.planning.options import Options
from kerasgen.readers import read
from kerasgen.readers.model import OPERATION

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
DOCS = ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md"))]
GRADIENTS = DOCS / "gradients.md"
EXAMPLES = re.compile(r"^```(console|python)\n(.*?)^```", flags=re.M | re.S)
NO_DERIVATIVE = "<!-- no derivative: made from the table of facts -->\n", "<!-- end of no derivative -->"
K, SIZE = keras.ops, 64  # globals of the functions that are saved
LAYERS = "<!-- layers: made from the registry -->\n", "<!-- end of layers -->"
LEFT_OUT = "<!-- unsupported: made from the table -->\n", "<!-- end of unsupported -->"


# What only passes put into a graph that is differentiated already.
FAST_KERNELS = (
    *(
        kernels.attention_by_rows,
        kernels.band_attention_by_rows,
        kernels.bilinear_by_rows,
        kernels.blocked_conv,
        kernels.clamp,
        kernels.conv_by_matrix,
        kernels.conv_by_taps,
        kernels.conv_transpose_by_rows,
    ),
    *(kernels.activation_by_rows, kernels.dense_by_columns, kernels.project_by_rows),
    *(kernels.half_unfolded_conv, kernels.kn2row_conv, kernels.layer_norm_by_rows),
    *(kernels.pointwise, kernels.pool_by_rows, kernels.softmax_by_columns),
    *(kernels.upsample_by_rows, kernels.upsample_nearest_by_rows),
    *(kernels.scale_shift, kernels.tiled_depthwise_conv2d, kernels.winograd_conv2d, kernels.winograd_depthwise_conv2d),
    kernels.winograd_conv3d,
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


@keras.saving.register_keras_serializable("tests")
class Gain(keras.layers.Layer):
    """The layer that docs/custom-layers.md has a rule for."""

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(name="weight", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.weight * 2.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": 2.0}


@keras.saving.register_keras_serializable("tests")
class Block(keras.layers.Layer):
    """The layer that the page on layers with parts has a rule for."""

    def build(self, shape: Any) -> None:
        self.gate = keras.layers.Dense(shape[-1], activation="sigmoid")
        self.gate.build(shape)
        self.bias = self.add_weight(name="bias", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.gate(x) + self.bias


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the reader of a page has at hand: the example's model and images, two models with layers of their own."""
    folder = tmp_path_factory.mktemp("files")
    digits = ROOT / "examples" / "digits"
    shutil.copy(digits / "digits.h5", folder)
    with np.load(digits / "digits.npz") as data:
        np.save(folder / "images.npy", data["images"][:20].reshape(-1, 8, 8, 1).astype("float32"))
    scaled = keras.layers.Lambda(lambda x: x, name="scale")
    keras.Sequential([keras.Input((4,)), scaled]).save(folder / "scaled.keras")
    keras.Sequential([keras.Input((4,)), Gain()]).save(folder / "gain.keras")
    randomize(keras.Sequential([keras.Input((4,)), Block()])).save(folder / "block.keras")
    resize = keras.layers.Lambda(lambda x: K.mean(x, axis=[1, 2]) / 127.5 - 1, output_shape=(3,), name="resize")
    save(keras.Sequential([keras.Input((8, 8, 3)), resize]), folder / "resized.h5")
    bands = keras.Input((None, 8), name="bands")
    y = keras.layers.Conv1D(16, 5, strides=2, activation="relu", name="conv")(bands)
    y = keras.layers.Conv1D(16, 3, dilation_rate=4, padding="causal", activation="relu", name="dilated")(y)
    y = keras.layers.GRU(12, return_sequences=True, name="gru")(y)
    words = keras.layers.Dense(3, activation="softmax", name="words")(y)
    randomize(keras.Model(bands, words)).save(folder / "listener.keras")
    sized = keras.layers.Lambda(lambda x: x / SIZE, output_shape=(4,), name="sized")
    save(keras.Sequential([keras.Input((4,)), sized]), folder / "sized.h5")
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path) -> Path:
    """Where the reader of a page is; nothing is left of another page."""
    return Path(shutil.copytree(files, tmp_path / "reader"))


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}  # lines in their order, as on a terminal
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip


def matches(expected: list[str], got: list[str]) -> bool:
    """Whether the output is as printed; `...` stands for anything, within a line or for lines."""
    pattern = "\n".join(re.escape(line).replace(r"\.\.\.", r"(.|\n)*") for line in expected)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in got)) is not None


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if EXAMPLES.search(page.read_text()) and page.stem != "service"],
    ids=lambda page: page.stem,
)
def test_examples_run_in_order(page: Path, folder: Path) -> None:
    """Every block in a page's order, where Python that has no file name yet runs after the commands before it.

    docs/service.md needs a server beside it: test_service.py runs it.
    """
    ran = 0
    for language, block in EXAMPLES.findall(page.read_text()):
        if language == "python" and "import " in block:
            name = re.match(r"# (\w+\.py)\n", block)
            (folder / (name[1] if name else "block.py")).write_text(block)
            result = run(f"{sys.executable} {name[1] if name else 'block.py'}", folder)
            assert result.returncode == 0, result.stdout
            ran += 1
        elif language == "console":
            ran += run_console(block, folder)
    assert ran


def run_console(block: str, folder: Path) -> int:
    """Run each command of a block; its output must be as printed. How many there were."""
    commands = re.split(r"^\$ ", block, flags=re.M)[1:]
    for text in commands:
        command, *expected = text.splitlines()
        if command.startswith("make"):
            command = f"{sys.executable} {ROOT / 'examples' / 'digits' / 'demo.py'}"  # what the Makefile calls
        result = run(command, folder)
        assert result.returncode == 0, result.stdout
        assert matches(expected, result.stdout.splitlines()), (command, result.stdout)
    return len(commands)


def test_the_layer_with_parts_is_right(folder: Path) -> None:
    code = re.search(r"^```python\n(# block.py.*?)^```", (DOCS / "custom-layers.md").read_text(), flags=re.M | re.S)
    assert code is not None
    (folder / "block.py").write_text(code[1])
    (folder / "block_numpy.py").unlink(missing_ok=True)
    assert run(f"{sys.executable} block.py", folder).returncode == 0
    x = np.random.RandomState(0).uniform(-1, 1, (3, 4)).astype("float32")
    expected = keras.models.load_model(folder / "block.keras")(x)
    assert relative_error(load_module(folder / "block_numpy.py").predict(x), expected) < 1e-6


def test_the_generated_code_is_what_the_readme_shows() -> None:
    (shown,) = [block for block in blocks("python") if block.startswith("def predict")]
    assert shown in generate(read(ROOT / "examples" / "digits" / "digits.h5")).text


def test_the_backward_pass_is_what_the_page_shows() -> None:
    (shown,) = re.findall(r"^```python\n(def backward.*?)^```", GRADIENTS.read_text(), flags=re.M | re.S)
    options = GradientOptions(trainable=("digit",), inputs=False)
    assert shown in generate(read(ROOT / "examples" / "digits" / "digits.h5"), Options(gradients=options)).text


def test_the_step_is_what_the_page_shows(files: Path) -> None:
    (shown,) = re.findall(r"^```python\n(def start.*?)^```", (DOCS / "streaming.md").read_text(), flags=re.M | re.S)
    assert shown in generate(read(files / "listener.keras"), Options(streaming=True)).text


def test_the_commands_are_those_that_exist() -> None:
    from kerasgen.cli import app

    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(re.findall(r"^\| `kerasgen (\w+)", TEXT, flags=re.M)) == names


def test_the_makefile_has_what_the_pages_name() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {target for page in PAGES for target in re.findall(r"`make (\w+)`", page.read_text())}
    assert {"test", "demo", "golden", "bench"} <= named <= targets
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def layer_table() -> str:
    lines = ["| family | layers | operations |", "|---|---|---|"]
    for family, kinds in families().items():
        layers = ", ".join(f"`{kind}`" for kind in kinds if not kind.startswith(OPERATION))
        operations = ", ".join(f"`{kind.removeprefix(OPERATION)}`" for kind in kinds if kind.startswith(OPERATION))
        lines.append(f"| {family} | {layers} | {operations} |")
    return "\n".join(lines) + "\n"


def left_out_table() -> str:
    """The kinds that are left out, those with the same reason in one row."""
    reasons: dict[str, list[str]] = {}
    for kind, reason in UNSUPPORTED.items():
        reasons.setdefault(reason, []).append(f"`{kind}`")
    rows = [f"| {', '.join(kinds)} | {reason} |" for reason, kinds in reasons.items()]
    return "\n".join(["| not supported | because |", "|---|---|", *rows]) + "\n"


def no_derivative() -> str:
    """The kernels that a graph may have when it is differentiated, but no rule."""
    layouts = {step.__name__ for step in FAST_KERNELS}
    names = {kernel.__name__ for kernel, row in FACTS.items() if row.gradient is None} - layouts
    return ", ".join(f"`{name}`" for name in sorted(names)) + "\n"


TABLES = {
    "in": (DOCS / "layers.md", LAYERS, layer_table),
    "out": (DOCS / "layers.md", LEFT_OUT, left_out_table),
    "gradients": (GRADIENTS, NO_DERIVATIVE, no_derivative),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_tables_are_true(name: str, request: pytest.FixtureRequest) -> None:
    page, (start, end), table = TABLES[name]
    before, _, rest = page.read_text(encoding="utf-8").partition(start)
    shown, _, after = rest.partition(end)
    if request.config.getoption("--update-golden"):
        page.write_text(before + start + table() + end + after, encoding="utf-8")
    else:
        assert shown == table(), "`make golden` writes it anew"


def test_the_rule_shown_is_real() -> None:
    text = (DOCS / "contributing.md").read_text()
    (shown,) = re.findall(r'^   @rule\("ELU".*?^   ```', text, flags=re.M | re.S)
    source = (ROOT / "kerasgen" / "layers" / "keras" / "activation.py").read_text()
    assert re.sub(r"^   ", "", shown.removesuffix("```"), flags=re.M).strip() in source
    assert (
        re.findall(r"^   (row\(.*)$", text, flags=re.M)[0] in (ROOT / "tests" / "cases" / "activation.py").read_text()
    )


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """The files that a page links to, each with its anchor or ""."""
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        if not target.startswith("http"):
            name, _, anchor = target.partition("#")
            yield (page.parent / name).resolve() if name else page, anchor


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, ROOT / "examples" / "README.md"):
        for target, anchor in links(page):
            assert target.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", target.read_text(), flags=re.M)
                anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
                assert anchor in anchors, f"{page.name}: {target.name}#{anchor}"


def test_every_page_is_reached_from_the_readme() -> None:
    reached = {README}
    while new := {target for page in reached for target, _ in links(page) if target in PAGES} - reached:
        reached |= new
    assert reached == set(PAGES)


def test_the_readme_is_short() -> None:
    assert len(TEXT.splitlines()) <= 250
    tables = re.findall(r"(?:^\|.*\n)+", TEXT, flags=re.M)
    assert tables
    assert max(table.count("\n") for table in tables) <= 25
