"""Functions of Lambda layers in untrusted models: none of their code runs, whatever it is."""

from __future__ import annotations

import ast
import base64
import builtins
import io
import json
import marshal
import random
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout, suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest
from lambda_bodies import BODIES, VECTOR, Body
from lambda_code import DISASSEMBLE, compiled, config_of, pythons, run_on, save
from test_lambdas import by_hand, known

import kerasgen
from kerasgen.api import generate
from kerasgen.bytecode import expression
from kerasgen.bytecode.codeobject import Malformed, load
from kerasgen.bytecode.opcodes import VERSIONS
from kerasgen.bytecode.stored import Stored, read
from kerasgen.errors import KerasgenError, UnsupportedModelError
from kerasgen.readers import read as read_file

PYTHONS = pythons()
OWN = (3, 11)
pytestmark = pytest.mark.skipif(OWN not in PYTHONS, reason="no interpreters of pyenv on this machine")
# What is refused, and a part of the reason.
REFUSED = {
    "f = lambda x: x if x.shape[1] else -x": "a branch",
    "f = lambda x: x and x": "a branch",
    "def f(x):\n    for i in range(3):\n        x = x + i\n    return x": "a loop",
    "def f(x):\n    while True:\n        x = x + 1\n    return x": "a ",
    "f = lambda x: [y for y in x]": "a loop",
    "f = lambda x: K.stack([x * i for i in range(3)])": "a loop",
    "f = lambda x: tf.io.write_file('EVIL', 'x')": "tf.io is not supported",
    "f = lambda x: tf.raw_ops.WriteFile(filename='EVIL', contents='x')": "tf.raw_ops.WriteFile is not supported",
    "f = lambda x: tf.py_function(print, [x], 'float32')": "tf.py_function is not supported",
    "def f(x):\n    tf.io.write_file('EVIL', 'x')\n    return x": "tf.io is not supported",
    "def f(x):\n    import os\n    os.system('touch EVIL')\n    return x": "'os' is a name of the training script",
    "f = lambda x: __import__('os').system('touch EVIL')": "'__import__' is a name",
    "f = lambda x: open('EVIL', 'w')": "'open' is a name",
    "f = lambda x: eval('1')": "'eval' is a name",
    "f = lambda x: exec('1')": "",
    "f = lambda x: getattr(x, 'shape')": "'getattr' is a name",
    "f = lambda x: x.__class__.__mro__[1].__subclasses__()": "the attribute '__class__'",
    "f = lambda x: x.numpy().tofile('EVIL')": "the attribute 'numpy'",
    "f = lambda x: (lambda: 0).__globals__": "",
    "f = lambda x: np.load('EVIL')": "np.load is not supported",
    "f = lambda x: np.save('EVIL', [1.0])": "np.save is not supported",
    "f = lambda x: np.zeros((100000, 100000)) + x": "too large",
    "f = lambda x: np.ones((1000000, 1)) * np.ones((1, 1000000)) + x": "too large",
    "f = lambda x: x * 10 ** 10 ** 8": "too large",
    "f = lambda x: x + (1 << 10 ** 9)": "too large",
    "f = lambda x: x + sum([1] * 10 ** 9)": "too long",
    "f = lambda x: x + len(range(10 ** 12))": "too long",
    "f = lambda x: tf.zeros((200000, 200000)) + x[0, 0]": "too large",
    "f = lambda x: keras.layers.Dense(3)(x)": "keras.layers is not supported",
    "f = lambda x: K.map_fn(lambda y: y, x)": "it hands a function to another one",
    "f = lambda x, *y: x": "any number of arguments",
    "f = lambda: 1": "takes no argument",
    "f = lambda x, y: x": "no value for its argument 'y'",
    "def f(x):\n    try:\n        return x\n    except ValueError:\n        return x": "",
    "def f(x):\n    yield x": "",
    "def f(x):\n    x[0] = 1\n    return x": "it changes something",
    "f = lambda x: {1, 2}": "",
    "f = lambda x: 'text'": "something else than tensors",
    "f = lambda x: None": "something else than tensors",
    "f = lambda x: tf.random.normal((3, 4)) + x": "draws random numbers",
    "def f(x):\n    g = lambda h, y: h(h, y)\n    return g(g, x)": "",
    "f = lambda x: x.shape[0] * x": "",
    "f = lambda x: tf.print": "something else than tensors",
}


def file_of(tmp_path: Path, *sources: str) -> Path:
    codes = compiled(PYTHONS[OWN], sources)
    rows = {f"f{i}": (Body(source), code) for i, (source, code) in enumerate(zip(sources, codes, strict=True))}
    return save(tmp_path / "model.h5", config_of("keras3", rows), "3.10.0")


