"""For pytest: `pytest --kerasgen-models 'models/*.h5'` exports each model and compares the module with Keras.

`pytest --kerasgen` does so with the models that [tool.kerasgen] in pyproject.toml lists, and with their options.

pytest imports this file wherever kerasgen is installed, so it imports as little as possible.
"""

from __future__ import annotations

import glob
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kerasgen.config import ConfiguredModel

OPTION = "--kerasgen-models"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that add tests."""
    group = parser.getgroup("kerasgen")
    group.addoption(
        "--kerasgen",
        action="store_true",
        dest="kerasgen",
        help="Test the models that [tool.kerasgen] in pyproject.toml lists, with their options.",
    )
    group.addoption(
        OPTION,
        action="append",
        default=[],
        metavar="GLOB",
        dest="kerasgen_models",
        help="Test that each of these models, as a NumPy module, answers as Keras does; may be given several times.",
    )


@pytest.hookimpl(tryfirst=True)  # -k and -m choose among these tests, too
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add a test for each model. UsageError if a pattern matches none."""
    folder = config.invocation_params.dir
    for pattern in config.getoption("kerasgen_models"):
        names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        if not names:
            raise pytest.UsageError(f"{OPTION}: there is no {pattern}")
        for name in names:
            items.extend(session.genitems(ModelFile.from_parent(session, path=folder / name)))
    if config.getoption("kerasgen"):
        for model in _configured(folder):
            items.extend(session.genitems(ModelFile.from_parent(session, path=model.model, model=model)))


def _configured(folder: Path) -> tuple[ConfiguredModel, ...]:
    """The models of the project around a folder. UsageError where there are none."""
    from kerasgen import KerasgenError, config

    try:
        return config.load(folder).listed()
    except KerasgenError as error:
        raise pytest.UsageError(str(error)) from error


class ModelFile(pytest.File):
    """A model file, collected under its own name; `model` has its options if it is one of the project's."""

    def __init__(self, *, model: ConfiguredModel | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.model = model

    def collect(self) -> Iterator[pytest.Item]:
        """Its only test."""
        yield ModelTest.from_parent(self, name="kerasgen")


class ModelTest(pytest.Item):
    """The module of a model answers as Keras does."""

    def runtest(self) -> None:
        """Export the model into memory and compare with Keras."""
        import kerasgen
        from kerasgen.jobs.options import arguments

        model = getattr(self.parent, "model", None)
        options = arguments(model.options) if model else {}
        options.pop("store", None)  # the stream has no file beside it
        kerasgen.export(self.path, io.BytesIO(), weights=model and model.weights, verify=True, **options)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The error; if the module differs, each output and the first wrong layer."""
        from kerasgen import KerasgenError

        error = excinfo.value
        if not isinstance(error, KerasgenError):
            return super().repr_failure(excinfo, style)
        return str(getattr(error, "verification", None) or error)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The test's location and heading."""
        return self.path, None, f"kerasgen: {self.path.name}"
