"""The graph: a list of calls to NumPy functions, the form in which a model is built, optimised and printed.

A node becomes one line of the module. Its kernel IS the function that the line calls; edges are names. Arrays are
positional, settings are keywords. The graph can run itself, which makes every pass testable.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from kerasgen.graph.facts import is_users
from kerasgen.names import is_identifier

Shape = tuple[int | None, ...]
Operand = str | float | int | bool | None  # a name, or a literal; None is an absent array


@dataclass(frozen=True)
class Value:
    """An array that a node reads or computes: its name, its shape (None: known only at run time) and its dtype.

    `sizes` are the `Size`s that it holds, in an array of objects, if it is computed from the shape of another (see
    `kerasgen.layers.sizes`). `batched` tells that axis 0 is the batch, with `rows` rows per sample: several after
    `merge_steps`, None if their number is known only at run time.
    """

    name: str
    shape: Shape
    dtype: str
    sizes: np.ndarray | None = field(default=None, compare=False)
    batched: bool = field(default=True, compare=False)
    rows: int | None = field(default=1, compare=False)


@dataclass(frozen=True)
class Node:
    """`outputs = kernel(*inputs, **attrs)`; `layer` is the Keras layer that it came from."""

    outputs: tuple[str, ...]
    kernel: Callable[..., Any]
    inputs: tuple[Operand, ...] = ()
    attrs: Mapping[str, Any] = field(default_factory=dict)
    layer: str = ""

    @property
    def output(self) -> str:
        """The only output."""
        (name,) = self.outputs
        return name

    @property
    def reads(self) -> tuple[str, ...]:
        """The names among the inputs."""
        return tuple(i for i in self.inputs if isinstance(i, str))

    @property
    def repeatable(self) -> bool:
        """Whether equal inputs give equal outputs: the user's own functions may not."""
        return not any(map(is_users, (self.kernel, *self.attrs.values())))

    def call(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """Run the kernel on the values of its inputs; one array per output."""
        result = self.kernel(*(values[i] if isinstance(i, str) else i for i in self.inputs), **self.attrs)
        return tuple(result) if len(self.outputs) > 1 else (result,)

    def with_attrs(self, **attrs: Any) -> Node:
        """The node with these settings changed."""
        return replace(self, attrs={**self.attrs, **attrs})


@dataclass(frozen=True)
class Graph:
    """A model as straight-line code.

    `outputs` are the values returned, `output_names` the model's names for them; `keyed` tells that the model returns
    a dict. `layers` maps a layer's name to the values that hold its output, as long as there are any. `memory` is the
    state that stateful layers carry to the next call: the value at the start of a call, None in the first, and the
    name of the value that replaces it.

    `specs` are the shape and dtype of every value as it was built, without the borders that passes add.

    `variables` are weights that training changes: no pass may compute with their present numbers, as it may with those
    of `weights`.
    """

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    weights: Mapping[str, np.ndarray]
    output_names: tuple[str, ...] = ()
    keyed: bool = False
    layers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    memory: tuple[tuple[Value, str], ...] = ()
    specs: Mapping[str, Value] = field(default_factory=dict)
    variables: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """Every weight by name, whether training changes it or not."""
        return {**self.weights, **self.variables}

    def with_variables(self, names: Container[str]) -> Graph:
        """The graph with these weights as variables, and no others."""
        arrays = self.arrays
        weights = {name: array for name, array in arrays.items() if name not in names}
        return replace(self, weights=weights, variables={k: v for k, v in arrays.items() if k not in weights})

    def run(self, *arrays: np.ndarray, states: dict[str, Any] | None = None) -> tuple[np.ndarray, ...]:
        """The outputs for these inputs, by interpreting the nodes; `states` holds the memory between calls."""
        values = self.trace(*arrays, states=states)
        return tuple(values[name] for name in self.outputs)

    def trace(
        self,
        *arrays: np.ndarray,
        states: dict[str, Any] | None = None,
        weights: Mapping[str, np.ndarray] | None = None,
    ) -> dict[str, Any]:
        """Every value by name: inputs, weights and the results of each node. `weights` replaces all the graph's own."""
        states = {} if states is None else states
        values: dict[str, Any] = dict(self.arrays if weights is None else weights)
        values.update((value.name, states.get(value.name)) for value, _ in self.memory)
        values.update((v.name, np.asarray(a, v.dtype)) for v, a in zip(self.inputs, arrays, strict=True))
        for node in self.nodes:
            values.update(zip(node.outputs, node.call(values), strict=True))
        states.update((value.name, values[name]) for value, name in self.memory)
        return values

    @property
    def results(self) -> tuple[str, ...]:
        """What the nodes must compute: the outputs, and the state for the next call."""
        return (*self.outputs, *(name for _, name in self.memory))

    def with_every_layer(self) -> Graph:
        """The graph with every layer's values as outputs, after the model's own, so that no pass merges them."""
        values = dict.fromkeys(name for names in self.layers.values() for name in names)
        return replace(self, outputs=(*self.outputs, *values))

    def piece(self, outputs: Sequence[str], inputs: Mapping[str, np.ndarray]) -> Graph:
        """The part of the graph that computes these outputs from these inputs, which are values of the graph.

        The inputs must suffice: with the graph's own among them they do. Stateful layers start afresh.
        """
        fresh = {value.name: None for value, _ in self.memory}
        cut = inputs.keys() - set(outputs)
        needed = set(outputs)
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs) - cut:
                operands = tuple(fresh.get(i, i) if isinstance(i, str) else i for i in node.inputs)
                nodes.insert(0, replace(node, inputs=operands))
                needed.update(nodes[0].reads)
        read = dict.fromkeys([*(name for node in nodes for name in node.reads), *outputs])
        weights = {name: self.weights[name] for name in read if name in self.weights}
        variables = {name: self.variables[name] for name in read if name in self.variables}
        defined = {*weights, *variables, *(name for node in nodes for name in node.outputs)}
        arrays = {name: inputs[name] for name in read if name not in defined}
        values = [Value(name, (None, *a.shape[1:])[: a.ndim], a.dtype.name) for name, a in arrays.items()]
        names = tuple(outputs)
        whole = Graph(tuple(values), tuple(nodes), names, weights, names, specs=self.specs, variables=variables)
        return whole.check()

    def makers(self) -> dict[str, Node]:
        """The node that computes each value."""
        return {name: node for node in self.nodes for name in node.outputs}

    def readers(self) -> Counter[str]:
        """How many times each name is read, by nodes and as a result."""
        return Counter(name for node in self.nodes for name in node.reads) + Counter(self.results)

    def same_form(self, *names: str) -> bool:
        """Whether these values are known to have the same shape and dtype."""
        forms = {(self.specs[name].shape, self.specs[name].dtype) for name in names if name in self.specs}
        return len(forms) == 1 and self.specs.keys() >= set(names)

    def sample_bytes(self, name: str) -> float:
        """The bytes of a value for one sample: infinity if a size is known only at run time, 0 if nothing is known."""
        spec = self.specs.get(name)
        if spec is None:
            return 0
        sizes = (spec.rows, *spec.shape[1:])
        return math.inf if None in sizes else math.prod(size or 1 for size in sizes) * np.dtype(spec.dtype).itemsize

    def rewrite(
        self,
        nodes: Iterable[Node],
        renamed: Mapping[str, str] | None = None,
        *,
        changed: Set[str] = frozenset(),
    ) -> Graph:
        """The graph with these nodes, where every reader of a name in `renamed` reads the other name instead.

        A layer is dropped from `layers` when its value is gone or in `changed`: it is no longer the layer's output.
        Weights stay until `drop_unused` removes them.
        """
        new_names = dict(renamed or {})

        def final(name: Any) -> Any:
            passed = []
            while isinstance(name, str) and name in new_names:
                passed.append(name)
                name = new_names[name]
            new_names.update(dict.fromkeys(passed, name))  # path compression
            return name

        new_nodes = tuple(replace(node, inputs=tuple(map(final, node.inputs))) for node in nodes)
        first = (v.name for v in (*self.inputs, *(value for value, _ in self.memory)))
        defined = set(first).union(*(node.outputs for node in new_nodes))
        unchanged = ((layer, names) for layer, names in self.layers.items() if changed.isdisjoint(names))
        layers = {layer: tuple(map(final, names)) for layer, names in unchanged}
        return replace(
            self,
            nodes=new_nodes,
            outputs=tuple(map(final, self.outputs)),
            memory=tuple((value, final(name)) for value, name in self.memory),
            layers={layer: names for layer, names in layers.items() if defined.issuperset(names)},
        )

    def substitute(
        self,
        replaced: Mapping[str, Node],
        renamed: Mapping[str, str] | None = None,
        *,
        removed: Container[str] = (),
        changed: Set[str] = frozenset(),
    ) -> Graph:
        """The graph with some nodes replaced and some removed, all by the name of their first output.

        The readers of a node in `renamed` read the other name instead; nothing may read one in `removed`. `changed` is
        as in `rewrite`.
        """
        renamed = renamed or {}
        rest = (node for node in self.nodes if node.outputs[0] not in renamed and node.outputs[0] not in removed)
        return self.rewrite((replaced.get(node.outputs[0], node) for node in rest), renamed, changed=changed)

    def check(self) -> Graph:
        """The graph itself, if it is sound.

        Every name is an identifier, defined once, and before it is read; weights are in this machine's byte order.
        """
        defined = set(self.arrays)
        swapped = [name for name, array in self.arrays.items() if not array.dtype.isnative]
        assert not swapped, f"{swapped} are not in this machine's byte order"

        def define(names: Iterable[str]) -> None:
            for name in names:
                assert is_identifier(name), f"{name!r} is no identifier"
                assert name not in defined, f"{name!r} is defined twice"
                defined.add(name)

        define(v.name for v in self.inputs)
        define(value.name for value, _ in self.memory)
        for node in self.nodes:
            assert defined.issuperset(node.reads), f"{node.outputs} reads {set(node.reads) - defined} too early"
            define(node.outputs)
        needed = {*self.results, *(name for names in self.layers.values() for name in names)}
        assert defined.issuperset(needed), f"nothing computes {needed - defined}"
        return self
