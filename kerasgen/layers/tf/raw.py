"""TensorFlow nodes: functions as TensorFlow 2.0 to 2.3 stored them, by the name of the operation in the graph.

Each is a TensorFlow function; inputs come by position, attributes by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import RULES
from kerasgen.layers.sizes import concrete
from kerasgen.layers.tf.arrays import concat, pad, stack
from kerasgen.layers.tf.ops import add_n, array, einsum, function, keras, tensors

# The names of node and function.
CELLWISE = {
    "Abs": "math.abs",
    "Acos": "math.acos",
    "Acosh": "math.acosh",
    "Add": "math.add",
    "AddV2": "math.add",
    "Asin": "math.asin",
    "Asinh": "math.asinh",
    "Atan": "math.atan",
    "Atan2": "math.atan2",
    "Atanh": "math.atanh",
    "Ceil": "math.ceil",
    "Cos": "math.cos",
    "Cosh": "math.cosh",
    "Div": "math.truediv",
    "DivNoNan": "math.divide_no_nan",
    "Equal": "math.equal",
    "Erf": "math.erf",
    "Erfc": "math.erfc",
    "Exp": "math.exp",
    "Expm1": "math.expm1",
    "Floor": "math.floor",
    "FloorDiv": "math.floordiv",
    "FloorMod": "math.floormod",
    "Greater": "math.greater",
    "GreaterEqual": "math.greater_equal",
    "Inv": "math.reciprocal",
    "IsFinite": "math.is_finite",
    "IsInf": "math.is_inf",
    "IsNan": "math.is_nan",
    "Less": "math.less",
    "LessEqual": "math.less_equal",
    "Log": "math.log",
    "Log1p": "math.log1p",
    "LogicalAnd": "math.logical_and",
    "LogicalNot": "math.logical_not",
    "LogicalOr": "math.logical_or",
    "Maximum": "math.maximum",
    "Minimum": "math.minimum",
    "Mul": "math.multiply",
    "Neg": "math.negative",
    "NotEqual": "math.not_equal",
    "Pow": "math.pow",
    "RealDiv": "math.truediv",
    "Reciprocal": "math.reciprocal",
    "Rint": "math.rint",
    "Round": "math.round",
    "Rsqrt": "math.rsqrt",
    "Sigmoid": "math.sigmoid",
    "Sign": "math.sign",
    "Sin": "math.sin",
    "Sinh": "math.sinh",
    "Softplus": "math.softplus",
    "Sqrt": "math.sqrt",
    "Square": "math.square",
    "SquaredDifference": "math.squared_difference",
    "Sub": "math.subtract",
    "Tan": "math.tan",
    "Tanh": "math.tanh",
    "Elu": "nn.elu",
    "Identity": "identity",
    "OnesLike": "ones_like",
    "Relu": "nn.relu",
    "Relu6": "nn.relu6",
    "Selu": "nn.selu",
    "Softsign": "nn.softsign",
    "StopGradient": "stop_gradient",
    "ZerosLike": "zeros_like",
    "Rank": "rank",
}
# The node, the function, the function's names for the inputs, and those for attributes with different names.
NODES = (
    ("All", "math.reduce_all", "input_tensor axis", "keep_dims:keepdims"),
    ("Any", "math.reduce_any", "input_tensor axis", "keep_dims:keepdims"),
    ("ArgMax", "math.argmax", "input axis", ""),
    ("ArgMin", "math.argmin", "input axis", ""),
    ("AvgPool", "nn.avg_pool", "input", ""),
    ("AvgPool3D", "nn.avg_pool", "input", ""),
    ("BatchMatMul", "linalg.matmul", "a b", "adj_x:adjoint_a adj_y:adjoint_b"),
    ("BatchMatMulV2", "linalg.matmul", "a b", "adj_x:adjoint_a adj_y:adjoint_b"),
    ("BiasAdd", "nn.bias_add", "value bias", ""),
    ("BroadcastTo", "broadcast_to", "input shape", ""),
    ("Cast", "cast", "x", "DstT:dtype"),
    ("ClipByValue", "clip_by_value", "t clip_value_min clip_value_max", ""),
    ("Conv2D", "nn.conv2d", "input filters", ""),
    ("Conv3D", "nn.conv3d", "input filters", ""),
    ("Cumprod", "math.cumprod", "x axis", ""),
    ("Cumsum", "math.cumsum", "x axis", ""),
    ("DepthToSpace", "nn.depth_to_space", "input", ""),
    ("DepthwiseConv2dNative", "nn.depthwise_conv2d", "input filter", ""),
    ("ExpandDims", "expand_dims", "input axis", ""),
    ("Fill", "fill", "dims value", ""),
    ("Gather", "gather", "params indices", ""),
    ("GatherV2", "gather", "params indices axis", ""),
    ("LRN", "nn.local_response_normalization", "input", ""),
    ("LeakyRelu", "nn.leaky_relu", "features", ""),
    ("LogSoftmax", "nn.log_softmax", "logits", ""),
    ("MatMul", "linalg.matmul", "a b", ""),
    ("Max", "math.reduce_max", "input_tensor axis", "keep_dims:keepdims"),
    ("MaxPool", "nn.max_pool", "input", ""),
    ("MaxPool3D", "nn.max_pool", "input", ""),
    ("Mean", "math.reduce_mean", "input_tensor axis", "keep_dims:keepdims"),
    ("Min", "math.reduce_min", "input_tensor axis", "keep_dims:keepdims"),
    ("OneHot", "one_hot", "indices depth on_value off_value", ""),
    ("Pad", "pad", "tensor paddings", ""),
    ("Prod", "math.reduce_prod", "input_tensor axis", "keep_dims:keepdims"),
    ("Reshape", "reshape", "tensor shape", ""),
    ("ResizeBilinear", "image.resize_bilinear", "images size", ""),
    ("ResizeNearestNeighbor", "image.resize_nearest_neighbor", "images size", ""),
    ("ReverseV2", "reverse", "tensor axis", ""),
    ("Roll", "roll", "input shift axis", ""),
    ("Select", "where", "condition x y", ""),
    ("SelectV2", "where", "condition x y", ""),
    ("Shape", "shape", "input", ""),
    ("Size", "size", "input", ""),
    ("Slice", "slice", "input_ begin size", ""),
    ("Softmax", "nn.softmax", "logits", ""),
    ("SpaceToDepth", "nn.space_to_depth", "input", ""),
    ("Split", "split", "axis value", "num_split:num_or_size_splits"),
    ("SplitV", "split", "value num_or_size_splits axis", "num_split:num"),
    ("Squeeze", "squeeze", "input", "squeeze_dims:axis"),
    ("StridedSlice", "strided_slice", "input_ begin end strides", ""),
    ("Sum", "math.reduce_sum", "input_tensor axis", "keep_dims:keepdims"),
    ("Tile", "tile", "input multiples", ""),
    ("TopKV2", "math.top_k", "input k", ""),
    ("Transpose", "transpose", "a perm", ""),
    ("Unpack", "unstack", "value", ""),
)


def _register(node: str, target: str, inputs: str, attributes: str) -> None:
    names, renamed = inputs.split(), dict(pair.split(":") for pair in attributes.split())

    @function(f"raw_ops.{node}")
    def run(layer: Layer, *args: Any, **attrs: Any) -> Any:
        if len(args) > len(names):
            raise UnsupportedModelError(f"it has {len(args)} inputs, not {len(names)}")
        arguments = {
            **dict(zip(names, args, strict=False)),
            **{renamed.get(key, key): item for key, item in attrs.items()},
        }
        return RULES[f"ops.tf.{target}"](layer, **arguments)


def _register_cellwise(node: str, target: str) -> None:
    @function(f"raw_ops.{node}")
    def run(layer: Layer, *args: Any) -> Any:
        return RULES[f"ops.tf.{target}"](layer, *args)


for _node, _target in CELLWISE.items():
    _register_cellwise(_node, _target)
for _row in NODES:
    _register(*_row)


@function("raw_ops.ConcatV2")
def concat_node(layer: Layer, *args: Any) -> Value:
    """The axis is the last input."""
    return concat(layer, args[:-1], args[-1])


@function("raw_ops.Concat")
def old_concat_node(layer: Layer, *args: Any) -> Value:
    """The axis is the first input."""
    return concat(layer, args[1:], args[0])


@function("raw_ops.Pack")
def pack(layer: Layer, *args: Any, axis: int = 0) -> Value:
    """The node of `tf.stack`."""
    return stack(layer, args, axis)


@function("raw_ops.AddN")
def add_n_node(layer: Layer, *args: Any) -> Value:
    """The sum of all inputs."""
    return add_n(layer, args)


@function("raw_ops.Einsum")
def einsum_node(layer: Layer, *args: Any, equation: str) -> Value:
    """Unlike the function, the node has its operands."""
    return einsum(layer, equation, *args)


@function("raw_ops.PadV2")
def pad_with(layer: Layer, x: Value, paddings: Any, constant_values: Any) -> Value:
    """Padded with a constant."""
    return pad(layer, x, paddings, "CONSTANT", constant_values)


@function("raw_ops.MirrorPad")
def mirror_pad(layer: Layer, x: Value, paddings: Any, mode: str) -> Value:
    """Padded with mirrored elements."""
    return pad(layer, x, paddings, mode)


@function("raw_ops.FusedBatchNorm", "raw_ops.FusedBatchNormV3")
def fused_batch_norm(
    layer: Layer,
    x: Value,
    scale: Any,
    offset: Any,
    mean: Any,
    variance: Any,
    epsilon: float = 1e-4,
    data_format: str = "NHWC",
    is_training: bool = True,
    exponential_avg_factor: float = 1.0,
) -> Value:
    """Batch normalisation by given statistics."""
    if is_training:
        raise UnsupportedModelError("it uses the statistics of the batch")
    axis = 1 if data_format == "NCHW" else -1
    parts = tensors(layer, x, mean, variance, offset, scale)
    return keras(layer, "BatchNorm", *parts, axis=axis, epsilon=epsilon)


@function("raw_ops.Range")
def range_node(layer: Layer, start: Any, limit: Any, delta: Any) -> Value:
    """Numbers from one to another."""
    bounds = [concrete(item) for item in (start, limit, delta)]
    if not all(isinstance(item, (int, float)) for item in bounds):
        raise UnsupportedModelError("its bounds must be known when it is exported")
    return layer.emit(kernels.identity, layer.constant("range", array(np.arange(*bounds))))
