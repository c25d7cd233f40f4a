"""The passes that choose kernels, fuse attention and go by rows: their algebra, and what each declines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv, graph, kernels_of, of_sizes, same_answers, weights

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.passes.plan.choose_kernels import LOOP, RowTiles, Tiles, choose_exact_kernels, choose_kernels
from kerasgen.passes.plan.fuse_attention import fuse_attention, fuse_band_attention
from kerasgen.passes.plan.large_by_rows import large_by_rows

KERNEL = weights(c__kernel=(3, 3, 3, 4))


def planned(*arguments: Any, **layers: str) -> Plan:
    return Plan(graph(*arguments, **layers))


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
    kernel, shape, attrs, fast = CHOSEN[name]
    node = Node(("c",), kernel, ("image", "c/kernel"), attrs)
    before = planned([node], weights(c__kernel=shape), ("c",))
    _, *known, channels = before.graph.specs["c"].shape
    made = (a and b for a, b in zip(sizes, known, strict=True))
    sized = of_sizes(before, image=(None, *sizes, 3), c=(None, *made, channels))
    sized = replace(sized, graph=replace(sized.graph, inputs=(sized.graph.specs["image"],)))
    after = choose_kernels(sized, winograd=EVERY, depthwise=EVERY_DEPTHWISE)
    after = after.on(replace(after.graph, inputs=before.graph.inputs))
    same_answers(before, after, 1e-4)
    is_small = fast is kernels.winograd_depthwise_conv2d and sizes != (None, None)  # 192 x 7 cells
    assert kernels_of(after) == [EXACT[fast] if is_small else fast]
    if fast is kernels.tiled_depthwise_conv2d and sizes[1] is None and attrs.get("strides") is None:
        assert after.layouts["c/kernel"] == (kernels.tile, {"count": LOOP.stop // 2 // 3})


def fails_above_100(x: np.ndarray) -> np.ndarray:
    """A function of the user's that takes small images only."""
    if x.shape[1] > 100:
        raise KeyError(x.shape)
    return x


@pytest.mark.parametrize(
    ("stride", "filters", "m"),
    [(1, 24, (4, 4)), (8, 24, (4, 4)), (12, 24, None), (12, 48, (4, 4)), (16, 48, (2, 2)), (24, 256, None)],
    ids=str,
)
def test_tiles_of_open_sizes_are_those_for_an_image_of_192(
    stride: int, filters: int, m: tuple[int, int] | None
) -> None:
    """Unless such an image cannot be computed."""
    arrays = weights(c__kernel=(3, 3, filters, filters))
    attrs = {"pad": ((1, 1), (1, 1))}
    for first in (kernels.max_pool, fails_above_100):
        size = {"size": (stride, stride), "strides": (stride, stride)} if first is kernels.max_pool else {}
        nodes = (Node(("p",), first, ("image",), size), Node(("c",), kernels.conv2d, ("p", "c/kernel"), attrs))
        image, p, c = (Value(name, (None, None, None, filters), "float32") for name in ("image", "p", "c"))
        before = Plan(Graph((image,), nodes, ("c",), arrays, specs={"image": image, "p": p, "c": c}))
        tiled = choose_kernels(before).layouts.get("c/kernel")
        assert tiled == ((kernels.winograd_filters, {"m": m}) if m and first is kernels.max_pool else None)


@pytest.mark.parametrize(
    ("size", "filters", "m"),
    [(16, 2, (4, 4)), (8, 12, (4, 4)), (8, 11, None), (8, 128, (2, 2)), (7, 128, None)],
    ids=str,
)
def test_tiles_of_volumes(size: int, filters: int, m: tuple[int, int] | None) -> None:
    arrays = weights(c__kernel=(3, 3, 3, filters, filters))
    node = Node(("c",), kernels.conv3d, ("image", "c/kernel"), {"pad": ((1, 1), (1, 1), (1, 1))})
    image, c = (Value(name, (None, 6, size, size, filters), "float32") for name in ("image", "c"))
    before = Plan(Graph((image,), (node,), ("c",), arrays, specs={"image": image, "c": c}))
    after = choose_kernels(before, small=0, few=0)
    assert (kernels_of(after) == [kernels.winograd_conv3d]) == bool(m)
    if m:
        assert after.layouts == {"c/kernel": (kernels.winograd_filters, {"m": m})}
        assert after.graph.nodes[0].attrs["pad"] == ((1, 1), (1, m[0]), (1, m[1]))
        x = np.random.default_rng(0).normal(size=(2, 6, size, size, filters)).astype(np.float32)
        for y, want in zip(after.run(x), before.run(x), strict=True):
            np.testing.assert_allclose(y, want, atol=1e-4 * np.abs(want).max())


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


