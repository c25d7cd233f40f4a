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

KERNEL = weights(c__kernel=(3, 3, 3, 4))
activations_by_rows, add_borders, fuse_residual = map(
    on_graph, (passes.activations_by_rows, passes.add_borders, passes.fuse_residual)
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
        layouts, attrs = {"c/kernel": (kernels.winograd_filters, {"m": (2, 2)})}, {"pad": ((1, 2), (1, 2))}
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


# --- activations_by_rows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("relu", [kernels.relu, kernels.relu6])
def test_a_relu_goes_by_rows(relu: Any) -> None:
    before = framing([Node(("a",), relu, ("image",)), READERS["blocked_conv"]])
    after = activations_by_rows(before, large=0)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.clamp, kernels.blocked_conv]
    bordered = add_borders(after)
    same_answers(before, bordered)
    assert bordered.graph.nodes[0].attrs["border"] == READERS["blocked_conv"].attrs["pad"]


def test_a_relu_stays() -> None:
    node = Node(("a",), kernels.relu, ("image",))
    small = framing([node], ("a",))
    assert activations_by_rows(small).graph.nodes == (node,)
    specs = small.graph.specs
    whole = replace(specs["a"], dtype="int32")
    flat = replace(specs["a"], shape=(None, 126))
    for spec in (whole, flat):
        other = small.on(replace(small.graph, specs={**specs, "a": spec}))
        assert activations_by_rows(other, large=0).graph.nodes == (node,)


@pytest.mark.parametrize(
    ("kernel", "attrs"),
    [(kernels.leaky_relu, {"negative_slope": 0.2}), (kernels.general_relu, {"max_value": 3.0}), (kernels.softmax, {})],
)
def test_other_activations_go_by_rows(kernel: Any, attrs: dict[str, Any]) -> None:
    before = framing([Node(("a",), kernel, ("image",), attrs), READERS["blocked_conv"]])
    assert activations_by_rows(before).graph.nodes == before.graph.nodes, "it is small"
    after = activations_by_rows(before, larger=0)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.activation_by_rows, kernels.blocked_conv]
    bordered = add_borders(after)
    same_answers(before, bordered)
    assert bordered.graph.nodes[0].attrs["border"] == READERS["blocked_conv"].attrs["pad"]


@pytest.mark.parametrize(
    "node",
    [
        Node(("a",), kernels.softmax, ("image",), {"axis": -2}),
        Node(("a",), kernels.cast, ("image",), {"dtype": "float64"}),
        Node(("a",), kernels.prelu, ("image", "c/bias")),
        Node(("a",), kernels.global_average_pool, ("image",), {"keepdims": True}),
    ],
    ids=["along another axis", "a cast", "two operands", "no activation"],
)
def test_what_is_no_activation_stays(node: Node) -> None:
    before = framing([node], ("a",))
    assert activations_by_rows(before, large=0, larger=0).graph.nodes == (node,)


@pytest.mark.parametrize("attrs", [{}, {"axis": -1}, {"axis": 3}], ids=str)
def test_softmax_of_many_cells_goes_by_columns(attrs: dict[str, Any]) -> None:
    alone = framing([Node(("a",), kernels.softmax, ("image",), attrs)], ("a",))
    fused = framing([blocked("a", **SAME, activation=kernels.softmax)], ("a",))
    for before in (alone, fused):
        assert activations_by_rows(before, many=43).graph.nodes == before.graph.nodes
        after = activations_by_rows(before, many=42)
        same_answers(before, after)
        (node,) = after.graph.nodes
        assert kernels.softmax_by_columns in (node.kernel, node.attrs.get("activation"))
        unknown = of_sizes(before, a=(None, None, 7, 3))
        assert activations_by_rows(unknown, larger=1 << 99).graph.nodes == after.graph.nodes


def test_softmax_of_a_large_array_goes_by_rows_and_columns() -> None:
    before = framing([Node(("a",), kernels.softmax, ("image",), {"axis": -1})], ("a",))
    after = activations_by_rows(before, larger=1, many=1)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.activation_by_rows]
    assert after.graph.nodes[0].attrs == {"activation": kernels.softmax_by_columns}


@pytest.mark.parametrize(
    "spec", [(None, 60, 70, 33), (None, 60, 70, None), (None, 3)], ids=["many columns", "open columns", "no cells"]
)
def test_other_softmaxes_stay(spec: tuple[int | None, ...]) -> None:
    before = of_sizes(framing([Node(("a",), kernels.softmax, ("image",), {"axis": -1})], ("a",)), a=spec)
    assert activations_by_rows(before, many=2).graph.nodes == before.graph.nodes


# --- Levels -----------------------------------------------------------------------------------------------------------


def test_every_level_keeps_the_answers() -> None:
    arrays = {**SQUARES, **norm_weights(3)}
    nodes = [pad(), conv("c", "p", pad=None), norm("n", "c"), Node(("r",), kernels.relu, ("n",)), add("s", "r", "r")]
    before = planned(nodes, arrays, ("s",))
    for pipeline in PIPELINES.values():
        same_answers(before, optimize(before.graph, pipeline))
