"""What a module proves itself with: inputs that it can make again by itself, and a few numbers of the right answers.

The answers are Keras's where it was asked. They are rounded to the power of ten above the error that is tolerated, so
that the same export gives the same bytes although sums differ in their last bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.emit.runtime import numbers
from kerasgen.errors import ParityError, UsageError
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Value
from kerasgen.graph.plan import Plan
from kerasgen.readers.model import ModelFile
from kerasgen.verification.compare import allowed, precisions
from kerasgen.verification.inputs import Recipe, TooLarge, draw
from kerasgen.verification.oracle import Oracle, available
from kerasgen.verification.verify import original

KERAS, SELF_MADE = "by Keras", "self-made"
LARGEST = 2**27  # numbers to compute, an eighth of them at once, from which on nothing is computed just to record it
WHOLE = 1e-6  # what whole numbers are rounded to


class Proof:
    """The answers to a sample: Keras's, if it is wanted and able; else `unverified` says why not.

    `wanted` is True where Keras must answer, False where it is not asked, None where it is if TensorFlow is installed.
    """

    def __init__(self, source: Any, weights: Any, file: ModelFile, wanted: bool | None) -> None:
        self.source, self.weights, self.file, self.wanted = source, weights, file, wanted
        self.arrays: list[np.ndarray] = []
        self.truth: Oracle | None = None
        self.expected: list[np.ndarray] = []
        self.unverified = ""

    def record(self, wanted: Sequence[Recipe], plan: Plan) -> Any:
        """What the module keeps, as `kerasgen.emit.runtime.selftest` takes it; None where nobody can answer.

        Raises UsageError or ParityError where Keras must answer and is missing or unable.
        """
        try:
            self._ask(wanted)
        except TooLarge as error:
            self.unverified = f"{error}; compare with yours: verify with `inputs='FILE'`"
            if self.wanted:
                raise UsageError(f"{self.file.source}: cannot be verified: {self.unverified}") from error
            return None
        answers = _own_answers(plan, wanted) if self.unverified else self.expected
        if answers is None:
            return None
        inside = set(precisions(self.file.model))
        taken = tuple((recipe.shape, recipe.low, recipe.high, recipe.whole) for recipe in wanted)
        return SELF_MADE if self.unverified else KERAS, taken, tuple(_kept(y, inside) for y in answers)

    def _ask(self, wanted: Sequence[Recipe]) -> None:
        if self.wanted is False:
            self.unverified = "it was not asked for"
        elif self.wanted is None and not available():
            self.unverified = "TensorFlow is not installed"
        else:
            try:
                truth = original(self.source, self.weights, self.file)
                self.arrays = draw(wanted)
                self.expected = truth(self.arrays)
                self.truth = truth
            except ParityError as error:
                if self.wanted:
                    raise
                self.unverified = str(error)


def _own_answers(plan: Plan, wanted: Sequence[Recipe]) -> list[np.ndarray] | None:
    """What the plan itself answers; None where that would take much memory, or fails."""
    try:
        with np.errstate(all="ignore"):
            sizes = list(_sizes(plan, [recipe.shape for recipe in wanted]))
            much = sum(sizes) > LARGEST or max(sizes, default=0) > LARGEST // 8
            return None if much else list(plan.run(*draw(wanted)))
    except Exception:  # sizes that the model leaves open need not fit together, and the user's functions may raise any
        return None


def _sizes(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> Iterator[int]:
    """How many numbers there are in each array that the plan makes of inputs of these shapes, and in those."""
    graph = plan.graph
    yield from map(math.prod, shapes)
    batch = max((shape[0] for shape in shapes), default=1)
    specs = {value.name: value for value, _ in graph.memory}
    specs.update((name, Value(name, array.shape, array.dtype.name)) for name, array in plan.loaded().items())
    specs.update((v.name, replace(v, shape=(None, *sizes[1:]))) for v, sizes in zip(graph.inputs, shapes, strict=True))
    for node in graph.nodes:
        made = infer(node.kernel, [specs[i] if isinstance(i, str) else i for i in node.inputs], node.attrs)
        specs.update((name, Value(name, *spec)) for name, spec in zip(node.outputs, made, strict=True))
        yield from (math.prod(batch if size is None else size for size in shape) for shape, _ in made)


def _kept(array: np.ndarray, inside: set[str]) -> Any:
    """Of one output the shape, what its numbers are rounded to, and the numbers."""
    finite = np.abs(array[np.isfinite(array)].astype(np.result_type(array.real, np.float64)))
    scale = float(finite.max(initial=0.0)) or 1.0
    error = allowed(array.dtype.name, inside) * scale
    digits = -math.ceil(math.log10(error or WHOLE))
    kept = (round(x, digits) + 0.0 if math.isfinite(x) else str(x) for x in numbers(array))  # no -0.0
    return array.shape, float(f"1e{-digits}"), tuple(kept)