# --- fuse_attention --------------------------------------------------------------------------------------------------

PROJECTIONS = weights(q__kernel=(3, 2, 4), k__kernel=(3, 2, 4))
SCORES = [
    Node(("steps",), kernels.reshape, ("image",), {"shape": (42, 3)}),
    Node(("q",), kernels.project, ("steps", "q/kernel")),
    Node(("k",), kernels.project, ("steps", "k/kernel")),
    Node(("sums",), np.sum, ("steps",), {"axis": -1}),
    Node(("seen",), np.greater, ("sums", 0.0)),
    Node(("mask",), kernels.get_item, ("seen",), {"index": (slice(None), None, None)}),
    Node(("s",), kernels.head_scores, ("q", "k"), {"scale": 0.5}),
]
ATTEND = Node(("a",), kernels.attend, ("w", "k"))


def attention(*nodes: Node, outputs: tuple[str, ...] = ("a",)) -> Graph:
    """Of the cells of an image to each other, up to the scores; then these nodes."""
    return graph([*SCORES, *nodes], PROJECTIONS, outputs)


PLAIN = Node(("w",), kernels.softmax, ("s",))
MASKED = Node(("w",), kernels.masked_softmax, ("s", "mask"), {"axis": -1, "lowest": -1e9, "zeroed": True})


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


@pytest.mark.parametrize(("size", "by_rows"), [(64, True), (None, True), (8, False)])
def test_large_transposed_convolutions_go_by_rows(size: int | None, by_rows: bool) -> None:
    settings = {"strides": (2, 2), "dilation": (1, 1), "crop": ((0, 0), (0, 0))}
    node = Node(("t",), kernels.conv2d_transpose, ("image", "t/kernel", "t/bias"), settings)
    arrays = weights(t__kernel=(2, 2, 8, 3), t__bias=(8,))
    new = None if size is None else 2 * size
    before = of_sizes(planned([node], arrays, ("t",)), image=(None, size, size, 3), t=(None, new, new, 8))
    after = choose_kernels(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.conv_transpose_by_rows if by_rows else kernels.conv2d_transpose]


BANDS: list[tuple[dict[str, Any], tuple[int, int], bool]] = [
    ({"causal": True}, (42, 42), True),
    ({"causal": True}, (42, 50), True),
    ({"causal": True, "window": 3}, (42, 42), True),
    ({"window": 3}, (42, 42), True),
    ({"window": 3}, (42, 41), False),  # a query may see no key
]


@pytest.mark.parametrize("masked", ["masked_softmax", "mask_scores"])
@pytest.mark.parametrize(("settings", "sizes", "fused"), BANDS, ids=str)
def test_attention_under_a_band_is_fused(
    settings: dict[str, Any], sizes: tuple[int, int], fused: bool, masked: str
) -> None:
    band = Node(("b",), kernels.band_mask, ("s",), settings)
    if masked == "masked_softmax":
        softmax = [Node(("w",), kernels.masked_softmax, ("s", "b"), {"axis": -1, "lowest": -1e9})]
    else:
        softmax = [Node(("m",), kernels.mask_scores, ("s", "b")), Node(("w",), kernels.softmax, ("m",))]
    before = attention(band, *softmax, ATTEND)
    before = of_sizes(before, s=(None, 2, *sizes))
    assert fuse_attention(before, small=0) == before
    after = fuse_band_attention(before, small=0)
    assert (kernels.band_attention_by_rows in kernels_of(after)) == fused
    if fused:
        same_answers(before, after)
        assert not {kernels.head_scores, kernels.band_mask, kernels.attend} & set(kernels_of(after))
        assert fuse_band_attention(of_sizes(before, w=(None, 2, 9, 9))) == of_sizes(before, w=(None, 2, 9, 9))
    assert fuse_band_attention(attention(MASKED, ATTEND), small=0) == attention(MASKED, ATTEND), "no band"
    for outputs in ("s", "b", "w"):
        read = replace(before, outputs=("a", outputs), output_names=("a", outputs))
        assert fuse_band_attention(read, small=0) == read


