"""Activations."""

from __future__ import annotations

from keras import layers as L
from keras import ops

from cases.table import IMAGE, VECTOR, row

ACTIVATIONS = """
    linear relu relu6 leaky_relu elu selu sigmoid tanh softmax softplus softsign silu swish hard_sigmoid hard_silu
    hard_swish gelu exponential log_softmax mish celu hard_shrink hard_tanh log_sigmoid soft_shrink sparse_plus
    sparse_sigmoid sparsemax squareplus tanh_shrink
"""
for _name in ACTIVATIONS.split():
    row(f"activation {_name}", IMAGE, L.Activation(_name))
    row(f"activation {_name} large", VECTOR, lambda x, name=_name: L.Activation(name)(L.Rescaling(20.0)(x)))
row("relu layer", IMAGE, L.ReLU())
row("relu layer ceiling", IMAGE, L.ReLU(max_value=6.0))
row("relu layer ceiling 1", IMAGE, L.ReLU(max_value=1.0))
row("relu layer slope", IMAGE, L.ReLU(negative_slope=0.2))
row("relu layer all", IMAGE, L.ReLU(max_value=1.5, negative_slope=0.3, threshold=0.5))
row("leaky_relu layer", IMAGE, L.LeakyReLU())
row("leaky_relu layer slope", IMAGE, L.LeakyReLU(negative_slope=0.05))
row("prelu", IMAGE, L.PReLU())
row("prelu shared", IMAGE, L.PReLU(shared_axes=[1, 2]))
row("prelu shared any size", (None, None, 3), L.PReLU(shared_axes=[1, 2]))
row("elu layer", IMAGE, L.ELU(alpha=0.7))
row("softmax layer", IMAGE, L.Softmax())
row("softmax layer axis", IMAGE, L.Softmax(axis=1))
row("softmax layer axes", IMAGE, L.Softmax(axis=(1, 2)))
# Keras expects every activation to keep the shape; sums hide that glu does not.
row("activation glu", (9, 10, 4), lambda x: ops.sum(L.Activation("glu")(x), axis=-1))
row("activation glu large", (8,), lambda x: ops.sum(L.Activation("glu")(L.Rescaling(20.0)(x)), axis=-1))
row("dense glu", VECTOR, lambda x: ops.sum(L.Dense(6, activation="glu")(x), axis=-1))
row("conv2d sparsemax", IMAGE, L.Conv2D(4, 3, activation="sparsemax"))
row("conv2d squareplus", IMAGE, L.Conv2D(4, 3, activation="squareplus"))

# operations, with their own settings
row("ops.celu", IMAGE, lambda x: ops.celu(x, alpha=0.6))
row("ops.glu", IMAGE, lambda x: ops.glu(x, axis=2))
row("ops.glu last", (3, 8), lambda x: ops.glu(x))
row("ops.hard_shrink", IMAGE, lambda x: ops.hard_shrink(x, threshold=1.2))
row("ops.hard_tanh", IMAGE, lambda x: ops.hard_tanh(x))
row("ops.log_sigmoid", IMAGE, lambda x: ops.log_sigmoid(x))
row("ops.log_softmax axis", IMAGE, lambda x: ops.log_softmax(x, axis=1))
row("ops.soft_shrink", IMAGE, lambda x: ops.soft_shrink(x, threshold=1.2))
row("ops.softmax all", IMAGE, lambda x: ops.softmax(x, axis=None), mixes=True)
row("ops.sparse_plus", IMAGE, lambda x: ops.sparse_plus(x))
row("ops.sparse_sigmoid", IMAGE, lambda x: ops.sparse_sigmoid(x))
row("ops.sparsemax", IMAGE, lambda x: ops.sparsemax(x))
row("ops.sparsemax axis", IMAGE, lambda x: ops.sparsemax(x, axis=1))
row("ops.squareplus", IMAGE, lambda x: ops.squareplus(x, b=0.7))
row("ops.tanh_shrink", IMAGE, lambda x: ops.tanh_shrink(x))
row("ops.threshold", IMAGE, lambda x: ops.threshold(x, 0.5, -2.5))
row("ops.threshold conv2d", IMAGE, lambda x: ops.threshold(L.Conv2D(4, 3)(x), 0.1, 0.0))
