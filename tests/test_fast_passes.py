"""The passes that make modules fast: their algebra, what each declines, and that shared memory never shows."""

from __future__ import annotations

import io
import re
import sys
from dataclasses import replace
from itertools import pairwise
from types import ModuleType
from typing import Any

import black
import numpy as np
import pytest
from graphs import X, conv, graph, kernels_of, same_answers, weights
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from kerasgen import kernels
from kerasgen.emit import emit
from kerasgen.ir import Graph, Node, Value
from kerasgen.parity import load_module
from kerasgen.passes import PLANNING, add_borders, optimize, plan_memory
from kerasgen.passes.absorb_pads import absorb_pads
from kerasgen.passes.choose_kernels import choose_exact_kernels, choose_kernels
from kerasgen.passes.fuse_residual import fuse_residual

BORDER = ((1, 2), (0, 1))
ONES: dict[str, Any] = {"strides": (1, 1), "dilation": (1, 1)}
KERNEL = weights(c__kernel=(3, 3, 3, 4))


def pad(output: str = "p", x: str = "image", **attrs: Any) -> Node:
    return Node((output,), kernels.pad, (x,), {"pads": BORDER, **attrs})


def blocked(output: str, x: str = "image", kernel: str = "c/kernel", *others: Any, **attrs: Any) -> Node:
    return Node((output,), kernels.blocked_conv, (x, kernel, *others), {**ONES, **attrs})


def of_sizes(before: Graph, **shapes: tuple[int | None, ...]) -> Graph:
    """The graph as if these values had other sizes."""
    changed = {name: replace(before.specs[name], shape=shape) for name, shape in shapes.items()}
    return replace(before, specs={**before.specs, **changed})


def loaded(graph: Graph) -> ModuleType:
    file = io.BytesIO()
    emit(graph).write(file)
    return load_module(file.getvalue())


# --- absorb_pads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "shape", "attrs"),
    [
        (kernels.conv2d, (3, 3, 3, 4), {"strides": (2, 1)}),
        (kernels.grouped_conv2d, (3, 3, 1, 6), {"groups": 3}),
        (kernels.depthwise_conv2d, (3, 2, 3, 2), {"dilation": (2, 1)}),
    ],
    ids=lambda item: getattr(item, "__name__", ""),
)
def test_a_convolution_absorbs_a_pad(kernel: Any, shape: tuple[int, ...], attrs: dict[str, Any]) -> None:
    nodes = [pad(), Node(("c",), kernel, ("p", "c/kernel"), {**attrs, "pad": None})]
    before = graph(nodes, weights(c__kernel=shape), ("c",), p="p", c="c")
    after = absorb_pads(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernel]
    assert after.layers == {"c": ("c",)}


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([pad(), conv("c", "p", pad=None)], ("c", "p")),
        ([pad(value=1.0), conv("c", "p", pad=None)], ("c",)),
        ([pad(), conv("c", "p", pad=((0, 0), (0, 1)))], ("c",)),
        ([pad(), conv("c", "p", pad="same")], ("c",)),
        ([pad(), Node(("c",), kernels.conv2d_transpose, ("p", "c/kernel"), {"crop": None})], ("c",)),
        ([pad(), Node(("c",), kernels.max_pool, ("p",), {"size": (2, 2), "strides": (1, 1), "pad": None})], ("c",)),
    ],
    ids=["another reader", "no zeros", "a pad of its own", "same", "transposed", "no convolution"],
)
def test_a_pad_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    transposed = nodes[1].kernel is kernels.conv2d_transpose
    before = graph(nodes, weights(c__kernel=(3, 3, 4, 3)) if transposed else KERNEL, outputs)
    assert absorb_pads(before).nodes == before.nodes


# --- choose_kernels --------------------------------------------------------------------------------------------------

