"""keras-tcn: temporal convolutional networks of the package `keras-tcn`."""

from __future__ import annotations

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.activation import activate
from kerasgen.layers.layer import Layer
from kerasgen.layers.packages.parts import apply, sort_weights, steps
from kerasgen.layers.registry import package_rule

BLOCK = "kernel_size padding activation dropout_rate"
NORMS = {  # the class, the list that holds it, and its name in there
    "use_batch_norm": ("BatchNormalization", "batch_norm_layers", "batch_normalization"),
    "use_layer_norm": ("LayerNormalization", "layer_norm_layers", "layer_normalization"),
}


@package_rule(
    "TCN",
    keys=f"nb_filters nb_stacks dilations use_skip_connections return_sequences {BLOCK}",
    optional="use_batch_norm use_layer_norm go_backwards return_state",
)
def tcn(layer: Layer, x: Value) -> Value:
    """Stacks of residual blocks of dilated convolutions; the last or the middle step, or all of them."""
    config = layer.config
    dilations = config.axes("dilations")
    filters = config.integers("nb_filters", len(dilations))
    if config.flag("go_backwards", False):
        x = layer.emit(np.flip, x, axis=1)
    skips = []
    for number in range(config.integer("nb_stacks", 1) * len(dilations)):
        index = number % len(dilations)
        block = layer.part(_block_attribute(layer, number))
        x, skip = _residual_block(block, x, filters[index], dilations[index])
        skips.append(skip)
    if config.flag("use_skip_connections", True):
        x = skips[0]
        for skip in skips[1:]:
            x = layer.emit(np.add, x, skip)
    if config.flag("return_sequences", False):
        return x
    step = steps(x) // 2 if config.choice("padding", ("causal", "same"), "causal") == "same" else -1
    return layer.emit(kernels.get_item, x, index=(slice(None), step))


@package_rule(
    "ResidualBlock",
    keys=f"dilation_rate nb_filters {BLOCK}",
    optional="use_batch_norm use_layer_norm",
)
def residual_block(layer: Layer, x: Value) -> tuple[Value, Value]:
    """One block by itself: its result, and what a TCN adds up."""
    return _residual_block(layer, x, layer.config.integer("nb_filters"), layer.config.integer("dilation_rate"))


def _block_attribute(layer: Layer, number: int) -> str:
    """Where a file of weights has a block: Keras 3 finds its name first, Keras 2 the list of all."""
    if layer.keras_major >= 3:
        return f"residual_block_{number}"
    return f"residual_blocks/residual_block_{number}" if number else "residual_blocks/residual_block"


def _residual_block(block: Layer, x: Value, filters: int, dilation: int) -> tuple[Value, Value]:
    """Two dilated convolutions; their result, with the input added and without.

    Keras 3 stores a part at the first of its attributes, by the alphabet, Keras 2 at the one that was set first; both
    count the normalisations first.
    """
    config = block.config
    norms = [norm for key, norm in NORMS.items() if config.flag(key, False)]
    if len(norms) > 1:
        raise InvalidModelError("it has two kinds of normalisation")
    convolution = {
        "filters": filters,
        "kernel_size": config.integer("kernel_size"),
        "dilation_rate": dilation,
        "padding": config.choice("padding", ("causal", "same"), "causal"),
    }
    new = block.keras_major >= 3
    y = x
    attributes = []
    for number in (0, 1):
        numbered = f"_{number}" if number else ""
        y = apply(block, f"conv1D_{number}" if new else f"layers/conv1d{numbered}", "Conv1D", y, convolution)
        for kind, held, name in norms:
            attributes.append(f"{held if new else 'layers'}/{name}{numbered}")
            y = apply(block, attributes[-1], kind, y, {})
        y = activate(block, y)
    y = activate(block, y)
    attributes += ["conv1D_0", "conv1D_1"] if new else ["layers/conv1d", "layers/conv1d_1"]
    if x.shape[-1] != filters:
        match = {"filters": filters, "kernel_size": 1, "padding": "same"}
        attributes.append("matching_conv1D" if new else "shape_match_conv")
        x = apply(block, attributes[-1], "Conv1D", x, match)
    sort_weights(block, attributes)
    return activate(block, block.emit(np.add, x, y)), y
