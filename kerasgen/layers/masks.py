"""Masks: which layers hand the mask of their first input on, as Keras's `supports_masking` says.

A rule that takes `mask` is given the mask of its input; one that makes another mask sets `layer.output_mask`. Keras 3
writes the masks of functional models out as tensors of their own, and those come first. A layer that is not listed
here ends the mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kerasgen import kernels
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer

PASSES_ON = frozenset("""
    Activation ActivityRegularization AlphaDropout BatchNormalization Bidirectional ConvLSTM1D ConvLSTM2D ConvLSTM3D
    CuDNNGRU CuDNNLSTM Dense Dropout ELU GRU GaussianDropout GaussianNoise GroupNormalization LSTM LayerNormalization
    LeakyReLU PReLU RNN ReLU SimpleRNN Softmax SpatialDropout1D SpatialDropout2D SpatialDropout3D ThresholdedReLU
    TimeDistributed UnitNormalization
    """.split())
PASSES_ON_IN_KERAS_3 = PASSES_ON | {"Identity", "Normalization", "Rescaling"}


def passes_on(kind: str, keras_major: int) -> bool:
    """Whether a layer's output has the mask of its input, in this Keras."""
    return kind in (PASSES_ON_IN_KERAS_3 if keras_major >= 3 else PASSES_ON)


def merged_mask(layer: Layer, masks: Sequence[Value | None]) -> Value | None:
    """The mask of a sum and the like: in Keras 3 on where any is, if all inputs have one; before, where all are on."""
    known = [mask for mask in masks if mask is not None]
    if not known or (layer.keras_major >= 3 and len(known) < len(masks)):
        return None
    result, *rest = known
    for mask in rest:
        result = layer.emit(np.logical_or if layer.keras_major >= 3 else np.logical_and, result, mask)
    return result


def joined_mask(layer: Layer, xs: Sequence[Value], masks: Sequence[Value | None], axis: int) -> Value | None:
    """The mask of a concatenation: what has no mask counts as on; of each step any part is on, before Keras 3 all."""
    if all(mask is None for mask in masks):
        return None
    pairs = [item for pair in zip(xs, masks, strict=True) for item in pair]
    return layer.emit(kernels.joined_mask, *pairs, axis=axis, every=layer.keras_major < 3)
