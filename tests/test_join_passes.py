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
from kerasgen.passes.clean.cancel_step_splits import cancel_step_splits
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


# --- cancel_step_splits: the second axis of the image is one of steps ------------------------------------------------

SQUARE = weights(w=(3, 3), c=(3,), mean=(3,), variance=(3,))
OPEN = (None, None, 7, 3)


def merge(output: str, x: str) -> Node:
    return Node((output,), kernels.merge_steps, (x,))


def split(output: str, x: str, like: str) -> Node:
    return Node((output,), kernels.split_steps, (x, like))


def dense(output: str, x: str) -> Node:
    return Node((output,), kernels.dense, (x, "w"))


def relu(output: str, x: str) -> Node:
    return Node((output,), kernels.relu, (x,))


def call(output: str, kernel: Any, *inputs: Any, **attrs: Any) -> Node:
    return Node((output,), kernel, inputs, attrs)


FIRST = [merge("m", "image"), dense("d", "m"), split("s", "d", "image")]
ONE_OF_EACH = [kernels.merge_steps, kernels.dense, kernels.split_steps]


def stepped(nodes: list[Node], outputs: tuple[str, ...], **layers: str) -> Graph:
    """The graph, with as many rows in what is merged as there are steps."""
    made = graph(nodes, SQUARE, outputs, **layers)
    merged = {name for name, value in made.trace(X).items() if name not in SQUARE and len(value) == 6 * len(X)}
    return replace(made, specs={n: replace(v, rows=6) if n in merged else v for n, v in made.specs.items()})


def checked(nodes: list[Node], outputs: tuple[str, ...], **layers: str) -> Graph:
    """The graph after the pass: its answers are unchanged, its shapes and rows are right, and nothing is left to do."""
    before = stepped(nodes, outputs, **layers)
    after = cancel_step_splits(before)
    same_answers(before, after)
    for name, value in after.trace(X).items():
        if name not in SQUARE:
            spec = after.specs[name]
            assert (len(value), *value.shape[1:]) == (len(X) * (spec.rows or 0), *spec.shape[1:]), name
    for layer, names in after.layers.items():
        old = before.trace(X)
        assert [old[name].shape for name in before.layers[layer]] == [after.trace(X)[name].shape for name in names]
    assert cancel_step_splits(after) == after
    return after


def test_a_chain_has_one_merge_and_one_split() -> None:
    second = [merge("m2", "s"), dense("e", "m2"), split("t", "e", "s")]
    after = checked(
        [*FIRST, *second, merge("m3", "t"), relu("r", "m3"), split("u", "r", "t")], ("u",), one="s", two="t"
    )
    assert kernels_of(after) == [kernels.merge_steps, kernels.dense, kernels.dense, kernels.relu, kernels.split_steps]
    assert after.nodes[-1].inputs == ("r", "image")
    assert after.layers == {}


@pytest.mark.parametrize(
    "between",
    [
        call("r", kernels.leaky_relu, "s", negative_slope=0.1),
        call("r", kernels.softmax, "s"),
        call("r", kernels.softmax, "s", axis=-1),
        call("r", kernels.batch_norm, "s", None, "c", "mean", "variance", axis=-1, epsilon=1e-3),
        dense("r", "s"),
        call("r", kernels.cast, "s", dtype="float64"),
        call("r", np.multiply, "s", 0.5),
        call("r", np.subtract, "c", "s"),
        call("r", np.tanh, "s"),
        call("r", np.multiply, "s", "s"),
    ],
    ids=lambda node: f"{node.kernel.__name__} {list(node.attrs)}",
)
def test_what_takes_cells_by_themselves_stands_before_the_split(between: Node) -> None:
    after = checked(
        [*FIRST, between, merge("m2", "r"), dense("e", "m2"), split("t", "e", "r")], ("t",), one="s", two="r"
    )
    names = [kernels.merge_steps, kernels.dense, between.kernel, kernels.dense, kernels.split_steps]
    assert kernels_of(after) == names
    assert after.layers == {}
    after = checked([*FIRST, between], ("r",), one="s", two="r")
    assert kernels_of(after) == [kernels.merge_steps, kernels.dense, between.kernel, kernels.split_steps]
    assert after.layers == {"two": ("r",)}


