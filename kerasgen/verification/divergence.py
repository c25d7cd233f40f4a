"""Where a module begins to differ from its model: the first layer that is wrong, and the step that made it so.

A model is turned into a module in a straight line, so a wrong answer localises itself: where Keras's layers differ from
the graph as built, a rule is at fault; from the optimised graph, a pass; from the module, its weights or its code.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from kerasgen.builder import Built, build
from kerasgen.builder.custom import Rules
from kerasgen.emit.runtime import MARKER
from kerasgen.errors import ParityError
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.names import printable
from kerasgen.passes import FINISH, LEVEL, PIPELINES, Pass, on_graph, passes
from kerasgen.readers.model import LayerSpec, ModelFile
from kerasgen.verification.compare import OutputReport, compare, flat, precisions
from kerasgen.verification.oracle import Oracle

# What is at fault, by the stage at which the answer becomes wrong.
FAULTS: Mapping[str, str] = {
    "rule": "the rule for {kind}: the graph as built differs from Keras",
    "pass": "the pass {culprit}: the graph differs once it has run",
    "weights": "the weights in the module: {culprit} differs from the model's",
    "emitter": "the code of the module: {culprit}",
    "rounding": "no layer by itself: small errors of many add up",
}


class Evidence(NamedTuple):
    """A layer by itself: a plan of nothing else, the arrays that it reads, what it should make, and what it made."""

    config: Mapping[str, Any]
    plan: Plan
    inputs: Sequence[np.ndarray]
    expected: Sequence[np.ndarray]
    got: Sequence[np.ndarray]


@dataclass(frozen=True)
class Divergence:
    """The first layer whose output is wrong, and why.

    `layer` is its name after those of the models around it, with `#2` at its second call; "" where no layer is wrong by
    itself. `stage` is one of `FAULTS`; `culprit` the pass, the weights or the line of code. `inputs` and `outputs`
    compare the arrays that it reads and makes with what they should be. `unseen` names the layers whose output Keras
    does not tell, because another layer wraps them.
    """

    stage: str
    layer: str = ""
    kind: str = ""
    culprit: str = ""
    inputs: tuple[OutputReport, ...] = ()
    outputs: tuple[OutputReport, ...] = ()
    unseen: tuple[str, ...] = ()
    evidence: Evidence | None = field(default=None, repr=False, compare=False)

    @property
    def fault(self) -> str:
        """What is at fault, in words."""
        return FAULTS[self.stage].format(kind=printable(self.kind), culprit=printable(self.culprit))

    def __str__(self) -> str:
        """One line for people."""
        if not self.layer:
            return f"at fault: {self.fault}"
        read = max((report.relative for report in self.inputs), default=0.0)
        wrong = max(self.outputs, key=lambda report: report.relative)
        return (
            f"first wrong layer: {printable(self.layer)} ({printable(self.kind)}), {wrong.measure}; "
            f"what it reads: error {read:.2g}; at fault: {self.fault}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        data = asdict(replace(self, inputs=(), outputs=(), evidence=None))
        del data["evidence"]
        sides = {"inputs": self.inputs, "outputs": self.outputs}
        return {**data, "fault": self.fault, **{k: [r.to_dict() for r in reports] for k, reports in sides.items()}}


def explain(
    file: ModelFile,
    module: Any,
    arrays: Sequence[np.ndarray],
    truth: Oracle,
    *,
    custom: Rules | None = None,
    tolerance: float | None = None,
) -> Divergence:
    """Why a module that was loaded answers these inputs differently from its model.

    `truth` is the model as Keras has it; `tolerance` as for `kerasgen.verify`. Raises what reading and building raise.
    """
    built = build(file, custom)
    return _Search(built, module, arrays, truth, tolerance).run()


Values = Mapping[str, Any]  # arrays by the names of a graph's values
Layers = Mapping[str, tuple[str, ...]]  # the values that hold a layer's output


class _Search:
    def __init__(
        self, built: Built, module: Any, arrays: Sequence[np.ndarray], truth: Oracle, tolerance: float | None
    ) -> None:
        self.built, self.module, self.arrays, self.truth = built, module, arrays, truth
        self.tolerance = tolerance
        self.inside = set(precisions(built.file.model))
        self.kinds = {layer.name: layer.kind for layer in built.layers}
        self.unseen: list[str] = []

    def run(self) -> Divergence:
        graph = self.built.bind()
        values = graph.trace(*self.arrays)
        found = self._rule(graph, values) or self._unseen_rule(values)
        if found is None:
            plan, found = self._pass(graph, values)
            found = found or self._weights(plan) or self._code(plan) or Divergence("rounding")
        return replace(found, unseen=tuple(self.unseen))

    def _compare(self, names: Sequence[str], got: Values, right: Values) -> tuple[OutputReport, ...]:
        return tuple(compare(n, got[n], right[n], tolerance=self.tolerance, inside=self.inside) for n in names)

    def _wrong(self, names: Sequence[str], got: Values, right: Values) -> bool:
        return not all(report.ok for report in self._compare(names, got, right))

    def _found(
        self, stage: str, culprit: str, layer: str, names: Sequence[str], plan: Plan, got: Values, right: Values
    ) -> Divergence:
        """What is wrong with the values of a layer, which read right ones."""
        plain, _, _ = layer.partition("#")
        known = {name: np.asarray(right[name], np.asarray(got[name]).dtype) for name in right.keys() & got.keys()}
        piece = plan.piece(names, known)
        read = [value.name for value in piece.graph.inputs]
        evidence = Evidence(
            _config(self.built, layer),
            piece,
            [known[name] for name in read],
            [np.asarray(right[name]) for name in names],
            [np.asarray(got[name]) for name in names],
        )
        return Divergence(
            stage,
            layer,
            self.kinds.get(layer, self.kinds.get(plain, "")),
            culprit,
            self._compare(read, got, right),
            self._compare(names, got, right),
            evidence=evidence,
        )

    def _rule(self, graph: Graph, values: Values) -> Divergence | None:
        """The first layer of the graph as built that differs from Keras's, given what Keras gives it."""
        try:
            made = self.truth.layers(self.arrays)
        except ParityError:  # what Keras predicts as a whole it cannot always do call by call
            made = {}
        right: dict[str, Any] = {value.name: array for value, array in zip(graph.inputs, self.arrays, strict=True)}
        for layer, names in graph.layers.items():
            arrays = made.get(self.built.addresses[layer], [])
            if len(arrays) != len(names):
                self.unseen.append(layer)
                continue
            before = dict(right)
            right.update(zip(names, arrays, strict=True))
            if not self._wrong(names, values, right):
                continue
            known = {name: np.asarray(array, values[name].dtype) for name, array in before.items()}
            piece = graph.piece(names, known)
            alone = piece.trace(*(known[value.name] for value in piece.inputs))
            if self._wrong(names, alone, right):
                return self._found("rule", "", layer, names, Plan(graph), {**values, **alone}, right)
        return None

    def _unseen_rule(self, values: Values) -> Divergence | None:
        """That a rule is at fault, where the graph as built differs but Keras does not tell in which layer."""
        names = self.built.graph.outputs
        if not self.unseen or not self._wrong(names, values, dict(zip(names, self.truth(self.arrays), strict=True))):
            return None
        kinds = {self.kinds.get(layer.partition("#")[0], layer) for layer in self.unseen}
        return Divergence("rule", kind=" or ".join(sorted(kinds)))

    def _pipeline(self, graph: Graph) -> Iterator[tuple[str, Pass]]:
        """The passes that made the module, by name: one with `activations` keeps every layer."""
        pipeline = PIPELINES[getattr(self.module, "OPTIMIZED", LEVEL)]
        keeps_layers = hasattr(self.module, "activations")
        if keeps_layers:
            yield "with_every_layer", on_graph(Graph.with_every_layer)
        yield from ((step.__name__, step) for step in passes(pipeline))
        if keeps_layers:
            yield "only_outputs", on_graph(lambda full: replace(full, outputs=full.outputs[: len(graph.outputs)]))
            yield from ((step.__name__, step) for step in FINISH.passes)

    def _pass(self, graph: Graph, base: Values) -> tuple[Plan, Divergence | None]:
        """The plan after all passes, and what the first wrong one of them has broken."""
        plan, stages = Plan(graph), []
        for name, step in self._pipeline(graph):
            plan = step(plan).check()
            stages.append((name, plan))
        if self._broken("", plan, base) is None:
            return plan, None
        return plan, next(filter(None, (self._broken(name, after, base) for name, after in stages)), None)

    def _broken(self, name: str, after: Plan, base: Values) -> Divergence | None:
        """What differs in the plan after this pass, if its outputs do."""
        built, graph = self.built.graph, after.graph
        got = after.trace(*self.arrays)
        outputs = {new: base[old] for new, old in zip(graph.outputs, built.outputs, strict=False)}
        if not self._wrong(tuple(outputs), got, outputs):
            return None
        right = {value.name: base[value.name] for value in graph.inputs}
        for layer, names in graph.layers.items():
            right.update(zip(names, (base[old] for old in built.layers[layer]), strict=True))
            if self._wrong(names, got, right):
                return self._found("pass", name, layer, names, after, got, right)
        return Divergence("pass", culprit=name)

    def _weights(self, plan: Plan) -> Divergence | None:
        """The first layer that the module's own weights make wrong."""
        own, loaded = getattr(self.module, "W", {}), plan.loaded()
        altered = [name for name, array in loaded.items() if not _same(own.get(name), array)]
        if not altered:
            return None
        if not own.keys() >= set(altered):
            return Divergence("weights", culprit=", ".join(altered))
        right = plan.trace(*self.arrays)
        damaged = Plan(replace(plan.graph, weights={**loaded, **{name: own[name] for name in altered}}))
        try:
            got = damaged.trace(*self.arrays)
        except Exception:  # weights of another shape do not even run
            return Divergence("weights", culprit=", ".join(altered))
        for node in plan.graph.nodes:
            if self._wrong(node.outputs, got, right):
                culprit = ", ".join(name for name in altered if name in node.reads)
                return self._found("weights", culprit, node.layer, node.outputs, damaged, got, right)
        return None

    def _code(self, plan: Plan) -> Divergence | None:
        """The first line of the module whose value differs from the plan's."""
        graph, right = plan.graph, plan.trace(*self.arrays)
        buffers = plan.buffers or None
        lines = [line for line in _recorded(self.module, self.arrays) if line.names != buffers]
        lines = lines[len(graph.inputs) + len(graph.memory) :]
        by_name = {name: line for line in lines for name in line.names}
        in_order = len(lines) - len(graph.nodes) in (0, 1)  # the last line may return what others have made
        got = dict(right)
        for index, node in enumerate(graph.nodes):
            line = lines[index] if in_order else by_name.get(node.outputs[0])
            if line is None or len(line.values) != len(node.outputs):
                continue
            got.update(zip(node.outputs, line.values, strict=True))
            if self._wrong(node.outputs, got, right):
                return self._found("emitter", line.text, node.layer, node.outputs, plan, got, right)
        return Divergence("emitter", culprit="it returns something else than it computes") if in_order else None


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
        spec = next(each for each in layers if each.name == name)
        layers = spec.model.layers if spec.model is not None else ()
    return spec.config if spec is not None else {}


