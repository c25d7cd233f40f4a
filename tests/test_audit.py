"""kerasgen's look at its own output: what no module may hold is found before anything is published."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
import keras
import numpy as np
import pytest
from support import randomize

import kerasgen
from kerasgen import cli, kernels
from kerasgen.backward.options import LOSSES, OPTIMIZERS
from kerasgen.emit import module, runtime, source
from kerasgen.emit.audit import audit
from kerasgen.emit.load import load_module
from kerasgen.emit.runtime.weights import open_sidecar
from kerasgen.emit.source import collect
from kerasgen.kernels import backward, classify, explain, tiles

EVIL = {
    "os.system('true')": ".system",
    "np.os.system('true')": ".system",
    "eval('1')": "eval",
    "exec('1')": "exec",
    "compile('1', '', 'eval')": "compile",
    "__import__('os')": "__import__",
    "open('/etc/passwd')": "open",
    "print('hello')": "print",
    "input()": "input",
    "getattr(x, 'da' + 'ta')": "getattr",
    "setattr(x, 'shape', 1)": "setattr",
    "globals()": "globals",
    "vars(x)": "vars",
    "x.__class__": ".__class__",
    "x.tofile('a')": ".tofile",
    "x.dump('a')": ".dump",
    "x.ctypes": ".ctypes",
    "np.load('a.npy', allow_pickle=True)": "load",
    "np.fromfile('a')": ".fromfile",
    "np.memmap('a')": ".memmap",
    "np.lib.format.open_memmap('a')": ".open_memmap",
    "__builtins__": "__builtins__",
    "(lambda eval: 0)(1)": "eval",
    "[len for len in x]": "len",
}
STATEMENTS = {
    "import os": "import os",
    "import pickle": "import pickle",
    "import numpy": "import numpy",
    "import numpy as np, os": "import numpy as np, os",
    "import numpy.lib.npyio as np": "import numpy.lib.npyio as np",
    "from os import system": "from os import system",
    "from numpy import *": "from numpy import *",
    "open = 1": "open",
    "def sum(): pass": "sum",
}


def kernel(line: str) -> str:
    return f"def relu(x):\n    {line}\n    return np.maximum(x, 0)\n"


@pytest.mark.parametrize(("line", "named"), [*EVIL.items(), *STATEMENTS.items()], ids=[*EVIL, *STATEMENTS])
def test_found_in_a_kernel(line: str, named: str) -> None:
    audit(kernel("x = x + 1"))
    with pytest.raises(AssertionError, match="line 2") as found:
        audit(kernel(line))
    assert named in str(found.value)
    audit(kernel(line), yours={"relu"})  # the user's own


@pytest.mark.parametrize("line", [*EVIL, *STATEMENTS])
def test_found_outside_of_functions(line: str) -> None:
    if line in ("globals()", "import os"):  # which find the weights beside the module, or in it
        return
    with pytest.raises(AssertionError, match="line 1"):
        audit(line)


@pytest.mark.parametrize("line", ["os.remove('a')", "eval('1')", "import socket", "np.load(path, allow_pickle=True)"])
def test_found_in_what_loads_the_weights(line: str) -> None:
    source = inspect.getsource(runtime.read_sidecar) + inspect.getsource(open_sidecar)
    audit(source)
    with pytest.raises(AssertionError, match="line 6"):
        audit(source.replace("    try:", f"    {line}\n    try:", 1))


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\x00", "\x1b", "\u200b"])
def test_what_cannot_be_seen_is_found(mark: str) -> None:
    with pytest.raises(AssertionError, match="unprintable characters"):
        audit(f"# {mark}\n")


def test_every_kernel_passes() -> None:
    derivatives = [
        thing
        for module in pkgutil.iter_modules(backward.__path__, "kerasgen.kernels.backward.")
        for thing in vars(importlib.import_module(module.name)).values()
        if inspect.isfunction(thing) and thing.__module__ == module.name
    ]
    assert len(derivatives) > 200
    functions = [thing for thing in vars(kernels).values() if inspect.isfunction(thing)]
    assert len(functions) > 100
    around = [classify.fit_images, classify.top_classes, tiles.in_tiles]
    learning = [*LOSSES.values(), *OPTIMIZERS.values(), explain.chosen, runtime.write_weights, runtime.read_weights]
    loading = [runtime.read_embedded, runtime.read_sidecar, runtime.main, runtime.check_tiles]
    imports, blocks = collect([*functions, *derivatives, *around, *learning, *loading])
    audit("\n".join([*imports, *blocks.values()]))


# ---------------------------------------------------------------- nothing is published


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file in the folder where the command line runs."""
    monkeypatch.chdir(tmp_path)
    randomize(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="relu")])).save("net.keras")
    return tmp_path / "net.keras"


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", "net.keras", "--no-verify", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err  # type: ignore[return-value]


