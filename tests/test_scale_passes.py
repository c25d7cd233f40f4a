"""Passes that move a scale to where it costs less: what they do, what they decline, and that the answers stay."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import conv, graph, kernels_of, norm, norm_weights, of_sizes, same_answers, weights

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.fold.fold_input_scale import fold_input_scale
from kerasgen.passes.fold.fold_norm_scale import fold_norm_scale
from kerasgen.passes.fold.fold_scale import fold_scale
from kerasgen.passes.fold.fold_through_relu import fold_through_relu
from kerasgen.passes.fold.scale_by_blocks import scale_by_blocks


def product(output: str, *factors: Any) -> Node:
    return Node((output,), np.multiply, factors)


@pytest.mark.parametrize("factor", ["s", 0.25, 3])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_scale_folds(factor: Any, swapped: bool) -> None:
    arrays = weights(c__kernel=(3, 3, 3, 4), c__bias=(4,), s=(4,))
    factors = (factor, "c") if swapped else ("c", factor)
    layer = Node(("c",), kernels.conv2d, ("image", "c/kernel", "c/bias"))
    before = graph([layer, product("p", *factors)], arrays, ("p",), c="c", p="p")
    after = fold_scale(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.conv2d]
    assert after.layers == {"p": ("c",)}


def test_a_scale_of_one_of_several_outputs_stays() -> None:
    halves = Node(("a", "b"), kernels.split, ("image",), {"indices_or_sections": [1], "axis": -1})
    before = graph([halves, Node(("y",), np.multiply, ("b", 2.0))], {}, ("y",))
    assert fold_scale(before).nodes == before.nodes


def test_a_scale_of_a_dense_layer_without_bias_folds() -> None:
    before = graph(
        [Node(("d",), kernels.dense, ("image", "d/kernel")), product("p", "d", "s")],
        weights(d__kernel=(3, 5), s=(5,)),
        ("p",),
    )
    after = fold_scale(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.dense]


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([conv("c"), product("p", "c", 2.0)], ("p", "c")),
        ([conv("c", activation=kernels.relu), product("p", "c", 2.0)], ("p",)),
        ([conv("c"), product("p", "c", "rows")], ("p",)),
        ([conv("c"), conv("d", kernel="d/kernel"), product("p", "c", "d")], ("p",)),
        ([product("p", "image", 2.0)], ("p",)),
    ],
    ids=["another reader", "an activation", "a number for each row", "two layers", "no layer"],
)
def test_a_scale_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    arrays = weights(c__kernel=(3, 3, 3, 4), d__kernel=(3, 3, 3, 4), rows=(5, 1))
    before = graph(nodes, arrays, outputs)
    assert fold_scale(before).nodes == before.nodes


def test_a_large_norm_becomes_two_numbers_a_channel() -> None:
    before = graph([norm("n", "image")], norm_weights(3), ("n",))
    after = scale_by_blocks(before, large=1)
    same_answers(before, after)
    assert after.nodes[0].kernel is kernels.scale_shift
    assert after.nodes[0].inputs == ("image", "n/scale", "n/shift")


@pytest.mark.parametrize(("axis", "limit"), [(2, 1), (-1, 1 << 20)], ids=["another axis", "a small array"])
def test_a_norm_stays(axis: int, limit: int) -> None:
    before = graph([norm("n", "image", axis=axis)], norm_weights(7 if axis == 2 else 3), ("n",))
    assert scale_by_blocks(before, large=limit).nodes == before.nodes


def binary(output: str, kernel: Any, *operands: Any) -> Node:
    return Node((output,), kernel, operands)


ARRAYS = {
    **weights(c__kernel=(3, 3, 3, 4), c__bias=(4,), s=(3,), t=(1, 1, 3), rows=(7, 3), n__mean=(3,), n__variance=(3,)),
    **norm_weights(3),
}
AFFINE: dict[str, list[Node]] = {
    "a product": [binary("a", np.multiply, "image", "s")],
    "a number times": [binary("a", np.multiply, 0.25, "image")],
    "a quotient": [binary("a", np.divide, "image", "s")],
    "a sum": [binary("a", np.add, "t", "image")],
    "a difference": [binary("a", np.subtract, "image", "t")],
    "a difference from it": [binary("a", np.subtract, "t", "image")],
    "batch normalisation": [norm("a", "image")],
    "normalisation": [Node(("a",), kernels.normalization, ("image", "n/mean", "n/variance"))],
    "its inverse": [Node(("a",), kernels.normalization, ("image", "n/mean", "n/variance"), {"invert": True})],
    "preprocess_input": [binary("z", np.divide, "image", 1.5), binary("a", np.subtract, "z", 1)],
    "three in a row": [binary("y", np.subtract, 2.0, "image"), norm("z", "y"), binary("a", np.multiply, "z", "s")],
}
LAYERS: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "dense": (kernels.dense, (3, 4), {}),
    "conv2d": (kernels.conv2d, (2, 3, 3, 4), {"strides": (2, 1), "activation": kernels.relu}),
    "grouped_conv2d": (kernels.grouped_conv2d, (3, 3, 1, 6), {"groups": 3, "dilation": (1, 2)}),
    "depthwise_conv2d": (kernels.depthwise_conv2d, (3, 3, 3, 2), {"pad": ((0, 0), (0, 0))}),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("case", AFFINE)
def test_what_comes_before_folds(case: str, layer: str, bias: bool) -> None:
    kernel, shape, attrs = LAYERS[layer]
    arrays = {**ARRAYS, **weights(c__kernel=shape, c__bias=(shape[-1] * (shape[-2] if "depth" in layer else 1),))}
    node = Node(("c",), kernel, ("image", "c/kernel", "c/bias")[: 3 if bias else 2], attrs)
    node = replace(node, inputs=("a", *node.inputs[1:]))
    before = graph([*AFFINE[case], node], arrays, ("c",), a="a", c="c")
    after = fold_input_scale(before)
    same_answers(before, after)
    assert [(n.kernel, n.inputs[0], n.attrs) for n in after.nodes] == [(kernel, "image", attrs)]
    assert after.layers == {"c": ("c",)}
    assert all(array.dtype == np.float32 for array in after.weights.values())


PADS = {"zeros around": ((1, 0), (0, 2)), "zeros by size": "same"}


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)])
@pytest.mark.parametrize("pad", PADS)
@pytest.mark.parametrize("case", AFFINE)
def test_what_becomes_zero_surrounds_the_cells(case: str, pad: str, strides: tuple[int, int]) -> None:
    nodes = [*AFFINE[case], conv("c", "a", pad=PADS[pad], strides=strides, dilation=(1, 1))]
    before = graph(nodes, ARRAYS, ("c",), a="a", c="c")
    after = fold_input_scale(before).check()
    same_answers(before, after)
    only_scales = case in ("a product", "a number times", "a quotient")
    assert kernels_of(after) == [*([] if only_scales else [kernels.pad]), kernels.conv2d]
    assert after.nodes[-1].attrs["pad"] == (PADS[pad] if only_scales else None)
    assert after.layers == {"c": ("c",)}


SHIFTED = [binary("t1", np.add, "image", "t"), binary("a", np.multiply, "t1", "s")]


@pytest.mark.parametrize("reason", ["transposed", "unknown sizes", "not an image", "a channel is lost"])
def test_only_the_scale_folds(reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = {**ARRAYS, **weights(d__kernel=(3, 3, 5, 3))}
    layer = conv("c", "a", pad="same")
    if reason == "transposed":
        layer = Node(("c",), kernels.conv2d_transpose, ("a", "d/kernel"), {"strides": (2, 2)})
    if reason == "not an image":
        monkeypatch.setattr(sys.modules[fold_input_scale.__module__], "IMAGE_CHANNELS", 2)
    if reason == "a channel is lost":
        arrays["s"] = np.array([1, 0, 2], np.float32)
    before = graph([*SHIFTED, layer], arrays, ("c",), t1="t1", a="a")
    if reason == "unknown sizes":
        before = of_sizes(before, **dict.fromkeys(("image", "t1", "a"), (None, None, 7, 3)))
    after = fold_input_scale(before)
    same_answers(before, after)
    assert kernels_of(after) == [np.add, layer.kernel]
    assert after.layers == {"t1": ("t1",)}
    shifted = replace(before, nodes=(binary("a", np.add, "image", "t"), before.nodes[-1]))
    if reason != "a channel is lost":
        assert fold_input_scale(shifted).nodes == shifted.nodes


def test_a_large_shift_stays() -> None:
    """x - 1000 is exact, x W - 1000 W is not."""
    nodes = [binary("z", np.subtract, "image", 1000.0), binary("a", np.multiply, "z", 0.01), conv("c", "a")]
    assert kernels_of(fold_input_scale(graph(nodes, ARRAYS, ("c",)))) == [kernels.conv2d]
    steep = [nodes[0], replace(nodes[1], inputs=("z", 0.1)), nodes[2]]
    after = fold_input_scale(graph(steep, ARRAYS, ("c",)))
    assert kernels_of(after) == [np.subtract, kernels.conv2d]


def flattened(*before: Node, by: Any = kernels.flatten) -> Graph:
    """A dense layer over flattened cells."""
    flat = Node(("f",), by, ("a",), {} if by is kernels.flatten else {"shape": (126,)})
    dense = Node(("d",), kernels.dense, ("f", "d/kernel", "d/bias"))
    arrays = {**ARRAYS, **weights(d__kernel=(126, 5), d__bias=(5,))}
    return graph([*before, flat, dense], arrays, ("d",), f="f", d="d")


@pytest.mark.parametrize("by", [kernels.flatten, kernels.reshape])
def test_a_number_folds_through_a_reshape(by: Any) -> None:
    before = flattened(*AFFINE["preprocess_input"], by=by)
    after = fold_input_scale(before)
    same_answers(before, after)
    assert kernels_of(after) == [by, kernels.dense]
    assert after.layers == {"d": ("d",)}  # what is flattened is no longer scaled


def test_numbers_of_channels_do_not_fold_through_a_reshape() -> None:
    before = flattened(binary("a", np.multiply, "image", "s"))
    assert fold_input_scale(before).nodes == before.nodes


LAST = {"axis": -1, "keepdims": True}
SCALED = binary("a", np.multiply, "image", "s")


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([SCALED, conv("c", "a")], ("c", "a")),
        ([SCALED, conv("c", "a"), conv("d", "a", "k")], ("c", "d")),
        ([SCALED, conv("c", "a"), conv("d")], ("c", "d")),
        ([binary("a", np.multiply, "image", "rows"), conv("c", "a")], ("c",)),
        ([binary("a", np.multiply, "image", "image"), conv("c", "a")], ("c",)),
        ([binary("a", np.divide, 2.0, "image"), conv("c", "a")], ("c",)),
        ([binary("a", np.divide, "image", 0.0), conv("c", "a")], ("c",)),
        ([norm("a", "image", axis=2), conv("c", "a")], ("c",)),
        ([SCALED, Node(("e",), np.exp, ("c/kernel",)), conv("c", "a", "e")], ("c",)),
        ([Node(("m",), np.max, ("image",), LAST), binary("a", np.multiply, "m", "s"), conv("c", "a")], ("c",)),
        ([conv("c")], ("c",)),
    ],
    ids=[
        *("a result", "another reader", "a shared kernel", "a number for each row", "a square", "a reciprocal"),
        *("division by zero", "another axis", "a computed kernel", "more channels", "nothing"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_what_comes_before_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    arrays = {**ARRAYS, **weights(k=(1, 1, 3, 2))}
    if nodes[0].attrs.get("axis") == 2:
        arrays.update(norm_weights(7))
    before = graph(nodes, arrays, outputs)
    assert fold_input_scale(before).nodes == before.nodes


@pytest.mark.parametrize(
    ("kernel", "dtypes"),
    [("float32", {"image": "int32"}), ("float16", dict.fromkeys(["image", "a"], "float16")), ("int8", {})],
    ids=["integers that become floats", "half precision", "whole weights"],
)
def test_other_dtypes_stay(kernel: str, dtypes: dict[str, str]) -> None:
    arrays = {**ARRAYS, "c/kernel": ARRAYS["c/kernel"].astype(kernel)}
    before = graph([SCALED, conv("c", "a")], arrays, ("c",))
    changed = {name: replace(before.specs[name], dtype=dtype) for name, dtype in dtypes.items()}
    before = replace(before, specs={**before.specs, **changed})
    assert fold_input_scale(before).nodes == before.nodes


def test_every_layer_keeps_its_own_scale() -> None:
    before = graph([SCALED, conv("c", "a")], ARRAYS, ("c",), a="a", c="c").with_every_layer()
    assert fold_input_scale(before).nodes == before.nodes


MOMENTS = ("z", "n/mean", "n/variance")
ROWS = {
    "three": AFFINE["three in a row"],
    "normalised last": [binary("z", np.multiply, "image", 0.1), replace(AFFINE["normalisation"][0], inputs=MOMENTS)],
    "normalised first": [norm("z", "image"), binary("a", np.add, "z", 1.0)],
}


@pytest.mark.parametrize("case", ROWS)
def test_scales_in_a_row_are_one(case: str) -> None:
    before = graph(ROWS[case], ARRAYS, ("a",), z="z", a="a")
    after = scale_by_blocks(before, large=1)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.scale_shift]
    assert after.layers == {"a": ("a",)}
    assert {name: after.weights[name].shape for name in after.weights.keys() - ARRAYS.keys()} == {
        "a/scale": (3,),
        "a/shift": (3,),
    }
    assert after.nodes[0].inputs == ("image", "a/scale", "a/shift")


UNIFORM = [
    binary("y", np.multiply, "image", 0.5),
    binary("z", np.add, "y", 2.0),
    binary("a", np.multiply, "z", 3.0),
]


@pytest.mark.parametrize(
    ("nodes", "outputs", "made"),
    [
        (ROWS["normalised last"], ("a", "z"), [np.multiply, kernels.normalization]),
        (AFFINE["preprocess_input"], ("a",), [np.divide, np.subtract]),
        (UNIFORM, ("a",), [np.multiply, np.add, np.multiply]),
        (AFFINE["normalisation"], ("a",), [kernels.normalization]),
        ([binary("z", np.add, "image", 99.0), *ROWS["normalised last"][1:]], ("a",), [np.add, kernels.normalization]),
        ([binary("z", np.add, "image", 99.0), norm("a", "z")], ("a",), [np.add, kernels.scale_shift]),
        ([Node(("z",), np.max, ("image",), {"axis": (1, 2)}), norm("a", "z")], ("a",), [np.max, kernels.batch_norm]),
    ],
    ids=[
        "another reader",
        "two",
        "one number each",
        "one alone",
        "a large shift",
        "a large shift before a norm",
        "vectors",
    ],
)
def test_scales_in_a_row_stay(nodes: list[Node], outputs: tuple[str, ...], made: list[Any]) -> None:
    after = scale_by_blocks(graph(nodes, ARRAYS, outputs), large=1)
    assert kernels_of(after) == made


def test_a_weight_of_that_name_is_left_alone() -> None:
    nodes = [norm("a", "image"), binary("b", np.multiply, "image", "a/scale"), binary("y", np.add, "a", "b")]
    before = graph(nodes, {**ARRAYS, **weights(a__scale=(3,))}, ("y",))
    same_answers(before, scale_by_blocks(before, large=1))


# --- fold_through_relu -----------------------------------------------------------------------------------------------


def cut(output: str, x: str, by: Any = kernels.relu) -> Node:
    return Node((output,), by, (x,))


@pytest.mark.parametrize("by", [kernels.relu, kernels.relu6])
@pytest.mark.parametrize("case", AFFINE)
def test_a_relu_becomes_a_clamp(case: str, by: Any) -> None:
    """Of what it cuts off are parts: the numbers of some channels are negative."""
    nodes = [*AFFINE[case], cut("r", "a", by), conv("c", "r"), conv("d", "r", "k")]
    before = graph(nodes, {**ARRAYS, **weights(k=(1, 1, 3, 2))}, ("c", "d"), a="a", r="r", c="c")
    after = fold_through_relu(before).check()
    same_answers(before, after)
    assert kernels_of(after) == [kernels.clamp, kernels.conv2d, kernels.conv2d]
    assert after.nodes[0].inputs[0] == "image"
    assert after.layers == {"c": ("c",)}


@pytest.mark.parametrize(
    ("scale", "by", "limits"),
    [
        ([1, 2, 3], kernels.relu, ("image", "r/low", None)),
        ([-1, -2, -3], kernels.relu, ("image", None, "r/high")),
        ([-1, 2, 3], kernels.relu, ("image", "r/low", "r/high")),
        ([1, 2, 3], kernels.relu6, ("image", "r/low", "r/high")),
    ],
)
def test_no_limit_that_cuts_nothing(scale: list[int], by: Any, limits: tuple[str | None, ...]) -> None:
    arrays = {**ARRAYS, "s": np.array(scale, np.float32)}
    before = graph([*SHIFTED, cut("r", "a", by), conv("c", "r")], arrays, ("c",))
    after = fold_through_relu(before)
    same_answers(before, after, 5e-5)  # where all is cut off, the new bias cancels 27 products of up to 4
    assert after.nodes[0].inputs == limits


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([*SHIFTED, cut("r", "a"), conv("c", "r")], ("c", "r")),
        ([*SHIFTED, cut("r", "a"), conv("c", "r")], ("c", "a")),
        ([*SHIFTED, cut("r", "a"), conv("c", "r"), Node(("m",), np.exp, ("r",))], ("c", "m")),
        ([*SHIFTED, cut("r", "a"), conv("c", "r", pad="same")], ("c",)),
        ([*SHIFTED, cut("r", "a", np.tanh), conv("c", "r")], ("c",)),
        ([cut("r", "image"), conv("c", "r")], ("c",)),
        ([binary("a", np.multiply, "image", 0.0), cut("r", "a"), conv("c", "r")], ("c",)),
        ([binary("a", np.multiply, "image", 1e-39), cut("r", "a"), conv("c", "r")], ("c",)),
        ([binary("a", np.add, "image", 99.0), cut("r", "a"), conv("c", "r")], ("c",)),
        ([*SHIFTED, cut("r", "a")], ("r",)),
    ],
    ids=[
        *("a result", "what it cuts is a result", "another reader", "zeros around", "another function", "no scale"),
        *("nothing is left", "a limit beyond float32", "a large shift", "no layer"),
    ],
)
def test_a_relu_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(nodes, ARRAYS, outputs)
    assert fold_through_relu(before).nodes == before.nodes


def test_an_array_without_cells_is_cut_as_before() -> None:
    arrays = {**ARRAYS, **weights(k=(3, 2))}
    nodes = [Node(("m",), np.max, ("image",), {"axis": (1, 2)}), norm("a", "m"), cut("r", "a")]
    before = graph([*nodes, Node(("d",), kernels.dense, ("r", "k"))], arrays, ("d",))
    assert fold_through_relu(before).nodes == before.nodes


# --- fold_norm_scale -------------------------------------------------------------------------------------------------

NORMED = {**ARRAYS, **weights(gamma=(3,), beta=(3,), k=(1, 1, 3, 2), table=(7, 3))}


def normed(*numbers: Any, kernel: Any = kernels.layer_norm, **attrs: Any) -> Node:
    return Node(("n",), kernel, ("image", *numbers), {"epsilon": 1e-3, **attrs})


@pytest.mark.parametrize(
    "node",
    [
        normed("gamma", "beta"),
        normed("gamma", None, axis=(-1,)),
        normed(None, "beta"),
        normed("gamma", kernel=kernels.rms_norm),
    ],
    ids=["both", "no shift", "no scale", "rms_norm"],
)
def test_the_scale_of_a_norm_folds(node: Node) -> None:
    before = graph([node, conv("c", "n"), conv("d", "n", "k")], NORMED, ("c", "d"), n="n", c="c")
    after = fold_norm_scale(before).check()
    same_answers(before, after)
    assert set(after.nodes[0].inputs[1:]) == {None}
    assert after.layers == {"c": ("c",)}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([normed("gamma", "beta"), conv("c", "n")], ("c", "n")),
        ([normed("gamma", "beta"), conv("c", "n"), Node(("m",), np.exp, ("n",))], ("c", "m")),
        ([normed("gamma", "beta"), conv("c", "n", pad="same")], ("c",)),
        ([normed("table", None, axis=(-2, -1)), conv("c", "n")], ("c",)),
        ([Node(("g",), np.square, ("gamma",)), normed("g", None), conv("c", "n")], ("c",)),
        ([normed(None, "far"), conv("c", "n")], ("c",)),
        ([normed(None, None), conv("c", "n")], ("c",)),
    ],
    ids=["a result", "another reader", "zeros around", "two axes", "computed", "a large shift", "nothing to fold"],
)
def test_the_scale_of_a_norm_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    arrays = {**NORMED, "far": np.float32([1, 2, 99])}
    before = graph(nodes, arrays, outputs)
    assert fold_norm_scale(before).nodes == before.nodes
