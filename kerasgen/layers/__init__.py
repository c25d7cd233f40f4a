"""The rules: how each Keras layer and operation becomes calls of kernels."""

from kerasgen.layers import (
    activation,
    attention,
    conv,
    core,
    embedding,
    image,
    merge,
    norm,
    ops_core,
    ops_image,
    ops_index,
    ops_linalg,
    ops_make,
    ops_math,
    ops_nn,
    ops_reduce,
    ops_shape,
    ops_signal,
    pool,
    preprocessing,
    recurrent,
    resize,
    shape,
    tf_arrays,
    tf_nn,
    tf_ops,
    tf_raw,
    wrappers,
)
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES, rule
from kerasgen.layers.unsupported import UNSUPPORTED

__all__ = ["RULES", "UNSUPPORTED", "Layer", "rule"]

# Importing a family enters its rules in the table.
FAMILIES = (
    core,
    activation,
    conv,
    pool,
    norm,
    merge,
    attention,
    recurrent,
    embedding,
    wrappers,
    shape,
    resize,
    image,
    preprocessing,
    ops_math,
    ops_reduce,
    ops_shape,
    ops_index,
    ops_make,
    ops_nn,
    ops_core,
    ops_signal,
    ops_linalg,
    ops_image,
    tf_ops,
    tf_arrays,
    tf_nn,
    tf_raw,
)
