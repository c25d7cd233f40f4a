"""TensorFlow functions in models of tf.keras: each answers as tf_keras does, from `.h5` and from `.keras`."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pairs import Pair
from support import randomize, relative_error

from kerasgen.builder import build
from kerasgen.emit.load import load_module
from kerasgen.emit.module import emit
from kerasgen.errors import UnsupportedModelError
from kerasgen.layers import RULES
from kerasgen.passes import optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat

pytestmark = pytest.mark.usefixtures("unformatted")

tf = pytest.importorskip("tensorflow")
tf_keras = pytest.importorskip("tf_keras")
TFOpLambda = importlib.import_module("tf_keras.src.layers.core.tf_op_layer").TFOpLambda  # as older versions used it
K = tf_keras.backend

SHAPES = {
    "x": (4, 3),
    "y": (4, 3),
    "z": (4, 3, 1),
    "image": (8, 9, 3),
    "volume": (4, 5, 6, 2),
    "deep": (4, 6, 8),
    "wide": (None, None, 3),
}
KERNEL = np.random.RandomState(1).standard_normal((3, 3, 3, 2)).astype("float32")
KERNEL_3D = np.random.RandomState(2).standard_normal((2, 3, 2, 2, 3)).astype("float32")
TABLE = np.arange(10, dtype="float32").reshape(5, 2)

ROWS: dict[str, Callable[..., Any]] = {}


def rows(text: str) -> None:
    """One row for each line, an expression of the inputs that it names."""
    for line in filter(None, map(str.strip, text.splitlines())):
        names = [name for name in SHAPES if name in compile(line, line, "eval").co_names]
        ROWS[line] = eval(f"lambda {', '.join(names)}: {line}", globals())


rows("""
    tf.abs(x)
    -x
    tf.exp(x)
    tf.math.expm1(x)
    tf.math.log(tf.abs(x) + 0.1)
    tf.math.log1p(tf.abs(x))
    tf.sqrt(tf.abs(x))
    tf.math.rsqrt(tf.abs(x) + 0.1)
    tf.square(x)
    tf.sign(x)
    tf.floor(x)
    tf.math.ceil(x)
    tf.round(x * 2.0)
    tf.math.rint(x * 2.0)
    tf.sin(x)
    tf.cos(x)
    tf.math.tan(x)
    tf.math.atan(x)
    tf.math.acos(x / 4.0)
    tf.math.asin(x / 4.0)
    tf.math.atanh(x / 4.0)
    tf.math.acosh(tf.abs(x) + 1.0)
    tf.math.cosh(x)
    tf.math.erfc(x)
    tf.math.asinh(x)
    tf.math.sinh(x)
    tf.tanh(x)
    tf.sigmoid(x)
    tf.math.erf(x)
    tf.math.reciprocal(x)
    tf.nn.softplus(x)
    tf.nn.softsign(x)
    tf.nn.relu(x)
    tf.nn.relu6(x)
    tf.nn.elu(x)
    tf.nn.selu(x)
    tf.nn.silu(x)
    tf.nn.gelu(x)
    tf.nn.gelu(x, approximate=True)
    tf.nn.leaky_relu(x)
    tf.nn.leaky_relu(x, 0.1)
    tf.nn.softmax(x)
    tf.nn.softmax(x, axis=1)
    tf.nn.log_softmax(x)
    tf.math.log_sigmoid(x)
    tf.nn.crelu(x)
    tf.nn.l2_normalize(x, -1)
    tf.identity(x)
    tf.stop_gradient(x)
    tf.zeros_like(x)
    tf.ones_like(x)
    x + y
    x - y
    x * y
    x / y
    x // y
    x % y
    x ** 2
    tf.pow(tf.abs(x), 0.5)
    1 - x
    1 / x
    2 ** x
    3.0 * x + 1.0
    x + [1.0, 2.0, 3.0]
    [[1.0], [2.0], [3.0], [4.0]] * x
    tf.add(x, y)
    tf.math.divide_no_nan(x, tf.nn.relu(y))
    tf.math.floordiv(x, y)
    tf.realdiv(x, y)
    tf.math.accumulate_n([x, y])
    tf.maximum(x, 0.2)
    tf.minimum(0.2, x)
    tf.math.squared_difference(x, y)
    tf.math.atan2(x, y)
    tf.math.scalar_mul(2.0, x)
    tf.add_n([x, y, x])
    tf.equal(tf.round(x), tf.round(y))
    tf.math.not_equal(tf.round(x), 0)
    x > y
    x <= 0.5
    x >= tf.round(y)
    x < y
    tf.bitwise.bitwise_and(tf.cast(x, tf.int32), 3)
    tf.bitwise.bitwise_or(tf.cast(x, tf.int32), 4)
    tf.bitwise.bitwise_xor(tf.cast(x, tf.int32), tf.cast(y, tf.int32))
    tf.bitwise.invert(tf.cast(x, tf.int32))
    tf.logical_and(x > 0, y > 0)
    (x > 0) | (y > 0)
    ~(x > 0)
    tf.math.is_nan(x)
    tf.math.is_inf(x)
    tf.math.is_finite(x)
    tf.convert_to_tensor(x)
    tf.debugging.check_numerics(x, "numbers")
    tf.shape_n([x, y])
    tf.fill([tf.shape(x)[0], 2], 3.0)
    tf.linalg.diag(x)
    tf.cast(x, tf.int32) + tf.cast(y, tf.int32)
    tf.cast(x, tf.int32) // 2
    tf.cast(x, tf.int32) / 2
    tf.cast(tf.abs(x) * 9, tf.uint8) / tf.constant(2, tf.uint8)
    tf.cast(x, "float64") * 2
    tf.cast(x > 0, "float32")
    tf.reduce_mean(x, 1)
    tf.reduce_mean(x, axis=[1, 2])
    tf.reduce_sum(x, [1, 2], keepdims=True)
    tf.reduce_sum(tf.cast(x, tf.int32), 1)
    tf.reduce_max(x, -1)
    tf.reduce_min(x, 1)
    tf.reduce_min(x)
    tf.reduce_prod(x, 1)
    tf.reduce_any(x > 0, 1)
    tf.reduce_all(x > 0, 1)
    tf.math.reduce_variance(x, 1)
    tf.math.reduce_std(x, 1)
    tf.reduce_logsumexp(x, 1)
    tf.math.reduce_euclidean_norm(x, 1)
    tf.nn.moments(x, [1])
    tf.argmax(x, -1)
    tf.argmin(x, 1, output_type=tf.int32)
    tf.cumsum(x, 1)
    tf.cumsum(x, 1, reverse=True)
    tf.math.cumprod(x, 1)
    tf.norm(x, axis=1)
    tf.norm(x, ord=1, axis=1, keepdims=True)
    tf.math.top_k(x, 2)
    tf.sort(x, -1)
    tf.argsort(x, -1)
    tf.argsort(x, 1, direction="DESCENDING")
    tf.clip_by_value(x, -0.5, 0.5)
    tf.where(x > 0, x, y)
    tf.where(x > 0, 1.0, -1.0)
    tf.where(x > 0, x, 0)
    tf.where(x > 0, x, tf.zeros_like(x))
    tf.one_hot(tf.cast(tf.abs(x), tf.int32), 3)
    tf.one_hot(tf.cast(tf.abs(x), tf.int32), 3, on_value=2.0, off_value=-1.0, axis=1)
    tf.matmul(x, y, transpose_b=True)
    tf.matmul(x, y, transpose_a=True)
    tf.matmul(x, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    x @ tf.transpose(y, [0, 2, 1])
    tf.tensordot(x, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], axes=1)
    tf.linalg.matrix_transpose(x)
    tf.reshape(x, (-1, 12))
    tf.reshape(x, (-1, 4))
    tf.reshape(x, (-1,))
    tf.reshape(x, [tf.shape(x)[0], -1])
    tf.reshape(x, [tf.shape(x)[0], 3, 4])
    tf.reshape(x, [tf.shape(x)[0] * 4, 3])
    tf.reshape(x, tf.concat([tf.shape(x)[:1], [2, 6]], 0))
    tf.reshape(x, tf.stack([tf.shape(x)[0], tf.reduce_prod(tf.shape(x)[1:])]))
    tf.reshape(tf.reshape(x, (-1, 3)), tf.shape(y))
    tf.reshape(x, tf.shape(x) * [1, 1, 1])
    tf.reshape(x, tf.gather(tf.shape(x), [0, 2, 1]))
    tf.shape(x)
    tf.size(x)
    tf.rank(x)
    x / tf.cast(tf.shape(x)[1], tf.float32)
    tf.reduce_sum(x) / tf.cast(tf.shape(x)[0], tf.float32)
    x[:, : tf.shape(y)[2]]
    tf.transpose(x, [0, 2, 1])
    tf.transpose(x)
    tf.expand_dims(x, 1)
    tf.expand_dims(x, -1)
    tf.squeeze(z, -1)
    tf.squeeze(z)
    tf.concat([x, y], 1)
    tf.concat([x], -1)
    tf.concat([x, tf.zeros_like(y)[:, :1]], axis=-2)
    tf.stack([x, y], 1)
    tf.stack([x, y], axis=-1)
    tf.unstack(x, axis=1)
    tf.unstack(x[:, :1], axis=1)[0] + 1.0
    tf.split(x, 2, axis=1)
    tf.split(x, 1, axis=1)[0] + 1.0
    tf.split(x, [4], axis=1)[0] + 1.0
    tf.split(x, [1, 3], axis=1)
    tf.split(x, [1, -1], axis=-1)
    tf.tile(x, [1, 2, 1])
    tf.tile([[[1.0, 2.0, 3.0]]], [tf.shape(x)[0], 2, 1]) + x[:, :2]
    tf.repeat(x, 2, axis=1)
    tf.pad(x, [[0, 0], [1, 1], [0, 2]])
    tf.pad(x, [[0, 0], [1, 1], [0, 2]], mode="REFLECT")
    tf.pad(x, [[0, 0], [1, 1], [0, 2]], mode="SYMMETRIC")
    tf.pad(x, [[0, 0], [1, 1], [0, 2]], constant_values=2.0)
    tf.reverse(x, [1])
    tf.roll(x, 1, 1)
    tf.gather(x, [0, 2], axis=1)
    tf.gather(x, 1, axis=-1)
    tf.gather(x, tf.cast(tf.abs(y[:, :, 0]) / 3, tf.int32), axis=1, batch_dims=1)
    tf.nn.embedding_lookup(TABLE, tf.cast(tf.abs(x), tf.int32))
    tf.gather(TABLE, tf.cast(tf.abs(x), tf.int32))
    tf.slice(x, [0, 1, 0], [-1, 2, 3])
    tf.slice(x, [0, 1, 1], [tf.shape(x)[0], 2, 2])
    tf.strided_slice(x, [0, 1, 0], [1, 4, 2], [1, 2, 1])
    tf.strided_slice(x, [0, 3], [0, 0], [1, -1], begin_mask=1, end_mask=1)
    tf.broadcast_to([[1.0, 2.0, 3.0]], (4, 3)) * x
    tf.broadcast_to([1.0, 2.0, 3.0], [tf.shape(x)[0], 4, 3]) * x
    tf.zeros((tf.shape(x)[0], 4))
    tf.ones([tf.shape(x)[0], 2, 3]) * x[:, :2]
    tf.ensure_shape(x, (None, 4, 3))
    x[:, 1:]
    x[:, tf.newaxis]
    x[..., 0]
    x[:, ::-1]
    x[:, 1, :]
    x[:, -1]
    x[tf.newaxis]
    tf.nn.bias_add(x, [1.0, 2.0, 3.0])
    tf.nn.bias_add(image, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], data_format="NCHW")
    tf.nn.max_pool(image, 2, 2, "SAME")
    tf.nn.max_pool2d(image, [3, 2], [2, 1], "VALID")
    tf.nn.avg_pool(image, 2, 2, "VALID")
    tf.nn.avg_pool2d(image, [1, 3, 3, 1], 1, "SAME")
    tf.nn.max_pool1d(x, 2, 2, "VALID")
    tf.nn.pool(image, [2, 2], "MAX")
    tf.nn.conv2d(image, KERNEL, 1, "SAME")
    tf.nn.conv2d(image, KERNEL, [1, 2, 2, 1], "VALID")
    tf.nn.conv2d(image, KERNEL, 1, [[0, 0], [1, 2], [0, 1], [0, 0]])
    tf.nn.conv2d(image, KERNEL, 1, "SAME", dilations=2)
    tf.nn.conv1d(x, KERNEL[0], 1, "SAME")
    tf.nn.conv3d(volume, KERNEL_3D, [1, 1, 2, 1, 1], "SAME")
    tf.nn.convolution(image, KERNEL, strides=[2, 1], padding="SAME")
    tf.compat.v1.nn.depthwise_conv2d_native(image, KERNEL, [1, 1, 1, 1], "SAME")
    tf.nn.max_pool3d(volume, 2, 2, "SAME")
    tf.nn.avg_pool1d(x, 3, 2, "SAME")
    tf.nn.avg_pool3d(volume, [1, 2, 3, 2, 1], 2, "SAME")
    tf.nn.depthwise_conv2d(image, KERNEL, [1, 2, 2, 1], "SAME")
    tf.nn.depth_to_space(deep, 2)
    tf.nn.space_to_depth(deep, 2)
    tf.nn.local_response_normalization(image)
    tf.nn.local_response_normalization(deep, depth_radius=2, bias=2, alpha=1e-2, beta=0.75)
    tf.image.resize(image, (9, 13))
    tf.image.resize(image, (5, 4), method="nearest")
    tf.image.resize(image, (5, 4), method="bicubic", antialias=True)
    tf.image.resize(image, tf.shape(image)[1:3] * 2)
    tf.image.resize(wide, (5, 4))
    tf.compat.v1.image.resize_bilinear(image, (16, 5))
    tf.compat.v1.image.resize_bilinear(image, (16, 5), align_corners=True)
    tf.compat.v1.image.resize_bilinear(image, (16, 5), half_pixel_centers=True)
    tf.compat.v1.image.resize_nearest_neighbor(image, (13, 5))
    tf.compat.v1.image.resize_nearest_neighbor(image, (13, 5), align_corners=True)
    tf.compat.v1.image.resize_images(image, (13, 5))
    tf.compat.v1.image.resize_images(image, (13, 5), method=1)
    tf.compat.v1.image.resize_bilinear(wide, (16, 5))
    tf.image.flip_left_right(image)
    tf.image.flip_up_down(image)
    tf.image.rgb_to_hsv(tf.abs(image))
    tf.image.hsv_to_rgb(tf.sigmoid(image))
    tf.image.rgb_to_grayscale(image)
    tf.image.grayscale_to_rgb(image[..., :1])
    tf.image.per_image_standardization(image)
    tf.image.crop_to_bounding_box(image, 1, 2, 3, 4)
    tf.image.pad_to_bounding_box(image, 1, 2, 20, 15)
    tf.image.extract_patches(image, [1, 2, 3, 1], [1, 2, 2, 1], [1, 1, 1, 1], "VALID")
    tf.compat.v1.reduce_mean(x, axis=1, keep_dims=True)
    tf.compat.v1.expand_dims(x, dim=1)
    tf.compat.v1.argmax(x, dimension=1)
    tf_keras.activations.gelu(x)
    tf_keras.activations.hard_sigmoid(x)
    tf_keras.activations.relu(x, alpha=0.1, max_value=0.9, threshold=0.1)
    tf_keras.activations.mish(x)
    TFOpLambda(tf.math.divide)(x, y)
    TFOpLambda(tf.math.floordiv)(x, 2.0)
    TFOpLambda(tf.math.logical_xor)(x > 0, y > 0)
    TFOpLambda(tf.nn.max_pool)(image, 2, 2, "SAME")
    TFOpLambda(tf.nn.moments)(x, [1], keepdims=True)
    TFOpLambda(tf.nn.batch_normalization)(x, y, tf.exp(y), None, 2.0, 1e-3)
    K.mean(x, 1)
    K.l2_normalize(x, 1)
    K.permute_dimensions(x, (0, 2, 1))
    K.resize_images(image, 2, 2, "channels_last")
    K.batch_dot(x, y, (2, 2))
    K.dot(x, tf.constant(TABLE[:3]))
    K.softmax(x)
    K.clip(x, 0, 1)
    K.hard_sigmoid(x)
    K.squeeze(z, -1)
    K.repeat_elements(x, 2, 1)
    K.spatial_2d_padding(image, ((1, 2), (0, 1)))
    K.bias_add(x, tf.constant([1.0, 2.0, 3.0]))
    K.max(x, axis=-1, keepdims=True)
    K.batch_flatten(x)
    K.reverse(x, 1)
    K.one_hot(K.cast(K.abs(x), "int32"), 4)
    tf_keras.layers.Dense(3)(tf.reshape(tf_keras.layers.Dense(6)(x), (-1, 24)))
    """)


def model_of(make: Callable[..., Any]) -> Any:
    tf_keras.backend.clear_session()
    inputs = [tf_keras.Input(SHAPES[name], name=name) for name in make.__code__.co_varnames]
    return randomize(tf_keras.Model(inputs, make(*inputs)))


def arrays_for(model: Any) -> list[np.ndarray]:
    random = np.random.RandomState(3)
    shapes = [[5, *(7 if size is None else size for size in tensor.shape[1:])] for tensor in model.inputs]
    return [random.uniform(-3, 3, shape).astype("float32") for shape in shapes]


@pytest.mark.one_in(2)
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", ROWS)
def test_functions(name: str, tmp_path: Path, pairs: list[Pair]) -> None:
    model = model_of(ROWS[name])
    arrays = arrays_for(model)
    expected = [np.asarray(y) for y in flat(model(arrays if len(arrays) > 1 else arrays[0]))]
    for ending in ("h5",) if "[..." in name else ("keras", "h5"):  # tf_keras cannot write `...` to .keras
        with contextlib.suppress(UserWarning):
            model.save(tmp_path / f"m.{ending}")
        built = build(read(tmp_path / f"m.{ending}"))
        assert not built.problems
        graph = built.bind()
        check(graph.run(*arrays), expected)
    with open(tmp_path / "module.py", "wb") as file:
        emit(optimize(graph)).write(file)
    check(flat(load_module(tmp_path / "module.py").predict(*arrays)), expected)
    for pair in pairs:
        check(pair.predict(tmp_path / "module.py", arrays), expected)


def check(results: Any, expected: list[np.ndarray]) -> None:
    results = list(results)
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        assert np.asarray(result).dtype == wanted.dtype
        assert relative_error(result, wanted) <= 1e-5


@pytest.mark.slow
def test_every_function_has_a_row() -> None:
    kinds = set()
    for make in [*ROWS.values(), *(eval(f"lambda x, y: {name}") for name in REFUSED)]:
        for layer in model_of(make).layers:
            name = layer.get_config().get("function", type(layer).__name__)
            kinds.add(f"ops.tf.{name.removeprefix('compat.v1.')}")
    rules = {kind for kind in RULES if kind.startswith("ops.tf.") and "raw_ops" not in kind}
    assert rules - kinds == set()


REFUSED = {
    "x == y": "tf.keras lost the other",
    "x != y": "tf.keras lost the other",
    "tf.einsum('bij,bkj->bik', x, y)": "tf.keras lost them",
    "tf.nn.dropout(x, 0.1)": "random",
    "tf.boolean_mask(x, x > 0)": "no rule",
    "tf.where(x > 0)": "depends on the data",
    "tf.reshape(x, [tf.cast(x[0, 0, 0], tf.int32), -1])": "must be known",
    "tf.reshape(tf.reshape(x, (-1, 3)), [tf.shape(tf.reshape(x, (-1, 3)))[0], -1])": "must be known",
}


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    model = model_of(eval(f"lambda x, y: {name}"))
    with contextlib.suppress(UserWarning):
        model.save(tmp_path / "m.h5")
    with pytest.raises(UnsupportedModelError, match=REFUSED[name]):
        build(read(tmp_path / "m.h5")).bind()
