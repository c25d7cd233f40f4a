"""Builds the graph of a model: the layer's rule handles each call of a layer, nested models are inlined."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from kerasgen.builder.custom import Rules, as_rule
from kerasgen.builder.cut import MOST_CALLS, Cut
from kerasgen.builder.draft import Draft
from kerasgen.builder.half_precision import HalfPrecision, autocast
from kerasgen.builder.masks import Masks
from kerasgen.builder.order import in_order
from kerasgen.builder.problems import summarized
from kerasgen.errors import InvalidModelError, UnsupportedModelError, UsageError
from kerasgen.graph.ir import Graph, Shape, Value
from kerasgen.layers import UNSUPPORTED, Layer
from kerasgen.layers.dtypes import DTYPES
from kerasgen.layers.registry import find_rule
from kerasgen.names import PYTHON, RESERVED, Namespace, is_identifier, printable
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
    """One layer: its outputs' shapes (None if unknown), its weights, and why it is not supported.

    `variables` is None if it could not be built, because of itself or its inputs. `note` says what it computes, if its
    kind does not: the expression of a Lambda.
    """

    name: str
    kind: str
    shapes: tuple[Shape, ...] | None = None
    variables: tuple[Variable, ...] | None = None
    problem: str = ""
    note: str = ""


@dataclass(frozen=True)
class Built:
    """The graph of a model, its weights declared but not read.

    `addresses` maps each name in the graph's `layers` to its call in the file. `outputs` names the model's outputs, or
    None for an unknown one; the graph has outputs only if all are known. `recorded` are the shapes of the inputs in the
    file: the graph's own, unless it was built for images of any size.
    """

    file: ModelFile
    graph: Graph
    variables: tuple[Variable, ...]
    specs: Mapping[str, Value]
    layers: tuple[LayerReport, ...]
    addresses: Mapping[str, Address]
    outputs: tuple[str | None, ...]
    recorded: tuple[Shape, ...] = ()

    @property
    def notes(self) -> dict[str, str]:
        """What layers compute whose kind does not say it, by their names: the expressions of Lambdas."""
        return {layer.name: layer.note for layer in self.layers if layer.note}

    @property
    def problems(self) -> tuple[str, ...]:
        """What is unsupported, one line per reason."""
        return summarized((layer.name, layer.kind, layer.problem) for layer in self.layers if layer.problem)

    def renamed(self, names: Mapping[str, str]) -> Built:
        """The model with other names for these inputs and outputs.

        Raises UsageError where it has no input or output of an old name, or a new one is taken or cannot be a variable.
        """
        graph = self.graph
        inputs = {value.name: names[value.name] for value in graph.inputs if value.name in names}
        outputs = [names.get(name, name) for name in graph.output_names]
        for name in sorted(names.keys() - inputs.keys() - set(graph.output_names)):
            known = ", ".join([*(value.name for value in graph.inputs), *graph.output_names])
            raise UsageError(f"no input or output is called {printable(name)}; there are {known}")
        taken = {*RESERVED, *PYTHON, *graph.specs} - inputs.keys()
        for new in inputs.values():
            if not is_identifier(new) or new in taken or [*inputs.values()].count(new) > 1:
                raise UsageError(f"an input cannot be called {printable(new)}: it is no free name for a variable")
        if len({*outputs}) < len(outputs):
            raise UsageError(f"two outputs would have one name: {', '.join(outputs)}")
        values = tuple(replace(value, name=inputs.get(value.name, value.name)) for value in graph.inputs)
        specs = {inputs.get(key, key): replace(v, name=inputs.get(key, key)) for key, v in graph.specs.items()}
        graph = replace(graph, inputs=values, output_names=tuple(outputs), specs=specs).rewrite(graph.nodes, inputs)
        return replace(self, graph=graph, specs={**self.specs, **{inputs[k]: self.specs[k] for k in inputs}})

    def as_recorded(self, graph: Graph) -> Graph:
        """The graph with inputs of the shapes in the file, for what must suit Keras, too."""
        inputs = zip(graph.inputs, self.recorded, strict=True)
        return replace(graph, inputs=tuple(replace(value, shape=shape) for value, shape in inputs))

    def bind(self) -> Graph:
        """The graph with its weights, read from the file.

        Raises UnsupportedModelError with every unsupported layer; InvalidModelError if the file's weights do not match
        the config.
        """
        if self.problems:
            raise UnsupportedModelError(f"{self.file.source}: unsupported: {'; '.join(self.problems)}")
        arrays = self.file.weights.bind(self.file.model, self.variables, partial=bool(self.file.outputs))
        weights = {key: array.astype(self.specs[key].dtype, copy=False) for key, array in arrays.items()}
        return replace(self.graph, weights={**weights, **self.graph.weights}).check()


def build(
    file: ModelFile,
    custom: Rules | None = None,
    defines: Mapping[str, Any] | None = None,
    *,
    any_size: bool = False,
) -> Built:
    """The graph of the model. The result lists everything that is unsupported.

    `custom` holds the user's own functions, by a layer's name or kind; `defines` the values of globals that functions
    in the file read. `any_size` opens the sizes of images, signals and volumes that the model takes.

    Raises InvalidModelError if the file contradicts itself.
    """
    return _Builder(file, custom or {}, defines or {}, any_size=any_size).run()


def _bind(rule: Callable[..., Any], layer: Layer, args: Any, kwargs: Any) -> Mapping[str, Any]:
    """The arguments of a rule by name.

    Raises UnsupportedModelError for a call that does not fit its signature, InvalidModelError if a tensor argument is
    neither a tensor nor an array from the config.
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
    """Stands for the tensors of a layer that could not be built, and of the layers that depend on it."""