def test_what_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    summary = kerasgen.inspect(file_of(tmp_path, *REFUSED))
    problems = [layer.problem for layer in summary.layers if layer.kind == "Lambda"]
    wrong = {
        s: problem
        for (s, why), problem in zip(REFUSED.items(), problems, strict=True)
        if why not in problem or not problem
    }
    assert not wrong
    assert all("\n" not in problem for problem in problems)
    kerasgen.scan(tmp_path / "model.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]


# What Python reports (`sys.addaudithook`) of the ways in which bytes become code, or a function gets other code.
# Every one is reported in C, so no import, alias or reference that was taken earlier goes around it.
MAKES_CODE = frozenset("""
    code.__new__ function.__new__ marshal.load marshal.loads object.__delattr__ object.__setattr__ pickle.find_class
    """.split())
# ... and of the ways in which code reaches further. The process that reads HDF5 is started with `subprocess.Popen`.
REACHES = ("ctypes.", "os.exec", "os.putenv", "os.spawn", "os.system", "shutil.", "socket.", "urllib.", "webbrowser.")


class Watch:
    """Events of a stretch of this test. A hook cannot be taken away again, so it is switched off."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on = True
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        # `exec` stands for `exec`, `eval` and the body of a module that is imported; `import` for one that was not yet.
        if event in MAKES_CODE or event in ("exec", "import") or event.startswith(REACHES):
            self.events.append(f"{event} {arguments!r:.200}")
        # The text of a module is parsed by the audit, with `ast.parse`; nothing else is compiled.
        if event == "compile" and sys._getframe(1).f_code.co_filename != ast.__file__:
            self.events.append(f"{event} {arguments!r:.200}")


def inner_codes(code: CodeType) -> Iterator[tuple[Any, ...]]:
    yield code.co_code, code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from inner_codes(each)


def trap(*_: Any, **__: Any) -> Any:
    raise AssertionError("code of a file is made or run")


def test_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No code object is made, compiled or run while files with functions are inspected, scanned and converted.

    Three nets, of different meshes. Python's audit events tell of code that is made, whoever makes it. Traps in the
    place of `marshal.loads`, `exec` and `eval` stop whoever calls them by their names, with a traceback; `compile` has
    none, for `ast.parse` calls it, nor have `types.FunctionType` and `types.CodeType`, which `isinstance` needs as
    classes: events tell of all three. A profiler sees every frame that runs, so it would see the code of the files
    however it had come to life.
    """
    monkeypatch.chdir(tmp_path)
    evil = ("def f(x):\n    open('EVIL', 'w')\n    return x", "f = lambda x: x / 127.5 - 1")
    bodies = tuple(body.source for body in BODIES[::3] if body.shapes == (VECTOR,) and not body.arguments)
    bad, fine = tmp_path / "bad", tmp_path / "good"
    for folder in (bad, fine):
        folder.mkdir()
    files = file_of(bad, *evil), file_of(fine, *bodies)
    stored = compiled(PYTHONS[OWN], (*evil, *bodies))
    of_files = {code for text, _, _ in stored for code in inner_codes(marshal.loads(base64.b64decode(text)))}
    for path in files:  # imports what is needed
        kerasgen.inspect(path), kerasgen.scan(path)
    generate(read_file(files[1]))
    assert len(of_files) >= len(bodies) // 2
    assert "EVIL" not in {path.name for path in tmp_path.rglob("*")}

    ran: list[str] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and (frame.f_code.co_code, frame.f_code.co_names) in of_files:
            ran.append(f"{frame.f_code.co_filename}: {frame.f_code.co_name}")

    watch = Watch()
    with monkeypatch.context() as patch:
        for owner, names in ((marshal, ("load", "loads")), (builtins, ("eval", "exec"))):
            for name in names:
                patch.setattr(owner, name, trap)
        sys.setprofile(profile)
        try:
            for path in files:
                kerasgen.inspect(path)
                kerasgen.scan(path)
            module = generate(read_file(files[1]))
        finally:
            sys.setprofile(None)
            watch.on = False
    assert watch.events == []
    assert ran == []
    assert "lambdas" in module.text
    assert "EVIL" not in {path.name for path in tmp_path.rglob("*")}


@pytest.mark.parametrize(
    "way",
    [
        lambda code: types.FunctionType(code, {})(1),
        lambda code: exec(code),
        lambda code: marshal.loads(marshal.dumps(code)),
        lambda code: code.replace(co_name="other"),
        lambda code: setattr(trap, "__code__", trap.__code__),
        lambda code: compile("1", "a", "eval"),
        lambda code: __import__("this" if "this" not in sys.modules else "antigravity_that_is_not_there"),
    ],
    ids=["function", "exec", "marshal", "code", "setattr", "compile", "import"],
)
def test_the_net_holds(way: Callable[[CodeType], Any]) -> None:
    """Each way to make code is seen: a net that catches nothing would prove nothing."""
    watch = Watch()
    with suppress(Exception), redirect_stdout(io.StringIO()):
        way((lambda x: x).__code__)
    watch.on = False
    assert watch.events


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few of them changed, left out or doubled."""
    result = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(result))
        way = chance.randrange(4)
        if way == 0:
            result[place] = chance.randrange(256)
        elif way == 1:
            result[place] ^= 1 << chance.randrange(8)
        elif way == 2:
            del result[place : place + chance.randint(1, 4)]
        else:
            result[place:place] = result[place : place + chance.randint(1, 8)]
        result = result or bytearray(b"N")
    return bytes(result)


def outcome(data: bytes) -> Any:
    try:
        return read(Stored(data, (), ()), {})
    except KerasgenError as error:
        return error


@pytest.mark.parametrize("version", [v for v in PYTHONS if v >= (3, 6)], ids=lambda v: ".".join(map(str, v)))
def test_damaged_code(version: tuple[int, int], request: pytest.FixtureRequest) -> None:
    """No damage crashes the reader; what it accepts is code that CPython, too, takes for the same instructions."""
    chance = random.Random(version[1])
    codes = [base64.b64decode(code[0]) for code in compiled(PYTHONS[version], tuple(b.source for b in BODIES)) if code]
    accepted = []
    for _ in range(2600 if request.config.getoption("--thorough") else 190):
        data = mutated(chance.choice(codes), chance)
        result = outcome(data)
        assert "\n" not in str(result)
        if not isinstance(result, KerasgenError):
            accepted.append(data)
    same = [data for data in accepted if _instructions(data, version)]
    theirs = run_on(PYTHONS[version], DISASSEMBLE, [base64.b64encode(data).decode() for data in same])
    for data, their in zip(same, theirs, strict=True):
        assert isinstance(their, str) or _instructions(data, version) == their  # a text: an error of its own


def _instructions(data: bytes, version: tuple[int, int]) -> list[Any]:
    """What this Python's code says; nothing where the reader has taken it for that of another one."""
    try:
        return known(load(data, version))
    except Malformed:
        return []


def test_an_instruction_that_turns_nothing() -> None:
    """ROT_N of 0, which CPython never writes."""
    code = by_hand((3, 10), bytes([124, 0, 99, 0, 83, 0]), [b"N"])
    assert read(Stored(code, (), ()), {}).text == "x"


def packed(*items: bytes) -> bytes:
    return b")" + bytes([len(items)]) + b"".join(items)


def deep(levels: int) -> bytes:
    return b")\x01" * levels + b"N"


def laughs(levels: int) -> bytes:
    """A tuple of two references to a tuple of two references, and so on."""
    rows = [b"\xa9\x01N"]
    rows += [b"\xa9\x02" + (b"r" + i.to_bytes(4, "little")) * 2 for i in range(1, levels)]
    return b"(" + len(rows).to_bytes(4, "little") + b"".join(rows)


BOMBS: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "a code object of nothing": lambda: b"\xe3",
    "deep tuples": lambda: deep(20_000),
    "a tuple of 4 billion": lambda: b"(\xff\xff\xff\x7f",
    "a string of 2 billion": lambda: b"s\xff\xff\xff\x7fx",
    "a negative size": lambda: b"s\xff\xff\xff\xffx",
    "references to references": lambda: laughs(200),
    "a reference to itself": lambda: b"\xa9\x01r\x00\x00\x00\x00",
    "a huge integer": lambda: b"l\xff\xff\xff\x7f",
    "too many bytes": lambda: b"\xe3" + bytes(1 << 20),
    "a pickle": lambda: b"\x80\x04\x95.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    code = BOMBS[name]()
    for data in (code, b"\xe3" + bytes(20) + code):
        assert isinstance(outcome(data), KerasgenError)
        for version in VERSIONS:
            with pytest.raises(KerasgenError):
                load(data, version)


@pytest.mark.parametrize(
    "function",
    [
        "f",
        [],
        [1, None, None],
        ["€", None, None],
        ["AAAA", 5, None],
        {"class_name": "__lambda__"},
        {"class_name": "x"},
        None,
    ],
)
def test_what_is_no_function(function: Any) -> None:
    with pytest.raises(KerasgenError):
        expression(json.loads(json.dumps({"function": function})))


def test_names_and_texts_are_escaped(tmp_path: Path) -> None:
    """What is shown of a function is printable ASCII on one line."""
    source = 'def f(x):\n    y = \'\\n\\x1b[31m"""{{ 7 }}\'\n    return tf.concat([x, x], y)'
    (code,) = compiled(PYTHONS[OWN], (source,))
    text = expression({"function": code}).text
    assert text == 'tf.concat([x, x], \'\\n\\x1b[31m"""{{ 7 }}\')'
    renamed = base64.b64decode(code[0]).replace(b"\x06concat", b"\x06co\ncat")
    with pytest.raises(UnsupportedModelError):
        _ = kerasgen.export(
            save(
                tmp_path / "m.h5",
                config_of("keras2", {"f": (Body(source), [base64.b64encode(renamed).decode(), None, None])}),
                "2.1.2",
            ),
            tmp_path / "module.py",
        )
    assert "\n" not in expression({"function": [base64.b64encode(renamed).decode(), None, None]}).text
