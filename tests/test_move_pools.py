"""Pooling moves to where it costs less: what does, what stays, and that the answers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graphs import graph, kernels_of, of_sizes, same_answers, weights

from kerasgen import kernels
from kerasgen.graph.ir import Node
from kerasgen.passes.fold.move_pools import move_pools

ARRAYS = weights(few__kernel=(1, 1, 3, 2), many__kernel=(1, 1, 3, 5), wide__kernel=(3, 1, 3, 5), bias=(2,), much=(5,))
ONE: dict[str, Any] = {"strides": (1, 1), "dilation": (1, 1), "pad": None}
HALF = {"size": (2, 2), "strides": (2, 2), "pad": None}
SAME = {"size": (3, 3), "strides": (1, 1), "pad": ((1, 1), (1, 1))}


def conv(output: str, x: str, kernel: str = "many", **attrs: Any) -> Node:
    return Node((output,), kernels.conv2d, (x, f"{kernel}/kernel", "much"), {**ONE, **attrs})


def mean(output: str, x: str, **attrs: Any) -> Node:
    return Node((output,), kernels.average_pool, (x,), attrs)


def largest(output: str, x: str, **attrs: Any) -> Node:
    return Node((output,), kernels.max_pool, (x,), attrs)


def cut(output: str, x: str, **attrs: Any) -> Node:
    return Node((output,), kernels.relu6, (x,), attrs)


def leaky(output: str, x: str, slope: float) -> Node:
    return Node((output,), kernels.leaky_relu, (x,), {"negative_slope": slope})


MOVED = {
    "fewer cells": [conv("a", "image"), mean("b", "a", **HALF)],
    "fewer channels": [
        mean("a", "image", **SAME),
        Node(("b",), kernels.conv2d, ("a", "few/kernel", "bias"), {**ONE, "activation": None}),
    ],
    "relu6": [cut("a", "image"), largest("b", "a", **HALF)],
    "tanh": [Node(("a",), kernels.tanh, ("image",)), largest("b", "a", **HALF)],
    "a setting": [leaky("a", "image", 0.3), largest("b", "a", **HALF)],
}


@pytest.mark.parametrize("case", MOVED)
def test_moves(case: str) -> None:
    first, last = MOVED[case]
    before = graph([first, last], ARRAYS, ("b",), a="a", b="b")
    after = move_pools(before, large=0).check()
    same_answers(before, after)
    assert kernels_of(after) == [last.kernel, first.kernel]
    assert after.layers == {"b": ("b",)}
    values = after.trace(np.ones((2, 6, 7, 3), np.float32))
    assert all(values[name].shape[1:] == after.specs[name].shape[1:] for name in "ab")
    assert move_pools(after, large=0).nodes == after.nodes


def test_moves_on() -> None:
    """What moved is a neighbour of the next one."""
    nodes = [cut("a", "image"), conv("b", "a"), mean("c", "b", **HALF), cut("d", "c"), largest("e", "d", **HALF)]
    before = graph(nodes, ARRAYS, ("e",))
    after = move_pools(before, large=0).check()
    same_answers(before, after)
    assert kernels_of(after) == [kernels.relu6, kernels.average_pool, kernels.conv2d, kernels.max_pool, kernels.relu6]


COMPUTED = Node(("a",), kernels.conv2d, ("image", "k"), ONE)


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([conv("a", "image"), mean("b", "a", **HALF)], ("a", "b")),
        ([conv("a", "image", activation=kernels.relu), mean("b", "a", **HALF)], ("b",)),
        ([conv("a", "image", strides=(2, 1)), mean("b", "a", **HALF)], ("b",)),
        ([conv("a", "image", pad=((1, 0), (0, 0))), mean("b", "a", **HALF)], ("b",)),
        ([conv("a", "image", "wide"), mean("b", "a", **HALF)], ("b",)),
        ([conv("a", "image"), mean("b", "a", **SAME)], ("b",)),
        ([mean("a", "image", **SAME), conv("b", "a")], ("b",)),
        ([mean("a", "image", **HALF), Node(("b",), kernels.conv2d, ("a", "few/kernel"), ONE)], ("b",)),
        ([Node(("a",), kernels.conv2d, ("image", "few/kernel"), ONE), mean("b", "a", **HALF)], ("b",)),
        ([conv("a", "image"), largest("b", "a", **HALF)], ("b",)),
        ([cut("a", "image"), largest("b", "a", **SAME)], ("b",)),
        ([cut("a", "image"), mean("b", "a", **HALF)], ("b",)),
        ([leaky("a", "image", -0.3), largest("b", "a", **HALF)], ("b",)),
        ([Node(("a",), kernels.silu, ("image",)), largest("b", "a", **HALF)], ("b",)),
        ([Node(("k",), np.exp, ("many/kernel",)), COMPUTED, mean("b", "a", **HALF)], ("b",)),
    ],
    ids=[
        *("a result", "an activation", "strides", "zeros around", "a window", "as many cells", "more channels"),
        *("strided before few channels", "twice the channels", "the largest", "as many cells to cut"),
        *("a mean of what is cut", "a decreasing part", "not increasing", "a computed kernel"),
    ],
)
def test_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(nodes, {**ARRAYS, "few/kernel": ARRAYS["few/kernel"][..., :1]}, outputs)
    assert move_pools(before, large=0).nodes == before.nodes


def test_little_to_cut_stays() -> None:
    before = graph(MOVED["relu6"], ARRAYS, ("b",))
    assert move_pools(before, large=6 * 7 * 3).nodes != before.nodes
    assert move_pools(before, large=6 * 7 * 3 + 1).nodes == before.nodes


def test_unknown_sizes_stay() -> None:
    before = graph(MOVED["fewer cells"], ARRAYS, ("b",))
    sized = of_sizes(before, image=(None, None, 7, 3), a=(None, None, 7, 5), b=(None, None, 3, 5))
    assert move_pools(sized).nodes == sized.nodes
