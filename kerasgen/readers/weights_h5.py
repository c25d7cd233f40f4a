"""`.weights.h5`, alone or inside `.keras`: one group per object, at the path of attributes that leads to it.

A layer lies at `layers/<class in snake case>`, with `_1`, `_2`, … behind all but the first of its class; a part of it
at the attribute that holds the part; the variables of each in `vars/0`, `vars/1`, … An object that can be reached twice
is there once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen.errors import InvalidModelError
from kerasgen.names import snake_case
from kerasgen.readers import hdf5
from kerasgen.readers.graph_config import inner_model
from kerasgen.readers.model import LayerSpec, ModelSpec, Variable

_OLD_LIST = "_layer_checkpoint_dependencies"  # TensorFlow 2.12 and 2.13
_RANDOM_STATE = "seed_generator"  # of dropout and augmentation: no weights


def holds_layers(root: hdf5.Group) -> bool:
    """Whether these are weights, by objects. Windows spells paths its own way: see `backslashes`."""
    return any(re.split(r"[/\\]", name)[0] in ("layers", _OLD_LIST) for name in root.links)


@dataclass(frozen=True)
class ObjectWeights:
    """The weights of a `.weights.h5` file; `asset` gives the text files that may stand beside it, by path."""

    source: hdf5.Source
    asset: Callable[[str], bytes | None] = lambda path: None

    def bind(self, model: ModelSpec, variables: Sequence[Variable]) -> dict[str, np.ndarray]:
        """Arrays by `Variable.key`."""
        parts: dict[tuple[tuple[str, ...], str], list[Variable]] = {}
        for variable in variables:
            if not variable.state:
                parts.setdefault((variable.owner, variable.name.rpartition("/")[0]), []).append(variable)
        with hdf5.opened(self.source) as file:
            places = _places_by_path(model, file.root, variables)
            pairs: list[tuple[Variable, Any]] = []
            used: set[hdf5.Group] = set()
            texts: dict[str, np.ndarray] = {}
            for (owner, part), owned in parts.items():
                layer, group = places[owner]
                own, stored = _variables(group, part)
                if layer.kind == "SpectralNormalization" and len(stored) == len(owned) + 1:
                    stored = stored[1:]  # the first is a copy of the wrapped layer's kernel
                if len(stored) != len(owned):
                    raise InvalidModelError(
                        f"{self.source.name}: layer {'/'.join(owner)!r} has {len(stored)} weights "
                        f"{f'at {part!r} ' if part else ''}in the file, but the architecture says {len(owned)}: "
                        f"{', '.join(variable.name for variable in owned)}"
                    )
                pairs += list(zip(owned, stored, strict=True))
                used |= {own} if own else set()
            for variable in (variable for variable in variables if variable.state):
                group = places[variable.owner][1]
                part, _, name = variable.name.rpartition("/")
                own = hdf5.subgroup(group, f"{part}/vars")
                if own is not None and name in own.links:
                    pairs.append((variable, hdf5.find(own, name)))
                    used.add(own)
                else:
                    texts[variable.key] = self._text(variable, f"assets{group.name}/{part}" if group else "")
            for path in _unused(file.root, used):
                raise InvalidModelError(f"{self.source.name}: no layer of the architecture has the weights at {path!r}")
            return {**hdf5.load(file, pairs), **texts}

    def shapes(self, model: ModelSpec, variables: Sequence[Variable]) -> dict[tuple[str, ...], list[tuple[int, ...]]]:
        """The shapes of the arrays that the file has for each layer, by the path of names to it; none is read."""
        shapes, seen = {}, set[hdf5.Group]()
        with hdf5.opened(self.source) as file:
            for path, (_, group) in _places_by_path(model, file.root, variables).items():
                if group is not None and group not in seen:  # a shared layer counts once
                    seen.add(group)
                    shapes[path] = [array.shape for array in _arrays(group)]
        return shapes

    def _text(self, variable: Variable, folder: str) -> np.ndarray:
        """Whole numbers, one on each line of an asset."""
        where = f"{self.source.name}: layer {'/'.join(variable.owner)!r}: its {variable.name}"
        text = self.asset(f"{folder.rstrip('/')}/{variable.name.rpartition('/')[2]}.txt") if folder else None
        if text is None:
            raise InvalidModelError(f"{where} is missing: it is in no file but the .keras archive")
        try:
            array = np.array([int(line) for line in text.split()], np.int64)
        except (ValueError, OverflowError) as error:
            raise InvalidModelError(f"{where} holds something else than whole numbers") from error
        if array.shape != variable.shape:
            raise InvalidModelError(f"{where} is {len(array)} long, but the architecture says {variable.shape[0]}")
        return array


def _places_by_path(
    model: ModelSpec, root: hdf5.Group, variables: Sequence[Variable]
) -> dict[tuple[str, ...], tuple[LayerSpec, hdf5.Group | None]]:
    """Every layer, those of nested models too, and its group, by the path of names to it."""
    weighted = {variable.owner[: n + 1] for variable in variables for n in range(len(variable.owner))}
    return {owner: (layer, group) for owner, layer, group in _places(model, root, (), weighted, {})}


def _places(
    model: ModelSpec,
    holder: hdf5.Group | None,
    owner: tuple[str, ...],
    weighted: set[tuple[str, ...]],
    seen: dict[tuple[str, str], hdf5.Group],
) -> Iterator[tuple[tuple[str, ...], LayerSpec, hdf5.Group | None]]:
    """Every layer, those of nested models too, with its path of names and its group.

    `seen` holds the layers that have come up, in Keras's order: a layer without a group of its own is one of them.
    """
    layers = [layer for layer in model.layers if not layer.is_operation]
    if model.kind == "Sequential":
        layers = [layer for layer in layers if layer.kind != "InputLayer"]
    needed = {layer.name for layer in layers if (*owner, layer.name) in weighted}
    listed = None if holder is None else _list(holder)
    groups = {} if listed is None else _groups(listed, layers, needed, set(_repeats(layers, set(seen))))
    for layer in layers:
        path, (inner, attributes), key = (*owner, layer.name), inner_model(layer), (layer.name, layer.kind)
        group = groups.get(layer.name) or seen.get(key)
        if group is not None:
            seen.setdefault(key, group)
        if inner is None:
            yield path, layer, group
        else:
            part = None if group is None else hdf5.subgroup(group, attributes)
            yield from _places(inner, part, path, weighted, seen)


def _repeats(layers: Sequence[LayerSpec], seen: set[tuple[str, str]]) -> Iterator[str]:
    """The names of layers that may be shared with a model that came before."""
    for layer in layers:
        if (layer.name, layer.kind) in seen:
            yield layer.name
        seen.add((layer.name, layer.kind))
        inner, _ = inner_model(layer)
        if inner is not None:
            list(_repeats(inner.layers, seen))


def _list(model: hdf5.Group) -> hdf5.Group | None:
    new, old = hdf5.subgroup(model, "layers"), hdf5.subgroup(model, _OLD_LIST)
    if new and old:
        raise ValueError(f"{model.name!r} holds its layers twice, as 'layers' and as {_OLD_LIST!r}")
    return new or old


def _groups(
    listed: hdf5.Group, layers: Sequence[LayerSpec], needed: set[str], repeats: set[str]
) -> dict[str, hdf5.Group]:
    """The layers' groups by name: the first way of finding them that finds all, or all but shared ones."""
    ways = [
        _by_name(listed),
        _by_count(listed, layers),
        _by_count(listed, [layer for layer in layers if layer.name not in repeats]),  # tf.keras counts no layer twice
    ]
    for shared in (set[str](), repeats):
        for groups in ways:
            if groups.keys() >= needed - shared:
                return groups
    return ways[1]


