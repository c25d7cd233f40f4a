"""Activations."""

from __future__ import annotations

from keras import layers as L

from cases.table import IMAGE, VECTOR, row

ACTIVATIONS = """
    linear relu relu6 leaky_relu elu selu sigmoid tanh softmax softplus softsign silu swish hard_sigmoid hard_silu
    hard_swish gelu exponential log_softmax mish
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
