"""Compares each step by itself, and defines what counts as rounding: the rule that decides whether a module is right.

Sums of floats depend on their order, so two right answers differ. How far depends on the model: if large numbers
cancel, or if there are many layers, float32 itself is far from the truth. No single tolerance fits all. Therefore:

1. Each step starts from the same numbers. A step leads from the outputs of earlier layers to the output of a layer.
   Keras's output of each layer is compared with what the graph as built makes of *Keras's* outputs before it; the
   module's output, with what the graph makes of the *module's* outputs before it. So errors do not add up, and no later
   layer hides one (a saturating softmax is removed first). If every step is right, so are the rules, the weights and
   the code.
2. A step is right if its error is within the floor: ε^(2/3) of the largest number, where ε is the precision of the
   dtype (2.4e-5 in float32). This leaves a third of the digits to the order of the sums.
3. Beyond the floor, a third witness decides: the same step in float64. Further runs in float64, in which every number
   that is read, every weight and every result of a kernel is off by up to ε, show what rounding may do to that step.
   (Inputs and weights that are all whole numbers are exact; so are the whole numbers of kernels such as np.floor.) In
   the last of these runs, all numbers of an array are off by the same factor, as if a window did not quite add up to 1.
   The step is right if its distance from the witness is at most `FACTOR` times the largest such change. This depends on
   neither Keras nor the module, so a wrong rule, weight or line is caught: its distance is its error.
   The result of exp(x) - 1 and similar kernels is off by up to ε of 1, or of x. Keras's kernels may add n numbers one
   by one, which costs up to n ε / 2 of the sum. Some kernels subtract large numbers inside; their facts say what that
   costs. If only some of the runs give a finite number, as for a logarithm of nearly 0, rounding decides whether there
   is one.
4. The answers of the whole module must be within the floor of Keras's, or both must be as close to the witness of the
   whole model as rule 3 demands.

| steps of Keras's layers | steps of the module | answers | verdict |
|---|---|---|---|
| all right | all right | within the floor, or explained by rounding | right |
| one is wrong | | | the rule of that layer is wrong |
| all right | one is wrong | | a pass, the weights or the code is wrong at that layer |
| all right | all right | neither | wrong: nothing explains it |

Integers have no rounding of their own: they must be equal, except where runs in float64 with numbers off by up to
`FACTOR` ε differ. The cast of a number outside the range of the dtype depends on the processor. If Keras computes in
float16, its infinities stand for all numbers from the largest float16 on.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.call import stop
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node
from kerasgen.verification.compare import EPSILONS, OutputReport, allowed, compare

PROBES = 4  # runs with errors; in the last one, the errors do not cancel
FACTOR = 16.0  # a sum of thousands of products is off by more than one rounding of each of them
WHOLE = 2.0**24  # float32 has all integers up to this one
WIDE = {"float16": "float64", "float32": "float64", "complex64": "complex128"}
Arrays = Mapping[str, Any]
Noise = Callable[[tuple[int, ...]], Any]  # numbers of this shape from -1 to 1, or one for all


class Fault(NamedTuple):
    """A wrong step: the values that it read, the right values, and those that it gave."""

    names: tuple[str, ...]
    read: Arrays
    right: Arrays
    got: Arrays
    reports: tuple[OutputReport, ...]


class Walk:
    """A graph that runs alongside another computation: each step starts from the other one's values.

    `tolerance` replaces the rule: the largest error, as a fraction of the largest number. `keras` says that the values
    are Keras's. `weights` are the arrays as the kernels take them, if the graph has them in another layout.
    """

    def __init__(
        self,
        graph: Graph,
        arrays: Sequence[np.ndarray],
        tolerance: float | None = None,
        *,
        keras: bool = False,
        weights: Arrays | None = None,
    ) -> None:
        self.graph = graph
        self.tolerance = tolerance
        self.keras = keras
        self.makers = {name: index for index, node in enumerate(graph.nodes) for name in node.outputs}
        self.unread = graph.readers()  # how many more times each value will be read
        self.weights = dict(graph.arrays if weights is None else weights)
        self.ran: set[int] = set()
        self.values: dict[str, Any] = {value.name: None for value, _ in graph.memory}
        inputs = zip(graph.inputs, arrays, strict=True)
        self.values.update((value.name, np.asarray(array, value.dtype)) for value, array in inputs)

    def offer(self, names: Sequence[str], arrays: Sequence[Any], inside: Iterable[str] = ()) -> Fault | None:
        """Compare these values with what the graph makes of the values offered before, then continue from these.

        `inside` lists the dtypes that they were computed in, in addition to those of the arrays.
        """
        nodes = self.needed(names)
        if any(name not in self.values and self.makers.get(name) in self.ran for name in names):
            return None  # it was compared while it was there
        if any(facts(node.kernel).ambiguous for node in nodes):
            return None  # the steps that read it show whether it is right
        with np.errstate(all="ignore"):
            for node in nodes:
                self.ran.add(self.makers[node.outputs[0]])
                self.values.update(zip(node.outputs, node.call(ChainMap(self.values, self.weights)), strict=True))
        got = dict(zip(names, arrays, strict=True))
        fault = self._fault(nodes, got, inside)
        if fault is None:
            self.values.update((name, np.array(array, self.values[name].dtype)) for name, array in got.items())
        for node in nodes:
            self.unread.subtract(node.reads)
        for name in {*names, *(name for node in nodes for name in (*node.reads, *node.outputs))}:
            if self.unread[name] <= 0 and name in self.makers:  # inputs stay: one may be an output, too
                self.values.pop(name, None)
        return fault

    def needed(self, names: Iterable[str]) -> list[Node]:
        """The nodes that must still run to compute these values, in the graph's order."""
        found: set[int] = set()
        wanted = list(names)
        while wanted:
            name = wanted.pop()
            index = None if name in self.values or name in self.weights else self.makers[name]
            if index is not None and index not in found:
                found.add(index)
                wanted += self.graph.nodes[index].reads
        return [self.graph.nodes[index] for index in sorted(found)]

    def _fault(self, nodes: Sequence[Node], got: Arrays, inside: Iterable[str]) -> Fault | None:
        right = {name: np.asarray(self.values[name]) for name in got}
        inside = set(inside)
        if self.keras and "float16" in inside:
            got = {name: _without_overflow(np.asarray(got[name]), right[name]) for name in got}
        if all(is_near(got[name], right[name], self._limit(got[name], inside)) for name in got):
            return None
        own = self.weights.keys() | {name for node in nodes for name in node.outputs}
        reads = (*got, *(name for node in nodes for name in node.reads))
        read = {name: self.values[name] for name in reads if name not in own}
        reports = tuple(compare(n, got[n], right[n], tolerance=self._limit(got[n], inside)) for n in got)
        if self.tolerance is None and not all(report.ok for report in reports):
            witness = Witness(nodes, read, self.weights, tuple(got))
            reports = tuple(
                report if report.ok else witness.report(report, got[report.name], inside, keras=self.keras)
                for report in reports
            )
        return None if all(report.ok for report in reports) else Fault(tuple(got), read, right, got, reports)

    def _limit(self, array: Any, inside: Iterable[str]) -> float:
        return allowed(np.asarray(array).dtype.name, inside) if self.tolerance is None else self.tolerance


