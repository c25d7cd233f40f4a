"""Passes that move a scale to where it costs less: what they do, what they decline, and that the answers stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_passes import conv, graph, kernels_of, norm, norm_weights, same_answers, weights

from kerasgen import kernels
from kerasgen.ir import Node
from kerasgen.passes.fold_scale import fold_scale
from kerasgen.passes.scale_by_blocks import scale_by_blocks


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
    assert after.nodes[0].inputs == ("image", "norm/scale", "norm/shift")


@pytest.mark.parametrize(("axis", "limit"), [(2, 1), (-1, 1 << 20)], ids=["another axis", "a small array"])
def test_a_norm_stays(axis: int, limit: int) -> None:
    before = graph([norm("n", "image", axis=axis)], norm_weights(7 if axis == 2 else 3), ("n",))
    assert scale_by_blocks(before, large=limit).nodes == before.nodes
