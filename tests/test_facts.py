"""The table of facts about kernels: it has a row for each, and what the rows claim is true."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
from graphs import X

from kerasgen import kernels
from kerasgen.graph.fact_kinds import OPAQUE, UFUNC
from kerasgen.graph.facts import FACTS, facts, setting

# What no node calls: the module around the nodes does, a layout of a weight, or the builder.
NOT_NODES = {
    *("as_input", "buffers", "check_batch", "in_batches", "share_batch"),
    *("conv_matrix", "merge_groups", "tile", "winograd_filters", "winograd_tile"),
    *("decimal_text", "hash_pair", "rotate_right", "shift_mix", "short_text", "sip_rounds", "text_word"),
    *("padded", "same_pads", "taps", "transpose_crop", "windows"),
}
KERNELS = {name: getattr(kernels, name) for name in kernels.__all__ if name not in {*NOT_NODES, "ACTIVATIONS"}}


def test_every_kernel_has_a_row() -> None:
    named = {kernel.__name__: kernel for kernel in FACTS if kernel.__module__.startswith("kerasgen.")}
    assert named == {kernel.__name__: kernel for kernel in KERNELS.values()}


def test_what_has_no_row() -> None:
    assert facts(np.unwrap) is OPAQUE
    assert facts(np.spacing) is UFUNC
    assert facts(lambda x: x) is OPAQUE


def test_activations_are_what_layers_take_by_name() -> None:
    by_name = {*kernels.ACTIVATIONS.values(), kernels.hard_sigmoid_keras2} - {kernels.glu}  # which halves the channels
    assert {kernel for kernel, row in FACTS.items() if row.activation} == by_name


def test_a_kernel_that_takes_memory_returns_no_view() -> None:
    taking = [kernel for kernel in KERNELS.values() if setting(kernel, "out")]
    assert len(taking) > 8
    assert not any(facts(kernel).aliases for kernel in taking)


@pytest.mark.parametrize("kernel", [kernel for kernel in FACTS if facts(kernel).inverse], ids=lambda k: k.__name__)
def test_inverses(kernel: Any) -> None:
    inverse = facts(kernel).inverse
    assert inverse is not None
    np.testing.assert_array_equal(inverse(kernel(X)), X)


ELEMENTWISE = [kernel for kernel, row in FACTS.items() if row.activation and not setting(kernel, "axis")]


@pytest.mark.parametrize("kernel", ELEMENTWISE, ids=lambda k: k.__name__)
def test_increasing(kernel: Any) -> None:
    y = kernel(np.linspace(-20, 20, 801))
    assert facts(kernel).increasing == bool((np.diff(y) >= -1e-14 * np.abs(y).max()).all())


@pytest.mark.parametrize("kernel", [kernel for kernel in FACTS if facts(kernel).limits], ids=lambda k: k.__name__)
def test_limits(kernel: Any) -> None:
    low, high = facts(kernel).limits or (0, 0)
    np.testing.assert_array_equal(kernel(9 * X), np.minimum(np.maximum(9 * X, low), high))


# relu6 hands on enough numbers not to count as flat.
ACTIVATIONS = [kernel for kernel in FACTS if facts(kernel).activation and kernel is not kernels.relu6]


@pytest.mark.parametrize("kernel", ACTIVATIONS, ids=lambda kernel: kernel.__name__)
def test_saturates(kernel: Any) -> None:
    """What saturates is flat on both sides, even if not quite; others change as their operand does, on one at least."""
    x = np.array([[20.0, -20.0, 0.0]])
    change = np.abs(kernel(1.2 * x) - kernel(x)).max()
    assert (change < 0.1) == facts(kernel).saturates


ALONE = (kernels.channels_first, kernels.channels_last, kernels.flatten, kernels.identity, kernels.merge_steps)


@pytest.mark.parametrize("kernel", [*ALONE, kernels.stop_gradient], ids=lambda kernel: kernel.__name__)
def test_moves(kernel: Any) -> None:
    """The numbers of the operand, in some order."""
    assert facts(kernel).moves
    np.testing.assert_array_equal(np.sort(kernel(X), axis=None), np.sort(X, axis=None))


OPERANDS: dict[Any, list[Any]] = {
    kernels.batch_norm: [None, None, X[0, 0, 0], np.ones(3, "float32")],
    kernels.dense: [X[0, 0, :3]],
}
SETTINGS: dict[Any, dict[str, Any]] = {
    kernels.cast: {"dtype": "float64"},
    kernels.threshold: {"threshold": 0.5, "default_value": 2.0},
}


@pytest.mark.parametrize("kernel", [kernel for kernel in FACTS if facts(kernel).by_cell], ids=lambda k: k.__name__)
def test_by_cell(kernel: Any) -> None:
    """The axes before the last may as well be one."""
    others, settings = OPERANDS.get(kernel, []), SETTINGS.get(kernel, {})
    one, several = X.reshape(-1, 3), kernel(X, *others, **settings)
    np.testing.assert_allclose(kernel(one, *others, **settings), several.reshape(-1, 3), rtol=1e-6)


@pytest.mark.parametrize("kernel", [kernel for kernel in FACTS if facts(kernel).output_axes], ids=lambda k: k.__name__)
def test_output_axes(kernel: Any) -> None:
    """A scale of these axes of the weight is one of the result's channels; and no view of the input is returned."""
    rank = int((re.findall(r"(\d)d", kernel.__name__) or [0])[0])
    x = np.abs(X[0].reshape(6, -1)[:, : 2 * 2**rank].reshape(6, *[2] * rank, 2))
    grouped, axes = "groups" in inspect.signature(kernel).parameters, facts(kernel).output_axes
    weight = np.abs(X.reshape(-1)[::7][: 2 ** (rank + 1 + (not grouped))].reshape(*[2] * rank, 1 if grouped else 2, 2))
    settings = {"groups": 2} if grouped else {}
    channels = int(np.prod([weight.shape[axis] for axis in axes]))
    scale = np.arange(1, channels + 1, dtype="float32")
    shape = [n if axis - weight.ndim in axes else 1 for axis, n in enumerate(weight.shape)]
    y = kernel(x, weight, **settings)
    assert y.shape[-1] == channels
    assert not np.shares_memory(y, x)
    np.testing.assert_allclose(kernel(x, weight * scale.reshape(shape), **settings), y * scale, rtol=1e-5)


