"""Nodes of TensorFlow's graph, as TensorFlow 2.0 to 2.3 stored functions: each answers as tf_keras does.

tf_keras still loads and runs the layers that hold such nodes, but no longer makes them: these tests do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from support import relative_error, save
from tf_keras.src.engine.base_layer import TensorFlowOpLayer

from kerasgen.builder import build
from kerasgen.layers import RULES
from kerasgen.passes import optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat

SHAPES = {"x": (4, 3), "y": (4, 3), "u": (4, 3), "image": (8, 9, 4), "volume": (4, 5, 6, 2)}
RANGES = {"u": (0.1, 0.9)}
RANDOM = np.random.RandomState(1)
KERNEL = RANDOM.standard_normal((3, 3, 4, 2)).astype("float32")
KERNEL_3D = RANDOM.standard_normal((2, 2, 3, 2, 2)).astype("float32")
PADDINGS = [0, 0, 1, 2, 0, 1, 0, 0]
VECTOR = np.array([0.5, 2.0, 1.0, 1.5], "float32")
TABLE = np.arange(10, dtype="float32").reshape(5, 2)

# One expression a line, of nodes named as in TensorFlow's graph: `R.Acos(x=u)` is the node Acos.
ROWS = list(filter(None, map(str.strip, """
    R.Abs(x=x)
    R.Acos(x=u)
    R.Acosh(x=R.AddV2(x=u, y=1.0))
    R.Add(x=x, y=y)
    R.AddN(inputs=[x, y, x])
    R.AddV2(x=x, y=[1.0, 2.0, 3.0])
    R.All(input=R.Greater(x=x, y=-2.0), axis=1, keep_dims=True)
    R.Any(input=R.Greater(x=x, y=2.0), axis=[1, 2])
    R.ArgMax(input=x, dimension=2)
    R.ArgMin(input=x, dimension=1, output_type=tf.int32)
    R.Asin(x=u)
    R.Asinh(x=x)
    R.Atan(x=x)
    R.Atan2(y=x, x=y)
    R.Atanh(x=u)
    R.AvgPool(value=image, ksize=[1, 3, 2, 1], strides=[1, 2, 2, 1], padding="SAME")
    R.AvgPool3D(input=volume, ksize=[1, 2, 3, 2, 1], strides=[1, 1, 2, 2, 1], padding="SAME")
    R.BatchMatMul(x=x, y=y, adj_y=True)
    R.BatchMatMulV2(x=x, y=y, adj_x=True)
    R.BiasAdd(value=x, bias=[1.0, 2.0, 3.0])
    R.BroadcastTo(input=R.Sum(input=x, axis=[0]), shape=[2, 4, 3])
    R.Cast(x=x, DstT=tf.int32)
    R.Ceil(x=x)
    R.ClipByValue(t=x, clip_value_min=-1.0, clip_value_max=0.5)
    R.Concat(concat_dim=1, values=[x, y])
    R.ConcatV2(values=[x, y], axis=-1)
    R.Conv2D(input=image, filter=KERNEL, strides=[1, 2, 1, 1], padding="SAME")
    R.Conv2D(input=image, filter=KERNEL, strides=[1] * 4, padding="EXPLICIT", explicit_paddings=PADDINGS)
    R.Conv3D(input=volume, filter=KERNEL_3D, strides=[1, 1, 2, 1, 1], padding="VALID")
    R.Cos(x=x)
    R.Cosh(x=x)
    R.Cumprod(x=x, axis=1)
    R.Cumsum(x=x, axis=2, reverse=True)
    R.DepthToSpace(input=image, block_size=2)
    R.DepthwiseConv2dNative(input=image, filter=KERNEL, strides=[1, 1, 1, 1], padding="VALID")
    R.Div(x=x, y=y)
    R.DivNoNan(x=x, y=R.Relu(features=y))
    R.Einsum(inputs=[x, y], equation="bij,bkj->bik")
    R.Elu(features=x)
    R.Equal(x=R.Round(x=x), y=R.Round(x=y))
    R.Erf(x=x)
    R.Erfc(x=x)
    R.Exp(x=x)
    R.ExpandDims(input=x, axis=1)
    R.Expm1(x=x)
    R.Mul(x=R.Fill(dims=R.Shape(input=y), value=2.0), y=x)
    R.Floor(x=x)
    R.FloorDiv(x=x, y=y)
    R.FloorMod(x=x, y=y)
    R.FusedBatchNorm(x=image, scale=VECTOR, offset=VECTOR, mean=VECTOR, variance=VECTOR, is_training=False)[0]
    R.FusedBatchNormV3(x=image, scale=VECTOR, offset=VECTOR, mean=VECTOR, variance=VECTOR, is_training=False)[0]
    R.Gather(params=TABLE, indices=R.Cast(x=R.Abs(x=x), DstT=tf.int32))
    R.GatherV2(params=x, indices=[2, 0], axis=2)
    R.Greater(x=x, y=y)
    R.GreaterEqual(x=R.Round(x=x), y=R.Round(x=y))
    R.Identity(input=x)
    R.Inv(x=u)
    R.IsFinite(x=R.Div(x=x, y=R.Relu(features=y)))
    R.IsInf(x=R.Div(x=x, y=R.Relu(features=y)))
    R.IsNan(x=R.Sqrt(x=x))
    R.LRN(input=image, depth_radius=1, bias=2.0, alpha=0.1, beta=0.75)
    R.LeakyRelu(features=x, alpha=0.3)
    R.Less(x=x, y=y)
    R.LessEqual(x=R.Round(x=x), y=R.Round(x=y))
    R.Log(x=u)
    R.Log1p(x=u)
    R.LogSoftmax(logits=x)
    R.LogicalAnd(x=R.Greater(x=x, y=0.0), y=R.Greater(x=y, y=0.0))
    R.LogicalNot(x=R.Greater(x=x, y=0.0))
    R.LogicalOr(x=R.Greater(x=x, y=0.0), y=R.Greater(x=y, y=0.0))
    R.MatMul(a=R.Reshape(tensor=x, shape=[-1, 12]), b=R.Reshape(tensor=y, shape=[-1, 12]), transpose_b=True)
    R.MatMul(a=R.Reshape(tensor=x, shape=[-1, 4]), b=KERNEL[0, 0])
    R.Max(input=x, axis=1)
    R.MaxPool(input=image, ksize=[1, 2, 2, 1], strides=[1, 2, 1, 1], padding="VALID")
    R.MaxPool3D(input=volume, ksize=[1, 2, 2, 2, 1], strides=[1, 2, 1, 2, 1], padding="SAME")
    R.Maximum(x=x, y=y)
    R.Mean(input=image, axis=[1, 2], keep_dims=True)
    R.Min(input=x, axis=-1)
    R.Minimum(x=x, y=0.2)
    R.MirrorPad(input=x, paddings=[[0, 0], [1, 1], [0, 2]], mode="REFLECT")
    R.Mul(x=2.0, y=x)
    R.Neg(x=x)
    R.NotEqual(x=R.Round(x=x), y=R.Round(x=y))
    R.OneHot(indices=R.Cast(x=R.Abs(x=x), DstT=tf.int32), depth=3, on_value=2.0, off_value=-1.0, axis=1)
    R.OnesLike(x=x)
    R.Pack(values=[x, y], axis=1)
    R.Pad(input=x, paddings=[[0, 0], [1, 1], [0, 2]])
    R.PadV2(input=x, paddings=[[0, 0], [1, 1], [0, 2]], constant_values=3.0)
    R.Pow(x=u, y=2.5)
    R.Prod(input=x, axis=1)
    R.Mul(x=x, y=R.Cast(x=R.Range(start=0, limit=tf.shape(x)[2], delta=1), DstT=tf.float32))
    R.Cast(x=R.Rank(input=x), DstT=tf.float32)
    R.RealDiv(x=x, y=y)
    R.Reciprocal(x=u)
    R.Relu(features=x)
    R.Relu6(features=R.Mul(x=x, y=4.0))
    R.Reshape(tensor=x, shape=[-1, 2, 6])
    R.ResizeBilinear(images=image, size=[5, 13], half_pixel_centers=True)
    R.ResizeBilinear(images=image, size=[5, 13], align_corners=True)
    R.ResizeNearestNeighbor(images=image, size=[16, 4])
    R.ReverseV2(tensor=x, axis=[2])
    R.Rint(x=R.Mul(x=x, y=2.0))
    R.Roll(input=x, shift=1, axis=2)
    R.Round(x=R.Mul(x=x, y=2.0))
    R.Rsqrt(x=u)
    R.Select(condition=R.Greater(x=x, y=0.0), x=x, y=y)
    R.SelectV2(condition=R.Greater(x=x, y=0.0), t=x, e=0.0)
    R.Selu(features=x)
    R.Reshape(tensor=R.Mul(x=x, y=2.0), shape=R.Shape(input=y))
    R.Sigmoid(x=x)
    R.Sign(x=x)
    R.Sin(x=x)
    R.Sinh(x=x)
    R.Cast(x=R.Size(input=x), DstT=tf.float32)
    R.Slice(input=x, begin=[0, 1, 0], size=[-1, 2, 3])
    R.Softmax(logits=x)
    R.Softplus(features=x)
    R.Softsign(features=x)
    R.SpaceToDepth(input=image[:, :, :8], block_size=2)
    R.Split(axis=1, value=x, num_split=2)
    R.SplitV(value=x, size_splits=[1, 3], axis=1, num_split=2)
    R.Sqrt(x=u)
    R.Square(x=x)
    R.SquaredDifference(x=x, y=y)
    R.Squeeze(input=R.Sum(input=x, axis=1, keep_dims=True), axis=[1])
    R.StopGradient(input=x)
    R.StridedSlice(input=x, begin=[0, 3], end=[0, 0], strides=[1, -1], begin_mask=1, end_mask=1)
    R.StridedSlice(input=x, begin=[0, 1], end=[0, 2], strides=[1, 1], begin_mask=1, end_mask=1, shrink_axis_mask=2)
    R.Sub(x=x, y=y)
    R.Sum(input=x, axis=[1, 2])
    R.Tan(x=x)
    R.Tanh(x=x)
    R.Tile(input=x, multiples=[1, 2, 1])
    R.TopKV2(input=x, k=2)
    R.Transpose(x=x, perm=[0, 2, 1])
    R.Unpack(value=x, num=4, axis=1)
    R.ZerosLike(x=x)
    """.splitlines())))  # fmt: skip


def nodes_of(expression: str) -> tuple[list[str], tf.Graph, list[Any]]:
    """The names of the inputs, TensorFlow's graph and its results."""
    code = compile(expression, expression, "eval")
    names = [name for name in SHAPES if name in code.co_names]
    with tf.Graph().as_default() as graph:
        inputs = {name: tf.compat.v1.placeholder("float32", (None, *SHAPES[name]), name) for name in names}
        made = eval(code, {**globals(), "R": tf.raw_ops}, inputs)
    return names, graph, list(made) if isinstance(made, (list, tuple)) else [made]


