"""Recurrent layers: simple, LSTM, GRU and convolutional, alone, stacked and in both directions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Shape, Value
from kerasgen.layers.keras.activation import activation_kernel
from kerasgen.layers.keras.conv import CONV
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import is_channels_first, window_pads
from kerasgen.layers.registry import rule
from kerasgen.readers.model import leaves

States = Callable[[Shape], Sequence[Value | None]]  # the states to start with, by the shape that they must have
Cell = Callable[[Layer, Value, Value | None, States, Mapping[str, Any]], list[Value]]

# Along the last axis: they tell where the channels are.
ALONG_CHANNELS = ("softmax", "log_softmax", "glu", "sparsemax")


def _weights(cell: Layer, x: Value, gates: int, bias_shape: tuple[int, ...]) -> list[Value | None]:
    units = cell.config.integer("units")
    kernel = cell.weight("kernel", (x.shape[-1], gates * units))
    recurrent = cell.weight("recurrent_kernel", (units, gates * units))
    return [kernel, recurrent, cell.weight("bias", bias_shape) if cell.config.flag("use_bias", True) else None]


def _activations(cell: Layer) -> dict[str, Any]:
    """The functions of a cell with gates; a config for cuDNN leaves them out."""
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    return {key: activation_kernel(cell, cell.config.get(key, default)) for key, default in defaults.items()}


def _simple_rnn(cell: Layer, x: Value, mask: Value | None, states: States, returns: Mapping[str, Any]) -> list[Value]:
    units = cell.config.integer("units")
    weights = _weights(cell, x, 1, (units,))
    activation = activation_kernel(cell, cell.config.get("activation", "tanh"))
    start = states((None, units))
    return cell.emit_many(kernels.simple_rnn, x, *weights, mask, *start, activation=activation, **returns)


def _lstm(cell: Layer, x: Value, mask: Value | None, states: States, returns: Mapping[str, Any]) -> list[Value]:
    units = cell.config.integer("units")
    weights = _weights(cell, x, 4, (4 * units,))
    return cell.emit_many(kernels.lstm, x, *weights, mask, *states((None, units)), **_activations(cell), **returns)


def _gru(cell: Layer, x: Value, mask: Value | None, states: States, returns: Mapping[str, Any]) -> list[Value]:
    units = cell.config.integer("units")
    reset_after = cell.config.flag("reset_after", cell.kind == "CuDNNGRU" or cell.keras_major >= 3)
    weights = _weights(cell, x, 3, (2, 3 * units) if reset_after else (3 * units,))
    settings = {**_activations(cell), "reset_after": reset_after, **returns}
    return cell.emit_many(kernels.gru, x, *weights, mask, *states((None, units)), **settings)


def _conv_lstm(cell: Layer, x: Value, mask: Value | None, states: States, returns: Mapping[str, Any]) -> list[Value]:
    """The inputs' convolution for all steps at once, then the loop."""
    config, rank = cell.config, len(x.shape) - 3
    if rank not in CONV:
        raise InvalidModelError(f"a series of images cannot have {len(x.shape)} axes")
    filters, size = config.integer("filters"), config.integers("kernel_size", rank)
    strides, dilation = config.integers("strides", rank, 1), config.integers("dilation_rate", rank, 1)
    kernel = cell.weight("kernel", (*size, x.shape[-1], 4 * filters))
    recurrent = cell.weight("recurrent_kernel", (*size, filters, 4 * filters))
    bias = cell.weight("bias", (4 * filters,)) if config.flag("use_bias", True) else None
    merged = cell.emit(kernels.merge_steps, x)
    pad = window_pads(merged, config.choice("padding", ("valid", "same"), "valid"), size, strides, dilation)
    y = cell.emit(CONV[rank], merged, kernel, bias, strides=strides, dilation=dilation, pad=pad)
    y = cell.emit(kernels.split_steps, y, x)
    start = states((None, *y.shape[2:-1], filters))
    return cell.emit_many(kernels.conv_lstm, y, recurrent, mask, *start, **_activations(cell), **returns)


