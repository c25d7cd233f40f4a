"""Legacy HDF5: one group per layer of the outermost model, its weights in an order that Keras never documented.

Keras matches layers to groups and weights to datasets by order: first trainable weights, then the rest. Names are more
reliable if they match, since the order depends on what was frozen when the file was saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.readers import hdf5, jsonfile, old_layouts
from kerasgen.readers.graph_config import inner_model
from kerasgen.readers.model import LayerPath, LayerSpec, ModelSpec, Variable

_TOP_LEVEL = "top_level_model_weights"  # the model's own weights, if it has any
_RANDOM_STATE = ("StateVar", "seed_generator_state")  # of dropout and augmentation: not weights
_DIRECTIONS = ("forward_layer", "backward_layer")  # copies of the layer that Bidirectional wraps


def config(root: hdf5.Group, where: str) -> Any:
    """The architecture of a full model; None for a weights-only file."""
    if "model_config" not in root.attrs:
        return None
    return jsonfile.loads(hdf5.text(root, "model_config"), f"{where}: model_config")


def version(root: hdf5.Group) -> str:
    """The Keras version that wrote the file. Keras 1 did not record it with the weights."""
    group = hdf5.subgroup(root, "model_weights") or root
    return hdf5.text(group, "keras_version", hdf5.text(root, "keras_version", "1"))


def backend(root: hdf5.Group) -> str:
    """The backend that trained the weights, "" if not recorded, as in Keras 1."""
    group = hdf5.subgroup(root, "model_weights") or root
    return hdf5.text(group, "backend", hdf5.text(root, "backend"))


@dataclass(frozen=True)
class LegacyWeights:
    """The weights of a full or weights-only legacy file."""

    source: hdf5.Source
    theano: bool = False  # whether Theano trained them

    def bind(self, model: ModelSpec, variables: Sequence[Variable], *, partial: bool = False) -> dict[str, np.ndarray]:
        """Arrays by `Variable.key`."""
        layers = dict(_layers(model, ()))
        order = {path: position for position, path in enumerate(layers)}
        declared: dict[str, list[Variable]] = {layer.name: [] for layer in model.layers}
        for variable in sorted(variables, key=lambda variable: order[variable.owner]):
            if variable.state:
                raise InvalidModelError(
                    f"{self.source.name}: layer {'/'.join(variable.owner)!r}: its {variable.name} is missing: Keras "
                    "writes it to .keras archives only"
                )
            declared[variable.owner[0]].append(variable)
        declared = {layer: owned for layer, owned in declared.items() if owned}
        with hdf5.opened(self.source) as file:
            stored = self._stored(file.root)
            if partial:
                stored = _part(declared, stored)
            origin = old_layouts.Origin(keras1=version(file.root).startswith("1"), theano=self.theano)
            if origin.theano:
                self._refuse_borders_of_theano(layers)
            assemblies = []
            for layer, group in self._groups(declared, stored).items():
                objects = [_Object(layers, list(owned)) for _, owned in groupby(declared[layer], _object)]
                cut = [part for item in objects for part in item.parts(origin)]
                arrays: dict[str, list[Any]] = {}
                for variable, array in self._match(layer, cut, stored[group]):
                    arrays.setdefault(variable.key, []).append(array)
                assemblies += [join for item in objects for join in item.joined(arrays, origin)]
            return hdf5.assemble(file, assemblies)

    def fits(self, model: ModelSpec) -> bool:
        """Whether every layer that has weights in the file is one of the model's, by its name."""
        with hdf5.opened(self.source) as file:
            stored = self._stored(file.root).keys()
        return bool(stored) and stored <= {_TOP_LEVEL, *(layer.name for layer in model.layers)}

    def shapes(self, model: ModelSpec, variables: Sequence[Variable]) -> dict[LayerPath, list[tuple[int, ...]]]:
        """The shapes of each layer's arrays in the file, by the path of names to the layer; no array is read."""
        shapes: dict[LayerPath, list[tuple[int, ...]]] = {}
        paths = [path for path, _ in _layers(model, ())]
        with hdf5.opened(self.source) as file:
            for layer, arrays in self._stored(file.root).items():
                inner = [path for path in paths if path[0] == layer and len(path) > 1]
                for name, array in arrays.items():
                    if isinstance(array, hdf5.Array):
                        shapes.setdefault(_owner(name, inner) or (layer,), []).append(array.shape)
        return shapes

    def _refuse_borders_of_theano(self, layers: Mapping[LayerPath, LayerSpec]) -> None:
        affected = [p for p, layer in layers.items() if old_layouts.pads_like_theano_only(layer.kind, layer.config)]
        if affected:
            names = ", ".join(repr("/".join(path)) for path in affected)
            raise UnsupportedModelError(
                f"{self.source.name}: Theano trained this model; there `same` means other padding for windows that are "
                f"even, strided or pooled: {names}"
            )

    def _stored(self, file: hdf5.Group) -> dict[str, dict[str, Any]]:
        """The arrays by layer and weight name, both in the file's order, without layers that have no weights."""
        root = hdf5.subgroup(file, "model_weights") or file
        groups = {name: hdf5.find(root, name) for name in (*hdf5.names(root, "layer_names"), _TOP_LEVEL)}
        if groups[_TOP_LEVEL] is None:
            del groups[_TOP_LEVEL]
        stored = {layer: self._arrays(layer, group) for layer, group in groups.items()}
        return {layer: arrays for layer, arrays in stored.items() if arrays}

    def _arrays(self, layer: str, group: Any) -> dict[str, Any]:
        """A layer's arrays by name, without the states of random generators."""
        if not isinstance(group, hdf5.Group):
            raise InvalidModelError(f"{self.source.name}: layer {layer!r}: the file lists it but lacks its group")
        names = (n for n in hdf5.names(group, "weight_names") if not any(state in n for state in _RANDOM_STATE))
        arrays = {name: hdf5.find(group, name) for name in names}
        for name, array in arrays.items():
            if array is None:
                raise InvalidModelError(f"{self.source.name}: layer {layer!r}: weight {name!r} is missing")
        return arrays

    def _groups(self, declared: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, str]:
        """The group of each layer: by name, or else, as in Keras, by order."""
        extra, missing = ([name for name in a if name not in b] for a, b in ((stored, declared), (declared, stored)))
        if not missing and not extra:
            return {layer: layer for layer in declared}
        if len(stored) == len(declared):
            return dict(zip(declared, stored, strict=True))
        fault = (
            f"layer {missing[0]!r} has no weights in the file" if missing else f"layer {extra[0]!r} is not in the model"
        )
        raise InvalidModelError(
            f"{self.source.name}: the file has weights for {len(stored)} layers, the architecture for {len(declared)}: "
            f"{fault}"
        )

    def _match(self, layer: str, owned: list[Variable], stored: dict[str, Any]) -> list[tuple[Variable, Any]]:
        """The layer's variables with their arrays: by name if the names match one to one, else by order."""
        if len(owned) != len(stored):
            raise InvalidModelError(
                f"{self.source.name}: layer {layer!r} has {len(stored)} weights in the file, but the architecture says "
                f"{len(owned)}: {', '.join(variable.name for variable in owned) or 'none'}"
            )
        endings = _endings(stored)
        by_name = [endings.get(_ending(variable), []) for variable in owned]
        if all(len(matches) == 1 for matches in by_name) and len({matches[0] for matches in by_name}) == len(owned):
            return [(variable, stored[name]) for variable, (name,) in zip(owned, by_name, strict=True)]
        trained = [variable for variable in owned if variable.trainable and not variable.frozen]
        rest = [variable for variable in owned if not variable.trainable or variable.frozen]
        return list(zip(trained + rest, stored.values(), strict=True))


