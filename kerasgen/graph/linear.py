"""Layers that multiply by a weight and add a bias: how their weights absorb a scale and a shift of the channels.

After the layer, (x * W + b) s + t = x * (W s) + (b s + t), where s and t go along the output channels of W.
Before it, (x s + t) * W + b = x * (W s) + (b + sum of W t), where they go along the input channels.
All is computed in float64 and rounded once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen.graph.affine import Affine
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node, Operand


def has_weights(layer: Node, graph: Graph) -> bool:
    """Whether its kernel, and its bias if it has one, are weights of the model."""
    return bool(facts(layer.kernel).output_axes) and all(i is None or i in graph.weights for i in layer.inputs[1:])


def takes_scale(layer: Node, graph: Graph, readers: Mapping[str, int]) -> bool:
    """Whether its weights can absorb a scale of its input: nothing else reads them, and the dtypes agree."""
    if not has_weights(layer, graph):
        return False
    kernel, x = graph.weights[str(layer.inputs[1])], graph.specs.get(str(layer.inputs[0]))
    return readers[str(layer.inputs[1])] == 1 and x is not None and x.dtype == kernel.dtype.name


def adds_zeros(layer: Node) -> bool:
    """Whether some outputs sum over fewer cells than the kernel has, as if the others were zeros."""
    pad = layer.attrs.get("pad")
    return facts(layer.kernel).transposed or pad == "same" or bool(np.any(pad or 0))


def layers_behind(graph: Graph, readers: Mapping[str, int]) -> dict[str, list[Node]]:
    """The readers of each value that only layers read whose weights can absorb its scale and shift."""
    behind: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.inputs and takes_scale(node, graph, readers) and not adds_zeros(node):
            behind[str(node.inputs[0])].append(node)
    return {name: layers for name, layers in behind.items() if len(layers) == readers[name]}


def scale_output(
    layer: Node, scale: Any, shift: Any, weights: dict[str, np.ndarray], readers: Mapping[str, int]
) -> Node:
    """The layer that computes `layer * scale + shift`, each a number or one per channel.

    Its kernel and bias are put into `weights`, over the old ones where nothing else reads them.
    """
    _, kernel_name, bias_name = (*layer.inputs, None)[:3]
    kernel = weights[str(kernel_name)]
    axes = facts(layer.kernel).output_axes
    shape = [size if axis - kernel.ndim in axes else 1 for axis, size in enumerate(kernel.shape)]
    channels = math.prod(shape)
    scale, shift = (np.broadcast_to(np.asarray(each, np.float64).reshape(-1), channels) for each in (scale, shift))
    bias = 0.0 if bias_name is None else weights[str(bias_name)].astype(np.float64)
    return _with_weights(layer, kernel * scale.reshape(shape), bias * scale + shift, weights, readers)


def scale_input(layer: Node, before: Affine, weights: dict[str, np.ndarray], readers: Mapping[str, int]) -> Node:
    """The layer that first applies `before`; its new weights are put into `weights` as by `scale_output`."""
    _, kernel_name, bias_name = (*layer.inputs, None)[:3]
    kernel, bias = weights[str(kernel_name)], None
    if np.any(before.shift):
        axes = facts(layer.kernel).output_axes
        summed = tuple(axis for axis in range(-kernel.ndim, 0) if axis not in axes)
        bias = np.sum(kernel * _along_inputs(layer, kernel, before.shift), axis=summed).reshape(-1)
        bias += 0.0 if bias_name is None else weights[str(bias_name)]
    return _with_weights(layer, kernel * _along_inputs(layer, kernel, before.scale), bias, weights, readers)


def _along_inputs(layer: Node, kernel: np.ndarray, numbers: np.ndarray) -> Any:
    """A number or one per input channel, shaped to broadcast over the kernel."""
    if numbers.size == 1 or facts(layer.kernel).transposed:
        return numbers
    groups = layer.attrs.get("groups", 1)
    read_by_group = numbers.reshape(groups, -1)
    return np.repeat(read_by_group, kernel.shape[-1] // groups, axis=0).T  # for each filter, those of its channels


def _with_weights(
    layer: Node, kernel: np.ndarray, bias: Any, weights: dict[str, np.ndarray], readers: Mapping[str, int]
) -> Node:
    """The layer with another kernel and, unless it is None, another bias, both put into `weights`.

    A weight that another node reads too is left as it is; the new one gets a name of its own.
    """
    _, kernel_name, bias_name = (*layer.inputs, None)[:3]
    arrays = {str(kernel_name): kernel}
    if bias is not None:
        arrays[str(bias_name or str(kernel_name).rpartition("/")[0] + "/bias")] = bias
    dtype = weights[str(kernel_name)].dtype
    names: list[Operand] = []
    for name, array in arrays.items():
        while name in weights and (readers[name] > 1 or name not in layer.inputs):
            name += "_folded"
        weights[name] = array.astype(dtype)
        names.append(name)
    return replace(layer, inputs=(layer.inputs[0], *names, *layer.inputs[1 + len(names) :]))
