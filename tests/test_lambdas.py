"""Functions of Lambda layers: read from what every Python writes, and answered as Keras answers the same source."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from keras import layers as L
from lambda_bodies import BODIES, EVERYWHERE, NEWER, VECTOR, Body
from lambda_code import (
    DISASSEMBLE,
    VERSIONS,
    arrays,
    compiled,
    config_of,
    form,
    function_as,
    pythons,
    run_on,
    save,
)
from support import SHARED_MODELS, randomize, relative_error

import kerasgen
from kerasgen.api import generate
from kerasgen.builder import build
from kerasgen.bytecode import Expression, expression, opcodes
from kerasgen.bytecode.codeobject import Code, load
from kerasgen.bytecode.disassembler import disassemble
from kerasgen.emit.load import load_module
from kerasgen.readers import read

PYTHONS = pythons()
OWN = (3, 11)
SOURCES = tuple(body.source for body in BODIES)
OPCODES = """
import json, opcode
caches = getattr(opcode, "_inline_cache_entries", {})
pairs = caches.items() if isinstance(caches, dict) else enumerate(caches)
caches = {name if isinstance(name, str) else opcode.opname[name]: count for name, count in pairs if count}
print(json.dumps([opcode.opmap, caches, opcode.HAVE_ARGUMENT]))
"""
pytestmark = pytest.mark.skipif(OWN not in PYTHONS, reason="no interpreters of pyenv on this machine")
EACH = pytest.mark.parametrize("version", PYTHONS, ids=lambda version: ".".join(map(str, version)))


class Backend:
    """`keras.backend` of all times: tf_keras has dropped some of its functions, or does not show them."""

    identity = staticmethod(tf.identity)
    lesser = staticmethod(tf.less)
    lesser_equal = staticmethod(tf.less_equal)
    logsumexp = staticmethod(tf.reduce_logsumexp)
    size = staticmethod(tf.size)
    slice = staticmethod(tf.slice)

    @staticmethod
    def separable_conv1d(x: Any, *kernels: Any, dilation_rate: int = 1, **settings: Any) -> Any:
        """The version of Keras 2.3; that of tf_keras raises."""
        images, *wide = (tf.expand_dims(each, axis) for each, axis in zip((x, *kernels), (1, 0, 0), strict=True))
        y = tf_keras.backend.separable_conv2d(images, *wide, dilation_rate=(1, dilation_rate), **settings)
        return tf.squeeze(y, 1)

    def __getattr__(self, name: str) -> Any:
        return getattr(tf_keras.src.backend, name)


def answered(body: Body) -> np.ndarray:
    """What TensorFlow makes of a source, on inputs whose batch size is open as in `predict`."""
    names: dict[str, Any] = {"tf": tf, "K": Backend(), "keras": keras, "ops": keras.ops, "np": np, "math": math}
    exec(body.source, names)
    inputs = arrays(body.shapes)

    def call(*tensors: Any) -> Any:
        return names["f"](list(tensors) if len(tensors) > 1 else tensors[0], **body.arguments)

    graph = tf.function(call, input_signature=[tf.TensorSpec((None, *shape), "float32") for shape in body.shapes])
    try:
        return np.asarray(graph(*map(tf.constant, inputs)))
    except ValueError as error:  # a function that makes variables
        if "singleton" not in str(error):
            raise
        return np.asarray(call(*map(tf.constant, inputs)))


@pytest.fixture
def thorough(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--thorough"))


@pytest.fixture(scope="module")
def answers() -> list[np.ndarray]:
    """What Keras and TensorFlow make of each source."""
    return [answered(body) for body in BODIES]


def written(version: tuple[int, int]) -> list[Any]:
    return compiled(PYTHONS[version], SOURCES)


def functions(version: tuple[int, int]) -> dict[str, tuple[Body, Any]]:
    """The functions that are code of this Python, by the names of layers."""
    rows = enumerate(zip(BODIES, written(version), strict=True))
    return {f"f{i}": (body, code) for i, (body, code) in rows if version >= (3, 0) or body not in NEWER}


def values(path: Path) -> dict[str, np.ndarray]:
    """Each layer's output, by the graph of a file."""
    built = build(read(path))
    assert built.problems == ()
    inputs = {value.name: value for value in built.graph.inputs}
    shapes: dict[str, dict[int, tuple[int, ...]]] = {}
    for name, value in inputs.items():
        shapes.setdefault(name.partition("_")[0], {})[int(name.partition("_")[2])] = value.shape[1:]  # type: ignore[assignment]
    given = {
        f"{group}_{j}": x for group, several in shapes.items() for j, x in enumerate(arrays(list(several.values())))
    }
    table: dict[str, Any] = {**given, **built.graph.weights}
    for node in built.graph.nodes:
        table.update(zip(node.outputs, node.call(table), strict=True))
    return {name: np.asarray(table[outputs[0]]) for name, outputs in built.graph.layers.items()}


