"""Many rows on several processes: the example with Dask runs, and the recipes of the page are right."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support import ROOT, run_python

import kerasgen

EXAMPLE = ROOT / "examples" / "many_rows.py"
PAGE = (ROOT / "docs" / "many-rows.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"^```py\n(.*?)^```", PAGE, flags=re.M | re.S)


def test_the_example_prints_what_the_page_shows(tmp_path: Path) -> None:
    done = run_python(EXAMPLE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (shown,) = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.M | re.S)
    figure = re.compile(r"\d+e[+-]\d+")
    assert figure.sub("", done.stdout) == figure.sub("", shown)
    assert float(figure.findall(done.stdout)[0]) < 1e-5  # blocks of other sizes may add up in another order
    assert list(tmp_path.iterdir()) == []


def test_the_page_shows_the_example() -> None:
    """But for the names of files and the remarks."""
    code = {ast.unparse(node) for node in ast.walk(ast.parse(EXAMPLE.read_text(encoding="utf-8"))) if is_step(node)}
    shown = {ast.unparse(node) for node in ast.walk(ast.parse(RECIPES[0])) if is_step(node)}
    assert len(shown) == 5
    assert shown - code == {"client.upload_file('digits.py')"}
    assert "client.upload_file(str(exported.module))" in code


def is_step(node: ast.AST) -> bool:
    return isinstance(node, (ast.Assign, ast.Expr, ast.Import, ast.Return))


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Any:
    module = tmp_path_factory.mktemp("digits") / "digits.py"
    return kerasgen.export(ROOT / "examples" / "digits" / "digits.h5", module, verify=False).load()


@pytest.fixture
def recipe(digits: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the recipes of Spark and Ray define; nothing else in them is run."""
    monkeypatch.setitem(sys.modules, "digits", digits)
    names: dict[str, Any] = {"np": np}
    for text in RECIPES[1:]:
        tree = ast.parse(text)
        tree.body = [node for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
        exec(compile(tree, "many-rows.md", "exec"), names)
    return SimpleNamespace(**names)


IMAGES = np.random.RandomState(0).randint(0, 17, (5, 8, 8, 1)).astype("float32")


def test_the_recipe_of_ray(recipe: Any, digits: Any) -> None:
    batch = recipe.Classify()({"image": IMAGES})
    np.testing.assert_array_equal(batch["digit"], digits.predict(IMAGES).argmax(axis=-1))


def test_the_recipes_of_spark(recipe: Any, digits: Any) -> None:
    right = digits.predict(IMAGES).argmax(axis=-1).tolist()
    rows = (SimpleNamespace(image=image.ravel().tolist()) for image in IMAGES)
    assert list(recipe.classify_rows(rows)) == right

    class Frame(dict[str, Any]):
        """As much of a pandas.DataFrame as the recipe uses."""

        def __getitem__(self, key: Any) -> Any:
            return Frame({name: self[name] for name in key}) if isinstance(key, list) else super().__getitem__(key)

        def assign(self, **columns: Any) -> Frame:
            return Frame({**self, **columns})

    frames = [Frame(image=[image.ravel() for image in IMAGES[i : i + 2]], label=i) for i in (0, 2, 4)]
    answers = list(recipe.classify(frames))
    assert [answer["label"] for answer in answers] == [0, 2, 4]
    assert np.concatenate([answer["digit"] for answer in answers]).tolist() == right
