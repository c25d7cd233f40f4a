"""Passes that leave out what was made before: what they do, what they decline, and that the answers stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import X, conv, graph, kernels_of, of_sizes, same_answers, weights

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.passes import PIPELINES, optimize
from kerasgen.passes.clean.join_reshapes import join_reshapes
from kerasgen.passes.clean.merge_equal import merge_equal


def reshape(output: str, x: str, *shape: int) -> Node:
    return Node((output,), kernels.reshape, (x,), {"shape": shape})


def reshape_all(output: str, x: str, *shape: int) -> Node:
    return Node((output,), kernels.reshape_all, (x,), {"shape": shape})


def flatten(output: str, x: str) -> Node:
    return Node((output,), kernels.flatten, (x,))


def square(output: str, x: str) -> Node:
    return Node((output,), np.square, (x,))


@pytest.mark.parametrize(
    "chain",
    [
        [reshape("a", "image", 42, 3), flatten("b", "a")],
        [flatten("a", "image"), reshape("b", "a", 7, -1)],
        [reshape("a", "image", 3, 42), reshape("b", "a", -1)],
        [reshape_all("a", "image", -1, 3), reshape_all("b", "a", -1, 126)],
        [flatten("a", "image"), reshape_all("b", "a", -1, 9)],
        [reshape("z", "image", 14, 9), flatten("a", "z"), reshape("b", "a", 9, 14)],
    ],
    ids=lambda chain: " ".join(node.kernel.__name__ for node in chain),
)
def test_a_chain_is_its_last_reshape(chain: list[Node]) -> None:
    before = graph(chain, {}, ("b",), first="a", last="b")
    after = join_reshapes(before)
    same_answers(before, after, 0.0)
    assert after.nodes == (replace(chain[-1], inputs=("image",)),)
    assert after.layers == {"last": ("b",)}


@pytest.mark.parametrize(
    ("chain", "outputs"),
    [
        ([flatten("a", "image"), reshape("b", "a", 7, 18)], ("b", "a")),
        ([flatten("a", "image"), reshape("b", "a", 7, 18), square("c", "a")], ("b", "c")),
        ([reshape_all("a", "image", 3, -1, 2), flatten("b", "a")], ("b",)),
        ([reshape_all("a", "image", -1, 3), reshape("b", "a", 3, 1)], ("b",)),
        ([flatten("a", "image"), square("s", "a"), reshape("b", "s", 7, 18)], ("b",)),
    ],
    ids=["a result", "another reader", "samples in pieces", "cells as samples", "something between"],
)
def test_a_chain_stays(chain: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(chain, {}, outputs)
    assert join_reshapes(before).nodes == before.nodes


IMAGE = (None, 6, 7, 3)


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (reshape("a", "s", 6, 7, 3), IMAGE),
        (reshape("a", "s", -1, 7, 3), (None, None, 7, 3)),
        (reshape_all("a", "s", -1, 6, 7, 3), IMAGE),
    ],
    ids=["by sample", "an unknown size", "the whole array"],
)
def test_a_reshape_to_the_same_shape_goes(node: Node, shape: tuple[int | None, ...]) -> None:
    before = of_sizes(graph([square("s", "image"), node], {}, ("a",), layer="a"), s=shape, a=shape)
    after = join_reshapes(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [np.square]
    assert after.layers == {"layer": ("s",)}


@pytest.mark.parametrize("size", [126, None])
def test_a_vector_is_flat(size: int | None) -> None:
    nodes = [flatten("f", "image"), square("s", "f"), flatten("a", "s")]
    before = of_sizes(graph(nodes, {}, ("a",)), s=(None, size), a=(None, size))
    after = join_reshapes(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [kernels.flatten, np.square]


@pytest.mark.parametrize(
    ("node", "shape"),
    [
        (reshape("a", "s", 7, 6, 3), (None, 7, 6, 3)),
        (reshape("a", "s", -1, 7, 3), (None, None, None, 3)),
        (reshape_all("a", "s", -1, 6, 7, 3), (None, None, 7, 3)),
    ],
    ids=["another shape", "two unknown sizes", "an unknown size beside the batch"],
)
def test_a_reshape_stays(node: Node, shape: tuple[int | None, ...]) -> None:
    known = IMAGE if None not in shape[1:] else shape
    before = of_sizes(graph([square("s", "image"), node], {}, ("a",)), s=known, a=shape)
    assert join_reshapes(before).nodes == before.nodes


def test_back_and_forth() -> None:
    before = graph([square("s", "image"), flatten("a", "s"), reshape("b", "a", 6, 7, 3)], {}, ("b",))
    after = join_reshapes(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [np.square]


ARRAYS = weights(c__kernel=(3, 3, 3, 4))


def test_equal_nodes_are_one() -> None:
    """And so are those that only then read the same."""
    nodes = [conv("a"), Node(("r",), kernels.relu, ("a",)), conv("b"), Node(("s",), kernels.relu, ("b",))]
    before = graph([*nodes, Node(("sum",), np.add, ("r", "s"))], ARRAYS, ("sum",), a="a", b="b")
    after = merge_equal(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [kernels.conv2d, kernels.relu, np.add]
    assert after.nodes[-1].inputs == ("r", "r")
    assert after.layers == {"a": ("a",), "b": ("a",)}


def test_all_values_of_equal_nodes_are_one() -> None:
    settings = {"indices_or_sections": 3, "axis": -1}
    nodes = [Node((f"{name}1", f"{name}2", f"{name}3"), kernels.split, ("image",), settings) for name in "ab"]
    before = graph([*nodes, Node(("y",), np.subtract, ("a3", "b1"))], {}, ("y",))
    after = merge_equal(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [kernels.split, np.subtract]


def test_of_two_equal_nodes_one_may_be_a_result() -> None:
    nodes = [square("a", "image"), square("b", "image"), Node(("y",), np.exp, ("a",))]
    before = graph(nodes, {}, ("y", "b"), b="b")
    after = merge_equal(before)
    same_answers(before, after, 0.0)
    assert kernels_of(after) == [np.square, np.exp]
    assert (after.outputs, after.layers) == (("y", "a"), {"b": ("a",)})


def test_no_two_results_are_one() -> None:
    """A node that took the place of a result does not take another's as well."""
    nodes = [square("a", "image"), square("b", "image"), square("c", "image"), Node(("y",), np.exp, ("a",))]
    after = merge_equal(graph(nodes, {}, ("y", "b", "c")))
    assert after.outputs == ("y", "a", "c")


