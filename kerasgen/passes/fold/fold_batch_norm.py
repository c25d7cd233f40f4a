"""Fold batch normalisation into the convolution or dense layer before it.

With s = gamma / sqrt(variance + epsilon):
    batch_norm(x * W + b) = x * (W s) + ((b - mean) s + beta)
where s scales the output channels of W. Computed in float64, rounded once.

Declines where the convolution's output has another reader, where it has an activation already, and where the
normalised axis is not the channels. A weight that another node reads too is left as it is; the folded one is new.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import scale_and_shift
from kerasgen.graph.ir import Graph, Node, Operand

# The axes of the kernel that its output channels come from.
OUTPUT_AXES: Mapping[Any, tuple[int, ...]] = {
    kernels.dense: (-1,),
    kernels.conv1d: (-1,),
    kernels.conv2d: (-1,),
    kernels.conv3d: (-1,),
    kernels.grouped_conv1d: (-1,),
    kernels.grouped_conv2d: (-1,),
    kernels.grouped_conv3d: (-1,),
    kernels.depthwise_conv1d: (-2, -1),
    kernels.depthwise_conv2d: (-2, -1),
    kernels.conv1d_transpose: (-2,),
    kernels.conv2d_transpose: (-2,),
    kernels.conv3d_transpose: (-2,),
}


def fold_batch_norm(graph: Graph) -> Graph:
    """Every batch normalisation that can be folded is."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    weights = dict(graph.weights)
    folded: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for norm in graph.nodes:
        conv = makers.get(str(norm.inputs[0])) if norm.kernel is kernels.batch_norm else None
        if conv is None or not _folds(conv, norm, graph) or readers[conv.output] > 1:
            continue
        folded[conv.output] = fold(conv, *scale_and_shift(norm, weights), weights, readers)
        renamed[norm.output] = conv.output
    nodes = (folded.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in renamed)
    layers = {layer: names for layer, names in graph.layers.items() if not folded.keys() & set(names)}
    return replace(graph, weights=weights, layers=layers).rewrite(nodes, renamed)


def _folds(conv: Node, norm: Node, graph: Graph) -> bool:
    parameters = [*conv.inputs[1:], *norm.inputs[1:]]
    return (
        conv.kernel in OUTPUT_AXES
        and norm.attrs["axis"] == -1
        and conv.attrs.get("activation") is None
        and all(name is None or name in graph.weights for name in parameters)
    )


def fold(conv: Node, scale: Any, shift: Any, weights: dict[str, np.ndarray], readers: Mapping[str, int]) -> Node:
    """The convolution or dense layer that answers `conv * scale + shift`, numbers or one for each of its channels.

    Its kernel and bias are put into `weights`, over the old ones where nothing else reads them.
    """
    _, kernel_name, bias_name = (*conv.inputs, None)[:3]
    kernel = weights[str(kernel_name)]
    axes = OUTPUT_AXES[conv.kernel]
    shape = [size if axis - kernel.ndim in axes else 1 for axis, size in enumerate(kernel.shape)]
    channels = math.prod(shape)
    scale, shift = (np.broadcast_to(np.asarray(each, np.float64).reshape(-1), channels) for each in (scale, shift))
    bias = 0.0 if bias_name is None else weights[str(bias_name)].astype(np.float64)
    return with_weights(conv, kernel * scale.reshape(shape), bias * scale + shift, weights, readers)


def with_weights(
    layer: Node, kernel: np.ndarray, bias: Any, weights: dict[str, np.ndarray], readers: Mapping[str, int]
) -> Node:
    """The layer with another kernel and, unless it is None, another bias.

    They are put into `weights`, over the old ones where nothing else reads them.
    """
    _, kernel_name, bias_name = (*layer.inputs, None)[:3]
    made = {str(kernel_name): kernel}
    if bias is not None:
        made[str(bias_name or str(kernel_name).rpartition("/")[0] + "/bias")] = bias
    dtype = weights[str(kernel_name)].dtype
    names: list[Operand] = []
    for name, array in made.items():
        while name in weights and (readers[name] > 1 or name not in layer.inputs):
            name += "_folded"
        weights[name] = array.astype(dtype)
        names.append(name)
    return replace(layer, inputs=(layer.inputs[0], *names, *layer.inputs[1 + len(names) :]))
