"""What modules do to use little memory, and that it never shows: buffers that arrays share, large batches in parts."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import black
import numpy as np
import pytest
from graphs import (
    MAKERS,
    SAME,
    X,
    add,
    blocked,
    framing,
    of_sizes,
    same_answers,
)
from hypothesis import given
from hypothesis import strategies as st

from kerasgen import kernels
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.graph.ir import Node, Value
from kerasgen.graph.plan import Plan
from kerasgen.passes import BUFFERS, EPILOGUES, FINISH, Phase, plan_memory, run, split_batch
from kerasgen.verification.compare import flat


def loaded(plan: Plan) -> ModuleType:
    file = io.BytesIO()
    emit(plan).write(file)
    return load_module(file.getvalue())


# --- plan_memory -----------------------------------------------------------------------------------------------------


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays get buffers, too."""
    monkeypatch.setattr(plan_memory, "__kwdefaults__", {"large": 0})


def made(kernel: str, output: str, x: str, *others: Any) -> Node:
    """One of the makers above, of another value."""
    node = MAKERS[kernel]
    return replace(node, outputs=(output,), inputs=(x, *node.inputs[1:], *others))


def flipped(output: str, x: str) -> Node:
    """A view that has the same shape."""
    return Node((output,), kernels.get_item, (x,), {"index": (slice(None), slice(None, None, -1))})


@pytest.mark.usefixtures("every_size")
def test_two_buffers_serve_a_chain() -> None:
    names = ["image", "v1", "v2", "v3", "v4", "v5"]
    before = framing([made("blocked_conv", b, a) for a, b in pairwise(names)], ("v5",))
    after = plan_memory(before)
    assert len(after.buffers) == 2
    assert list(after.out) == names[1:-1]  # the result has none
    assert all(one != other for one, other in pairwise(after.out.values()))


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize(
    ("nodes", "outputs", "with_buffers"),
    [
        ([made("pointwise", "a", "image")], ("a",), set()),
        ([made("pointwise", "a", "image"), flipped("v", "a")], ("v",), set()),
        ([made("pointwise", "a", "image"), flipped("v", "a"), flipped("w", "v")], ("w",), set()),
        ([made("pointwise", "a", "image"), flipped("v", "a"), add("s", "v", "v")], ("s",), {"a"}),
        ([Node(("a",), kernels.relu, ("image",)), add("s", "a", "a")], ("s",), set()),
    ],
    ids=["a result", "its view", "a view of its view", "what a sum reads", "a kernel that takes none"],
)
def test_what_has_a_buffer(nodes: list[Node], outputs: tuple[str, ...], with_buffers: set[str]) -> None:
    assert set(plan_memory(framing(nodes, outputs)).out) == with_buffers


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("kernel", [np.add, np.multiply, np.subtract])
@pytest.mark.parametrize(
    ("operands", "others", "outputs", "place"),
    [
        (("a", "image"), [], ("r",), "a"),
        (("image", "a"), [], ("r",), "a"),
        (("a", "a"), [], ("r",), "a"),
        (("a", "p"), [], ("r",), "a"),
        (("a", "image"), [], ("r", "s"), ""),
        (("a", "image"), [add("t", "a", "s")], ("r", "t"), ""),
        (("image", "image"), [], ("r",), ""),
        (("v", "image"), [], ("r",), ""),
        (("p", "image"), [], ("r",), ""),
    ],
    ids=[
        *("the left one", "the right one", "both", "the larger one"),
        *("a result", "read again", "an input", "a view", "a smaller one"),
    ],
)
def test_a_sum_takes_the_place_of_what_it_adds(
    kernel: Any, operands: tuple[str, str], others: list[Node], outputs: tuple[str, ...], place: str
) -> None:
    pooled = Node(("p",), kernels.global_max_pool, ("a",), {"keepdims": True})
    makers = [made("pointwise", "a", "image"), flipped("v", "a"), pooled]
    makers = [node for node in makers if node.output in (*operands, "a")]
    nodes = [*makers, Node(("s",), kernel, operands), *others, Node(("r",), kernels.relu, ("s",))]
    before = framing(nodes, outputs)
    after = plan_memory(before)
    same_answers(before, after)
    assert after.out.get("s", "") == place
    for result, expected in zip(flat(loaded(after).predict(X)), before.run(X), strict=True):
        np.testing.assert_array_equal(result, expected)


