"""Writes the model files of this folder: `python write.py NAME...` under the Keras whose dialect they show.

Each model is saved with random weights, and beside it what its own Keras answers to random inputs. README.md lists
which versions wrote which files. Runs on Python 3.6.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

try:
    if os.environ.get("USE_TF"):
        raise ImportError("TensorFlow's own Keras is wanted, though another one may be there")
    from keras import backend as K
    from keras import layers as L
    from keras.models import Model, Sequential

    if K.backend() == "theano":
        import theano.ifelse  # noqa: F401 Keras 1 takes it to be imported
except ImportError:
    import tensorflow as tf
    from tensorflow.keras import backend as K
    from tensorflow.keras import layers as L
    from tensorflow.keras.models import Model, Sequential


# --- Keras 1 ---------------------------------------------------------------------------------------------------------


def k1_images(order):
    shape = (3, 9, 20) if order == "th" else (9, 20, 3)
    axis = 1 if order == "th" else -1
    K.set_image_dim_ordering(order)
    model = Sequential()
    width = 3 if K.backend() == "theano" else 2  # Theano pads for even kernels as nothing else does
    model.add(L.Convolution2D(4, 3, width, border_mode="same", activation="relu", input_shape=shape))
    model.add(L.BatchNormalization(axis=axis))
    model.add(L.MaxPooling2D((2, 2), strides=(1, 2)))
    model.add(L.UpSampling2D((2, 1)))
    model.add(L.ZeroPadding2D((1, 2, 0, 1)))
    model.add(L.Cropping2D(((1, 2), (0, 1))))
    model.add(L.AtrousConvolution2D(5, 2, 3, atrous_rate=(2, 2), bias=False))
    model.add(L.LeakyReLU(0.1))
    model.add(L.Convolution2D(4, 3, 3, subsample=(2, 1), border_mode="valid"))
    model.add(L.AveragePooling2D((2, 2)))
    model.add(L.SpatialDropout2D(0.3))
    if K.backend() == "tensorflow":
        model.add(L.SeparableConvolution2D(8, 2, 1, depth_multiplier=2))
    size = model.output_shape[2:] if order == "th" else model.output_shape[1:3]
    wide = tuple(2 * n + 1 for n in size)
    wide = (None, 3) + wide if order == "th" else (None,) + wide + (3,)
    model.add(L.Deconvolution2D(3, 2, 2, output_shape=wide, subsample=(2, 2)))
    model.add(L.Flatten())
    model.add(L.Dropout(0.5))
    model.add(L.Dense(5, activation="hard_sigmoid"))
    model.add(L.BatchNormalization())
    return model


def k1_series():
    model = Sequential()
    model.add(L.Convolution1D(4, 3, border_mode="same", input_dim=3, input_length=12))
    model.add(L.AtrousConvolution1D(5, 2, atrous_rate=2, activation="tanh"))
    model.add(L.ZeroPadding1D((1, 2)))
    model.add(L.MaxPooling1D(pool_length=2, stride=1))
    model.add(L.Cropping1D((1, 0)))
    model.add(L.UpSampling1D(length=2))
    model.add(L.Convolution1D(4, 2, subsample_length=2, bias=False))
    model.add(L.LSTM(4, return_sequences=True))
    model.add(L.GRU(3, return_sequences=True, inner_activation="sigmoid"))
    model.add(L.Bidirectional(L.LSTM(3, return_sequences=True, consume_less="gpu"), merge_mode="concat"))
    model.add(L.Bidirectional(L.GRU(3, return_sequences=True, consume_less="mem"), merge_mode="sum"))
    model.add(L.TimeDistributed(L.Dense(4)))
    model.add(L.Permute((1, 2)))
    model.add(L.SimpleRNN(4, go_backwards=True))
    model.add(L.Highway(activation="relu"))
    model.add(L.MaxoutDense(3, nb_feature=2))
    model.add(L.RepeatVector(2))
    model.add(L.Reshape((3, 2)))
    return model


def k1_norm():
    """By each sample's own statistics, which Keras 2 dropped."""
    model = Sequential()
    model.add(L.Dense(5, input_dim=4))
    model.add(L.BatchNormalization(mode=1, epsilon=0.01))
    model.add(L.Reshape((5, 1)))
    model.add(L.Convolution1D(3, 2))
    model.add(L.BatchNormalization(mode=1))
    return model


