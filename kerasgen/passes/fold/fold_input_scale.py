"""Fold the scale and the shift of the channels into the convolution or dense layer behind them.

conv(x s + t, W, b) = conv(x, W s, b + sum of W t), where s and t go along the input channels of W; several in a row
fold as one. Zeros around x s + t are cells of -t / s around x. Numbers that are the same for all channels fold through
a reshape: flatten(x s) = flatten(x) s. Computed in float64, rounded once.

Declines where the scaled array or the kernel has another reader. Declines t where the layer is transposed, for cells at
its border add up fewer products; where it puts zeros around its input, if that has more channels than an image, an s of
0, or sizes on which the number of zeros depends; and where t is so large that it would take digits away: then what lies
between t and the layer folds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, affine
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.kernels.window import same_pads
from kerasgen.passes.clean.join_reshapes import RESHAPES
from kerasgen.passes.fold.fold_batch_norm import OUTPUT_AXES, with_weights
from kerasgen.passes.fold.fold_constants import unused

TRANSPOSED = (-2,)  # the axis of their output channels
IMAGE_CHANNELS = 4


@dataclass
class _Found:
    """Scales and shifts that fold: as one, what each one reads, and the values that then are gone or differ."""

    whole: Affine
    reads: dict[str, str]
    changed: set[str]


def fold_input_scale(graph: Graph) -> Graph:
    """Every scale and shift that can be folded is."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    weights, specs = dict(graph.weights), dict(graph.specs)
    renamed: dict[str, str] = {}
    changed: set[str] = set()
    nodes = []
    for node in graph.nodes:
        found = _before(node, graph, makers, readers) if takes_scale(node, graph, readers) else None
        if found is not None:
            if np.any(found.whole.shift) and adds_zeros(node):
                pad, node = _surround(node, found.whole, graph, specs)
                nodes.append(pad)
            node = fold_before(node, found.whole, weights, readers)
            renamed.update(found.reads)
            changed |= found.changed
        nodes.append(node)
    layers = {layer: names for layer, names in graph.layers.items() if not changed & set(names)}
    kept = (node for node in nodes if node.outputs[0] not in renamed)
    return replace(graph, weights=weights, specs=specs, layers=layers).rewrite(kept, renamed)


def takes_scale(layer: Node, graph: Graph, readers: Mapping[str, int]) -> bool:
    """Whether it is a layer with weights of its own, of the dtype of its input."""
    if layer.kernel not in OUTPUT_AXES or not all(i is None or i in graph.weights for i in layer.inputs[1:]):
        return False
    kernel, x = graph.weights[str(layer.inputs[1])], graph.specs.get(str(layer.inputs[0]))
    return readers[str(layer.inputs[1])] == 1 and x is not None and x.dtype == kernel.dtype.name


def layers_behind(graph: Graph, readers: Mapping[str, int]) -> dict[str, list[Node]]:
    """By the name of each value that nothing reads but layers which can scale and shift it first: those layers."""
    behind: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        if node.inputs and takes_scale(node, graph, readers) and not adds_zeros(node):
            behind[str(node.inputs[0])].append(node)
    return {name: layers for name, layers in behind.items() if len(layers) == readers[name]}


def _before(layer: Node, graph: Graph, makers: Mapping[str, Node], readers: Mapping[str, int]) -> _Found | None:
    """The scales and shifts right before the layer."""
    name, found, passed = str(layer.inputs[0]), None, set()
    while readers[name] == 1 and name in makers:
        node = makers[name]
        if node.kernel in RESHAPES:
            passed.add(name)
            name = str(node.inputs[0])
            continue
        inner = affine(node, graph)
        if inner is None or (passed and max(inner.scale.size, inner.shift.size) > 1):
            break
        found = found or _Found(Affine(name, np.ones(1), np.zeros(1)), {}, set())
        whole = found.whole.of(inner)
        if np.any(whole.shift) and (whole.cancels or (adds_zeros(layer) and not _can_surround(layer, whole, graph))):
            break
        found = _Found(whole, {**found.reads, name: inner.x}, {*found.changed, name, *passed})
        name = inner.x
    return found if found and found.reads else None


def adds_zeros(layer: Node) -> bool:
    """Whether some sums are of fewer cells than the kernel has, as if zeros were among them."""
    pad = layer.attrs.get("pad")
    return OUTPUT_AXES[layer.kernel] == TRANSPOSED or pad == "same" or bool(np.any(pad or 0))


def _can_surround(layer: Node, whole: Affine, graph: Graph) -> bool:
    """Whether cells of another number than 0 can be put around the layer's input before its numbers are folded."""
    known = layer.attrs.get("pad") != "same" or None not in graph.specs[str(layer.inputs[0])].shape[1:-1]
    few = max(whole.scale.size, whole.shift.size) <= IMAGE_CHANNELS
    return OUTPUT_AXES[layer.kernel] != TRANSPOSED and known and few and whole.invertible


def _surround(layer: Node, whole: Affine, graph: Graph, specs: dict[str, Value]) -> tuple[Node, Node]:
    """A pad with what becomes 0, and the layer without one."""
    x = graph.specs[str(layer.inputs[0])]
    pads = layer.attrs["pad"]
    if pads == "same":
        window = graph.weights[str(layer.inputs[1])].shape[: len(x.shape) - 2]
        ones = (1,) * len(window)
        pads = same_pads(x.shape[1:-1], window, layer.attrs.get("strides", ones), layer.attrs.get("dilation", ones))
    cells = [float(str(number.astype(x.dtype))) for number in np.atleast_1d(-whole.shift / whole.scale)]
    value = cells[0] if len(set(cells)) == 1 else tuple(cells)
    sizes = (n and n + sum(pad) for n, pad in zip(x.shape[1:-1], pads, strict=True))
    name = unused(f"{layer.output}_padded", specs)
    specs[name] = replace(x, name=name, shape=(x.shape[0], *sizes, x.shape[-1]))
    pad = Node((name,), kernels.pad, layer.inputs[:1], {"pads": pads, "value": value}, layer.layer)
    return pad, replace(layer, inputs=(name, *layer.inputs[1:]), attrs={**layer.attrs, "pad": None})


def fold_before(layer: Node, before: Affine, weights: dict[str, np.ndarray], readers: Mapping[str, int]) -> Node:
    """The layer that does what was done before it, too; its new weights are put into `weights`."""
    _, kernel_name, bias_name = (*layer.inputs, None)[:3]
    kernel, bias = weights[str(kernel_name)], None
    axes = OUTPUT_AXES[layer.kernel]
    if np.any(before.shift):
        summed = tuple(axis for axis in range(-kernel.ndim, 0) if axis not in axes)
        bias = np.sum(kernel * _along(layer, kernel, before.shift), axis=summed).reshape(-1)
        bias += 0.0 if bias_name is None else weights[str(bias_name)]
    return with_weights(layer, kernel * _along(layer, kernel, before.scale), bias, weights, readers)


def _along(layer: Node, kernel: np.ndarray, numbers: np.ndarray) -> Any:
    """A number or one for each input channel, shaped to broadcast over the kernel."""
    if numbers.size == 1 or OUTPUT_AXES[layer.kernel] == TRANSPOSED:
        return numbers
    groups = layer.attrs.get("groups", 1)
    read_by_group = numbers.reshape(groups, -1)
    return np.repeat(read_by_group, kernel.shape[-1] // groups, axis=0).T  # for each filter those that it reads
