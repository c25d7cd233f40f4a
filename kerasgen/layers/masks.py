"""Masks: which layers pass on the mask of their first input, according to Keras's `supports_masking`.

A rule that takes `mask` receives the mask of its input; one that changes the mask sets `layer.output_mask`. Keras 3
writes the masks of functional models as explicit tensors, which take precedence. A layer that is not listed here drops
the mask.
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
    """Whether a layer passes on the mask of its input, in this version of Keras."""
    return kind in (PASSES_ON_IN_KERAS_3 if keras_major >= 3 else PASSES_ON)


def merged_mask(layer: Layer, masks: Sequence[Value | None]) -> Value | None:
    """The mask of an elementwise merge: in Keras 3 the union, if all inputs have one; before, the intersection."""
    present = [mask for mask in masks if mask is not None]
    if not present or (layer.keras_major >= 3 and len(present) < len(masks)):
        return None
    result, *rest = present
    for mask in rest:
        result = layer.emit(np.logical_or if layer.keras_major >= 3 else np.logical_and, result, mask)
    return result


def joined_mask(layer: Layer, xs: Sequence[Value], masks: Sequence[Value | None], axis: int) -> Value | None:
    """The mask of a concatenation, True for inputs without one: whether any part counts, before Keras 3 all parts."""
    if all(mask is None for mask in masks):
        return None
    pairs = [item for pair in zip(xs, masks, strict=True) for item in pair]
    return layer.emit(kernels.joined_mask, *pairs, axis=axis, every=layer.keras_major < 3)
