"""The part of a model that leads to some of its layers: what a module that ends at these layers consists of."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from kerasgen.builder.order import in_order
from kerasgen.errors import InvalidModelError, UsageError
from kerasgen.names import printable
from kerasgen.readers.model import Address, Call, LayerSpec, ModelFile, ModelSpec, Ref, leaves

MOST_CALLS = 50_000  # a model that calls another twice, 30 levels deep, makes a billion calls


@dataclass(frozen=True)
class Cut:
    """Where a model is cut, and what is left of it.

    `outputs` are the calls at which it is cut, by the names that the user gave them; `inputs` the positions of the
    inputs that they need. `models` and `layers` are the calls that they need: of nested models, and of other layers.
    """

    outputs: Mapping[str, Address]
    inputs: Set[int]
    models: Set[Address]
    layers: Set[Address]

    @classmethod
    def of(cls, file: ModelFile) -> Cut:
        """The cut at the outputs that the file is read with.

        Raises UsageError for a name that no layer has, InvalidModelError for a model with too many calls.
        """
        calls = {}
        for number, (name, address) in enumerate(_calls(file.model, (), (), Counter())):
            if number > MOST_CALLS:
                raise InvalidModelError(f"{file.source}: its layers are called more than {MOST_CALLS} times")
            calls[name] = address
        for name in file.outputs:
            if name not in calls:
                close = difflib.get_close_matches(name, calls, 1)
                hint = f"; did you mean {printable(close[0])}?" if close else ""
                raise UsageError(f"{file.source}: no layer is called {printable(name)!r}, to end the module at{hint}")
        need = _Need(file.model)
        outputs = {name: calls[name] for name in file.outputs}
        for address in outputs.values():
            need.call(address)
        return cls(outputs, need.inputs, need.models, need.layers)

    def needs(self, address: Address) -> bool:
        """Whether this call must be built; a wrapper such as TimeDistributed needs all that is inside."""
        return address in self.models or any(address[:length] in self.layers for length in range(1, len(address) + 1))


def _calls(
    model: ModelSpec, path: tuple[str, ...], around: Address, count: Counter[str]
) -> Iterator[tuple[str, Address]]:
    """Every call by the name that `inspect` and `activations` have for it: later ones are numbered."""
    for layer, index in in_order(model, {(ref.layer, ref.call) for ref in leaves(model.inputs)}):
        address = (*around, (layer.name, index))
        name = "/".join((*path, layer.name))
        count[name] += 1
        yield name if count[name] == 1 else f"{name}#{count[name]}", address
        if layer.model is not None:
            yield from _calls(layer.model, (*path, layer.name), address, count)


class _Need:
    """Walks from calls to what they read."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model
        self.inputs: set[int] = set()
        self.models: set[Address] = set()
        self.layers: set[Address] = set()
        self._tensors: set[tuple[Address, int]] = set()
        self._models: dict[tuple[str, ...], tuple[ModelSpec, dict[str, LayerSpec]]] = {}

    def call(self, address: Address) -> None:
        """All outputs of a call are needed."""
        spec, _ = self._at(address)
        indices = range(len(list(leaves(spec.model.outputs)))) if spec.model else range(1)
        pending = [(address, index) for index in indices]
        while pending:
            tensor = pending.pop()
            if tensor not in self._tensors:
                self._tensors.add(tensor)
                pending += self._sources(*tensor)

    def _sources(self, address: Address, index: int) -> Iterator[tuple[Address, int]]:
        """The tensors that an output of a call is computed from."""
        spec, call = self._at(address)
        if spec.model is not None:
            self.models.add(address)
            outputs = list(leaves(spec.model.outputs))
            yield from self._reads(address, outputs[index : index + 1])
        elif address not in self.layers:
            self.layers.add(address)
            yield from self._reads(address[:-1], leaves((call.args, call.kwargs)))

    def _reads(self, around: Address, refs: Iterator[Ref] | list[Ref]) -> Iterator[tuple[Address, int]]:
        """Tensors of the model at `around`; for one of its inputs, what it is called on."""
        inputs = [(ref.layer, ref.call) for ref in leaves(self._model(around).inputs)]
        for ref in refs:
            if (ref.layer, ref.call) not in inputs:
                yield (*around, (ref.layer, ref.call)), ref.index
            elif not around:
                self.inputs.add(inputs.index((ref.layer, ref.call)))
            else:
                self.models.add(around)
                _, call = self._at(around)
                kwargs = {key: item for key, item in call.kwargs.items() if key != "mask"}
                arguments = list(leaves((call.args, kwargs)))
                position = inputs.index((ref.layer, ref.call))
                yield from self._reads(around[:-1], arguments[position : position + 1])

    def _model(self, around: Address) -> ModelSpec:
        return self._named((*(name for name, _ in around),))[0]

    def _named(self, path: tuple[str, ...]) -> tuple[ModelSpec, dict[str, LayerSpec]]:
        """The outermost model, or the nested one at this path, and its layers by name."""
        if path not in self._models:
            model = self._named(path[:-1])[1][path[-1]].model if path else self.model
            assert model is not None
            self._models[path] = model, {layer.name: layer for layer in model.layers}
        return self._models[path]

    def _at(self, address: Address) -> tuple[LayerSpec, Call]:
        """The layer of a call, and the call; an input that the model does not list is never called."""
        *around, (name, index) = address
        layer = self._named((*(outer for outer, _ in around),))[1][name]
        return layer, layer.calls[index] if index < len(layer.calls) else Call()
