"""Operations."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from cases.table import IMAGE, VECTOR, row

OPERATIONS = """
    negative square absolute exp tanh relu relu6 elu selu gelu silu sigmoid hard_sigmoid hard_silu softplus softsign
    leaky_relu softmax log_softmax reciprocal
"""
for _name in OPERATIONS.split():
    row(f"ops.{_name}", IMAGE, getattr(ops, _name))
for _op in (ops.sqrt, ops.rsqrt, ops.log):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(ops.absolute(x) + 0.1))
for _op in (ops.add, ops.subtract, ops.multiply, ops.divide, ops.true_divide, ops.maximum, ops.minimum):
    row(f"ops.{_op.__name__}", [IMAGE, IMAGE], _op)
    row(f"ops.{_op.__name__} number", IMAGE, lambda x, op=_op: op(x, 0.7))
    row(f"ops.{_op.__name__} number first", IMAGE, lambda x, op=_op: op(0.7, x))
row("ops.power", IMAGE, lambda x: ops.power(x, 2.0))
row("ops.power of number", IMAGE, lambda x: ops.power(2.0, x))
row("ops operators", IMAGE, lambda x: (1.0 - x) * 3.0 / (ops.exp(x) + 1.0) - (-2.0) * x**2)
row("ops.add array", IMAGE, lambda x: x + np.arange(3, dtype="float32"))
row("ops.multiply by slice", IMAGE, lambda x: x * x[..., :1])
row("ops.clip", IMAGE, lambda x: ops.clip(x, -0.5, 0.3))
row("ops.leaky_relu slope", IMAGE, lambda x: ops.leaky_relu(x, negative_slope=0.1))
row("ops.elu alpha", IMAGE, lambda x: ops.elu(x, alpha=0.5))
row("ops.gelu exact", IMAGE, lambda x: ops.gelu(x, approximate=False))
row("ops.softmax axis", IMAGE, lambda x: ops.softmax(x, axis=1))
row("ops activation relu", IMAGE, lambda x: keras.activations.relu(x, negative_slope=0.1, max_value=0.9))
row("ops.get_item slices", IMAGE, lambda x: x[:, 1:-1, ::2])
row("ops.get_item number", IMAGE, lambda x: x[:, 2])
row("ops.get_item last", IMAGE, lambda x: x[..., -1])
row("ops.get_item new axis", VECTOR, lambda x: x[:, None, :, None])
row("ops.get_item backwards", IMAGE, lambda x: x[:, ::-1])
row("ops.reshape", IMAGE, lambda x: ops.reshape(x, (-1, 10, 27)))
row("ops.reshape batch first", IMAGE, lambda x: ops.reshape(x, (-1, 3)))
row("ops.transpose", IMAGE, lambda x: ops.transpose(x, (0, 3, 1, 2)))
row("ops.squeeze", (9, 1, 3), lambda x: ops.squeeze(x, axis=2))
row("ops.expand_dims", IMAGE, lambda x: ops.expand_dims(x, axis=-1))
row("ops.expand_dims two", VECTOR, lambda x: ops.expand_dims(x, axis=(1, 3)))
row("ops.concatenate", [IMAGE, IMAGE], lambda a, b: ops.concatenate([a, b], axis=2))
row("ops.stack", [IMAGE, IMAGE], lambda a, b: ops.stack([a, b], axis=1))
row("ops.split", (9, 10, 6), lambda x: ops.split(x, 3, axis=-1))
row("ops.split places", (9, 10, 6), lambda x: ops.split(x, [1, 4], axis=-1)[1])
row("ops.pad", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))))
row("ops.pad value", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=2.0))
row("ops.pad reflect", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 1), (0, 0)), mode="reflect"))
row("ops.pad symmetric", IMAGE, lambda x: ops.pad(x, ((0, 0), (1, 2), (3, 1), (0, 0)), mode="symmetric"))
row("ops.flip", IMAGE, lambda x: ops.flip(x, axis=2))
row("ops.tile", IMAGE, lambda x: ops.tile(x, (1, 2, 1, 3)))
row("ops.repeat", IMAGE, lambda x: ops.repeat(x, 2, axis=1))
for _op in (ops.mean, ops.sum, ops.max, ops.min, ops.var, ops.std, ops.prod):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(x, axis=(1, 2)))
    row(f"ops.{_op.__name__} keepdims", IMAGE, lambda x, op=_op: op(x, axis=-1, keepdims=True))
row("ops.matmul", [(4, 5), (5, 3)], ops.matmul)
row("ops.matmul transposed", [(4, 5), (4, 5)], lambda a, b: ops.matmul(a, ops.transpose(b, (0, 2, 1))))
row("ops.dot", (4, 5), lambda x: ops.dot(x, np.linspace(-1, 1, 15).reshape(5, 3).astype("float32")))
row("ops.einsum", [(4, 5), (5, 3)], lambda a, b: ops.einsum("bij,bjk->bki", a, b))
row("ops.tensordot", (4, 5), lambda x: ops.tensordot(x, np.linspace(-1, 1, 15).reshape(5, 3).astype("float32"), axes=1))
row("ops.cast", IMAGE, lambda x: ops.cast(x * 3.0, "int32"))
row("ops.stop_gradient", IMAGE, lambda x: ops.stop_gradient(x) + x)
for _op in (ops.equal, ops.not_equal, ops.greater, ops.greater_equal, ops.less, ops.less_equal):
    row(
        f"ops.{_op.__name__}",
        [VECTOR, VECTOR],
        lambda a, b, op=_op: op(ops.cast(a, "int32"), ops.cast(b, "int32")),
    )
row("ops.where", [VECTOR, VECTOR], lambda a, b: ops.where(a > b, a, b * 2.0))
row("ops.where numbers", VECTOR, lambda x: ops.where(x > 0.2, 1.0, -1.0))
row("ops.max_pool", IMAGE, lambda x: ops.max_pool(x, 2, strides=2, padding="same"))
row("ops.average_pool", IMAGE, lambda x: ops.average_pool(x, 3, strides=2, padding="same"))
_KERNEL = np.random.RandomState(1).standard_normal((3, 3, 3, 4)).astype("float32")
row("ops.conv", IMAGE, lambda x: ops.conv(x, _KERNEL, strides=2, padding="same"))
row("ops.depthwise_conv", IMAGE, lambda x: ops.depthwise_conv(x, _KERNEL, padding="same"))
row("ops.separable_conv", IMAGE, lambda x: ops.separable_conv(x, _KERNEL, np.ones((1, 1, 12, 2), "float32")))
row(
    "ops.conv_transpose",
    IMAGE,
    lambda x: ops.conv_transpose(x, _KERNEL.transpose(0, 1, 3, 2), 2, "same"),
    # The operation's node swaps two of its settings (keras/src/ops/nn.py, 3.15); called on arrays it is right.
    answer=lambda x: ops.conv_transpose(x, _KERNEL.transpose(0, 1, 3, 2), 2, "same"),
)
row("ops.batch_normalization", IMAGE, lambda x: ops.batch_normalization(x, np.ones(3, "f"), np.full(3, 2.0, "f"), -1))
row("ops.layer_normalization", IMAGE, lambda x: ops.layer_normalization(x, np.full(3, 2.0, "f"), np.ones(3, "f")))
row("ops.rms_normalization", IMAGE, lambda x: ops.rms_normalization(x, np.full(3, 2.0, "f")))
row("ops.depth_to_space", (4, 5, 8), lambda x: ops.depth_to_space(x, 2))
row("ops.space_to_depth", (4, 6, 3), lambda x: ops.space_to_depth(x, 2))
for _name in ("nearest", "bilinear", "bicubic", "lanczos3"):
    row(f"ops.resize {_name}", IMAGE, lambda x, how=_name: ops.image.resize(x, (13, 7), interpolation=how))
row("ops.resize antialias", IMAGE, lambda x: ops.image.resize(x, (5, 4), antialias=True))
row("ops.resize crop", IMAGE, lambda x: ops.image.resize(x, (5, 4), crop_to_aspect_ratio=True))
row("ops.resize pad", IMAGE, lambda x: ops.image.resize(x, (12, 7), pad_to_aspect_ratio=True, fill_value=0.5))
row("ops.resize any size", (None, None, 3), lambda x: ops.image.resize(x, (5, 4)))
