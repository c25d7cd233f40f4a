"""Small graphs for the tests of passes: their weights, their nodes, and what they answer."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node, Value
from kerasgen.graph.plan import Plan

X = np.random.RandomState(0).standard_normal((2, 6, 7, 3)).astype("float32")


def weights(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Random weights, the same for the same name and shape; variances are positive."""
    seeds = {name: zlib.crc32(repr((name, shape)).encode()) for name, shape in shapes.items()}
    arrays = {name: np.random.RandomState(seeds[name]).uniform(0.5, 1.5, shape) for name, shape in shapes.items()}
    return {name.replace("__", "/"): array.astype("float32") for name, array in arrays.items()}


def norm_weights(channels: int, layer: str = "norm") -> dict[str, np.ndarray]:
    return weights(**{f"{layer}__{name}": (channels,) for name in ("gamma", "beta", "mean", "variance")})


def norm(output: str, x: str, layer: str = "norm", **attrs: Any) -> Node:
    names = [f"{layer}/{name}" for name in ("gamma", "beta", "mean", "variance")]
    return Node((output,), kernels.batch_norm, (x, *names), {"axis": -1, "epsilon": 1e-3, **attrs}, layer)


def graph(nodes: list[Node], arrays: dict[str, np.ndarray], outputs: tuple[str, ...], **layers: str) -> Graph:
    inputs = (Value("image", (None, 6, 7, 3), "float32"),)
    plain = Graph(inputs, tuple(nodes), outputs, arrays, outputs, layers={k: (v,) for k, v in layers.items()}).check()
    try:
        made = plain.trace(X)
    except ValueError:  # of a test that only looks at it
        return plain
    shapes = {name: (None, *np.shape(value)[1:]) for name, value in made.items() if name not in arrays}
    return replace(plain, specs={name: Value(name, shape, "float32") for name, shape in shapes.items()})


def same_answers(before: Graph | Plan, after: Graph | Plan, tolerance: float = 1e-5) -> None:
    after.check()
    for a, b in zip(before.run(X), after.run(X), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def graph_of(result: Graph | Plan) -> Graph:
    return result.graph if isinstance(result, Plan) else result


def kernels_of(result: Graph | Plan) -> list[Any]:
    return [node.kernel for node in graph_of(result).nodes]


def conv(output: str, x: str = "image", kernel: str = "c/kernel", **attrs: Any) -> Node:
    return Node((output,), kernels.conv2d, (x, kernel), attrs)


def of_sizes(before: Any, **shapes: tuple[int | None, ...]) -> Any:
    """The graph, or the plan, as if these values had other sizes."""
    if isinstance(before, Plan):
        return before.on(of_sizes(before.graph, **shapes))
    changed = {name: replace(before.specs[name], shape=shape) for name, shape in shapes.items()}
    return replace(before, specs={**before.specs, **changed})


BORDER = ((1, 2), (0, 1))
ONES: dict[str, Any] = {"strides": (1, 1), "dilation": (1, 1)}
SAME = {"pad": ((1, 1), (1, 1))}
SQUARE = weights(c__kernel=(3, 3, 3, 3), c__bias=(3,), d__kernel=(1, 1, 3, 3))


def blocked(output: str, x: str = "image", kernel: str = "c/kernel", *others: Any, **attrs: Any) -> Node:
    return Node((output,), kernels.blocked_conv, (x, kernel, *others), {**ONES, **attrs})


def add(output: str, *operands: Any) -> Node:
    return Node((output,), np.add, operands)


SQUARES = {**SQUARE, **weights(e__kernel=(3, 3, 3), w__kernel=(3, 3, 3, 3), t__kernel=(3, 3, 3, 1))}
LAYOUT = {
    "w/kernel": (kernels.winograd_filters, {"m": (2, 2)}),
    "t/kernel": (kernels.winograd_tile, {"m": 4, "count": 2}),
}
READERS = {
    "blocked_conv": blocked("c", "a", pad=BORDER, strides=(2, 1)),
    "winograd_conv2d": Node(("c",), kernels.winograd_conv2d, ("a", "w/kernel"), {"pad": ((1, 2), (1, 2))}),
    "tiled_depthwise_conv2d": Node(("c",), kernels.tiled_depthwise_conv2d, ("a", "e/kernel"), {"pad": BORDER}),
    "winograd_depthwise_conv2d": Node(
        ("c",),
        kernels.winograd_depthwise_conv2d,
        ("a", "t/kernel"),
        {"window": (3, 3), "pad": ((1, 4), (1, 1))},
    ),
}
MAKERS = {
    "pointwise": Node(
        ("a",), kernels.pointwise, ("image", "d/kernel", "c/bias", "image"), {"activation": kernels.relu}
    ),
    "blocked_conv": blocked("a", **SAME),
    "winograd_conv2d": Node(("a",), kernels.winograd_conv2d, ("image", "w/kernel"), READERS["winograd_conv2d"].attrs),
    "tiled_depthwise_conv2d": Node(("a",), kernels.tiled_depthwise_conv2d, ("image", "e/kernel"), SAME),
    "winograd_depthwise_conv2d": Node(
        ("a",),
        kernels.winograd_depthwise_conv2d,
        ("image", "t/kernel"),
        READERS["winograd_depthwise_conv2d"].attrs,
    ),
    "scale_shift": Node(("a",), kernels.scale_shift, ("image", "c/bias", "c/bias")),
}


def framing(nodes: list[Node], outputs: tuple[str, ...] = ("c",), **arrays: np.ndarray) -> Plan:
    """A plan whose weights have the layouts that these kernels want."""
    graph = Graph(
        (Value("image", (None, 6, 7, 3), "float32"),),
        tuple(nodes),
        outputs,
        {**SQUARES, **arrays},
        outputs,
        layers={name: (name,) for node in nodes for name in node.outputs},
    )
    plan = Plan(graph, LAYOUT).check()
    shapes = {name: np.shape(value) for name, value in plan.trace(X).items() if name not in graph.weights}
    specs = {n: Value(n, (None, *shape[1:]), "float32") for n, shape in shapes.items()}
    return plan.on(replace(graph, specs=specs))
