"""Nothing of Keras is forgotten: what has no rule is listed with the reason. What NumPy 1.17 lacks is not called."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keras.src.ops.operation import Operation
from support import run_python

import kerasgen
from kerasgen.layers import RULES, UNSUPPORTED

OPERATIONS = tuple(
    f"keras.src.{name}"
    for name in "ops.numpy ops.nn ops.math ops.core ops.image ops.linalg ops.einops quantizers.quantizers".split()
)
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


def operations(module: str) -> Iterator[str]:
    """The classes of operations that a module defines."""
    for name, item in vars(importlib.import_module(module)).items():
        if inspect.isclass(item) and issubclass(item, Operation) and item.__module__ == module:
            yield f"ops.{name}"


@pytest.mark.parametrize("module", OPERATIONS)
def test_operations(module: str) -> None:
    kinds = set(operations(module))
    assert kinds, module
    assert not kinds - RULES.keys() - UNSUPPORTED.keys()


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
    """Neither the syntax nor what is called of the standard library: in modules and in what makes them."""
    golden = sorted((Path(__file__).parent / "golden").glob("*.py"))
    paths = [*golden, *sorted((PACKAGE / "kernels").glob("*.py")), PACKAGE / "runtime.py"]
    done = run_python("-c", "import vermin; vermin.main()", "--no-tips", "--violations", "-t=3.7-", *paths)
    assert done.returncode == 0, done.stdout + done.stderr
