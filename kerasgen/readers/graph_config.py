"""Parses the config of a model, from any Keras, into a `ModelSpec`: layers, their calls, inputs and outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kerasgen.errors import InvalidModelError, KerasgenError, UnsupportedModelError
from kerasgen.readers import dialect, multi_backend, tf_nodes
from kerasgen.readers.content import reason
from kerasgen.readers.layer_names import KERAS_LAYERS
from kerasgen.readers.model import Call, LayerSpec, ModelSpec, Ref, leaves, map_leaves

_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def parse(config: Any, file: str, version: str = "") -> ModelSpec:
    """The outermost model of a file written by this version of Keras."""
    try:
        if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
            raise InvalidModelError("not a Keras model: its JSON describes no class")
        if not is_model(config):
            raise UnsupportedModelError(
                f"{config['class_name']!r} is a subclassed model, whose graph exists only as Python code: "
                "rebuild it as a functional model and save that"
            )
        return model_spec(multi_backend.modern(config, version))
    except KerasgenError as error:
        raise type(error)(f"{file}: {error}") from error
    except RecursionError:
        raise InvalidModelError(f"{file}: malformed config: nested too deeply") from None
    except _MALFORMED as error:
        raise InvalidModelError(f"{file}: malformed config: {reason(error)}") from error


def is_model(data: Any) -> bool:
    """Whether a serialised object is a Sequential or functional model, or a subclass that has the config of one."""
    config = data.get("config") if isinstance(data, dict) else None
    if isinstance(config, list):  # until Keras 2.2.3
        return bool(data["class_name"] == "Sequential")
    return isinstance(config, dict) and (
        {"layers", "input_layers", "output_layers"} <= config.keys()
        or ("layers" in config and data.get("class_name") == "Sequential")
    )


def model_spec(data: Mapping[str, Any]) -> ModelSpec:
    """A model, outermost or nested."""
    config = data["config"]
    if isinstance(config, list):
        config = {"layers": config}
    name = config.get("name") or data.get("name") or "sequential"
    if not isinstance(config["layers"], list):
        raise InvalidModelError(f"model {name!r}: its layers are not a list")
    if "input_layers" in config:
        return _functional(name, config)
    return _sequential(name, config["layers"], config.get("build_input_shape"), data.get("build_config"))


def inner_model(layer: LayerSpec) -> tuple[ModelSpec | None, str]:
    """The nested or wrapped model of a layer, and the path of attributes to it.

    In `TimeDistributed`, the model's spec is next to the wrapped layer's class.
    """
    model, path, wrapped = layer.model, "", layer.config.get("layer")
    while model is None and isinstance(wrapped, dict):
        model, path, config = wrapped.get("model"), f"{path}/layer", wrapped["config"]
        wrapped = config.get("layer") if isinstance(config, dict) else None
    return model, path


def _functional(name: str, config: Mapping[str, Any]) -> ModelSpec:
    inputs, outputs = _tensors(config["input_layers"]), _tensors(config["output_layers"])
    layers = [_layer(data) for data in config["layers"]]
    if any(_is_keras3(node) for data in config["layers"] for node in data.get("inbound_nodes") or ()):
        # Keras 3 counts the call that built a nested functional model, but only where it lists the outputs.
        inner = {layer.name for layer in layers if layer.model and layer.kind == "Functional"}
        outputs = map_leaves(outputs, lambda ref: replace(ref, call=ref.call - (ref.layer in inner)))
    spec = _from_first_call(ModelSpec(name, "Functional", tuple(layers), inputs, outputs))
    _check(spec)
    return spec


def _sequential(name: str, written: list[Any], built: Any, build_config: Any) -> ModelSpec:
    layers = [_layer(_named(data, number)) for number, data in enumerate(written)]
    if not layers:
        raise InvalidModelError(f"model {name!r} has no layers")
    if layers[0].kind != "InputLayer":
        if isinstance(build_config, dict) and built is None:
            built = build_config.get("input_shape")
        layers.insert(0, _input_of(name, layers[0], written[0], built))
    chain = [layers[0]]
    for layer, data in zip(layers[1:], written[len(written) - len(layers) + 1 :], strict=True):
        chain.append(replace(layer, calls=_recorded((Call((Ref(chain[-1].name),)),), data)))
    spec = ModelSpec(name, "Sequential", tuple(chain), Ref(chain[0].name), Ref(chain[-1].name))
    _check(spec)
    return spec


def _input_of(model: str, first: LayerSpec, written: Any, built: Any) -> LayerSpec:
    """The InputLayer of a Sequential model without one: the shape is in the first layer or in the model."""
    dtype = first.config.get("dtype")
    shape = None
    if isinstance(written["config"], dict):
        candidates = (written["config"].get("batch_shape"), written["config"].get("batch_input_shape"), built)
        shape = next((candidate for candidate in candidates if candidate is not None), None)
    if shape is None and first.model is not None:
        inner = [layer for layer in first.model.layers if layer.kind == "InputLayer"]
        if len(inner) == 1:
            shape, dtype = list(inner[0].config["batch_shape"]), inner[0].config.get("dtype")
    if shape is None:
        raise InvalidModelError(
            f"model {model!r} was never built: its input shape is unknown; add an Input layer or call it, then save; "
            "or give the shape of a sample, such as `input_shape=(64, 64, 3)`"
        )
    dtype = dtype if isinstance(dtype, str) and not dtype.startswith("mixed") and "_from_" not in dtype else "float32"
    name = f"{first.name}_input"
    return LayerSpec(name, "InputLayer", {"name": name, "batch_shape": dialect.batch_shape(shape), "dtype": dtype})


def _is_operation(kind: str, config: Any) -> bool:
    """Whether a node is an operation such as `Add`, not the layer: legacy files drop the module, which would tell.

    Layers have `trainable` in their config; SpatialDropout does not, but has `dtype`, as does the operation `Cast`.
    Pipeline has neither, but `layers`.
    """
    return "trainable" not in config and not (kind in KERAS_LAYERS and {"dtype", "layers"} & config.keys())


def _layer(data: Any) -> LayerSpec:
    """One layer with its calls."""
    name = _name(data)
    try:
        if is_model(data):
            model = model_spec(data)
            inner = data["config"] if isinstance(data["config"], dict) else {}
            config = {key: dialect.value(inner[key]) for key in ("trainable", "dtype") if key in inner}
            return LayerSpec(name, model.kind, {"name": name, **config}, _calls(data), model)
        if data["class_name"] in tf_nodes.CLASSES:
            calls = tuple(tf_nodes.call(data, _keras2_call(node, unpack=False)) for node in data["inbound_nodes"])
            return LayerSpec(
                name, tf_nodes.kind(data), {"name": name, "dtype": dialect.value(data["config"].get("dtype"))}, calls
            )
        kind = dialect.layer_kind(data)
        nodes = data.get("inbound_nodes") or []
        module = str(data.get("module") or "")
        if module.startswith(("keras.src.ops", "keras.ops")) or (
            not module and any(map(_is_keras3, nodes)) and _is_operation(kind, data["config"])
        ):
            kind = f"ops.{kind}"
        config = dialect.layer_config(kind, data["config"])
        _parse_wrapped(data["config"], config)
        return LayerSpec(name, kind, config, _calls(data), package=dialect.package(data))
    except KerasgenError as error:
        raise type(error)(f"layer {name!r}: {error}") from error
    except _MALFORMED as error:
        raise InvalidModelError(f"layer {name!r}: malformed config: {reason(error)}") from error


def _parse_wrapped(written: Mapping[str, Any], config: dict[str, Any]) -> None:
    """Parse the model that a layer wraps, possibly through another wrapper, and put its spec into the config."""
    wrapped: Any = written.get("layer")
    if is_model(wrapped):
        model = model_spec(wrapped)
        config["layer"] = {"class_name": model.kind, "config": {"name": model.name}, "model": model}
    elif isinstance(wrapped, dict) and isinstance(wrapped.get("config"), dict):
        _parse_wrapped(wrapped["config"], config["layer"]["config"])


def _name(data: Any) -> str:
    if isinstance(data, dict):
        config = data.get("config")
        name = data.get("name") or (config.get("name") if isinstance(config, dict) else None)
        if isinstance(name, str) and isinstance(data.get("class_name"), str):
            return name
    raise InvalidModelError("malformed config: a layer without class or name")


def _named(data: Any, number: int) -> Any:
    """A layer of a Sequential model, with a name: nested models had none until Keras 2.2.3."""
    nameless = isinstance(data, dict) and isinstance(data.get("config"), list) and "name" not in data
    return {**data, "name": f"nested_{number}"} if nameless else data


def _calls(data: Mapping[str, Any]) -> tuple[Call, ...]:
    nodes = data.get("inbound_nodes") or []
    return _recorded(tuple(_keras3_call(node) if _is_keras3(node) else _keras2_call(node) for node in nodes), data)


def _recorded(calls: tuple[Call, ...], data: Mapping[str, Any]) -> tuple[Call, ...]:
    """The calls of a layer; if it is called once, on one tensor, with the shape that it was built for."""
    build, tensors = data.get("build_config"), list(leaves([(call.args, call.kwargs) for call in calls]))
    if len(calls) != 1 or len(tensors) != 1 or tensors[0].shape is not None or not isinstance(build, dict):
        return calls
    ref = replace(tensors[0], shape=dialect.recorded_shape(build.get("input_shape")))
    ((args, kwargs),) = map_leaves([(call.args, dict(call.kwargs)) for call in calls], lambda _: ref)
    return (Call(args, kwargs),)


def _is_keras3(node: Any) -> bool:
    return isinstance(node, dict) and {"args", "kwargs"} == node.keys()


def _keras3_call(node: Mapping[str, Any]) -> Call:
    return Call(tuple(dialect.value(node["args"])), _kwargs(dialect.value(node["kwargs"])))


def _keras2_call(node: Any, *, unpack: bool = True) -> Call:
    """Each tensor repeats the call's keyword arguments; for a layer, a list of one tensor means that tensor."""
    kwargs: dict[str, Any] = {}
    for entry in _entries(node):
        if len(entry) > 3:
            kwargs |= entry[3]
    inputs = _first_argument(node)
    if isinstance(inputs, list) and len(inputs) == 1 and unpack:
        inputs = inputs[0]
    return Call((inputs,), _kwargs({key: _keyword(item) for key, item in kwargs.items()}))