def k1_branches():
    left = Sequential([L.Dense(4, input_dim=3, name="left"), L.Activation("relu")])
    right = Sequential([L.Embedding(7, 2, input_length=2), L.Flatten(), L.Dense(3), L.BatchNormalization()])
    model = Sequential([L.Merge([left, right], mode="concat", concat_axis=1)])
    model.add(L.Dense(3))
    model.add(Sequential([L.Dense(4, input_dim=3), L.BatchNormalization()]))
    return model


def k1_graph():
    from keras.layers import Input, merge

    a, b = Input((4,), name="a"), Input((4,), name="b")
    shared = L.Dense(4, name="shared")
    inner = Sequential([L.Dense(4, input_dim=4), L.BatchNormalization(), L.GaussianNoise(0.1)], name="inner")
    x, y = shared(a), inner(shared(b))
    merged = [merge([x, y], mode=mode) for mode in ("sum", "mul", "ave", "max", "concat")]
    merged.append(merge([x, y], mode="dot", dot_axes=1))
    z = merge([L.PReLU()(merged[0]), L.ELU(0.5)(merged[1]), L.ThresholdedReLU(0.2)(merged[2])], mode="sum")
    z = L.SReLU()(L.ParametricSoftplus()(z))
    return Model(input=[a, b], output=merged + [inner(z), merge([x, y], mode="cos", dot_axes=1)])


def k1_volumes(order):
    K.set_image_dim_ordering(order)
    shape = (2, 5, 6, 7) if order == "th" else (5, 6, 7, 2)
    model = Sequential()
    model.add(L.Convolution3D(3, 2, 3, 2, input_shape=shape, activation="relu"))
    model.add(L.MaxPooling3D((2, 1, 2)))
    model.add(L.ZeroPadding3D((1, 0, 1)))
    model.add(L.UpSampling3D((1, 2, 1)))
    model.add(L.Convolution3D(2, 2, 2, 2, subsample=(1, 2, 1)))
    model.add(L.Cropping3D(((1, 0), (0, 1), (0, 0))))
    model.add(L.Flatten())
    return model


def k1_convlstm(order):
    K.set_image_dim_ordering(order)
    shape = (3, 2, 5, 6) if order == "th" else (3, 5, 6, 2)
    model = Sequential()
    model.add(L.ConvLSTM2D(3, 3, 3, border_mode="same", input_shape=shape, return_sequences=True))
    model.add(L.ConvLSTM2D(2, 3, 3, border_mode="valid", inner_activation="sigmoid"))
    return model


# --- Keras 2 ---------------------------------------------------------------------------------------------------------


def k2_images(order="channels_last", separable=True):
    def given(channels, rows, columns):
        return (channels, rows, columns) if order == "channels_first" else (rows, columns, channels)

    wide = {"data_format": order}
    model = Sequential()
    width = 3 if K.backend() == "theano" else 2
    model.add(L.Conv2D(4, (3, width), padding="same", activation="relu", input_shape=given(3, 9, 10), **wide))
    model.add(L.BatchNormalization(axis=1 if order == "channels_first" else -1))
    if separable:
        model.add(L.SeparableConv2D(4, 3, depth_multiplier=2, **wide))
        model.add(L.DepthwiseConv2D((2, 3), **wide))
    model.add(L.MaxPooling2D(2, **wide))
    model.add(L.Conv2DTranspose(3, 3, strides=2, **wide))
    model.add(L.UpSampling2D(2, **wide))
    model.add(L.Conv2D(2, 3, dilation_rate=2, **wide))
    if K.backend() == "tensorflow":
        model.add(L.LocallyConnected2D(2, (2, 3), **wide))
    model.add(L.Flatten())
    model.add(L.Dense(3))
    return model


def k2_series(separable=True):
    x = L.Input((6, 3))
    y = L.Conv1D(4, 3, padding="causal")(x)
    y = L.SeparableConv1D(4, 2)(y) if separable else y
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(y)
    y = L.LocallyConnected1D(3, 2)(y) if K.backend() == "tensorflow" else y
    y = L.TimeDistributed(L.Dense(4))(y)
    return Model(x, L.GRU(3)(y))


def k2_volumes():
    x = L.Input((3, 5, 6, 2))
    height = 3 if K.backend() == "theano" else 2
    y = L.ConvLSTM2D(3, (height, 3), padding="same", return_sequences=True)(x)
    return Model(x, L.Conv3D(2, (2, 3, 2))(y))


