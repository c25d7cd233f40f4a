"""The rules: how each Keras layer and operation becomes calls of kernels."""

from kerasgen.layers import (
    activation,
    attention,
    conv,
    core,
    einsum_dense,
    merge,
    norm,
    ops_math,
    ops_shape,
    pool,
    resize,
    shape,
)
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES, rule

__all__ = ["RULES", "Layer", "rule"]

# Importing a family enters its rules in the table.
FAMILIES = (core, einsum_dense, activation, conv, pool, norm, merge, attention, shape, resize, ops_math, ops_shape)
