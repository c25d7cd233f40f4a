"""Reductions, normalisation and matrix products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.fact_kinds import Kernel
from kerasgen.lowering.call import Call, Expression, NoCounterpart, Result, Sizes, lowers, only
from kerasgen.lowering.elementwise import along_axis, broadcast_shapes, finished, fused
from kerasgen.pure_kernels import arithmetic, linalg, norm, reduce
from kerasgen.pure_kernels import shape as moves
from kerasgen.pure_kernels.activation import softmax
from kerasgen.pure_kernels.conv import dense

REDUCTIONS: Mapping[Kernel, Kernel] = {
    kernels.arg_max: reduce.arg_max,
    kernels.arg_min: reduce.arg_min,
    np.all: reduce.all_over,
    np.any: reduce.any_over,
    np.max: reduce.max_over,
    np.mean: reduce.mean_over,
    np.min: reduce.min_over,
    np.prod: reduce.prod_over,
    np.sum: reduce.sum_over,
}


def axes_of(call: Call, axis: Any) -> Sizes:
    """Axes of the first operand as axes of its list, in order."""
    if axis is None:
        raise NoCounterpart("it mixes the samples of a batch")
    return tuple(sorted(call.axis(each) for each in np.atleast_1d(axis).tolist()))


@lowers(*REDUCTIONS)
def reduction(call: Call) -> Result:
    """A list has no axes that could be kept."""
    only(call.settings, ("axis", "keepdims"))
    settings = {"shape": call.shape(call.x), "axes": axes_of(call, call.settings.get("axis"))}
    return Expression(REDUCTIONS[call.node.kernel], (call.flat(call.x),), settings)


def scaled(call: Call, expression: Expression, gamma: Any, beta: Any, axes: Sizes) -> Result:
    """Times gamma plus beta, which are along these axes."""
    shape = call.shape(call.x)
    along = tuple(size if axis in axes else 1 for axis, size in enumerate(shape))
    result: Result = expression
    for kernel, operand, label in ((arithmetic.multiply, gamma, "scaled"), (arithmetic.add, beta, "shifted")):
        if operand is not None:
            call.constant(operand)
            operands = (call.before(result, label), call.flat(operand))
            result = Expression(kernel, operands, {} if along == shape else {"shapes": (shape, along)})
    return result


@lowers(kernels.batch_norm)
def batch_norm(call: Call) -> Result:
    """Scale and shift are computed here, in float64."""
    arrays = [None if operand is None else call.constant(operand).astype("float64") for operand in call.node.inputs[1:]]
    gamma, beta, mean, variance = arrays
    assert mean is not None
    assert variance is not None
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + call.settings.get("epsilon", 1e-3))
    shift = (0.0 if beta is None else beta) - mean * scale
    shape = call.shape(call.x)
    axis = call.settings.get("axis", -1)
    sizes = scale.shape if axis is None else [n if i == call.axis(axis) else 1 for i, n in enumerate(shape)]
    names = [
        call.weight(array.astype("float32").ravel(), f"{call.node.outputs[0]}/{name}")
        for name, array in (("scale", scale), ("shift", shift))
    ]
    shapes = tuple(sizes)[-len(shape) :]
    return Expression(norm.batch_norm, (call.x, *names), {"shapes": (shape, shapes, shapes)})


@lowers(kernels.layer_norm, kernels.rms_norm)
def layer_norm(call: Call) -> Result:
    """Scale and shift have lines of their own."""
    kernel, epsilon = (norm.layer_norm, 1e-3) if call.node.kernel is kernels.layer_norm else (norm.rms_norm, 1e-7)
    axes = axes_of(call, call.settings.get("axis", (-1,)))
    settings = {"shape": call.shape(call.x), "axes": axes, "epsilon": call.settings.get("epsilon", epsilon)}
    expression, gamma = Expression(kernel, (call.x,), settings), call.optional(1)
    if call.node.kernel is kernels.layer_norm or gamma is None:
        return scaled(call, expression, gamma, call.optional(2), axes)
    shape, along = call.shape(call.x), call.constant(gamma).shape  # it is broadcast as it is
    operands = (call.before(expression, "scaled"), call.flat(gamma))
    return Expression(arithmetic.multiply, operands, {} if along == shape else {"shapes": (shape, along)})


@lowers(kernels.group_norm)
def group_norm(call: Call) -> Result:
    """The norm of the layer, of an array whose channels are an axis for the groups and one for those in a group."""
    shape, axis, groups = call.shape(call.x), call.axis(call.settings.get("axis", -1)), call.settings["groups"]
    if call.rows(call.x) > 1:
        raise NoCounterpart("its groups are over steps")
    split = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    axes = tuple(i for i in range(len(split)) if i != axis)
    settings = {"shape": split, "axes": axes, "epsilon": call.settings.get("epsilon", 1e-3)}
    return scaled(call, Expression(norm.layer_norm, (call.x,), settings), call.optional(1), call.optional(2), (axis,))


@lowers(kernels.normalize)
def normalize(call: Call) -> Result:
    """The same settings, and the shape."""
    settings = {name: call.settings[name] for name in ("order", "epsilon") if name in call.settings}
    axes = axes_of(call, call.settings.get("axis", -1))
    return Expression(norm.normalize, (call.x,), {"shape": call.shape(call.x), "axes": axes, **settings})


@lowers(kernels.normalization)
def normalization(call: Call) -> Result:
    """One scale and one shift, computed here."""
    x, epsilon = call.x, call.settings.get("epsilon", 1e-7)
    mean = call.constant(call.node.inputs[1]).astype("float64")
    deviation = np.maximum(np.sqrt(call.constant(call.node.inputs[2]).astype("float64")), epsilon)
    invert = call.settings.get("invert", False)
    scale, shift = (deviation, mean) if invert else (1 / deviation, -mean / deviation)
    shape = call.shape(x)
    arrays = [array.astype("float32") for array in np.broadcast_arrays(scale, shift)]
    along = arrays[0].shape[-len(shape) :]
    names = [
        call.weight(array.ravel(), f"{call.node.outputs[0]}/{name}")
        for name, array in zip(("scale", "shift"), arrays, strict=True)
    ]
    return Expression(norm.batch_norm, (x, *names), {"shapes": (shape, along, along)})


def product(call: Call, a: Any, b: Any, a_shape: Sizes, b_shape: Sizes) -> Expression:
    """Products of rows with rows: (..., T, D), (..., S, D) → (..., T, S); the axes before are the same."""
    if a_shape[:-2] != b_shape[:-2]:
        raise NoCounterpart("its matrices are broadcast")
    count = int(np.prod(a_shape[:-2], dtype=int))
    return Expression(linalg.matmul, (a, b), {"count": count, "depth": a_shape[-1]})


def turned(call: Call, operand: Any, shape: Sizes, axes: Sizes, label: str) -> Any:
    """An operand with its axes in another order, by a line of its own."""
    if axes == tuple(range(len(shape))):
        return operand
    return call.before(Expression(moves.transpose, (operand,), {"shape": shape, "axes": axes}), label)


def swapped(rank: int) -> Sizes:
    """The axes, the last two exchanged."""
    return (*range(rank - 2), rank - 1, rank - 2)


@lowers(np.matmul)
def matmul(call: Call) -> Result:
    """The second array is turned, so that rows meet rows."""
    a, b = map(call.flat, call.node.inputs)
    a_shape, b_shape = map(call.shape, call.node.inputs)
    if call.is_batched(call.node.inputs[0]) and not call.is_batched(call.node.inputs[1]) and len(b_shape) == 2:
        a_shape = (int(np.prod(a_shape[:-1], dtype=int)), a_shape[-1])
    if min(len(a_shape), len(b_shape)) < 2 or not call.is_batched(call.node.inputs[0]):
        raise NoCounterpart("its operands are no matrices of a sample")
    right = turned(call, b, b_shape, swapped(len(b_shape)), "turned")
    return product(call, a, right, a_shape, (*b_shape[:-2], b_shape[-1], b_shape[-2]))


@lowers(kernels.dot_scores)
def dot_scores(call: Call) -> Result:
    """Rows of queries meet rows of keys."""
    query, key = call.node.inputs
    return product(call, query, key, call.shape(query), call.shape(key))


@lowers(kernels.head_scores)
def head_scores(call: Call) -> Result:
    """The heads become the first axis; the scale is applied to the scores."""
    names, shapes = [], []
    for operand, label in zip(call.node.inputs, ("query", "key"), strict=True):
        steps, heads, depth = call.shape(operand)
        names.append(turned(call, operand, (steps, heads, depth), (1, 0, 2), label))
        shapes.append((heads, steps, depth))
    scores = product(call, *names, *shapes)
    scale = call.settings.get("scale", 1.0)
    return scores if scale == 1.0 else Expression(arithmetic.multiply, (call.before(scores, "scores"), scale), {})


@lowers(kernels.attend)
def attend(call: Call) -> Result:
    """The heads become the first axis, and the last but one again."""
    weights, value = call.node.inputs
    heads, queries, steps = call.shape(weights)
    depth = call.shape(value)[-1]
    right = turned(call, value, (steps, heads, depth), (1, 2, 0), "value")
    result = call.before(product(call, weights, right, (heads, queries, steps), (heads, depth, steps)), "heads")
    return Expression(moves.transpose, (result,), {"shape": (heads, queries, depth), "axes": (1, 0, 2)})


@lowers(kernels.masked_softmax)
def masked_softmax(call: Call) -> Result:
    """Scores that are masked become the lowest number, by default that of float32, halved."""
    scores, mask = call.node.inputs
    number = call.settings.get("lowest", -1.7014117331926443e38)
    lowest = Expression(arithmetic.where, (mask, scores, number), _with_number(call))
    y = along_axis(call, softmax, call.before(lowest, "scores"), call.settings.get("axis", -1))
    if not call.settings.get("zeroed"):
        return y
    return Expression(arithmetic.where, (mask, call.before(y, "weights"), 0.0), _with_number(call))


@lowers(kernels.mask_scores)
def mask_scores(call: Call) -> Result:
    """Masked scores become -10⁹: next to that, float32 has no place for a score."""
    scores, mask = call.node.inputs
    return Expression(arithmetic.where, (call.flat(mask), scores, -1e9), _with_number(call))


def _with_number(call: Call) -> dict[str, Any]:
    """The shapes of a mask, scores and a number."""
    shapes = broadcast_shapes(call).get("shapes")
    return {"shapes": (shapes[1], shapes[0], ())} if shapes else {}


@lowers(kernels.project)
def project(call: Call) -> Result:
    """A dense layer: the last axes of the input are one in a list anyway."""
    activation, after = fused(call)
    array = call.constant(call.node.inputs[1])
    depth = int(np.prod(array.shape[: call.settings.get("axes", 1)], dtype=int))
    rows = call.weight(array.reshape(depth, -1).T, call.node.inputs[1])
    bias = call.optional(2)
    if bias is not None and call.constant(bias).size != array.size // depth:
        raise NoCounterpart("its bias is broadcast")
    return finished(call, Expression(dense, (call.x, rows, call.flat(bias)), activation), after)


@lowers(kernels.band_mask)
def band_mask(call: Call) -> Result:
    """The same for all samples, so it is computed here."""
    *_, queries, steps = call.shape(call.x)
    mask = kernels.band_mask(np.zeros((1, queries, steps), "float32"), **call.settings)
    return call.weight(mask.ravel().astype("int32"), f"{call.node.outputs[0]}/mask")


@lowers(kernels.batch_dot)
def batch_dot(call: Call) -> Result:
    """The axis of the sum becomes the last one of both."""
    operands, shapes = [], []
    for operand, axis, label in zip(call.node.inputs, call.settings["axes"], ("left", "right"), strict=True):
        shape, axis = call.shape(operand), call.axis(axis, operand)
        order = (*(i for i in range(len(shape)) if i != axis), axis)
        operands.append(turned(call, operand, shape, order, label))
        shapes.append((int(np.prod(shape, dtype=int)) // shape[axis], shape[axis]))
    return product(call, *operands, *shapes)


@lowers(np.var, np.std)
def variance(call: Call) -> Result:
    """The mean of the squares of what is off the mean."""
    only(call.settings, ("axis", "keepdims"))
    settings = {"shape": call.shape(call.x), "axes": axes_of(call, call.settings.get("axis"))}
    expression = Expression(reduce.variance_over, (call.flat(call.x),), settings)
    if call.node.kernel is np.var:
        return expression
    return Expression(arithmetic.sqrt, (call.before(expression, "variance"),), {})


@lowers(kernels.one_hot)
def one_hot(call: Call) -> Result:
    """Along a new last axis."""
    if call.settings.get("axis", -1) not in (-1, len(call.spec(call.x).shape)):
        raise NoCounterpart("its classes are not the last axis")
    return Expression(moves.one_hot, (call.flat(call.x),), {"num_classes": call.settings["num_classes"]})
