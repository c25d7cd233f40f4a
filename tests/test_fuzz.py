"""Spoilt model files do no harm: a few hundred of those that `fuzz.py` makes by the thousand, and smaller ones."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import fuzz
import fuzz_coverage
import pytest
from command import small
from hostile.fault import MODEL, archive, legacy
from hypothesis import given
from hypothesis import strategies as st
from mutation import changed
from support import randomize, run_python, save

import kerasgen
from kerasgen.readers import graph_config, jsonfile


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sound files of every container."""
    folder = tmp_path_factory.mktemp("sources")
    model = randomize(small())
    made = [save(model, folder / f"net.{ending}") for ending in ("keras", "h5")]
    return made + [folder / make(folder)[0] for make in (legacy(), archive())]


def refusal(call: Callable[[], Any]) -> kerasgen.KerasgenError | None:
    """The error that a call ends with, if it is one of ours."""
    try:
        call()
    except kerasgen.KerasgenError as error:
        return error
    return None


@given(random=st.randoms(use_true_random=False))
def test_files(sources: list[Path], random: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fuzz.attempt(random, sources, Path(folder))


LIAR = """
import numpy
INPUTS, OUTPUTS, W, as_input = (), (("y", (2,), "float32"),), {}, None
predict = lambda: numpy.zeros(3)
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
)


@given(written=JSON | st.builds(lambda name, config: {"class_name": name, "config": config}, st.text(), JSON))
def test_json(written: Any) -> None:
    """Whatever JSON says, it is a model or an error of ours."""
    error = refusal(lambda: graph_config.parse(jsonfile.loads(json.dumps(written), "x"), "x"))
    assert error is None or (str(error).startswith("x: ") and str(error).isprintable())


@given(text=st.binary() | st.text())
def test_texts(text: bytes | str) -> None:
    error = refusal(lambda: jsonfile.loads(text, "x"))
    assert error is None or str(error).startswith("x: malformed JSON: ")


@given(random=st.randoms(use_true_random=False))
def test_configs(random: Random) -> None:
    """Configs that are nearly right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.json")
        path.write_text(json.dumps(changed(random, MODEL)), encoding="utf-8", errors="replace")
        weights = Path(folder, *legacy(None)(Path(folder)))
        error = refusal(lambda: kerasgen.inspect(path, weights=weights))
        assert error is None or error.exit_code in (3, 4)


def test_numbers_make_files(sources: list[Path], tmp_path: Path) -> None:
    """The same number, the same file: what is found can be found again."""
    for number in range(20):
        made = []
        for name in ("a", "b"):
            folder = tmp_path / f"{number}{name}"
            folder.mkdir()
            fuzz.spoil(Random(number), sources[number % 4], folder)
            made.append({path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".keras"})
        assert made[0] == made[1]


def test_command(sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The runner divides its files among processes, sums up, and reports its findings."""
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for path in sources:
        (seeds / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--count", "20", "--workers", "1", "--seeds", str(seeds)])
    assert fuzz.main() == 0
    out, _ = capsys.readouterr()
    assert out.startswith("20 files in ")
    assert "'code 3'" in out


def test_findings(sources: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runner is there for: each of these is found."""
    attempts = [Random(number) for number in range(30)]

    def found(how: Any) -> set[str]:
        monkeypatch.setattr(kerasgen, "export", how)
        kinds = set()
        for number, random in enumerate(attempts):
            folder = tmp_path / f"{how.__name__}{number}"
            folder.mkdir()
            with pytest.raises(BaseException) as caught:  # noqa: PT011
                fuzz.attempt(random, sources, folder)
            kinds.add(caught.type.__name__)
        return kinds

    def raises(*_: Any, **__: Any) -> None:
        raise KeyError("x")

    def leaves(_: Any, target: Path, **__: Any) -> None:
        target.with_name("rest").touch()
        raise kerasgen.InvalidModelError("model")

    def says_nothing(*_: Any, **__: Any) -> None:
        raise kerasgen.InvalidModelError("it")

    def lies(_: Any, target: Path, **__: Any) -> None:
        target.write_text(LIAR)

    assert found(raises) == {"KeyError"}
    assert found(leaves) == found(says_nothing) == found(lies) == {"AssertionError"}


@given(data=st.binary(max_size=200))
def test_coverage_target(sources: list[Path], data: bytes) -> None:
    """What libFuzzer calls; it works as well without it."""
    fuzz_coverage.one_input(data, sources)


def test_atheris(sources: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="`pip install '.[fuzz]'`, on Linux, brings it")
    done = run_python(Path(fuzz_coverage.__file__), sources[0].parent, "-runs=20", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