def k2_nested():
    """A frozen layer in a model in a model, called twice, with batch normalisation around."""
    leaf_in = L.Input((4,))
    frozen = L.Dense(4, name="frozen")
    frozen.trainable = False
    leaf = Model(leaf_in, L.BatchNormalization(name="norm")(frozen(L.Dense(4, name="first")(leaf_in))), name="leaf")
    inner = Sequential([L.Dense(4, input_shape=(4,)), leaf, L.Dense(4, activation="relu")], name="inner")
    steps = L.Input((3, 4), name="steps")
    y = L.TimeDistributed(inner)(steps)
    y = L.LSTM(4)(y)
    y = L.concatenate([leaf(y), inner(y), leaf(inner(y))])
    return Model(steps, [L.Dense(2)(y), y])


def k2_bilinear():
    x = L.Input((5, 4, 2))
    return Model(x, L.UpSampling2D((2, 3), interpolation="bilinear")(x))


def k2_cudnn():
    layers = tf.compat.v1.keras.layers
    x = L.Input((5, 3))
    y = layers.CuDNNLSTM(4, return_sequences=True)(x)
    y = L.Bidirectional(layers.CuDNNGRU(3, return_sequences=True))(y)
    return Model(x, layers.CuDNNLSTM(2)(y))


def k2_plain():
    """What the file of k2_cudnn means, for a machine without the hardware."""
    recurrent = {"recurrent_activation": "sigmoid"}
    x = L.Input((5, 3))
    y = L.LSTM(4, return_sequences=True, **recurrent)(x)
    y = L.Bidirectional(L.GRU(3, return_sequences=True, reset_after=True, **recurrent))(y)
    return Model(x, L.LSTM(2, **recurrent)(y))


# --- TensorFlow ------------------------------------------------------------------------------------------------------


def tf_functions():
    """Functions that became nodes of TensorFlow's graph, or layers that hold their names."""
    x, image = L.Input((4, 6), name="x"), L.Input((8, 8, 3), name="image")
    parts = [tf.nn.relu(x * 2.0 + 1.0), tf.nn.relu6(3.0 - x), tf.sigmoid(x), tf.tanh(-x) / (2.0 + tf.square(x))]
    parts.append(tf.where(x > 0.1, x, tf.zeros_like(x)))
    parts.append(tf.clip_by_value(tf.maximum(x, 0.2), 0.0, tf.minimum(x, 3.0)))
    parts.append(tf.transpose(tf.reshape(x, (-1, 6, 4)), [0, 2, 1]))
    parts.append(tf.reshape(x, [tf.shape(x)[0], 4, -1]))
    parts.append(tf.tile(x[:, 1:3], [1, 2, 1]) + x[:, ::-1] - x[:, -1][:, tf.newaxis])
    parts.append(tf.pad(x[..., 1:4], [[0, 0], [0, 0], [2, 1]]))
    parts.append(tf.nn.softmax(tf.matmul(x, tf.constant(np.eye(6, dtype="float32")[::-1])), axis=-1))
    parts.append(tf.nn.leaky_relu(x, 0.1) + tf.nn.elu(x) + tf.nn.selu(x) + tf.nn.softplus(x) + tf.exp(x))
    parts.append(tf.concat(tf.split(x, 3, axis=-1)[::-1], axis=-1))
    parts.append(tf.reverse(tf.stack(tf.unstack(x, axis=1), axis=1), [2]))
    parts.append(tf.gather(x, [3, 2, 1, 0], axis=1) ** 2)
    parts.append(tf.cast(tf.cast(x, tf.int32), tf.float32))
    parts.append(tf.math.rsqrt(tf.abs(x) + 1.0) * tf.math.log(tf.abs(x) + 1.0))
    parts.append(tf.one_hot(tf.argmax(x, axis=-1), 6))
    parts.append(tf.nn.bias_add(x, np.arange(6).astype("float32")))
    sums = tf.add_n(parts)
    means = tf.reduce_mean(x, axis=[1, 2], keepdims=True) + tf.reduce_max(x, axis=1, keepdims=True)
    means = tf.squeeze(tf.expand_dims(means + tf.reduce_sum(x, -1, keepdims=True), 1), 1)
    kernel = np.linspace(-1, 1, 54).reshape((3, 3, 3, 2)).astype("float32")
    y = tf.image.resize(tf.nn.conv2d(image, kernel, 2, "SAME"), (6, 6))
    y = tf.nn.max_pool2d(y, 2, 2, "VALID") + tf.nn.avg_pool2d(y, 2, 2, "SAME")
    y = y + tf.image.resize(image[..., :2], (3, 3), method="nearest")
    y = y + tf.compat.v1.image.resize_bilinear(image[..., 1:], (3, 3), align_corners=True)
    y = tf.nn.space_to_depth(tf.pad(y, [[0, 0], [0, 1], [0, 1], [0, 0]], mode="REFLECT"), 2)
    return Model([x, image], [sums + means, y, tf.shape(x), tf.reduce_logsumexp(x, 1)])


