"""The rules: how each Keras layer and operation becomes kernel calls."""

from kerasgen.layers.functions import emit as functions
from kerasgen.layers.functions import keras_backend_nn
from kerasgen.layers.keras import (
    activation,
    attention,
    conv,
    core,
    embedding,
    image,
    merge,
    norm,
    old,
    pool,
    preprocessing,
    recurrent,
    resize,
    shape,
    wrappers,
)
from kerasgen.layers.layer import Layer
from kerasgen.layers.ops import core as ops_core
from kerasgen.layers.ops import image as ops_image
from kerasgen.layers.ops import index as ops_index
from kerasgen.layers.ops import linalg as ops_linalg
from kerasgen.layers.ops import make as ops_make
from kerasgen.layers.ops import math as ops_math
from kerasgen.layers.ops import nn as ops_nn
from kerasgen.layers.ops import reduce as ops_reduce
from kerasgen.layers.ops import shape as ops_shape
from kerasgen.layers.ops import signal as ops_signal
from kerasgen.layers.packages import (
    efficientnet,
    keras_contrib,
    keras_hub,
    keras_self_attention,
    keras_tcn,
    tensorflow_addons,
)
from kerasgen.layers.registry import RULES, rule
from kerasgen.layers.tf import arrays as tf_arrays
from kerasgen.layers.tf import nn as tf_nn
from kerasgen.layers.tf import ops as tf_ops
from kerasgen.layers.tf import raw as tf_raw
from kerasgen.layers.unsupported import UNSUPPORTED

__all__ = ["RULES", "UNSUPPORTED", "Layer", "rule"]

# Importing a family registers its rules.
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
    old,
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
    efficientnet,
    keras_contrib,
    keras_hub,
    keras_self_attention,
    keras_tcn,
    tensorflow_addons,
    functions,
    keras_backend_nn,
)
