"""Choose how each layer is computed, by its sizes. The sums stay the same, but for rounding.

| layer                                    | kernel                 | why                                              |
|------------------------------------------|------------------------|--------------------------------------------------|
| windows of one sample below SMALL, or an | as it is               | one product for the whole batch, few calls       |
| eighth where they need not be unfolded,  |                        |                                                  |
| and no more than FEW products            |                        |                                                  |
| of those, one over a single channel, if  | conv_by_taps           | rows of the image are longer than the window's   |
| it is more than a 64th                   |                        |                                                  |
| 1 x 1, stride 1; a dense layer over cells| pointwise              | needs no unfolding                               |
| a window of WINOGRAD, stride 1, on maps  | winograd_conv2d,       | up to 4 times fewer products, at the price of    |
| and with channels as large as it says    | winograd_conv3d        | rounding                                         |
| stride 1, with CHANNELS_PER_FILTER or    | kn2row_conv            | adding up products takes less time than          |
| more                                     |                        | unfolding the channels                           |
| stride 1, with MOST_FILTERS or fewer, and| half_unfolded_conv     | the same, along the last axis alone              |
| no more filters than channels            |                        |                                                  |
| groups of few channels and filters       | as it is, groups       | products with zeros take less time than copying  |
|                                          | merged, up to MERGED   | a few channels at a time                         |
| one filter for each channel              | tiled_depthwise_conv2d | long loops instead of one for each cell          |
| such a one, of a window of DEPTHWISE,    | winograd_depthwise_    | half of the products or fewer, at that price; of |
| stride 1, of more than SMALL bytes       | conv2d                 | 3 x 3, the transforms take what is saved         |
| a transposed one, of more than SMALL     | conv_transpose_by_rows | they stay in the cache                           |
| bytes of products                        |                        |                                                  |
| a dense layer of more than FEW products  | dense_by_columns       | processes share its columns                      |
| any other, not in groups                 | blocked_conv           | what is unfolded stays in the cache              |

A size that is known only at run time counts as large, but which of Winograd's tiles pay is decided for an image of
SIDE x SIDE cells: larger ones would gain from more of them, smaller ones lose little. A weight that training changes
excludes all that need another layout of it.

Which is the fastest depends on the machine. `candidates` has all of a layer, by name: that of the kernel, with the size
of its tiles. A plan's `choices` take precedence over the table, if they are among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.infer import specs_at
from kerasgen.graph.ir import Graph, Node, Shape, Value
from kerasgen.graph.large import FEW, SMALL
from kerasgen.graph.plan import Layout, Plan

CHANNELS_PER_FILTER = 4
MOST_FILTERS = 32
MERGED = 16  # channels of a group, and filters
SIDE = 192  # cells along each axis of the input whose size is open
LOOP = range(512, 2048)  # numbers in the inner loop of a tiled kernel
WIDE = 96  # channels from which on a strided tile is one cell
# By window: the outputs per tile along each of the last two axes, the least map size, and the least harmonic mean of
# channels and filters, to which the products saved for each number transformed are proportional. The first that fits is
# used. Along one axis alone, less is saved; of several depths, more.
Choices = Sequence[tuple[tuple[int, int], int, float]]
Tiles = Mapping[tuple[int, ...], Choices]
RowTiles = Mapping[tuple[int, ...], tuple[int, int]]
WINOGRAD: Tiles = {
    (3, 3): [((4, 4), 24, 24), ((4, 4), 16, 48), ((2, 2), 12, 48), ((2, 2), 10, 256), ((2, 2), 8, 384)],
    (5, 5): [((2, 2), 12, 32)],
    (7, 7): [((2, 2), 12, 32)],
    (3, 1): [((4, 1), 24, 96), ((2, 1), 8, 384)],
    (1, 3): [((1, 4), 24, 96), ((1, 2), 8, 384)],
    (7, 1): [((2, 1), 12, 96)],
    (1, 7): [((1, 2), 12, 96)],
    (3, 3, 3): [((4, 4), 16, 1.5), ((2, 2), 8, 128), ((4, 4), 8, 12)],
    (1, 3, 3): [((4, 4), 16, 24)],
}
DEPTHWISE: RowTiles = {(5, 5): (4, 1), (7, 7): (4, 1)}
# What else is worth a try: tiles on maps of any size, with any number of channels, and other widths of rows.
OTHER_TILES: Mapping[tuple[int, ...], Sequence[tuple[int, int]]] = {
    (3, 3): [(4, 4), (2, 2)],
    (5, 5): [(2, 2)],
    (7, 7): [(2, 2)],
    (3, 1): [(4, 1), (2, 1)],
    (1, 3): [(1, 4), (1, 2)],
    (7, 1): [(2, 1)],
    (1, 7): [(1, 2)],
    (3, 3, 3): [(4, 4), (2, 2)],
    (1, 3, 3): [(4, 4), (2, 2)],
}
OTHER_DEPTHWISE: Mapping[tuple[int, ...], Sequence[tuple[int, int]]] = dict.fromkeys(
    [(3, 3), (5, 5), (7, 7)], ((4, 1), (2, 1))
)
OTHER_LOOPS = (4096, 2048, 1024)


@dataclass(frozen=True)
class _Layer:
    """A convolution or dense layer with its shapes, the likely one of its result where sizes are open, the bytes of its
    unfolded windows for one sample, whether its products are few, and whether they are of half precision."""

    node: Node
    x: Shape
    y: Shape
    likely: Shape
    kernel: tuple[int, ...]
    size: float
    few: bool
    half: bool

    @property
    def activation(self) -> dict[str, Any]:
        """The setting of that name, if there is one."""
        return {key: self.node.attrs[key] for key in ("activation",) if self.node.attrs.get(key)}

    def within(self, small: int) -> bool:
        """Whether its windows have at most so many bytes, and its products are few."""
        return self.size <= small and self.few

    @property
    def settings(self) -> dict[str, Any]:
        """The node's settings, strides and dilation always among them."""
        ones = (1,) * (len(self.kernel) - 2)
        return {"strides": ones, "dilation": ones, **self.node.attrs}

    def by(self, kernel: Callable[..., Any], attrs: Mapping[str, Any]) -> Node:
        """The node with another kernel."""
        return replace(self.node, kernel=kernel, attrs=attrs)