def _is_triple(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 3 and [type(part) for part in item] == [str, int, int]


def _is_entry(item: Any) -> bool:
    """Whether this is `[layer, call, index]`, possibly with keyword arguments, or a constant in its place."""
    if not isinstance(item, list) or len(item) not in (3, 4):
        return False
    return _is_triple(item[:3]) or item[:2] == ["_CONSTANT_VALUE", -1]


def _entries(node: Any) -> Iterator[list[Any]]:
    if _is_entry(node):
        yield node
    else:
        for item in node.values() if isinstance(node, dict) else node:
            yield from _entries(item)


def _first_argument(node: Any) -> Any:
    if _is_entry(node):
        return dialect.value(node[2]) if node[0] == "_CONSTANT_VALUE" else Ref(*node[:3])
    if isinstance(node, dict):
        return {key: _first_argument(item) for key, item in node.items()}
    return [_first_argument(item) for item in node]


def _keyword(item: Any) -> Any:
    """A keyword argument, in which tensors are bare triples and slices are dicts."""
    if _is_triple(item):
        return Ref(*item)
    if isinstance(item, list):
        return [_keyword(part) for part in item]
    if isinstance(item, dict) and item.keys() == {"start", "stop", "step"}:
        return slice(*(_keyword(item[key]) for key in ("start", "stop", "step")))
    if isinstance(item, dict) and "class_name" not in item:
        return {key: _keyword(part) for key, part in item.items()}
    return dialect.value(item)


def _kwargs(written: Mapping[str, Any]) -> dict[str, Any]:
    """The keyword arguments that matter. Exported models infer: `training` counts only if it is forced."""
    return {
        key: item
        for key, item in written.items()
        if (item is True if key == "training" else key == "slice_spec" or any(part is not None for part in _flat(item)))
    }


def _flat(item: Any) -> list[Any]:
    """The masks of several inputs are a list, with None for an input without one."""
    return item if isinstance(item, list) else [item]


def _tensors(written: Any) -> Any:
    """The structure of a model's inputs or outputs in the file: a `Ref`, a list (even of one) or a dict."""
    if _is_triple(written):
        return Ref(*written)
    if isinstance(written, dict):
        return {key: _tensors(item) for key, item in written.items()}
    if isinstance(written, list) and written:
        return [_tensors(item) for item in written]
    raise InvalidModelError("malformed config: the model's inputs or outputs are not lists of tensors")


def _all_refs(model: ModelSpec) -> Iterator[tuple[str, Ref]]:
    """Every tensor that is read, with its reader."""
    for layer in model.layers:
        for call in layer.calls:
            yield from ((f"layer {layer.name!r}", ref) for ref in leaves([call.args, call.kwargs]))
    yield from (("the model's inputs or outputs", ref) for ref in leaves([model.inputs, model.outputs]))


def _from_first_call(model: ModelSpec) -> ModelSpec:
    """The model with calls numbered from 0: tf.keras counts the call that built a nested model as its first."""
    last: dict[str, int] = {}
    for _, ref in _all_refs(model):
        last[ref.layer] = max(ref.call, last.get(ref.layer, 0))
    late = {layer.name for layer in model.layers if layer.model and last.get(layer.name) == len(layer.calls)}

    def shift(ref: Ref) -> Ref:
        return replace(ref, call=ref.call - 1) if ref.layer in late else ref

    layers = [
        replace(layer, calls=tuple(Call(map_leaves(c.args, shift), map_leaves(c.kwargs, shift)) for c in layer.calls))
        for layer in model.layers
    ]
    return replace(
        model, layers=tuple(layers), inputs=map_leaves(model.inputs, shift), outputs=map_leaves(model.outputs, shift)
    )


def _check(model: ModelSpec) -> None:
    """InvalidModelError unless names are unique and every tensor that is read is an output of a call."""
    calls = {
        layer.name: len(layer.calls) or int(layer.kind == "InputLayer")  # an input is never called
        for layer in model.layers
    }
    if len(calls) < len(model.layers):
        names = Counter(layer.name for layer in model.layers)
        raise InvalidModelError(f"the layer name {next(n for n in names if names[n] > 1)!r} appears twice")
    for reader, ref in _all_refs(model):
        if ref.layer not in calls:
            raise InvalidModelError(f"{reader}: reads from layer {ref.layer!r}, which is not in the model")
        if not 0 <= ref.call < calls[ref.layer] or ref.index < 0:
            raise InvalidModelError(
                f"{reader}: reads output {ref.index} of call {ref.call} of layer {ref.layer!r}, "
                f"which is called {calls[ref.layer]} times"
            )