EVERY = {4: (6, 3), 2: (4, 3)}  # Winograd for small maps, too
CHOSEN = {
    "pointwise": (kernels.conv2d, (1, 1, 3, 4), {}, kernels.pointwise),
    "dense": (kernels.dense, (3, 4), {}, kernels.pointwise),
    "m = 4": (kernels.conv2d, (3, 3, 3, 4), {"pad": ((1, 1), (1, 1))}, kernels.winograd_conv2d),
    "m = 2": (kernels.conv2d, (3, 3, 3, 4), {"pad": None}, kernels.winograd_conv2d),
    "another window": (kernels.conv2d, (3, 2, 3, 4), {"pad": "same"}, kernels.blocked_conv),
    "strided": (kernels.conv2d, (3, 3, 3, 4), {"strides": (2, 2), "pad": ((0, 1), (1, 1))}, kernels.blocked_conv),
    "1 x 1, strided": (kernels.conv2d, (1, 1, 3, 4), {"strides": (2, 2)}, kernels.blocked_conv),
    "dilated": (kernels.conv2d, (3, 3, 3, 4), {"dilation": (2, 1)}, kernels.blocked_conv),
    "few channels": (kernels.conv2d, (3, 3, 3, 2), {}, kernels.blocked_conv),
    "depthwise": (kernels.depthwise_conv2d, (3, 3, 3, 1), {"pad": "same"}, kernels.tiled_depthwise_conv2d),
    "depthwise, strided": (kernels.depthwise_conv2d, (3, 3, 3, 1), {"strides": (2, 2)}, kernels.tiled_depthwise_conv2d),
    "as many groups as channels": (
        kernels.grouped_conv2d,
        (3, 3, 1, 3),
        {"groups": 3, "dilation": (1, 2)},
        kernels.tiled_depthwise_conv2d,
    ),
}


@pytest.mark.parametrize("activation", [None, kernels.relu], ids=["linear", "relu"])
@pytest.mark.parametrize("name", CHOSEN)
def test_kernels_are_chosen(name: str, activation: Any) -> None:
    kernel, shape, attrs, fast = CHOSEN[name]
    arrays = weights(c__kernel=shape, c__bias=(shape[-1] if shape[-1] > 1 else 3,))
    node = Node(("c",), kernel, ("image", "c/kernel", "c/bias"), {**attrs, "activation": activation})
    before = graph([node], arrays, ("c",), layer="c")
    after = choose_kernels(before, small=0, winograd=EVERY)
    same_answers(before, after, 1e-4 if name == "m = 4" else 1e-5)
    assert kernels_of(after) == [fast]
    assert after.layers == before.layers
    exact = choose_kernels(before, small=0, winograd={})
    same_answers(before, exact)
    assert kernels_of(exact) == [kernels.blocked_conv if fast is kernels.winograd_conv2d else fast]


@pytest.mark.parametrize("name", CHOSEN)
def test_small_layers_stay(name: str) -> None:
    kernel, shape, attrs, _ = CHOSEN[name]
    before = graph([Node(("c",), kernel, ("image", "c/kernel"), attrs)], weights(c__kernel=shape), ("c",))
    for choose in (choose_kernels, choose_exact_kernels):
        assert choose(before) is not before
        assert choose(before) == before


def choose_none(before: Graph) -> None:
    assert choose_kernels(before, small=0, winograd=EVERY) == before


@pytest.mark.parametrize("sizes", [{"image": (None, None, 7, 3)}, {"c": (None, 4, None, 4)}], ids=["input", "result"])
def test_unknown_sizes_stay(sizes: dict[str, Any]) -> None:
    choose_none(of_sizes(graph([conv("c")], KERNEL, ("c",)), **sizes))


def test_what_no_fast_kernel_can_do_stays() -> None:
    arrays = weights(c__kernel=(3, 3, 3, 2), g__kernel=(3, 3, 2, 6), d__kernel=(6, 4))
    nodes = [
        Node(("c",), kernels.depthwise_conv2d, ("image", "c/kernel")),
        Node(("g",), kernels.grouped_conv2d, ("c", "g/kernel"), {"groups": 3}),
        Node(("m",), np.mean, ("g",), {"axis": (1, 2)}),
        Node(("d",), kernels.dense, ("m", "d/kernel")),
    ]
    choose_none(graph(nodes, arrays, ("d",)))


def test_a_computed_kernel_stays() -> None:
    choose_none(graph([Node(("k",), np.square, ("c/kernel",)), conv("c", kernel="k")], KERNEL, ("c",)))


def test_a_kernel_that_two_layers_read_keeps_its_layout() -> None:
    before = graph([conv("a"), conv("b", pad=((1, 1), (1, 1)))], KERNEL, ("a", "b"))
    choose_none(before)
    after = choose_kernels(before, small=0, winograd={})  # these need no layout
    same_answers(before, after)
    assert kernels_of(after) == [kernels.blocked_conv] * 2