Choice = tuple[Node, Layout | None]  # a node, and the weight's layout for its kernel


def choose_kernels(
    plan: Plan,
    *,
    small: int = SMALL,
    few: int = FEW,
    winograd: Tiles = WINOGRAD,
    depthwise: RowTiles = DEPTHWISE,
) -> Plan:
    """The plan with the kernel that suits each layer. Without `winograd`, no tiles and no merged groups."""
    graph, layouts = plan.graph, dict(plan.layouts)
    readers, likely = graph.readers(), specs_at(graph, SIDE)
    chosen: dict[str, Node] = {}
    for node in graph.nodes:
        layer = _layer(node, graph, likely, few)
        if layer is None:
            continue
        wanted = plan.choices.get(node.output)
        choice = candidates(node, graph, exact=not winograd).get(wanted) if wanted else None
        fast, layout = choice or _choose(layer, small, {} if _changes(node, graph) else winograd, depthwise)
        weight = str(node.inputs[1])
        if layout is None or (readers[weight] == 1 and not _changes(node, graph)):
            chosen[node.output] = fast
            layouts.update({weight: layout} if layout else {})
    return replace(plan, graph=graph.substitute(chosen), layouts=layouts)


def choose_exact_kernels(plan: Plan) -> Plan:
    """The plan with the fastest kernel for each convolution that adds up exactly the layer's products."""
    return choose_kernels(plan, winograd={}, depthwise={})


def candidates(node: Node, graph: Graph, *, exact: bool = False) -> dict[str, Choice]:
    """Every way to compute a layer, by name; the default is the first. Empty where the node is no such layer.

    `exact` leaves out Winograd's transforms, and merged groups.
    """
    layer = _layer(node, graph, graph.specs)
    if layer is None:
        return {}
    may_lay_out = graph.readers()[str(node.inputs[1])] == 1 and not _changes(node, graph)
    plain = exact or not may_lay_out
    default = _choose(layer, SMALL, {} if plain else WINOGRAD, {} if plain else DEPTHWISE)
    others = (*_others(layer, exact), _as_it_is(layer))
    if default[1] and not may_lay_out:
        default = _as_it_is(layer)
    return {name_of(choice): choice for choice in (default, *others) if not choice[1] or may_lay_out}


def name_of(choice: Choice) -> str:
    """The kernel, and the size of its tiles: `winograd_conv2d 4x4`, `tiled_depthwise_conv2d 8`."""
    node, layout = choice
    sizes = layout[1] if layout else {}
    tile = sizes.get("m", sizes.get("count", ""))
    return f"{node.kernel.__name__} {'x'.join(map(str, tile)) if isinstance(tile, tuple) else tile}".strip()


