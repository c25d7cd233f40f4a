"""Recurrent layers: simple, LSTM, GRU and convolutional, alone, stacked and in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Shape, Value
from kerasgen.layers.keras.cells import CELLS, LAYERS, InitialStates, cells_of
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import is_channels_first
from kerasgen.layers.registry import rule
from kerasgen.readers.model import leaves

MOST_STEPS = 100_000
FLAGS = ("return_sequences", "return_state", "stateful", "zero_output_for_mask")
ALONG_CHANNELS = ("softmax", "log_softmax", "glu", "sparsemax")  # along the last axis, which must be the channels
MERGE: Mapping[str, Callable[..., Any]] = {"sum": np.add, "mul": np.multiply, "ave": np.add}


@rule("RNN", *LAYERS)
def recurrent(layer: Layer, sequences: Any, initial_state: Any = None, mask: Any = None) -> list[Value]:
    """Step by step, forwards or backwards; masked steps keep the states unchanged."""
    x, states = _with_states(sequences, initial_state)
    mask = next(leaves(mask, Value), None)
    settings = {flag: layer.config.flag(flag, False) for flag in FLAGS}
    if layer.config.get("time_major", False):
        raise UnsupportedModelError("time_major: the first axis is not the batch")
    if x.shape[1] is not None and x.shape[1] > MOST_STEPS:
        raise UnsupportedModelError(f"{x.shape[1]} steps; more than {MOST_STEPS} are not supported")
    if not settings["return_sequences"]:
        layer.output_mask = None
    if layer.config.flag("go_backwards", False):
        return _backwards(layer, x, mask, states, **settings)
    return _forwards(layer, x, mask, states, **settings)


def _with_states(sequences: Any, initial_state: Any) -> tuple[Value, list[Value]]:
    """The sequences and the initial states; before Keras 3, both come in one list."""
    x, *states = leaves(sequences, Value)
    return x, states or list(leaves(initial_state, Value))


def _backwards(layer: Layer, x: Value, mask: Value | None, states: Sequence[Value], **settings: bool) -> list[Value]:
    """From the last step to the first."""
    zeroes = settings["return_sequences"] and settings["zero_output_for_mask"]
    unrolled = zeroes and layer.config.flag("unroll", False)
    if unrolled:
        settings["zero_output_for_mask"] = False
    reverse = layer.emit(np.flip, x, axis=1)
    reverse_mask = mask and layer.emit(np.flip, mask, axis=1)
    y, *last = _forwards(layer, reverse, reverse_mask, states, **settings)
    if unrolled and mask is not None:
        y = layer.emit(kernels.masked, y, mask)  # the mask unflipped: no version of Keras flips it here
    return [y, *last]


def _forwards(layer: Layer, x: Value, mask: Value | None, states: Sequence[Value], **settings: bool) -> list[Value]:
    """From the first step to the last; channels first are moved to the end and back."""
    if not is_channels_first(layer):
        return _run(layer, x, mask, states, **settings)
    if any(layer.config.get(key, "") in ALONG_CHANNELS for key in ("activation", "recurrent_activation")):
        raise UnsupportedModelError("an activation along the last axis, with channels first")
    rank = len(x.shape) - 3
    x = layer.emit(np.moveaxis, x, source=2, destination=-1)
    states = [layer.emit(kernels.channels_last, state) for state in states]
    results = _run(layer, x, mask, states, **settings)
    return [layer.emit(np.moveaxis, y, source=-1, destination=len(y.shape) - rank - 1) for y in results]


def _run(
    layer: Layer,
    x: Value,
    mask: Value | None,
    states: Sequence[Value],
    *,
    return_sequences: bool,
    return_state: bool,
    stateful: bool = False,
    zero_output_for_mask: bool = False,
) -> list[Value]:
    """The output and the last states of a chain of cells: a stack of cells equals a stack of layers."""
    cells = list(cells_of(layer))
    count = sum(cell.states for _, cell in cells)
    if states and len(states) != count:
        raise InvalidModelError(f"is given {len(states)} states, not {count}")
    pending, last = iter(states), []
    for number, (part, cell) in enumerate(cells, start=1):
        is_last = number == len(cells)
        initial = _take(pending, cell.states) if states or not stateful else _recall(part, cell.states)
        returns = {
            "return_sequences": return_sequences or not is_last,
            "return_state": return_state or stateful,
            "zero_output_for_mask": zero_output_for_mask and mask is not None and is_last,
        }
        x, *final = cell.run(part, x, mask, initial, {flag: True for flag, is_set in returns.items() if is_set})
        if stateful:
            _remember(part, final)
        last += final
    return [x, *last] if return_state else [x]


def _recall(part: Layer, count: int) -> InitialStates:
    """The states after the last call."""
    return lambda shape: [part.recall(f"state_{i}", shape) for i in range(count)]


def _remember(part: Layer, states: Sequence[Value]) -> None:
    for i, state in enumerate(states):
        part.remember(f"state_{i}", state)


def _take(states: Iterator[Value], count: int) -> InitialStates:
    """The next of the initial states; zeros if there are none."""

    def take(shape: Shape) -> list[Value | None]:
        return [next(states, None) for _ in range(count)]

    return take


@rule("StackedRNNCells", *CELLS)
def cell(layer: Layer, inputs: Value, states: Any) -> list[Value]:
    """One step: the output, then the new states."""
    x = layer.emit(kernels.get_item, inputs, index=(slice(None), None))
    return _run(layer, x, None, list(leaves(states, Value)), return_sequences=False, return_state=True)


@rule("Bidirectional")
def bidirectional(layer: Layer, sequences: Any, initial_state: Any = None, mask: Any = None) -> list[Value]:
    """Forwards and backwards; the two outputs are merged."""
    config = layer.held("forward_layer", layer.config.get("layer")).config
    return_sequences = config.flag("return_sequences", False)
    mode = layer.config.get("merge_mode", "concat") and layer.config.choice("merge_mode", (*MERGE, "concat"), "concat")
    x, states = _with_states(sequences, initial_state)
    half = len(states) // 2
    forth, *last_forth = _direction(layer, "forward_layer", x, states[:half], mask)
    back, *last_back = _direction(layer, "backward_layer", x, states[half:], mask)
    if return_sequences:
        back = layer.emit(np.flip, back, axis=1)
    if not return_sequences:
        layer.output_mask = None
    elif mode is None:
        layer.output_mask = [next(leaves(mask, Value), None)] * 2
    return [*_merge(layer, mode, forth, back), *last_forth, *last_back]


def _direction(layer: Layer, attribute: str, x: Value, states: list[Value], mask: Any) -> list[Value]:
    """The output and the last states of the inner layer at `attribute`.

    The backward layer is, by default, the forward layer with `go_backwards` inverted.
    """
    written = layer.config.get("layer")
    forward = layer.held("forward_layer", written).config
    changed: dict[str, Any] = {"zero_output_for_mask": forward.flag("return_sequences", False)}
    if attribute == "backward_layer":
        written = layer.config.get("backward_layer", None) or written
        changed["go_backwards"] = not forward.flag("go_backwards", False)
    kind = layer.held(attribute, written).kind
    if kind not in ("RNN", *LAYERS):
        raise UnsupportedModelError(f"no rule for the layer that it runs in both directions, {kind!a}")
    data = {**written, "config": {**written["config"], **changed}}
    results: list[Value] = layer.wrapped(attribute, data, x, initial_state=states, mask=mask)
    return results


def _merge(layer: Layer, mode: str | None, forth: Value, back: Value) -> list[Value]:
    if mode is None:
        return [forth, back]
    if mode == "concat":
        return [layer.emit(kernels.concatenate, forth, back)]
    y = layer.emit(MERGE[mode], forth, back)
    return [layer.emit(np.divide, y, 2.0) if mode == "ave" else y]
