"""A graph under construction: adopts what rules emit, under final names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Graph, Node, Shape, Value
from kerasgen.layers.layer import Layer
from kerasgen.names import PYTHON, RESERVED, Namespace, identifier, path_name
from kerasgen.readers.model import LayerPath, Variable


class Draft:
    """Inputs, nodes and declared weights so far. `layers` are the paths of all layers of the model."""

    def __init__(self, layers: Iterable[LayerPath]) -> None:
        names = {identifier(path_name(path)) for path in layers}
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.variables: dict[str, tuple[Variable, Value]] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.specs: dict[str, Value] = {}
        self.states: dict[str, Value] = {}  # after the last call of a stateful layer
        self._memory: dict[str, Value] = {}  # before its first call
        self._names = Namespace([*PYTHON, *RESERVED, *kernels.__all__], names)  # of values
        self._keys = Namespace(expected=names)  # of weights, which may share a name with a kernel
        self._layer_names: dict[LayerPath, tuple[str, str]] = {}  # in both

    def input(self, name: str, shape: Shape, dtype: str) -> Value:
        """Add an input of the model."""
        value = self._value(name, shape, dtype)
        self.inputs.append(value)
        return value

    def assume(self, path: LayerPath, shape: Shape, dtype: str) -> Value:
        """An output of a layer that could not be built; no node produces it."""
        return self._value(path_name(path), shape, dtype)

    def _value(self, name: str, shape: Shape, dtype: str) -> Value:
        value = Value(self._names.new(name), shape, dtype)
        self.specs[value.name] = value
        return value

    def call_names(self, path: LayerPath, call: int) -> tuple[str, str]:
        """The prefixes for the names of a layer's weights and of a call's values; the latter numbers later calls."""
        if path not in self._layer_names:
            name = path_name(path)
            self._layer_names[path] = self._keys.new(name), self._names.new(name)
        key, output = self._layer_names[path]
        return key, output if call == 1 else self._names.new(output)

    def adopt(self, layer: Layer, results: Sequence[Value], others: Iterable[Value] = ()) -> list[Value]:
        """Take over the weights and nodes of a layer; returns `results` and `others` under their final names.

        Raises InvalidModelError if the calls of a shared layer disagree on the shape of a weight.
        """
        self._declare(layer)
        self._start_states(layer)
        self._name_values(layer, results)
        for node in layer.nodes:
            inputs = tuple(layer.final.get(i, i) if isinstance(i, str) else i for i in node.inputs)
            self.nodes.append(replace(node, outputs=tuple(layer.final[name] for name in node.outputs), inputs=inputs))
        layer.nodes.clear()
        self.states.update((key, layer.renamed(value)) for key, value in layer.remembered.items())
        return [layer.renamed(value) for value in (*results, *others)]

    def cast(self, value: Value, dtype: str) -> Value:
        """Add a node that casts a value."""
        result = replace(value, name=self._names.new(f"{value.name}_{dtype}"), dtype=dtype)
        self.nodes.append(Node((result.name,), kernels.cast, (value.name,), {"dtype": dtype}))
        self.specs[result.name] = result
        return result

    def graph(
        self,
        outputs: Sequence[Value | None],
        names: tuple[str, ...],
        *,
        keyed: bool,
        layers: Mapping[str, tuple[str, ...]],
    ) -> Graph:
        """The graph with these outputs; of its weights, only the constants.

        If an output is None, i.e. unknown, the graph is incomplete and has no outputs.
        """
        complete = None not in outputs
        return Graph(
            inputs=tuple(self.inputs),
            nodes=tuple(self.nodes),
            outputs=tuple(value.name for value in outputs if value is not None) if complete else (),
            weights=self.constants,
            output_names=names,
            keyed=keyed,
            layers=layers,
            memory=tuple((start, self.states[key].name) for key, start in self._memory.items()) if complete else (),
            specs=self.specs,
        )

    def _declare(self, layer: Layer) -> None:
        """Declare the weights and constants of a layer. A shared layer declares the same weights at each call."""
        for key, (variable, value) in layer.variables.items():
            declared, _ = self.variables.setdefault(key, (variable, value))
            if declared != variable:
                raise InvalidModelError(
                    f"is called on shapes that need {variable.name} to be both {declared.shape} and {variable.shape}"
                )
            self.specs[key] = value
        self.constants.update(layer.constants)
        self.specs.update((key, Value(key, array.shape, array.dtype.name)) for key, array in layer.constants.items())

    def _start_states(self, layer: Layer) -> None:
        """Name the states that a layer keeps from the last `predict`."""
        for key, value in layer.recalled.items():
            if value.name not in layer.final:
                name = layer.final[value.name] = self._names.new(f"{layer.output}_state")
                self._memory[key] = self.specs[name] = replace(value, name=name)

    def _name_values(self, layer: Layer, results: Sequence[Value]) -> None:
        """Name the nodes' outputs: results after the layer, numbered if there are several, the rest after kernels."""
        numbers = {value.name: i for i, value in enumerate(results, start=1)}
        for node in layer.nodes:
            for name in node.outputs:
                if name not in numbers:
                    final = self._names.new(f"{layer.output}_{node.kernel.__name__}")
                elif len(numbers) == 1:
                    final = layer.output
                else:
                    final = self._names.new(f"{layer.output}_{numbers[name]}")
                layer.final[name] = final
                self.specs[final] = replace(layer.values[name], name=final)