def model_of(expression: str) -> Any:
    """A layer for each node; constants are the layer's own."""
    tf_keras.backend.clear_session()
    names, graph, results = nodes_of(expression)
    made = {f"{name}:0": tf_keras.Input(SHAPES[name], name=name) for name in names}
    for node in graph.get_operations():
        if node.type in ("Placeholder", "Const"):
            continue
        constants = {i: tf.get_static_value(t) for i, t in enumerate(node.inputs) if t.op.type == "Const"}
        layer = TensorFlowOpLayer(node.node_def.SerializeToString(), node.name.replace("/", "_"), constants)
        tensors = [made[tensor.name] for tensor in node.inputs if tensor.op.type != "Const"]
        outputs = layer(tensors if len(tensors) > 1 else tensors[0])
        made.update(zip([tensor.name for tensor in node.outputs], flat(outputs), strict=True))
    return tf_keras.Model([made[f"{name}:0"] for name in names], [made[tensor.name] for tensor in results])


@pytest.mark.parametrize("expression", ROWS)
def test_node(expression: str, tmp_path: Path) -> None:
    model = model_of(expression)
    random = np.random.RandomState(3)
    arrays = [
        random.uniform(*RANGES.get(tensor.name, (-3, 3)), (5, *tensor.shape[1:])).astype("float32")
        for tensor in model.inputs
    ]
    expected = [np.asarray(y) for y in flat(model(arrays if len(arrays) > 1 else arrays[0]))]
    graph = build(read(save(model, tmp_path / "model.h5"))).bind()
    for each in (graph, optimize(graph)):
        with np.errstate(all="ignore"):  # some rows ask for what is infinite, or not a number
            results = each.run(*arrays)
        for result, wanted in zip(results, expected, strict=True):
            assert result.dtype == wanted.dtype
            assert relative_error(result, wanted) <= 1e-5


def test_every_node_has_a_row() -> None:
    kinds = {f"ops.tf.raw_ops.{node.type}" for row in ROWS for node in nodes_of(row)[1].get_operations()}
    assert {kind for kind in RULES if kind.startswith("ops.tf.raw_ops.")} <= kinds
