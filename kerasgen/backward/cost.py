"""What a step of training takes: bytes that are saved, bytes at the peak, multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kerasgen import kernels
from kerasgen.backward.plans import TrainingPlan
from kerasgen.builder.summary import StepCost
from kerasgen.graph.facts import facts, multiply_adds
from kerasgen.graph.infer import infer_values
from kerasgen.graph.ir import Graph, Node, Value

BLOCK_BYTES = 2 << 20  # unfolded windows and the like


def step_cost(training: TrainingPlan) -> StepCost:
    """What the plans take. Views count as what they are views of, for the bound to hold."""
    forward, backward = training.forward.graph, training.backward.graph
    sizes = _sample_bytes(forward, training.forward.loaded())
    saved = forward.outputs[len(forward.output_names) :]
    windows = {node.output: sizes.get(node.output, 0) * _windows(node, forward.arrays) for node in _unfolding(forward)}
    inputs = {value.name for value in forward.inputs}
    first = _peak(forward.nodes, sizes, inputs, kept={*forward.outputs}, windows=windows)
    sizes.update(_sample_bytes(backward, backward.arrays))
    second = _peak(backward.nodes, sizes, {value.name for value in backward.inputs}, kept=set(), windows={})
    held = sum(sizes.get(name, 0) for name in dict.fromkeys(saved))
    macs: float = 0
    specs = {**training.shared.specs, **_weights(training.shared.arrays)}
    for node in training.shared.nodes:
        count = multiply_adds(node, specs)
        macs += math.inf if count is None else count * (1 + training.backward.products.get(node.outputs[0], 0))
    weights = sum(forward.arrays[name].nbytes for name in training.trainable)
    return StepCost(_whole(held), _whole(max(first, second)), weights, BLOCK_BYTES, _whole(macs))


def _whole(number: float) -> int | None:
    return None if math.isinf(number) else int(number)


def _sample_bytes(graph: Graph, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """The bytes of each value for one sample, none for what has no batch. `arrays` are the weights of the kernels."""
    specs = {value.name: value for value in (*(state for state, _ in graph.memory), *graph.inputs)}
    for _, values in infer_values(graph, graph.inputs, arrays):
        specs.update((value.name, value) for value in values)
    return {name: _bytes(value) for name, value in specs.items() if value.shape[:1] == (None,)}


def _weights(arrays: Mapping[str, np.ndarray]) -> dict[str, Value]:
    return {name: Value(name, array.shape, array.dtype.name) for name, array in arrays.items()}


def _bytes(value: Value) -> float:
    cells = math.prod(math.inf if size is None else size for size in value.shape[1:])
    return cells * np.dtype(value.dtype).itemsize


def _unfolding(graph: Graph) -> Iterator[Node]:
    """The convolutions that unfold the windows of all samples at once."""
    yield from (node for node in graph.nodes if facts(node.kernel).conv_axes or node.kernel is kernels.conv_by_taps)


def _windows(node: Node, arrays: Mapping[str, np.ndarray]) -> float:
    """How many times the bytes of the result the unfolded windows take: kh * kw * C / F."""
    *window, channels, filters = arrays[str(node.inputs[1])].shape
    return float(math.prod(window) * channels / filters)


def _peak(
    nodes: Sequence[Node], sizes: Mapping[str, float], live: set[str], *, kept: set[str], windows: Mapping[str, float]
) -> float:
    """The most that the values take at once: each lives until its last reader, those `kept` to the end.

    `windows` are the bytes that a node needs while it computes its first output.
    """
    last = {name: index for index, node in enumerate(nodes) for name in node.reads}
    total, peak = sum(sizes.get(name, 0) for name in live), 0.0
    for index, node in enumerate(nodes):
        live = live.union(node.outputs)
        total += sum(sizes.get(name, 0) for name in node.outputs)
        peak = max(peak, total + windows.get(node.outputs[0], 0))
        dead = {name for name in live if last.get(name, -1) <= index and name not in kept}
        total -= sum(sizes.get(name, 0) for name in dead)
        live -= dead
    return peak
