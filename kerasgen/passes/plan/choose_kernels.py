"""Choose how each convolution is computed, by its sizes. The sums stay the same, but for rounding.

| layer                                    | kernel                 | why                                              |
|------------------------------------------|------------------------|--------------------------------------------------|
| windows of one sample below SMALL, or an | as it is               | one product for the whole batch, few calls       |
| eighth where they need not be unfolded   |                        |                                                  |
| of those, one over a single channel, if  | conv_by_taps           | rows of the image are longer than the window's   |
| it is more than a 64th                   |                        |                                                  |
| 1 x 1, stride 1; a dense layer over cells| pointwise              | needs no unfolding                               |
| a window of WINOGRAD, stride 1, on maps  | winograd_conv2d        | up to 4 times fewer products, at the price of    |
| and with channels as large as it says    |                        | rounding                                         |
| one filter for each channel              | tiled_depthwise_conv2d | long loops instead of one for each cell          |
| such a one, of a window of DEPTHWISE,    | winograd_depthwise_    | half of the products or fewer, at that price; of |
| stride 1, on maps as high as it says     | conv2d                 | 3 x 3, the transforms take most of what is saved |
| any other, not in groups                 | blocked_conv           | what is unfolded stays in the cache              |

Where a size is known only at run time, it counts as large, but Winograd's tiles are not for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Shape

SMALL = 1 << 18  # bytes
TILE = 4096  # numbers in the inner loop of a tiled kernel
# By window: how many results a tile has each way, for which maps at least, and for how many channels. Along one axis
# alone, less is saved.
Choices = Sequence[tuple[tuple[int, int], int, int]]
Tiles = Mapping[tuple[int, ...], Choices]
WINOGRAD: Tiles = {
    (3, 3): [((4, 4), 24, 16), ((2, 2), 12, 16)],
    (5, 5): [((2, 2), 12, 32)],
    (7, 7): [((2, 2), 12, 32)],
    (3, 1): [((4, 1), 24, 96)],
    (1, 3): [((1, 4), 24, 96)],
    (7, 1): [((2, 1), 12, 96)],
    (1, 7): [((1, 2), 12, 96)],
}
DEPTHWISE: Tiles = {
    (3, 3): [((4, 1), 56, 16)],
    (5, 5): [((4, 1), 7, 16)],
    (7, 7): [((4, 1), 7, 16)],
}
RANKS = {kernels.conv1d: 1, kernels.conv2d: 2, kernels.conv3d: 3}
CHOICES = {*RANKS, kernels.dense, kernels.depthwise_conv2d, kernels.grouped_conv2d}
Layout = tuple[Callable[..., Any], Mapping[str, Any]]


def choose_kernels(
    graph: Graph, *, small: int = SMALL, winograd: Tiles = WINOGRAD, depthwise: Tiles = DEPTHWISE
) -> Graph:
    """Every convolution with the kernel that suits it. Without tiles, the kernels are those that add up products."""
    layouts = dict(graph.layouts)
    readers = graph.readers()
    nodes = []
    for node in graph.nodes:
        chosen = _choose(node, graph, small, winograd, depthwise)
        if chosen is not None:
            fast, layout = chosen
            name = str(node.inputs[1])
            if layout is None or readers[name] == 1:
                node = fast
                layouts.update({name: layout} if layout else {})
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes), layouts=layouts)


def choose_exact_kernels(graph: Graph) -> Graph:
    """Every convolution with the fastest kernel that adds up the very products that the layer is made of."""
    return choose_kernels(graph, winograd={}, depthwise={})


def _choose(
    node: Node, graph: Graph, small: int, winograd: Tiles, depthwise: Tiles
) -> tuple[Node, Layout | None] | None:
    """The node with another kernel, and the layout that this wants its weights in."""
    if node.kernel not in CHOICES or len(node.inputs) < 2 or node.inputs[1] not in graph.weights:
        return None
    weight = graph.weights[str(node.inputs[1])]
    x, y, kernel = graph.specs[str(node.inputs[0])].shape, graph.specs[node.output].shape, weight.shape
    size = _bytes(x, y, kernel)
    if weight.dtype.kind != "f":
        return None
    if node.kernel in RANKS and kernel[-2] == 1 < max(kernel[:-2]) and small // 64 < size <= small:
        return replace(node, kernel=kernels.conv_by_taps, attrs=_settings(node)), None
    if size <= small // 8:
        return None
    activation = {key: node.attrs[key] for key in ("activation",) if node.attrs.get(key)}
    if node.kernel is kernels.dense:
        return (replace(node, kernel=kernels.pointwise, attrs=activation), None) if len(x) > 2 else None
    if node.kernel in RANKS:
        chosen = _conv(node, y, kernel, activation, winograd)
        return chosen if size > small or chosen[0].kernel is kernels.pointwise else None
    filters = kernel[-2] if node.kernel is kernels.grouped_conv2d else kernel[-1]
    return _depthwise(node, y, kernel, activation, depthwise) if filters == 1 and x[-1] == y[-1] else None


def _conv(
    node: Node, y: Shape, kernel: tuple[int, ...], activation: Mapping[str, Any], winograd: Tiles
) -> tuple[Node, Layout | None]:
    settings = _settings(node)
    if set(kernel[:-2]) == {1} == set(settings["strides"]) and settings.get("pad") is None:
        return replace(node, kernel=kernels.pointwise, attrs=activation), None
    m = _tiles(node, y, winograd.get(kernel[:-2], ()), min(kernel[-2:]))
    if m is not None:
        attrs = {**_tiled(node, y, kernel[:-2], m), **activation}
        return replace(node, kernel=kernels.winograd_conv2d, attrs=attrs), (kernels.winograd_filters, {"m": m})
    return replace(node, kernel=kernels.blocked_conv, attrs=settings), None


def _settings(node: Node) -> dict[str, Any]:
    rank = RANKS[node.kernel]
    return {"strides": (1,) * rank, "dilation": (1,) * rank, **node.attrs}


def _depthwise(
    node: Node, y: Shape, kernel: tuple[int, ...], activation: Mapping[str, Any], winograd: Tiles
) -> tuple[Node, Layout]:
    _, _, width, channels = y
    assert channels
    count = max(1, TILE // channels)
    if width is not None:
        count = -(-width // -(-width // count))  # as few tiles, as even as can be
    m = _tiles(node, y, winograd.get(kernel[:-2], ()), channels)
    if m is not None:
        attrs = {**_tiled(node, y, kernel[:-2], m), **activation}
        layout = kernels.winograd_tile, {"m": m[0], "count": count}
        return replace(node, kernel=kernels.winograd_depthwise_conv2d, attrs=attrs), layout
    attrs = {key: value for key, value in node.attrs.items() if key != "groups"}
    return replace(node, kernel=kernels.tiled_depthwise_conv2d, attrs=attrs), (kernels.tile, {"count": count})


def _tiles(node: Node, y: Shape, choices: Choices, channels: int) -> tuple[int, int] | None:
    """How many results a tile of Winograd's has each way, if the layer can be cut into tiles, and is worth it."""
    strides, dilation = (node.attrs.get(name, ()) for name in ("strides", "dilation"))
    if not {*strides, *dilation} <= {1} or node.attrs.get("pad") == "same" or None in y[1:-1]:
        return None
    for m, cells, least in choices:
        if channels >= least and min(n or 0 for n, k in zip(y[1:-1], m, strict=True) if k > 1) >= cells:
            return m
    return None


def _tiled(node: Node, y: Shape, window: tuple[int, ...], m: tuple[int, int]) -> dict[str, Any]:
    """The settings of a layer in tiles, its pad enlarged until it holds whole ones."""
    size = tuple(n or 0 for n in y[1:-1])
    pads = node.attrs.get("pad") or ((0, 0), (0, 0))
    pads = tuple((a, b + -n % k) for n, k, (a, b) in zip(size, m, pads, strict=True))
    return {"window": window, "size": size, "pad": pads if np.any(pads) else None}


def _bytes(x: Shape, y: Shape, kernel: Shape) -> float:
    """What the unfolded windows of one sample take, if they are unfolded at once."""
    return 4 * math.prod(math.inf if n is None else n for n in (*y[1:-1], *kernel[:-2], x[-1]))
