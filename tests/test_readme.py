"""The README tells the truth: its commands and its Python run, its table of layers is the registry's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support import ROOT

from kerasgen.api import generate
from kerasgen.layers.registry import OPERATION, families
from kerasgen.readers import read

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
START, END = "<!-- layers: made from the registry -->\n", "<!-- end of layers -->"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, flags=re.M | re.S)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Each command of the console blocks, and the lines that follow it."""
    for block in blocks("console"):
        for command in re.split(r"^\$ ", block, flags=re.M)[1:]:
            first, *rest = command.splitlines()
            yield first, rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's reader is: the example's model and images at hand, the tool on the path."""
    folder = tmp_path_factory.mktemp("readme")
    digits = ROOT / "examples" / "digits"
    shutil.copy(digits / "digits.h5", folder)
    with np.load(digits / "digits.npz") as data:
        np.save(folder / "images.npy", data["images"][:20].reshape(-1, 8, 8, 1).astype("float32"))
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


def test_examples_run_in_order(folder: Path) -> None:
    """Commands first, then the Python that uses what they made; in the README's order where that matters."""
    ran = 0
    for command, expected in commands():
        if command.startswith("make"):
            command = f"{sys.executable} {ROOT / 'examples' / 'digits' / 'demo.py'}"  # what the Makefile calls
        result = run(command, folder)
        lines = [line for line in result.stdout.splitlines() if not re.match(r"(WARNING|[IWE]\d{4})", line)]
        assert result.returncode == 0, result.stdout
        assert matches(expected, lines), (command, result.stdout)
        ran += 1
    for block in blocks("python"):
        if "import " not in block:
            continue
        (folder / "block.py").write_text(block)
        result = run(f"{sys.executable} block.py", folder)
        assert result.returncode == 0, result.stdout
        ran += 1
    assert ran >= 7


def test_the_generated_code_is_what_the_readme_shows() -> None:
    (shown,) = [block for block in blocks("python") if block.startswith("def predict")]
    assert shown in generate(read(ROOT / "examples" / "digits" / "digits.h5")).text


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


def test_the_layer_table_is_the_registrys(request: pytest.FixtureRequest) -> None:
    before, _, rest = TEXT.partition(START)
    shown, _, after = rest.partition(END)
    if request.config.getoption("--update-golden"):
        README.write_text(before + START + layer_table() + END + after, encoding="utf-8")
    else:
        assert shown == layer_table(), "`make golden` writes it anew"


def test_the_rule_shown_is_real() -> None:
    (shown,) = re.findall(r'^   @rule\("ELU".*?^   ```', TEXT, flags=re.M | re.S)
    source = (ROOT / "kerasgen" / "layers" / "activation.py").read_text()
    assert re.sub(r"^   ", "", shown.removesuffix("```"), flags=re.M).strip() in source
    assert re.findall(r"^   (row\(.*)$", TEXT, flags=re.M)[0] in (ROOT / "tests" / "cases" / "activation.py").read_text()
