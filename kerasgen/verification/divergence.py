"""Finds where a module begins to differ from its model: the first wrong layer, and the step that made it wrong.

A model becomes a module in a straight line, so the first stage that differs from Keras's layers is at fault: if the
graph as built differs, a rule is wrong; if only the optimised graph does, a pass; if only the module does, its weights
or its code. `kerasgen.verification.steps` defines what counts as different.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from kerasgen.backward.options import GradientOptions
from kerasgen.builder import Built
from kerasgen.emit.quantize import compact, decoded
from kerasgen.errors import ParityError
from kerasgen.graph.facts import facts, setting
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.plan import Plan
from kerasgen.lowering import lower
from kerasgen.names import Namespace, printable
from kerasgen.passes import FINISH, LEVEL, PIPELINES, PURE, Pass, Pipeline, on_graph, passes
from kerasgen.readers.model import LayerSpec
from kerasgen.streaming.plans import plan_streaming
from kerasgen.verification.compare import EPSILONS, OutputReport, compare, flat, precisions
from kerasgen.verification.lines import Lines, Made
from kerasgen.verification.oracle import Call, Oracle
from kerasgen.verification.pure import PureLines, altered_lists, is_pure
from kerasgen.verification.steps import Fault, Walk, explained
from kerasgen.verification.streaming import streams

# What is at fault, by the stage at which the answer becomes wrong.
FAULTS: Mapping[str, str] = {
    "rule": "the rule for {kind}: the graph as built differs from Keras",
    "pass": "the pass {culprit}: the graph differs once it has run",
    "weights": "the weights in the module: {culprit} differs from the model's",
    "emitter": "the code of the module: {culprit}",
    "loss": "no layer by itself, but the rounding of the weights to {culprit}",
    "rounding": "no layer by itself, but more than rounding explains",
}


class Evidence(NamedTuple):
    """One layer in isolation: a plan of that layer alone, its inputs, its expected outputs, and the ones it gave."""

    config: Mapping[str, Any]
    plan: Plan
    inputs: Sequence[np.ndarray]
    expected: Sequence[np.ndarray]
    got: Sequence[np.ndarray]


@dataclass(frozen=True)
class Divergence:
    """The first layer whose output is wrong, and why.

    `layer` is its name, after the names of the models around it, with `#2` for its second call; "" if no layer is wrong
    by itself. `stage` is a key of `FAULTS`; `culprit` is the pass, the weights or the line of code. `outputs` compares
    the layer's outputs with the expected ones, computed from the same inputs. `unseen` names the layers whose outputs
    Keras does not show, because another layer wraps them.
    """

    stage: str
    layer: str = ""
    kind: str = ""
    culprit: str = ""
    outputs: tuple[OutputReport, ...] = ()
    unseen: tuple[str, ...] = ()
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def fault(self) -> str:
        """What is at fault, as text."""
        return FAULTS[self.stage].format(kind=printable(self.kind), culprit=printable(self.culprit))

    def __str__(self) -> str:
        """One readable line."""
        if not self.layer:
            return f"at fault: {self.fault}"
        wrong = max(self.outputs, key=lambda report: report.relative)
        layer = f"{printable(self.layer)} ({printable(self.kind)})"
        return f"first wrong layer: {layer}, {wrong.measure}, from the right inputs; at fault: {self.fault}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        data = asdict(replace(self, outputs=(), evidence=None))
        del data["evidence"]
        return {**data, "fault": self.fault, "outputs": [report.to_dict() for report in self.outputs]}


Arrays = Sequence[np.ndarray]


class Search:
    """Looks for the first wrong step: first in the graph as built, compared with Keras's layers; then in the module.

    `tolerance` is as for `kerasgen.verify`.
    """

    def __init__(self, built: Built, module: Any, truth: Oracle, tolerance: float | None = None) -> None:
        self.built, self.module, self.truth, self.tolerance = built, module, truth, tolerance
        self.graph = built.bind()
        self.kinds = {layer.name: layer.kind for layer in built.layers}
        self.makers = {name: node for node in self.graph.nodes for name in node.outputs}
        options = getattr(module, "EXPORT", {})
        self.dtype = options.get("weights_dtype", "")  # of the stored weights, "" for float32
        *_, (_, self.exact) = self._stages()
        self.final = self.exact
        if self.dtype:
            self.final = decoded(self.exact, compact(self.exact, self.dtype, options.get("keep", ())))
        self.lowered = lower(self.final.graph) if is_pure(module) else None
        self.lines = PureLines(module, self.final, self.lowered) if self.lowered else Lines(module, self.final)
        self.twins = twins(self.graph, self.final.graph)
        self.unseen: tuple[str, ...] = ()
        self.called: list[np.ndarray] = []  # Keras's outputs when run call by call

    def wrong_step(self, arrays: Arrays, expected: Arrays, answers: Arrays) -> Divergence | None:
        """The first wrong step on the way from the inputs to the module's `answers`; None if all steps are right.

        `expected` holds Keras's answers.
        """
        found = self._rule(arrays, expected)
        if found is None and self.dtype:
            found = self._pass(arrays) or self._weights(arrays) or self._code(arrays) or self._answers(arrays, answers)
        elif found is None and not self.is_right(arrays, answers):
            found = self._pass(arrays) or self._weights(arrays) or self._code(arrays)
            found = found or Divergence("emitter", culprit="it returns something else than it computes")
        return None if found is None else replace(found, unseen=self.unseen)

    def explained(
        self, arrays: Arrays, expected: Arrays, answers: Arrays, reports: list[OutputReport]
    ) -> list[OutputReport]:
        """The reports of the answers; those beyond the floor are judged by the witness.

        If Keras contradicts itself, the module may answer as Keras does call by call: some image layers don't round
        their results to whole numbers when they are compiled.
        """
        if len(self.called) == len(reports) and not all(report.ok for report in reports):
            rows = zip(reports, answers, self.called, strict=True)
            others = [compare(report.name, got, right, tolerance=report.tolerance) for report, got, right in rows]
            reports = [
                replace(other, given=report.given) if other.ok and not report.ok else report
                for report, other in zip(reports, others, strict=True)
            ]
        if self.tolerance is not None or all(report.ok for report in reports):
            return reports
        return explained(self.graph, arrays, answers, expected, reports, precisions(self.built.file.model))

    def unexplained(self, arrays: Arrays, expected: Arrays) -> Divergence:
        """The divergence to report if the answers differ although no step is wrong."""
        if self.dtype:
            return Divergence("loss", culprit=self.dtype, unseen=self.unseen)
        walk = Walk(self.graph, arrays, self.tolerance, keras=True)
        outputs = dict(zip(self.graph.outputs, expected, strict=True))
        fault = walk.offer(tuple(outputs), list(outputs.values()), precisions(self.built.file.model))
        if fault is None or not self.unseen:
            return Divergence("rounding", unseen=self.unseen)
        kinds = {self.kinds.get(layer.partition("#")[0], layer) for layer in self.unseen}
        return Divergence("rule", kind=" or ".join(sorted(kinds)), unseen=self.unseen)

    # ---------------------------------------------------------------- rules, by Keras's layers

    def _rule(self, arrays: Arrays, expected: Arrays) -> Divergence | None:
        """The first layer of the graph as built that differs from Keras's layer, given Keras's own inputs to it."""
        layers = {address: layer for layer, address in self.built.addresses.items()}
        seen: set[str] = set()
        found: Divergence | None = None
        walk = Walk(self.graph, arrays, self.tolerance, keras=True)
        answers: list[np.ndarray] = []
        try:
            for call in self.truth.layers(arrays, answers):
                layer = layers.get(call.address, "")
                names = self.graph.layers.get(layer, ())
                if names and len(names) == len(call.results):
                    seen.add(layer)
                    found = found or self._wrong_layer(walk, layer, call)
        except ParityError:  # Keras can't always run call by call what it can predict as a whole
            pass
        self.called = answers
        if found is not None and not self._agree(answers, expected):  # Keras contradicts itself
            found, seen = None, set()
        self.unseen = tuple(layer for layer in self.graph.layers if layer not in seen)
        return found

    def _wrong_layer(self, walk: Walk, layer: str, call: Call) -> Divergence | None:
        """What is wrong with the layer of this call, before or after a saturating activation."""
        names = self.graph.layers[layer]
        before = self._before(names) if call.before is not None else ()
        for made, results in ((before, [np.asarray(call.before)]), (names, call.results)):
            fault = self._offered(walk, made, results) if made else None
            if fault is not None:
                return self._found("rule", "", layer, fault, Plan(self.graph))
        return None

    def _offered(self, walk: Walk, names: tuple[str, ...], results: Arrays) -> Fault | None:
        """The fault in Keras's values, which may have been computed with less precision than the graph's."""
        policies = {str(_config(self.built, node.layer).get("dtype")) for node in walk.needed(names)}
        inside = {policy.removeprefix("mixed_") for policy in policies} | {array.dtype.name for array in results}
        arrays = [np.asarray(array, self.graph.specs[n].dtype) for n, array in zip(names, results, strict=True)]
        return walk.offer(names, arrays, inside & EPSILONS.keys())

    def _before(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The value before a layer's own saturating activation; () if it has none."""
        node = self.makers.get(names[0]) if len(names) == 1 else None
        if node is None or not facts(node.kernel).saturates:
            return ()
        maker = self.makers.get(str(node.inputs[0]))
        return (maker.output,) if maker is not None and maker.layer == node.layer else ()

    def _agree(self, answers: Arrays, expected: Arrays) -> bool:
        """Whether Keras gives the same answers call by call as in one run, apart from rounding."""
        if len(answers) != len(expected):
            return False
        tolerance = max(1e-2, self.tolerance or 0.0)
        reports = (compare("", a, b, tolerance=tolerance) for a, b in zip(answers, expected, strict=True))
        return all(report.ok for report in reports)

    # ---------------------------------------------------------------- the module

    def _stages(self) -> Iterator[tuple[str, Plan]]:
        """The plan after each pass, as in `kerasgen.api.generate`."""
        tuned = getattr(self.module, "EXPORT", {}).get("tune", {})
        plan = Plan(self.graph, choices=tuned.get("kernels", {}), block=tuned.get("block"))
        yield "", plan
        for name, step in self._pipeline():
            plan = step(plan).check()
            yield name, plan

    def _pipeline(self) -> Iterator[tuple[str, Pass]]:
        """The passes that made the module, by name. A module with `activations` keeps every layer."""
        level = getattr(self.module, "EXPORT", {}).get("optimize", LEVEL)
        pipelines = PURE if is_pure(self.module) else PIPELINES
        pipeline = self._shared_weights(level) or pipelines[level]
        keeps_layers, count = hasattr(self.module, "activations"), len(self.graph.outputs)
        if keeps_layers:
            yield "with_every_layer", on_graph(Graph.with_every_layer)
        yield from ((step.__name__, step) for step in passes(pipeline))
        if keeps_layers:
            yield "only_outputs", on_graph(lambda full: replace(full, outputs=full.outputs[:count]))
            yield from ((step.__name__, step) for step in FINISH.passes)

    def _shared_weights(self, level: int) -> Pipeline | None:
        """The passes of a module whose `predict` shares its weights with other functions."""
        if hasattr(self.module, "backward"):
            return GradientOptions.of(self.module.EXPORT["gradients"]).plan(self.built, self.graph, level).pipeline
        return plan_streaming(self.graph, level, self.built).pipeline if streams(self.module) else None

    def is_right(self, arrays: Arrays, answers: Arrays) -> bool:
        """Whether every step of the module is right, and `predict` returns what its lines compute."""
        if not self.lines.nodes:
            return Walk(self.graph, arrays, self.tolerance).offer(self.graph.outputs, answers) is None
        results = []
        for batch in self.lines.batches(arrays):
            steps = _ModuleSteps(self, batch)
            results.append(flat(self.lines.run(batch, steps.visit)))
            if steps.fault is not None:
                return False
        whole = [np.concatenate(parts) if np.ndim(parts[0]) else parts[0] for parts in zip(*results, strict=True)]
        reports = (compare("", a, b, tolerance=self.tolerance) for a, b in zip(whole, answers, strict=True))
        return all(report.ok for report in reports)

    def _pass(self, arrays: Arrays) -> Divergence | None:
        """The first wrong layer of the plan after all passes, and the pass that made it wrong."""
        if self._plan_fault(self.exact, arrays) is None:
            return None
        for name, after in self._stages():
            wrong = self._plan_fault(after, arrays)
            if wrong is not None:
                layer, fault = wrong
                return self._found("pass", name, layer, fault, Plan(self.graph))
        return None

    def _plan_fault(self, after: Plan, arrays: Arrays) -> tuple[str, Fault] | None:
        """The first wrong layer of a plan."""
        values = after.trace(*arrays)
        walk = Walk(self.graph, arrays, self.tolerance)
        same = twins(self.graph, after.graph)
        layers = {name: layer for layer, names in self.graph.layers.items() for name in names}
        for index, node in enumerate(after.graph.nodes):
            for name, built in same.get(index, ()):
                fault = walk.offer((built,), [values[name]])
                if fault is not None:
                    return layers.get(built, node.layer), fault
        return None

    def _weights(self, arrays: Arrays) -> Divergence | None:
        """The first layer made wrong by the module's own weights; in a module without NumPy, the altered weights."""
        if self.lowered is not None:
            altered = altered_lists(self.module, self.lowered)
            return Divergence("weights", culprit=", ".join(altered)) if altered else None
        own, loaded = getattr(self.module, "W", {}), self.final.loaded()
        altered = [name for name, array in loaded.items() if not _same(own.get(name), array)]
        if not altered:
            return None
        if not own.keys() >= set(altered):
            return Divergence("weights", culprit=", ".join(altered))
        apart, _ = activations_apart(self.final)
        damaged = Plan(replace(apart.graph, weights={**loaded, **{name: own[name] for name in altered}}))
        try:
            got = damaged.trace(*arrays)
        except Exception:  # weights of the wrong shape do not even run
            return Divergence("weights", culprit=", ".join(altered))
        walk = Walk(apart.graph, arrays, self.tolerance, weights=loaded)
        for node in apart.graph.nodes:
            fault = walk.offer(node.outputs, [got[name] for name in node.outputs])
            if fault is not None:
                culprit = ", ".join(name for name in altered if name in node.reads)
                return self._found("weights", culprit, node.layer, fault, damaged)
        return None

    def _code(self, arrays: Arrays) -> Divergence | None:
        """The first line of the module whose value differs from that of its node."""
        if not self.lines.lines:
            return None
        batch = next(self.lines.batches(arrays))
        apart, before = activations_apart(self.final)
        walk = Walk(apart.graph, batch, self.tolerance, weights=apart.loaded())
        found: list[Divergence] = []
        nodes = self.final.graph.nodes
        by_name = {node.outputs: index for index, node in enumerate(nodes)}

        def visit(number: int, made: Made) -> None:
            line = self.lines.lines[number]
            index = self.lines.nodes[number] if self.lines.nodes else by_name.get(line.names)
            if index is None or found:
                return
            node = nodes[index]
            if len(made.values) != len(node.outputs):
                return
            fault = None
            if made.before is not None and node.outputs[0] in before:
                fault = walk.offer((before[node.outputs[0]],), [made.before])
            fault = fault or walk.offer(node.outputs, made.values)
            if fault is not None:
                found.append(self._found("emitter", line.text, node.layer, fault, apart))

        self.lines.run(batch, visit)
        return found[0] if found else None

    def _answers(self, arrays: Arrays, answers: Arrays) -> Divergence | None:
        """The divergence if the answers differ from those of the plan that the module was printed from."""
        pairs = zip(answers, self.final.run(*arrays), strict=True)
        if all(compare("", got, right, tolerance=self.tolerance).ok for got, right in pairs):
            return None
        return Divergence("emitter", culprit="it returns something else than it computes")

    def _found(self, stage: str, culprit: str, layer: str, fault: Fault, plan: Plan) -> Divergence:
        """The divergence for a wrong layer; if a rule is at fault, Keras's values are the right ones."""
        plain, _, _ = layer.partition("#")
        right, got = (fault.got, fault.right) if stage == "rule" else (fault.right, fault.got)
        known = {name: array for name, array in fault.read.items() if array is not None}
        piece = plan.piece(fault.names, known)
        read = [value.name for value in piece.graph.inputs]
        evidence = Evidence(
            _config(self.built, layer),
            piece,
            [known[name] for name in read],
            [np.asarray(right[name]) for name in fault.names],
            [np.asarray(got[name]) for name in fault.names],
        )
        return Divergence(
            stage,
            layer,
            self.kinds.get(layer, self.kinds.get(plain, "")),
            culprit,
            tuple(compare(r.name, got[r.name], right[r.name], tolerance=r.tolerance) for r in fault.reports),
            evidence=evidence,
        )


