"""The command line: what goes to stdout and stderr, exit codes, and that a failure leaves nothing behind."""

from __future__ import annotations

import ast
import errno
import io
import json
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import HOSTILE, Run, small, unsupported
from keras import layers as L
from support import ROOT

import kerasgen
from kerasgen import api
from kerasgen.cli.app import report
from kerasgen.cli.flags import flags, flags_in
from kerasgen.emit.load import load_module
from kerasgen.emit.weights import split
from kerasgen.planning import plans
from kerasgen.verification.inputs import random_inputs

# ---------------------------------------------------------------- help, version, usage


def test_version(run: Run) -> None:
    assert run("--version") == (f"kerasgen {kerasgen.__version__}\n", "")


def test_help(run: Run) -> None:
    out, err = run("--help")
    assert err == ""
    for word in ("export", "inspect", "verify", "--quiet", "--debug", "--version", "Exit codes", "130"):
        assert word in out


def test_no_command(run: Run) -> None:
    out, err = run(code=2)
    assert out == ""
    assert "Usage:" in err


USAGE: list[tuple[list[str], str]] = [
    (["--nope"], "--nope"),
    (["exprt"], "exprt"),
    (["export"], "model"),
    (["export", "{}/small.h5", "--nope"], "--nope"),
    (["export", "{}/small.h5", "extra.h5"], "extra.h5"),
    (["export", "{}/small.h5", "--store", "cloud"], "cloud"),
    (["export", "{}/small.h5", "-o"], "-o"),
    (["export", "{}/small.h5", "-o", "-", "--store", "sidecar"], "sidecar"),
    (["export", "{}/small.h5", "-o", "out.npz", "--store", "sidecar"], "out.npz"),
    (["inspect"], "model"),
    (["verify", "{}/small.h5"], "module"),
    (["verify", "{}/small.h5", "small.py", "--seed", "many"], "--seed"),
    (["verify", "{}/small.h5", "small.py", "--seed", "-1"], "--seed"),
    (["verify", "{}/small.h5", "small.py", "--tolerance", "-1"], "--tolerance"),
]


def test_debug_ends_with_its_command(run: Run) -> None:
    _, err = run("--debug", "inspect", "missing.h5", code=5)
    assert err.startswith("Traceback")
    run.fails(2, "exprt")


def test_a_signal_while_a_class_is_made(run: Run) -> None:
    """Python 3.11 raises RuntimeError from what the signal raised."""
    for cause, code in ((SystemExit(143), 143), (KeyboardInterrupt(), 130)):
        error = RuntimeError("Error calling __set_name__")
        error.__cause__ = cause
        assert report(error) == code


@pytest.mark.parametrize(("arguments", "names"), USAGE, ids=[" ".join(words) for words, _ in USAGE])
def test_usage_error(run: Run, arguments: list[str], names: str) -> None:
    assert names in run.fails(2, *(word.replace("{}", str(run.files)) for word in arguments))


# ---------------------------------------------------------------- export


def test_export_default_name(run: Run) -> None:
    out, err = run("export", run.files / "small.h5")
    assert out == "small.py\n"
    assert err.startswith("verified against Keras: ")
    module = load_module(run.folder / "small.py")
    assert module.predict(*random_inputs(module.INPUTS)).shape == (4, 3)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("2nd model.v1.keras", "layer_2nd_model_v1.py"),
        ("random.keras", "random_2.py"),  # such a name would hide Python's own module
        ("numpy.keras", "numpy_2.py"),
        ("class.keras", "class_2.py"),
        ('a"""\n{{x}}\x1b[31m.keras', "a_x_31m.py"),
    ],
)
def test_export_makes_a_name(run: Run, name: str, module: str) -> None:
    Path(name).write_bytes((run.files / "small.keras").read_bytes())
    out, err = run("export", name, "--no-verify")
    assert out == f"{module}\n"
    assert err == "not verified: skipped on request\n"
    assert load_module(Path(module)).INPUTS


def test_export_to_a_name(run: Run) -> None:
    (run.folder / "deep").mkdir()
    out, _ = run("export", run.files / "small.keras", "-o", "deep/net.py", "--no-verify")
    assert out == f"{Path('deep/net.py')}\n"
    assert [path.name for path in run.folder.rglob("*.*")] == ["net.py"]


def test_export_any_ending(run: Run) -> None:
    run("export", run.files / "small.keras", "-o", "net", "--verify")
    assert load_module(Path("net")).INPUTS


