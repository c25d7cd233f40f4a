"""Functions of Lambda layers as source: each is compiled by every Python there is, and run by Keras once."""

from __future__ import annotations

from typing import NamedTuple

IMAGE, STEPS, VECTOR = (6, 4, 3), (5, 3), (4,)


class Body(NamedTuple):
    """A source that defines `f`, the shapes of its inputs, and the layer's `arguments`."""

    source: str
    shapes: tuple[tuple[int, ...], ...] = (VECTOR,)
    arguments: dict[str, object] = {}


def _of(shapes: tuple[tuple[int, ...], ...], *sources: str) -> list[Body]:
    return [Body(s if s.startswith(("def ", "f = ")) else f"f = lambda x: {s}", shapes) for s in sources]


# What real models compute.
REAL = [
    *_of(
        (IMAGE,),
        "x / 127.5 - 1",
        "x / 255 - 0.5",
        "(x / 255.0) - 0.5",
        "x/127.5 - 1.",
        "x * 2 - 1",
        "tf.squeeze(x[:, :, :1], axis=2)",
        "x[:, -1:, :]",
        "x[:, 1:-1, 1:3, :]",
        "tf.image.resize(x, (12, 8))",
        "tf.compat.v1.image.resize_images(x, (12, 9))",
        "K.resize_images(x, 2, 3, 'channels_last')",
        "tf.image.rgb_to_grayscale(K.sigmoid(x))",
        "def f(x):\n    import tensorflow as tf\n    return tf.image.resize(x, [3, 2]) * 2",
        "def f(x):\n    from tensorflow.keras import backend as B\n    return B.mean(x, axis=[1, 2])",
        "def f(image):\n    mean = np.array([103.939, 116.779, 123.68])\n    return image[..., ::-1] - mean",
        "K.l2_normalize(x, axis=-1)",
        "K.reshape(x, (-1, K.int_shape(x)[1] * K.int_shape(x)[2], K.int_shape(x)[3]))",
        "tf.reshape(x, [tf.shape(x)[0], -1])",
        "tf.nn.depth_to_space(K.concatenate([x, x, x, x]), 2)",
        "tf.reduce_mean(x, axis=(1, 2), keepdims=True) + x",
    ),
    *_of(
        (VECTOR, VECTOR),
        "K.stack(x, axis=1)",
        "def f(v):\n    a, b = v"
        "\n    return K.sqrt(K.maximum(K.sum(K.square(a - b), axis=1, keepdims=True), K.epsilon()))",
        "K.abs(x[0] - x[1])",
        "x[0] + K.exp(x[1] / 2) * 0.5",
        "tf.concat(x, 1)",
        "tf.concat([x[0], x[1] * 2.0], axis=-1)",
        "def f(t):\n    mean, log_variance = t"
        "\n    return K.in_train_phase(mean + K.random_normal((4,)), mean + log_variance)",
    ),
]
# Python's own.
PYTHON = [
    *_of(
        (VECTOR,),
        "-x ** 2 + (-x) ** 2 - (1 - (2 - x))",
        "1 / (x * x + 1)",
        "2 ** x",
        "x * 3 // 2",
        "x % 2",
        "(x - 1) * [1.0, 2.0, 3.0, 4.0]",
        "x * 1e-3 + 1e20 * 1e-20",
        "abs(x)",
        "pow(x, 2)",
        "sum([x, x, x])",
        "x[:, 0]",
        "x[:, -1]",
        "x[:, 1:3]",
        "x[:, ::-1]",
        "x[:, ::2]",
        "x[:, None]",
        "x[..., tf.newaxis]",
        "x[:, 0:1] * x[:, 1:2]",
        "x * int(x.shape[1]) + float(len(x.shape))",
        "x * x.shape[-1]",
        "x * x.get_shape().as_list()[1]",
        "x * x.shape.ndims + x.shape.rank",
        "K.reshape(x, [-1] + x.shape.as_list()[1:] + [1])",
        "tf.reshape(x, (-1,) + tuple(x.shape[1:]) + (1,))",
        "x * tuple([2])[0] + list((3,))[0] - max(1, 2) + min(3, 4) - round(2.6)",
        "x * K.int_shape(x)[1]",
        "K.cast(x > 0, 'float32') * x",
        "tf.cast(x >= 0.1, tf.float32) + tf.cast(x < 0.3, tf.float32) * tf.cast(x <= 0.2, 'float32')",
        "tf.cast((x > 0) & (x < 1), x.dtype)",
        "tf.cast(~(x > 0) | (x > 1), tf.float32)",
        "tf.cast(tf.not_equal(x, 0), np.float32)",
        "def f(x):\n    'A docstring.'\n    y = x * 2\n    z = y + 1\n    y = z * z\n    return y - z",
        "def f(x):\n    y = x\n    y += 2\n    y *= 3\n    y -= x\n    y /= 2\n    return y",
        "def f(x):\n    a, b = x[:, :2], x[:, 2:]\n    a, b = b, a\n    return K.concatenate([a, b])",
        "def f(x):\n    a, b, c = 1, 2, 3\n    return x * a + b - c",
        "def f(x):\n    half = lambda y: y / 2.0\n    return half(x) + half(x + 1)",
        "def f(x):\n    def scaled(y, by=3.0):\n        return y * by"
        "\n    return scaled(x) - scaled(x, by=2.0) + scaled(x, 4)",
        "def f(x):\n    k = x * 2\n    def add(y):\n        return y + k\n    return add(x)",
        "def make(scale, shift):\n    return lambda x: x * scale + shift\nf = make(3.0, -1)",
        "def make(weights):\n    def inner(x):\n        return x * weights\n    return inner"
        "\nf = make([1.0, 2.0, 0.5, -1.0])",
        "f = lambda x, scale=2.0, shift=1: x * scale + shift",
        "f = lambda x, mask=None: x * 2",
        "f = lambda x, training=None: x * 2",
        "(lambda y: y * 2)(x) + (lambda a, b: a - b)(x, 1)",
        "x * math.sqrt(2.0) + math.pi - math.log(10)",
        "x * np.sqrt(2.0) + np.pi - np.log(10.0) + np.float32(0.5)",
        "x + np.arange(4) * np.ones(4) - np.zeros((4,))",
        "x * np.array([[1.0, 2.0, 3.0, 4.0]], dtype='float32')",
        "x * np.prod(x.shape[1:])",
        "def f(x):\n    import numpy as n\n    return x * n.float32(3) + n.array([1, 2, 3, 4]).astype('float32')",
        "x * (7 // 2) + 7 % 4 - 2 ** 3 + (1 << 2)",
    ),
    Body("f = lambda x, factor, shift: x * factor + shift", (VECTOR,), {"factor": 5.0, "shift": [1, 2, 3, 4]}),
    Body("f = lambda x, axis=0: K.mean(x, axis=axis)", (STEPS,), {"axis": 1}),
    *_of(
        (VECTOR, STEPS),
        "x[1] * x[0][:, None, :3]",
        "def f(v):\n    q, s = v\n    return K.batch_dot(s, q[:, :3], axes=[2, 1])",
    ),
]
# Not for Python 2, which has no such instructions, or others.
NEWER = [
    Body("def f(x, *, scale):\n    return x * scale", (STEPS,), {"scale": 2.0}),
    *_of(
        (STEPS,),
        "tf.concat([*[x, x], x * 2], axis=-1)",
        "tf.transpose(x, **{'perm': [0, 2, 1]})",
        "tf.stack(*[[x, x], 1])",
        "def f(x):\n    print('shape', x.shape)\n    return x * 2",
        "x @ tf.transpose(x, [0, 2, 1])",
    ),
]
_CELLWISE = "abs exp round sigmoid sign sin cos softplus softsign square tanh hard_sigmoid elu relu sqrt identity"
_CELLWISE += " stop_gradient zeros_like ones_like l2_normalize softmax batch_flatten"
# `keras.backend`.
BACKEND = [
    *_of((STEPS,), *(f"K.{name}(x)" for name in _CELLWISE.split())),
    *_of(
        (STEPS,),
        "K.log(K.abs(x) + 1)",
        "K.pow(x, 3)",
        "K.clip(x, -0.5, 0.5)",
        "K.clip(x, 0, None)",
        "K.relu(x, alpha=0.1)",
        "K.relu(x, max_value=0.5)",
        "K.relu(x, 0.2, 0.5, 0.1)",
        "K.elu(x, 0.5)",
        *(f"K.{name}(x, axis=1)" for name in "sum mean max min prod std var logsumexp".split()),
        "K.sum(x, axis=-1, keepdims=True)",
        "K.mean(x, axis=[1, 2])",
        "K.cast(K.any(x > 1, axis=1), 'float32')",
        "K.cast(K.all(x > -1, axis=-1, keepdims=True), 'float32')",
        "K.mean(K.greater(x, 0), axis=1)",
        "K.cumsum(x, axis=1)",
        "K.cumprod(x, axis=2)",
        "K.argmax(x)",
        "K.argmin(x, axis=1)",
        "K.one_hot(K.argmax(x), 3)",
        "K.maximum(x, 0) + K.minimum(x, 1)",
        "K.cast(K.equal(x, x), 'float32') + K.cast(K.not_equal(x, 0), 'float32')",
        "K.cast(K.less(x, 0), 'float32') - K.cast(K.greater_equal(x, 1), 'float32') + "
        "K.cast(K.less_equal(x, 1), x.dtype)",
        "K.permute_dimensions(x, (0, 2, 1))",
        "K.expand_dims(x)",
        "K.squeeze(K.expand_dims(x, 1), 1)",
        "K.concatenate([x, x], axis=1)",
        "K.stack([x, x], axis=-1)",
        "K.tile(x, [1, 2, 1])",
        "K.repeat(x[:, 0], 3)",
        "K.repeat_elements(x, 2, axis=1)",
        "K.reverse(x, 1)",
        "K.reshape(x, (-1, 15))",
        "K.flatten(x[:, :1, :1])",
        "K.slice(x, [0, 1, 0], [-1, 2, 3])",
        "K.temporal_padding(x, (2, 1))",
        "K.switch(K.greater(x, 0), x, x * 0.1)",
        "K.in_train_phase(x * 2, x)",
        "K.in_test_phase(x * 2, x)",
        "K.cast_to_floatx(x) * K.constant([1.0, 2.0, 3.0]) + K.variable(np.ones((3,)))",
        "x + K.zeros((5, 3)) - K.ones((3,)) + K.arange(3, dtype='float32')",
        "x * K.ndim(x) + K.epsilon() + len(K.int_shape(x))",
        "K.dot(x, K.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))",
        "K.batch_dot(x, x, axes=2)",
        "K.batch_dot(x, K.permute_dimensions(x, (0, 2, 1)))",
        "K.bias_add(x, K.constant([1.0, 2.0, 3.0]))",
        "K.gather(K.constant([[1.0], [2.0], [3.0]]), K.argmax(x))",
        "K.print_tensor(x) * 2",
        "K.dot(x, K.eye(3))",
        "K.binary_crossentropy(K.sigmoid(x), K.sigmoid(x + 1))",
        "K.categorical_crossentropy(K.softmax(x), K.softmax(x * 2))",
        "K.sparse_categorical_crossentropy(K.argmax(x), K.softmax(x))",
        "K.conv1d(x, K.constant(np.ones((2, 3, 2))), padding='same')",
        "K.cast(K.lesser(x, 0), 'float32') + K.cast(K.lesser_equal(x, 1), 'float32') * (1 + K.is_sparse(x))",
        "K.cast(K.size(x[:1]), 'float32') * x",
        "K.binary_focal_crossentropy(K.sigmoid(x), K.sigmoid(x + 1) * 0.9, gamma=3.0)",
        "K.binary_focal_crossentropy(K.sigmoid(x), x + 1, True, 0.4, from_logits=True)",
        "K.categorical_focal_crossentropy(K.softmax(x), K.abs(x * 2) + 0.1, gamma=1.5)",
        "K.categorical_focal_crossentropy(K.softmax(x), x, alpha=[0.1, 0.2, 0.3], from_logits=True)",
        "K.separable_conv1d(x, K.constant(np.ones((2, 3, 2)) * 0.3), K.constant(np.ones((1, 6, 4)) * 0.1), "
        "padding='same', dilation_rate=2)",
        "K.local_conv1d(x, K.constant(np.arange(48.0).reshape((2, 6, 4))), (2,), (2,), 'channels_last')",
        "K.local_conv1d(x, K.constant(np.arange(40.0).reshape((1, 10, 4))), (2,), (2,), 'channels_first')",
        *(
            f"K.ctc_decode(K.softmax(x * 2), K.ones_like(x[:, 0, 0]) * 4, {rest}"
            for rest in ("True)[0][0]", "True)[1]", "False, 20, 2)[0][1]", "False, 20, 2)[1]")
        ),
        "K.ctc_batch_cost(K.argmax(x[:, :2, :2]), K.softmax(x), K.ones_like(x[:, 0, :1]) * 5, "
        "K.ones_like(x[:, 0, :1]) * 2)",
    ),
    *_of(
        (IMAGE,),
        "K.spatial_2d_padding(x, ((1, 2), (0, 1)))",
        "K.pool2d(x, (2, 2), strides=(2, 2), pool_mode='avg')",
        "K.pool2d(x, (2, 2))",
        "K.conv2d(x, K.constant(np.ones((2, 2, 3, 2)) * 0.1), strides=(2, 1), padding='same')",
        "K.depthwise_conv2d(x, K.constant(np.ones((3, 3, 3, 1)) * 0.1))",
        "K.resize_images(x, 2, 2, data_format='channels_last', interpolation='bilinear')",
        "K.separable_conv2d(x, K.constant(np.ones((2, 2, 3, 2)) * 0.3), K.constant(np.ones((1, 1, 6, 4)) * 0.1), "
        "strides=(2, 2))",
        *(
            f"K.conv2d_transpose(x, K.constant(np.arange(54.0).reshape((3, 3, 2, 3))), {rest})"
            for rest in (
                "(None, 8, 6, 2)",
                "(K.shape(x)[0], 12, 8, 2), (2, 2), 'same'",
                "[None, 11, 7, 2], (2, 2), 'same'",
                "(None, 13, 10, 2), (2, 2)",
                "(None, 14, 9, 2), (2, 2)",
                "(None, 10, 8, 2), dilation_rate=(2, 2)",
                "(None, 6, 4, 2), padding='same', dilation_rate=(2, 2)",
            )
        ),
        "K.conv2d_transpose(x, K.constant(np.arange(24.0).reshape((2, 2, 2, 3))), (None, 6, 4, 2), "
        "padding='same', dilation_rate=(3, 3))",
        "K.conv3d_transpose(x[..., None], K.constant(np.arange(16.0).reshape((2, 2, 2, 2, 1))), "
        "(K.shape(x)[0], 12, 8, 6, 2), (2, 2, 2), 'same')",
        "K.local_conv2d(x, K.constant(np.arange(216.0).reshape((9, 12, 2))), (2, 2), (2, 1), (3, 3))",
        "K.batch_normalization(x, K.constant([0.1, 0.2, 0.3]), K.constant([1.0, 2.0, 3.0]), None, None)",
    ),
    *_of((VECTOR, VECTOR), "K.batch_dot(x[0], x[1], axes=1)", "K.batch_dot(x[0], x[1])"),
]
# TensorFlow and NumPy.
TENSORFLOW = [
    *_of(
        (STEPS,),
        "tf.nn.relu(x) + tf.nn.relu6(x * 9) + tf.nn.leaky_relu(x, 0.3) + tf.nn.elu(x) + tf.nn.selu(x)",
        "tf.nn.softmax(x, axis=1)",
        "tf.nn.sigmoid(x) * tf.sigmoid(x) * tf.tanh(x) * tf.nn.swish(x)",
        "tf.math.log(tf.abs(x) + 1.0) + tf.sqrt(tf.square(x)) + tf.exp(-x)",
        "tf.math.l2_normalize(x, axis=-1) + tf.nn.l2_normalize(x, 1)",
        "tf.reduce_sum(x, 1) + tf.reduce_max(x, axis=1) - tf.reduce_min(x, axis=1)",
        "tf.transpose(x, perm=[0, 2, 1])",
        "tf.matmul(x, x, transpose_b=True)",
        "tf.expand_dims(x, -1)",
        "tf.tile(tf.expand_dims(x, 1), [1, 2, 1, 1])",
        "tf.stack([x, x * 2], axis=1)",
        "tf.unstack(x, axis=1)[1] + tf.split(x, 5, axis=1)[0][:, 0]",
        "tf.pad(x, [[0, 0], [1, 1], [0, 2]])",
        "tf.where(x > 0, x, tf.zeros_like(x))",
        "tf.clip_by_value(x, -0.5, 0.5)",
        "tf.multiply(tf.add(x, 1.0), tf.subtract(2.0, x)) / tf.maximum(tf.minimum(x, 5.0), 1.0)",
        "tf.cast(tf.argmax(x, axis=-1), tf.float32)",
        "tf.one_hot(tf.argmax(x, 1), 5)",
        "tf.gather(x, [0, 2], axis=1)",
        "tf.reverse(x, axis=[1])",
        "tf.ones_like(x) * tf.constant([1.0, 2.0, 3.0]) + tf.constant(2.0)",
        "tf.zeros((tf.shape(x)[0], 2)) + x[:, 0, :2]",
        "tf.identity(tf.stop_gradient(tf.convert_to_tensor(x)))",
        "tf.einsum('bij,bkj->bik', x, x)",
        "tf.reshape(x, tf.stack([tf.shape(x)[0], 15]))",
        "tf.linalg.norm(x, axis=-1)",
        "tf.cumsum(x, axis=1) + tf.math.cumsum(x, 1)",
        "tf.math.pow(x, 2.0) + tf.pow(x, 2) + tf.math.sin(x) + tf.cos(x) + tf.round(x)",
        "tf.keras.activations.relu(x) + tf.keras.backend.square(x) + tf.keras.activations.tanh(x)",
        "tf.squeeze(tf.expand_dims(x, 3), [3])",
        "tf.slice(x, [0, 1, 0], [-1, 2, -1])",
        "tf.range(3, dtype=tf.float32) + x",
    ),
    *_of(
        (IMAGE,),
        "tf.image.flip_left_right(x) + tf.image.flip_up_down(x)",
        "tf.image.per_image_standardization(x)",
        "tf.image.crop_to_bounding_box(x, 1, 1, 3, 2)",
        "tf.nn.max_pool2d(x, 2, 2, 'SAME')",
        "tf.nn.avg_pool2d(x, 2, 1, 'VALID')",
        "tf.nn.space_to_depth(x, 2)",
        "tf.image.grayscale_to_rgb(x[..., :1])",
    ),
]
# `keras.ops`, of Keras 3 alone.
OPERATIONS = [
    *_of(
        (STEPS,),
        "keras.ops.relu(x) + keras.ops.abs(x) - keras.ops.square(x)",
        "keras.ops.mean(x, axis=1, keepdims=True) * keras.ops.max(x, axis=-1, keepdims=True)",
        "ops.softmax(x, axis=1)",
        "ops.transpose(x, (0, 2, 1))",
        "ops.reshape(x, (-1, 15))",
        "ops.reshape(x, (ops.shape(x)[0], 3, 5))",
        "ops.concatenate([x, x], axis=-1)",
        "ops.stack([x, x], axis=1)",
        "ops.expand_dims(x, -1)",
        "ops.squeeze(ops.expand_dims(x, 1), axis=1)",
        "ops.where(x > 0, x, 0.5 * x)",
        "ops.clip(x, -0.5, 0.5)",
        "ops.cast(x > 0, 'float32')",
        "ops.matmul(x, ops.swapaxes(x, 1, 2))",
        "ops.einsum('bij,bkj->bik', x, x)",
        "ops.pad(x, [[0, 0], [1, 0], [0, 1]])",
        "ops.norm(x, axis=-1)",
        "ops.flip(x, axis=1) + ops.roll(x, 1, axis=1)",
        "ops.take(x, [0, 2], axis=1)",
        "ops.top_k(x, 2)[0]",
        "ops.one_hot(ops.argmax(x, axis=-1), 3)",
        "ops.split(x, [2], axis=1)[1]",
        "ops.nn.gelu(x) + ops.numpy.sin(x) + ops.log1p(ops.abs(x))",
        "x * ops.convert_to_tensor([1.0, 2.0, 3.0]) + ops.ones((3,)) - ops.arange(3, dtype='float32')",
    ),
    *_of(
        (IMAGE,),
        "ops.image.resize(x, (3, 8))",
        "ops.max_pool(x, 2)",
        "ops.average_pool(x, (2, 2), strides=1, padding='same')",
    ),
]
EVERYWHERE = [*REAL, *PYTHON, *BACKEND, *TENSORFLOW]
BODIES = [*EVERYWHERE, *NEWER, *OPERATIONS]
