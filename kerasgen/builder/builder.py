"""A model becomes a graph: each call of a layer goes to the layer's rule, nested models are written out in place."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush
from typing import Any

import numpy as np

from kerasgen.builder.custom import Rules, as_rule
from kerasgen.builder.draft import Draft
from kerasgen.builder.half_precision import HalfPrecision, autocast
from kerasgen.builder.masks import Masks
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Graph, Shape, Value
from kerasgen.layers import RULES, UNSUPPORTED, Layer
from kerasgen.layers.dtypes import DTYPES
from kerasgen.names import Namespace
from kerasgen.readers.model import (
    Address,
    LayerPath,
    LayerSpec,
    ModelFile,
    ModelSpec,
    Ref,
    Variable,
    leaves,
    map_leaves,
)


@dataclass(frozen=True)
class LayerReport:
    """One layer: its outputs' shapes (None where they are not known), its weights, and why it is not supported.

    `variables` is None where it could not be built, for its own sake or because of what it reads.
    """

    name: str
    kind: str
    shapes: tuple[Shape, ...] | None = None
    variables: tuple[Variable, ...] | None = None
    problem: str = ""


@dataclass(frozen=True)
class Built:
    """The graph of a model, its weights declared but not read.

    `addresses` tells which call in the file each name in the graph's `layers` stands for. `outputs` names the model's
    outputs, None where one is not known; only where all are, the graph has them.
    """

    file: ModelFile
    graph: Graph
    variables: tuple[Variable, ...]
    specs: Mapping[str, Value]
    layers: tuple[LayerReport, ...]
    addresses: Mapping[str, Address]
    outputs: tuple[str | None, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """What is unsupported, one line per layer."""
        return tuple(f"{layer.name} ({layer.kind}): {layer.problem}" for layer in self.layers if layer.problem)

    def bind(self) -> Graph:
        """The graph with its weights, read from the file.

        Raises UnsupportedModelError with every unsupported layer; InvalidModelError where the file's weights differ
        from what the config implies.
        """
        if self.problems:
            raise UnsupportedModelError(f"{self.file.source}: unsupported: {'; '.join(self.problems)}")
        arrays = self.file.weights.bind(self.file.model, self.variables)
        weights = {key: array.astype(self.specs[key].dtype, copy=False) for key, array in arrays.items()}
        return replace(self.graph, weights={**weights, **self.graph.weights}).check()


def build(file: ModelFile, custom: Rules | None = None) -> Built:
    """The graph of the model. What is unsupported is listed in the result, all of it at once.

    `custom` holds functions of the user's own, by a layer's name or its kind.

    Raises InvalidModelError where the file contradicts itself.
    """
    return _Builder(file, custom or {}).run()


def _bind(rule: Callable[..., Any], layer: Layer, args: Any, kwargs: Any) -> Mapping[str, Any]:
    """The arguments of a rule by name.

    Raises UnsupportedModelError for a call that it does not take, InvalidModelError where what it takes for tensors are
    neither tensors nor arrays from the config.
    """
    signature = inspect.signature(rule)
    try:
        arguments = signature.bind(layer, *args, **kwargs).arguments
    except TypeError as error:
        raise UnsupportedModelError(f"its call is not supported: {error}") from error
    for name, item in arguments.items():
        annotation = signature.parameters[name].annotation
        if annotation not in ("Value", "Sequence[Value]"):
            continue
        listed = annotation == "Sequence[Value]" and isinstance(item, (list, tuple)) and item
        if not all(isinstance(tensor, (Value, np.ndarray)) for tensor in (item if listed else [item])):
            raise InvalidModelError(f"its argument {name!r} is {ascii(item)[:80]}, where a tensor is expected")
    return arguments


class _Missing:
    """Stands for the tensors of a layer that could not be built, and of what follows from it."""


MISSING = _Missing()
MOST_CALLS = 50_000
MALFORMED = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)


class _Builder:
    def __init__(self, file: ModelFile, custom: Rules) -> None:
        self.file = file
        self.custom = custom
        digits = file.keras_version.split(".")[0]
        self.keras_major = int(digits) if digits.isdigit() else 1
        self.draft = Draft(_paths(file.model))
        self.count = 0  # of all calls
        self.calls: Counter[LayerPath] = Counter()
        self.reports: dict[str, LayerReport] = {}
        self.values: dict[str, tuple[str, ...]] = {}  # of each layer's output
        self.addresses: dict[str, Address] = {}
        self.address: Address = ()  # of the call at hand
        self.masks = Masks(self.keras_major)
        self.halves = HalfPrecision()
        self.assumed: set[str] = set()  # values that only the file's word tells of, and what follows from them

    def run(self) -> Built:
        model = self.file.model
        specs = {layer.name: layer for layer in model.layers}
        inputs = [self._input(specs[ref.layer]) for ref in leaves(model.inputs) if ref.layer in specs]
        outputs = self._model(model, (), inputs, frozen=False)
        results = [None if isinstance(value, _Missing) else self._output(value) for value in outputs]
        names, keyed = self._output_names(model)
        return Built(
            self.file,
            self.draft.graph(results, names, keyed=keyed, layers=self.values),
            tuple(variable for variable, _ in self.draft.variables.values()),
            self.draft.specs,
            tuple(self.reports.values()),
            self.addresses,
            tuple(None if value is None else value.name for value in results),
        )

    def _input(self, spec: LayerSpec) -> Value:
        shape = spec.config.get("batch_shape")
        if not isinstance(shape, (list, tuple)) or not shape:
            raise InvalidModelError(f"{self.file.source}: input {spec.name!a} has no shape")
        dtype = spec.config.get("dtype")
        dtype = "float32" if dtype in (None, "bfloat16") else str(dtype)
        if dtype not in DTYPES:
            raise UnsupportedModelError(f"{self.file.source}: input {spec.name!a} holds {dtype!a}")
        return self.draft.input(spec.name, (None, *shape[1:]), dtype)

    def _output_names(self, model: ModelSpec) -> tuple[tuple[str, ...], bool]:
        if isinstance(model.outputs, Mapping):
            return tuple(model.outputs), True
        seen = Namespace()
        return tuple(seen.new(ref.layer) for ref in leaves(model.outputs)), False

    def _output(self, value: Value) -> Value:
        """An output of the model, in the dtype that Keras has for it; NumPy has no bfloat16."""
        in_float16 = value.dtype == "float32" and self.halves.dtype(value) == "float16"
        return self.draft.cast(value, "float16") if in_float16 else value

    def _model(self, model: ModelSpec, path: LayerPath, inputs: Iterable[Any], *, frozen: bool) -> list[Any]:
        """Build every layer of a model on these inputs, in the file's order as far as calls allow; its outputs."""
        made: dict[tuple[str, int], Any] = {}
        wanted = list(leaves(model.inputs))
        given = list(inputs)
        if len(wanted) != len(given):
            raise InvalidModelError(f"{self._where(path)}takes {len(wanted)} inputs, not {len(given)}")
        for ref, value in zip(wanted, given, strict=True):
            made[ref.layer, ref.call] = [value]
        recorded: Mapping[tuple[str, int], Mapping[int, Ref]] | None = None
        for layer, index in _in_order(model, made):
            outputs = made[layer.name, index] = self._call(layer, index, path, made, frozen=frozen)
            if outputs is MISSING or MISSING in outputs:
                recorded = _recorded(model) if recorded is None else recorded
                refs = recorded.get((layer.name, index), {})
                made[layer.name, index] = self._assumed((*path, layer.name), refs, outputs)
        for layer in model.layers:
            if any((layer.name, index) not in made for index in range(len(layer.calls))):
                name = "/".join((*path, layer.name))
                raise InvalidModelError(f"{self.file.source}: layer {name!a} reads a tensor that nothing makes")
        return [self._tensor(ref, made, path) for ref in leaves(model.outputs)]

    def _tensor(self, ref: Ref, made: Mapping[tuple[str, int], Any], path: LayerPath) -> Any:
        tensors = made.get((ref.layer, ref.call))
        if isinstance(tensors, Mapping):  # of the outputs of a call that could not be built, those that are recorded
            return tensors.get(ref.index, MISSING)
        if tensors is None or not 0 <= ref.index < len(tensors):
            raise InvalidModelError(f"{self._where((*path, ref.layer))}has no output {ref.call}:{ref.index}")
        return tensors[ref.index]

    def _assumed(self, path: LayerPath, recorded: Mapping[int, Ref], outputs: Any) -> Any:
        """The outputs of a call that could not be built, as far as the file records what they are."""
        values: dict[int, Value] = {} if outputs is MISSING else dict(enumerate(outputs))
        for index, ref in recorded.items():
            dtype = "float32" if ref.dtype in ("", "bfloat16") else ref.dtype
            if ref.shape is not None and dtype in DTYPES and values.get(index, MISSING) is MISSING:
                values[index] = self.draft.assume(path, ref.shape, dtype)
                self.assumed.add(values[index].name)
        report = self.reports.get("/".join(path))
        if report is not None and report.shapes is None and values and set(values) == {*range(len(values))}:
            shapes = tuple(values[index].shape for index in range(len(values)))
            self.reports[report.name] = replace(report, shapes=shapes)
        return values

    def _call(
        self, spec: LayerSpec, index: int, path: LayerPath, made: Mapping[tuple[str, int], Any], *, frozen: bool
    ) -> Any:
        """The output tensors of one call of a layer; MISSING where it or what it reads is unsupported."""
        self.count += 1
        if self.count > MOST_CALLS:  # a model in itself twice, that one in itself twice: 30 times are a billion
            raise InvalidModelError(f"{self.file.source}: its layers are called more than {MOST_CALLS} times")
        call = spec.calls[index]
        args, kwargs = map_leaves((call.args, dict(call.kwargs)), lambda ref: self._tensor(ref, made, path))
        path = (*path, spec.name)
        try:
            with self._at(spec, index), self._locating(spec, path):
                return self._outputs(spec, path, args, kwargs, frozen=frozen or not spec.trainable)
        except UnsupportedModelError as error:
            name = "/".join(path)
            self.reports[name] = LayerReport(name, spec.kind, problem=str(error))
            return MISSING
        except InvalidModelError:
            if spec.model is not None or not self._is_assumed(args, kwargs):
                raise
            return self._unbuilt(spec, path)  # perhaps it is the assumption that is wrong

    @contextmanager
    def _at(self, spec: LayerSpec, index: int) -> Iterator[None]:
        """While a call is built, `address` is its own."""
        around, self.address = self.address, (*self.address, (spec.name, index))
        try:
            yield
        finally:
            self.address = around

    @contextmanager
    def _locating(self, spec: LayerSpec, path: LayerPath) -> Iterator[None]:
        """InvalidModelError names the file and the layer; what a malformed config raises in a rule becomes one."""
        where = f"{self._where(path)}({spec.kind})"
        try:
            yield
        except InvalidModelError as error:
            if spec.model is not None:
                raise  # it names the inner layer already
            raise InvalidModelError(f"{where}: {error}") from error
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise InvalidModelError(f"{where}: malformed config: {reason}") from error

    def _outputs(self, spec: LayerSpec, path: LayerPath, args: Any, kwargs: Any, *, frozen: bool) -> Any:
        """The output tensors of a nested model or of a layer, by its rule; MISSING where what it reads is."""
        if spec.model is not None:
            kwargs.pop("mask", None)
            return self._model(spec.model, path, leaves((args, kwargs), (Value, _Missing)), frozen=frozen)
        rule = self._rule(spec, "/".join(path))
        if MISSING in leaves((args, kwargs), (Value, _Missing)):
            return self._unbuilt(spec, path)
        if kwargs.pop("training", None) and self.keras_major < 3:  # `predict` of Keras 3 overrides it
            raise UnsupportedModelError("called with training=True: random, or dependent on the rest of the batch")
        layer = self._layer(spec, path, frozen=frozen)
        if layer.is_operation:
            layer.half = self.halves.of_operation(leaves((args, kwargs), Value))
        outputs = self._apply(rule, layer, args, kwargs)
        self._report(layer, outputs)
        if self._is_assumed(args, kwargs):
            self.assumed.update(value.name for value in outputs)
        return outputs

    def _is_assumed(self, args: Any, kwargs: Any) -> bool:
        """Whether a call reads what only the file's word tells of."""
        return any(value.name in self.assumed for value in leaves((args, kwargs), Value))

    def _unbuilt(self, spec: LayerSpec, path: LayerPath) -> _Missing:
        name = "/".join(path)
        self.reports.setdefault(name, LayerReport(name, spec.kind))
        return MISSING

    def _rule(self, spec: LayerSpec, name: str) -> Callable[..., Any]:
        """The rule for a layer: the user's own for this very layer, then for its kind, then the table's."""
        for key in (name, spec.name, spec.kind):
            if key in self.custom:
                return as_rule(self.custom[key])
        if spec.kind in RULES:
            return RULES[spec.kind]
        reason = UNSUPPORTED.get(spec.kind, "no rule for this kind of layer")
        if spec.is_operation:
            raise UnsupportedModelError(reason)
        key = name if spec.kind == "Lambda" else spec.kind
        raise UnsupportedModelError(f"{reason}; give one of your own: `custom={{{key!r}: function}}`")

    def _apply(self, rule: Callable[..., Any], layer: Layer, args: Any, kwargs: Any) -> list[Value]:
        """Run a rule on the arguments of a call and take over what it emits; its results."""
        mask = self.masks.of_call(args, kwargs)
        kwargs = {**kwargs, **self.masks.argument(rule, args, kwargs)}
        arguments = _bind(rule, layer, args, kwargs)
        layer.masks = self.masks.of(arguments)
        args, kwargs = map_leaves((args, kwargs), partial(autocast, layer), Value)
        result = rule(layer, *args, **kwargs)
        outputs = self.draft.adopt(layer, list(result) if isinstance(result, (list, tuple)) else [result])
        self.halves.record(layer, outputs)
        self.masks.pass_on(layer, leaves(arguments, Value), mask, outputs)
        return outputs

    def _report(self, layer: Layer, outputs: Sequence[Value]) -> None:
        """Enter a call in the tables of the result: its values, its address, and the layer's report at the first."""
        count = self.calls[layer.path]
        name = layer.name if count == 1 else f"{layer.name}#{count}"
        self.values[name] = tuple(value.name for value in outputs)
        self.addresses[name] = self.address
        shapes = tuple(value.shape for value in outputs)
        variables = tuple(variable for variable, _ in layer.variables.values())
        self.reports.setdefault(layer.name, LayerReport(layer.name, layer.kind, shapes, variables))

    def _layer(self, spec: LayerSpec, path: LayerPath, *, frozen: bool) -> Layer:
        """The layer at `path` for another call: its name is its own at the first, numbered later."""
        self.calls[path] += 1
        ident, output = self.draft.call_names(path, self.calls[path])
        return Layer(
            spec,
            path,
            ident,
            output=output,
            keras_major=self.keras_major,
            frozen=frozen,
            inline=self._wrapped_model,
            states=self.draft.states,
        )

    def _wrapped_model(
        self, layer: Layer, model: ModelSpec, inputs: Iterable[Value], mask: Value | None = None
    ) -> list[Value]:
        """Build a model that a layer wraps, on values that the layer has made so far; `mask` is the first one's."""
        given = self.draft.adopt(layer, [], leaves([list(inputs), mask], Value))
        if mask is not None:
            self.masks.set(given[0], given.pop())
        made = self._model(model, layer.path, given, frozen=layer.frozen)
        if any(isinstance(value, _Missing) or value.name in self.assumed for value in made):
            raise UnsupportedModelError("it wraps a model that is unsupported")
        layer.inner_mask = self.masks.of(made[0])
        return made

    def _where(self, path: LayerPath) -> str:
        return f"{self.file.source}: layer {'/'.join(path)!a} " if path else f"{self.file.source}: the model "