def test_export_to_the_default_name_from_python(run: Run) -> None:
    """The one that the command line takes; a live model has a name of its own."""
    Path("random.keras").write_bytes((run.files / "small.keras").read_bytes())
    for source in ("random.keras", Path("random.keras").absolute()):
        assert kerasgen.export(source, verify=False, force=True).module == Path("random_2.py")
    run("export", "random.keras", "--no-verify", "--force")
    assert kerasgen.check("random.keras", "random_2.py").code == ()
    model = small()
    model.name = "2nd net"
    result = kerasgen.export(model, store="sidecar", verify=False)
    assert (result.module, result.sidecar) == (Path("layer_2nd_net.py"), Path("layer_2nd_net.npz"))
    assert load_module(Path("layer_2nd_net.py")).INPUTS


@pytest.mark.parametrize("verify", [[], ["--no-verify"], ["--verify"]])
def test_export_to_stdout(run: Run, verify: list[str]) -> None:
    before = run.listing()
    out, err = run("export", run.files / "small.keras", "-o", "-", *verify)
    assert run.listing() == before
    assert err.startswith("not verified: " if verify == ["--no-verify"] else "verified against Keras: ")
    module = load_module(out.encode())
    assert module.predict(*random_inputs(module.INPUTS)).shape == (4, 3)
    run("export", run.files / "small.keras", *verify)
    assert (run.folder / "small.py").read_text() == out


def test_export_sidecar(run: Run) -> None:
    out, _ = run("export", run.files / "small.keras", "--store", "sidecar")
    assert out.split() == ["small.npz", "small.py"]
    assert load_module(Path("small.py")).W
    with np.load("small.npz", allow_pickle=False) as npz:
        assert "scores/kernel" in npz.files


def test_export_activations(run: Run) -> None:
    run("export", run.files / "small.keras", "--activations")
    module = load_module(Path("small.py"))
    answers = module.activations(*random_inputs(module.INPUTS))
    assert [name for name in answers if name != "image"] == ["conv", "norm", "flat", "scores"]


def test_export_refuses_to_replace(run: Run) -> None:
    Path("small.py").write_text("mine")
    assert "small.py" in run.fails(5, "export", run.files / "small.keras")
    Path("other.npz").write_text("mine")
    assert "other.npz" in run.fails(5, "export", run.files / "small.keras", "-o", "other.py", "--store", "sidecar")
    run("export", run.files / "small.keras", "--force", "--no-verify")
    assert "predict" in Path("small.py").read_text()
    run("export", run.files / "small.keras", "-o", "other.py", "--store", "sidecar", "--force", "--no-verify")
    assert load_module(Path("other.py")).W


def test_export_onto_itself(run: Run) -> None:
    Path("net.keras").write_bytes((run.files / "small.keras").read_bytes())
    os.link("net.keras", "link.py")
    for output in ("net.keras", "link.py"):
        assert "is the model itself" in run.fails(5, "export", "net.keras", "-o", output, "--force")
    Path("net.npz").write_bytes((run.files / "small.keras").read_bytes())
    assert "net.npz: is the model itself" in run.fails(5, "export", "net.npz", "--store", "sidecar", "--force")
    weights = run.folder / "w.weights.h5"
    weights.write_bytes((run.files / "small.weights.h5").read_bytes())
    json_file = run.files / "small.json"
    assert "w.weights.h5" in run.fails(5, "export", json_file, "--weights", weights, "-o", weights, "--force")


def test_export_into_no_folder(run: Run) -> None:
    line = run.fails(5, "export", run.files / "small.keras", "-o", "nowhere/net.py")
    assert "nowhere" in line
    assert "net.py" in line
    (run.folder / "place.py").mkdir()
    assert "place.py: is a folder" in run.fails(5, "export", run.files / "small.keras", "-o", "place.py", "--force")


@pytest.mark.parametrize("where", ["os.fsync", "os.replace", "tempfile.mkdtemp"])
def test_export_to_a_full_disk(run: Run, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/elsewhere/.kerasgen-x")

    monkeypatch.setattr(where, full)
    line = run.fails(5, "export", run.files / "small.keras", "--no-verify")
    assert line == "kerasgen: small.py: cannot be written: No space left on device\n"


def test_sidecar_goes_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    replace_file = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (moved.append(Path(b).name), replace_file(a, b)))
    run("export", run.files / "small.keras", "--store", "sidecar", "--no-verify")
    assert moved == ["small.npz", "small.py"]