# What the versions of Python write


@EACH
def test_the_numbers_of_instructions(version: tuple[int, int]) -> None:
    (opmap, caches, first), *_ = [run_on(PYTHONS[version], OPCODES, [])]
    own = {
        number: name
        for name, number in opmap.items()
        if number < 256 and not name.startswith(("INSTRUMENTED", "RESERVED", "ENTER_"))
    }
    assert opcodes.names(version) == own
    assert opcodes.first_with_argument(version) == first
    if version >= (3, 11):
        assert opcodes.caches(version) == caches


def test_what_is_no_instruction() -> None:
    assert "RESUME" not in opcodes.names((3, 10)).values()
    assert len(set(map(str, map(opcodes.names, opcodes.VERSIONS)))) == len(opcodes.VERSIONS)


def known(code: Code) -> list[Any]:
    """A function in the form that the program DISASSEMBLE prints."""
    inner = [known(each) for each in code.constants if isinstance(each, Code)]
    return [[list(each) for each in disassemble(code)], list(code.names), inner]


@EACH
def test_instructions_are_those_of_dis(version: tuple[int, int]) -> None:
    codes = [code[0] for code in written(version) if code is not None]
    for code, theirs in zip(codes, run_on(PYTHONS[version], DISASSEMBLE, codes), strict=True):
        assert not theirs or known(load(base64.b64decode(code), version)) == theirs


@pytest.fixture(scope="module")
def own() -> dict[str, Expression]:
    """The expressions of this Python's code."""
    return {
        name: expression({**function_as("keras2", code), "arguments": body.arguments})
        for name, (body, code) in functions(OWN).items()
    }


@EACH
def test_every_python_says_the_same(version: tuple[int, int], own: dict[str, Expression]) -> None:
    found = functions(version)
    assert len(found) >= len(BODIES) - len(NEWER)
    for index, (name, (body, code)) in enumerate(found.items()):
        config = function_as(("keras1", "keras2", "keras3")[index % 3], code)
        other = expression({**config, "arguments": body.arguments})
        assert other.text == own[name].text
        assert version < (3, 0) or other.key() == own[name].key()  # `/` of Python 2 is another operator


@EACH
def test_a_file_of_its_time_answers_as_keras(
    version: tuple[int, int], tmp_path: Path, answers: list[Any], thorough: bool
) -> None:
    kind = form(version)
    found = functions(version)
    if not thorough:  # equal expressions give equal graphs: each Python shows some
        found = dict(list(found.items())[list(PYTHONS).index(version) :: len(PYTHONS)])
    path = save(tmp_path / "model.h5", config_of(kind, found), VERSIONS[kind])
    results = values(path)
    wrong = {}
    for index, (body, expected) in enumerate(zip(BODIES, answers, strict=True)):
        if f"f{index}" in results:
            got = results[f"f{index}"]
            if got.dtype != expected.dtype or relative_error(got, expected) > 1e-5:
                wrong[body.source] = got.shape, got.dtype, relative_error(got, expected)
    assert not wrong


def test_the_module_answers_as_keras(tmp_path: Path, answers: list[Any]) -> None:
    path = save(tmp_path / "model.h5", config_of("keras3", functions(OWN)), "3.10.0")
    with open(tmp_path / "module.py", "wb") as file:
        generate(read(path)).write(file)
    module = load_module(tmp_path / "module.py")
    shapes = dict.fromkeys(body.shapes for body in BODIES)
    outputs = module.predict(*(x for several in shapes for x in arrays(several)))
    wrong = [
        body.source
        for body, got, expected in zip(BODIES, outputs, answers, strict=True)
        if relative_error(got, expected) > 1e-5
    ]
    assert not wrong


# Python 3.4, 3.5 and 3.14: no interpreter here, so the code is put together by hand from CPython's tables.


def packed(kind: str, *parts: Any) -> bytes:
    return kind.encode() + b"".join(parts)


