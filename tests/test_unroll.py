"""Small convolutions as matrix products: the same answers, and when not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.passes import PIPELINES, optimize
from kerasgen.passes.plan.unroll_small import LIMIT, unroll_small

RANDOM = np.random.RandomState(0)
CONVS = {1: kernels.conv1d, 2: kernels.conv2d, 3: kernels.conv3d}


def one_conv(sizes: tuple[int | None, ...], kernel: np.ndarray, **attrs: Any) -> Graph:
    """A convolution of (N, *sizes, C), with a bias."""
    weights = {"c/kernel": kernel, "c/bias": RANDOM.uniform(-1, 1, kernel.shape[-1]).astype(kernel.dtype)}
    node = Node(("c",), CONVS[len(sizes)], ("x", *weights), attrs)
    x = Value("x", (None, *sizes, kernel.shape[-2]), kernel.dtype.name)
    graph = Graph((x,), (node,), ("c",), weights)
    (y,) = graph.run(np.ones((0, *(size or 9 for size in sizes), kernel.shape[-2]), kernel.dtype))
    unknown = (None if None in sizes else n for n in y.shape[1:])
    return replace(graph, specs={"x": x, "c": Value("c", (None, *unknown), kernel.dtype.name)})


def random(*shape: int, dtype: str = "float32") -> np.ndarray:
    return RANDOM.uniform(-1, 1, shape).astype(dtype)


SETTINGS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "1D, valid": ((9,), (3, 2, 4), {}),
    "1D, same, strided": ((100,), (12, 1, 16), {"strides": (12,), "pad": "same"}),
    "1D, causal, dilated": ((9,), (3, 2, 4), {"dilation": (2,), "pad": ((4, 0),)}),
    "1D, windows in the border only": ((2,), (3, 2, 4), {"pad": ((5, 4),), "strides": (2,)}),
    "2D, valid, activated": ((5, 6), (3, 2, 2, 3), {"activation": kernels.relu}),
    "2D, same, strided": ((5, 8), (2, 3, 2, 3), {"strides": (2, 3), "pad": "same"}),
    "2D, padded, dilated": ((5, 6), (3, 2, 2, 3), {"dilation": (1, 3), "pad": ((0, 1), (2, 0))}),
    "2D, one window": ((3, 2), (3, 2, 4, 5), {}),
    "3D": ((3, 4, 3), (2, 2, 2, 2, 3), {"strides": (1, 2, 1), "pad": ((0, 0), (1, 1), (1, 0))}),
}


@pytest.mark.parametrize("batch", [0, 1, 5])
@pytest.mark.parametrize("case", SETTINGS)
def test_the_same_answers(case: str, batch: int) -> None:
    sizes, kernel, attrs = SETTINGS[case]
    before = one_conv(sizes, random(*kernel), **attrs)
    after = unroll_small(Plan(before)).check()
    assert [node.kernel for node in after.graph.nodes] == [kernels.conv_by_matrix]
    x = random(batch, *sizes, kernel[-2])
    (want,), (got,) = before.run(x), after.run(x)
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_matrix_of_a_convolution_by_hand() -> None:
    """Windows of two cells, two apart, over three cells between zeros."""
    kernel = np.array([2, 3], "float32").reshape(2, 1, 1)
    matrix = kernels.conv_matrix(kernel, sizes=(3,), strides=(2,), dilation=(1,), pad=((1, 0),))
    np.testing.assert_array_equal(matrix, [[3, 0], [0, 2], [0, 3]])


def test_every_row_is_the_answer_to_one_cell() -> None:
    biased = one_conv((4, 3), random(2, 2, 2, 3), strides=(2, 1))
    before = replace(biased, nodes=(replace(biased.nodes[0], inputs=("x", "c/kernel")),))
    (rows,) = before.run(np.eye(24, dtype="float32").reshape(24, 4, 3, 2))
    np.testing.assert_array_equal(unroll_small(Plan(before)).loaded()["c/kernel"], rows.reshape(24, -1))


def declined() -> dict[str, Graph]:
    conv = one_conv((5, 6), random(3, 2, 2, 3))
    twice = replace(conv.nodes[0], outputs=("d",))
    shared = replace(conv, nodes=(*conv.nodes, twice), outputs=("c", "d"), specs={**conv.specs, "d": conv.specs["c"]})
    square = replace(conv.nodes[0], inputs=("x", "k"))
    return {
        "too large": one_conv((16, 16), random(3, 3, 1, 8)),
        "unknown sizes": one_conv((None, None), random(3, 2, 2, 3)),
        "a shared kernel": shared,
        "a computed kernel": replace(conv, nodes=(Node(("k",), np.square, ("c/kernel",)), square)),
        "half precision": one_conv((5, 6), random(3, 2, 2, 3, dtype="float16")),
        "a weight that is infinite": one_conv((5, 6), np.full((3, 2, 2, 3), np.inf, "float32")),
    }


@pytest.mark.parametrize("reason", declined())
def test_stays_a_convolution(reason: str) -> None:
    before = declined()[reason]
    after = unroll_small(Plan(before))
    assert after.graph.nodes == before.nodes
    assert not after.layouts


def test_limit() -> None:
    before = Plan(one_conv((128,), random(1, 1, 1)))
    assert LIMIT == 128 * 128
    assert unroll_small(before).layouts
    assert not unroll_small(before, limit=LIMIT - 1).layouts


def test_one_window_over_all_cells_has_no_limit() -> None:
    before = one_conv((2, 3), random(2, 3, 4, 5))
    after = unroll_small(Plan(before), limit=0)
    assert after.graph.nodes[0].kernel is kernels.conv_by_matrix
    x = random(2, 2, 3, 4)
    np.testing.assert_allclose(after.run(x)[0], before.run(x)[0], rtol=1e-5, atol=1e-5)
    other = unroll_small(Plan(one_conv((2, 4), random(2, 3, 4, 5))), limit=0)
    assert other.graph.nodes[0].kernel is kernels.conv2d


def test_levels() -> None:
    """Only the highest level adds products by zero."""
    graph = one_conv((5, 6), random(3, 2, 2, 3))
    made = {level: optimize(graph, passes).graph.nodes[0].kernel for level, passes in PIPELINES.items()}
    assert made == {0: kernels.conv2d, 1: kernels.conv2d, 2: kernels.conv_by_matrix}


def test_an_activation_that_follows_is_fused() -> None:
    before = one_conv((5, 6), random(3, 2, 2, 3))
    after = optimize(replace(before, nodes=(*before.nodes, Node(("r",), kernels.relu, ("c",))), outputs=("r",)))
    assert [(node.kernel, node.attrs["activation"]) for node in after.graph.nodes] == [
        (kernels.conv_by_matrix, kernels.relu)
    ]