MOST_STEPS = 100_000
# How a cell runs over all steps, its name in a list of cells, and the number of its states
CELLS: Mapping[str, tuple[Cell, str, int]] = {
    "SimpleRNNCell": (_simple_rnn, "simple_rnn_cell", 1),
    "LSTMCell": (_lstm, "lstm_cell", 2),
    "GRUCell": (_gru, "gru_cell", 1),
}
# Layers that are one cell, whose settings are the layer's own
LAYERS: Mapping[str, tuple[Cell, str, int]] = {
    "SimpleRNN": CELLS["SimpleRNNCell"],
    "LSTM": CELLS["LSTMCell"],
    "GRU": CELLS["GRUCell"],
    "CuDNNLSTM": CELLS["LSTMCell"],
    "CuDNNGRU": CELLS["GRUCell"],
    **{f"ConvLSTM{rank}D": (_conv_lstm, "conv_lstm_cell", 2) for rank in (1, 2, 3)},
}


def _cells(layer: Layer) -> Iterator[tuple[Layer, Cell, int]]:
    """The cells that a layer or a stack of cells consists of."""
    if layer.kind in LAYERS or layer.kind in CELLS:
        run, _, count = {**LAYERS, **CELLS}[layer.kind]
        yield layer.part("cell") if layer.kind in LAYERS else layer, run, count
    elif layer.kind == "RNN":
        yield from _cells(layer.held("cell", layer.config.get("cell")))
    elif layer.kind == "StackedRNNCells":
        seen: Counter[str] = Counter()
        cells = layer.config.get("cells")
        if not isinstance(cells, list) or not cells:
            raise InvalidModelError("its config has no list of cells")
        for written in cells:
            kind = str(written.get("class_name")) if isinstance(written, Mapping) else ""
            name = CELLS[kind][1] if kind in CELLS else "stacked_rnn_cells"
            yield from _cells(layer.held(f"cells/{name}_{seen[name]}" if seen[name] else f"cells/{name}", written))
            seen[name] += 1
    else:
        raise UnsupportedModelError(f"the cell {layer.kind!a} is code of its own; known: {', '.join(CELLS)}")


def _run(
    layer: Layer,
    x: Value,
    mask: Value | None,
    given: Sequence[Value],
    *,
    return_sequences: bool,
    return_state: bool,
    stateful: bool = False,
    zero_output_for_mask: bool = False,
) -> list[Value]:
    """The output and the last states of one cell after the other: a stack of cells equals a stack of layers."""
    cells = list(_cells(layer))
    if x.shape[1] is not None and x.shape[1] > MOST_STEPS:
        raise UnsupportedModelError(f"{x.shape[1]} steps; more than {MOST_STEPS} are not run one after the other")
    if given and len(given) != sum(count for _, _, count in cells):
        raise InvalidModelError(f"is given {len(given)} states, not {sum(count for _, _, count in cells)}")
    pending, last = iter(given), []
    for number, (cell, run, count) in enumerate(cells, start=1):

        def start(shape: Shape, cell: Layer = cell, count: int = count) -> list[Value | None]:
            if stateful and not given:
                return [cell.recall(f"state_{i}", shape) for i in range(count)]
            return [next(pending, None) for _ in range(count)]

        returns = {
            "return_sequences": return_sequences or number < len(cells),
            "return_state": return_state or stateful,
            "zero_output_for_mask": zero_output_for_mask and mask is not None and number == len(cells),
        }
        x, *states = run(cell, x, mask, start, {key: True for key, wanted in returns.items() if wanted})
        for i, state in enumerate(states):
            if stateful:
                cell.remember(f"state_{i}", state)
        last += states
    return [x, *last] if return_state else [x]


