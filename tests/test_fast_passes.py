"""The passes that choose and join kernels: their algebra, and what each declines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import (
    BORDER,
    MAKERS,
    ONES,
    READERS,
    SAME,
    SQUARE,
    SQUARES,
    X,
    add,
    blocked,
    conv,
    framing,
    graph,
    kernels_of,
    norm,
    norm_weights,
    of_sizes,
    same_answers,
    weights,
)

from kerasgen import kernels, passes
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.passes import PIPELINES, on_graph, optimize
from kerasgen.passes.fold.absorb_pads import absorb_pads
from kerasgen.passes.fold.fold_gate import fold_gate
from kerasgen.passes.plan.choose_kernels import LOOP, RowTiles, Tiles, choose_exact_kernels, choose_kernels
from kerasgen.passes.plan.fuse_attention import fuse_attention

KERNEL = weights(c__kernel=(3, 3, 3, 4))
add_borders, fuse_residual, relu_by_rows = map(
    on_graph, (passes.add_borders, passes.fuse_residual, passes.relu_by_rows)
)


def planned(*arguments: Any, **layers: str) -> Plan:
    return Plan(graph(*arguments, **layers))


def pad(output: str = "p", x: str = "image", **attrs: Any) -> Node:
    return Node((output,), kernels.pad, (x,), {"pads": BORDER, **attrs})


# --- absorb_pads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "shape", "attrs"),
    [
        (kernels.conv2d, (3, 3, 3, 4), {"strides": (2, 1)}),
        (kernels.grouped_conv2d, (3, 3, 1, 6), {"groups": 3}),
        (kernels.depthwise_conv2d, (3, 2, 3, 2), {"dilation": (2, 1)}),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_convolution_absorbs_a_pad(kernel: Any, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    nodes = [pad(), Node(("c",), kernel, ("p", "c/kernel"), {**attrs, "pad": None})]
    before = graph(nodes, weights(c__kernel=shape), ("c",), p="p", c="c")
    after = absorb_pads(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernel]
    assert after.layers == {"c": ("c",)}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([pad(), conv("c", "p", pad=None)], ("c", "p")),
        ([pad(value=1.0), conv("c", "p", pad=None)], ("c",)),
        ([pad(), conv("c", "p", pad=((0, 0), (0, 1)))], ("c",)),
        ([pad(), conv("c", "p", pad="same")], ("c",)),
        ([pad(), Node(("c",), kernels.conv2d_transpose, ("p", "c/kernel"), {"crop": None})], ("c",)),
        ([pad(), Node(("c",), kernels.max_pool, ("p",), {"size": (2, 2), "strides": (1, 1), "pad": None})], ("c",)),
    ],
    ids=["another reader", "no zeros", "a pad of its own", "same", "transposed", "no convolution"],
)
def test_a_pad_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    transposed = nodes[1].kernel is kernels.conv2d_transpose
    before = graph(nodes, weights(c__kernel=(3, 3, 4, 3)) if transposed else KERNEL, outputs)
    assert absorb_pads(before).nodes == before.nodes


# --- fuse_attention --------------------------------------------------------------------------------------------------

HEADS = [
    Node(("q",), kernels.project, ("image", "q/kernel")),
    Node(("k",), kernels.project, ("image", "k/kernel")),
    Node(("m",), np.greater, ("mask", 0.0)),
    Node(("s",), kernels.head_scores, ("q", "k"), {"scale": 0.5}),
]
PROJECTIONS = weights(q__kernel=(3, 2, 4), k__kernel=(3, 2, 4))
ATTEND = Node(("a",), kernels.attend, ("w", "k"))


def attention(*nodes: Node, outputs: tuple[str, ...] = ("a",)) -> Graph:
    """Of the 6 rows of an image to its 7 columns, as if these were two sequences of one step more than that."""
    steps = [Node(("t",), kernels.reshape, ("image",), {"shape": (42, 3)})]
    heads = [replace(node, inputs=tuple("t" if i == "image" else i for i in node.inputs)) for node in HEADS]
    mask = Node(("mask",), np.sum, ("t",), {"axis": -1})
    rows = Node(("rows",), kernels.get_item, ("m",), {"index": (slice(None), None, None)})
    return graph([*steps, mask, *heads[:3], rows, heads[3], *nodes], PROJECTIONS, outputs)


PLAIN = Node(("w",), kernels.softmax, ("s",))
MASKED = Node(("w",), kernels.masked_softmax, ("s", "rows"), {"axis": -1, "lowest": -1e9, "zeroed": True})


@pytest.mark.parametrize("softmax", [PLAIN, MASKED], ids=["plain", "masked"])
def test_attention_is_fused(softmax: Node) -> None:
    before = attention(softmax, ATTEND)
    after = fuse_attention(before, small=0)
    same_answers(before, after)
    assert kernels.attention_by_rows in kernels_of(after)
    assert not {kernels.head_scores, softmax.kernel, kernels.attend} & set(kernels_of(after))
    assert fuse_attention(before) == before, "it is small"


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([PLAIN, ATTEND], ("a", "w")),
        ([PLAIN, ATTEND], ("a", "s")),
        ([PLAIN.with_attrs(axis=-2), ATTEND], ("a",)),
        ([Node(("u",), np.multiply, ("s", 2.0)), replace(PLAIN, inputs=("u",)), ATTEND], ("a",)),
        ([replace(PLAIN, kernel=kernels.sigmoid), ATTEND], ("a",)),
    ],
    ids=["weights are read", "scores are read", "another axis", "more between", "no softmax"],
)
def test_attention_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = attention(*nodes, outputs=outputs)
    assert fuse_attention(before, small=0) == before


@pytest.mark.parametrize("few", [0, 10**9])
def test_large_projections_go_by_rows(few: int) -> None:
    before = Plan(attention(PLAIN, ATTEND))
    for after in (choose_kernels(before, few=few), choose_kernels(before, few=few, winograd={}, depthwise={})):
        same_answers(before, after)
        assert (kernels.project_by_rows in kernels_of(after)) == (few == 0)


# --- choose_kernels --------------------------------------------------------------------------------------------------

EVERY: Tiles = {(3, 3): [((4, 4), 6, 3), ((2, 2), 4, 3)], (1, 7): [((1, 2), 4, 3)]}  # Winograd for small maps, too
EVERY_DEPTHWISE: RowTiles = {(5, 5): (4, 1), (3, 3): (2, 1)}
EXACT = {
    kernels.winograd_conv2d: kernels.blocked_conv,
    kernels.winograd_depthwise_conv2d: kernels.tiled_depthwise_conv2d,
}
CHOSEN = {
    "pointwise": (kernels.conv2d, (1, 1, 3, 4), {}, kernels.pointwise),
    "dense": (kernels.dense, (3, 4), {}, kernels.pointwise),
    "m = 4": (kernels.conv2d, (3, 3, 3, 4), {"pad": ((1, 1), (1, 1))}, kernels.winograd_conv2d),
    "m = 2": (kernels.conv2d, (3, 3, 3, 4), {"pad": None}, kernels.winograd_conv2d),
    "1 x 7": (kernels.conv2d, (1, 7, 3, 4), {"pad": ((0, 0), (3, 3))}, kernels.winograd_conv2d),
    "a pad that sizes tell": (kernels.conv2d, (3, 3, 3, 4), {"pad": "same"}, kernels.blocked_conv),
    "another window": (kernels.conv2d, (3, 2, 3, 4), {"pad": "same"}, kernels.blocked_conv),
    "strided": (kernels.conv2d, (3, 3, 3, 4), {"strides": (2, 2), "pad": ((0, 1), (1, 1))}, kernels.blocked_conv),
    "1 x 1, strided": (kernels.conv2d, (1, 1, 3, 4), {"strides": (2, 2)}, kernels.blocked_conv),
    "dilated": (kernels.conv2d, (3, 3, 3, 4), {"dilation": (2, 1)}, kernels.blocked_conv),
    "few channels": (kernels.conv2d, (3, 3, 3, 2), {}, kernels.half_unfolded_conv),
    "depthwise": (kernels.depthwise_conv2d, (3, 3, 3, 1), {"pad": "same"}, kernels.tiled_depthwise_conv2d),
    "depthwise, another window": (kernels.depthwise_conv2d, (3, 2, 3, 1), {}, kernels.tiled_depthwise_conv2d),
    "depthwise, m = 2": (
        kernels.depthwise_conv2d,
        (3, 3, 3, 1),
        {"pad": ((1, 1), (1, 1))},
        kernels.winograd_depthwise_conv2d,
    ),
    "depthwise, m = 4": (kernels.depthwise_conv2d, (5, 5, 3, 1), {}, kernels.winograd_depthwise_conv2d),
    "depthwise, strided": (kernels.depthwise_conv2d, (3, 3, 3, 1), {"strides": (2, 2)}, kernels.tiled_depthwise_conv2d),
    "groups": (kernels.grouped_conv2d, (3, 3, 1, 6), {"groups": 3}, kernels.grouped_conv2d),
    "as many groups as channels": (
        kernels.grouped_conv2d,
        (3, 3, 1, 3),
        {"groups": 3, "dilation": (1, 2)},
        kernels.tiled_depthwise_conv2d,
    ),
}


@pytest.mark.parametrize("activation", [None, kernels.relu], ids=["linear", "relu"])
@pytest.mark.parametrize("name", CHOSEN)
def test_kernels_are_chosen(name: str, activation: Any) -> None:
    kernel, shape, attrs, fast = CHOSEN[name]
    arrays = weights(c__kernel=shape, c__bias=(shape[-1] if shape[-1] > 1 else 3,))
    node = Node(("c",), kernel, ("image", "c/kernel", "c/bias"), {**attrs, "activation": activation})
    before = planned([node], arrays, ("c",), layer="c")
    after = choose_kernels(before, small=0, winograd=EVERY, depthwise=EVERY_DEPTHWISE)
    same_answers(before, after, 1e-4 if "m = 4" in name else 1e-5)
    assert kernels_of(after) == [fast]
    assert after.graph.layers == before.graph.layers
    exact = choose_kernels(before, small=0, winograd={}, depthwise={})
    same_answers(before, exact)
    assert kernels_of(exact) == [EXACT.get(fast, fast)]


@pytest.mark.parametrize("name", CHOSEN)
def test_small_layers_stay(name: str) -> None:
    kernel, shape, attrs, _ = CHOSEN[name]
    before = planned([Node(("c",), kernel, ("image", "c/kernel"), attrs)], weights(c__kernel=shape), ("c",))
    for choose in (choose_kernels, choose_exact_kernels):
        assert choose(before) is not before
        assert choose(before) == before


@pytest.mark.parametrize(
    ("shape", "x", "fast"),
    [
        ((3, 3, 1, 4), (28, 28), kernels.conv_by_taps),
        ((3, 3, 1, 4), (9, 9), kernels.conv2d),
        ((3, 3, 1, 4), (99, 99), kernels.blocked_conv),
        ((3, 3, 2, 4), (28, 28), kernels.conv2d),
        ((3, 3, 16, 4), (99, 99), kernels.kn2row_conv),
        ((3, 3, 15, 4), (99, 99), kernels.half_unfolded_conv),
        ((3, 1, 15, 4), (99, 99), kernels.blocked_conv),
        ((3, 3, 3, 4), (99, 99), kernels.blocked_conv),
        ((1, 1, 1, 4), (99, 99), kernels.pointwise),
    ],
    ids=[
        "one channel",
        "few numbers",
        "many numbers",
        "two channels",
        "few filters",
        "more filters",
        "a column",
        "more filters than channels",
        "single cells",
    ],
)
def test_few_channels_or_filters(shape: Any, x: tuple[int, int], fast: Any) -> None:
    before = planned([conv("c", activation=kernels.relu)], weights(c__kernel=shape), ("c",))
    shapes = {"image": (None, *x, shape[-2]), "c": (None, *x, 4)}
    sized = before.on(
        replace(before.graph, specs={name: Value(name, sizes, "float32") for name, sizes in shapes.items()})
    )
    for after in (choose_kernels(sized, depthwise={}), choose_exact_kernels(sized)):
        assert kernels_of(after) == [fast]


@pytest.mark.parametrize(
    ("shape", "axis", "large"),
    [((99, 99, 9), (-1,), True), ((9, 9, 9), (-1,), False), ((99, 99, 9), (-2, -1), False), ((99999,), (-1,), False)],
    ids=["large", "small", "more axes", "no rows"],
)
def test_large_arrays_are_normalised_by_rows(shape: tuple[int, ...], axis: tuple[int, ...], large: bool) -> None:
    node = Node(("n",), kernels.layer_norm, ("image",), {"axis": axis, "epsilon": 0.1})
    before = planned([node], {}, ("n",))
    sized = of_sizes(before, image=(None, *shape), n=(None, *shape))
    for after in (choose_kernels(sized), choose_exact_kernels(sized)):
        assert kernels_of(after) == [kernels.layer_norm_by_rows if large else kernels.layer_norm]


@pytest.mark.parametrize(
    ("kernel", "attrs", "sizes", "fast"),
    [
        (kernels.upsample, {"size": (2, 3)}, (60, 50), True),
        (kernels.upsample, {"size": (2, 3)}, (60, 40), False),
        (kernels.upsample, {"size": (2, 3)}, (6, 50), False),
        (kernels.upsample, {"size": (2, 3)}, (None, 50), False),
        (kernels.upsample, {"size": (2, 3), "half_pixel_centers": False}, (60, 50), False),
        (kernels.upsample, {"size": (2, 3), "interpolation": "bicubic"}, (60, 50), False),
        (kernels.resize, {"size": (120, 150)}, (60, 50), True),
        (kernels.resize, {"size": (120, 150), "antialias": True}, (60, 50), False),
    ],
    ids=["factors", "narrow", "small", "open", "corners", "bicubic", "any size", "antialiased"],
)
def test_wide_images_are_resized_by_rows(kernel: Any, attrs: Any, sizes: tuple[int | None, int], fast: bool) -> None:
    node = Node(("u",), kernel, ("image",), {"interpolation": "bilinear", **attrs})
    new = (sizes[0] and 2 * sizes[0], 3 * sizes[1])
    before = of_sizes(planned([node], {}, ("u",)), image=(None, *sizes, 9), u=(None, *new, 9))
    for after in (choose_kernels(before), choose_exact_kernels(before)):
        assert kernels_of(after) == [kernels.bilinear_by_rows if fast else kernel]
        assert not fast or after.graph.nodes[0].attrs == {"size": new}


@pytest.mark.parametrize(
    ("channels", "filters", "groups", "merged"),
    [(4, 4, 32, 4), (1, 6, 8, 2), (8, 3, 6, 2), (8, 8, 5, 1), (16, 16, 4, 1), (2, 2, 3, 3)],
    ids=str,
)
def test_groups_are_merged(channels: int, filters: int, groups: int, merged: int) -> None:
    node = Node(("c",), kernels.grouped_conv2d, ("image", "c/kernel"), {"groups": groups})
    before = planned([node], weights(c__kernel=(3, 2, channels, filters * groups)), ("c",))
    shapes = {"image": (None, 6, 7, channels * groups), "c": (None, 4, 6, filters * groups)}
    specs = {name: Value(name, sizes, "float32") for name, sizes in shapes.items()}
    sized = before.on(replace(before.graph, specs=specs))
    after = choose_kernels(sized, small=0)
    assert after.graph.nodes[0].attrs["groups"] == groups // merged
    kernel = after.loaded()["c/kernel"]
    x = np.random.default_rng(0).normal(size=(2, 6, 7, channels * groups)).astype(np.float32)
    want = kernels.grouped_conv2d(x, before.loaded()["c/kernel"], groups=groups)
    np.testing.assert_allclose(kernels.grouped_conv2d(x, kernel, groups=groups // merged), want, atol=1e-4)
    assert choose_exact_kernels(sized).graph.nodes == before.graph.nodes


def choose_none(before: Plan) -> None:
    assert choose_kernels(before, small=0, winograd=EVERY, depthwise=EVERY_DEPTHWISE) == before


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("sizes", [(None, 7), (6, None), (None, None)], ids=str)
def test_unknown_sizes_are_large(sizes: tuple[int | None, ...], name: str) -> None:
    """But not cut into tiles of Winograd's."""
    kernel, shape, attrs, fast = CHOSEN[name]
    node = Node(("c",), kernel, ("image", "c/kernel"), attrs)
    before = planned([node], weights(c__kernel=shape), ("c",))
    _, *known, channels = before.graph.specs["c"].shape
    made = (a and b for a, b in zip(sizes, known, strict=True))
    sized = of_sizes(before, image=(None, *sizes, 3), c=(None, *made, channels))
    after = choose_kernels(sized, winograd=EVERY, depthwise=EVERY_DEPTHWISE)
    same_answers(before, after)
    assert kernels_of(after) == [EXACT.get(fast, fast)]
    if fast is kernels.tiled_depthwise_conv2d and sizes[1] is None and attrs.get("strides") is None:
        assert after.layouts["c/kernel"] == (kernels.tile, {"count": LOOP.stop // 2 // 3})


@pytest.mark.parametrize(
    ("width", "channels", "strides", "count"),
    [(56, 144, (1, 1), 14), (7, 960, (1, 1), 1), (37, 256, (1, 1), 4), (28, 3000, (1, 1), 1), (112, 4, (1, 1), 112)]
    + [(28, 96, (2, 2), 1), (28, 95, (2, 2), 14), (28, 96, (2, 1), 14)],
    ids=str,
)
def test_tiles_of_cells(width: int, channels: int, strides: tuple[int, int], count: int) -> None:
    node = Node(("c",), kernels.depthwise_conv2d, ("image", "c/kernel"), {"strides": strides})
    before = planned([node], weights(c__kernel=(3, 3, channels, 1)), ("c",))
    shapes = {"image": (None, 9, 9, channels), "c": (None, 9, width, channels)}
    specs = {name: Value(name, sizes, "float32") for name, sizes in shapes.items()}
    after = choose_kernels(before.on(replace(before.graph, specs=specs)), small=0)
    assert after.layouts["c/kernel"] == (kernels.tile, {"count": count})


@pytest.mark.parametrize(
    ("size", "fast"), [(6, kernels.tiled_depthwise_conv2d), (70, kernels.winograd_depthwise_conv2d)]
)
def test_transforms_pay_for_large_maps(size: int, fast: Any) -> None:
    node = Node(("c",), kernels.depthwise_conv2d, ("image", "c/kernel"), {"pad": ((2, 2), (2, 2))})
    before = planned([node], weights(c__kernel=(5, 5, 999, 1)), ("c",))
    specs = {name: Value(name, (None, size, size, 999), "float32") for name in ("image", "c")}
    sized = before.on(replace(before.graph, specs=specs))
    assert kernels_of(choose_kernels(sized)) == [fast]
    assert kernels_of(choose_exact_kernels(sized)) == [kernels.tiled_depthwise_conv2d]


def test_what_no_fast_kernel_can_do_stays() -> None:
    arrays = weights(c__kernel=(3, 3, 3, 2), g__kernel=(3, 3, 2, 18), d__kernel=(18, 4))
    nodes = [
        Node(("c",), kernels.depthwise_conv2d, ("image", "c/kernel")),
        Node(("g",), kernels.grouped_conv2d, ("c", "g/kernel"), {"groups": 3}),
        Node(("m",), np.mean, ("g",), {"axis": (1, 2)}),
        Node(("d",), kernels.dense, ("m", "d/kernel")),
    ]
    choose_none(planned(nodes, arrays, ("d",)))


def test_a_computed_kernel_stays() -> None:
    choose_none(planned([Node(("k",), np.square, ("c/kernel",)), conv("c", kernel="k")], KERNEL, ("c",)))


def test_a_kernel_that_two_layers_read_keeps_its_layout() -> None:
    before = planned([conv("a"), conv("b", pad=((1, 1), (1, 1)))], KERNEL, ("a", "b"))
    choose_none(before)
    after = choose_kernels(before, small=0, winograd={})  # these need no layout
    same_answers(before, after)
    assert kernels_of(after) == [kernels.blocked_conv] * 2


# --- fold_gate -------------------------------------------------------------------------------------------------------

GATE = Node(("g",), kernels.global_average_pool, ("image",), {"keepdims": True})
GATED = Node(("m",), np.multiply, ("image", "g"))
PROJECT = Node(("y",), kernels.pointwise, ("m", "d/kernel"))


@pytest.mark.parametrize("product", [GATED, replace(GATED, inputs=("g", "image"))], ids=["image first", "gate first"])
@pytest.mark.parametrize("others", [(), ("c/bias",), ("c/bias", "image"), (None, "image")], ids=str)
def test_a_gate_scales_the_weights(product: Node, others: tuple[Any, ...]) -> None:
    project = replace(PROJECT, inputs=("m", "d/kernel", *others))
    before = graph([GATE, product, project], SQUARE, ("y",))
    after = fold_gate(before)
    assert kernels_of(after) == [kernels.global_average_pool, kernels.pointwise]
    same_answers(before, after)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([GATE, GATED, PROJECT], ("y", "m")),
        ([GATE, replace(GATED, kernel=np.add), PROJECT], ("y",)),
        ([GATE, replace(GATED, inputs=("image", 2.0)), PROJECT], ("y",)),
        ([GATE, replace(GATED, inputs=("image", "c/bias")), PROJECT], ("y",)),
        ([GATE, replace(GATED, inputs=("image", "image")), PROJECT], ("y",)),
        ([GATE, GATED, conv("y", "m", "d/kernel")], ("y",)),
        ([Node(("g",), np.sum, ("image",), {"axis": -1, "keepdims": True}), GATED, PROJECT], ("y",)),
        ([GATE, GATED, replace(PROJECT, inputs=("m", "w/kernel"))], ("y",)),
    ],
    ids=["read twice", "a sum", "a number", "a weight", "an image", "not by cells", "one number", "many filters"],
)
def test_a_gate_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(nodes, {**SQUARE, **weights(w__kernel=(1, 1, 3, 22))}, outputs)
    assert fold_gate(before) == before


