"""The record for a module's self-test: inputs that it can generate again, and a few numbers of the right answers.

The numbers come from the graph in float64. The rounding errors of its sums are far below the digits that are kept, so
the same export gives the same bytes on every machine, whether or not Keras is there to confirm them. Sums of values
inside the model are recorded as well: a last activation may hide an error that an earlier layer shows.

The error allowed is four times the tolerance, or four times the distance of float32 from float64 if that is larger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any, NamedTuple

import numpy as np

from kerasgen.emit.body import function_of
from kerasgen.emit.runtime.selftest import numbers, weighted_sum
from kerasgen.errors import ParityError, UsageError
from kerasgen.graph.facts import is_copied
from kerasgen.graph.infer import infer_values
from kerasgen.graph.ir import Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.readers.model import ModelFile
from kerasgen.verification.compare import allowed, precisions
from kerasgen.verification.inputs import Recipe, TooLarge, draw, load_inputs
from kerasgen.verification.lambdas import Lambdas
from kerasgen.verification.loss import Loss
from kerasgen.verification.oracle import Oracle, available
from kerasgen.verification.verify import original

KERAS, SELF_MADE = "by Keras", "self-made"
# Limits of one run: as many samples are recorded as fit in them.
MOST_NUMBERS = 2**27  # in all arrays
MOST_AT_ONCE = 2**24  # in one array
MOST_PRODUCTS = 2**32  # multiplications
MOST_BATCHES = 8  # of one to four samples, for measuring a loss
TOO_MANY_PRODUCTS = 2**34  # for one sample
WHOLE = 1e-6  # the error allowed of integers
MARGIN = 4  # another machine may be off by this many times the tolerance, or the distance of float32 here


class Proof:
    """Keras's answers to sample inputs, if Keras is wanted and can answer; otherwise `unverified` says why not.

    `wanted` is True if Keras must answer, False if it is not asked, None if it is asked when TensorFlow is installed.
    """

    def __init__(
        self, source: Any, weights: Any, file: ModelFile, wanted: bool | None, lambdas: Lambdas | None = None
    ) -> None:
        self.source, self.weights, self.file, self.wanted = source, weights, file, wanted
        self.lambdas = lambdas or Lambdas()
        self.recipes: Sequence[Recipe] = ()
        self.arrays: list[np.ndarray] = []
        self.truth: Oracle | None = None
        self.expected: list[np.ndarray] = []
        self.unverified = ""

    @property
    def asks(self) -> bool:
        """Whether `ask` asks Keras."""
        return available() if self.wanted is None else self.wanted

    @property
    def verified(self) -> dict[str, Any] | None:
        """Which Keras answered, and the error that needs no explanation, as a fraction of the largest output."""
        if self.truth is None:
            return None
        return self.met(max(allowed(y.dtype.name, precisions(self.file.model)) for y in self.expected))

    def met(self, tolerance: float, loss: Loss | None = None) -> dict[str, Any]:
        """The record that Keras's answers are met within a tolerance; it and the loss are rounded up to one digit."""
        assert self.truth is not None
        lost: dict[str, Any] = {}
        if loss is not None:
            lost["loss"] = _one_digit(loss.error) if loss.error else 0.0
            lost.update({} if loss.agreement is None else {"top_class": round(loss.agreement, 4)})
        unread = {"lambdas": "as read"} if self.unread else {}
        return {"by": self.truth.version, "tolerance": _one_digit(tolerance) if tolerance else 0.0, **lost, **unread}

    @property
    def unread(self) -> tuple[str, ...]:
        """The Lambda layers for which Keras got the expression read from their code instead of the code."""
        return self.lambdas.unread(self.source)

    def ask(self, wanted: Sequence[Recipe], takes: Sequence[Value], inputs: Any = None) -> None:
        """Let Keras answer the inputs of these recipes, or the user's own, for a model that takes such values.

        Raises UsageError or ParityError if Keras must answer but is missing or cannot.
        """
        self.recipes = wanted
        if self.wanted is False:
            self.unverified = "skipped on request"
        elif self.wanted is None and not available():
            self.unverified = "TensorFlow is not installed"
        else:
            try:
                truth = original(self.source, self.weights, self.file, self.lambdas)
                rows = [(value.name, value.shape, value.dtype) for value in takes]
                self.arrays = draw(wanted) if inputs is None else load_inputs(inputs, rows)
                self.expected = truth(self.arrays)
                self.truth = truth
            except ParityError as error:
                if self.wanted:
                    raise
                self.unverified = str(error)
            except TooLarge as error:
                self.unverified = f"{error}; compare with yours: verify with `inputs='FILE'`"
                if self.wanted:
                    raise UsageError(f"{self.file.source}: cannot be verified: {self.unverified}") from error

    def answers(self, exact: Plan, plan: Plan, inputs: Any = None) -> Iterator[tuple[list[Any], list[Any]]]:
        """The answers of `plan` and of `exact` to batches of samples, or to the user's own inputs.

        Stops at the first batch on which one of them fails.
        """
        if inputs is not None:
            batches = iter(
                [load_inputs(inputs, [(value.name, value.shape, value.dtype) for value in plan.graph.inputs])]
            )
        else:
            batches = islice(self._batches(affordable(plan, self.recipes)), MOST_BATCHES)
        for arrays in batches:
            try:
                with np.errstate(all="ignore"):
                    outputs = [[np.asarray(y) for y in each.run(*arrays)] for each in (plan, exact)]
            except Exception:  # the user's functions may raise any
                return
            yield outputs[0], outputs[1]

    def _batches(self, few: Sequence[Recipe]) -> Iterator[list[np.ndarray]]:
        """Batches with as few samples as `few` has, but of every kind that the model's own recipes generate."""
        for seed in count(step=len(few)) if few else ():
            arrays = draw(self.recipes, seed)
            for start in range(0, len(arrays[0]), few[0].shape[0]):
                yield [x[start : start + few[0].shape[0]] for x in arrays]

    def record(self, plan: Plan, *, most_products: int = MOST_PRODUCTS, own: bool = False) -> Any:
        """The module's record, as `kerasgen.emit.runtime.selftest.selftest` takes it; None if nothing can be recorded.

        With `own`, the plan has its own weights, so its answers are not Keras's.
        """
        few = affordable(plan, self.recipes, most_products)
        with np.errstate(all="ignore"):  # answers need not be finite
            calls, outputs = run_twice(plan, few)
            if outputs:
                return _record(SELF_MADE if self.unverified or own else KERAS, few, calls, outputs)
            return None if self.unverified or own else self.of_keras()

    def of_keras(self) -> Any:
        """The same record from Keras's answers alone, without the plan's."""
        inside = set(precisions(self.file.model))
        return _record(KERAS, self.recipes, [], [Answer(y, y, allowed(y.dtype.name, inside)) for y in self.expected])


