"""Each pass: what it does, what it declines, and that the answers stay."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import X, conv, graph, kernels_of, norm, norm_weights, same_answers, weights

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.plan import Plan
from kerasgen.passes import LEVEL, PIPELINES, on_graph, optimize, passes
from kerasgen.passes.clean.cancel_transposes import cancel_transposes
from kerasgen.passes.clean.drop_unused import drop_unused
from kerasgen.passes.clean.remove_identity import remove_identity
from kerasgen.passes.clean.schedule import schedule
from kerasgen.passes.fold.fold_batch_norm import fold_batch_norm
from kerasgen.passes.fold.fuse_activation import fuse_activation

FOLDABLE = {
    "conv2d": (kernels.conv2d, (3, 3, 3, 4), 4, {}),
    "grouped_conv2d": (kernels.grouped_conv2d, (3, 3, 1, 6), 6, {"groups": 3}),
    "depthwise_conv2d": (kernels.depthwise_conv2d, (3, 3, 3, 2), 6, {}),
    "conv2d_transpose": (kernels.conv2d_transpose, (3, 3, 5, 3), 5, {}),
    "dense": (kernels.dense, (3, 4), 4, {}),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", FOLDABLE)
def test_batch_norm_folds(name: str, bias: bool) -> None:
    kernel, shape, channels, attrs = FOLDABLE[name]
    arrays = {**weights(c__kernel=shape, **({"c__bias": (channels,)} if bias else {})), **norm_weights(channels)}
    inputs = ("image", "c/kernel", "c/bias") if bias else ("image", "c/kernel")
    before = graph([Node(("c",), kernel, inputs, attrs), norm("n", "c")], arrays, ("n",), c="c", norm="n")
    after = fold_batch_norm(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernel]
    assert after.layers == {"norm": ("c",)}  # the convolution's own output is gone
    assert after.nodes[0].inputs == ("image", "c/kernel", "c/bias")


@pytest.mark.parametrize("missing", ["gamma", "beta"])
def test_batch_norm_without_a_parameter_folds(missing: str) -> None:
    arrays = {**weights(c__kernel=(3, 3, 3, 4)), **norm_weights(4)}
    bare = norm("n", "c")
    bare = Node(
        bare.outputs, bare.kernel, tuple(None if i == f"norm/{missing}" else i for i in bare.inputs), bare.attrs
    )
    before = graph([Node(("c",), kernels.conv2d, ("image", "c/kernel")), bare], arrays, ("n",))
    after = fold_batch_norm(before)
    same_answers(before, after)
    assert len(after.nodes) == 1


def declined() -> dict[str, Graph]:
    arrays = {**weights(c__kernel=(3, 3, 3, 4)), **norm_weights(4)}
    return {
        "another reader": graph([conv("c"), norm("n", "c")], arrays, ("n", "c")),
        "an activation between": graph([conv("c", activation=kernels.relu), norm("n", "c")], arrays, ("n",)),
        "another axis": graph([conv("c"), norm("n", "c", axis=2)], arrays, ("n",)),
        "no convolution": graph([Node(("c",), np.tile, ("image",), {"reps": 4}), norm("n", "c")], arrays, ("n",)),
        "computed parameters": graph(
            [
                conv("c"),
                Node(("m",), np.square, ("norm/mean",)),
                Node(("n",), kernels.batch_norm, ("c", None, None, "m", "norm/variance"), {"axis": -1}),
            ],
            arrays,
            ("n",),
        ),
    }


@pytest.mark.parametrize("reason", declined())
def test_batch_norm_stays(reason: str) -> None:
    before = declined()[reason]
    assert fold_batch_norm(before).nodes == before.nodes


def test_a_shared_kernel_is_not_overwritten() -> None:
    arrays = {**weights(c__kernel=(3, 3, 3, 4)), **norm_weights(4)}
    before = graph([conv("a"), norm("n", "a"), conv("b")], arrays, ("n", "b"))
    after = fold_batch_norm(before)
    same_answers(before, after)
    assert np.array_equal(after.weights["c/kernel"], arrays["c/kernel"])
    assert after.nodes[0].inputs[1] == "c/kernel_folded"


def test_two_norms_on_one_kernel() -> None:
    arrays = {**weights(c__kernel=(3, 3, 3, 4)), **norm_weights(4), **norm_weights(4, "other")}
    before = graph([conv("a"), norm("n", "a"), conv("b"), norm("o", "b", "other")], arrays, ("n", "o"))
    after = fold_batch_norm(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.conv2d] * 2


def test_activation_fuses() -> None:
    before = graph(
        [conv("c"), Node(("r",), kernels.relu, ("c",))], weights(c__kernel=(3, 3, 3, 4)), ("r",), c="c", r="r"
    )
    after = fuse_activation(before)
    same_answers(before, after)
    assert [node.attrs for node in after.nodes] == [{"activation": kernels.relu}]
    assert after.layers == {"r": ("c",)}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([conv("c"), Node(("r",), kernels.relu, ("c",))], ("r", "c")),
        ([conv("c"), Node(("r",), kernels.leaky_relu, ("c",), {"negative_slope": 0.3})], ("r",)),
        ([Node(("c",), np.square, ("image",)), Node(("r",), kernels.relu, ("c",))], ("r",)),
        ([Node(("r",), kernels.relu, ("image",))], ("r",)),
        ([conv("c"), Node(("r",), kernels.glu, ("c",))], ("r",)),
    ],
    ids=["another reader", "settings of its own", "a kernel that takes none", "an input", "another shape"],
)
def test_activation_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(nodes, weights(c__kernel=(3, 3, 3, 4)), outputs)
    assert fuse_activation(before).nodes == before.nodes


def test_only_the_first_of_two_activations_fuses() -> None:
    nodes = [conv("c"), Node(("r",), kernels.relu, ("c",)), Node(("s",), kernels.sigmoid, ("r",))]
    before = graph(nodes, weights(c__kernel=(3, 3, 3, 4)), ("s",))
    after = fuse_activation(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.conv2d, kernels.sigmoid]


@pytest.mark.parametrize(
    "node",
    [
        Node(("i",), kernels.identity, ("image",)),
        Node(("i",), kernels.pad, ("image",), {"pads": ((0, 0), (0, 0))}),
        Node(("i",), kernels.crop, ("image",), {"crops": ((0, 0), (0, 0))}),
        Node(("i",), kernels.concatenate, ("image",), {"axis": -1}),
        Node(("i",), np.transpose, ("image",), {"axes": (0, 1, 2, 3)}),
    ],
    ids=lambda node: node.kernel.__name__,
)
def test_identity_goes(node: Node) -> None:
    before = graph([node, Node(("r",), kernels.relu, ("i",))], {}, ("r", "i"), layer="i")
    after = remove_identity(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.relu]
    assert after.outputs == ("r", "image")
    assert after.layers == {"layer": ("image",)}


@pytest.mark.parametrize(
    "node",
    [
        Node(("i",), kernels.pad, ("image",), {"pads": ((0, 1), (0, 0))}),
        Node(("i",), np.transpose, ("image",), {"axes": (0, 2, 1, 3)}),
        Node(("i",), np.transpose, ("image",), {"axes": None}),
        Node(("i",), kernels.concatenate, ("image", "image"), {"axis": -1}),
    ],
    ids=lambda node: str(node.attrs),
)
def test_what_is_no_identity_stays(node: Node) -> None:
    before = graph([node], {}, ("i",))
    assert remove_identity(before).nodes == before.nodes


def test_layouts_cancel() -> None:
    nodes = [
        Node(("a",), kernels.channels_first, ("image",)),
        Node(("b",), kernels.channels_last, ("a",)),
        Node(("c",), kernels.relu, ("b",)),
        Node(("d",), kernels.channels_first, ("c",)),
    ]
    before = graph(nodes, {}, ("d",))
    after = optimize(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.relu, kernels.channels_first]


def test_equal_layouts_do_not_cancel() -> None:
    nodes = [Node(("a",), kernels.channels_first, ("image",)), Node(("b",), kernels.channels_first, ("a",))]
    before = graph(nodes, {}, ("b",))
    assert cancel_transposes(before).nodes == before.nodes


def test_what_nothing_reads_goes() -> None:
    arrays = weights(c__kernel=(3, 3, 3, 4), d__kernel=(3, 3, 3, 4))
    before = graph([conv("dead", kernel="d/kernel"), conv("c")], arrays, ("c",), dead="dead", c="c")
    after = drop_unused(before)
    same_answers(before, after)
    assert [node.output for node in after.nodes] == ["c"]
    assert set(after.weights) == {"c/kernel"}
    assert after.layers == {"c": ("c",)}


def test_the_layout_of_a_weight_goes_with_it() -> None:
    arrays = weights(c__kernel=(3, 3, 3, 4), d__kernel=(3, 3, 3, 4))
    before = graph([conv("dead", kernel="d/kernel"), conv("c")], arrays, ("c",))
    layout = (kernels.winograd_filters, {"m": (2, 2)})
    after = on_graph(drop_unused)(Plan(before, {"c/kernel": layout, "d/kernel": layout}))
    assert after.layouts == {"c/kernel": layout}


def test_schedule_keeps_branches_together() -> None:
    names = ["a1", "b1", "a2", "b2"]
    reads = ["image", "image", "a1", "b1"]
    nodes = [Node((name,), kernels.relu, (read,)) for name, read in zip(names, reads, strict=True)]
    before = graph([*nodes, Node(("sum",), np.add, ("a2", "b2"))], {}, ("sum",))
    after = schedule(before)
    same_answers(before, after, 0.0)
    assert [node.output for node in after.nodes] == ["a1", "a2", "b1", "b2", "sum"]


def test_schedule_survives_depth() -> None:
    nodes = [Node((f"v{i + 1}",), kernels.identity, (f"v{i}" if i else "image",)) for i in range(3000)]
    assert len(schedule(graph(nodes, {}, ("v3000",))).nodes) == 3000


def test_every_pass_leaves_its_argument_alone() -> None:
    arrays = {**weights(c__kernel=(3, 3, 3, 4)), **norm_weights(4)}
    nodes = [conv("c"), norm("n", "c"), Node(("r",), kernels.relu, ("n",)), Node(("i",), kernels.identity, ("r",))]
    before = graph(nodes, arrays, ("i",), conv="c")
    copies = {name: array.copy() for name, array in arrays.items()}
    expected = before.run(X)
    for step in passes(PIPELINES[LEVEL]):
        step(Plan(before))
    assert all(np.array_equal(before.weights[name], copy) for name, copy in copies.items())
    assert np.array_equal(before.run(X), expected)


@pytest.mark.parametrize(
    ("nodes", "outputs", "message"),
    [
        ([Node(("a",), kernels.relu, ("b",))], ("a",), "too early"),
        ([Node(("a",), kernels.relu, ("image",))] * 2, ("a",), "defined twice"),
        ([Node(("class",), kernels.relu, ("image",))], ("class",), "no identifier"),
        ([], ("a",), "nothing computes"),
    ],
)
def test_check_finds(nodes: list[Node], outputs: tuple[str, ...], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        graph(nodes, {}, outputs)
