"""Which Pythons and NumPys run the modules of the other tests, and that no kernel is left out.

test_parity.py, test_dialects.py and others hand every module that they make to the `pairs` of tests/pairs.py.
"""

from __future__ import annotations

import fnmatch
import importlib
import inspect
import pkgutil
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES
from pairs import CHOICES, LADDER, Pair, find_python
from test_dialects import FILES, FOLDER, keras_1_file
from test_parity import FAST
from test_recurrent import KERAS_2
from test_tf_functions import ROWS, model_of

from kerasgen import kernels
from kerasgen.builder import build
from kerasgen.emit.module import emit
from kerasgen.graph.plan import Plan
from kerasgen.passes import LEVEL, PIPELINES, optimize
from kerasgen.readers import read

NOT_PRINTED = {
    "get_item": "it is printed as x[...]",
    "stop_gradient": "it is removed once the graph is differentiated",
    "transpose_crop": "rules call it, modules do not",
}


@pytest.mark.parametrize(("python", "numpy"), LADDER, ids=["-".join(pair) for pair in LADDER])
def test_pair(python: str, numpy: str, pairs: list[Pair], request: pytest.FixtureRequest) -> None:
    """The chosen pairs run, and are what they are called."""
    if (python, numpy) not in CHOICES[request.config.getoption("--pairs")]:
        pytest.skip("not asked for: --pairs all")
    if find_python(python) is None:
        pytest.skip(f"there is no Python {python} on this machine")
    versions = [(pair.python, pair.numpy) for pair in pairs]
    assert any(fnmatch.fnmatch(p, f"{python}.*") and fnmatch.fnmatch(n, numpy) for p, n in versions), versions


def test_one_has_no_fast_blas(pairs: list[Pair], request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--pairs") != "all":
        pytest.skip("not asked for: --pairs all")
    if not shutil.which("apt-get"):
        pytest.skip("this machine has no packages of Debian's")
    assert any(pair.blas.startswith("libblas.so.3") for pair in pairs), [pair.blas for pair in pairs]


def test_what_a_pair_reports(pairs: list[Pair], tmp_path: Path) -> None:
    """What fails there fails the test."""
    head = "import warnings\nimport numpy as np\nOUTPUTS = (('y', (None, 2), 'float32'),)\nW = {'w': np.ones(2)}\n"
    module = tmp_path / "module.py"
    for body, message in (
        ("x += 1; return x", "read-only"),
        ("return W['w']", "handed out"),
        ("warnings.warn('old'); return x", "UserWarning"),
        ("return x.reshape(1, -1)", "of no samples"),
        ("return np.nothing(x)", "nothing"),
        ("return x * 2", ""),
    ):
        module.write_text(f"{head}def predict(x):\n    {body}\n")
        for pair in pairs:
            if message:
                with pytest.raises(AssertionError, match=message):
                    pair.predict(module, [np.ones((3, 2))])
            else:
                np.testing.assert_array_equal(pair.predict(module, [np.ones((3, 2))])[0], np.full((3, 2), 2.0))


def plans(folder: Path) -> Iterator[Plan]:
    """The plans whose modules the pairs are given; of the cases, one of each two words of their names."""
    named = {tuple(case.name.split()[:2]): case for case in reversed(CASES.values())}
    for case in named.values():
        model = case.model()
        if case.finish is not None:
            case.finish(model)
        graph = build(read(model)).bind()
        yield from (optimize(graph, pipeline) for pipeline in (PIPELINES[LEVEL], FAST, PIPELINES[0]))
    models: list[Any] = [KERAS_2["merged_masks"](), model_of(ROWS["tf.nn.local_response_normalization(image)"])]
    for model in models:
        model.save(folder / "model.keras")
        yield optimize(build(read(folder / "model.keras")).bind())
    for path in (*(FOLDER / name for name in FILES), keras_1_file(folder / "keras1.h5")):
        yield optimize(build(read(path)).bind())


@pytest.mark.thorough
@pytest.mark.usefixtures("unformatted")
def test_every_kernel_is_in_some_module(tmp_path: Path) -> None:
    modules = [
        importlib.import_module(f"kerasgen.kernels.{found.name}")
        for found in pkgutil.iter_modules(kernels.__path__)
        if found.name not in ("losses", "explain", "classify")  # only on request: see test_training.py, test_labels.py
    ]
    functions = {
        name: function
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
    }
    assert len(functions) > 200
    left = functions.keys() - NOT_PRINTED.keys()
    seen: set[Any] = set()
    for plan in plans(tmp_path):
        called: set[Any] = {("buffers", bool(plan.buffers)), ("batch", bool(plan.max_batch), plan.shares_batch)}
        for node in plan.graph.nodes:
            called |= {node.kernel, *filter(callable, node.attrs.values())}
        called |= {layout for layout, _ in plan.layouts.values()}
        if called <= seen:
            continue
        seen |= called
        text = emit(plan).text
        left -= {name for name in left if f"\ndef {name}(" in text}
        if not left:
            return
    assert not left
