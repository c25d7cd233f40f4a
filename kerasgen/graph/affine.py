"""Nodes that scale and shift each channel: y = x s + t, where s and t are a number or one per channel.

Two in a row are one: (x s + t) u + v = x (s u) + (t u + v).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Operand

# A larger shift in x s + t cancels more than 5 of the 24 bits of a float32, which x - mean would keep.
LARGEST_SHIFT = 32.0
SMALLEST_SCALE = 1e-30  # by which a float32 can be divided
Terms = Callable[[Any], tuple[Any, Any]]
LEFT: Mapping[Any, Terms] = {
    np.multiply: lambda c: (c, 0.0),
    np.divide: lambda c: (1.0 / c, 0.0),
    np.add: lambda c: (1.0, c),
    np.subtract: lambda c: (1.0, -c),
}  # s and t of x * c and so on
RIGHT: Mapping[Any, Terms] = {**LEFT, np.divide: lambda c: (np.nan, 0.0), np.subtract: lambda c: (-1.0, c)}  # of c * x


@dataclass(frozen=True)
class Affine:
    """x s + t, in float64."""

    x: str
    scale: np.ndarray
    shift: np.ndarray

    def of(self, inner: Affine) -> Affine:
        """The composition: this one applied to the output of the inner one."""
        return Affine(inner.x, inner.scale * self.scale, inner.shift * self.scale + self.shift)

    @property
    def cancels(self) -> bool:
        """Whether the shift is so large that it cancels digits."""
        return bool(np.abs(self.shift).max() > LARGEST_SHIFT)

    @property
    def invertible(self) -> bool:
        """Whether every number is x s + t of some x."""
        return bool(np.abs(self.scale).min() > SMALLEST_SCALE)


def affine(node: Node, graph: Graph) -> Affine | None:
    """The node as a scale and shift, if these are finite and keep shape and dtype."""
    with np.errstate(all="ignore"):
        x, terms = _terms(node, graph)
    if terms is None or not isinstance(x, str) or not graph.same_form(x, node.output):
        return None
    scale, shift = (np.asarray(each, np.float64).reshape(-1) for each in terms)
    if graph.specs[x].dtype not in ("float32", "float64") or not np.isfinite([*scale, *shift]).all():
        return None
    return Affine(x, scale, shift)


def gathered(
    whole: Affine, graph: Graph, makers: Mapping[str, Node], readers: Mapping[str, int]
) -> tuple[Affine, list[str]]:
    """This one composed with those before it, and the values between them, which nothing reads any more.

    The chain ends at a value with another reader, and at a shift that would cancel digits.
    """
    between = []
    while readers[whole.x] == 1 and whole.x in makers:
        inner = affine(makers[whole.x], graph)
        if inner is None or whole.of(inner).cancels:
            break
        between.append(whole.x)
        whole = whole.of(inner)
    return whole, between


def channel_numbers(operand: Operand, graph: Graph) -> Any:
    """A literal or a weight in float64, if it is a number or one per cell of the last axis, the channels."""
    if isinstance(operand, (int, float)):
        return np.float64(operand)
    array = graph.weights.get(str(operand))
    if array is None or array.shape[-1:] not in ((), (array.size,)):
        return None
    return array.reshape(-1).astype(np.float64)


def scale_and_shift(norm: Node, weights: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The scale s and the shift beta - mean s of a batch normalisation by weights, in float64."""
    defaults = (1.0, 0.0, 0.0, 1.0)
    gamma, beta, mean, variance = (
        missing if name is None else weights[str(name)].astype(np.float64)
        for name, missing in zip(norm.inputs[1:], defaults, strict=True)
    )
    scale = gamma / np.sqrt(variance + norm.attrs["epsilon"])
    return scale, beta - mean * scale


def _terms(node: Node, graph: Graph) -> tuple[Operand, tuple[Any, Any] | None]:
    """The input that the node scales, and its s and t, if it does nothing else."""
    if node.kernel is kernels.batch_norm:
        by_channel = node.attrs["axis"] == -1 and all(n is None or n in graph.weights for n in node.inputs[1:])
        return node.inputs[0], scale_and_shift(node, graph.weights) if by_channel else None
    if node.kernel is kernels.normalization:
        return node.inputs[0], _normalization(node, graph)
    if node.kernel in LEFT:
        for terms, (x, operand) in ((LEFT, node.inputs), (RIGHT, node.inputs[::-1])):
            numbers = channel_numbers(operand, graph)
            if numbers is not None:
                return x, terms[node.kernel](numbers)
    return None, None


def _normalization(node: Node, graph: Graph) -> tuple[Any, Any] | None:
    mean, variance = (channel_numbers(moment, graph) for moment in node.inputs[1:])
    if mean is None or variance is None:
        return None
    deviation = np.maximum(np.sqrt(variance), node.attrs.get("epsilon", 1e-7))
    return (deviation, mean) if node.attrs.get("invert") else (1.0 / deviation, -mean / deviation)