def is_near(got: Any, right: np.ndarray, limit: float) -> bool:
    """Whether an error is surely within `limit`, a fraction of the largest number. Fast, but may wrongly say no."""
    got = np.asarray(got)
    if got.shape != right.shape or right.dtype.kind not in "fiub" or got.dtype.kind not in "fiub":
        return False
    if not right.size or right.dtype.kind != "f":
        return np.array_equal(got, right)
    with np.errstate(all="ignore"):
        got = got.astype(right.dtype, copy=False)
        largest = max(float(right.max()), -float(right.min()))
        return bool(np.abs(got - right).max() <= 0.9 * limit * largest)  # False if one is NaN


def explained(
    graph: Graph,
    arrays: Sequence[np.ndarray],
    answers: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    reports: Sequence[OutputReport],
    inside: Iterable[str] = (),
) -> list[OutputReport]:
    """The reports of a module's answers; the witness judges those beyond the floor: rule 4 in the docstring above."""
    read: dict[str, Any] = {value.name: None for value, _ in graph.memory}
    read.update((value.name, np.asarray(x, value.dtype)) for value, x in zip(graph.inputs, arrays, strict=True))
    witness = Witness(graph.nodes, read, graph.arrays, graph.outputs)
    inside, told = set(inside), []
    for name, report, got, right in zip(graph.outputs, reports, answers, expected, strict=True):
        if not report.ok and not report.shapes:
            theirs = witness.report(replace(report, name=name), right, inside, keras=True)
            ours = witness.report(replace(report, name=name), got)
            if theirs.ok and ours.ok:
                tolerance = max(theirs.tolerance + ours.tolerance, report.relative)
                report = replace(report, tolerance=tolerance, rounding=theirs.relative)
        told.append(report)
    return told