MISSING = _Missing()
MALFORMED = (ArithmeticError, AttributeError, LookupError, StopIteration, TypeError, ValueError)


class _Builder:
    def __init__(self, file: ModelFile, custom: Rules, defines: Mapping[str, Any], *, any_size: bool) -> None:
        self.file = file
        self.any_size = any_size
        self.recorded: list[Shape] = []
        self.custom = custom
        self.defines = defines
        digits = file.keras_version.split(".")[0]
        self.keras_major = int(digits) if digits.isdigit() else 1
        self.draft = Draft(_paths(file.model))
        self.count = 0  # of all calls
        self.calls: Counter[LayerPath] = Counter()
        self.reports: dict[str, LayerReport] = {}
        self.values: dict[str, tuple[str, ...]] = {}  # each layer's outputs
        self.addresses: dict[str, Address] = {}
        self.address: Address = ()  # of the current call
        self.masks = Masks(self.keras_major)
        self.halves = HalfPrecision()
        self.assumed: set[str] = set()  # values known only by recorded shapes, and those that depend on them
        self.cut = Cut.of(file) if file.outputs else None
        self.ends: dict[Address, list[Any]] = {}  # what the calls return at which the model is cut

    def run(self) -> Built:
        model = self.file.model
        specs = {layer.name: layer for layer in model.layers}
        refs = [ref for ref in leaves(model.inputs) if ref.layer in specs]
        needed = self.cut.inputs if self.cut else range(len(refs))
        inputs = [self._input(specs[ref.layer]) if i in needed else MISSING for i, ref in enumerate(refs)]
        outputs = self._model(model, (), inputs, frozen=False)
        if self.cut is None:
            names, keyed = self._output_names(model)
        else:
            ends = [(name, self.ends.get(address, [MISSING])) for name, address in self.cut.outputs.items()]
            outputs = [value for _, values in ends for value in values]
            names, keyed = _numbered((name, len(values)) for name, values in ends), False
        results = [None if isinstance(value, _Missing) else self._output(value) for value in outputs]
        return Built(
            self.file,
            self.draft.graph(results, names, keyed=keyed, layers=self.values),
            tuple(variable for variable, _ in self.draft.variables.values()),
            self.draft.specs,
            tuple(self.reports.values()),
            self.addresses,
            tuple(None if value is None else value.name for value in results),
            tuple(self.recorded),
        )

    def _input(self, spec: LayerSpec) -> Value:
        shape = spec.config.get("batch_shape")
        if not isinstance(shape, (list, tuple)) or not shape:
            raise InvalidModelError(f"{self.file.source}: input {spec.name!a} has no shape")
        dtype = spec.config.get("dtype")
        dtype = "float32" if dtype is None or str(dtype) == "bfloat16" else str(dtype)
        if dtype not in DTYPES:
            raise UnsupportedModelError(f"{self.file.source}: input {spec.name!a} holds {dtype!a}")
        self.recorded.append((None, *shape[1:]))
        return self.draft.input(spec.name, self._opened((None, *shape[1:])), dtype)

    def _opened(self, shape: Shape) -> Shape:
        """The shape of an input, its sizes open if they are to be: all axes but those of the batch and the channels."""
        if not self.any_size or len(shape) < 3:
            return shape
        if _is_channels_first(self.file.model):
            return (None, shape[1], *(None,) * (len(shape) - 2))
        return (*(None,) * (len(shape) - 1), shape[-1])

    def _output_names(self, model: ModelSpec) -> tuple[tuple[str, ...], bool]:
        if isinstance(model.outputs, Mapping):
            return tuple(model.outputs), True
        seen = Namespace()
        return tuple(seen.new(ref.layer) for ref in leaves(model.outputs)), False

    def _output(self, value: Value) -> Value:
        """An output of the model in Keras's dtype; bfloat16, which NumPy lacks, stays float32."""
        in_float16 = value.dtype == "float32" and self.halves.dtype(value) == "float16"
        return self.draft.cast(value, "float16") if in_float16 else value

    def _model(self, model: ModelSpec, path: LayerPath, inputs: Iterable[Any], *, frozen: bool) -> list[Any]:
        """Build every layer of a model on these inputs, in the file's order as far as possible; returns its outputs."""
        tensors: dict[tuple[str, int], Any] = {}
        input_refs = list(leaves(model.inputs))
        values = list(inputs)
        if len(input_refs) != len(values):
            raise InvalidModelError(f"{self._where(path)}takes {len(input_refs)} inputs, not {len(values)}")
        for ref, value in zip(input_refs, values, strict=True):
            tensors[ref.layer, ref.call] = [value]
        recorded: Mapping[tuple[str, int], Mapping[int, Ref]] | None = None
        for layer, index in in_order(model, tensors):
            if self._is_left_out(layer.name, index):
                continue
            outputs = tensors[layer.name, index] = self._call(layer, index, path, tensors, frozen=frozen)
            if outputs is MISSING or MISSING in outputs:
                recorded = _recorded(model) if recorded is None else recorded
                refs = recorded.get((layer.name, index), {})
                tensors[layer.name, index] = self._assumed((*path, layer.name), refs, outputs)
            self._note_end((*self.address, (layer.name, index)), tensors[layer.name, index])
        for layer in model.layers:
            needed = (index for index in range(len(layer.calls)) if not self._is_left_out(layer.name, index))
            if any((layer.name, index) not in tensors for index in needed):
                name = "/".join((*path, layer.name))
                raise InvalidModelError(f"{self.file.source}: layer {name!a} reads a tensor that no layer produces")
        return [self._tensor(ref, tensors, path) for ref in leaves(model.outputs)]

    def _note_end(self, address: Address, tensors: Any) -> None:
        """Keep what a call returned, if the module ends there."""
        if self.cut and address in self.cut.outputs.values():
            known = [tensors[i] for i in sorted(tensors)] if isinstance(tensors, Mapping) else list(tensors)
            self.ends[address] = known or [MISSING]

    def _is_left_out(self, layer: str, index: int) -> bool:
        """Whether a call in the model that is being built does not lead to the layers at which the module ends."""
        return self.cut is not None and not self.cut.needs((*self.address, (layer, index)))

    def _tensor(self, ref: Ref, produced: Mapping[tuple[str, int], Any], path: LayerPath) -> Any:
        tensors = produced.get((ref.layer, ref.call))
        if tensors is None and self._is_left_out(ref.layer, ref.call):
            return MISSING
        if isinstance(tensors, Mapping):  # the recorded outputs of a call that could not be built
            return tensors.get(ref.index, MISSING)
        if tensors is None or not 0 <= ref.index < len(tensors):
            raise InvalidModelError(f"{self._where((*path, ref.layer))}has no output {ref.call}:{ref.index}")
        return tensors[ref.index]

    def _assumed(self, path: LayerPath, recorded: Mapping[int, Ref], outputs: Any) -> Any:
        """The outputs of a call that could not be built, as far as the file records their shapes."""
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
        self, spec: LayerSpec, index: int, path: LayerPath, produced: Mapping[tuple[str, int], Any], *, frozen: bool
    ) -> Any:
        """The output tensors of one call of a layer; MISSING if it or one of its inputs is unsupported."""
        self.count += 1
        if self.count > MOST_CALLS:  # a model that calls another twice, 30 levels deep, makes a billion calls
            raise InvalidModelError(f"{self.file.source}: its layers are called more than {MOST_CALLS} times")
        call = spec.calls[index]
        args, kwargs = map_leaves((call.args, dict(call.kwargs)), lambda ref: self._tensor(ref, produced, path))
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
            return self._unbuilt(spec, path)  # perhaps the assumption is wrong

    @contextmanager
    def _at(self, spec: LayerSpec, index: int) -> Iterator[None]:
        """Set `address` while a call is built."""
        around, self.address = self.address, (*self.address, (spec.name, index))
        try:
            yield
        finally:
            self.address = around

    @contextmanager
    def _locating(self, spec: LayerSpec, path: LayerPath) -> Iterator[None]:
        """Make InvalidModelError name the file and the layer; errors that a malformed config causes become one."""
        where = f"{self._where(path)}({spec.kind})"
        try:
            yield
        except InvalidModelError as error:
            if spec.model is not None:
                raise  # already names the inner layer
            raise InvalidModelError(f"{where}: {error}") from error
        except MALFORMED as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            raise InvalidModelError(f"{where}: malformed config: {reason}") from error

    def _outputs(self, spec: LayerSpec, path: LayerPath, args: Any, kwargs: Any, *, frozen: bool) -> Any:
        """The output tensors of a nested model or of a layer, by its rule; MISSING if an input is missing."""
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
        """Whether a call reads an assumed value."""
        return any(value.name in self.assumed for value in leaves((args, kwargs), Value))

    def _unbuilt(self, spec: LayerSpec, path: LayerPath) -> _Missing:
        name = "/".join(path)
        self.reports.setdefault(name, LayerReport(name, spec.kind))
        return MISSING

    def _rule(self, spec: LayerSpec, name: str) -> Callable[..., Any]:
        """The rule for a layer: the user's for this layer, then the user's for its kind, then the built-in one."""
        for key in (name, spec.name, spec.kind):
            if key in self.custom:
                return as_rule(self.custom[key])
        rule = find_rule(spec.kind, spec.config, spec.package)
        if rule is not None:
            return rule
        reason = UNSUPPORTED.get(spec.kind, "no rule for this kind of layer")
        if spec.is_operation:
            raise UnsupportedModelError(reason)
        raise UnsupportedModelError(f"{reason}; give your own: `custom={{{spec.kind!r}: function}}`")

    def _apply(self, rule: Callable[..., Any], layer: Layer, args: Any, kwargs: Any) -> list[Value]:
        """Run a rule on the arguments of a call and adopt what it emits; returns the outputs."""
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
        """Record a call: its values, its address and, for the first call, the layer's report."""
        count = self.calls[layer.path]
        name = layer.name if count == 1 else f"{layer.name}#{count}"
        self.values[name] = tuple(value.name for value in outputs)
        self.addresses[name] = self.address
        shapes = tuple(value.shape for value in outputs)
        variables = tuple(variable for variable, _ in layer.variables.values())
        self.reports.setdefault(
            layer.name,
            LayerReport(layer.name, layer.kind, shapes, variables, note="; ".join(dict.fromkeys(layer.notes))),
        )

    def _layer(self, spec: LayerSpec, path: LayerPath, *, frozen: bool) -> Layer:
        """The layer at `path` for its next call; names of later calls are numbered."""
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
            defines=self.defines,
        )

    def _wrapped_model(
        self, layer: Layer, model: ModelSpec, inputs: Iterable[Value], mask: Value | None = None
    ) -> list[Value]:
        """Build a model that a layer wraps, on values that the layer has emitted; `mask` is that of the first."""
        values = self.draft.adopt(layer, [], leaves([list(inputs), mask], Value))
        if mask is not None:
            self.masks.set(values[0], values.pop())
        outputs = self._model(model, layer.path, values, frozen=layer.frozen)
        if any(isinstance(value, _Missing) or value.name in self.assumed for value in outputs):
            raise UnsupportedModelError("it wraps a model that is unsupported")
        layer.inner_mask = self.masks.of(outputs[0])
        return outputs

    def _where(self, path: LayerPath) -> str:
        return f"{self.file.source}: layer {'/'.join(path)!a} " if path else f"{self.file.source}: the model "