def text(value: str) -> bytes:
    return packed("z", bytes([len(value)]), value.encode())


def several(*items: bytes) -> bytes:
    return packed(")", bytes([len(items)]), *items)


def word(value: int) -> bytes:
    return value.to_bytes(4, "little", signed=True)


def number(value: float) -> bytes:
    return b"g" + np.float64(value).tobytes() if isinstance(value, float) else b"i" + word(value)


def by_hand(
    version: tuple[int, int], instructions: bytes, constants: Sequence[bytes], names: Sequence[str] = ()
) -> bytes:
    """The code of `lambda x: ...` as this Python writes it."""
    code = packed("s", word(len(instructions)), instructions)
    head = [1, 0, 0, 9, 0x43] if version >= (3, 11) else [1, 0, 1, 9, 0x43]
    if (3, 8) <= version < (3, 11):
        head.insert(1, 0)
    start = b"\xe3" + b"".join(map(word, head))
    parts = [code, several(*constants), several(*map(text, names))]
    if version >= (3, 11):
        end = [several(text("x")), packed("s", word(1), b"\x26"), text("m.py"), text("f"), text("f"), word(1)]
        return start + b"".join([*parts, *end, packed("s", word(0)), packed("s", word(0))])
    end = [several(text("x")), several(), several(), text("m.py"), text("f"), word(1), packed("s", word(0))]
    return start + b"".join([*parts, *end])


def reading(code: bytes) -> str:
    return expression({"function": [base64.b64encode(code).decode(), None, None]}).text


OLD = bytes([124, 0, 0, 100, 1, 0, 27, 100, 2, 0, 24, 83])  # LOAD_FAST, LOAD_CONST, /, LOAD_CONST, -, RETURN_VALUE
OLD_CALL = bytes([116, 0, 0, 106, 1, 0, 124, 0, 0, 100, 1, 0, 100, 2, 0, 131, 1, 1, 83])  # K.mean(x, axis=1)
NEW = bytes([128, 0, 86, 0, 82, 0, 44, 11, *[0] * 10, 94, 1, 44, 10, *[0] * 10, 35, 0])
NEW_CALL = bytes(
    [128, 0, 92, 0, *[0] * 8, 80, 2, *[0] * 18, 33, 0, 86, 0, 94, 1, 82, 0, 55, 2, *[0] * 6, 35, 0]
)  # LOAD_GLOBAL K, LOAD_ATTR mean, PUSH_NULL, x, 1, the names, CALL_KW
NEW_ITEM = bytes([128, 0, 86, 0, 82, 0, 44, 26, *[0] * 10, 35, 0])  # x[:2]


@pytest.mark.parametrize("version", [(3, 4), (3, 5)])
def test_python_3_4_and_3_5(version: tuple[int, int]) -> None:
    assert reading(by_hand(version, OLD, [b"N", number(127.5), number(1)])) == "x / 127.5 - 1"
    call = by_hand(version, OLD_CALL, [b"N", text("axis"), number(1)], ["K", "mean"])
    assert reading(call) == "K.mean(x, axis=1)"


def test_python_3_14() -> None:
    assert reading(by_hand((3, 14), NEW, [number(127.5)])) == "x / 127.5 - 1"
    assert reading(by_hand((3, 14), NEW_CALL, [several(text("axis"))], ["K", "mean"])) == "K.mean(x, axis=1)"
    part = packed(":", b"N", number(2), b"N")
    assert reading(by_hand((3, 14), NEW_ITEM, [part])) == "x[:2]"


# Models


@pytest.mark.parametrize(
    "name",
    ["1524045patrick_model.h5", "createamind_pc.h5", "kessido_audio_model.h5", "m142411_eeg_model.h5"],
)
def test_real_files(name: str, tmp_path: Path) -> None:
    path = SHARED_MODELS / "wild" / name
    if not path.exists():
        pytest.skip("no real files beside the checkout")
    kerasgen.export(path, tmp_path / "module.py", verify=False)
    with np.load(f"{path}.golden.npz") as golden:
        inputs = [golden[key] for key in sorted(golden) if key.startswith("x")]
        expected = [golden[key] for key in sorted(golden) if key.startswith("y")]
    outputs = load_module(tmp_path / "module.py").predict(*inputs)
    for got, want in zip(outputs if isinstance(outputs, tuple) else [outputs], expected, strict=True):
        assert relative_error(got, want) < 1e-4


