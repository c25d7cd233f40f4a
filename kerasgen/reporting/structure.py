"""The calls of a model's layers, those inside of nested models too: who reads whom, and what belongs together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from kerasgen.builder import Built
from kerasgen.builder.cut import Cut
from kerasgen.names import printable
from kerasgen.readers.model import Address, Call, LayerPath, LayerSpec, ModelSpec, Ref, leaves


@dataclass(frozen=True)
class LayerCall:
    """A call of a layer. `id` is unique and printable, `graph_name` is what the graph's `layers` call it.

    `first` tells that it is the first call of the layer; `group` is the id of the nested model around it, or "".
    `input` is the position of an input among those of the model.
    """

    id: str
    graph_name: str
    path: LayerPath
    spec: LayerSpec
    group: str
    first: bool
    input: int | None = None

    @property
    def layer_name(self) -> str:
        """What nodes and the summary call the layer, whichever call it is."""
        return "/".join(self.path)


@dataclass(frozen=True)
class Group:
    """A call of a nested model; `group` is the id of the one around it, or ""."""

    id: str
    name: str
    kind: str
    group: str


@dataclass(frozen=True)
class Structure:
    """Calls and groups in the order of the file, and edges from the call that makes a tensor to those that read it."""

    calls: tuple[LayerCall, ...]
    groups: tuple[Group, ...]
    edges: tuple[tuple[str, str], ...]

    def layer_of(self, name: str) -> str:
        """The layer with this name, or the one that wraps what has it; "" if there is none."""
        while name and name not in self._names:
            name = name.rpartition("/")[0]
        return name

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(call.layer_name for call in self.calls)


@dataclass(frozen=True, eq=False)
class _Scope:
    """A call of a model: where its layers are, and the tensors that it is called on, which are of the scope around."""

    model: ModelSpec
    address: Address = ()
    path: LayerPath = ()
    group: str = ""
    outer: _Scope | None = None
    arguments: tuple[Ref, ...] = ()
    layers: dict[str, LayerSpec] = field(default_factory=dict)
    inputs: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.layers.update((layer.name, layer) for layer in self.model.layers)
        self.inputs.update(((ref.layer, ref.call), index) for index, ref in enumerate(leaves(self.model.inputs)))


def structure(built: Built) -> Structure:
    """The structure of a model that was built, whether or not all of it is supported; of a cut one, what is left."""
    return _Reader(built).read()


class _Reader:
    def __init__(self, built: Built) -> None:
        self.built = built
        cut = Cut.of(built.file) if built.file.outputs else None
        self.needs = cut.needs if cut else lambda address: True
        count = len(list(leaves(built.file.model.inputs)))
        self.inputs = sorted(cut.inputs) if cut else list(range(count))  # those that the module has
        self.graph_names = {address: name for name, address in built.addresses.items()}
        self.calls: list[LayerCall] = []
        self.groups: list[Group] = []
        self.reads: list[tuple[_Scope, tuple[Ref, ...], str]] = []
        self.scopes: dict[Address, _Scope] = {}
        self.ids: dict[Address, str] = {}
        self.taken: set[str] = set()
        self.seen: set[LayerPath] = set()

    def read(self) -> Structure:
        self._model(_Scope(self.built.file.model))
        edges = ((self._maker(scope, ref), reader) for scope, refs, reader in self.reads for ref in refs)
        return Structure(tuple(self.calls), tuple(self.groups), tuple(dict.fromkeys(edges)))

    def _model(self, scope: _Scope) -> None:
        self.scopes[scope.address] = scope
        for layer in scope.model.layers:
            path = (*scope.path, layer.name)
            for index, call in enumerate(layer.calls or [Call()] * ((layer.name, 0) in scope.inputs)):
                position = scope.inputs.get((layer.name, index))
                if position is not None and scope.outer is not None:
                    continue
                address = (*scope.address, (layer.name, index))
                if not (self.needs(address) if position is None else position in self.inputs):
                    continue
                name = self.graph_names.get(address, "/".join(path))
                ident = self.ids[address] = self._unique(printable(name))
                refs = tuple(_tensors(call.args, call.kwargs))
                if layer.model is not None:
                    self.groups.append(Group(ident, printable(layer.name), printable(layer.kind), scope.group))
                    self._model(_Scope(layer.model, address, path, ident, scope, refs))
                    continue
                first = path not in self.seen
                self.seen.add(path)
                number = None if position is None else self.inputs.index(position)
                self.calls.append(LayerCall(ident, name, path, layer, scope.group, first, number))
                self.reads.append((scope, refs, ident))

    def _unique(self, text: str) -> str:
        """An id that no other call has."""
        ident, count = text, 1
        while ident in self.taken:
            count += 1
            ident = f"{text}#{count}"
        self.taken.add(ident)
        return ident

    def _maker(self, scope: _Scope, ref: Ref) -> str:
        """The call that makes a tensor: out of a nested model, or into one, if need be."""
        while True:
            if scope.outer is not None and (ref.layer, ref.call) in scope.inputs:
                scope, ref = scope.outer, scope.arguments[scope.inputs[ref.layer, ref.call]]
                continue
            address = (*scope.address, (ref.layer, ref.call))
            inner = scope.layers[ref.layer].model
            if inner is None:
                return self.ids[address]
            scope, ref = self.scopes[address], list(leaves(inner.outputs))[ref.index]


def _tensors(args: object, kwargs: object) -> Iterator[Ref]:
    """The tensors that a call reads; those of masks are no inputs of a nested model."""
    assert hasattr(kwargs, "items")
    yield from leaves((args, {name: item for name, item in kwargs.items() if name != "mask"}))