class _ModuleSteps:
    """Compares the values of a module's lines with the same values of the graph as built, where it has them."""

    def __init__(self, search: Search, arrays: Arrays) -> None:
        self.search = search
        self.walk = Walk(search.graph, arrays, search.tolerance)
        self.fault: Fault | None = None

    def visit(self, number: int, made: Made) -> None:
        """Compare the value of a line."""
        search = self.search
        index = search.lines.nodes[number]
        if index is None:
            return
        node = search.final.graph.nodes[index]
        values = dict(zip(node.outputs, made.values, strict=True))
        for name, built in search.twins.get(index, ()):
            maker = search.makers[built]
            if made.before is not None and maker.kernel is node.attrs.get("activation"):
                self._offer(str(maker.inputs[0]), made.before)
            self._offer(built, values[name])

    def _offer(self, name: str, array: Any) -> None:
        if self.fault is None and name in self.search.makers:
            self.fault = self.walk.offer((name,), [array])


def twins(built: Graph, after: Graph) -> dict[int, list[tuple[str, str]]]:
    """The values in both graphs, as pairs of names, by the index of the node of `after` that computes them."""
    makers = {name: index for index, node in enumerate(after.nodes) for name in node.outputs}
    computed = built.makers()
    pairs = [
        (name, twin)
        for layer, names in after.layers.items()
        for name, twin in zip(names, built.layers[layer], strict=True)
    ]
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for name, twin in dict.fromkeys([*pairs, *zip(after.outputs, built.outputs, strict=False)]):
        if name in makers and twin in computed:
            found[makers[name]].append((name, twin))
    return found