def test_a_sum_of_two_forms_has_a_place_of_its_own() -> None:
    nodes = [made("pointwise", "a", "image"), add("s", "a", "image"), Node(("r",), kernels.relu, ("s",))]
    before = framing(nodes, ("r",))
    specs = before.graph.specs
    wide = before.on(replace(before.graph, specs={**specs, "s": replace(specs["s"], dtype="float64")}))
    assert set(plan_memory(before, large=0).out) == {"a", "s"}
    assert set(plan_memory(wide, large=0).out) == {"a"}


def test_what_is_small_has_no_buffer() -> None:
    before = framing([Node(("a",), kernels.concatenate, ("image",)), add("s", "a", "a")], ("s",))
    size = X[0].nbytes
    for limit, sized, buffers in (
        (size, before, 1),
        (size + 1, before, 0),
        (size + 1, of_sizes(before, a=(None, None, 7, 3)), 1),  # it may be large
        (1, before.on(replace(before.graph, specs={})), 0),
    ):
        assert len(plan_memory(sized, large=limit).buffers) == buffers


def test_what_is_made_by_blocks_has_a_buffer_whatever_its_size() -> None:
    """A team of processes has nothing else in common."""
    before = framing([made("pointwise", "a", "image"), made("winograd_conv2d", "b", "a"), made("pointwise", "c", "b")])
    assert set(plan_memory(before).out) == {"a", "b"}


@pytest.mark.usefixtures("every_size")
def test_buffers_have_names_of_their_own() -> None:
    def b(x):  # type: ignore[no-untyped-def] # a kernel of the user's
        return x + 1

    nodes = [made("pointwise", "v", "image"), Node(("a",), kernels.relu, ("v",)), Node(("w",), b, ("a",))]
    after = plan_memory(framing(nodes, ("w",)))
    assert not {"a", "b"} & set(after.buffers)
    assert len(after.buffers) == 1


@st.composite
def plans(draw: Any) -> Plan:
    """Layers that keep the shape, views among them, which read any values that were made before."""
    nodes: list[Node] = []
    values = ["image"]
    for index in range(draw(st.integers(2, 9))):
        kind = draw(st.sampled_from([*MAKERS, "residual", "view", "identity", "relu", "add"]))
        x, y = (draw(st.sampled_from(values[-4:])) for _ in range(2))
        name = f"v{index}"
        nodes.append(
            {
                **{maker: made(maker, name, x) for maker in MAKERS},
                "pointwise": Node((name,), kernels.pointwise, (x, "d/kernel")),
                "residual": blocked(name, x, "c/kernel", "c/bias", y, **SAME),
                "view": flipped(name, x),
                "identity": Node((name,), kernels.identity, (x,)),
                "relu": Node((name,), kernels.relu, (x,)),
                "add": add(name, x, y),
            }[kind]
        )
        values.append(name)
    others = draw(st.lists(st.sampled_from(values[1:]), max_size=2, unique=True))
    outputs = tuple(dict.fromkeys([values[-1], *others]))
    return framing(nodes, outputs)