# --- fuse_residual ---------------------------------------------------------------------------------------------------

SQUARE = weights(c__kernel=(3, 3, 3, 3), c__bias=(3,), d__kernel=(1, 1, 3, 3))
SAME = {"pad": ((1, 1), (1, 1))}


def add(output: str, *operands: Any) -> Node:
    return Node((output,), np.add, operands)


@pytest.mark.parametrize("bias", [(), ("c/bias",)], ids=["no bias", "bias"])
@pytest.mark.parametrize("operands", [("c", "image"), ("image", "c")], ids=str)
@pytest.mark.parametrize("kernel", [kernels.pointwise, kernels.blocked_conv, kernels.winograd_conv2d])
def test_a_residual_fuses(kernel: Any, operands: tuple[str, str], bias: tuple[str, ...]) -> None:
    arrays, layouts, attrs = SQUARE, {}, {**ONES, **SAME}
    if kernel is kernels.pointwise:
        arrays, attrs = {**SQUARE, "c/kernel": SQUARE["d/kernel"]}, {}
    if kernel is kernels.winograd_conv2d:
        layouts, attrs = {"c/kernel": (kernels.winograd_filters, {"m": 2})}, {"size": (6, 7), "pad": ((1, 1), (1, 2))}
    node = Node(("c",), kernel, ("image", "c/kernel", *bias), attrs)
    plain = Graph(
        (Value("image", (None, 6, 7, 3), "float32"),),
        (node, add("s", *operands)),
        ("s",),
        arrays,
        layouts=layouts,
        layers={"c": ("c",), "s": ("s",)},
    )
    before = replace(plain, specs={name: Value(name, (None, 6, 7, 3), "float32") for name in ("image", "c", "s")})
    after = fuse_residual(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernel]
    assert after.nodes[0].inputs == ("image", "c/kernel", *(bias or (None,)), "image")
    assert after.layers == {"s": ("c",)}


def test_the_later_convolution_adds() -> None:
    nodes = [blocked("a", **SAME), Node(("b",), kernels.pointwise, ("image", "d/kernel")), add("s", "b", "a")]
    before = graph(nodes, SQUARE, ("s",))
    after = fuse_residual(before)
    same_answers(before, after)
    assert kernels_of(after) == [kernels.blocked_conv, kernels.pointwise]
    assert after.nodes[1].inputs == ("image", "d/kernel", None, "a")


def test_a_chain_of_residuals() -> None:
    """What is added is made before, in whatever order the layers came."""
    nodes = [
        blocked("a", **SAME),
        blocked("b", "a", **SAME),
        Node(("r",), kernels.relu, ("image",)),
        add("s", "b", "r"),
        Node(("c",), kernels.pointwise, ("s", "d/kernel")),
        add("t", "s", "c"),
        add("u", "t", "image"),
    ]
    before = graph(nodes, SQUARE, ("u",))
    after = fuse_residual(before)
    same_answers(before, after)
    assert [node.output for node in after.nodes] == ["a", "r", "b", "c", "u"]


