"""How each layer compares with Keras, beside the verdict on the module as a whole.

The error of a layer is the distance of what the module makes of the inputs from what Keras makes of them, so it has the
errors of all layers before in it. A layer that is no value of the module's, because it is computed together with
another, has that of the graph as built. Whether that is only rounding, `kerasgen.verification` decides, for which every
step starts from the same numbers: where it finds nothing wrong, no layer is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kerasgen.builder import Built
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.reporting.plain import finite
from kerasgen.verification.compare import OutputReport, compare, precisions
from kerasgen.verification.divergence import twins
from kerasgen.verification.lines import Lines, Made
from kerasgen.verification.oracle import Call, Oracle
from kerasgen.verification.verify import Verification, compared

Values = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Watched(Oracle):
    """A model of Keras's that shows every call of a layer to somebody while it is verified."""

    visit: Callable[[Call], None] = field(default=lambda call: None)

    def layers(self, arrays: Sequence[np.ndarray], outputs: list[np.ndarray] | None = None) -> Any:
        """See Oracle."""
        for call in super().layers(arrays, outputs):
            self.visit(call)
            yield call


@dataclass(frozen=True)
class Parity:
    """The verdict, and the worst report of each layer by its name in the graph."""

    verification: Verification
    layers: Mapping[str, OutputReport]

    def error(self, layer: str) -> dict[str, Any] | None:
        """The error of a layer as plain data; None where Keras does not tell what it makes."""
        report, ok = self.layers.get(layer), True
        divergence = self.verification.divergence
        if divergence is not None and divergence.layer == layer and divergence.outputs:
            report, ok = max(divergence.outputs, key=lambda output: output.relative), False
        if report is None:
            return None
        explained = self.verification.ok and not report.ok
        tolerance = report.relative if explained else report.tolerance
        return {
            "relative": finite(report.relative),
            "absolute": finite(report.absolute),
            "tolerance": finite(tolerance),
            "ok": ok and (report.ok or explained),
        }


def parity(
    built: Built,
    plan: Plan,
    module: Any,
    truth: Oracle,
    arrays: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    values: Values,
) -> Parity:
    """Compare a module with Keras, which has answered `expected`. `values` are those of the graph as built.

    Raises ParityError where the module fails.
    """
    own = {**values, **module_values(Lines(module, plan), built.graph, plan, arrays)}
    inside = set(precisions(built.file.model))
    names = {address: name for name, address in built.addresses.items()}
    reports: dict[str, OutputReport] = {}

    def visit(call: Call) -> None:
        layer = names.get(call.address, "")
        made = built.graph.layers.get(layer, ())
        if len(made) != len(call.results) or not made:
            return
        pairs = [(name, own[name], right) for name, right in zip(made, call.results, strict=True) if name in own]
        found = [compare(name, got, right, inside=inside) for name, got, right in pairs]
        reports[layer] = max(found, key=lambda report: report.relative)

    watched = Watched(truth.model, truth.name, truth.library, truth.cut, visit=visit)
    verification = compared(built, module, {"": arrays}, {"": expected}, watched)
    return Parity(verification, reports)


def module_values(lines: Lines, built: Graph, plan: Plan, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """What the lines of a module make, where the graph as built has the same value, by its name there."""
    same = twins(built, plan.graph)
    parts: dict[str, list[np.ndarray]] = defaultdict(list)

    def visit(number: int, made: Made) -> None:
        index = lines.nodes[number] if lines.nodes else None
        if index is None:
            return
        values = dict(zip(plan.graph.nodes[index].outputs, made.values, strict=True))
        for name, twin in same.get(index, ()):
            parts[twin].append(np.array(values[name]))  # it may be in a buffer

    for batch in lines.batches(arrays):
        lines.run(batch, visit)
    return {name: np.concatenate(some) if some[0].ndim else some[0] for name, some in parts.items()}


def layer_values(graph: Graph, arrays: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of a graph as built, and what each of its layers makes of them. Raises what the kernels raise."""
    kept = {value.name for value in graph.inputs}.union(*graph.layers.values())
    unread = graph.readers()
    values: dict[str, Any] = {value.name: None for value, _ in graph.memory}
    values.update((value.name, np.asarray(x, value.dtype)) for value, x in zip(graph.inputs, arrays, strict=True))
    weights = graph.arrays
    for node in graph.nodes:
        values.update(zip(node.outputs, node.call({**weights, **values}), strict=True))
        unread.subtract(node.reads)
        for name in {*node.reads, *node.outputs} - kept:
            if unread[name] <= 0:
                values.pop(name, None)
    return {name: np.asarray(values[name]) for name in kept if values.get(name) is not None}
