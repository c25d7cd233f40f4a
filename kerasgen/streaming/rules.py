"""How each kernel treats the axis of steps: one row per kernel.

| rule                                | a step of the result comes from                                               |
|-------------------------------------|-------------------------------------------------------------------------------|
| `cells`                             | the same step of its operands, cell by cell; weights are equal at every step  |
| `along`, `reduced`, `last_axes`     | the same step, along other axes than that of the steps                        |
| `shared`, `take`, `matmul`, ...     | the same step, with weights                                                   |
| `joined`, `order`, `reshape`, ...   | the same step, its other axes in another order or shape                       |
| `conv`, `pool`, `pad`, `crop`, ...  | a window of steps: those that later windows need become a state               |
| `recurrent`                         | the same step and a state                                                     |
| `repeat`, `transposed`              | one step or a few; several come from each                                     |
| `whole`: kernels without a row      | all steps: such a kernel cannot stream                                        |

If the steps are merged into the batch, every kernel that keeps samples apart computes each step by itself.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Node, Value
from kerasgen.kernels.streaming import conv_each, conv_steps, repeat_state
from kerasgen.streaming.call import Call, Refused, Rule


def cells(call: Call) -> None:
    """A function of cells, broadcast: the axis of steps must be the same in all operands that have steps."""
    rank = max(map(call.rank, call.timed))
    for name in call.node.reads:
        shape = call.shape(name)
        if name in call.timed:
            if len(shape) != rank:
                raise Refused("it joins values with different numbers of axes")
        elif len(shape) > rank or (len(shape) >= rank - 1 and shape[1 - rank] != 1):
            raise Refused("it computes with numbers that differ from step to step")
    call.keep()


def along(call: Call) -> None:
    """A function along an axis other than that of the steps. The other operands must be weights."""
    rank = call.rank(call.node.inputs[0])
    if call.attrs.get("axis", -1) is None and call.node.kernel is kernels.batch_norm:
        cells(call)
        return
    if {0, 1} & call.axes("axis", rank):
        raise Refused("it computes along the axis of the steps")
    shared(call)


def reduced(call: Call) -> None:
    """A reduction over axes, by default over all of them."""
    if {0, 1} & call.axes("axis", call.rank(call.node.inputs[0]), None):
        raise Refused("it reduces over all steps")
    shared(call)


def shared(call: Call) -> None:
    """Every step by itself, with weights: the result keeps the axis of steps."""
    if call.timed != call.node.inputs[:1]:
        raise Refused("it computes with weights that depend on the steps")
    call.keep()


def last_axes(count: Callable[[Mapping[str, Any]], int]) -> Rule:
    """A product over the last axes."""

    def rule(call: Call) -> None:
        rank = call.rank(call.node.inputs[0])
        if rank == 2:
            raise Refused("its input has features alone, and no axis of time")
        if rank - count(call.attrs) < 2:
            raise Refused("it computes along the axis of the steps")
        shared(call)

    return rule


def masked(call: Call) -> None:
    """Each step with its mask."""
    call.keep()


def take(call: Call) -> None:
    """Rows of a table by the numbers in each step."""
    table, _ = call.node.inputs
    if table in call.timed or call.attrs.get("axis") != 0:
        raise Refused("it picks from all steps")
    call.keep()


def matmul(call: Call) -> None:
    """A product of the last two axes."""
    x, y = call.node.inputs
    if call.rank(x) < 3 or (y in call.timed and call.rank(y) < 4) or x not in call.timed:
        raise Refused("it multiplies steps by each other")
    call.keep()


def einsum(call: Call) -> None:
    """A product with the axis of steps as axis 1 of the result and of every operand with steps, and nowhere else."""
    terms, _, result = call.attrs["subscripts"].partition("->")
    axes = dict(zip(call.node.inputs, terms.split(","), strict=False))
    steps = {axes[name][1:2] for name in call.timed}
    if len(steps) != 1 or "..." in call.attrs["subscripts"] or result[1:2] not in steps or not result:
        raise Refused("it multiplies steps by each other")
    if any(result[1] in axis for name, axis in axes.items() if name not in call.timed):
        raise Refused("it computes with numbers that differ from step to step")
    call.keep()


def joined(call: Call) -> None:
    """Arrays joined along an axis other than that of the steps."""
    rank = call.rank(call.node.inputs[0]) + (call.node.kernel in (kernels.stack, np.expand_dims))
    default = 0 if call.node.kernel is kernels.stack else -1
    if {0, 1} & call.axes("axis", rank, default):
        raise Refused("it joins arrays along the axis of the steps")
    if set(call.node.reads) != set(call.timed):
        raise Refused("it joins steps to numbers that do not come in steps")
    call.keep()


def axis_apart(call: Call) -> None:
    """A kernel that adds, removes or splits an axis other than those of the batch and the steps."""
    rank = call.rank(call.node.inputs[0]) + (call.node.kernel is np.expand_dims)
    if {0, 1} & call.axes("axis", rank, None if call.node.kernel is np.squeeze else 0):
        raise Refused("it changes the axis of the steps")
    shared(call)


def order(call: Call) -> None:
    """Axes in another order, with the batch and the steps still first."""
    rank = call.rank(call.node.inputs[0])
    keys = [np.moveaxis, np.swapaxes, np.transpose]
    settings = {"axes": None} if call.node.kernel is keys[2] else {}
    axes = call.node.kernel(np.empty((0, *range(1, rank))), **{**settings, **call.attrs}).shape
    if axes[:2] != (0, 1):
        raise Refused("it moves the axis of the steps")
    shared(call)


def reshape(call: Call) -> None:
    """Another shape of each step."""
    x = call.shape(call.node.inputs[0])
    shape = tuple(call.attrs.get("shape", (-1,)))
    steps, *rest = shape or (0,)
    whole = None if None in x[2:] else math.prod(size or 0 for size in x[2:])
    if len(x) < 2 or steps not in (x[1], -1) or -1 in rest or math.prod(rest) != whole:
        raise Refused("it joins all steps")
    call.keep(shape=(-1, *rest))


def flatten(call: Call) -> None:
    """All axes but the batch merged: each step must be a single number."""
    x = call.shape(call.node.inputs[0])
    if len(x) != 2:
        raise Refused("it joins all steps")
    call.keep()


def conv(call: Call) -> None:
    """A convolution: windows along the steps, with the other axes whole."""
    _, weight, *bias = call.node.inputs
    if weight in call.timed:
        raise Refused("its kernel depends on the steps")
    rank = call.rank(call.node.inputs[0]) - 2
    window = call.shape(weight)[:rank]
    (k, *_), (stride, *others), (dilation, *_) = window, *(
        call.attrs.get(key) or (1,) * rank for key in ("strides", "dilation")
    )
    before, after, rest = _pads(call)
    kernel, activation = call.node.kernel, call.attrs.get("activation")
    plain, span = kernel in (kernels.conv1d, kernels.conv2d, kernels.conv3d), ((k or 1) - 1) * dilation + 1
    if plain and {*window, stride, *others} == {1} and not (before or after or rest):
        call.emit(conv_each, call.operands(), call.joint(), {"activation": activation} if activation else {})
        return
    settings = {**call.attrs, "pad": rest}
    if kernel is kernels.conv1d:
        kernel, settings = conv_steps, {"stride": stride, "dilation": dilation, "activation": activation}
    steps = {"span": span, "hop": stride, "before": before, "after": after}
    call.windows(kernel, (weight, *bias), **steps, settings=settings)


def _pads(call: Call) -> tuple[int, int, Any]:
    """The steps that a kernel pads before and after, and its pads without them."""
    pad = call.attrs.get("pad")
    if pad == "same":
        raise Refused("where its windows begin depends on the length of the whole sequence")
    (before, after), *rest = pad or ((0, 0),)
    return before, after, ((0, 0), *rest) if any(map(any, rest)) else None


def pool(call: Call) -> None:
    """The maximum or the mean of each window."""
    (size, *_), (stride, *_) = call.attrs["size"], call.attrs["strides"]
    before, after, rest = _pads(call)
    if before or after:
        rate = call.timing(call.node.inputs[0]).ready.rate
        raise Refused("its windows are cut off at the ends", math.ceil(after / rate))
    call.windows(call.node.kernel, span=size, hop=stride, settings={**call.attrs, "pad": rest})


def pad(call: Call) -> None:
    """Steps of one value added before the first step and after the last one."""
    ((before, after), *rest), value = call.attrs["pads"], call.attrs.get("value", 0.0)  # a number, or one per channel
    timing = call.timing(call.node.inputs[0])
    other = ((0, 0), *rest)
    if before:
        kernel, settings = (
            (kernels.pad, {"pads": other, "value": value}) if any(map(any, rest)) else (kernels.identity, {})
        )
        call.windows(kernel, span=1, before=before, after=after, fill=value, settings=settings)
        return
    timing = call.later(replace(timing, full=timing.full.moved(after)), after)
    call.keep(timing, pads=other)


def crop(call: Call) -> None:
    """Some of the first and last steps removed: the last ones are held back."""
    (before, after), *rest = call.attrs["crops"]
    _cropped(call, before, after, rest)


def _cropped(call: Call, before: int, after: int, rest: Any = ()) -> None:
    timing = call.timing(call.node.inputs[0])
    late = timing.full - timing.ready
    if after and late is None:
        raise Refused("what it cuts off the end depends on the length of the whole sequence")
    hold = max(0, after - (late or 0))
    crops = ((before, hold), *rest)
    timing = replace(timing, ready=timing.ready.moved(-before - hold), full=timing.full.moved(-before - after))
    if before + hold:
        cells = call.complete_windows(str(call.node.inputs[0]), span=before + hold + 1)
        call.emit(kernels.crop, (cells,), timing, {"crops": crops})
    elif any(map(any, rest)):
        call.emit(kernels.crop, call.operands(), timing, {"crops": crops})
    else:
        call.rename(call.walk.current(str(call.node.inputs[0])), timing)


def get_item(call: Call) -> None:
    """A part of each step; a slice of the steps; or the last step, which is then the latest one."""
    index = tuple(call.attrs["index"])
    rank = call.rank(call.node.inputs[0])
    if index[:1] == (Ellipsis,):
        index = (slice(None),) * (rank - sum(part is not None for part in index[1:])) + index[1:]
    batch, steps, *rest = (*index, slice(None), slice(None))[: max(2, len(index))]
    if batch != slice(None) or rank < 2:
        raise Refused("it picks samples")
    if steps == slice(None):
        call.keep(index=(slice(None), slice(None), *rest))
    elif steps == -1 and all(part == slice(None) for part in rest):
        last(call, call.walk.current(str(call.node.inputs[0])))
    elif not isinstance(steps, slice) or any(part != slice(None) for part in rest) or not _is_streamed(steps):
        raise Refused("it picks steps by their number")
    elif steps.step in (None, 1):
        _cropped(call, steps.start or 0, -(steps.stop or 0))
    elif not steps.start and not steps.stop:
        index = (slice(None), slice(None, None, steps.step))
        call.windows(kernels.get_item, span=1, hop=steps.step, settings={"index": index})
    else:
        raise Refused("it picks steps by their number")


def _is_streamed(steps: slice) -> bool:
    """Whether the start of a slice is counted from the first step, and its end from the last one."""
    return (steps.start or 0) >= 0 and (steps.stop is None or steps.stop < 0) and (steps.step or 1) > 0


def last(call: Call, sequence: str) -> None:
    """The last step so far. Every step is the last one once, so the steps become samples."""
    timing = call.joint()
    if timing.full != timing.ready:
        raise Refused("the last step comes after the newest one", timing.delay)
    name = call.node.outputs[0]
    call.walk.add(Node((name,), kernels.merge_steps, (sequence,), {}, call.node.layer))
    call.results[name] = (name, replace(timing, axis=0, like=sequence))


def recurrent(*names: str) -> Rule:
    """A loop over the steps, which continues from its last states. The last operands are the mask and the states."""

    def rule(call: Call) -> None:
        node, walk = call.node, call.walk
        place = [*inspect.signature(node.kernel).parameters].index("mask")
        inputs = (*node.inputs, *(None,) * (place + 1 + len(names)))[: place + 1 + len(names)]
        (x, *weights), mask, states = inputs[:place], inputs[place], inputs[place + 1 :]
        if any(state is not None and state not in walk.memory for state in states):
            raise Refused("it starts from states that the model computes")
        if any(name not in walk.unread for name in node.outputs[1:]):
            raise Refused("its last states have another reader")
        if set(call.timed) != {x, mask} - {None}:
            raise Refused("its weights depend on the steps")
        sequence = call.attrs.get("return_sequences", False)
        name = node.outputs[0] if sequence else walk.new_name(node.outputs[0])
        images = call.shape(x)[2:-1] if node.kernel is kernels.conv_lstm else ()
        state = Value("", (None, *images, call.shape(weights[-1 if images else 1])[-2 if images else 0]), "float32")
        state = replace(state, dtype=walk.value(str(x)).dtype)
        pairs = [walk.remember(f"{node.layer or node.outputs[0]}_{each}", state, 0.0) for each in names]
        before, after = zip(*pairs, strict=True)
        current = call.operands()
        operands = (current[0], *weights, None if mask is None else current[place], *before)
        attrs = {**call.attrs, "return_sequences": True, "return_state": True}
        repeats = mask is not None and not attrs.get("zero_output_for_mask")
        y = walk.new_name(name) if repeats else name
        walk.add(Node((y, *after), node.kernel, operands, attrs, node.layer))
        if repeats:
            walk.add(Node((name,), repeat_state, (y, current[place], before[0]), {}, node.layer))
        call.results.update((each, ("", call.joint())) for each in node.outputs[1:])
        call.results[node.outputs[0]] = (name, call.joint())
        if not sequence:
            last(call, name)

    return rule


def repeat(call: Call) -> None:
    """Every step repeated several times."""
    times, *_ = call.attrs["size"]
    call.keep(call.joint().both("repeated", times))


def repeat_along(call: Call) -> None:
    """Repetition along any axis."""
    rank, times = call.rank(call.node.inputs[0]), call.attrs.get("repeats")
    axes = call.axes("axis", rank, None)
    if 0 in axes or type(times) is not int:
        raise Refused("it repeats samples")
    call.keep(call.joint().both("repeated", times) if axes == {1} else None)


def transposed(call: Call) -> None:
    """A transposed convolution: each step adds to a window, and a step is ready when no later one adds to it."""
    x, weight, *bias = call.node.inputs
    if weight in call.timed:
        raise Refused("its kernel depends on the steps")
    k, (stride, *_) = call.shape(weight)[0] or 1, call.attrs.get("strides") or (1,)
    (dilation, *_), crop = call.attrs.get("dilation") or (1,), call.attrs.get("crop")
    span = (k - 1) * dilation + 1
    (before, after), *rest = crop or ((0, 0),)
    reach = -(-max(0, span - stride) // stride)  # earlier steps that add to the cells of a step
    late = span - stride - after
    timing = call.timing(x).both("repeated", stride)
    if before or late:
        raise Refused("its windows overlap at the ends", math.ceil(max(0, late) / timing.ready.rate))
    settings = {**call.attrs, "crop": ((reach * stride, span - stride), *rest)}
    call.windows(call.node.kernel, (weight, *bias), span=reach + 1, before=reach, settings=settings)
    call.results[call.node.output] = (call.node.output, timing)


def merge(call: Call) -> None:
    """Steps become samples."""
    x = str(call.node.inputs[0])
    call.keep(replace(call.timing(x), axis=0, like=call.walk.current(x)))


def split(call: Call) -> None:
    """Samples become steps again."""
    x = call.timing(call.node.inputs[0])
    call.emit(
        kernels.split_steps, (call.walk.current(str(call.node.inputs[0])), x.like), replace(x, axis=1, like=""), {}
    )


def by_sample(call: Call) -> None:
    """If the steps are samples: any kernel that keeps samples apart."""
    rank = max(call.rank(name) for name in (*call.timed, *call.node.outputs))
    axes = call.axes("axis", rank, ())
    kept = all(call.walk.value(name).shape[:1] == (None,) for name in call.node.outputs)
    if (0 in axes and call.node.kernel not in (np.take, kernels.batch_norm)) or not kept:
        raise Refused("it mixes samples")
    call.keep()


RECURRENT: Mapping[Callable[..., Any], tuple[str, ...]] = {
    kernels.simple_rnn: ("h",),
    kernels.gru: ("h",),
    kernels.lstm: ("h", "c"),
    kernels.conv_lstm: ("h", "c"),
}
LAST_AXIS = last_axes(lambda attrs: 1)
RULES: Mapping[Callable[..., Any], Rule] = {
    **dict.fromkeys(
        (
            *(kernels.cast, kernels.clip, kernels.divide_no_nan, kernels.erf, kernels.floor_divide, kernels.identity),
            *(kernels.normalization, kernels.prelu, kernels.rsqrt, kernels.stop_gradient, kernels.threshold),
            *(kernels.general_relu, np.where, np.zeros_like, np.ones_like, np.nan_to_num, np.isclose, np.full_like),
        ),
        cells,
    ),
    **dict.fromkeys((kernels.batch_norm, kernels.layer_norm, kernels.normalize, kernels.rms_norm, kernels.glu), along),
    **dict.fromkeys((kernels.variance_norm, np.sort, np.argsort), along),
    **dict.fromkeys((np.sum, np.mean, np.max, np.min, np.prod, np.any, np.all, np.std, np.var, np.argmax), reduced),
    **dict.fromkeys((kernels.dense, kernels.local_response_norm, kernels.spectrum), LAST_AXIS),
    **dict.fromkeys((kernels.arg_max, kernels.arg_min, kernels.logsumexp, np.cumsum, np.cumprod), reduced),
    kernels.project: last_axes(lambda attrs: attrs.get("axes", 1)),
    kernels.one_hot: shared,
    kernels.masked: masked,
    np.take: take,
    np.matmul: matmul,
    kernels.einsum: einsum,
    **dict.fromkeys((kernels.concatenate, kernels.stack), joined),
    **dict.fromkeys((np.expand_dims, np.squeeze, kernels.split, kernels.unstack), axis_apart),
    **dict.fromkeys((np.transpose, np.swapaxes, np.moveaxis, kernels.channels_first, kernels.channels_last), order),
    kernels.reshape: reshape,
    kernels.flatten: flatten,
    **dict.fromkeys((kernels.conv1d, kernels.conv2d, kernels.conv3d), conv),
    **dict.fromkeys((kernels.grouped_conv1d, kernels.grouped_conv2d, kernels.grouped_conv3d), conv),
    **dict.fromkeys((kernels.depthwise_conv1d, kernels.depthwise_conv2d), conv),
    **dict.fromkeys((kernels.conv1d_transpose, kernels.conv2d_transpose, kernels.conv3d_transpose), transposed),
    **dict.fromkeys((kernels.max_pool, kernels.average_pool), pool),
    kernels.pad: pad,
    kernels.crop: crop,
    kernels.get_item: get_item,
    **{kernel: recurrent(*names) for kernel, names in RECURRENT.items()},
    kernels.upsample_nearest: repeat,
    np.repeat: repeat_along,
    kernels.merge_steps: merge,
    kernels.split_steps: split,
}
# Why kernels without a rule cannot stream, where the reason is more than that they need all steps at once.
REASONS: Mapping[Callable[..., Any], str] = {
    **dict.fromkeys((kernels.global_average_pool, kernels.global_max_pool), "it pools over all steps"),
    **dict.fromkeys((kernels.adaptive_average_pool, kernels.adaptive_max_pool), "it pools over all steps"),
    **dict.fromkeys((kernels.head_scores, kernels.dot_scores, kernels.additive_scores), "it attends to all steps"),
    **dict.fromkeys((kernels.attend, kernels.band_mask), "it attends to all steps"),
    np.flip: "it reads the steps backwards",
}


def rule_of(kernel: Callable[..., Any]) -> Rule:
    """The rule of a kernel: its own row, or the rule of its kind."""
    if kernel in RULES:
        return RULES[kernel]
    if isinstance(kernel, np.ufunc):
        return cells
    if facts(kernel).activation or facts(kernel).by_cell:
        return along
    return whole


def whole(call: Call) -> None:
    """A kernel that needs all steps."""
    kernel = call.node.kernel
    raise Refused(REASONS.get(kernel, f"{kernel.__name__} needs all steps at once"))