MODULE = "INPUTS, OUTPUTS, predict, as_input = (), (), None, None\n"
BAD: list[tuple[str, int, str]] = [
    ("missing.h5", 5, "No such file"),
    ("folder.h5", 5, "directory"),
    ("empty.h5", 3, "empty"),
    ("text.h5", 3, "not a Keras model"),
    ("page.keras", 3, "not a Keras model"),
    ("cut_small.h5", 3, ""),
    ("cut_small.keras", 3, ""),
    ("small.weights.h5", 3, "--weights"),
    ("legacy_weights.h5", 3, "--weights"),
    ("small.json", 3, "--weights"),
    ("lambda.keras", 4, "twice"),
    ("custom.keras", 4, "odd"),
]


# `inspect` answers where a layer is unsupported, and there is no module to verify.
COMMANDS = [("export", *bad) for bad in BAD] + [(c, *bad) for bad in BAD if bad[1] != 4 for c in ("inspect", "verify")]


@pytest.mark.parametrize(("command", "name", "code", "says"), COMMANDS, ids=[f"{c} {name}" for c, name, *_ in COMMANDS])
def test_bad_file(run: Run, command: str, name: str, code: int, says: str) -> None:
    arguments = [command, run.files / name]
    if command == "verify":
        Path("module.py").write_text(MODULE)
        arguments.append("module.py")
    line = run.fails(code, *arguments)
    assert name in line
    assert says in line
    _, err = run("--debug", *arguments, code=code)
    assert "Traceback (most recent call last)" in err
    assert err.endswith(line)


def test_all_unsupported_layers_at_once(run: Run) -> None:
    line = run.fails(4, "export", run.files / "both.keras")
    assert "both.keras" in line
    assert "twice" in line
    assert "odd" in line
    assert "fine" not in line


@pytest.mark.parametrize(
    ("architecture", "weights"), [("small.json", "small.weights.h5"), ("legacy.json", "legacy_weights.h5")]
)
def test_architecture_and_weights(run: Run, architecture: str, weights: str) -> None:
    _, err = run("export", run.files / architecture, "--weights", run.files / weights, "-o", "net.py")
    assert err.startswith("verified against Keras: ")
    out, _ = run("verify", run.files / architecture, "net.py", "--weights", run.files / weights)
    assert out.startswith("ok scores: ")
    out, _ = run("inspect", run.files / architecture, "--weights", run.files / weights)
    assert "scores" in out


def test_wrong_weights(run: Run) -> None:
    assert "missing.h5" in run.fails(5, "export", run.files / "small.json", "--weights", "missing.h5")
    line = run.fails(3, "export", run.files / "small.json", "--weights", run.files / "text.h5")
    assert "text.h5" in line


def test_interrupt(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "_verified", interrupt)
    assert run.fails(130, "export", run.files / "small.keras") == "kerasgen: interrupted\n"


def test_bug(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "optimize", lambda *_, **__: 1 / 0)
    line = run.fails(70, "export", run.files / "small.keras")
    assert line == "kerasgen: a bug in kerasgen: ZeroDivisionError: division by zero\n"


def test_quiet(run: Run) -> None:
    for number, arguments in enumerate((["--quiet", "export"], ["-q", "export"])):
        assert run(*arguments, run.files / "small.keras", "-o", f"a{number}.py") == (f"a{number}.py\n", "")
    assert run("export", run.files / "small.keras", "-o", "b.py", "--quiet") == ("b.py\n", "")
    out, err = run("verify", run.files / "small.keras", "b.py", "--quiet")
    assert out
    assert not err
    run.fails(5, "--quiet", "export", "missing.h5")


# ---------------------------------------------------------------- settings in messages

SPELLINGS = {
    "exists; use `force=True` to replace it": "exists; use --force to replace it",
    "`verify=False` leaves it out": "--no-verify leaves it out",
    "pass `weights='a b.h5'`": "pass --weights a b.h5",
    "one: `custom={'odd': function}`; two: `custom={'a`b': function}`": (
        "one: --custom odd=module:function; two: --custom a`b=module:function"
    ),
    "`custom={'\\x1b\\n': function}`": "--custom \\x1b\\n=module:function",
    "`theano_kernels=True`": "--theano-kernels",
    "layer 'a': `units=3` and `git lfs pull` and `force=yes` and `force=`": (
        "layer 'a': `units=3` and `git lfs pull` and `force=yes` and `force=`"
    ),
}


def test_settings_as_flags() -> None:
    for text, shown in SPELLINGS.items():
        assert flags(text) == shown
    data = {"name": "`force=True`", "problems": ["`force=True`"], "layers": [{"problem": "`force=True`", "n": 1}]}
    assert flags_in(data, ("problem", "problems")) == {
        "name": "`force=True`",
        "problems": ["--force"],
        "layers": [{"problem": "--force", "n": 1}],
    }