class Witness:
    """Some nodes in float64, and how far rounding may move their results."""

    def __init__(self, nodes: Sequence[Node], read: Arrays, weights: Arrays, names: Sequence[str]) -> None:
        self.nodes = [_widened(node) for node in nodes]
        used = {name for node in nodes for name in node.reads if name in weights}
        self.read = {name: _wide(array) for name, array in (*read.items(), *((name, weights[name]) for name in used))}
        self.cells = max((np.size(array) for array in read.values()), default=0)
        self.names = names
        self.runs: dict[float, list[Arrays]] = {}
        self.cancels = max((facts(node.kernel).cancels for node in nodes), default=0)
        self.exact: Arrays | None = self._run()

    def report(
        self, report: OutputReport, got: Any, inside: Iterable[str] = (), *, keras: bool = False
    ) -> OutputReport:
        """The report of these values by rule 3; `report` itself if the nodes cannot run in float64."""
        if self.exact is None:
            return report
        right, got = self.exact[report.name], np.asarray(got)
        whole = got.dtype.kind not in "fc"
        epsilon = max((EPSILONS.get(each, 0.0) for each in (got.dtype.name, *inside)), default=0.0)
        better = compare(report.name, got, right, tolerance=report.tolerance)
        if (whole or not np.isfinite(better.relative)) and got.shape == right.shape:
            got = np.where(self.unsettled(report.name, epsilon or EPSILONS["float32"]), right, got)
            better = compare(report.name, got, right, tolerance=report.tolerance)
        better = replace(better, given=report.given)
        if whole or better.ok or not np.isfinite(better.relative):
            return better
        scale = better.absolute / better.relative
        explained = max(FACTOR * self.spread(report.name, epsilon), self.cancels * epsilon * scale)
        if keras:
            explained = max(explained, self.cells / right.size * epsilon / 2 * scale)
        return replace(better, tolerance=max(better.tolerance, explained / scale))

    def spread(self, name: str, epsilon: float) -> float:
        """The largest change of a value caused by errors of up to ε on the way."""
        assert self.exact is not None
        return max((_distance(run[name], self.exact[name]) for run in self._runs(epsilon)), default=0.0)

    def unsettled(self, name: str, epsilon: float) -> np.ndarray:
        """Where errors of up to `FACTOR` ε decide which integer a value is, or whether it is finite."""
        assert self.exact is not None
        epsilon *= FACTOR
        values = [run[name] for run in (self.exact, *self._runs(epsilon), *self._runs(-epsilon))]
        if values[0].dtype.kind in "fc":
            values = [np.isfinite(value) for value in values]
        return np.asarray(np.any([value != values[0] for value in values], axis=0))

    def _runs(self, epsilon: float) -> list[Arrays]:
        if epsilon not in self.runs:
            runs = (self._run(noise, epsilon) for noise in noises())
            self.runs[epsilon] = [run for run in runs if run is not None]
        return self.runs[epsilon]

    def _run(self, noise: Noise | None = None, epsilon: float = 0.0) -> dict[str, Any] | None:
        """The values, with each number on the way off by up to ε; None if a node fails."""
        values = {name: x if _is_whole(x) else _shaken(x, noise, epsilon) for name, x in self.read.items()}
        last = {name: index for index, node in enumerate(self.nodes) for name in node.reads}
        try:
            with np.errstate(all="ignore"):
                for index, node in enumerate(self.nodes):
                    scale = _scale(node, values) if noise is not None else None
                    made: Sequence[Any] = node.call(values)
                    if node.kernel is kernels.cast and noise is not None:
                        made = [_cast(values[str(node.inputs[0])], made[0], noise)]
                    stairs = facts(node.kernel).gradient is stop  # such as np.floor, whose results are exact
                    made = [y if stairs and _is_whole(y) else _shaken(y, noise, epsilon, scale) for y in made]
                    values.update(zip(node.outputs, made, strict=True))
                    for name in node.reads:
                        if last[name] == index and name not in self.names:
                            values.pop(name, None)
        except Exception:  # the user's own kernels may raise any
            return None
        return {name: np.asarray(values[name]) for name in self.names}