def test_random_functions_are_refused(tmp_path: Path) -> None:
    path = SHARED_MODELS / "wild" / "savewater1_vae.h5"
    if not path.exists():
        pytest.skip("no real files beside the checkout")
    (problem,) = kerasgen.inspect(path).problems
    assert "args[0] + args[1] * K.random_normal(" in problem
    assert "draws random numbers" in problem
    assert "`outputs='dense_1'`" in problem


def saved(path: Path, *layers: Any, shape: tuple[int, ...] = (4,)) -> tuple[Any, Path]:
    model = randomize(keras.Sequential([keras.Input(shape), *layers]))
    model.save(path)
    return model, path


def test_a_mask_for_the_function_and_none_for_the_next_layer(tmp_path: Path) -> None:
    kept = L.Lambda(
        lambda x, mask: x * keras.ops.cast(keras.ops.expand_dims(mask, -1), "float32"), output_shape=(6, 4), name="kept"
    )
    x = keras.Input((6,))
    model = randomize(keras.Model(x, L.LSTM(3)(kept(L.Embedding(9, 4, mask_zero=True)(x)))))
    path = tmp_path / "model.keras"
    model.save(path)
    kerasgen.export(path, tmp_path / "module.py", verify=False)
    x = np.array([[1, 2, 0, 3, 0, 0], [4, 0, 0, 0, 5, 6]], "float32")
    assert relative_error(load_module(tmp_path / "module.py").predict(x), model(x)) < 1e-6


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("library", [keras, tf_keras], ids=["keras", "tf_keras"])
@pytest.mark.parametrize(
    "mask",
    [lambda x, mask: x[..., 1] > 0.5, lambda x, before: x[..., 0] < 0.2, lambda x, mask=None: None],
    ids=["mask", "another name", "none"],
)
def test_a_function_for_the_mask(library: Any, mask: Any, tmp_path: Path) -> None:
    """The oracle is the live model; Keras itself does not restore a mask from a `.keras` file."""
    kept = library.layers.Lambda(lambda x: x * 2, mask=mask, output_shape=(6, 4), name="kept")
    model = randomize(library.Sequential([library.Input((6, 4)), kept, library.layers.LSTM(3)]))
    path = tmp_path / "model.h5"
    model.save(path)
    result = kerasgen.export(path, tmp_path / "module.py", verify=True)
    assert result.unread == ("kept",)
    x = np.random.RandomState(1).standard_normal((3, 6, 4)).astype("float32")
    assert relative_error(load_module(tmp_path / "module.py").predict(x), model(x)) < 1e-6


def test_a_mask_that_cannot_be_read(tmp_path: Path) -> None:
    """It is refused at the layer that needs it, and only there."""

    def saved_with(*layers: Any) -> Path:
        branch = L.Lambda(
            lambda x: x * 2, mask=lambda x, mask: x[..., 0] if x.shape[1] else mask, output_shape=(6, 4), name="kept"
        )
        return saved(tmp_path / "model.h5", branch, L.Dropout(0.5), *layers, shape=(6, 4))[1]

    (problem,) = kerasgen.inspect(saved_with(L.Dense(2), L.GRU(3, name="reads"))).problems
    assert problem.startswith("reads (GRU): it needs the mask of kept, which cannot be read: it has a branch")
    path = saved_with(L.Flatten(), L.Dense(2))
    assert kerasgen.export(path, tmp_path / "module.py", verify=True).unread == ("kept",)


def test_inside_of_a_wrapper_and_of_a_model(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((4,)), L.Lambda(lambda x: x[:, ::-1] / 2, name="turned"), L.Dense(3)])
    wrapped = L.TimeDistributed(L.Lambda(lambda x: x - 1.5, name="less"), name="each")
    model, path = saved(tmp_path / "model.keras", wrapped, L.TimeDistributed(inner), shape=(5, 4))
    result = kerasgen.export(path, tmp_path / "module.py", verify=True)
    assert result.unread == ("each", "time_distributed/turned") or len(result.unread) == 2
    x = np.random.RandomState(0).standard_normal((2, 5, 4)).astype("float32")
    assert relative_error(load_module(tmp_path / "module.py").predict(x), model(x)) < 1e-6