def texts(path: Path) -> Iterator[str]:
    """The strings of a file that are no docstrings, the parts of f-strings joined."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            told.update(map(id, node.values))
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "'x'" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


def test_only_the_command_line_speaks_of_flags() -> None:
    """All others name a setting as Python does, which the command line translates."""
    own_options = (
        "cli",
        "bench",
        "runtime",
        "pure_runtime.py",
        "pytest_plugin.py",
        "aws_lambda.py",
    )  # the last calls pip
    paths = [path for path in (ROOT / "kerasgen").rglob("*.py") if not {*path.parts, path.name} & {*own_options}]
    found = [text for path in paths for text in texts(path)]
    assert [text for text in found if re.search(r"(^|[\s`(])--[a-z]", text)] == [
        "convert it with tensorflowjs_converter --input_format=tfjs_layers_model --output_format=keras"
    ]
    settings = [setting for text in found for setting in re.findall(r"`\w+=.*?`", text)]
    assert len(settings) >= 6
    assert all(flags(setting).startswith("--") for setting in settings), settings


def test_errors_speak_python_or_flags(run: Run) -> None:
    Path("small.py").write_text("mine")
    with pytest.raises(kerasgen.FileError, match=r"small\.py: exists; use `force=True` to replace it"):
        kerasgen.export(run.files / "small.h5")
    assert "exists; use --force to replace it" in run.fails(5, "export", run.files / "small.h5")
    with pytest.raises(kerasgen.UnsupportedModelError, match=r"`custom=\{'Odd': function\}`"):
        kerasgen.export(run.files / "custom.keras")
    assert "own: --custom Odd=module:function" in run.fails(4, "export", run.files / "custom.keras")
    (problem,) = kerasgen.inspect(run.files / "custom.keras").problems
    assert "`custom={'Odd': function}`" in problem
    assert "--custom Odd=module:function" in run("inspect", run.files / "custom.keras", code=4)[0]
    summary = json.loads(run("inspect", run.files / "custom.keras", "--json", code=4)[0])
    assert [flags(problem)] == summary["problems"]
    assert "--custom Odd=module:function" in [layer["problem"] for layer in summary["layers"]][1]
    with pytest.raises(kerasgen.InvalidModelError, match=r"`weights='.*small\.weights\.h5'`"):
        kerasgen.inspect(run.files / "small.weights.h5")
    assert f"--weights {run.files / 'small.weights.h5'}" in run.fails(3, "inspect", run.files / "small.weights.h5")
    result = kerasgen.ExportResult(Path("a.py"), None, 10**8, (), "")
    assert "`store='sidecar'` would save" in result.advice
    assert flags(result.advice).startswith("100 MB of weights are embedded, 133 MB as text: --store sidecar would save")


# ---------------------------------------------------------------- hostile names


def test_hostile_names_on_a_terminal(run: Run) -> None:
    for arguments in (["inspect"], ["inspect", "--json"], ["export", "--no-verify"]):
        for text in run(*arguments, run.files / "hostile.keras"):
            assert all(line.isprintable() for line in text.split("\n"))
    out, err = run("verify", run.files / "hostile.keras", "hostile.py")
    assert all(line.isprintable() for line in (out + err).split("\n"))
    assert len(out.splitlines()) == len(HOSTILE)


def test_hostile_names_in_the_module(run: Run) -> None:
    """They work, and stand nowhere but in string literals, escaped."""
    run("export", run.files / "hostile.keras", "--verify", "--activations")
    module = load_module(Path("hostile.py"))
    arrays = random_inputs(module.INPUTS)
    assert list(module.predict(*arrays)) == HOSTILE
    assert {name + "layer" for name in HOSTILE} <= set(module.activations(*arrays))
    text, _ = split(Path("hostile.py").read_bytes())
    assert all(line.isprintable() for line in text.split("\n"))
    words = [name for name in HOSTILE if name not in ("\\", '"""', "# x")]
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or token.string.startswith('"""'):
            assert not any(word in token.string or ascii(word)[1:-1] in token.string for word in words), token
    assert "49" not in str(module.__doc__)


def test_hostile_names_in_errors(run: Run) -> None:
    name = "evil\n\x1b[31m\u202e"
    unsupported(L.Lambda(lambda x: x if x is not None else 0, name=name)).save("evil.keras")
    line = run.fails(4, "export", "evil.keras")
    assert "evil\\n\\x1b" in line
    Path("a\nb\x1b.h5").write_text("no model")
    run.fails(3, "export", "a\nb\x1b.h5")
    run.fails(5, "export", "missing\n\x1b.h5")
    run.fails(5, "export", run.files / "small.keras", "-o", "missing\n\x1b/a.py")