@rule("RNN", *LAYERS)
def recurrent(layer: Layer, sequences: Any, initial_state: Any = None, mask: Any = None) -> list[Value]:
    """Step by step, forwards or backwards; a step that the mask leaves out changes nothing."""
    x, *given = leaves(sequences, Value)  # before Keras 3, the states come in one list with the sequences
    given = given or list(leaves(initial_state, Value))
    mask = next(leaves(mask, Value), None)
    config = layer.config
    flags = ("return_sequences", "return_state", "stateful", "zero_output_for_mask")
    settings = {flag: config.flag(flag, False) for flag in flags}
    if config.get("time_major", False):
        raise UnsupportedModelError("time_major: the first axis is not the batch")
    zeroed = None
    if config.flag("go_backwards", False):
        if config.flag("unroll", False) and settings["return_sequences"] and settings["zero_output_for_mask"]:
            zeroed, settings["zero_output_for_mask"] = mask, False  # the mask as it is: no Keras turns it round here
        x = layer.emit(np.flip, x, axis=1)
        mask = mask and layer.emit(np.flip, mask, axis=1)
    if not settings["return_sequences"]:
        layer.output_mask = None
    made = (_run_channels_first if is_channels_first(layer) else _run)(layer, x, mask, given, **settings)
    return made if zeroed is None else [layer.emit(kernels.masked, made[0], zeroed), *made[1:]]


def _run_channels_first(
    layer: Layer, x: Value, mask: Value | None, given: Sequence[Value], **settings: bool
) -> list[Value]:
    config = layer.config
    if any(config.get(key, "") in ALONG_CHANNELS for key in ("activation", "recurrent_activation")):
        raise UnsupportedModelError("an activation along the last axis, where the channels are first")
    rank = len(x.shape) - 3
    x = layer.emit(np.moveaxis, x, source=2, destination=-1)
    given = [layer.emit(kernels.channels_last, state) for state in given]
    made = _run(layer, x, mask, given, **settings)
    return [layer.emit(np.moveaxis, y, source=-1, destination=len(y.shape) - rank - 1) for y in made]


@rule("StackedRNNCells", *CELLS)
def cell(layer: Layer, inputs: Value, states: Any) -> list[Value]:
    """One step: the output, then the new states."""
    x = layer.emit(kernels.get_item, inputs, index=(slice(None), None))
    return _run(layer, x, None, list(leaves(states, Value)), return_sequences=False, return_state=True)


MERGE: Mapping[str, Callable[..., Any]] = {"sum": np.add, "mul": np.multiply, "ave": np.add}


@rule("Bidirectional")
def bidirectional(layer: Layer, sequences: Any, initial_state: Any = None, mask: Any = None) -> list[Value]:
    """Forwards and backwards, the two outputs merged."""
    written = layer.config.get("layer")
    forward = layer.held("forward_layer", written).config
    sequence = forward.flag("return_sequences", False)
    mode = layer.config.get("merge_mode", "concat") and layer.config.choice("merge_mode", (*MERGE, "concat"), "concat")
    x, *given = leaves(sequences, Value)
    given = given or list(leaves(initial_state, Value))
    directions = {
        "forward_layer": (written, given[: len(given) // 2], {}),
        "backward_layer": (
            layer.config.get("backward_layer", None) or written,
            given[len(given) // 2 :],
            {"go_backwards": not forward.flag("go_backwards", False)},
        ),
    }
    outputs, last = [], []
    for attribute, (data, states, changed) in directions.items():
        kind = layer.held(attribute, data).kind
        if kind not in ("RNN", *LAYERS):
            raise UnsupportedModelError(f"no rule for the layer that it runs in both directions, {kind!a}")
        data = {**data, "config": {**data["config"], "zero_output_for_mask": sequence, **changed}}
        y, *after = layer.wrapped(attribute, data, x, initial_state=states, mask=mask)
        outputs.append(y)
        last += after
    if sequence:
        outputs[1] = layer.emit(np.flip, outputs[1], axis=1)
    first_mask = next(leaves(mask, Value), None)
    if not sequence:
        layer.output_mask = None
    elif mode is None:
        layer.output_mask = [first_mask, first_mask]
    if mode == "concat":
        outputs = [layer.emit(kernels.concatenate, *outputs)]
    elif mode is not None:
        outputs = [layer.emit(MERGE[mode], *outputs)]
    if mode == "ave":
        outputs = [layer.emit(np.divide, outputs[0], 2.0)]
    return [*outputs, *last]
