"""[tool.kerasgen] in pyproject.toml, and what goes without arguments where it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import Run
from support import ROOT

import kerasgen
from kerasgen import config
from kerasgen.jobs.options import OPTIONS

DIGITS = ROOT / "examples" / "digits" / "digits.h5"
PROJECT = """
[tool.kerasgen]
store = "sidecar"
verify = false
models = [
    "models/digits.h5",
    {model = "models/digits.h5", output = "src/other.py", store = "embedded", optimize = 0, max_memory = "8MB"},
]
"""


@pytest.fixture
def project(run: Run, tmp_path: Path) -> Path:
    """The current folder, that of a project with a model."""
    for name in ("models", "src"):
        (tmp_path / name).mkdir()
    shutil.copy(DIGITS, tmp_path / "models")
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    return tmp_path


def test_what_is_read(project: Path) -> None:
    found = config.load()
    assert found.file == Path("pyproject.toml")
    first, second = found.models
    assert (first.model, first.output, first.verify) == (Path("models/digits.h5"), Path("digits.py"), False)
    assert first.options == {"store": "sidecar"}
    assert second.output == Path("src/other.py")
    assert second.options == {"store": "embedded", "optimize": 0, "max_memory": 8_000_000}
    assert found.batch == {"output": Path("build/kerasgen")}


def test_the_options_are_those_of_a_job() -> None:
    keys = config._MODEL.keys() - {"model", "weights", "output", "verify"}
    assert keys == OPTIONS - {"keep_failed"}


def test_what_part_of_a_model_is_read(project: Path) -> None:
    entry = '{model = "a.h5", outputs = ["digit"], input_shape = "?x8", defines = {SIZE = 64}}'
    (project / "pyproject.toml").write_text(f"[tool.kerasgen]\nmodels = [{entry}]\n")
    (model,) = config.load().models
    assert model.options == {"outputs": ["digit"], "input_shape": (None, 8), "defines": {"SIZE": 64}}


def test_where_it_is(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest file counts that has the section; paths are those from its folder."""
    inner = project / "src" / "deep"
    inner.mkdir()
    (project / "src" / "pyproject.toml").write_text("[tool.other]\n")
    monkeypatch.chdir(inner)
    assert config.load().models[0].model == Path("../../models/digits.h5")
    assert config.load(inner).models[0].model == project / "models" / "digits.h5"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.kerasgen]\nmodel = []", "pyproject.toml: tool.kerasgen: has no key 'model'; did you mean 'models'?"),
        ("[tool.kerasgen]\nxyz = 1", "tool.kerasgen: has no key 'xyz'; it has store, "),
        (
            "[tool.kerasgen]\nmodels = [{model = 'a.h5', optimise = 1}]",
            "pyproject.toml: tool.kerasgen.models[0]: has no key 'optimise'; did you mean 'optimize'?",
        ),
        ("[tool.kerasgen.batch]\njob = 1", "tool.kerasgen.batch: has no key 'job'; did you mean 'jobs'?"),
        ("[tool.kerasgen.batch]\njobs = true", "tool.kerasgen.batch.jobs: is a whole number, not True"),
        ("[tool.kerasgen]\nverify = 'yes'", "tool.kerasgen.verify: is true or false, not 'yes'"),
        ("[tool.kerasgen]\nmodels = [3]", "tool.kerasgen.models[0]: is a table, not 3"),
        ("[tool.kerasgen]\nmodels = [{output = 'a.py'}]", "tool.kerasgen.models[0]: has no model"),
        ("[tool.kerasgen]\nmodels = ['a/m.h5', 'b/m.h5']", "two models become m.py; give one of them another `output`"),
        ("[tool.kerasgen]\nmodels = ['a.h5']\nmax_memory = 'big'", "models[0].max_memory is a size as 8MB, not big"),
        (
            "[tool.kerasgen]\nmodels = ['a.h5']\ngradients = {los = 'x'}",
            "models[0].gradients: has no key 'los'; did you mean 'loss'?",
        ),
        ("[tool.kerasgen]\n", "pyproject.toml: tool.kerasgen lists no `models`"),
        ("tool = {kerasgen = 1}", "pyproject.toml: tool.kerasgen: is a table, not 1"),
        ("[tool", "pyproject.toml: not TOML: "),
        ("[tool.black]\n", "no model is given, and no pyproject.toml here or above has a section [tool.kerasgen]"),
    ],
)
def test_mistakes(project: Path, run: Run, text: str, words: str) -> None:
    """One line that names the file and the key."""
    (project / "pyproject.toml").write_text(text)
    assert words in run.fails(2, "export")


def test_export_and_check(project: Path, run: Run) -> None:
    """All that is listed, with its options."""
    out, _ = run("export")
    assert out.splitlines() == ["digits.npz", "digits.py", "src/other.py"]
    run("export", "models/digits.h5", "-o", "own.py", "-O0", "--max-memory", "8MB", "--no-verify")
    assert Path("own.py").read_bytes() == Path("src/other.py").read_bytes()
    current = "digits.py: is current\n", "src/other.py: is current\n"
    assert run("export", "--check") == ("", "".join(current))
    digits = Path("digits.py")
    digits.write_bytes(digits.read_bytes().replace(b"x = flatten(x)", b"x = flatten(-x)"))
    _, err = run("export", "--check", code=1)
    assert err.startswith("kerasgen: digits.py: ")
    assert err.endswith(current[1])
    out, _ = run("export", "--diff", code=1)
    assert "+    x = flatten(x)" in out
    _, err = run("export", code=5)
    assert err.splitlines() == [
        "kerasgen: digits.py: exists; use --force to replace it",
        "kerasgen: src/other.py: exists; use --force to replace it",
    ]
    run("export", "--force")
    run("export", "--check")


def test_one_wrong_model_stops_no_other(project: Path, run: Run) -> None:
    (project / "models" / "bad.h5").write_text("no model")
    (project / "pyproject.toml").write_text(
        "[tool.kerasgen]\nverify = false\nmodels = ['models/bad.h5', 'models/digits.h5', 'models/none.h5']"
    )
    out, err = run("export", code=3)  # damaged is worse than missing
    assert out == "digits.py\n"
    assert "bad.h5: not a Keras model" in err
    assert "none.h5" in err


def test_options_of_one_model_need_it(project: Path, run: Run) -> None:
    words = "--store goes with a MODEL; for all, pyproject.toml has the options"
    assert words in run.fails(2, "export", "--store", "sidecar")
    run.fails(2, "export", "-o", "x.py")


def test_options_become_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kerasgen.jobs.options import arguments

    monkeypatch.chdir(tmp_path)
    Path("functions_of_mine.py").write_text("def function(x): return x\n")
    found = arguments({"custom": ["Odd=functions_of_mine:function"], "gradients": {"explain": ["saliency"]}})
    assert found["custom"]["Odd"](3) == 3
    assert found["gradients"] == kerasgen.GradientOptions(explain=("saliency",))
    assert arguments({"strict": True, "gradients": True}, check=True) == {
        "custom": {},
        "gradients": kerasgen.GradientOptions(),
    }
    with pytest.raises(kerasgen.UsageError, match="gradients: "):
        arguments({"gradients": {"los": "x"}})