@given(before=plans(), pipeline=st.sampled_from([(Phase("plan", (plan_memory,)),), (EPILOGUES, FINISH, BUFFERS)]))
def test_shared_memory_never_shows(before: Plan, pipeline: Any) -> None:
    """In the module, call after call, with results that are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_memory, "__kwdefaults__", {"large": 0})
        patch.setattr(black, "format_str", lambda text, mode: text)  # which takes most of the time
        after = run(before, pipeline)
        module = loaded(replace(after, max_batch=None))
    calls = []
    for x in (X, 2 - X, X[::-1] ** 2):
        got = module.predict(x)
        results = [got] if isinstance(got, np.ndarray) else list(got)
        for buffer in module.LOCAL.buffers if after.buffers else ():
            assert not any(np.shares_memory(buffer.memory, result) for result in results)
        calls.append((results, before.run(x)))
    for results, expected in calls:
        for a, b in zip(results, expected, strict=True):
            scale = np.abs(b).max()
            np.testing.assert_allclose(a / scale, b / scale, atol=1e-4)


# --- split_batch -----------------------------------------------------------------------------------------------------


def split(nodes: list[Node], outputs: tuple[str, ...] = ("s",), **arrays: np.ndarray) -> Plan:
    """The plan with buffers, in runs of as many samples as suit it, and weights beside those of the makers."""
    plain = framing(nodes, outputs, **arrays)
    return split_batch(plan_memory(plain))


LARGE_ONE = made("pointwise", "a", "image")


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize("outputs", [("s",), ("s", "m")], ids=["one", "two"])
def test_a_batch_in_parts(outputs: tuple[str, ...], keyed: bool) -> None:
    nodes = [LARGE_ONE, add("s", "a", "image"), Node(("m",), kernels.global_max_pool, ("s",))]
    whole = split(nodes, outputs)
    whole = whole.on(replace(whole.graph, keyed=keyed))
    assert whole.max_batch is not None
    module = loaded(replace(whole, max_batch=2))
    x = np.concatenate([X, -X, 2 * X, X * X, X])[:9]
    for batch in (x, x[:2], x[:1], x[:0]):
        got = module.predict(batch)
        assert type(got) is (dict if keyed else tuple if len(outputs) > 1 else np.ndarray)
        results = list(got.values()) if keyed else list(got) if len(outputs) > 1 else [got]
        if keyed:
            assert tuple(got) == outputs
        for result, expected in zip(results, whole.run(batch), strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("every_size")
def test_a_run_takes_what_suits_the_largest_array(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_batch, "__kwdefaults__", {"run": 5 * X[0].nbytes})
    nodes = [LARGE_ONE, Node(("m",), kernels.global_max_pool, ("a",))]
    assert split(nodes, ("m",)).max_batch == 5
    wide = [LARGE_ONE, *(Node((b,), kernels.concatenate, (a, a)) for a, b in pairwise(["a", "b", "c", "d"]))]
    assert split([*wide, Node(("m",), kernels.global_max_pool, ("d",))], ("m",)).max_batch == 1  # it is never 0


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("size", [6, None])
def test_threads_share_a_batch(size: int | None) -> None:
    """Where sizes are open, only if threads share it."""
    plan = plan_memory(framing([LARGE_ONE, add("s", "a", "a")], ("s",)))
    image = replace(plan.graph.inputs[0], shape=(None, size, 7, 3))
    before = replace(plan.on(replace(plan.graph, inputs=(image,))), max_elements=None if size else 1000)
    after = split_batch(replace(before, shares_batch=9), run=2 * X[0].nbytes)
    assert (after.max_batch, after.max_elements, after.shares_batch) == (2 if size else None, before.max_elements, 9)
    after = split_batch(before, run=2 * X[0].nbytes)
    assert (after.max_batch, after.max_elements, after.shares_batch) == (2 if size else None, None, None)


@pytest.mark.usefixtures("every_size")
def test_a_run_takes_whole_samples_of_steps() -> None:
    """What is merged has a row for each step, all of which are of one sample."""
    nodes = [
        Node(("m",), kernels.merge_steps, ("image",)),
        Node(("a",), kernels.pointwise, ("m", "d/kernel")),
        add("b", "a", "m"),
        Node(("s",), kernels.split_steps, ("b", "image")),
        Node(("t",), np.negative, ("s",)),
    ]
    graph = framing(nodes, ("t",)).graph
    specs = {name: replace(spec, rows=6 if name in "mab" else 1) for name, spec in graph.specs.items()}
    before = plan_memory(Plan(replace(graph, specs=specs)))
    assert split_batch(before, run=5 * X[0].nbytes).max_batch == 5
    x = np.concatenate([X, -X, 2 * X, X * X, X])[:9]
    got = loaded(replace(before, max_batch=2)).predict(x)
    np.testing.assert_allclose(got, before.run(x)[0], rtol=1e-5, atol=1e-5)
    other = replace(before, graph=replace(graph, specs={**specs, "a": replace(specs["a"], rows=3)}))
    assert split_batch(other) == other


SPLITS = {
    "a weight as long as a sample": Node(("s",), np.multiply, ("a", "plane")),
    "a weight of one row": Node(("s",), np.add, ("a", "row")),
    "moved axes": Node(("s",), np.transpose, ("a",), {"axes": (0, 2, 1, 3)}),
    "moved cells": Node(("s",), kernels.channels_first, ("a",)),
    "other axes": Node(("s",), kernels.reshape, ("a",), {"shape": (3, -1)}),
    "a product of each sample": Node(("s",), np.matmul, ("a", "matrix")),
    "along the channels": Node(("s",), kernels.softmax, ("a",), {"axis": -1}),
}
STAYS = {
    "an operation that is not known": Node(("s",), np.cumsum, ("a",), {"axis": 0}),
    "other axes and batch": Node(("s",), kernels.reshape_all, ("a",), {"shape": (-1, 7, 3)}),
    "rows of a batch": Node(("s",), np.take, ("a", "picks"), {"axis": 0}),
    "along the batch": Node(("s",), kernels.softmax, ("a",), {"axis": 0}),
    "along the batch, counted from the end": Node(("s",), kernels.concatenate, ("a", "a"), {"axis": -4}),
    "a weight as long as the batch": Node(("s",), np.add, ("a", "two")),
    "a kernel that is an input": Node(("s",), kernels.dense, ("a", "image")),
    "weights alone": Node(("s",), np.square, ("row",)),
}
ARRAYS = {"picks": np.arange(2), "plane": X[0], "row": X[:1], "two": X, "matrix": np.eye(3, dtype="float32")}


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("name", SPLITS)
def test_what_keeps_samples_apart_splits(name: str) -> None:
    assert split([LARGE_ONE, SPLITS[name], Node(("m",), np.negative, ("s",))], ("m",), **ARRAYS).max_batch


@pytest.mark.usefixtures("every_size")
@pytest.mark.parametrize("name", STAYS)
def test_what_mixes_samples_does_not_split(name: str) -> None:
    arrays = dict(ARRAYS)
    node = STAYS[name]
    if node.kernel is kernels.dense:  # its result depends on the shapes that an input happens to have
        plain = framing([LARGE_ONE, add("s", "a", "a")], ("s",), **arrays)
        before = plan_memory(plain.on(replace(plain.graph, nodes=(LARGE_ONE, node))))
    else:
        before = plan_memory(
            framing([LARGE_ONE, add("b", "a", "a"), node, Node(("t",), np.negative, ("s",))], ("b", "t"), **arrays)
        )
    assert before.buffers
    assert split_batch(before) == before


@pytest.mark.usefixtures("every_size")
def test_a_product_of_samples_does_not_split() -> None:
    nodes = [LARGE_ONE, Node(("f",), kernels.flatten, ("a",)), Node(("s",), np.matmul, ("f", "f"))]
    before = plan_memory(framing([*nodes[:2], Node(("s",), np.negative, ("f",))], ("s",)))
    assert split_batch(before).max_batch
    before = before.on(replace(before.graph, nodes=(*before.graph.nodes[:2], nodes[2])))
    assert split_batch(before) == before


@pytest.mark.usefixtures("every_size")
def test_models_that_do_not_split() -> None:
    before = plan_memory(framing([LARGE_ONE, add("s", "a", "a")], ("s",)))
    assert split_batch(before).max_batch
    memory = ((Value("state", (None, 6, 7, 3), "float32"), "s"),)
    fixed = Value("pair", (2, 3), "float32")
    graph = before.graph
    for other in (
        before.on(replace(graph, memory=memory)),
        before.on(replace(graph, inputs=(*graph.inputs, fixed), outputs=("s", "pair"))),
        before.on(replace(graph, outputs=("s", "c/bias"))),
        replace(before, buffers=()),  # small models gain nothing
        of_sizes(before, image=(2, 6, 7, 3), a=(2, 6, 7, 3), s=(2, 6, 7, 3)),
    ):
        assert split_batch(other) == other
