"""Cells of recurrent layers: how each runs over all steps, and the cells of each layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Shape, Value
from kerasgen.layers.keras.activation import activation_kernel
from kerasgen.layers.keras.conv import CONV
from kerasgen.layers.layer import Layer
from kerasgen.layers.layout import window_pads

InitialStates = Callable[[Shape], Sequence[Value | None]]  # from the shape of each state; None stands for zeros


@dataclass(frozen=True)
class Cell:
    """A kind of cell.

    `run(layer, x, mask, initial_states, returns)` runs it over all steps of `x`; returns the output, then the last
    states if `returns` requests them. `name` is Keras's name for it in a list of cells.
    """

    run: Callable[[Layer, Value, Value | None, InitialStates, Mapping[str, Any]], list[Value]]
    name: str
    states: int


def _weights(cell: Layer, x: Value, gates: int, bias_shape: tuple[int, ...]) -> list[Value | None]:
    units = cell.config.integer("units")
    kernel = cell.weight("kernel", (x.shape[-1], gates * units))
    recurrent = cell.weight("recurrent_kernel", (units, gates * units))
    return [kernel, recurrent, cell.weight("bias", bias_shape) if cell.config.flag("use_bias", True) else None]


def _activations(cell: Layer) -> dict[str, Any]:
    """The functions of a cell with gates; configs of cuDNN layers omit them."""
    defaults = {"activation": "tanh", "recurrent_activation": "sigmoid"}
    return {key: activation_kernel(cell, cell.config.get(key, default)) for key, default in defaults.items()}


def _simple_rnn(
    cell: Layer, x: Value, mask: Value | None, states: InitialStates, returns: Mapping[str, Any]
) -> list[Value]:
    units = cell.config.integer("units")
    weights = _weights(cell, x, 1, (units,))
    activation = activation_kernel(cell, cell.config.get("activation", "tanh"))
    start = states((None, units))
    return cell.emit_many(kernels.simple_rnn, x, *weights, mask, *start, activation=activation, **returns)


def _lstm(cell: Layer, x: Value, mask: Value | None, states: InitialStates, returns: Mapping[str, Any]) -> list[Value]:
    units = cell.config.integer("units")
    weights = _weights(cell, x, 4, (4 * units,))
    return cell.emit_many(kernels.lstm, x, *weights, mask, *states((None, units)), **_activations(cell), **returns)


def _gru(cell: Layer, x: Value, mask: Value | None, states: InitialStates, returns: Mapping[str, Any]) -> list[Value]:
    units = cell.config.integer("units")
    reset_after = cell.config.flag("reset_after", cell.kind == "CuDNNGRU" or cell.keras_major >= 3)
    weights = _weights(cell, x, 3, (2, 3 * units) if reset_after else (3 * units,))
    settings = {**_activations(cell), "reset_after": reset_after, **returns}
    return cell.emit_many(kernels.gru, x, *weights, mask, *states((None, units)), **settings)


def _conv_lstm(
    cell: Layer, x: Value, mask: Value | None, states: InitialStates, returns: Mapping[str, Any]
) -> list[Value]:
    """The convolution of the inputs for all steps at once, then the loop."""
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


CELLS: Mapping[str, Cell] = {
    "SimpleRNNCell": Cell(_simple_rnn, "simple_rnn_cell", 1),
    "LSTMCell": Cell(_lstm, "lstm_cell", 2),
    "GRUCell": Cell(_gru, "gru_cell", 1),
}
# Layers with a single cell, which shares the layer's settings
LAYERS: Mapping[str, Cell] = {
    "SimpleRNN": CELLS["SimpleRNNCell"],
    "LSTM": CELLS["LSTMCell"],
    "GRU": CELLS["GRUCell"],
    "CuDNNLSTM": CELLS["LSTMCell"],
    "CuDNNGRU": CELLS["GRUCell"],
    **{f"ConvLSTM{rank}D": Cell(_conv_lstm, "conv_lstm_cell", 2) for rank in (1, 2, 3)},
}


def cells_of(layer: Layer) -> Iterator[tuple[Layer, Cell]]:
    """The cells of a layer or a stack of cells, each with the part of the layer that holds its weights.

    Raises UnsupportedModelError for a custom cell.
    """
    if layer.kind in LAYERS:
        yield layer.part("cell"), LAYERS[layer.kind]
    elif layer.kind in CELLS:
        yield layer, CELLS[layer.kind]
    elif layer.kind == "RNN":
        yield from cells_of(layer.held("cell", layer.config.get("cell")))
    elif layer.kind == "StackedRNNCells":
        for part in _stacked(layer):
            yield from cells_of(part)
    else:
        raise UnsupportedModelError(f"the cell {layer.kind!a} is custom code; supported: {', '.join(CELLS)}")


def _stacked(layer: Layer) -> Iterator[Layer]:
    """The parts of a stack of cells, under Keras's names: numbered if of the same kind."""
    configs = layer.config.get("cells")
    if not isinstance(configs, list) or not configs:
        raise InvalidModelError("its config has no list of cells")
    count: Counter[str] = Counter()
    for config in configs:
        kind = str(config.get("class_name")) if isinstance(config, Mapping) else ""
        name = CELLS[kind].name if kind in CELLS else "stacked_rnn_cells"
        yield layer.held(f"cells/{name}_{count[name]}" if count[name] else f"cells/{name}", config)
        count[name] += 1