# --- fuse_residual ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [(), ("c/bias",)], ids=["no bias", "bias"])
@pytest.mark.parametrize("operands", [("c", "image"), ("image", "c")], ids=str)
@pytest.mark.parametrize("kernel", [kernels.pointwise, kernels.blocked_conv, kernels.winograd_conv2d])
def test_a_residual_fuses(kernel: Any, operands: tuple[str, str], bias: tuple[str, ...]) -> None:
    arrays, layouts, attrs = SQUARE, {}, {**ONES, **SAME}
    if kernel is kernels.pointwise:
        arrays, attrs = {**SQUARE, "c/kernel": SQUARE["d/kernel"]}, {}
    if kernel is kernels.winograd_conv2d:
        layouts, attrs = {"c/kernel": (kernels.winograd_filters, {"m": (2, 2)})}, {
            "size": (6, 7),
            "pad": ((1, 1), (1, 2)),
        }
    node = Node(("c",), kernel, ("image", "c/kernel", *bias), attrs)
    plain = Graph(
        (Value("image", (None, 6, 7, 3), "float32"),),
        (node, add("s", *operands)),
        ("s",),
        arrays,
        layers={"c": ("c",), "s": ("s",)},
    )
    specs = {name: Value(name, (None, 6, 7, 3), "float32") for name in ("image", "c", "s")}
    before = Plan(plain, layouts).on(replace(plain, specs=specs))
    after = fuse_residual(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernel]
    assert after.graph.nodes[0].inputs == ("image", "c/kernel", *(bias or (None,)), "image")
    assert after.graph.layers == {"s": ("c",)}