def _in_order(model: ModelSpec, made: Container[tuple[str, int]]) -> Iterator[tuple[LayerSpec, int]]:
    """The calls of a model's layers: each after those that it reads, else in the file's order, turn after turn.

    Those that are `made` are left out, and so are those that read what nothing makes.
    """
    calls = [(layer, index) for layer in model.layers for index in range(len(layer.calls))]
    calls = [(layer, index) for layer, index in calls if (layer.name, index) not in made]
    missing = []
    readers: dict[tuple[str, int], list[int]] = {}
    for position, (layer, index) in enumerate(calls):
        call = layer.calls[index]
        reads = {(ref.layer, ref.call) for ref in leaves((call.args, call.kwargs))}
        reads = {read for read in reads if read not in made}
        missing.append(len(reads))
        for read in reads:
            readers.setdefault(read, []).append(position)
    ready = [(0, position) for position, count in enumerate(missing) if not count]
    while ready:
        turn, position = heappop(ready)
        layer, index = calls[position]
        yield layer, index
        for reader in readers.get((layer.name, index), ()):
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, (turn + (reader < position), reader))


def _recorded(model: ModelSpec) -> dict[tuple[str, int], dict[int, Ref]]:
    """The tensors whose shapes the file records where they are read, by the call that makes them and their index."""
    recorded: dict[tuple[str, int], dict[int, Ref]] = {}
    for ref in leaves([(call.args, call.kwargs) for layer in model.layers for call in layer.calls]):
        if ref.shape is not None:
            recorded.setdefault((ref.layer, ref.call), {})[ref.index] = ref
    return recorded


def _paths(model: ModelSpec, path: LayerPath = ()) -> Iterator[LayerPath]:
    """The path of names to every layer, those of nested models included."""
    for layer in model.layers:
        yield (*path, layer.name)
        if layer.model is not None:
            yield from _paths(layer.model, (*path, layer.name))
