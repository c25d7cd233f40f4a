"""The rows of a report: one for each call of a layer."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from kerasgen.builder.builder import LayerReport
from kerasgen.graph.facts import multiply_adds
from kerasgen.graph.ir import Node, Value
from kerasgen.readers.model import Variable
from kerasgen.reporting.histograms import described
from kerasgen.reporting.pictures import picture
from kerasgen.reporting.placement import node_layers
from kerasgen.reporting.plain import plain
from kerasgen.reporting.structure import LayerCall
from kerasgen.reporting.subject import Subject

OWN_FUNCTION = re.compile("; (or )?give your own: .*")  # where a problem ends and its advice begins
CHANGE = "Change this part of the original model, or save the model without it; `kerasgen layers` lists what is known."


class Layers:
    """The rows of the layers of a model, and what is unsupported among them."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.built, self.structure = subject.built, subject.structure
        self.reports = {report.name: report for report in self.built.layers}
        self.nodes: dict[str, list[Node]] = defaultdict(list)
        for node, layer in zip(self.built.graph.nodes, node_layers(self.structure, self.built.graph), strict=True):
            self.nodes[layer or ""].append(node)
        self.parameters: dict[str, int] = defaultdict(int)
        for row in subject.summary.layers:
            self.parameters[self.structure.layer_of(row.name)] += row.parameters
        self.variables: dict[str, list[Variable]] = defaultdict(list)
        for variable in self.built.variables:
            self.variables[self.structure.layer_of("/".join(variable.owner))].append(variable)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each call. The weights of a layer that is called more than once are in the row of the first."""
        stored = self._stored()
        return [self._row(call, stored) for call in self.structure.calls]

    def problems(self) -> list[dict[str, str]]:
        """What is unsupported, and what to do about it."""
        ids = {call.layer_name: call.id for call in reversed(self.structure.calls)}
        return [
            {
                "layer": ids.get(self.structure.layer_of(report.name), ""),
                "kind": plain(report.kind),
                "problem": plain(OWN_FUNCTION.sub("", report.problem)),
                "advice": plain(_advice(report)),
            }
            for report in self.built.layers
            if report.problem
        ]

    def _row(self, call: LayerCall, stored: Mapping[str, list[tuple[int, ...]]]) -> dict[str, Any]:
        values = self._values(call)
        return {
            "id": call.id,
            "name": plain(call.spec.name),
            "kind": plain(call.spec.kind),
            "group": call.group,
            "shapes": self._shapes(call, values),
            "parameters": self.parameters[call.layer_name] if call.first else 0,
            "macs": self._macs(call),
            "config": plain(call.spec.config),
            "note": plain(self.reports[call.layer_name].note) if call.layer_name in self.reports else "",
            "weights": self._weights(call, stored) if call.first else [],
            **self._costs(call),
            "output_bytes": self._bytes(values),
            "error": self.subject.parity.error(call.graph_name) if self.subject.parity else None,
            "problem": (
                plain(OWN_FUNCTION.sub("", self.reports[call.layer_name].problem))
                if call.layer_name in self.reports
                else ""
            ),
            "activation": self._activation(call, values),
        }

    def _values(self, call: LayerCall) -> list[Value]:
        """What the call makes, as far as it was built."""
        if call.input is not None:
            return [self.built.graph.inputs[call.input]]
        return [self.built.specs[name] for name in self.built.graph.layers.get(call.graph_name, ())]

    def _shapes(self, call: LayerCall, values: list[Value]) -> list[list[int | None]] | None:
        report = self.reports.get(call.layer_name)
        shapes = [value.shape for value in values] or (report.shapes if report else None)
        return None if shapes is None else [list(shape) for shape in shapes]

    def _macs(self, call: LayerCall) -> int | None:
        report = self.reports.get(call.layer_name)
        if call.input is None and (report is None or report.variables is None):
            return None
        counts = [multiply_adds(node, self.built.specs) for node in self.nodes.get(call.id, ())]
        return None if None in counts else sum(count or 0 for count in counts)

    def _weights(self, call: LayerCall, stored: Mapping[str, list[tuple[int, ...]]]) -> list[dict[str, Any]]:
        rows = []
        for variable in self.variables.get(call.layer_name, ()):
            array = self.subject.weights.get(variable.key)
            dtype = self.built.specs[variable.key].dtype if array is None else array.dtype.name
            name = "/".join((*variable.owner[len(call.path) :], variable.name))
            rows.append({"name": plain(name), "shape": list(variable.shape), "dtype": dtype, **described(array)})
        if rows or call.layer_name not in stored:
            return rows
        shapes = enumerate(stored[call.layer_name], start=1)
        return [{"name": f"array {i}", "shape": list(shape), "dtype": "", **described(None)} for i, shape in shapes]

    def _stored(self) -> dict[str, list[tuple[int, ...]]]:
        """The shapes that the file has for layers that could not be built."""
        unbuilt = {report.name for report in self.built.layers if report.variables is None}
        shapes = self.built.file.weights.shapes(self.built.file.model, self.built.variables) if unbuilt else {}
        found: dict[str, list[tuple[int, ...]]] = defaultdict(list)
        for path, own in shapes.items():
            layer = self.structure.layer_of("/".join(path))
            if layer in unbuilt:
                found[layer] += own
        return found

    def _costs(self, call: LayerCall) -> dict[str, Any]:
        """The lines that compute the layer, their time as far as it is this layer's, and the peak of memory in them."""
        code, profile = self.subject.code, self.subject.profile
        if code is None:
            return {"lines": [], "time": None, "memory": None}
        places = code.places
        numbers = places.numbers(call.id, code.lines)
        if profile is None:
            return {"lines": numbers, "time": None, "memory": None}
        own = (seconds for seconds, owner in zip(profile.seconds, places.owners, strict=True) if owner == call.id)
        peaks = [profile.peaks[step] for step in places.steps.get(call.id, ())]
        return {"lines": numbers, "time": sum(own), "memory": max(peaks, default=None)}

    def _bytes(self, values: list[Value]) -> int | None:
        sizes = [self.built.graph.sample_bytes(value.name) for value in values]
        return int(sum(sizes)) if sizes and math.isfinite(sum(sizes)) else None

    def _activation(self, call: LayerCall, values: list[Value]) -> dict[str, Any] | None:
        array = self.subject.values.get(values[0].name) if values else None
        if array is None or not values[0].batched or not array.ndim or not len(array):
            return None
        return picture(array[0], channels_first=call.spec.config.get("data_format") == "channels_first")


def _advice(report: LayerReport) -> str:
    """What to do about a problem."""
    if not OWN_FUNCTION.search(report.problem):
        return CHANGE
    key = report.name if report.kind == "Lambda" else report.kind
    return f"Give a NumPy function of your own for it: `custom={{{key!r}: function}}`."
