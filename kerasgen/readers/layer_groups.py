"""Matches the groups of a `.weights.h5` file to layers.

A layer is at `layers/<class in snake case>`, with a suffix `_1`, `_2`, … for all but the first of its class; a nested
model has its own `layers`. A shared layer is stored once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kerasgen.names import snake_case
from kerasgen.readers import hdf5
from kerasgen.readers.graph_config import inner_model
from kerasgen.readers.model import LayerPath, LayerSpec, ModelSpec, Variable

_OLD_LIST = "_layer_checkpoint_dependencies"  # TensorFlow 2.12 and 2.13

Groups = dict[str, hdf5.Group]  # by the layer's name


def holds_layers(root: hdf5.Group) -> bool:
    """Whether this file holds weights by object. Windows uses other separators: see `backslashes`."""
    return any(re.split(r"[/\\]", name)[0] in ("layers", _OLD_LIST) for name in root.links)


def list_of_layers(model: hdf5.Group) -> hdf5.Group | None:
    """The group that holds the groups of a model's layers."""
    new, old = hdf5.subgroup(model, "layers"), hdf5.subgroup(model, _OLD_LIST)
    if new and old:
        raise ValueError(f"{model.name!r} holds its layers twice, as 'layers' and as {_OLD_LIST!r}")
    return new or old


@dataclass(frozen=True)
class Place:
    """A layer and its group, None if the file has none."""

    layer: LayerSpec
    group: hdf5.Group | None


def layer_groups(model: ModelSpec, root: hdf5.Group, variables: Sequence[Variable]) -> dict[LayerPath, Place]:
    """The place of every layer, including those of nested models, by the path of names to it."""
    owners = {variable.owner[: n + 1] for variable in variables for n in range(len(variable.owner))}
    return dict(_Walk(owners).through(model, root, ()))


def by_class(listed: hdf5.Group, model: ModelSpec) -> Groups:
    """The groups of a list by the names of the model's layers whose class and position they have."""
    return _by_count(listed, _stored_layers(model))


@dataclass(frozen=True)
class _Walk:
    """A walk through nested models. `owners` are the paths of layers that have weights or contain such a layer.

    `seen` are the groups of earlier layers, in Keras's order, by name and kind: a layer without its own group is a
    shared one among them.
    """

    owners: set[LayerPath]
    seen: dict[tuple[str, str], hdf5.Group] = field(default_factory=dict)

    def through(
        self, model: ModelSpec, holder: hdf5.Group | None, path: LayerPath
    ) -> Iterator[tuple[LayerPath, Place]]:
        """The places of a model's layers. `holder` is the model's own group, `path` leads to the model."""
        groups = self._groups(model, holder, path)
        for layer in _stored_layers(model):
            own, (inner, attributes), key = (*path, layer.name), inner_model(layer), (layer.name, layer.kind)
            group = groups.get(layer.name) or self.seen.get(key)
            if group is not None:
                self.seen.setdefault(key, group)
            if inner is None:
                yield own, Place(layer, group)
            else:
                yield from self.through(inner, None if group is None else hdf5.subgroup(group, attributes), own)

    def _groups(self, model: ModelSpec, holder: hdf5.Group | None, path: LayerPath) -> Groups:
        """The groups of a model's layers: the first candidate with all layers, or all but shared ones."""
        listed = None if holder is None else list_of_layers(holder)
        if listed is None:
            return {}
        layers = _stored_layers(model)
        needed = {layer.name for layer in layers if (*path, layer.name) in self.owners}
        shared = set(_repeats(layers, set(self.seen)))
        by_count = _by_count(listed, layers)
        candidates = [
            _by_name(listed),
            by_count,
            _by_count(listed, [layer for layer in layers if layer.name not in shared]),  # tf.keras counts each once
        ]
        complete = (groups for names in (needed, needed - shared) for groups in candidates if groups.keys() >= names)
        return next(complete, by_count)


def _stored_layers(model: ModelSpec) -> list[LayerSpec]:
    """The layers that Keras lists in a file of weights."""
    skipped = "InputLayer" if model.kind == "Sequential" else ""
    return [layer for layer in model.layers if not layer.is_operation and layer.kind != skipped]


def _repeats(layers: Sequence[LayerSpec], seen: set[tuple[str, str]]) -> Iterator[str]:
    """The names of layers that may be shared with an earlier model."""
    for layer in layers:
        if (layer.name, layer.kind) in seen:
            yield layer.name
        seen.add((layer.name, layer.kind))
        inner, _ = inner_model(layer)
        if inner is not None:
            list(_repeats(inner.layers, seen))


def _by_name(listed: hdf5.Group) -> Groups:
    """By the name that later versions of Keras 3 record."""
    groups = {}
    for child in listed.links:
        group = hdf5.subgroup(listed, child)
        own = hdf5.subgroup(group, "vars")
        if group is not None and own is not None and "name" in own.attrs:
            groups[hdf5.text(own, "name")] = group
    return groups


def _by_count(listed: hdf5.Group, layers: Sequence[LayerSpec]) -> Groups:
    """By class and position."""
    groups = {}
    ranked = _ranked(listed)
    count: Counter[str] = Counter()
    for layer in layers:
        name = snake_case(layer.kind)
        position = count[name]
        count[name] += 1
        if listed.name.endswith(_OLD_LIST):  # it counts a layer with weights twice: only the order is reliable
            child = ranked[name][position] if position < len(ranked.get(name, ())) else ""
        else:
            child = f"{name}_{position}" if position else name
        group = hdf5.subgroup(listed, child) if child else None
        if group is not None:
            groups[layer.name] = group
    return groups


def _ranked(listed: hdf5.Group) -> dict[str, list[str]]:
    """The children of a list by class, in numeric order."""
    ranked: dict[str, list[str]] = {}
    for child in sorted(listed.links, key=_number):
        ranked.setdefault(re.sub(r"_\d+$", "", child), []).append(child)
    return ranked


def _number(child: str) -> int:
    suffix = child.rpartition("_")[2]
    return int(suffix) if suffix.isdigit() else 0
