"""kerasgen reads files itself: neither TensorFlow nor Keras is imported, and a module needs nothing but NumPy."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from saved_models import parts_of_layers
from support import randomize, run_python

FOREIGN = ("tensorflow", "keras", "tf_keras", "tensorboard", "jax", "torch")
COMMAND_LINE = """
import sys
from kerasgen.cli import main
try:
    main(sys.argv[1:])
finally:
    print("\\nmodules:", *{name.split(".")[0] for name in sys.modules})
"""
MODULE = """
import runpy, sys
before = {name.split(".")[0] for name in sys.modules}
runpy.run_path(sys.argv[1])
print("modules:", *({name.split(".")[0] for name in sys.modules} - before))
"""


@pytest.fixture(scope="module", params=["keras", "h5"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convolutions, normalisation, attention, recurrent layers and cells, wrappers, a model in it."""
    path = tmp_path_factory.mktemp("file") / f"model.{request.param}"
    randomize(parts_of_layers(keras)).save(path)
    return path


def modules(*arguments: object) -> set[str]:
    """The top-level modules that a Python program says it has imported."""
    process = run_python(*arguments)
    assert process.returncode == 0, process.stderr
    return set(process.stdout.rpartition("modules:")[2].split())


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_export_and_inspect(file: Path, tmp_path: Path) -> None:
    for arguments in (
        ["export", file, "-o", tmp_path / "embedded.py", "--no-verify"],
        ["export", file, "-o", tmp_path / "sidecar.py", "--no-verify", "--store", "sidecar", "--activations"],
        ["inspect", file],
        ["inspect", file, "--json"],
    ):
        imported = modules("-c", COMMAND_LINE, *arguments)
        assert "kerasgen" in imported
        assert not imported.intersection(FOREIGN)
    for name in ("embedded.py", "sidecar.py"):
        imported = modules("-I", "-c", MODULE, tmp_path / name)
        assert "numpy" in imported
        assert not imported.intersection({*FOREIGN, "kerasgen", "h5py", "jinja2", "black", "typer"})
