"""Masks of a model's values: which one a layer is called with, and which ones its outputs get."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import signature
from typing import Any

from kerasgen.graph.ir import Value
from kerasgen.layers.layer import KEEP, Layer
from kerasgen.layers.masks import passes_on
from kerasgen.readers.model import leaves, map_leaves


class Masks:
    """The masks of values, by the value's name; most values have none."""

    def __init__(self, keras_major: int) -> None:
        self._keras_major = keras_major
        self._masks: dict[str, Value] = {}

    def of(self, structure: Any) -> Any:
        """The same structure with every tensor replaced by its mask, or None."""
        return map_leaves(structure, lambda value: self._masks.get(value.name), Value)

    def set(self, value: Value, mask: Value) -> None:
        """Give a value a mask."""
        self._masks[value.name] = mask

    def of_call(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The mask that a call passes on: its argument `mask`, else that of the tensors in its first argument."""
        return kwargs.get("mask", self.of(args[0]) if args else None)

    def argument(self, rule: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """The argument `mask` for a rule, if it takes one and there is one.

        Keras 3 passes on the masks of tensors only if just one argument of the call holds tensors.
        """
        if "mask" not in signature(rule).parameters:
            return {}
        holders = sum(_has_tensors(item) for item in (*args, *kwargs.values()))
        explicit_only = self._keras_major >= 3 and holders > 1
        mask = kwargs.get("mask") if explicit_only else self.of_call(args, kwargs)
        return {"mask": mask} if _has_tensors(mask) else {}

    def pass_on(self, layer: Layer, read: Iterable[Value], mask: Any, outputs: Iterable[Value]) -> None:
        """Give the outputs of a layer their masks, once the builder has adopted them.

        `read` are the tensors that it was called with, `mask` is the result of `of_call`.
        """
        if layer.strips_masks:
            for value in read:
                self._masks.pop(value.name, None)
        for value, output_mask in zip(outputs, self._output_masks(layer, mask), strict=False):
            if output_mask is not None:
                self.set(value, layer.renamed(output_mask))

    def _output_masks(self, layer: Layer, mask: Any) -> Sequence[Value | None]:
        if layer.output_mask is KEEP:
            return [next(leaves(mask, Value), None) if passes_on(layer.kind, self._keras_major) else None]
        return layer.output_mask if isinstance(layer.output_mask, list) else [layer.output_mask]


def _has_tensors(structure: Any) -> bool:
    return any(True for _ in leaves(structure, Value))