def test_the_later_convolution_adds() -> None:
    nodes = [blocked("a", **SAME), Node(("b",), kernels.pointwise, ("image", "d/kernel")), add("s", "b", "a")]
    before = planned(nodes, SQUARE, ("s",))
    after = fuse_residual(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.blocked_conv, kernels.pointwise]
    assert after.graph.nodes[1].inputs == ("image", "d/kernel", None, "a")


def test_a_chain_of_residuals() -> None:
    """The residual is computed before the convolution that adds it, in any order of the layers."""
    nodes = [
        blocked("a", **SAME),
        blocked("b", "a", **SAME),
        Node(("r",), kernels.relu, ("image",)),
        add("s", "b", "r"),
        Node(("c",), kernels.pointwise, ("s", "d/kernel")),
        add("t", "s", "c"),
        add("u", "t", "image"),
    ]
    before = planned(nodes, SQUARE, ("u",))
    after = fuse_residual(before)
    same_answers(before, after)
    assert [node.output for node in after.graph.nodes] == ["a", "r", "b", "c", "u"]


WIDE = Node(("w",), kernels.cast, ("image",), {"dtype": "float64"})
ROWS = Node(("m",), kernels.get_item, ("image",), {"index": (slice(None), slice(0, 1))})


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([blocked("c", **SAME), add("s", "c", "image")], ("s", "c")),
        ([blocked("c", **SAME, activation=kernels.relu), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), ROWS, add("s", "c", "m")], ("s",)),
        ([blocked("c", "image", "c/kernel", None, "image", **SAME), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), add("s", "c", "c")], ("s",)),
        ([blocked("c", **SAME), add("s", "c", 1.0)], ("s",)),
        ([blocked("c", **SAME), add("s", "c", "c/bias")], ("s",)),
        ([conv("c", **SAME), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), Node(("s",), np.subtract, ("c", "image"))], ("s",)),
    ],
    ids=[
        "another reader",
        "an activation",
        "another shape",
        "a residual already",
        "itself",
        "a number",
        "a weight",
        "a kernel that takes none",
        "no sum",
    ],
)
def test_a_sum_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = planned(nodes, SQUARE, outputs)
    assert fuse_residual(before).graph.nodes == before.graph.nodes