def _others(layer: _Layer, exact: bool) -> Iterator[Choice]:
    """The ways to compute a layer that are worth a try, whatever its size."""
    kernel, window, settings = layer.node.kernel, layer.kernel[:-2], layer.settings
    if kernel is kernels.dense and len(layer.x) > 2:
        yield layer.by(kernels.pointwise, layer.activation), None
    elif _is_depthwise(layer):
        for numbers in OTHER_LOOPS:
            yield _tiled_depthwise(layer, _even_count(layer, numbers))
        for m in () if exact else OTHER_DEPTHWISE.get(window, ()):
            if _has_tiles(layer):
                yield _winograd_depthwise(layer, m)
    elif facts(kernel).transposed:
        yield _transposed(layer)
    elif facts(kernel).conv_axes:
        if _is_pointwise(layer):
            yield layer.by(kernels.pointwise, layer.activation), None
            return
        yield layer.by(kernels.blocked_conv, settings), None
        if layer.kernel[-1] <= min(layer.kernel[-2], 2 * MOST_FILTERS):
            yield from ((node, None) for node in _unfolded_less(layer).values())
        if layer.kernel[-2] == 1 < max(window):
            yield layer.by(kernels.conv_by_taps, settings), None
        for m in () if exact else OTHER_TILES.get(window, ()):
            if _has_tiles(layer):
                yield _winograd(layer, m)


def _changes(node: Node, graph: Graph) -> bool:
    """Whether training changes the weight."""
    return node.inputs[1] in graph.variables


def _layer(node: Node, graph: Graph, likely: Mapping[str, Value], few: int = FEW) -> _Layer | None:
    """The node, if it is a convolution or dense layer with floating-point weights; `likely` are its values' shapes."""
    weight = graph.weights.get(name := str(node.inputs[1]), graph.variables.get(name)) if len(node.inputs) > 1 else None
    if not facts(node.kernel).output_axes or weight is None or weight.dtype.kind != "f":
        return None
    x, y = graph.specs[str(node.inputs[0])].shape, graph.specs[node.output].shape
    products = math.prod(n or 1 for n in y[1:-1]) * math.prod(weight.shape)
    size, half = _unfolded_bytes(x, y, weight.shape), weight.itemsize < 4
    return _Layer(node, x, y, likely[node.output].shape, weight.shape, size, products <= few, half)


def _as_it_is(layer: _Layer) -> Choice:
    return layer.node, None