def in_the_template(patch: pytest.MonkeyPatch, line: str) -> None:
    render = jinja2.Template.render
    patch.setattr(jinja2.Template, "render", lambda self, **values: render(self, **values) + f"\n{line}\n")


def in_predict(patch: pytest.MonkeyPatch, line: str) -> None:
    lines = module.Body.lines
    patch.setattr(module.Body, "lines", lambda self: [line, *lines(self)])


def in_a_kernel(patch: pytest.MonkeyPatch, line: str) -> None:
    text = source._text
    patch.setattr(source, "_text", lambda thing: kernel(line) if thing is kernels.relu else text(thing))


@pytest.mark.parametrize("place", [in_the_template, in_predict, in_a_kernel], ids=lambda place: place.__name__)
@pytest.mark.parametrize("line", ["os.system('touch hacked')", "eval('1')", "import pickle", "open('hacked', 'w')"])
@pytest.mark.parametrize("output", ["net.py", "-"])
def test_nothing_is_published(
    place: Callable[..., None],
    line: str,
    output: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as patch:
        place(patch, line)
        code, out, err = export(capsys, "-o", output)
    assert (code, out) == (70, "")
    assert err.startswith("kerasgen: a bug in kerasgen: ")
    assert err.count("\n") == 1
    assert [path.name for path in model.parent.iterdir()] == ["net.keras"]
    assert export(capsys, "-o", output)[0] == 0


# ---------------------------------------------------------------- the user's own functions


def logged(x):  # type: ignore[no-untyped-def]
    """A function that no kernel could be."""
    with open(os.devnull, "a") as log:
        print(x.shape, file=log)
    return x * 2


def predict(x: Any) -> Any:
    return x


def middle(layer: Any, x: Any) -> Any:
    return layer.emit(np.partition, x, kth=1)


def dumped(layer: Any, x: Any) -> Any:
    return layer.emit(np.asarray_chkfinite, x)


@pytest.fixture
def mine(model: Path) -> Path:
    layers = [keras.Input((4,)), keras.layers.Lambda(lambda x: x, name="mine"), keras.layers.Dense(2)]
    randomize(keras.Sequential(layers)).save(model)
    return model


def test_the_users_functions_may_do_anything(mine: Path) -> None:
    """And the rest of the module is looked at all the same."""
    kerasgen.export(mine, "net.py", custom={"mine": logged}, verify=False)
    assert load_module(Path("net.py")).predict(np.ones((2, 4))).shape == (2, 2)
    assert "import os\n" in Path("net.py").read_text()
    with pytest.MonkeyPatch.context() as patch:
        in_predict(patch, "os.getcwd()")
        with pytest.raises(AssertionError, match=r"\.getcwd"):
            kerasgen.export(mine, "again.py", custom={"mine": logged}, verify=False)


@pytest.mark.parametrize(
    ("function", "message"), [(predict, "a predict of their own"), (dumped, "asarray_chkfinite is none")]
)
def test_what_is_refused(function: Any, message: str, mine: Path) -> None:
    with pytest.raises(kerasgen.UsageError, match=message):
        kerasgen.export(mine, "net.py", custom={"mine": function}, verify=False)
    assert not Path("net.py").exists()


def test_numpy_functions_that_no_layer_of_kerasgens_uses(mine: Path) -> None:
    kerasgen.export(mine, "net.py", custom={"mine": middle}, verify=False)
    assert "np.partition(x, kth=1)" in Path("net.py").read_text()
