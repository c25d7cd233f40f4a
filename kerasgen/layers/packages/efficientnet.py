"""efficientnet: the layers of the package `efficientnet` that Keras lacks."""

from __future__ import annotations

from kerasgen import kernels
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import package_rule


@package_rule("FixedDropout", keys="rate noise_shape seed")
def fixed_dropout(layer: Layer, x: Value) -> Value:
    """Dropout, which does nothing once a model is trained. The package's swish is Keras's own activation."""
    return layer.emit(kernels.identity, x)