def _choose(layer: _Layer, small: int, winograd: Tiles, depthwise: RowTiles) -> Choice:
    """The kernel that suits a layer on most machines."""
    if facts(layer.node.kernel).conv_axes:
        return _choose_conv(layer, small, winograd)
    if facts(layer.node.kernel).transposed:
        products = 4 * math.prod(math.inf if n is None else n for n in (*layer.x[1:-1], *layer.kernel[:-1]))
        return _transposed(layer) if products > small else _as_it_is(layer)
    if layer.within(small // 8):
        return _as_it_is(layer)
    if layer.node.kernel is kernels.dense and len(layer.x) == 2:
        return _as_it_is(layer) if layer.few else (layer.by(kernels.dense_by_columns, layer.activation), None)
    if layer.node.kernel is kernels.dense:
        return layer.by(kernels.pointwise, layer.activation), None
    if _is_depthwise(layer):
        return _depthwise(layer, small, depthwise)
    return _merged(layer) if winograd and "groups" in layer.node.attrs else _as_it_is(layer)


def _transposed(layer: _Layer) -> Choice:
    return layer.by(kernels.conv_transpose_by_rows, layer.settings), None


def _merged(layer: _Layer) -> Choice:
    """A grouped convolution with its groups merged, as many as have up to MERGED channels and filters."""
    groups = layer.node.attrs["groups"]
    channels = max(layer.kernel[-2], layer.kernel[-1] // groups)
    count = max(n for n in range(1, groups + 1) if groups % n == 0 and (n == 1 or n * channels <= MERGED))
    if count == 1:
        return _as_it_is(layer)
    attrs = {**layer.node.attrs, "groups": groups // count}
    return layer.by(layer.node.kernel, attrs), (kernels.merge_groups, {"groups": groups, "count": count})


def _choose_conv(layer: _Layer, small: int, winograd: Tiles) -> Choice:
    window, settings = layer.kernel[:-2], layer.settings
    if layer.kernel[-2] == 1 < max(window) and small // 64 < layer.size <= small:
        return layer.by(kernels.conv_by_taps, settings), None
    if layer.within(small // 8):
        return _as_it_is(layer)
    if _is_pointwise(layer):
        return layer.by(kernels.pointwise, layer.activation), None
    if layer.within(small):
        return _as_it_is(layer)
    m = _tiles(layer, winograd.get(window, ()))
    if m is not None:
        return _winograd(layer, m)
    channels, filters = layer.kernel[-2:]
    unfolded_less = _unfolded_less(layer)
    if channels >= CHANNELS_PER_FILTER * filters and kernels.kn2row_conv in unfolded_less:
        return unfolded_less[kernels.kn2row_conv], None
    if channels >= filters and filters <= MOST_FILTERS and kernels.half_unfolded_conv in unfolded_less:
        return unfolded_less[kernels.half_unfolded_conv], None
    return layer.by(kernels.blocked_conv, settings), None


def _winograd(layer: _Layer, m: tuple[int, int]) -> Choice:
    kernel = kernels.winograd_conv2d if len(layer.kernel) == 4 else kernels.winograd_conv3d
    return layer.by(kernel, _tiled(layer, m)), (kernels.winograd_filters, {"m": m})


def _unfolded_less(layer: _Layer) -> dict[Callable[..., Any], Node]:
    """The layer by the kernels that add up products instead of unfolding whole windows, as far as they can compute it.

    Strided layers have none, nor have those of half precision, whose sums would be rounded at every step.
    """
    if set(layer.settings["strides"]) != {1} or layer.half:
        return {}
    window, fitting = layer.kernel[:-2], []
    if len(window) > 1 and window[-1] > 1:
        fitting.append(kernels.half_unfolded_conv)
    if max(window) > 1:
        fitting.append(kernels.kn2row_conv)
    attrs = {key: value for key, value in layer.settings.items() if key != "strides"}
    return {kernel: layer.by(kernel, attrs) for kernel in fitting}


def _depthwise(layer: _Layer, small: int, winograd: RowTiles) -> Choice:
    m = winograd.get(layer.kernel[:-2])
    if m is not None and _has_tiles(layer) and 4 * math.prod(n or 0 for n in layer.likely[1:]) > small:
        return _winograd_depthwise(layer, m)
    return _tiled_depthwise(layer, _count(layer))


def _tiled_depthwise(layer: _Layer, count: int) -> Choice:
    attrs = {key: value for key, value in layer.node.attrs.items() if key != "groups"}
    return layer.by(kernels.tiled_depthwise_conv2d, attrs), (kernels.tile, {"count": count})


def _winograd_depthwise(layer: _Layer, m: tuple[int, int]) -> Choice:
    layout = kernels.winograd_tile, {"m": m[0], "count": _count(layer)}
    return layer.by(kernels.winograd_depthwise_conv2d, _tiled(layer, m)), layout


def _count(layer: _Layer) -> int:
    """How many cells a tile has, so that its loop is as long as LOOP says; if possible, no cells are left over."""
    _, _, width, channels = layer.y
    assert channels
    if layer.node.attrs.get("strides", (1, 1))[1] > 1 and channels >= WIDE:
        return 1
    divisors = (n for n in range(1, width + 1) if width % n == 0) if width is not None else ()
    return max((n for n in divisors if n * channels in LOOP), default=_even_count(layer, LOOP.stop // 2))


def _even_count(layer: _Layer, numbers: int) -> int:
    """The cells of tiles of at most about so many numbers: as few tiles, but of equal size."""
    _, _, width, channels = layer.y
    assert channels
    count = max(1, numbers // channels)
    return count if width is None else -(-width // -(-width // count))


def _is_depthwise(layer: _Layer) -> bool:
    """Whether each channel has one filter."""
    kernel = layer.node.kernel
    if kernel not in (kernels.depthwise_conv2d, kernels.grouped_conv2d):
        return False
    filters = layer.kernel[-2] if kernel is kernels.grouped_conv2d else layer.kernel[-1]
    return filters == 1 and layer.x[-1] == layer.y[-1]


def _is_pointwise(layer: _Layer) -> bool:
    """Whether windows are single cells, each of them."""
    settings = layer.settings
    return set(layer.kernel[:-2]) == {1} == set(settings["strides"]) and settings.get("pad") is None


def _has_tiles(layer: _Layer) -> bool:
    """Whether the layer can be cut into Winograd's tiles."""
    strides, dilation = layer.settings["strides"], layer.settings["dilation"]
    return {*strides, *dilation} <= {1} and layer.node.attrs.get("pad") != "same"


def _tiles(layer: _Layer, choices: Choices) -> tuple[int, int] | None:
    """The outputs per Winograd tile along each axis, if the layer can be cut into tiles and that pays."""
    if not _has_tiles(layer):
        return None
    channels, filters = layer.kernel[-2:]
    mean = 2 * channels * filters / (channels + filters)
    for m, size, least in choices:
        if mean >= least and min(n or 0 for n, k in zip(layer.likely[-3:-1], m, strict=True) if k > 1) >= size:
            return m
    return None


def _tiled(layer: _Layer, m: tuple[int, int]) -> dict[str, Any]:
    """The settings of a layer in tiles, its pad enlarged so that whole ones fit."""
    *before, height, width = layer.node.attrs.get("pad") or ((0, 0),) * (len(layer.kernel) - 2)
    pads = tuple((a, b + k - 1) for k, (a, b) in zip(m, (height, width), strict=True))
    return {"window": layer.kernel[:-2], "pad": (*before, *pads), **layer.activation}


def _unfolded_bytes(x: Shape, y: Shape, kernel: Shape) -> float:
    """The bytes of the windows of one sample, if all are unfolded at once."""
    return 4 * math.prod(math.inf if n is None else n for n in (*y[1:-1], *kernel[:-2], x[-1]))
