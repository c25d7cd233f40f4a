"""Nothing of Keras is forgotten: what has no rule is listed with the reason. What NumPy 1.17 lacks is not called."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import saved_models
import test_keras2_attention
import test_keras2_layers
import test_recurrent
import tf_keras
from cases import CASES
from keras.layers import Layer
from keras.src.ops.operation import Operation
from support import run_python

import kerasgen
from kerasgen.layers import RULES, UNSUPPORTED

BASES = {"Layer", "Wrapper"}
INSIDE = {"ops.Function", "ops.Mish"}  # of models and of an activation: never a node of their own
PACKAGE = Path(kerasgen.__file__).parent
# NumPy's names that came after 1.17, as far as they could be mistaken for older ones.
TOO_NEW = """
    acos acosh asin asinh astype atan atan2 atanh bitwise_count bitwise_invert bitwise_left_shift bitwise_right_shift
    bool broadcast_shapes concat cumulative_prod cumulative_sum from_dlpack isdtype long matrix_transpose matvec
    permute_dims pow trapezoid ulong unique_all unique_counts unique_inverse unique_values unstack vecdot vecmat
""".split()
# And those that later versions no longer have.
TOO_OLD = """
    alltrue asfarray bool8 cast complex_ cumproduct deprecate disp find_common_type float float_ in1d infty int
    issubclass_ issctype maximum_sctype msort object product round_ row_stack safe_eval sctypes sometrue source str
    trapz unicode_ who
""".split()


def descendants(kind: type) -> Iterator[type]:
    """All classes of Keras's own that derive from this one; those of tests do not count."""
    for child in kind.__subclasses__():
        yield from descendants(child)
        if child.__module__.startswith("keras.src."):
            yield child


def spelled(kind: type) -> str:
    return kind.__name__ if issubclass(kind, Layer) else f"ops.{kind.__name__}"


def objects(operation: Any) -> Iterator[Any]:
    """An operation, and the layers inside of it if it is a layer."""
    yield operation
    if isinstance(operation, Layer):
        inside = getattr(operation, "operations", None) or operation._flatten_layers(False, False)
        for part in inside:
            yield from objects(part)


def words(settings: Any) -> Iterator[str]:
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, dict):
        for value in settings.values():
            yield from words(value)


def in_no_case(names: set[str]) -> set[str]:
    """Those of these classes and activations that no parity case has.

    One case of each kind is built first, then those that are called like one of the names; few others are needed.
    """
    left = set(names)
    of_each_kind = {case.name.split()[0]: case for case in reversed(CASES.values())}
    likely = (case for case in CASES.values() if left.intersection(case.name.split()))
    for case in chain(of_each_kind.values(), likely, CASES.values()):
        if not left:
            break
        for part in objects(case.model()):
            left.discard(spelled(type(part)))
            config = part.get_config() if isinstance(part, Layer) else {}
            left.difference_update(word for key in config if "activation" in key for word in words(config[key]))
    return left


@pytest.mark.slow
def test_everything_of_keras_has_a_case() -> None:
    operations = {spelled(kind) for kind in descendants(Operation) if not issubclass(kind, Layer)}
    assert len(operations) > 300
    assert operations >= INSIDE
    classes = {item for item in vars(keras.layers).values() if inspect.isclass(item)}
    layers = {item.__name__ for item in classes if issubclass(item, Layer)}
    assert len(layers) > 120
    assert layers >= BASES
    functions = {item for item in vars(keras.activations).values() if inspect.isfunction(item)}
    activations = {item.__name__ for item in functions} - {"get", "serialize", "deserialize"}
    assert len(activations) > 25
    elsewhere = {*INSIDE, *BASES, "Lambda", "threshold"}  # Lambda has a table in test_lambdas.py
    assert not in_no_case((operations | layers | activations) - UNSUPPORTED.keys() - elsewhere)
    with pytest.raises(TypeError, match="default_value"):  # it takes more than a tensor: no layer can have it
        keras.layers.Activation("threshold")(np.ones((1, 2)))


@pytest.mark.thorough  # no layer will join Keras 2
def test_every_layer_of_keras_2_has_a_case() -> None:
    models = [tf_keras.Model(x, make()(x)) for x, make in keras2_layers()]
    for shapes, make in test_keras2_attention.MODELS.values():
        inputs = [tf_keras.Input(shape) for shape in shapes]
        models.append(tf_keras.Model(inputs, make(*inputs)))
    models += [make() for make in test_recurrent.KERAS_2.values()]
    models += [make(tf_keras) for make in saved_models.MODELS]
    found = {type(layer).__name__ for model in models for layer in model._flatten_layers()}
    exported = {item for item in vars(tf_keras.layers).values() if inspect.isclass(item)}
    kinds = {item.__name__ for item in exported if issubclass(item, tf_keras.layers.Layer)}
    assert len(kinds) > 100
    assert kinds - found - UNSUPPORTED.keys() == {*BASES, "AbstractRNNCell"}


def keras2_layers() -> Iterator[tuple[Any, Any]]:
    for shape, make, (dtype, _, _) in test_keras2_layers.CASES.values():
        yield tf_keras.Input(shape, dtype=dtype), make


def test_unsupported() -> None:
    assert not UNSUPPORTED.keys() & RULES.keys()
    assert list(UNSUPPORTED) == sorted(UNSUPPORTED)
    assert all(len(reason) > 20 and not reason.endswith(".") for reason in UNSUPPORTED.values())


def numpy_names(tree: Any) -> Iterator[str]:
    """What a module calls NumPy's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "np":
            yield node.attr


@pytest.mark.parametrize("folder", ["kernels", "layers"])
def test_numpy_names(folder: str) -> None:
    """Rules name NumPy's functions and kernels call them; every version from 1.17 on has these."""
    for path in sorted((PACKAGE / folder).glob("*.py")):
        names = set(numpy_names(ast.parse(path.read_text("utf-8"))))
        assert not names & {*TOO_NEW, *TOO_OLD}, path.name


def test_nothing_is_newer_than_python_3_7() -> None:
    """Neither the syntax nor the standard library functions used, in modules and in what is copied into them."""
    golden = sorted((Path(__file__).parent / "golden").glob("*.py"))
    paths = [*golden, *sorted((PACKAGE / "kernels").glob("*.py")), *sorted((PACKAGE / "emit/runtime").glob("*.py"))]
    done = run_python("-c", "import vermin; vermin.main()", "--no-tips", "--violations", "-t=3.7-", *paths)
    assert done.returncode == 0, done.stdout + done.stderr