def test_branches_of_a_chain() -> None:
    """The value that both branches read has several readers, until those that undo each other are gone."""
    second = [merge("m2", "s"), dense("e", "m2"), split("t", "e", "s")]
    after = checked([*FIRST, *second, call("a", np.add, "s", "t"), merge("m3", "a"), dense("f", "m3")], ("f",))
    assert kernels_of(after) == [kernels.merge_steps, kernels.dense, kernels.dense, np.add, kernels.dense]


def test_steps_of_steps() -> None:
    inner = [merge("m", "image"), merge("n", "m"), dense("d", "n"), split("s", "d", "m"), split("t", "s", "image")]
    again = [merge("m2", "t"), merge("n2", "m2"), relu("r", "n2"), split("s2", "r", "m2"), split("t2", "s2", "t")]
    before = graph([*inner, *again], SQUARE, ("t2",))
    after = cancel_step_splits(before)
    same_answers(before, after)
    once = [kernels.merge_steps, kernels.merge_steps, kernels.dense, kernels.relu]
    assert kernels_of(after) == [*once, kernels.split_steps, kernels.split_steps]


@pytest.mark.parametrize("like", ["image", "q"])
def test_a_split_undoes_a_merge(like: str) -> None:
    after = checked([square("q", "image"), merge("m", "image"), split("s", "m", like), relu("r", "s")], ("r", "q"))
    assert kernels_of(after) == [np.square, kernels.relu]


def test_a_split_into_other_steps_stays() -> None:
    half = reshape_all("h", "image", -1, 3, 14, 3)
    before = graph([half, merge("m", "image"), split("s", "m", "h")], {}, ("s",))
    assert cancel_step_splits(before) == before
    any_length = of_sizes(graph([square("q", "image"), merge("m", "image"), split("s", "m", "q")], {}, ("s",)), q=OPEN)
    assert cancel_step_splits(any_length).nodes == any_length.nodes


@pytest.mark.parametrize(
    ("more", "outputs"),
    [
        (relu("r", "s"), ("r", "s")),
        (call("r", kernels.softmax, "s", axis=1), ("r",)),
        (call("r", kernels.batch_norm, "s", None, None, "steps", "steps", axis=-3), ("r",)),
        (call("r", np.multiply, "s", "by_step"), ("r",)),
        (call("r", np.add, "s", "image"), ("r",)),
        (call("r", np.sum, "s", axis=1), ("r",)),
        (call("r", kernels.flatten, "s"), ("r",)),
        (call("r", np.matmul, "s", "w"), ("r",)),
    ],
    ids=[
        "another reader",
        "softmax of steps",
        "norm of steps",
        "a weight for each",
        "no split",
        "sum",
        "flatten",
        "matmul",
    ],
)
def test_a_split_stays(more: Node, outputs: tuple[str, ...]) -> None:
    before = graph([*FIRST, more], {**SQUARE, **weights(steps=(6,), by_step=(6, 1, 1))}, outputs)
    assert cancel_step_splits(before).nodes == before.nodes


def test_nothing_is_moved_along_the_only_axis() -> None:
    """A softmax of single numbers would be one of steps."""
    nodes = [
        call("a", np.sum, "image", axis=(2, 3)),
        merge("m", "a"),
        split("s", "m", "q"),
        call("r", kernels.softmax, "s"),
    ]
    before = graph([square("q", "image"), *nodes], {}, ("r",))
    any_length = of_sizes(before, a=(None, None), q=OPEN)
    assert cancel_step_splits(any_length).nodes == any_length.nodes