class _Line(NamedTuple):
    """One line of `predict` as it ran: its text, the names that it gives values, and the values."""

    text: str
    names: tuple[str, ...]
    values: list[np.ndarray]


def _recorded(module: Any, arrays: Sequence[np.ndarray]) -> list[_Line]:
    """The lines of a module's `predict` that make values, run on these inputs; the values are copied at once."""
    tree = ast.parse(module.__spec__.loader.get_data("").partition(b"\n" + MARKER)[0])
    (predict,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "predict")
    predict.body = [node for node in predict.body if not isinstance(node, ast.If)]  # all the samples in one run
    lines: list[_Line] = []

    def record(text: str, names: tuple[str, ...], made: Any) -> Any:
        lines.append(_Line(text, names, [np.array(value) for value in flat(made)]))
        return made

    tree.body = [_Recorder().visit(predict)]
    scope = {**vars(module), "_record": record}
    exec(compile(ast.fix_missing_locations(tree), "<predict>", "exec"), scope)
    getattr(module, "reset_states", dict)()
    predict_: Callable[..., Any] = scope["predict"]
    try:
        predict_(*arrays)
    except Exception as error:  # what was recorded so far stands
        lines.append(_Line(f"{type(error).__name__}: {error}", (), []))
    return lines


class _Recorder(ast.NodeTransformer):
    """Hands every value that a function makes or returns to `_record`."""

    def visit_Assign(self, node: ast.Assign) -> Any:
        """Record what was assigned."""
        names = [n.id for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        loads: list[ast.expr] = [ast.Name(name, ast.Load()) for name in names]
        return [node, ast.Expr(self._call(node, names, ast.Tuple(loads, ast.Load())))]

    def visit_Return(self, node: ast.Return) -> Any:
        """Record what is returned."""
        return ast.Return(self._call(node, [], node.value or ast.Constant(None)))

    def _call(self, node: ast.stmt, names: Sequence[str], value: ast.expr) -> ast.Call:
        about: list[ast.expr] = [ast.Constant(ast.unparse(node)), ast.Tuple([*map(ast.Constant, names)], ast.Load())]
        return ast.copy_location(ast.Call(ast.Name("_record", ast.Load()), [*about, value], []), node)