WIDE = Node(("w",), kernels.cast, ("image",), {"dtype": "float64"})
ROWS = Node(("m",), kernels.get_item, ("image",), {"index": (slice(None), slice(0, 1))})


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([blocked("c", **SAME), add("s", "c", "image")], ("s", "c")),
        ([blocked("c", **SAME, activation=kernels.relu), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), ROWS, add("s", "c", "m")], ("s",)),
        ([blocked("c", "image", "c/kernel", None, "image", **SAME), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), add("s", "c", "c")], ("s",)),
        ([blocked("c", **SAME), add("s", "c", 1.0)], ("s",)),
        ([blocked("c", **SAME), add("s", "c", "c/bias")], ("s",)),
        ([conv("c", **SAME), add("s", "c", "image")], ("s",)),
        ([blocked("c", **SAME), Node(("s",), np.subtract, ("c", "image"))], ("s",)),
    ],
    ids=[
        "another reader",
        "an activation",
        "another shape",
        "a residual already",
        "itself",
        "a number",
        "a weight",
        "a kernel that takes none",
        "no sum",
    ],
)
def test_a_sum_stays(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    before = graph(nodes, SQUARE, outputs)
    assert fuse_residual(before).nodes == before.nodes


def test_a_wider_sum_stays() -> None:
    before = graph([blocked("c", **SAME), WIDE, add("s", "c", "w")], SQUARE, ("s",))
    wide = {name: replace(before.specs[name], dtype="float64") for name in ("w", "s")}
    before = replace(before, specs={**before.specs, **wide})
    assert fuse_residual(before).nodes == before.nodes
    assert fuse_residual(before).run(X)[0].dtype == "float64"


# --- add_borders -----------------------------------------------------------------------------------------------------

SQUARES = {**SQUARE, **weights(e__kernel=(3, 3, 3), w__kernel=(3, 3, 3, 3))}
LAYOUT = {"w/kernel": (kernels.winograd_filters, {"m": 2})}
READERS = {
    "blocked_conv": blocked("c", "a", pad=BORDER, strides=(2, 1)),
    "winograd_conv2d": Node(
        ("c",), kernels.winograd_conv2d, ("a", "w/kernel"), {"size": (6, 7), "pad": ((1, 1), (1, 2))}
    ),
    "tiled_depthwise_conv2d": Node(("c",), kernels.tiled_depthwise_conv2d, ("a", "e/kernel"), {"pad": BORDER}),
}
MAKERS = {
    "pointwise": Node(
        ("a",), kernels.pointwise, ("image", "d/kernel", "c/bias", "image"), {"activation": kernels.relu}
    ),
    "blocked_conv": blocked("a", **SAME),
    "winograd_conv2d": Node(("a",), kernels.winograd_conv2d, ("image", "w/kernel"), READERS["winograd_conv2d"].attrs),
    "tiled_depthwise_conv2d": Node(("a",), kernels.tiled_depthwise_conv2d, ("image", "e/kernel"), SAME),
    "scale_shift": Node(("a",), kernels.scale_shift, ("image", "c/bias", "c/bias")),
}


def framing(nodes: list[Node], outputs: tuple[str, ...] = ("c",)) -> Graph:
    plain = Graph(
        (Value("image", (None, 6, 7, 3), "float32"),),
        tuple(nodes),
        outputs,
        SQUARES,
        layouts=LAYOUT,
        layers={name: (name,) for node in nodes for name in node.outputs},
    )
    shapes = {name: np.shape(value) for name, value in plain.check().trace(X).items() if name not in SQUARES}
    return replace(plain, specs={n: Value(n, (None, *shape[1:]), "float32") for n, shape in shapes.items()})


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("maker", MAKERS)
def test_a_maker_adds_the_border(maker: str, reader: str) -> None:
    before = framing([MAKERS[maker], READERS[reader]])
    after = add_borders(before)
    same_answers(before, after)
    assert after.nodes[0].attrs["border"] == before.nodes[1].attrs["pad"]
    assert after.nodes[1].attrs["pad"] is None
    assert after.layers == {"c": ("c",)}  # what `a` was has zeros around it


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ([MAKERS["pointwise"], READERS["blocked_conv"]], ("c", "a")),
        ([MAKERS["pointwise"], READERS["blocked_conv"], add("s", "a", "a")], ("c", "s")),
        ([READERS["blocked_conv"]], ("c",)),
        ([Node(("a",), kernels.relu, ("image",)), READERS["blocked_conv"]], ("c",)),
        ([MAKERS["pointwise"], conv("c", "a", pad=BORDER)], ("c",)),
        ([MAKERS["pointwise"], blocked("c", "a", pad="same")], ("c",)),
        ([MAKERS["pointwise"], blocked("c", "a", pad=None)], ("c",)),
    ],
    ids=["a result", "another reader", "an input", "a maker that cannot", "a reader that cannot", "same", "no pad"],
)
def test_a_border_stays_a_pad(nodes: list[Node], outputs: tuple[str, ...]) -> None:
    if nodes[0].inputs[0] == "a":
        nodes = [replace(nodes[0], inputs=("image", *nodes[0].inputs[1:]))]
    before = framing(nodes, outputs)
    after = add_borders(before)
    assert (after.nodes, after.layers) == (before.nodes, before.layers)


# --- plan_memory -----------------------------------------------------------------------------------------------------

SHAPED = {"blocked_conv", "winograd_conv2d", "tiled_depthwise_conv2d"}


