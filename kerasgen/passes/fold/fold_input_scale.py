"""Fold the scale and the shift of the channels into the convolution or dense layer after them.

conv(x s + t, W, b) = conv(x, W s, b + sum of W t), where s and t go along the input channels of W; several in a row
fold as one: see `kerasgen.graph.linear`. Zeros around x s + t are cells of -t / s around x. Numbers that are the same
for all channels fold through a reshape: flatten(x s) = flatten(x) s.

Declines where the scaled array or the kernel has another reader. Declines t where the layer is transposed, as cells at
its border add up fewer products; where it pads its input with zeros, if that has more channels than an image, an s of
0, or unknown sizes on which the padding depends; and where t is so large that it would cancel digits: then only what
lies between t and the layer folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.affine import Affine, affine
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.linear import adds_zeros, scale_input, takes_scale
from kerasgen.kernels.window import same_pads
from kerasgen.names import unused

IMAGE_CHANNELS = 4


@dataclass
class _Chain:
    """Scales and shifts that fold: as one, what each of them reads, and the values that are then gone or differ."""

    whole: Affine
    reads: dict[str, str]
    changed: set[str]


def fold_input_scale(graph: Graph) -> Graph:
    """The graph with every scale and shift folded that can be."""
    readers = graph.readers()
    makers = graph.makers()
    weights, specs = dict(graph.weights), dict(graph.specs)
    renamed: dict[str, str] = {}
    changed: set[str] = set()
    nodes = []
    for node in graph.nodes:
        chain = _before(node, graph, makers, readers) if takes_scale(node, graph, readers) else None
        if chain is not None:
            if np.any(chain.whole.shift) and adds_zeros(node):
                pad, node = _surround(node, chain.whole, graph, specs)
                nodes.append(pad)
            node = scale_input(node, chain.whole, weights, readers)
            renamed.update(chain.reads)
            changed |= chain.changed
        nodes.append(node)
    rest = (node for node in nodes if node.outputs[0] not in renamed)
    return replace(graph, weights=weights, specs=specs).rewrite(rest, renamed, changed=changed)


def _before(layer: Node, graph: Graph, makers: Mapping[str, Node], readers: Mapping[str, int]) -> _Chain | None:
    """The scales and shifts right before the layer."""
    name, chain, passed = str(layer.inputs[0]), None, set()
    while readers[name] == 1 and name in makers:
        node = makers[name]
        if facts(node.kernel).reshapes:
            passed.add(name)
            name = str(node.inputs[0])
            continue
        inner = affine(node, graph)
        if inner is None or (passed and max(inner.scale.size, inner.shift.size) > 1):
            break
        chain = chain or _Chain(Affine(name, np.ones(1), np.zeros(1)), {}, set())
        whole = chain.whole.of(inner)
        if np.any(whole.shift) and (whole.cancels or (adds_zeros(layer) and not _can_surround(layer, whole, graph))):
            break
        chain = _Chain(whole, {**chain.reads, name: inner.x}, {*chain.changed, name, *passed})
        name = inner.x
    return chain if chain and chain.reads else None


def _can_surround(layer: Node, whole: Affine, graph: Graph) -> bool:
    """Whether cells of another number than 0 can be put around the layer's input before its numbers are folded."""
    fixed = layer.attrs.get("pad") != "same" or None not in graph.specs[str(layer.inputs[0])].shape[1:-1]
    few = max(whole.scale.size, whole.shift.size) <= IMAGE_CHANNELS
    return not facts(layer.kernel).transposed and fixed and few and whole.invertible


def _surround(layer: Node, whole: Affine, graph: Graph, specs: dict[str, Value]) -> tuple[Node, Node]:
    """A pad with the numbers that become 0, and the layer without a pad."""
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
