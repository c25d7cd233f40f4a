"""What depends on weights alone is computed at export: what is, what is not, and that the answers stay."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import X, conv, graph, kernels_of, same_answers, weights

from kerasgen import kernels
from kerasgen.emit.module import emit
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.passes import PIPELINES, optimize, phase
from kerasgen.passes.fold.fold_constants import GROWTH, fold_constants

ARRAYS = weights(c__kernel=(3, 3, 3, 4), scale=(3, 3, 3, 1), s=(3,), t=(3,))


def node(output: str, kernel: Any, *inputs: Any, **attrs: Any) -> Node:
    return Node((output,), kernel, inputs, attrs)


def with_weights(nodes: list[Node], arrays: dict[str, np.ndarray], outputs: tuple[str, ...] = ("y",)) -> Graph:
    """A graph whose specs have the true shapes of what is made of weights, too."""
    before = graph(nodes, arrays, outputs)
    made = before.trace(X)
    constant = set(arrays)
    for each in nodes:
        if constant.issuperset(each.reads):
            constant.update(each.outputs)
    specs = {name: Value(name, made[name].shape, made[name].dtype.name) for name in constant}
    return replace(before, specs={**before.specs, **specs})


def test_a_chain_of_constants_is_one_weight() -> None:
    nodes = [
        node("w", np.multiply, "c/kernel", "scale"),
        node("v", np.transpose, "w", axes=(1, 0, 2, 3)),
        conv("y", kernel="v"),
    ]
    before = with_weights(nodes, ARRAYS)
    after = fold_constants(before, growth=0)
    same_answers(before, after, 0.0)
    assert after.nodes == (conv("y", kernel="v/value"),)
    expected = (ARRAYS["c/kernel"] * ARRAYS["scale"]).swapaxes(0, 1)
    assert np.array_equal(after.weights["v/value"], expected)
    assert set(optimize(before, (phase("fold", fold_constants), *PIPELINES[0])).graph.weights) == {"v/value"}


def test_every_value_of_a_node_is_a_weight() -> None:
    parts = Node(("a", "b", "c"), kernels.split, ("s",), {"indices_or_sections": 3})
    before = with_weights([parts, node("z", np.add, "image", "c"), node("y", np.multiply, "z", "a")], ARRAYS)
    after = fold_constants(before)
    same_answers(before, after, 0.0)
    assert [each.inputs for each in after.nodes] == [("image", "c/value"), ("z", "a/value")]


def test_what_reads_nothing_is_a_weight() -> None:
    before = with_weights([node("a", np.arange, 3), node("y", np.multiply, "image", "a")], {})
    after = fold_constants(before)
    same_answers(before, after, 0.0)
    assert after.nodes[0].inputs == ("image", "a/value")
    assert np.array_equal(after.weights["a/value"], [0, 1, 2])


def test_a_module_has_it() -> None:
    before = with_weights([node("w", np.add, "s", "t"), node("y", np.multiply, "image", "w")], ARRAYS)
    assert 'x * W["w/value"]' in emit(optimize(before)).text


def test_a_weight_of_that_name_is_left_alone() -> None:
    nodes = [node("w", np.add, "s", "t"), node("z", np.multiply, "image", "w"), node("y", np.add, "z", "w/value")]
    before = with_weights(nodes, {**ARRAYS, "w/value": ARRAYS["s"]})
    same_answers(before, fold_constants(before), 0.0)


def grown(count: int, other: bool = False) -> Graph:
    """A vector tiled `count` times; with `other`, something else reads the vector, too."""
    nodes = [node("a", np.tile, "s", reps=count), node("n", np.max, "image"), node("y", np.multiply, "n", "a")]
    nodes.append(node("z", np.multiply, "n", "s" if other else 2.0))
    return with_weights(nodes, ARRAYS, ("y", "z"))


BYTES = 3 * 4  # of the vector


def test_as_much_as_goes_may_come() -> None:
    assert np.tile in kernels_of(fold_constants(grown(2), growth=BYTES - 1))
    assert np.tile not in kernels_of(fold_constants(grown(2), growth=BYTES))
    assert np.tile in kernels_of(fold_constants(grown(2, other=True), growth=BYTES))
    assert np.tile not in kernels_of(fold_constants(grown(2, other=True), growth=2 * BYTES))


def test_growth() -> None:
    assert np.tile not in kernels_of(fold_constants(grown(GROWTH // BYTES)))
    assert np.tile in kernels_of(fold_constants(grown(GROWTH // BYTES + 2)))


def test_a_weight_that_is_read_twice_by_one_node_goes_with_it() -> None:
    nodes = [node("w", np.multiply, "s", "s"), node("y", np.multiply, "image", "w")]
    assert kernels_of(fold_constants(with_weights(nodes, ARRAYS), growth=0)) == [np.multiply]


def shifted(x: Any) -> Any:
    """As a function of the user's might."""
    return x + np.random.random_sample()


