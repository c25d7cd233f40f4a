"""Targets: the functions that a module may call, how calls are written, and the template around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import black
import numpy as np
from black.mode import TargetVersion

from kerasgen import kernels
from kerasgen.emit import runtime
from kerasgen.emit.audit import FUNCTIONS
from kerasgen.errors import UsageError
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.graph.facts import facts, is_copied


@dataclass(frozen=True)
class Target:
    """A kind of module.

    Functions are copied from `kernels` and `runtime`. `syntax` gives the writer of a kernel that the language has an
    operator for, `name` the name by which any other kernel is called. `library` is the import line of every module,
    `template` the file it is rendered from, `style` how it is formatted.
    """

    kernels: ModuleType
    runtime: ModuleType
    syntax: Callable[[Kernel], Callable[..., str] | None]
    name: Callable[[Kernel], str]
    library: str
    template: str
    style: black.Mode


@cache
def numpy_name(function: Any) -> str:
    """The name of this function in every NumPy from 1.17 on. Raises UsageError if no module may call it."""
    if is_copied(function):
        return str(function.__name__)
    name = str(function.__name__)
    name = {"amax": "max", "amin": "min", "absolute": "abs", "true_divide": "divide"}.get(name, name)
    for prefix, module in (("np.", np), ("np.linalg.", np.linalg)):
        if getattr(module, name, None) is function and name in FUNCTIONS:
            return prefix + name
    raise UsageError(f"{name} is none of the NumPy functions that a rule may emit: call it in a function of your own")


NUMPY = Target(
    kernels=kernels,
    runtime=runtime,
    syntax=lambda kernel: facts(kernel).syntax,
    name=numpy_name,
    library="import numpy as np",
    template="module.py.jinja",
    style=black.Mode(line_length=120, target_versions={TargetVersion.PY37}),
)