def _widened(node: Node) -> Node:
    """The node, computing in float64 if its `dtype` says less."""
    dtype = node.attrs.get("dtype")
    return replace(node, attrs={**node.attrs, "dtype": WIDE[dtype]}) if dtype in WIDE else node


def _wide(array: Any) -> Any:
    if array is None:
        return None
    array = np.asarray(array)
    return array.astype(WIDE.get(array.dtype.name, array.dtype.name))


def noises() -> Iterator[Noise]:
    """The errors of the numbers of an array, as fractions of ε: first one for each number, at last one for all."""
    for probe in range(PROBES - 1):
        yield partial(np.random.RandomState(probe).uniform, -1.0, 1.0)
    signs = np.random.RandomState(PROBES)
    yield lambda shape: signs.choice((-1.0, 1.0))


def _shaken(array: Any, noise: Noise | None, epsilon: float, scale: Any = None) -> Any:
    """The array with each float off by up to ε of itself, or of `scale`."""
    if noise is None or array is None or np.asarray(array).dtype.kind not in "fc":
        return array
    return array + epsilon * noise(np.shape(array)) * (array if scale is None else scale)


def _is_whole(array: Any) -> bool:
    """Whether these are floats that are all whole numbers, exact in float32."""
    array = np.asarray(array)
    return array.dtype.kind == "f" and bool(np.all((np.rint(array) == array) & (np.abs(array) <= WHOLE)))


def _cast(x: Any, y: Any, noise: Noise) -> Any:
    """The result of a cast from x; numbers outside the range of the dtype become one of its limits, at random."""
    if np.asarray(x).dtype.kind != "f" or y.dtype.kind not in "iu":
        return y
    limits = np.iinfo(y.dtype)
    beyond = ~((x >= limits.min) & (x <= limits.max))
    return np.where(beyond, np.where(noise(np.shape(x)) > 0, limits.max, limits.min).astype(y.dtype), y)


def _without_overflow(got: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Keras's values, with each infinity replaced by the right number if that overflows in float16."""
    if got.shape != right.shape or got.dtype.kind != "f":
        return got
    overflow = np.isinf(got) & (np.abs(right) >= np.finfo("float16").max) & (np.signbit(got) == np.signbit(right))
    return np.where(overflow, right, got)


def _scale(node: Node, values: Arrays) -> Any:
    """The size of the intermediate numbers of a kernel, if its result does not show that; else None."""
    if not facts(node.kernel).near_one:
        return None
    return 1.0 if facts(node.kernel).macs else np.maximum(np.abs(values[str(node.inputs[0])]), 1.0)


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    """The largest difference between two arrays, where both are finite."""
    if x.dtype.kind not in "fc":
        x, y = x.astype(np.float64), y.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(x - y)
    return float(np.max(difference, initial=0.0, where=np.isfinite(difference)))