def declined() -> dict[str, Graph]:
    own = [node("w", shifted, "s"), node("y", np.multiply, "image", "w")]
    small = {"q": np.ones((64, 64), "int8")}
    floats = [node("w", kernels.cast, "q", dtype="float32"), node("m", np.max, "image")]
    product = with_weights([node("w", np.add, "s", "t"), node("y", np.multiply, "image", "w")], ARRAYS)
    singular = [
        node("w", np.linalg.inv, "q"),
        node("v", np.diagonal, "w"),
        node("y", np.multiply, "image", "v"),
    ]
    plain = with_weights([node("w", np.square, "q"), *singular[1:]], {"q": np.eye(3, dtype="float32")})
    return {
        "a result": with_weights([node("y", np.add, "s", "t")], ARRAYS),
        "a view of it is a result": with_weights(
            [node("w", np.add, "s", "t"), node("y", kernels.reshape_all, "w", shape=(3, 1))], ARRAYS
        ),
        "the user's own": with_weights(own, ARRAYS),
        "larger than what it is made of": with_weights([*floats, node("y", np.multiply, "w", "m")], small),
        "an input": with_weights([node("y", np.add, "image", "s")], ARRAYS),
        "an unknown size": replace(product, specs={**product.specs, "w": Value("w", (None,), "float32")}),
        "no known shape": replace(product, specs={}),
        "what fails": replace(plain, nodes=tuple(singular), weights={"q": np.zeros((3, 3), "float32")}),
    }


@pytest.mark.parametrize("reason", declined())
def test_stays(reason: str) -> None:
    before = declined()[reason]
    after = fold_constants(before)
    assert [each.kernel for each in after.nodes[:1]] == [each.kernel for each in before.nodes[:1]]
    assert after.weights.keys() == before.weights.keys()


def test_a_state_is_no_constant() -> None:
    state = Value("state", (3,), "float32")
    nodes = [node("w", np.add, "s", "state"), node("y", np.multiply, "image", "w")]
    plain = with_weights([node("w", np.add, "s", "t"), nodes[1]], ARRAYS)
    before = replace(plain, nodes=tuple(nodes), memory=((state, "w"),)).check()
    assert fold_constants(before).nodes == before.nodes


@pytest.mark.parametrize(("kernel", "size"), [(np.log, 3), (np.mean, 0)])
def test_no_warnings(kernel: Any, size: int) -> None:
    """Infinity and NaN come about at export without a word; Keras does not warn either."""
    nodes = [node("w", kernel, "s"), node("y", np.multiply, "image", "w")]
    before = with_weights([node("w", np.sum, "s"), nodes[1]], {"s": np.zeros(size, "float32")})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        after = fold_constants(replace(before, nodes=tuple(nodes)))
    assert not np.isfinite(after.weights["w/value"]).any()


def test_levels() -> None:
    """What a layer does to its weights shows at the lower levels."""
    before = with_weights([node("w", np.add, "s", "t"), node("y", np.multiply, "image", "w")], ARRAYS)
    assert {level: len(optimize(before, passes).graph.nodes) for level, passes in PIPELINES.items()} == {
        0: 2,
        1: 2,
        2: 1,
    }