def _numbered(counts: Iterable[tuple[str, int]]) -> tuple[str, ...]:
    """Each name as often as it counts, numbered from the second on."""
    return tuple(name if number == 1 else f"{name}_{number}" for name, n in counts for number in range(1, n + 1))


def _recorded(model: ModelSpec) -> dict[tuple[str, int], dict[int, Ref]]:
    """The tensors whose shapes the file records at their readers, by the call that produces them and their index."""
    recorded: dict[tuple[str, int], dict[int, Ref]] = {}
    for ref in leaves([(call.args, call.kwargs) for layer in model.layers for call in layer.calls]):
        if ref.shape is not None:
            recorded.setdefault((ref.layer, ref.call), {})[ref.index] = ref
    return recorded


def _is_channels_first(model: ModelSpec) -> bool:
    """Whether any layer has the channels before the sizes."""
    return any(
        layer.config.get("data_format") == "channels_first"
        or (layer.model is not None and _is_channels_first(layer.model))
        for layer in model.layers
    )


def _paths(model: ModelSpec, path: LayerPath = ()) -> Iterator[LayerPath]:
    """The path of names to every layer, including those of nested models."""
    for layer in model.layers:
        yield (*path, layer.name)
        if layer.model is not None:
            yield from _paths(layer.model, (*path, layer.name))