def _part(declared: Mapping[str, Sequence[Variable]], stored: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The stored arrays of these layers; of a nested model, those of the variables if the names tell them apart."""
    part = {}
    for layer in declared.keys() & stored.keys():
        endings = _endings(stored[layer])
        names = [name for variable in declared[layer] for name in endings.get(_ending(variable), [])]
        part[layer] = {name: stored[layer][name] for name in names} if len(names) == len(set(names)) else stored[layer]
    return {layer: part[layer] for layer in stored if layer in part}


def _layers(model: ModelSpec, owner: LayerPath) -> Iterator[tuple[LayerPath, LayerSpec]]:
    """Every layer by the path of names to it, in the order in which Keras lists their weights."""
    for layer in model.layers:
        path, (inner, _) = (*owner, layer.name), inner_model(layer)
        yield path, layer
        if inner is not None:
            yield from _layers(inner, path)


def _owner(weight: str, paths: Sequence[LayerPath]) -> LayerPath:
    """The path to the layer of a nested model that appears in a weight's name, or ()."""
    *parts, last = weight.partition(":")[0].split("/")
    candidates = [path for path in paths if path[-1] in parts or last.startswith(f"{path[-1]}_")]  # Keras 1: dense_1_W
    return max(candidates, key=lambda path: (len({*path} & {*parts}), len(path[-1])), default=())


def _object(variable: Variable) -> tuple[LayerPath, str]:
    """The owner of a variable: a layer and a part of it."""
    return variable.owner, variable.name.rpartition("/")[0]


class _Object:
    """The variables of one object: a layer, or a layer inside another one."""

    def __init__(self, layers: Mapping[LayerPath, LayerSpec], owned: list[Variable]) -> None:
        self.owned = owned
        layer = layers[owned[0].owner]
        self.kind, self.config = layer.kind, layer.config
        for attribute in owned[0].name.split("/")[:-1]:
            inner = self.config.get(attribute, self.config.get("layer") if attribute in _DIRECTIONS else None)
            if isinstance(inner, Mapping) and isinstance(inner.get("config"), Mapping):
                self.kind, self.config = inner["class_name"], inner["config"]

    def parts(self, origin: old_layouts.Origin) -> list[Variable]:
        return old_layouts.parts(self.kind, self.config, self.owned, origin)

    def joined(self, arrays: Mapping[str, list[Any]], origin: old_layouts.Origin) -> Iterator[hdf5.Assembly]:
        """Each variable with its arrays and the function that joins them."""
        shapes = {
            variable.name.rpartition("/")[2]: [getattr(array, "shape", ()) for array in arrays[variable.key]]
            for variable in self.owned
        }
        for variable in self.owned:
            join = old_layouts.joined(self.kind, self.config, variable, shapes, origin)
            yield variable, arrays[variable.key], join.shape, join.make


def _ending(variable: Variable) -> tuple[str, str]:
    """How the name of a variable's array ends: with the inner layer's name before it, inside a nested model."""
    return variable.owner[-1] if variable.owner[1:] else "", variable.name.rpartition("/")[2]


def _endings(stored: Mapping[str, Any]) -> dict[tuple[str, str], list[str]]:
    """The stored names by their last part, alone and with each part before it: inside a nested model, one of those is
    the inner layer's name."""
    endings: dict[tuple[str, str], list[str]] = {}
    for name in stored:
        *path, last = name.partition(":")[0].split("/")
        for part in {"", *path}:
            endings.setdefault((part, last), []).append(name)
    return endings