def _record(by: str, recipes: Sequence[Recipe], calls: Sequence[Call], outputs: Sequence[Answer]) -> dict[str, Any]:
    return {
        "by": by,
        "inputs": tuple((recipe.shape, recipe.low, recipe.high, recipe.whole) for recipe in recipes),
        "calls": tuple(calls),
        "outputs": tuple(answer.record() for answer in outputs),
    }


class Answer(NamedTuple):
    """An output of the model: the right values, those of this machine's arithmetic, and the tolerance."""

    right: np.ndarray
    own: np.ndarray
    tolerance: float

    def record(self) -> Any:
        """The shape, the error allowed, and the numbers."""
        scale = float(np.abs(_finite(self.right)).max(initial=0.0)) or 1.0
        return self.own.shape, *_rounded(numbers(self.right), numbers(self.own), self.tolerance * scale)


Call = tuple[str, float, float]  # the kernel, the error allowed, and the sum of what it returns


def affordable(plan: Plan, recipes: Sequence[Recipe], most_products: int = MOST_PRODUCTS) -> Sequence[Recipe]:
    """The recipes, with fewer samples if all of them would take too long or too much memory; () if even one would.

    Every cell of a result is assumed to be a product with all weights of its channel.
    """
    numbers_, largest, products, arrays = 0, 0, 0, plan.graph.arrays
    try:
        for node, cells, width in _results(plan, [recipe.shape for recipe in recipes]):
            numbers_, largest = numbers_ + cells, max(largest, cells)
            if node is not None and is_copied(node.kernel):
                weights = (arrays[name] for name in node.reads if name in arrays)
                products += cells // max(width, 1) * sum(array.size for array in weights if array.ndim > 1)
    except Exception:  # open sizes of the model may not fit together, and the user's functions may raise any
        return ()
    if numbers_ > MOST_NUMBERS or largest > MOST_AT_ONCE or products > TOO_MANY_PRODUCTS:
        return ()
    limits = (MOST_NUMBERS // max(numbers_, 1), MOST_AT_ONCE // max(largest, 1), most_products // max(products, 1))
    samples = max(1, min(limits))
    return [recipe._replace(shape=(min(samples, recipe.shape[0]), *recipe.shape[1:])) for recipe in recipes]


def _results(plan: Plan, shapes: Sequence[tuple[int, ...]]) -> Iterator[tuple[Node | None, int, int]]:
    """Each array that the plan computes for one sample: its node, its cells, and the size of its last axis."""
    yield from ((None, math.prod(shape[1:]), 1) for shape in shapes)
    inputs = [replace(v, shape=(None, *sizes[1:])) for v, sizes in zip(plan.graph.inputs, shapes, strict=True)]
    for node, values in infer_values(plan.graph, inputs, plan.loaded()):
        for value in values:
            sizes = [1 if size is None else size for size in value.shape]
            yield node, math.prod(sizes), sizes[-1] if sizes else 1


def run_twice(plan: Plan, recipes: Sequence[Recipe]) -> tuple[list[Call], list[Answer]]:
    """The calls and the outputs of a plan, run in its own precision and in float64 side by side; empty if it fails.

    Values are dropped after their last reader.
    """
    try:
        with np.errstate(all="ignore"):
            return _run(plan, draw(recipes)) if recipes else ([], [])
    except Exception:  # the user's functions may raise any
        return [], []


def _run(plan: Plan, arrays: Sequence[np.ndarray]) -> tuple[list[Call], list[Answer]]:
    graph, loaded = plan.graph, plan.loaded()
    last = {name: index for index, node in enumerate(graph.nodes) for name in node.reads}
    own: dict[str, Any] = {value.name: None for value, _ in graph.memory}
    own.update((value.name, np.asarray(y, value.dtype)) for value, y in zip(graph.inputs, arrays, strict=True))
    right = {name: _wide(array) for name, array in own.items()}
    calls = []
    for index, node in enumerate(graph.nodes):
        weights = {name: loaded[name] for name in node.reads if name in loaded}
        own.update(zip(node.outputs, node.call({**weights, **own}), strict=True))
        weights = {name: _wide(array) for name, array in weights.items()}
        right.update(zip(node.outputs, node.call({**weights, **right}), strict=True))
        function = function_of(node, plan)
        if function is not None:
            calls.append(_call(function.__code__.co_name, node, own, right))
        for name in {*node.reads, *node.outputs}.difference(graph.outputs):
            if last.get(name, -1) <= index:
                own.pop(name, None)
                right.pop(name, None)
    own, right = {**loaded, **own}, {**loaded, **right}
    answers = ((np.asarray(right[name]), np.asarray(own[name])) for name in graph.outputs)
    return calls, [Answer(x, y, allowed(y.dtype.name)) for x, y in answers]


def _wide(array: Any) -> Any:
    """The array in double precision, if it is in single precision."""
    single = isinstance(array, np.ndarray) and array.dtype in (np.float32, np.complex64)
    return array.astype(np.result_type(array, np.float64)) if single else array


def _call(name: str, node: Node, own: Mapping[str, Any], right: Mapping[str, Any]) -> Call:
    """The record of a node, which calls a function of this name.

    Its tolerance is relative to the root mean square of the cells, as signs are random.
    """
    cells = max(1, sum(np.size(right[name]) for name in node.outputs))
    sums = [sum(weighted_sum(side[name]) for name in node.outputs) / cells**0.5 for side in (right, own)]
    squares = sum(_squares(right[name]) for name in node.outputs)
    tolerance = max(allowed(np.asarray(own[name]).dtype.name) for name in node.outputs)
    error, (total,) = _rounded(sums[:1], sums[1:], tolerance * (math.sqrt(squares / cells) or 1.0))
    return name, error, total


def _squares(array: Any) -> float:
    """The sum of the squares of the finite numbers."""
    array = np.asarray(array)
    if array.dtype.kind in "fc":
        total = float(np.vdot(array, array).real)
        if math.isfinite(total):
            return total
    return float(np.square(np.abs(_finite(array))).sum())


def _finite(array: Any) -> Any:
    array = np.asarray(array)
    return array[np.isfinite(array)].astype(np.result_type(array, np.float64))


def _rounded(right: Sequence[float], own: Sequence[float], tolerance: float) -> tuple[float, tuple[Any, ...]]:
    """The error allowed, rounded up to one digit, and the numbers with one digit more."""
    distances = (abs(x - y) for x, y in zip(right, own, strict=True) if math.isfinite(x - y))
    error = _one_digit(MARGIN * max([tolerance, *distances]) or WHOLE)
    digits = 1 - math.floor(math.log10(error))
    shown = [x if math.isfinite(y) else y for x, y in zip(right, own, strict=True)]  # single precision has infinities
    return error, tuple(round(x, digits) + 0.0 if math.isfinite(x) else str(x) for x in shown)  # no -0.0


def _one_digit(error: float) -> float:
    """A number rounded up to one digit, ignoring its last bits."""
    digits = -math.floor(math.log10(error))
    return float(f"{math.ceil(round(error * 10.0**digits, 6)) / 10.0**digits:.0e}")
