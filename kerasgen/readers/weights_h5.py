"""`.weights.h5`, alone or inside `.keras`: one group per object, at its path of attributes.

`layer_groups` finds the layers; a part of a layer is at the attribute that holds it; variables are in `vars/0`,
`vars/1`, …, or, for states, under Keras's names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen.errors import InvalidModelError
from kerasgen.readers import hdf5
from kerasgen.readers.layer_groups import Place, by_class, layer_groups, list_of_layers
from kerasgen.readers.model import LayerPath, ModelSpec, Variable

_RANDOM_STATE = "seed_generator"  # of dropout and augmentation: not weights

Places = Mapping[LayerPath, Place]


@dataclass(frozen=True)
class _Stored:
    """A variable, its array in the file, and the group of the array."""

    variable: Variable
    array: Any
    group: hdf5.Group


@dataclass(frozen=True)
class ObjectWeights:
    """The weights of a `.weights.h5` file; `asset` returns the text file at a path beside it, if any."""

    source: hdf5.Source
    asset: Callable[[str], bytes | None] = lambda path: None

    def bind(self, model: ModelSpec, variables: Sequence[Variable], *, partial: bool = False) -> dict[str, np.ndarray]:
        """Arrays by `Variable.key`."""
        weights = [variable for variable in variables if not variable.state]
        states = [variable for variable in variables if variable.state]
        with hdf5.opened(self.source) as file:
            places = layer_groups(model, file.root, variables)
            stored = [*self._weights(weights, places), *_states(states, places)]
            in_file = {item.variable.key for item in stored}
            texts = {v.key: self._text(v, places[v.owner].group) for v in states if v.key not in in_file}
            unused = () if partial else _unused(file.root, {item.group for item in stored})
            for path in unused:
                raise InvalidModelError(f"{self.source.name}: no layer of the architecture has the weights at {path!r}")
            return {**hdf5.load(file, [(item.variable, item.array) for item in stored]), **texts}

    def fits(self, model: ModelSpec) -> bool:
        """Whether every layer that has weights in the file seems to be one of the model's, by its class."""
        with hdf5.opened(self.source) as file:
            listed = list_of_layers(file.root)
            stored = {} if listed is None else {name: hdf5.subgroup(listed, name) for name in listed.links}
            weighted = {group for group in stored.values() if group is not None and any(_all_arrays(group))}
            return bool(weighted) and listed is not None and weighted <= set(by_class(listed, model).values())

    def shapes(self, model: ModelSpec, variables: Sequence[Variable]) -> dict[LayerPath, list[tuple[int, ...]]]:
        """The shapes of each layer's arrays in the file, by the path of names to the layer; no array is read."""
        shapes, seen = {}, set[hdf5.Group]()
        with hdf5.opened(self.source) as file:
            for path, place in layer_groups(model, file.root, variables).items():
                if place.group is not None and place.group not in seen:  # a shared layer counts once
                    seen.add(place.group)
                    shapes[path] = [array.shape for array in _all_arrays(place.group)]
        return shapes

    def _weights(self, weights: Iterable[Variable], places: Places) -> Iterator[_Stored]:
        """Weights, in the order in which each object declares them."""
        parts: dict[tuple[LayerPath, str], list[Variable]] = {}
        for weight in weights:
            parts.setdefault((weight.owner, weight.name.rpartition("/")[0]), []).append(weight)
        for (owner, part), declared in parts.items():
            place = places[owner]
            group, arrays = _numbered_arrays(place.group, part)
            if place.layer.kind == "SpectralNormalization" and len(arrays) == len(declared) + 1:
                arrays = arrays[1:]  # the first is a copy of the wrapped layer's kernel
            if group is None or len(arrays) != len(declared):
                raise InvalidModelError(
                    f"{self.source.name}: layer {'/'.join(owner)!r} has {len(arrays)} weights "
                    f"{f'at {part!r} ' if part else ''}in the file, but the architecture says {len(declared)}: "
                    f"{', '.join(weight.name for weight in declared)}"
                )
            for weight, array in zip(declared, arrays, strict=True):
                yield _Stored(weight, array, group)

    def _text(self, state: Variable, group: hdf5.Group | None) -> np.ndarray:
        """A state of integers, one per line of an asset."""
        part, _, name = state.name.rpartition("/")
        where = f"{self.source.name}: layer {'/'.join(state.owner)!r}: its {state.name}"
        folder = f"assets{group.name}/{part}".rstrip("/") if group else ""
        text = self.asset(f"{folder}/{name}.txt") if folder else None
        if text is None:
            raise InvalidModelError(f"{where} is missing: it is in no file but the .keras archive")
        try:
            array = np.array([int(line) for line in text.split()], np.int64)
        except (ValueError, OverflowError) as error:
            raise InvalidModelError(f"{where} does not hold integers only") from error
        if array.shape != state.shape:
            raise InvalidModelError(f"{where} is {len(array)} long, but the architecture says {state.shape[0]}")
        return array


def _states(states: Iterable[Variable], places: Places) -> Iterator[_Stored]:
    """The states that the file has, by name."""
    for state in states:
        part, _, name = state.name.rpartition("/")
        group = hdf5.subgroup(places[state.owner].group, f"{part}/vars")
        if group is not None and name in group.links:
            yield _Stored(state, hdf5.find(group, name), group)


def _numbered_arrays(group: hdf5.Group | None, part: str) -> tuple[hdf5.Group | None, list[Any]]:
    """The group of an object's arrays, and the arrays in order. tf.keras has private names for some: `_query_dense`."""
    for attribute in filter(None, part.split("/")):
        group = hdf5.subgroup(group, attribute) or hdf5.subgroup(group, f"_{attribute}")
    own = hdf5.subgroup(group, "vars")
    return own, [] if own is None else [hdf5.find(own, index) for index in sorted(own.links, key=int)]


def _all_arrays(group: hdf5.Group) -> Iterator[hdf5.Array]:
    """The arrays of a layer and its parts."""
    for own in _holders(group):
        yield from (link for name, link in own.links.items() if name.isdigit() and isinstance(link, hdf5.Array))


def _unused(root: hdf5.Group, used: set[hdf5.Group]) -> Iterator[str]:
    """The paths of layers' variables that were not used; a named one may also be in the config."""
    for own in _holders(list_of_layers(root)):
        if any(map(str.isdigit, own.links)) and own not in used:
            yield own.name


def _holders(group: hdf5.Group | None) -> Iterator[hdf5.Group]:
    """The groups that hold variables, at or below this one."""
    pending = [group]
    while pending:
        group = pending.pop()
        if group is not None and group.name.endswith("/vars"):
            yield group
        elif group is not None:
            pending += [hdf5.subgroup(group, name) for name in group.links if name != _RANDOM_STATE]