def test_a_global_of_the_training_script(tmp_path: Path) -> None:
    body = Body("f = lambda x: x / SCALE + OFFSETS[1]")
    path = save(
        tmp_path / "m.h5", config_of("keras2", {"scaled": (body, compiled(PYTHONS[3, 6], (body.source,))[0])}), "2.1.2"
    )
    (problem,) = kerasgen.inspect(path).problems
    assert "x / SCALE" in problem
    assert "`defines={'SCALE': value}`" in problem
    defines = {"SCALE": 2.0, "OFFSETS": (1, 3)}
    kerasgen.export(path, tmp_path / "module.py", defines=defines, verify=True)
    module = load_module(tmp_path / "module.py")
    assert module.EXPORT["defines"] == defines
    assert np.array_equal(module.predict(np.ones((2, 4), "float32")), np.full((2, 4), 3.5, "float32"))
    assert not kerasgen.check(path, tmp_path / "module.py", defines=defines)
    with pytest.raises(kerasgen.UsageError, match="is a number, a text"):
        kerasgen.inspect(path, defines={"SCALE": object()})


def test_what_a_file_says_of_its_lambdas(tmp_path: Path) -> None:
    _, path = saved(tmp_path / "model.keras", L.Lambda(lambda x: x / 127.5 - 1, name="scaled"), L.Dense(2))
    summary = kerasgen.inspect(path)
    assert {layer.name: layer.note for layer in summary.layers if layer.note} == {"scaled": "x / 127.5 - 1"}
    (finding,) = kerasgen.scan(path).findings
    assert finding.risk == "code"
    assert finding.what == "Python bytecode, the function of a Lambda: x / 127.5 - 1"
    assert kerasgen.scan(path).dangerous
    result = kerasgen.export(path, tmp_path / "module.py", verify=True)
    module = load_module(tmp_path / "module.py")
    assert result.unread == ("scaled",)
    assert module.MODEL["lambdas"] == {"scaled": "x / 127.5 - 1"}
    assert module.VERIFIED["lambdas"] == "as read"
    verification = kerasgen.verify(path, tmp_path / "module.py")
    assert verification.unread == ("scaled",)
    assert "not compared: the reading of scaled" in str(verification)


def test_keras_runs_the_code_only_where_it_is_asked_to(tmp_path: Path) -> None:
    _, path = saved(tmp_path / "model.keras", L.Lambda(lambda x: tf.square(x) - 1, name="squared"), L.Dense(2))
    result = kerasgen.export(path, tmp_path / "module.py", verify=True, run_lambdas=True)
    assert result.unread == ()
    assert "lambdas" not in load_module(tmp_path / "module.py").VERIFIED
    assert kerasgen.verify(path, tmp_path / "module.py", run_lambdas=True).ok


def test_code_of_another_python_is_not_run(tmp_path: Path) -> None:
    body = Body("f = lambda x: x * 2")
    path = save(
        tmp_path / "m.h5", config_of("keras2", {"f": (body, compiled(PYTHONS[3, 6], (body.source,))[0])}), "2.1.2"
    )
    with pytest.raises(kerasgen.ParityError, match=r"its code is of Python 3\.6, 3\.7, not 3\.11"):
        kerasgen.export(path, tmp_path / "module.py", verify=True, run_lambdas=True)


def test_keras_answers_expressions(tmp_path: Path) -> None:
    """Keras with expressions in the place of code answers as the module, in a file of Keras 2."""
    # The functions that tf_keras makes variables in, that raise there, and one that is ill-conditioned in float32.
    without = ("K.categorical_c", "K.variable", "K.eye", "K.zeros(", "print(", "separable_conv1d")
    names = {f"f{i}" for i, body in enumerate(EVERYWHERE) if not any(word in body.source for word in without)}
    found = {name: row for name, row in functions((3, 6)).items() if name in names}
    path = save(tmp_path / "model.h5", config_of("keras2", found), "2.1.2")
    result = kerasgen.export(path, tmp_path / "module.py", verify=True)
    assert len(result.outputs) == len(found) == len(result.unread)


@keras.saving.register_keras_serializable(package="tests")
def doubled(x: Any) -> Any:
    return x * 2


def test_a_function_that_is_stored_by_name(tmp_path: Path) -> None:
    _, path = saved(tmp_path / "model.keras", L.Lambda(doubled, name="twice"), L.Dense(2))
    with pytest.raises(
        kerasgen.UnsupportedModelError, match="the name of its function, 'tests>doubled', but not its code"
    ):
        kerasgen.export(path, tmp_path / "module.py")


def test_the_bodies_are_many() -> None:
    assert len(BODIES) >= 200
    assert VECTOR == (4,)