# --- large_by_rows ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axis", "large"),
    [((99, 99, 9), (-1,), True), ((9, 9, 9), (-1,), False), ((99, 99, 9), (-2, -1), False), ((99999,), (-1,), False)],
    ids=["large", "small", "more axes", "no rows"],
)
def test_large_arrays_are_normalised_by_rows(shape: tuple[int, ...], axis: tuple[int, ...], large: bool) -> None:
    node = Node(("n",), kernels.layer_norm, ("image",), {"axis": axis, "epsilon": 0.1})
    before = graph([node], {}, ("n",))
    after = large_by_rows(of_sizes(before, image=(None, *shape), n=(None, *shape)))
    assert kernels_of(after) == [kernels.layer_norm_by_rows if large else kernels.layer_norm]


@pytest.mark.parametrize(
    ("kernel", "attrs", "sizes", "fast"),
    [
        (kernels.upsample, {"size": (2, 3)}, (60, 50), True),
        (kernels.upsample, {"size": (2, 3)}, (60, 40), False),
        (kernels.upsample, {"size": (2, 3)}, (6, 50), False),
        (kernels.upsample, {"size": (2, 3)}, (None, 50), True),
        (kernels.upsample, {"size": (2, 3)}, (None, None), True),
        (kernels.upsample, {"size": (2, 3), "half_pixel_centers": False}, (60, 50), False),
        (kernels.upsample, {"size": (2, 3), "interpolation": "bicubic"}, (60, 50), False),
        (kernels.resize, {"size": (120, 150)}, (60, 50), True),
        (kernels.resize, {"size": (120, 150), "antialias": True}, (60, 50), False),
    ],
    ids=["factors", "narrow", "small", "open height", "open", "corners", "bicubic", "any size", "antialiased"],
)
def test_wide_images_are_resized_by_rows(
    kernel: Any, attrs: Any, sizes: tuple[int | None, int | None], fast: bool
) -> None:
    node = Node(("u",), kernel, ("image",), {"interpolation": "bilinear", **attrs})
    new = (sizes[0] and 2 * sizes[0], sizes[1] and 3 * sizes[1])
    before = of_sizes(graph([node], {}, ("u",)), image=(None, *sizes, 9), u=(None, *new, 9))
    after = large_by_rows(before)
    by_rows = {kernels.upsample: kernels.upsample_by_rows, kernels.resize: kernels.bilinear_by_rows}
    assert kernels_of(after) == [by_rows[kernel] if fast else kernel]
    assert not fast or after.nodes[0].attrs == {"size": attrs["size"]}


@pytest.mark.parametrize(("sizes", "large"), [((100, 90), True), ((None, 9), True), ((10, 9), False)], ids=str)
def test_cells_of_large_images_are_repeated_by_rows(sizes: tuple[int | None, int], large: bool) -> None:
    node = Node(("u",), kernels.upsample_nearest, ("image",), {"size": (2, 3)})
    new = (sizes[0] and 2 * sizes[0], 3 * sizes[1])
    before = of_sizes(graph([node], {}, ("u",)), image=(None, *sizes, 3), u=(None, *new, 3))
    after = large_by_rows(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.upsample_nearest_by_rows if large else kernels.upsample_nearest]


@pytest.mark.parametrize("few", [0, 10**9])
def test_large_projections_go_by_rows(few: int) -> None:
    before = attention(PLAIN, ATTEND)
    after = large_by_rows(before, few=few)
    same_answers(before, after)
    assert (kernels.project_by_rows in kernels_of(after)) == (few == 0)


@pytest.mark.parametrize(
    ("x", "bias"), [("image", (7, 4)), ("row", (4,))], ids=["a bias for each column", "no sequence"]
)
def test_a_projection_stays(x: str, bias: tuple[int, ...]) -> None:
    nodes = [
        Node(("row",), kernels.global_average_pool, ("image",)),
        Node(("p",), kernels.project, (x, "p/kernel", "p/bias")),
    ]
    before = graph(nodes, weights(p__kernel=(3, 4), p__bias=bias), ("p", "row"))
    assert large_by_rows(before, few=0) == before


@pytest.mark.parametrize("pool", [kernels.max_pool, kernels.average_pool])
def test_large_pools_go_by_rows(pool: Any) -> None:
    before = graph([Node(("a",), pool, ("image",), {"size": (2, 3), "strides": (2, 1), "pad": "same"})], {}, ("a",))
    after = large_by_rows(before, small=0)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.pool_by_rows]
    assert large_by_rows(before) == before, "it is small"
