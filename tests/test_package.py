"""`kerasgen package`: each form is used as its user does it, and answers as Keras does."""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from command import Run
from support import relative_error

import kerasgen
from kerasgen.emit.load import load_module
from kerasgen.packaging import FORMS, aws_lambda, page
from kerasgen.packaging.card import code

HERE = "{}.{}".format(*sys.version_info)
ARCH = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
MEMORY = 128 * 2**20  # the smallest that Lambda gives to a function
LIMITS = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")  # of version 1 and version 2
WITHOUT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}


def run(*command: Any, cwd: Path, code: int = 0, **settings: Any) -> str:
    """What a process prints; this project is not on its path."""
    settings = {"env": WITHOUT, **settings}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False, timeout=300, **settings
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "image.npy"
    np.save(path, np.random.RandomState(0).uniform(-1, 1, (3, 6, 6, 1)).astype("float32"))
    return path


@pytest.fixture(scope="module")
def expected(files: Path, images: Path) -> np.ndarray:
    return np.asarray(keras.models.load_model(files / "small.keras")(np.load(images)))


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has NumPy and nothing else."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    (packages,) = folder.glob("lib/*/site-packages")
    installed = Path(np.__file__).parents[1]
    for path in installed.glob("numpy*"):
        (packages / path.name).symlink_to(path)
    return folder / "bin" / "python"


def forms(*names: str) -> Any:
    return pytest.mark.parametrize("form", names)


# ------------------------------------------------------------------------------------------ wheel


def test_a_wheel_is_installed_and_run(
    files: Path, images: Path, expected: np.ndarray, python: Path, tmp_path: Path
) -> None:
    made = kerasgen.package(files / "small.keras", "wheel", tmp_path, name="Small-Net", version="1.2rc3", verify=True)
    assert made.path == tmp_path / "small_net-1.2rc3-py3-none-any.whl"
    assert made.exported.unverified == ""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", made.path, cwd=tmp_path)
    command = python.with_name("Small-Net")
    run(command, images, "-o", "out.npy", cwd=tmp_path)
    assert relative_error(np.load(tmp_path / "out.npy"), expected) < 1e-5
    assert run(command, "--selftest", cwd=tmp_path).startswith("ok 'scores'")
    run(python, "-m", "Small_Net", images, "-o", "again.npy", cwd=tmp_path)
    assert (tmp_path / "again.npy").read_bytes() == (tmp_path / "out.npy").read_bytes()
    code = (
        "import Small_Net as m, importlib.metadata as d; print(m.__version__, m.INPUTS[0][0], d.requires('small-net'))"
    )
    assert run(python, "-c", code, cwd=tmp_path) == "1.2rc3 image ['numpy>=1.17']\n"
    with zipfile.ZipFile(made.path) as wheel:
        names = {name.partition("/")[2] for name in wheel.namelist() if name.startswith("Small_Net/")}
        (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    assert names == {"__init__.py", "__main__.py", "model.npz", "model.py", "py.typed"}
    assert "Name: Small-Net\nVersion: 1.2rc3\n" in metadata
    assert "Requires-Python: >=3.7\n" in metadata
    assert "they agree within" in metadata


@pytest.mark.thorough
def test_a_type_checker_reads_the_types_of_a_wheel(files: Path, tmp_path: Path) -> None:
    """It knows the types of `predict`: the module has annotations, and the package is marked as typed."""
    made = kerasgen.package(files / "two.keras", "wheel", tmp_path, verify=False)
    with zipfile.ZipFile(made.path) as wheel:
        wheel.extractall(tmp_path / "installed")
    (tmp_path / "user.py").write_text(
        "import numpy as np\nimport two\n\n"
        "one, many = two.predict(np.zeros((1, 4)), right=np.zeros((1, 3)))\n"
        "print(one.shape, two.MODEL['sha256'])\n"
        "two.predict('text', one)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", tmp_path, "user.py"]
    printed = run(*command, cwd=tmp_path, code=1, env={**WITHOUT, "MYPYPATH": str(tmp_path / "installed")})
    assert [line.partition(":")[2].partition(":")[0] for line in printed.splitlines()] == ["6"]


@forms("wheel", "zipapp", "folder", "pyodide")
def test_the_same_bytes_twice(form: str, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In another folder, later, with other permissions for new files, and where version control ignores all files."""
    contents = []
    for place, mask in (("one", 0o022), ("two", 0o077)):
        folder = tmp_path / place
        folder.mkdir()
        run("git", "init", "-q", cwd=folder)
        (folder / ".gitignore").write_text("*\n")
        monkeypatch.chdir(folder)
        before = os.umask(mask)
        try:
            made = kerasgen.package(files / "small.keras", form, verify=False).path
        finally:
            os.umask(before)
        paths = sorted(made.iterdir()) if made.is_dir() else [made]
        assert not [path.name for path in folder.iterdir() if path.name.startswith(".kerasgen")]
        contents.append({path.name: path.read_bytes() for path in paths})
        time.sleep(0.01)
    assert contents[0] == contents[1]
    assert sum(map(len, contents[0].values())) > 10_000  # with the weights


# ------------------------------------------------------------------------------------------ zipapp and folder


def test_a_zipapp_runs(files: Path, images: Path, expected: np.ndarray, python: Path, tmp_path: Path) -> None:
    made = kerasgen.package(files / "small.keras", "zipapp", tmp_path / "net.pyz", verify=False)
    run(python, "-I", made.path, images, "-o", "out.npy", cwd=tmp_path)
    assert relative_error(np.load(tmp_path / "out.npy"), expected) < 1e-5
    path = {"env": {**WITHOUT, "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}}
    assert run(made.path, "--selftest", cwd=tmp_path, **path).startswith("ok 'scores'")  # by its first line


def test_the_test_in_a_folder_runs(files: Path, images: Path, expected: np.ndarray, tmp_path: Path) -> None:
    made = kerasgen.package(files / "small.keras", "folder", tmp_path / "net", verify=False).path
    names = {"MODEL.md", "requirements.txt", "small.npz", "small.py", "test_small.py"}
    assert {path.name for path in made.iterdir()} == names
    own = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", made, made)
    alone = {"env": {**WITHOUT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}}
    assert "1 passed" in run(*own, cwd=made, **alone)
    run(sys.executable, "small.py", images, "-o", tmp_path / "out.npy", cwd=made)
    assert relative_error(np.load(tmp_path / "out.npy"), expected) < 1e-5
    text = (made / "small.py").read_text()
    (made / "small.py").write_text(text.replace('W["conv/bias"]', 'W["conv/bias"] + 1'))
    assert "1 failed" in run(*own, cwd=made, code=1, **alone)


def test_the_card_of_a_folder(files: Path, run: Run) -> None:
    run("package", files / "small.keras", "--as", "folder", "-o", "net", "--outputs", "flat", "--no-verify")
    card = (run.folder / "net" / "MODEL.md").read_text()
    for line in (
        "| input | `image` | `(None, 6, 6, 1)` | `float32` |",
        "| output | `flat` | `(None, 32)` | `float32` |",
        "python small.py image.npy -o out.npy",
        "Its answers were not compared with those of Keras: skipped on request.",
        "`python small.py --selftest` compares its answers with recorded ones, on the machine that it runs on.",
        "| option `outputs` | `['flat']` |",
    ):
        assert line in card.splitlines()
    assert re.search("^\\| SHA-256 of architecture and weights \\| `[0-9a-f]{64}` \\|$", card, flags=re.M)


def test_what_the_module_of_a_package_has(files: Path, run: Run) -> None:
    """Names of classes, and weights in fewer bytes, as those that `export` writes."""
    (run.folder / "labels.txt").write_text("".join(f"class {i}\n" for i in range(3)))
    options = ("--labels", "labels.txt", "--weights-dtype", "float16", "--keep", "scores", "--max-loss", "0.5")
    run("package", files / "small.keras", "--as", "folder", "-o", "labelled", "--no-verify", *options)
    module = load_module(run.folder / "labelled" / "small.py")
    assert list(module.LABELS) == ["class 0", "class 1", "class 2"]
    assert (module.EXPORT["weights_dtype"], module.EXPORT["keep"]) == ("float16", ["scores"])
    message = run.fails(2, "package", files / "small.keras", "--as", "folder", "-o", "b", "--preprocess", "no such")
    assert "preprocess is tf, torch, caffe or SCALE,OFFSET" in message


def test_names_of_a_model_are_no_markup(files: Path, tmp_path: Path) -> None:
    folder = kerasgen.package(files / "hostile.keras", "folder", tmp_path / "folder", verify=False).path
    card = (folder / "MODEL.md").read_text()
    assert code("a`|b") == "`` a`\\|b ``"
    assert "| model | `a\\nmodel` |" in card.splitlines()
    assert "\x1b" not in card
    assert "\u202e" not in card
    shown = kerasgen.package(files / "hostile.keras", "pyodide", tmp_path / "page", verify=False).path
    assert "\u202e" not in (shown / "index.html").read_text().partition('id="model">')[0]


# ------------------------------------------------------------------------------------------ AWS Lambda


@contextmanager
def limited(memory: int) -> Iterator[list[str]]:
    """The beginning of a command that has this much memory, where this system lets us limit it."""
    for folder, name in zip(LIMITS, ("memory.limit_in_bytes", "memory.max"), strict=True):
        group = folder / f"kerasgen-{os.getpid()}"
        with suppress(OSError):
            group.mkdir()
            try:
                (group / name).write_text(str(memory))
                yield ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
            finally:
                group.rmdir()
            return
    yield []


def invoke(folder: Path, events: list[Any], *begin: str) -> tuple[list[Any], dict[str, float]]:
    """The answers of the handler in a folder, in a process that imports from there alone; its seconds and memory."""
    code = (
        "import json, sys, time\n"
        "sys.path.insert(0, '.')\n"
        "start = time.process_time()\n"
        "from handler import handler\n"
        "cold = time.process_time() - start\n"
        "def answer(event):\n"
        "    try:\n"
        "        return handler(event, None)\n"
        "    except ValueError as error:\n"
        "        return {'raised': str(error)}\n"
        "answers = [answer(event) for event in json.load(sys.stdin)]\n"
        "(line,) = (line for line in open('/proc/self/status') if line.startswith('VmHWM:'))\n"
        "memory = int(line.split()[1]) * 1024\n"
        "print(json.dumps([answers, {'cold start': cold, 'memory': memory}, sys.modules['numpy'].__file__]))\n"
    )
    printed = run(*begin, sys.executable, "-S", "-c", code, cwd=folder, input=json.dumps(events))
    answers, cost, numpy = json.loads(printed)
    assert Path(numpy).is_relative_to(folder)
    return answers, cost


@pytest.mark.slow
@pytest.mark.skipif(not ARCH or HERE not in aws_lambda.RUNTIMES, reason="AWS Lambda has no such machine")
def test_a_lambda_answers(files: Path, images: Path, expected: np.ndarray, tmp_path: Path) -> None:
    """With NumPy from the package index, in the memory of the smallest function."""
    made = kerasgen.package(
        files / "small.keras", "lambda", tmp_path / "small.zip", arch=ARCH, python=HERE, verify=False
    )
    with zipfile.ZipFile(made.path) as archive:
        archive.extractall(tmp_path / "task")
    unzipped = sum(path.stat().st_size for path in (tmp_path / "task").rglob("*") if path.is_file())
    assert f"{unzipped / 2**20:.1f} MB unzipped; the handler is handler.handler" in made.messages[-1]
    assert unzipped < 60e6
    assert (tmp_path / "task" / "numpy" / "__pycache__").is_dir()
    x, npy = np.load(images), base64.b64encode(images.read_bytes()).decode()
    http = {"requestContext": {}, "isBase64Encoded": False}
    events = [
        {"inputs": x.tolist()},
        {"inputs": {"image": npy}},
        {**http, "body": json.dumps({"inputs": x.tolist()})},
        {**http, "body": npy},
        {**http, "body": npy, "isBase64Encoded": True},
        {**http, "body": '{"inputs": [[1]]}'},
        {**http, "body": "{"},
        {**http, "body": None},
        {**http, "body": '{"inputs": {"other": []}}'},
        {"inputs": None},
    ]
    with limited(MEMORY) as begin:
        answers, cost = invoke(tmp_path / "task", events, *begin)
    print(f"{unzipped:,} bytes; {cost}; limited: {bool(begin)}")
    assert cost["memory"] < MEMORY
    for answer in answers[:5]:
        if "body" in answer:
            assert answer["statusCode"] == 200
            answer = json.loads(answer["body"])
        assert relative_error(np.array(answer["outputs"]["scores"]), expected) < 1e-5
    for answer, message in zip(answers[5:9], ("image", "Expecting", "Expecting", "an object of image"), strict=True):
        assert answer["statusCode"] == 400
        assert message in json.loads(answer["body"])["error"]
    assert "takes float32" in answers[9]["raised"]


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel with the names of NumPy's, without what is in it."""
    path = tmp_path / "numpy-2.2.6-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("numpy/__init__.py", "numpy/a/tests/test_a.py", "numpy/__init__.pyi", "numpy.libs/b.so"):
            archive.writestr(name, "# nothing\n")
    return path


def test_a_lambda_of_a_given_wheel(files: Path, wheel: Path, run: Run) -> None:
    arguments = ("package", files / "two.keras", "--as", "lambda", "--numpy", wheel, "--no-verify")
    out, err = run(*arguments, "-o", "one.zip")
    assert out == "one.zip\n"
    assert "for python3.12 on x86_64: " in err
    run(*arguments, "-o", "two.zip")
    one, two = (run.folder / f"{name}.zip" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    with zipfile.ZipFile(one) as archive:
        names = {name for name in archive.namelist() if "__pycache__" not in name}
        archive.extractall(run.folder / "task", [name for name in names if not name.startswith("numpy")])
    assert names == {"handler.py", "numpy/__init__.py", "numpy.libs/b.so", "two.npz", "two.py"}
    (run.folder / "task" / "numpy").symlink_to(Path(np.__file__).parent)
    libraries = Path(np.__file__).parents[1] / "numpy.libs"
    if libraries.exists():
        (run.folder / "task" / "numpy.libs").symlink_to(libraries)
    module = run.folder / "task" / "two.py"
    module.write_text(
        module.read_text() + "\nLABELS = ('yes', 'no')\n\n\ndef preprocess(images):\n    return images / 0\n"
    )
    x = {"left": [[1, 2, 3, 4]], "right": [[5, 6, 7]]}
    (one, many, short, infinite), _ = invoke(
        run.folder / "task",
        [{"inputs": x}, {"inputs": {**x, "right": [[5, 6, 7]] * 2}}, {"inputs": [[1, 2, 3, 4]]},
         {"inputs": {**x, "right": [[float("inf"), 0, 0]]}}],
    )  # fmt: skip
    model = keras.models.load_model(files / "two.keras")
    expected = model([np.array(values, "float32") for values in x.values()])
    assert list(one["outputs"]) == ["one", "two"]
    for name, array in zip(one["outputs"], expected, strict=True):
        assert relative_error(np.array(one["outputs"][name]), array) < 1e-5
    best = one["classes"][0][0]
    assert best == {"label": ("yes", "no")[int(np.argmax(expected[0]))], "score": max(one["outputs"]["one"][0])}
    assert "samples" in many["raised"] or "right" in many["raised"]
    assert short["raised"] == "inputs is an object of left, right"
    assert None in infinite["outputs"]["one"][0]


def test_what_aws_lambda_refuses(files: Path, wheel: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ("package", files / "small.keras", "--as", "lambda", "--no-verify", "-o", "a.zip")
    assert "does not run on AWS Lambda's python3.13 on x86_64" in run.fails(
        2, *arguments, "--numpy", wheel, "--python", "3.13"
    )
    assert "python3.12 on arm64" in run.fails(2, *arguments, "--numpy", wheel, "--arch", "arm64")
    assert "is not a wheel of NumPy" in run.fails(2, *arguments, "--numpy", files / "small.keras")
    assert "AWS Lambda has Python 3.10, " in run.fails(2, *arguments, "--python", "2.7")
    assert "AWS Lambda runs on x86_64 or arm64, not on sparc" in run.fails(2, *arguments, "--arch", "sparc")
    monkeypatch.setattr(aws_lambda, "MOST_UNZIPPED", 20_000)
    assert "AWS Lambda takes" in run.fails(2, *arguments, "--numpy", wheel)
    monkeypatch.undo()
    monkeypatch.chdir(run.folder)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    assert "NumPy 2.2.6 cannot be fetched; give --numpy WHEEL: ERROR: " in run.fails(5, *arguments)
    monkeypatch.setattr(aws_lambda, "MOST_UPLOADED", 1000)
    monkeypatch.setattr(aws_lambda.shutil, "which", lambda name: None)
    monkeypatch.setattr(aws_lambda.sys, "executable", None)
    _, err = run(*arguments, "--numpy", wheel)
    assert "upload this one through S3" in err
    assert ("not compiled" in err) == (HERE != "3.12")


def test_wheels_for_the_machines_of_aws_lambda(tmp_path: Path) -> None:
    old, new = "manylinux_2_17_aarch64.manylinux2014_aarch64", "manylinux_2_27_aarch64.manylinux_2_28_aarch64"
    for version, tag, fits in (("3.11", old, True), ("3.11", new, False), ("3.14", new, True), ("3.12", old, True)):
        abi = f"cp{version.replace('.', '')}"
        path = tmp_path / f"numpy-2.3.5-{abi}-{abi}-{tag}.whl"
        path.touch()
        if fits:
            assert aws_lambda.prepare("arm64", version, path).numpy == path
        else:
            with pytest.raises(kerasgen.UsageError, match="does not run"):
                aws_lambda.prepare("arm64", version, path)


def test_a_wheel_that_reaches_out_of_its_folder(files: Path, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("numpy/../../evil.py", "")
    with pytest.raises(kerasgen.UsageError, match="which is not NumPy's"):
        kerasgen.package(files / "small.keras", "lambda", tmp_path / "a.zip", numpy=wheel, verify=False)
    assert {path.name for path in tmp_path.iterdir()} == {wheel.name}


# ------------------------------------------------------------------------------------------ all forms


@forms(*FORMS)
def test_nothing_is_replaced_without_force(form: str, files: Path, wheel: Path, run: Run) -> None:
    arguments = ["package", files / "small.keras", "--as", form, "--no-verify"]
    arguments += ["--numpy", wheel] if form == "lambda" else []
    out, _ = run(*arguments)
    first = run.listing()
    assert "exists; use --force to replace it" in run.fails(5, *arguments)
    made = run.folder / out.strip()
    beside = made / "pyodide" if made.is_dir() else run.folder / "beside"
    beside.mkdir()
    assert run(*arguments, "--force", "--optimize", "0")[0] == out
    assert beside.is_dir()
    assert {path for path, _ in first.items()} | {beside} == set(run.listing())
    changed = [path for path, facts in run.listing().items() if path in first and first[path] != facts]
    assert changed


def test_what_is_wrong_is_one_line(files: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    model = files / "small.keras"
    for status, message, *arguments in (
        (2, "Missing option '--as'", model),
        (2, "--arch arm64 goes with --as lambda, not with --as wheel", model, "--as", "wheel", "--arch", "arm64"),
        (2, "a version is as 1.0.2", model, "--as", "wheel", "--version", "x"),
        (2, "has letters, digits", model, "--as", "folder", "--name", "../up"),
        (2, "give it another name", model, "--as", "wheel", "--name", "NumPy"),
        (2, "the address of Pyodide is as https://", model, "--as", "pyodide", "--pyodide", "x'; script-src *"),
        (5, "goes into a folder", model, "--as", "wheel", "-o", "nowhere"),
        (5, "there is no folder", model, "--as", "zipapp", "-o", "nowhere/a.pyz"),
        (5, "is a folder", model, "--as", "zipapp", "-o", "."),
        (5, "is the model itself", model, "--as", "zipapp", "-o", model, "--force"),
        (3, "cut_small.keras", files / "cut_small.keras", "--as", "folder"),
        (4, "custom.keras", files / "custom.keras", "--as", "wheel"),
        (2, "--as", model, "--as", "exe"),
    ):
        assert message in run.fails(status, "package", *arguments, "--no-verify")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "a wheel needs hatchling" in run.fails(2, "package", model, "--as", "wheel", "--no-verify")


def test_a_module_that_differs_is_not_packaged(files: Path, run: Run, broken: None) -> None:
    for form in ("wheel", "folder"):
        run.fails(1, "package", files / "small.keras", "--as", form, "--verify")


def test_modules_do_not_hide_what_stands_beside_them(files: Path, tmp_path: Path) -> None:
    made = kerasgen.package(files / "small.keras", "folder", tmp_path / "a", name="handler", verify=False).path
    assert (made / "handler_model.py").exists()
    made = kerasgen.package(files / "small.keras", "folder", tmp_path / "b", name="json", verify=False).path
    assert not (made / "json.py").exists()
    for options in ({"minimal": True}, {"target": "pure"}):
        with pytest.raises(kerasgen.UsageError, match="no `minimal=True`"):
            kerasgen.package(files / "small.keras", "folder", tmp_path / "c", **options)
    with pytest.raises(kerasgen.UsageError, match="the form of a package is one of wheel, lambda"):
        kerasgen.package(files / "small.keras", "exe")


def test_what_a_page_takes_for_an_image() -> None:
    grey, colours = ("x", (None, 28, 28), "float32"), ("x", (None, None, 64, 3), "uint8")
    selftest = {"inputs": (((4, 28, 28), 0.0, 16.0, False),)}
    sizes = {"height": 28, "width": 28, "channels": 1}
    assert page.image([grey], selftest) == {**sizes, "black": "0", "white": "16"}
    assert page.image([grey], {"inputs": (((4, 28, 28), -2.0, 2.0, False),)}) == {**sizes, "black": "0", "white": "1"}
    assert page.image([grey], None) == {**sizes, "black": "0", "white": "1"}
    sizes = {"height": page.OPEN_SIZE, "width": 64, "channels": 3}
    assert page.image([colours], None) == {**sizes, "black": "0", "white": "255"}
    for inputs in ([grey, grey], [("x", (None, 4), "float32")], [("x", (None, 4, 4, 7), "float32")]):
        assert page.image(inputs, None) is None


def test_the_answers_of_a_page_without_a_browser(files: Path, tmp_path: Path) -> None:
    """Several inputs and outputs, and outputs that are no rows of scores; bridge.py is plain Python."""
    made = kerasgen.package(files / "two.keras", "pyodide", tmp_path / "page", verify=False).path
    code = (
        "import sys; sys.path.insert(0, '.')\n"
        "import bridge, numpy as np\n"
        "print(bridge.of_numbers('a b c d\\n1 2 3 4\\n\\n5;6;7;8', '1,2,3\\n4,5,6'))\n"
        "print(bridge.shown(np.arange(12.0).reshape(1, 3, 4))['samples'])\n"
        "print(bridge.shown(np.full((25, 1), 0.5)))\n"
        "for bad in (('1 2 3', '1 2 3'), ('', '1 2 3'), ('1 2 3 4', '1 2 3\\n4 5 6')):\n"
        "    try:\n"
        "        bridge.of_numbers(*bad)\n"
        "    except ValueError as error:\n"
        "        print(error)\n"
    )
    answer, axes, column, short, empty, uneven = run(sys.executable, "-c", code, cwd=made).splitlines()
    one, two = json.loads(answer)["outputs"]
    x = [np.array([[1, 2, 3, 4], [5, 6, 7, 8]], "float32"), np.array([[1, 2, 3], [4, 5, 6]], "float32")]
    expected = keras.models.load_model(files / "two.keras")(x)
    assert [one["shape"], two["shape"]] == [[2, 2], [2, 3]]
    for output, scores in zip((one, two), expected, strict=True):
        for rows, row in zip(output["samples"], np.asarray(scores), strict=True):
            assert [label for label, _, _ in rows] == [f"class {place}" for place in np.argsort(-row)]
            assert relative_error([float(number) for _, number, _ in rows], np.sort(row)[::-1]) < 1e-3
    assert axes == "[[['smallest', '0', None], ['mean', '5.5', None], ['largest', '11', None]]]"
    assert column.count("['value', '0.5', None]") == 20
    assert "'left_out': 5" in column
    assert short == "input left: sample 1 has 3 numbers, not 4"
    assert empty == "input left: a line of numbers for each sample"
    assert "left" in uneven or "right" in uneven or "samples" in uneven