CELL: dict[str, Any] = {"size": (1, 1), "strides": (1, 1)}
# Operands and settings with which a kernel has as little to do as it can have.
NOTHING_TO_DO: dict[Any, tuple[list[Any], dict[str, Any]]] = {
    kernels.average_pool: ([], CELL),
    kernels.max_pool: ([], CELL),
    kernels.global_average_pool: ([], {"keepdims": True}),
    kernels.global_max_pool: ([], {"keepdims": True}),
    kernels.layer_norm: ([None, None], {"axis": (-1,)}),
    kernels.batch_norm: ([None, None, np.zeros(2, "float32"), np.ones(2, "float32")], {"axis": -1}),
    kernels.attention_by_rows: ([np.ones((1, 1, 1, 2), "float32")] * 2, {}),
    kernels.band_attention_by_rows: ([np.ones((1, 1, 1, 2), "float32")] * 2, {}),
    kernels.dense_by_columns: ([np.eye(2, dtype="float32")], {}),
    kernels.project_by_rows: ([np.eye(2, dtype="float32")], {}),
    kernels.conv_by_matrix: ([np.eye(2, dtype="float32")], {"shape": (1, 1, 2)}),
    kernels.conv_by_taps: ([np.ones((1, 1, 2, 2), "float32")], {"strides": (1, 1), "dilation": (1, 1)}),
}
FRESH = [
    kernel
    for kernel, row in FACTS.items()
    if not row.aliases and not row.output_axes and not isinstance(kernel, np.ufunc) and not setting(kernel, "border")
]


@pytest.mark.parametrize("kernel", FRESH, ids=lambda kernel: kernel.__name__)
def test_what_does_not_alias_returns_no_view(kernel: Any) -> None:
    """Even where a kernel has nothing to do."""
    x = np.abs(X[:1, :1, :1, :2])
    others, settings = NOTHING_TO_DO.get(kernel, ([], {}))
    assert not np.shares_memory(kernel(x, *others, **settings), x)


def test_attention_computes_each_sample_by_itself() -> None:
    """As its facts say of the leading operands."""
    rng = np.random.default_rng(0)
    query, key = (rng.normal(size=(3, steps, 2, 4)) for steps in (5, 6))
    scores = kernels.head_scores(query, key, scale=0.5)
    for kernel, operands, attrs in [
        (kernels.head_scores, (query, key), {"scale": 0.5}),
        (kernels.attend, (scores, key), {}),
        (kernels.project, (query, rng.normal(size=(2, 4, 7)), rng.normal(size=7)), {"axes": 2}),
    ]:
        whole, count = kernel(*operands, **attrs), facts(kernel).samples
        for i in range(3):
            sample = (*(x[i : i + 1] for x in operands[:count]), *operands[count:])
            np.testing.assert_allclose(kernel(*sample, **attrs), whole[i : i + 1], rtol=1e-12)
