"""The names that training scripts give to modules, and which of their functions are known.

A dotted name is looked up here or nowhere: no module is imported, no attribute of an object is taken.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from typing import Any

from kerasgen.errors import UnsupportedModelError
from kerasgen.layers.functions import activations, constants, keras_backend, operations, python
from kerasgen.layers.functions.values import DTYPES, Function, Random, Reference
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES

# What a global of the training script stands for. People call modules so; the file does not say it.
MODULES = {
    **dict.fromkeys(("tf", "TF", "tensorflow", "ktf"), "tf"),
    **dict.fromkeys(("K", "KB", "Kb", "kb", "KK", "backend", "keras_backend", "KTF"), "keras.backend"),
    **dict.fromkeys(("keras", "tf_keras", "tfk"), "keras"),
    **dict.fromkeys(("ops", "kops"), "keras.ops"),
    **dict.fromkeys(("np", "numpy", "onp"), "np"),
    "math": "math",
}
# Modules under another name, from the longest on.
_SAME = (
    ("tf.python.keras", "keras"),
    ("tf.contrib.keras", "keras"),
    ("tf.compat.v1.keras", "keras"),
    ("tf.compat.v2", "tf"),
    ("tf.keras", "keras"),
    ("keras.backend.tensorflow_backend", "keras.backend"),
    ("keras.backend.tf", "tf"),
    ("keras.api", "keras"),
    ("keras.ops.numpy", "keras.ops"),
    ("keras.ops.nn", "keras.ops"),
    ("keras.ops.linalg", "keras.ops"),
    ("keras.ops.math", "keras.ops"),
)
CONSTANTS: dict[str, Any] = {
    "math.e": math.e,
    "math.inf": math.inf,
    "math.pi": math.pi,
    "np.e": math.e,
    "np.inf": math.inf,
    "np.newaxis": None,
    "np.pi": math.pi,
    "tf.newaxis": None,
    "builtins.Ellipsis": ...,
}
# TensorFlow's functions under a second name, where that is not the same in another module.
_ALIASES = {
    "check_numerics": "debugging.check_numerics",
    "dtypes.cast": "cast",
    "linalg.einsum": "einsum",
    "linalg.l2_normalize": "math.l2_normalize",
    "linalg.norm": "norm",
    "linalg.tensordot": "tensordot",
    "linalg.transpose": "linalg.matrix_transpose",
    "manip.reverse": "reverse",
    "manip.roll": "roll",
    "manip.tile": "tile",
    "math.log_softmax": "nn.log_softmax",
    "math.mod": "math.floormod",
    "math.softmax": "nn.softmax",
    "math.softsign": "nn.softsign",
    "matrix_diag": "linalg.diag",
    "mod": "math.floormod",
    "mul": "math.multiply",
    "neg": "math.negative",
    "nn.avg_pool_v2": "nn.avg_pool",
    "nn.l2_normalize": "math.l2_normalize",
    "nn.lrn": "nn.local_response_normalization",
    "nn.max_pool_v2": "nn.max_pool",
    "nn.sigmoid": "math.sigmoid",
    "nn.softplus": "math.softplus",
    "nn.swish": "nn.silu",
    "nn.tanh": "math.tanh",
    "nn.top_k": "math.top_k",
    "pack": "stack",
    "reverse_v2": "reverse",
    "sub": "math.subtract",
    "unpack": "unstack",
    "where_v2": "where",
}
_OLD_NAMES = {"keep_dims": "keepdims", "reduction_indices": "axis", "dim": "axis", "dimension": "axis"}
_RANDOM = re.compile(
    r"(tf|np)\.(random|compat\.v1\.random)\.\w+|tf\.(random_\w+|truncated_normal|nn\.dropout)"
    r"|keras\.(random\.\w+|backend\.(random_\w+|truncated_normal|dropout))"
)


def named(name: str) -> Reference:
    """What a global stands for. Raises UnsupportedModelError if that is not known."""
    if name in MODULES:
        return Reference(MODULES[name])
    if name in python.FUNCTIONS or name in DTYPES:
        return Reference(f"builtins.{name}")
    raise UnsupportedModelError(
        f"{name!a} is a name of the training script, whose value is not in the file: a number or a text can be given "
        f"with `defines={{{name!r}: value}}`"
    )


def attribute(of: Reference, name: str) -> Any:
    """The attribute of a module: a module, a function or a constant."""
    path = f"{of.path}.{name}"
    for long, short in _SAME:
        if path == long or path.startswith(f"{long}."):
            path = short + path[len(long) :]
    if path in CONSTANTS:
        return CONSTANTS[path]
    if path.startswith("tf.") and Reference(path).dtype:
        return Reference(path).dtype
    if not is_known(path):
        raise UnsupportedModelError(f"{path} is not supported")
    return Reference(path)


def is_known(path: str) -> bool:
    """Whether a dotted name is a module or a function that is known."""
    return (
        path.replace("tf.compat.v1.", "tf.", 1) in _modules()
        or bool(Reference(path).dtype)
        or function(path) is not None
    )


@functools.cache
def _modules() -> frozenset[str]:
    """Every module that has a known function."""
    paths = [f"tf.{kind.removeprefix('ops.tf.')}" for kind in RULES if kind.startswith("ops.tf.")]
    paths += [
        "tf.compat.v1.x",
        "tf.python.keras.x",
        "tf.contrib.keras.x",
        "tf.compat.v2.x",
        "tf.random.x",
        "np.random.x",
    ]
    paths += [
        "keras.backend.x",
        "keras.ops.numpy.x",
        "keras.ops.image.x",
        "keras.activations.x",
        "keras.random.x",
        "tf.dtypes.x",
    ]
    paths += [f"tf.{name}" for name in _ALIASES]
    return frozenset(module for path in paths for module in _parents(path))


def _parents(path: str) -> Iterator[str]:
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def function(path: str) -> Function | None:
    """The function of a dotted name, None if it is not known."""
    module, _, name = path.partition(".")
    if _RANDOM.fullmatch(path):
        return lambda layer, *args, **kwargs: Random(path)
    if module == "tf":
        return _tensorflow(name)
    if module == "np":
        return constants.numpy_function(name)
    if module == "math":
        return constants.math_function(name)
    if module == "builtins":
        return python.FUNCTIONS.get(name)
    if path.startswith("keras.ops."):
        return operations.function(path.removeprefix("keras.ops."))
    if path.startswith("keras.activations."):
        return activations.activation(path.removeprefix("keras.activations."))
    if path.startswith("keras.backend."):
        return keras_backend.function(path.removeprefix("keras.backend."))
    return None


def _tensorflow(name: str) -> Function | None:
    if name.startswith("compat.v1."):
        name = name.removeprefix("compat.v1.")
        name = "image.resize_images" if name == "image.resize" else name
    if name in constants.TENSORFLOW:
        return constants.TENSORFLOW[name]
    name = _ALIASES.get(name, name)
    candidates = [name] if "." in name else [name, f"math.{name}", f"linalg.{name}"]
    rule = next((RULES[f"ops.tf.{each}"] for each in candidates if f"ops.tf.{each}" in RULES), None)
    if rule is None or name.startswith(("raw_ops.", "__operators__.", "keras.")):
        return None

    def call(layer: Layer, *args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        return rule(layer, *args, **{_OLD_NAMES.get(key, key): item for key, item in kwargs.items()})

    return call
