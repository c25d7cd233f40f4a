"""What a module has beside its graph: layouts of weights, buffers, the sizes of batches and blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from kerasgen.graph.facts import is_users, setting
from kerasgen.graph.ir import Graph

Layout = tuple[Callable[..., np.ndarray], Mapping[str, Any]]  # a function of the weight, and its settings


class Tuning(NamedTuple):
    """What was measured to be fast on some machine: the kernels of layers by the value that they compute, as
    `kerasgen.passes.plan.choose_kernels` names them, and the bytes of a block, None for what suits most caches."""

    choices: Mapping[str, str] = {}
    block: int | None = None


@dataclass(frozen=True)
class Plan:
    """How a module computes a graph.

    `layouts` are the weights that kernels need in another layout, converted once, when the weights are loaded.
    `buffers` names the memory that results are put into; `out` maps a value to its buffer, or to the value that it
    overwrites. `max_batch` is the maximum samples per run, None for any number; where the input has open sizes,
    `max_elements` is the maximum elements of the input instead. `block` is the size of a block in bytes, None for what
    suits most caches, and `choices` are the kernels that were measured to be fast: see `Tuning`.

    The module's threads share a batch of samples of at least `shares_batch` elements, none if it is None. Samples of at
    least `own_threads` elements have their layers shared by these threads, unless the user asks for something else; the
    BLAS's threads share the products of all others, and of all samples if it is None.
    """

    graph: Graph
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    buffers: tuple[str, ...] = ()
    out: Mapping[str, str] = field(default_factory=dict)
    max_batch: int | None = None
    max_elements: int | None = None
    shares_batch: int | None = None
    block: int | None = None
    choices: Mapping[str, str] = field(default_factory=dict)
    own_threads: int | None = None

    def on(self, graph: Graph) -> Plan:
        """The plan for another graph, without the layouts and results that it no longer has."""
        values = {name for node in graph.nodes for name in node.outputs}
        return replace(
            self,
            graph=graph,
            layouts={name: layout for name, layout in self.layouts.items() if name in graph.weights},
            out={name: place for name, place in self.out.items() if name in values},
        )

    def loaded(self) -> dict[str, np.ndarray]:
        """The weights in the layouts that the kernels need."""
        weights = self.graph.weights
        laid_out = {name: layout(weights[name], **settings) for name, (layout, settings) in self.layouts.items()}
        return {**self.graph.arrays, **laid_out}

    @cached_property
    def shares_work(self) -> bool:
        """Whether a team of processes may answer: some layer goes by blocks, no state is kept from call to call, and no
        function is the user's, of which only the name is known."""
        nodes = self.graph.nodes
        functions = (function for node in nodes for function in (node.kernel, *node.attrs.values()))
        by_blocks = bool(self.buffers) or any(setting(node.kernel, "border") for node in nodes)
        return by_blocks and not self.graph.memory and not any(map(is_users, functions))

    @property
    def threads(self) -> str:
        """How many threads share a layer if nothing else is asked for: see `kerasgen.kernels.threads.thread_count`."""
        return "1" if self.own_threads is None or not self.shares_work else "blas"

    def run(self, *arrays: np.ndarray, states: dict[str, Any] | None = None) -> tuple[np.ndarray, ...]:
        """The outputs for these inputs: see `Graph.run`."""
        values = self.trace(*arrays, states=states)
        return tuple(values[name] for name in self.graph.outputs)

    def trace(self, *arrays: np.ndarray, states: dict[str, Any] | None = None) -> dict[str, Any]:
        """Every value by name: see `Graph.trace`."""
        return self.graph.trace(*arrays, states=states, weights=self.loaded())

    def piece(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> Plan:
        """The part that computes these outputs from these inputs, without buffers: see `Graph.piece`."""
        graph = self.graph.piece(outputs, inputs)
        return Plan(graph, {name: layout for name, layout in self.layouts.items() if name in graph.weights})

    def clashes(self, other: Plan) -> set[str]:
        """The weights that two plans want in different layouts, or with different numbers."""
        own, others = self.graph.weights, other.graph.weights
        return {
            name
            for name in own.keys() & others.keys()
            if self.layouts.get(name) != other.layouts.get(name) or not np.array_equal(own[name], others[name])
        }

    def check(self) -> Plan:
        """The plan itself, if it is sound."""
        self.graph.check()
        values = {name for node in self.graph.nodes for name in node.outputs}
        assert self.layouts.keys() <= self.graph.weights.keys(), "a layout for a weight that does not exist"
        assert self.out.keys() <= values, "a buffer for a value that does not exist"
        assert set(self.out.values()) <= values.union(self.buffers), "a value in a buffer that does not exist"
        return self