def random_square(x: Any) -> Any:
    """As a function of the user's might."""
    return x * np.random.random_sample()


def apart(first: Node, second: Node) -> Graph:
    """Two nodes whose results are read by a third one."""
    return graph([first, second, Node(("y",), np.add, (first.output, second.output))], ARRAYS, ("y",))


def declined() -> dict[str, Graph]:
    times = [Node((name,), np.multiply, ("image", factor)) for name, factor in (("a", 1), ("b", 1.0))]
    signs = [Node((name,), np.multiply, ("image", factor)) for name, factor in (("a", 0.0), ("b", -0.0))]
    return {
        "both are results": graph([square("a", "image"), square("b", "image")], {}, ("a", "b")),
        "views of both are results": graph(
            [square("a", "image"), square("b", "image"), flatten("c", "b")], {}, ("a", "c")
        ),
        "other settings": apart(conv("a"), conv("b", activation=kernels.relu)),
        "other inputs": graph([square("a", "image"), square("b", "a")], {}, ("b",)),
        "other kernels": apart(square("a", "image"), Node(("b",), np.exp, ("image",))),
        "another dtype": apart(*times),
        "another sign": apart(*signs),
        "the user's own": apart(Node(("a",), random_square, ("image",)), Node(("b",), random_square, ("image",))),
        "the user's activation": apart(conv("a", activation=random_square), conv("b", activation=random_square)),
    }


@pytest.mark.parametrize("reason", declined())
def test_nodes_stay_apart(reason: str) -> None:
    before = declined()[reason]
    assert merge_equal(before).nodes == before.nodes


def test_states_are_not_merged() -> None:
    """What two calls of a stateful layer start with are two values, equal as they may be in the first call."""
    first, second = Value("s", (None, 6, 7, 3), "float32"), Value("t", (None, 6, 7, 3), "float32")
    nodes = [square("a", "s"), square("b", "t"), Node(("y",), np.add, ("a", "b"))]
    before = replace(graph([square("n", "image")], {}, ("n",)), memory=((first, "n"), (second, "image")))
    before = replace(before, nodes=(*before.nodes, *nodes), outputs=("y",)).check()
    assert merge_equal(before).nodes == before.nodes


def test_every_layer_keeps_its_own() -> None:
    before = graph(
        [square("a", "image"), square("b", "image"), Node(("y",), np.add, ("a", "b"))], {}, ("y",), a="a", b="b"
    )
    full = before.with_every_layer()
    assert merge_equal(full).nodes == full.nodes


def test_levels() -> None:
    """The lowest one keeps every layer's line."""
    nodes = [flatten("a", "image"), reshape("b", "a", 42, 3), square("c", "b"), square("d", "b")]
    before = graph([*nodes, Node(("y",), np.add, ("c", "d"))], {}, ("y",))
    counts = {level: len(optimize(before, passes).graph.nodes) for level, passes in PIPELINES.items()}
    assert counts == {0: 5, 1: 3, 2: 3}
    assert all(np.array_equal(optimize(before, passes).run(X), before.run(X)) for passes in PIPELINES.values())