@pytest.fixture
def every_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small arrays get buffers, too."""
    monkeypatch.setattr(sys.modules["kerasgen.passes.plan_memory"], "LARGE", 0)


def made(kernel: str, output: str, x: str, *others: Any) -> Node:
    """One of the makers above, of another value."""
    node = MAKERS[kernel]
    return replace(node, outputs=(output,), inputs=(x, *node.inputs[1:], *others))


def outs(graph: Graph) -> dict[str, str]:
    return {node.output: node.out for node in graph.nodes if node.out}


def flipped(output: str, x: str) -> Node:
    """A view that has the same shape."""
    return Node((output,), kernels.get_item, (x,), {"index": (slice(None), slice(None, None, -1))})


@pytest.mark.usefixtures("every_size")
def test_two_buffers_serve_a_chain() -> None:
    names = ["image", "v1", "v2", "v3", "v4", "v5"]
    before = framing([made("blocked_conv", b, a) for a, b in pairwise(names)], ("v5",))
    after = plan_memory(before)
    assert len(after.buffers) == 2
    assert list(outs(after)) == names[1:-1]  # the result has none
    assert all(one.out != other.out for one, other in pairwise(after.nodes))


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
    assert set(outs(plan_memory(framing(nodes, outputs)))) == with_buffers


def test_what_is_small_or_of_unknown_size_has_no_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    before = framing([made("pointwise", "a", "image"), add("s", "a", "a")], ("s",))
    size = X[0].nbytes
    module = sys.modules["kerasgen.passes.plan_memory"]
    for limit, sized, buffers in (
        (size, before, 1),
        (size + 1, before, 0),
        (1, of_sizes(before, a=(None, None, 7, 3)), 0),
    ):
        monkeypatch.setattr(module, "LARGE", limit)
        assert len(plan_memory(sized).buffers) == buffers


@pytest.mark.usefixtures("every_size")
def test_buffers_have_names_of_their_own() -> None:
    def b(x):  # type: ignore[no-untyped-def] # a kernel of the user's
        return x + 1

    nodes = [made("pointwise", "v", "image"), Node(("a",), kernels.relu, ("v",)), Node(("w",), b, ("a",))]
    after = plan_memory(framing(nodes, ("w",)))
    assert not {"a", "b"} & set(after.buffers)
    assert len(after.buffers) == 1


def test_fresh_results_are_no_views() -> None:
    """Even where a kernel has nothing to do."""
    cell: dict[str, Any] = {"size": (1, 1), "strides": (1, 1)}
    kwargs: dict[Any, dict[str, Any]] = {
        kernels.average_pool: cell,
        kernels.max_pool: cell,
        kernels.global_average_pool: {"keepdims": True},
        kernels.global_max_pool: {"keepdims": True},
        kernels.layer_norm: {"axis": -1},
        kernels.batch_norm: {"axis": -1},
    }
    others = {
        kernels.layer_norm: [None, None],
        kernels.batch_norm: [None, None, np.zeros(2, "float32"), np.ones(2, "float32")],
    }
    x = np.abs(X[:1, :1, :1, :2])
    for kernel in plan_memory_module().FRESH - set(plan_memory_module().OUTPUT_AXES):
        assert not np.shares_memory(kernel(x, *others.get(kernel, []), **kwargs.get(kernel, {})), x), kernel
    for kernel in plan_memory_module().OUTPUT_AXES:
        rank = int((re.findall(r"(\d)d", kernel.__name__) or [0])[0])
        cells = x.reshape(1, *[1] * rank, 2)
        groups = {"groups": 2} if "grouped" in kernel.__name__ else {}
        matrix = np.ones((*[1] * rank, 2, 2), "float32") if not groups else np.ones((*[1] * rank, 1, 2), "float32")
        assert not np.shares_memory(kernel(cells, matrix, **groups), cells), kernel


def plan_memory_module() -> Any:
    return sys.modules["kerasgen.passes.plan_memory"]


@st.composite
def graphs(draw: Any) -> Graph:
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
    return replace(framing(nodes, outputs), output_names=outputs)


@settings(phases=[Phase.generate], max_examples=25)
@given(before=graphs(), planning=st.sampled_from([(plan_memory,), PLANNING]))
def test_shared_memory_never_shows(before: Graph, planning: Any) -> None:
    """In the module, call after call, with results that are kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan_memory_module(), "LARGE", 0)
        patch.setattr(black, "format_str", lambda text, mode: text)  # which takes most of the time
        after = optimize(before, planning)
        module = loaded(replace(after, together=None))
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
