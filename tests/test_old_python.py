"""The modules of many cases, run by the oldest Python and NumPy that they are promised to run on."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from support import randomize, run_python

from kerasgen.build import build
from kerasgen.emit import emit
from kerasgen.passes import optimize
from kerasgen.readers import read


def old_python() -> Path | None:
    return next(iter(sorted(Path.home().glob(".pyenv/versions/3.7.*/bin/python"))), None)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modules of many cases, one of every family at least, with inputs and what the graphs make of them here.

    A case is left out if others have called all its kernels. The modules are not formatted: that takes long.
    """
    folder = tmp_path_factory.mktemp("rows")
    random = np.random.RandomState(3)
    seen: set[Any] = set()
    families: set[str] = set()
    for number, case in enumerate(CASES.values()):
        family = case.name.split()[0]
        if family in families and number % 4:
            continue
        families.add(family)
        model = randomize(case.model())
        if case.finish is not None:
            case.finish(model)
        graph = optimize(build(read(model)).bind())
        called = {f for node in graph.nodes for f in (node.kernel, *node.attrs.values()) if callable(f)}
        if called <= seen:
            continue
        seen |= called
        arrays = []
        for value in graph.inputs:
            unknown = iter(case.sizes * 2)
            shape = [3, *(next(unknown) if size is None else size for size in value.shape[1:])]
            floats = "float" in value.dtype
            low, high = case.values or ((-4, 4) if floats else (0, 4))
            arrays.append((random.uniform if floats else random.randint)(low, high, shape).astype(value.dtype))
        with open(folder / f"row{number}.py", "wb") as file, pytest.MonkeyPatch.context() as patch:
            patch.setattr("black.format_str", lambda text, mode: text)
            emit(graph).write(file)
        np.savez(folder / f"row{number}_in.npz", *arrays)
        np.savez(folder / f"row{number}_out.npz", *graph.run(*arrays))
        (folder / f"row{number}.json").write_text(json.dumps([case.name, max(case.tolerance, 1e-5), case.mixes]))
    assert len(list(folder.glob("*.json"))) > 25
    return folder


# Runs in the old Python: predicts on arrays that cannot be written to, by modules whose weights cannot be either.
RUNNER = """
import glob, importlib, json, sys
import numpy as np
sys.path.insert(0, ".")

def listed(result):
    return list(result.values()) if isinstance(result, dict) else result if isinstance(result, tuple) else [result]

def error(got, expected):
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return np.inf
    got, expected = (array.astype(np.result_type(array, "f8")) for array in (got, expected))
    with np.errstate(invalid="ignore"):
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        off = np.where(same, 0, abs(got - expected)) / (abs(expected[np.isfinite(expected)]).max(initial=0) or 1)
    return np.where(np.isnan(off), np.inf, off).max(initial=0)

def check(path):
    with open(path + ".json") as file:
        name, tolerance, mixes = json.load(file)
    module = importlib.import_module(path)
    given, wanted = ([npz["arr_%d" % i] for i in range(len(npz.files))] for npz in
                     (np.load(path + end, allow_pickle=False) for end in ("_in.npz", "_out.npz")))
    weights = list(getattr(module, "W", {}).values())
    for array in given + weights:
        array.setflags(write=False)
    try:
        results = listed(module.predict(*given))
        assert len(results) == len(wanted)
        worst = max(map(error, results, wanted))
        assert worst <= tolerance, worst
        assert not any(np.may_share_memory(result, weight) for result in results for weight in weights)
        if not mixes and all(shape[:1] == (None,) for _, shape, _ in module.OUTPUTS):
            getattr(module, "reset_states", dict)()
            for none, array in zip(listed(module.predict(*[array[:0] for array in given])), wanted):
                assert none.shape == (0,) + array.shape[1:], none.shape
    except Exception as problem:
        print(name, type(problem).__name__, problem)

for file in sorted(glob.glob("row*.json")):
    check(file[:-5])
print("done", sys.version.split()[0], np.__version__)
"""


@pytest.mark.slow
def test_every_kernel_on_old_numpy(rows: Path, tmp_path: Path) -> None:
    """With the NumPy at hand, then with the oldest pair that is promised: Python 3.7 with NumPy 1.17."""

    def answers(python: str) -> str:
        done = run_python("-W", "error", "-c", RUNNER, cwd=rows, python=python)
        *wrong, last = done.stdout.splitlines() or [""]
        assert (wrong, done.stderr) == ([], "")
        return last

    assert answers(sys.executable).startswith("done 3.")
    if old_python() is None:
        pytest.skip("there is no Python 3.7 in ~/.pyenv")
    run_python("-m", "venv", tmp_path / "old", python=str(old_python()))
    python = str(tmp_path / "old" / "bin" / "python")
    pip = run_python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "numpy==1.17.*", python=python)
    assert pip.returncode == 0, pip.stderr
    assert re.fullmatch(r"done 3\.7\.\d+ 1\.17\.\d+", answers(python))