def test_a_wider_sum_stays() -> None:
    before = planned([blocked("c", **SAME), WIDE, add("s", "c", "w")], SQUARE, ("s",))
    wide = {name: replace(before.graph.specs[name], dtype="float64") for name in ("w", "s")}
    before = before.on(replace(before.graph, specs={**before.graph.specs, **wide}))
    assert fuse_residual(before).graph.nodes == before.graph.nodes
    assert fuse_residual(before).run(X)[0].dtype == "float64"


# --- add_borders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_maker_adds_the_border(maker: str, reader: str) -> None:
    before = framing([MAKERS[maker], READERS[reader]])
    after = add_borders(before)
    same_answers(before, after)
    assert after.graph.nodes[0].attrs["border"] == before.graph.nodes[1].attrs["pad"]
    assert after.graph.nodes[1].attrs["pad"] is None
    assert after.graph.layers == {"c": ("c",)}  # what `a` was has zeros around it


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([MAKERS["pointwise"], READERS["blocked_conv"]], ("c", "a")),
        ([MAKERS["pointwise"], READERS["blocked_conv"], add("s", "a", "a")], ("c", "s")),
        ([READERS["blocked_conv"]], ("c",)),
        ([Node(("a",), kernels.relu, ("image",)), READERS["blocked_conv"]], ("c",)),
        ([MAKERS["pointwise"], conv("c", "a", pad=BORDER)], ("c",)),
        ([MAKERS["pointwise"], blocked("c", "a", pad="same")], ("c",)),
        ([MAKERS["pointwise"], blocked("c", "a", pad=None)], ("c",)),
    ],
    ids=["a result", "another reader", "an input", "a maker that cannot", "a reader that cannot", "same", "no pad"],
)
def test_a_border_stays_a_pad(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    if nodes[0].inputs[0] == "a":
        nodes = [replace(nodes[0], inputs=("image", *nodes[0].inputs[1:]))]
    before = framing(nodes, outputs)
    after = add_borders(before)
    assert (after.graph.nodes, after.graph.layers) == (before.graph.nodes, before.graph.layers)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_pad_becomes_a_border(maker: str) -> None:
    pool = Node(("m",), kernels.max_pool, ("p",), {"size": (2, 2), "strides": (1, 1)})
    before = framing([MAKERS[maker], pad(x="a"), pool], ("m",))
    after = add_borders(before)
    same_answers(before, after)
    assert kernels_of(after) == [MAKERS[maker].kernel, kernels.max_pool]
    assert after.graph.nodes[0].attrs["border"] == BORDER


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([MAKERS["pointwise"], pad(x="a", value=1.0)], ("p",)),
        ([MAKERS["pointwise"], pad(x="a")], ("p", "a")),
        ([Node(("a",), kernels.sigmoid, ("image",)), pad(x="a")], ("p",)),
        ([replace(MAKERS["pointwise"], attrs={"border": BORDER}), pad(x="a")], ("p",)),
    ],
    ids=["no zeros", "another reader", "a maker that cannot", "a border already"],
)
def test_a_pad_stays_a_pad(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = framing(nodes, outputs)
    assert add_borders(before).graph.nodes == before.graph.nodes


# --- relu_by_rows ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [kernels.relu, kernels.relu6])
def test_a_relu_goes_by_rows(relu: Any) -> None:
    before = framing([Node(("a",), relu, ("image",)), READERS["blocked_conv"]])
    after = relu_by_rows(before, large=0)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.clamp, kernels.blocked_conv]
    bordered = add_borders(after)
    same_answers(before, bordered)
    assert bordered.graph.nodes[0].attrs["border"] == READERS["blocked_conv"].attrs["pad"]


def test_a_relu_stays() -> None:
    node = Node(("a",), kernels.relu, ("image",))
    small = framing([node], ("a",))
    assert relu_by_rows(small).graph.nodes == (node,)
    specs = small.graph.specs
    whole = replace(specs["a"], dtype="int32")
    flat = replace(specs["a"], shape=(None, 126))
    for spec in (whole, flat):
        other = small.on(replace(small.graph, specs={**specs, "a": spec}))
        assert relu_by_rows(other, large=0).graph.nodes == (node,)
    capped = framing([replace(node, kernel=kernels.general_relu, attrs={"max_value": 3.0})], ("a",))
    assert relu_by_rows(capped, large=0).graph.nodes == capped.graph.nodes


# --- Levels -----------------------------------------------------------------------------------------------------------


def test_every_level_keeps_the_answers() -> None:
    arrays = {**SQUARES, **norm_weights(3)}
    nodes = [pad(), conv("c", "p", pad=None), norm("n", "c"), Node(("r",), kernels.relu, ("n",)), add("s", "r", "r")]
    before = planned(nodes, arrays, ("s",))
    for pipeline in PIPELINES.values():
        same_answers(before, optimize(before.graph, pipeline))
