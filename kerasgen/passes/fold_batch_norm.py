"""Fold batch normalisation into the convolution or dense layer before it.

With s = gamma / sqrt(variance + epsilon):
    batch_norm(x * W + b) = x * (W s) + ((b - mean) s + beta)
where s scales the output channels of W. Computed in float64, rounded once.

Declines where the convolution's output has another reader, where it has an activation already, and where the
normalised axis is not the channels. A weight that another node reads too is left as it is; the folded one is new.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.ir import Graph, Node

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
        folded[conv.output] = _fold(conv, norm, weights, readers)
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


def _fold(conv: Node, norm: Node, weights: dict[str, np.ndarray], readers: Mapping[str, int]) -> Node:
    def parameter(name: Any, missing: float) -> Any:
        return missing if name is None else weights[name].astype(np.float64)

    gamma, beta, mean, variance = (parameter(n, d) for n, d in zip(norm.inputs[1:], (1.0, 0.0, 0.0, 1.0), strict=True))
    _, kernel_name, bias_name = (*conv.inputs, None)[:3]
    kernel = weights[str(kernel_name)]
    scale = gamma / np.sqrt(variance + norm.attrs["epsilon"])
    axes = OUTPUT_AXES[conv.kernel]
    shape = [size if axis - kernel.ndim in axes else 1 for axis, size in enumerate(kernel.shape)]
    folded = {
        str(kernel_name): kernel * scale.reshape(shape),
        str(bias_name or str(kernel_name).rpartition("/")[0] + "/bias"): (parameter(bias_name, 0.0) - mean) * scale
        + beta,
    }
    names = []
    for name, array in folded.items():
        while name in weights and (readers[name] > 1 or name not in conv.inputs):
            name += "_folded"
        weights[name] = array.astype(kernel.dtype)
        names.append(name)
    return replace(conv, inputs=(conv.inputs[0], *names))