def tf_everything():
    """One of each kind of part: layers that hold layers, cells, models, shared ones."""
    x = L.Input((6, 4), name="x")
    y = L.Bidirectional(L.LSTM(3, return_sequences=True))(x)
    y = L.RNN([L.LSTMCell(3), L.GRUCell(4)], return_sequences=True)(y)
    leaf_in = L.Input((4,))
    leaf = Model(leaf_in, L.Dense(4)(L.BatchNormalization()(L.Dense(4)(leaf_in))), name="leaf")
    y = L.TimeDistributed(leaf)(y)
    y = L.TimeDistributed(L.Dense(4))(y)
    if hasattr(L, "MultiHeadAttention"):
        y = L.MultiHeadAttention(2, 3)(y, y)
    y = L.SeparableConv1D(4, 2, padding="same")(y)
    y = L.Dense(4)(L.LayerNormalization()(y))
    z = Sequential([L.Dense(4, input_shape=(4,)), L.PReLU(), L.Dense(4)], name="tail")(L.GRU(4)(y))
    return Model(x, [leaf(z), L.Dense(4)(L.Dense(4)(z))])


# --- writing ---------------------------------------------------------------------------------------------------------

NAMES = {
    "k1_images_th": lambda: k1_images("th"),
    "k1_images_tf": lambda: k1_images("tf"),
    "k1_series": k1_series,
    "k1_norm": k1_norm,
    "k1_branches": k1_branches,
    "k1_graph": k1_graph,
    "k1_volumes_th": lambda: k1_volumes("th"),
    "k1_volumes_tf": lambda: k1_volumes("tf"),
    "k1_convlstm_th": lambda: k1_convlstm("th"),
    "k1_convlstm_tf": lambda: k1_convlstm("tf"),
    "k2_images": k2_images,
    "k2_theano": lambda: k2_images(separable=False),  # which has no separable convolution
    "k2_theano_first": lambda: k2_images("channels_first", separable=False),
    "k2_series": k2_series,
    "k2_theano_series": lambda: k2_series(separable=False),
    "k2_volumes": k2_volumes,
    "k2_nested": k2_nested,
    "k2_bilinear": k2_bilinear,
    "k2_cudnn": k2_cudnn,
    "tf_functions": tf_functions,
    "tf_everything": tf_everything,
}


def randomised(model):
    random = np.random.RandomState(0)
    values = []
    for weight in model.weights:
        value = random.uniform(-0.5, 0.5, K.int_shape(weight) if hasattr(K, "int_shape") else weight.shape)
        spread = any(word in weight.name for word in ("std", "variance", "gamma"))
        values.append((np.abs(value) + 0.5 if spread else value).astype("float32"))
    K.batch_set_value(list(zip(model.weights, values)))
    return model


def inputs_of(model):
    random = np.random.RandomState(1)
    arrays = []
    for tensor in model.inputs:
        shape = (2,) + tuple(K.int_shape(tensor)[1:])
        whole = "embedding" in tensor.name or "int" in K.dtype(tensor)
        array = random.randint(0, 7, shape) if whole else random.uniform(-2, 2, shape)
        arrays.append(array.astype("int32" if whole else "float32"))
    return arrays


def main():
    writer = sys.argv[1]
    ending = "keras" if writer in ("tf2.12", "tf2.13") else "h5"
    for name in sys.argv[2:]:
        model = randomised(NAMES[name]())
        arrays = inputs_of(model)
        path = "{}-{}.".format(writer, name)
        model.save(path + ending)
        if name == "k2_cudnn":
            model = k2_plain()  # cuDNN needs its hardware; Keras converts the weights
            model.load_weights(path + ending)
        answers = model.predict(arrays)
        answers = answers if isinstance(answers, list) else [answers]
        stored = {"input_%d" % i: array for i, array in enumerate(arrays)}
        stored.update(("output_%d" % i, array) for i, array in enumerate(answers))
        np.savez_compressed(path + "npz", **stored)
        print(writer, name, [array.shape for array in answers])


main()
