"""The README tells the truth: its commands and its Python run, its table of layers is the registry's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from support import ROOT, save

from kerasgen import kernels
from kerasgen.api import Options, generate
from kerasgen.backward.options import GradientOptions
from kerasgen.graph.facts import FACTS
from kerasgen.layers import UNSUPPORTED
from kerasgen.layers.registry import families
from kerasgen.readers import read
from kerasgen.readers.model import OPERATION

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
GRADIENTS = ROOT / "docs" / "gradients.md"
LAMBDAS = ROOT / "docs" / "lambdas.md"
NO_DERIVATIVE = "<!-- no derivative: made from the table of facts -->\n", "<!-- end of no derivative -->"
K, SIZE = keras.ops, 64  # globals of the functions that are saved
LAYERS = "<!-- layers: made from the registry -->\n", "<!-- end of layers -->"
LEFT_OUT = "<!-- unsupported: made from the table -->\n", "<!-- end of unsupported -->"


# What only passes put into a graph that is differentiated already.
FAST_KERNELS = (
    *(kernels.blocked_conv, kernels.clamp, kernels.conv_by_matrix, kernels.conv_by_taps, kernels.pointwise),
    *(kernels.scale_shift, kernels.tiled_depthwise_conv2d, kernels.winograd_conv2d, kernels.winograd_depthwise_conv2d),
)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


@keras.saving.register_keras_serializable("tests")
class Gain(keras.layers.Layer):
    """The layer that the README has a rule for."""

    def build(self, shape: Any) -> None:
        self.weight = self.add_weight(name="weight", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.weight * 2.0

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": 2.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's reader is: the example's model and images at hand, the tool on the path."""
    folder = tmp_path_factory.mktemp("readme")
    digits = ROOT / "examples" / "digits"
    shutil.copy(digits / "digits.h5", folder)
    with np.load(digits / "digits.npz") as data:
        np.save(folder / "images.npy", data["images"][:20].reshape(-1, 8, 8, 1).astype("float32"))
    scaled = keras.layers.Lambda(lambda x: x, name="scale")
    keras.Sequential([keras.Input((4,)), scaled]).save(folder / "scaled.keras")
    keras.Sequential([keras.Input((4,)), Gain()]).save(folder / "gain.keras")
    resize = keras.layers.Lambda(lambda x: K.mean(x, axis=[1, 2]) / 127.5 - 1, output_shape=(3,), name="resize")
    save(keras.Sequential([keras.Input((8, 8, 3)), resize]), folder / "resized.h5")
    sized = keras.layers.Lambda(lambda x: x / SIZE, output_shape=(4,), name="sized")
    save(keras.Sequential([keras.Input((4,)), sized]), folder / "sized.h5")
    return folder


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, shell=True, cwd=folder, env=environment, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip


def matches(expected: list[str], got: list[str]) -> bool:
    """Whether the output is as printed; `...` stands for anything, within a line or for lines."""
    pattern = "\n".join(re.escape(line).replace(r"\.\.\.", r"(.|\n)*") for line in expected)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in got)) is not None


@pytest.mark.parametrize(
    ("page", "least"), [(README, 10), (GRADIENTS, 5), (LAMBDAS, 4)], ids=lambda part: getattr(part, "stem", "")
)
def test_examples_run_in_order(page: Path, least: int, folder: Path) -> None:
    """Every block in a page's order, where Python that has no file name yet runs after the commands before it."""
    ran = 0
    for language, block in re.findall(r"^```(console|python)\n(.*?)^```", page.read_text(), flags=re.M | re.S):
        if language == "python" and "import " in block:
            name = re.match(r"# (\w+\.py)\n", block)
            (folder / (name[1] if name else "block.py")).write_text(block)
            result = run(f"{sys.executable} {name[1] if name else 'block.py'}", folder)
            assert result.returncode == 0, result.stdout
            ran += 1
        elif language == "console":
            ran += run_console(block, folder)
    assert ran >= least


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


def test_the_generated_code_is_what_the_readme_shows() -> None:
    (shown,) = [block for block in blocks("python") if block.startswith("def predict")]
    assert shown in generate(read(ROOT / "examples" / "digits" / "digits.h5")).text


def test_the_backward_pass_is_what_the_page_shows() -> None:
    (shown,) = re.findall(r"^```python\n(def backward.*?)^```", GRADIENTS.read_text(), flags=re.M | re.S)
    options = GradientOptions(trainable=("digit",), inputs=False)
    assert shown in generate(read(ROOT / "examples" / "digits" / "digits.h5"), Options(gradients=options)).text


def test_the_commands_are_those_that_exist() -> None:
    from kerasgen.cli import app

    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert set(re.findall(r"^\| `kerasgen (\w+)", TEXT, flags=re.M)) == names


def test_the_makefile_has_what_the_readme_names() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.M))
    assert set(re.findall(r"`make (\w+)`", TEXT)) <= targets
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
    "in": (README, LAYERS, layer_table),
    "out": (README, LEFT_OUT, left_out_table),
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
    (shown,) = re.findall(r'^   @rule\("ELU".*?^   ```', TEXT, flags=re.M | re.S)
    source = (ROOT / "kerasgen" / "layers" / "keras" / "activation.py").read_text()
    assert re.sub(r"^   ", "", shown.removesuffix("```"), flags=re.M).strip() in source
    assert (
        re.findall(r"^   (row\(.*)$", TEXT, flags=re.M)[0] in (ROOT / "tests" / "cases" / "activation.py").read_text()
    )