def activations_apart(plan: Plan) -> tuple[Plan, dict[str, str]]:
    """The plan with each saturating activation as a node of its own; and, by each node's name, the value it reads."""
    graph = plan.graph
    nodes: list[Node] = []
    before: dict[str, str] = {}
    taken = (
        *graph.arrays,
        *(value.name for value in graph.inputs),
        *(n for node in graph.nodes for n in node.outputs),
    )
    names = Namespace(taken)
    for node in graph.nodes:
        activation: Any = node.attrs.get("activation")
        default = setting(node.kernel, "activation")
        if default is not None and default.default is None and facts(activation).saturates:
            name = before[node.output] = names.new(f"{node.output}_before")
            nodes.append(replace(node, outputs=(name,), attrs={**node.attrs, "activation": None}))
            node = Node(node.outputs, activation, (name,), {}, node.layer)
        nodes.append(node)
    return replace(plan, graph=replace(graph, nodes=tuple(nodes))), before


def _same(array: Any, other: np.ndarray) -> bool:
    return array is not None and (array.shape, array.dtype, array.tobytes()) == (
        other.shape,
        other.dtype,
        other.tobytes(),
    )


def _config(built: Built, layer: str) -> Mapping[str, Any]:
    """The config of a layer by its name in the graph; empty where no layer has that name."""
    spec: LayerSpec | None = None
    layers = built.file.model.layers
    for name, _ in built.addresses.get(layer, ()):
        spec = next((each for each in layers if each.name == name), spec)  # for a wrapped layer, the wrapper's
        layers = spec.model.layers if spec is not None and spec.model is not None else ()
    return spec.config if spec is not None else {}
