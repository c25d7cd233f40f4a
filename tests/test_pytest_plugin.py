"""The plugin: a test for each model, in a pytest of its own, which finds the plugin by its entry point."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras
import pytest
from command import unsupported
from keras import layers as L
from support import ROOT, randomize, save

if sys.version_info >= (3, 11):
    import tomllib
else:  # pytest brings it there
    import tomli as tomllib

WRONG_RULE = """
import numpy as np
from kerasgen.layers import RULES
RULES["LeakyReLU"] = lambda layer, x: layer.emit(np.abs, x)
"""
NO_TENSORFLOW = "import sys\nsys.modules.update(dict.fromkeys(['tensorflow', 'keras', 'tf_keras']))\n"


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty folder for pytest; the path has the entry points of the project, as an installer writes them."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    installed = pytester.mkdir("site") / "installed-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: installed\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in entries.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed.parent), str(ROOT)]))
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", raising=False)
    return pytester


def model(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    layers = [L.Dense(4, name="first"), L.LeakyReLU(name="leak"), L.Dense(2, name="last")]
    return save(randomize(keras.Sequential([keras.Input((3,)), *layers])), path)


def test_a_test_for_each_model(tests: pytest.Pytester) -> None:
    model(tests.path / "models" / "one.h5")
    model(tests.path / "models" / "two.h5")
    model(tests.path / "models" / "deep" / "three.keras")
    tests.makepyfile("def test_own(): pass")
    result = tests.runpytest_subprocess("-v", "--kerasgen-models", "models/*.h5", "--kerasgen-models=models/**/*.keras")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "test_a_test_for_each_model.py::test_own PASSED*",
            "models/one.h5::kerasgen PASSED*",
            "models/two.h5::kerasgen PASSED*",
            "models/deep/three.keras::kerasgen PASSED*",
        ]
    )
    chosen = tests.runpytest_subprocess("--kerasgen-models", "models/*.h5", "-k", "two", "--collect-only", "-q")
    chosen.stdout.fnmatch_lines(["models/two.h5::kerasgen", "1/3 tests collected (2 deselected)*"])
    assert sorted(path.name for path in (tests.path / "models").iterdir()) == ["deep", "one.h5", "two.h5"]


def test_the_models_of_the_project(tests: pytest.Pytester) -> None:
    """Those of pyproject.toml, with their options; one line where there are none."""
    model(tests.path / "models" / "one.h5")
    listed = "[tool.kerasgen]\nmodels = ['models/one.h5', {model = 'models/two.h5', max_memory = 1}]\n"
    tests.makepyprojecttoml(listed)
    result = tests.runpytest_subprocess("-v", "--kerasgen")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["models/one.h5::kerasgen PASSED*", "models/two.h5::kerasgen FAILED*"])
    tests.makepyprojecttoml("[tool.kerasgen]\n")
    result = tests.runpytest_subprocess("--kerasgen")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *pyproject.toml: tool.kerasgen lists no `models`"])


def test_the_first_wrong_layer_is_named(tests: pytest.Pytester) -> None:
    model(tests.path / "models" / "wrong.h5")
    tests.makeconftest(WRONG_RULE)
    result = tests.runpytest_subprocess("--kerasgen-models", "models/*.h5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*kerasgen: wrong.h5*", "DIFFERS last: error *", "first wrong layer: leak (LeakyReLU), *"]
    )
    result.stdout.no_fnmatch_line("*Traceback*")


def test_what_cannot_be_exported(tests: pytest.Pytester) -> None:
    (tests.path / "broken.h5").write_text("no model\n")
    unsupported(L.Lambda(lambda x: x if x is not None else 0, name="twice")).save(tests.path / "lambda.keras")
    result = tests.runpytest_subprocess("--kerasgen-models", "*.h5", "--kerasgen-models", "*.keras")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*broken.h5: not a Keras model*", "*lambda.keras: unsupported: twice*"])


def test_without_tensorflow(tests: pytest.Pytester) -> None:
    """Nothing passes that was not compared."""
    model(tests.path / "one.h5")
    tests.makeconftest(NO_TENSORFLOW)
    result = tests.runpytest_subprocess("--kerasgen-models", "one.h5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TensorFlow*"])


def test_no_such_model(tests: pytest.Pytester) -> None:
    result = tests.runpytest_subprocess("--kerasgen-models", "models/*.h5")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --kerasgen-models: there is no models/[*].h5"])


def test_costs_nothing_when_not_asked(tests: pytest.Pytester) -> None:
    """It is loaded, and imports nothing of weight; a folder without tests stays one."""
    tests.makepyfile("""
        import sys

        def test_modules(request):
            assert request.config.pluginmanager.get_plugin("kerasgen").__name__ == "kerasgen.pytest_plugin"
            assert not {"numpy", "h5py", "jinja2", "tensorflow", "kerasgen.api"} & set(sys.modules)
        """)
    result = tests.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    tests.makepyfile("")
    assert tests.runpytest_subprocess("site").ret == pytest.ExitCode.NO_TESTS_COLLECTED
