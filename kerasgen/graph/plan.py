"""What only a printed module has, beside its graph: layouts of weights, buffers, the size of batches and blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kerasgen.graph.ir import Graph

Layout = tuple[Callable[..., np.ndarray], Mapping[str, Any]]  # a function of the weight, and its settings


@dataclass(frozen=True)
class Plan:
    """How a module computes a graph.

    `layouts` say which weights the kernels want in another layout: it is made once, when the weights are loaded.
    `buffers` names the memory that results are put into; `out` maps a value to its buffer, or to the value that it is
    written over. `max_batch` is the most samples of one run, None for any number. `block` are the bytes of a block,
    None for what suits most caches.
    """

    graph: Graph
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    buffers: tuple[str, ...] = ()
    out: Mapping[str, str] = field(default_factory=dict)
    max_batch: int | None = None
    block: int | None = None

    def on(self, graph: Graph) -> Plan:
        """The plan of another graph: what that no longer has leaves the plan, too."""
        values = {name for node in graph.nodes for name in node.outputs}
        return replace(
            self,
            graph=graph,
            layouts={name: layout for name, layout in self.layouts.items() if name in graph.weights},
            out={name: place for name, place in self.out.items() if name in values},
        )

    def loaded(self) -> dict[str, np.ndarray]:
        """The weights as the kernels want them."""
        weights = self.graph.weights
        laid_out = {name: layout(weights[name], **settings) for name, (layout, settings) in self.layouts.items()}
        return {**weights, **laid_out}

    def run(self, *arrays: np.ndarray, states: dict[str, Any] | None = None) -> tuple[np.ndarray, ...]:
        """The outputs for these inputs: see `Graph.run`."""
        values = self.trace(*arrays, states=states)
        return tuple(values[name] for name in self.graph.outputs)

    def trace(self, *arrays: np.ndarray, states: dict[str, Any] | None = None) -> dict[str, Any]:
        """Every value by name: see `Graph.trace`."""
        return self.graph.trace(*arrays, states=states, weights=self.loaded())

    def piece(self, wanted: Sequence[str], known: Mapping[str, np.ndarray]) -> Plan:
        """The part that makes the wanted values of known ones, without buffers: see `Graph.piece`."""
        graph = self.graph.piece(wanted, known)
        return Plan(graph, {name: layout for name, layout in self.layouts.items() if name in graph.weights})

    def check(self) -> Plan:
        """The plan itself, if it is sound."""
        self.graph.check()
        values = {name for node in self.graph.nodes for name in node.outputs}
        assert self.layouts.keys() <= self.graph.weights.keys(), "a layout of no weight"
        assert self.out.keys() <= values, "a buffer for no value"
        assert set(self.out.values()) <= values.union(self.buffers), "a value is put where nothing is"
        return self
