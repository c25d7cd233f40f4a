"""Weights stored in fewer bytes than float32 takes; a module decodes them when it is loaded.

| dtype    | what is stored of weights w                                                                  |
|----------|----------------------------------------------------------------------------------------------|
| float16  | the nearest float16                                                                          |
| bfloat16 | the upper 16 bits of float32, rounded to the nearest, ties to even                           |
| int8     | q = round(w / s) and s = max |w| / 127 in float32, one s for each output channel; w' = q * s |

The rest stays in float32: arrays that are small, that have one axis (biases, batch statistics), or that would not be
finite afterwards; of int8 also those with fewer than `PER_SCALE` numbers for each scale, which would save little.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np

from kerasgen import kernels
from kerasgen.emit.runtime.dtypes import decode_weights
from kerasgen.errors import UsageError
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.names import printable

# By dtype, the error that is allowed by default, as a part of the largest output.
MAX_LOSS: Mapping[str, float] = {"float16": 0.01, "bfloat16": 0.03, "int8": 0.1}
DTYPES = ("float32", *MAX_LOSS)
SMALL = 1000  # numbers in an array that is not worth it
PER_SCALE = 4
# The output channels of a weight are its last axis, or those that `facts` tells, or these.
CHANNELS: Mapping[object, tuple[int, ...]] = {
    kernels.tiled_depthwise_conv2d: (-2, -1),
    kernels.winograd_depthwise_conv2d: (-2, -1),
}


def encode(array: np.ndarray, dtype: str, axes: Sequence[int] = (-1,)) -> dict[str, np.ndarray]:
    """What is stored of an array, by the endings of names; `axes` are those of its output channels."""
    with np.errstate(all="ignore"):
        if dtype == "float16":
            return {".float16": array.astype(np.float16)}
        if dtype == "bfloat16":
            bits = np.ascontiguousarray(array).view(np.uint32)
            return {".bfloat16": ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype(np.uint16)}
        channels = {axis % array.ndim for axis in axes}
        others = tuple(axis for axis in range(array.ndim) if axis not in channels)
        scale = np.abs(array).max(axis=others, keepdims=True) / np.float32(127)
        scale[scale == 0] = 1.0
        return {".int8": np.clip(np.rint(array / scale), -127, 127).astype(np.int8), ".scale": scale}


def compact(plan: Plan, dtype: str, keep: Iterable[str] = ()) -> dict[str, np.ndarray]:
    """The weights of a plan by their names in the file; `keep` are patterns of weights and layers to leave alone.

    `kerasgen.emit.runtime.dtypes.decode_weights` is the way back.
    """
    graph = plan.graph
    layers, axes = _layers(graph), _channels(graph)
    stored: dict[str, np.ndarray] = {}
    for name, array in graph.weights.items():
        parts = {"": array}
        wanted = array.dtype == np.float32 and array.ndim > 1 and array.size >= SMALL
        if wanted and not _fits((name, *layers.get(name, ())), keep):
            parts = _worthwhile(array, encode(array, dtype, axes.get(name, (-1,))))
        stored.update((name + ending, part) for ending, part in parts.items())
    return stored


def decoded(plan: Plan, stored: Mapping[str, np.ndarray]) -> Plan:
    """The plan with the weights that a module has after loading."""
    weights = decode_weights(stored)
    return replace(plan, graph=replace(plan.graph, weights={name: weights[name] for name in plan.graph.weights}))


def is_compact(stored: Iterable[str]) -> bool:
    """Whether any of these arrays must be decoded."""
    return any(key.endswith(tuple(f".{dtype}" for dtype in MAX_LOSS)) for key in stored)


def check_patterns(keep: Iterable[str], names: Collection[str]) -> None:
    """Raise UsageError for a pattern that fits none of these names of layers and weights."""
    for pattern in keep:
        if not any(fnmatchcase(name, pattern) for name in names):
            last = ", ".join(printable(name) for name in [*names][-8:])
            raise UsageError(f"keep: {pattern!r} fits no layer and no weight; the last ones: {last}")


def _worthwhile(array: np.ndarray, parts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parts, or the array itself where they are no good."""
    few = ".scale" in parts and array.size < PER_SCALE * parts[".scale"].size
    with np.errstate(all="ignore"):
        whole = decode_weights({f"w{ending}": part for ending, part in parts.items()})["w"]
    return {"": array} if few or not np.isfinite(whole).all() else parts


def _fits(names: Iterable[str], patterns: Iterable[str]) -> bool:
    patterns = tuple(patterns)
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _layers(graph: Graph) -> dict[str, set[str]]:
    """The layers that read each weight."""
    found: dict[str, set[str]] = {}
    for node in graph.nodes:
        for name in node.reads:
            found.setdefault(name, set()).update((node.layer, node.layer.partition("#")[0]))
    return found


def _channels(graph: Graph) -> dict[str, tuple[int, ...]]:
    """The axes of the output channels of each weight that is a kernel's second input."""
    return {
        str(node.inputs[1]): facts(node.kernel).output_axes or CHANNELS.get(node.kernel, (-1,))
        for node in graph.nodes
        if len(node.inputs) > 1
    }