def _by_name(listed: hdf5.Group) -> dict[str, hdf5.Group]:
    """By the name that later versions of Keras 3 note."""
    groups = {}
    for child in listed.links:
        group = hdf5.subgroup(listed, child)
        own = hdf5.subgroup(group, "vars")
        if group is not None and own is not None and "name" in own.attrs:
            groups[hdf5.text(own, "name")] = group
    return groups


def _by_count(listed: hdf5.Group, layers: Sequence[LayerSpec]) -> dict[str, hdf5.Group]:
    """By class and position."""
    groups: dict[str, hdf5.Group] = {}
    count: Counter[str] = Counter()
    ranked: dict[str, list[str]] = {}
    for entry in sorted(listed.links, key=_number):
        ranked.setdefault(re.sub(r"_\d+$", "", entry), []).append(entry)
    for layer in layers:
        name = snake_case(layer.kind)
        if listed.name.endswith(_OLD_LIST):  # it counts a layer with weights twice: only the order tells
            same = ranked.get(name, [])
            child = same[count[name]] if count[name] < len(same) else ""
        else:
            child = f"{name}_{count[name]}" if count[name] else name
        count[name] += 1
        group = hdf5.subgroup(listed, child) if child else None
        if group is not None:
            groups[layer.name] = group
    return groups


def _number(child: str) -> int:
    suffix = child.rpartition("_")[2]
    return int(suffix) if suffix.isdigit() else 0


def _variables(group: hdf5.Group | None, part: str) -> tuple[hdf5.Group | None, list[Any]]:
    """The group of one object's arrays, and these in order. tf.keras has private names for some: `_query_dense`."""
    for attribute in filter(None, part.split("/")):
        group = hdf5.subgroup(group, attribute) or hdf5.subgroup(group, f"_{attribute}")
    own = hdf5.subgroup(group, "vars")
    return own, [] if own is None else [hdf5.find(own, index) for index in sorted(own.links, key=int)]


def _arrays(group: hdf5.Group) -> Iterator[hdf5.Array]:
    """The arrays of a layer and of all its parts."""
    for own in _holders(group):
        yield from (link for name, link in own.links.items() if name.isdigit() and isinstance(link, hdf5.Array))


def _unused(root: hdf5.Group, used: set[hdf5.Group]) -> Iterator[str]:
    """The paths of variables of layers that nothing used; what has a name may be in the config as well."""
    for own in _holders(_list(root)):
        if any(map(str.isdigit, own.links)) and own not in used:
            yield own.name


def _holders(group: hdf5.Group | None) -> Iterator[hdf5.Group]:
    """The groups that hold variables, in and below this one."""
    pending = [group]
    while pending:
        group = pending.pop()
        if group is not None and group.name.endswith("/vars"):
            yield group
        elif group is not None:
            pending += [hdf5.subgroup(group, name) for name in group.links if name != _RANDOM_STATE]
