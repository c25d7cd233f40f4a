"""The backward pass of a channels-first Conv2D by im2col, line by line beside the exported module and TensorFlow.

Forward, columns of windows times rows of filters. Backward, the same matrices transposed: the gradient of the weights
is `accum_grad.dot(X_col.T)`, that of the input `W_col.T.dot(accum_grad)`, whose columns are added up where they came
from (col2im).
"""

import importlib
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import kerasgen
from kerasgen import GradientOptions

FILTERS, KERNEL = 16, 3


def pads_of(size, stride):
    """What ceil(size / stride) windows need; TensorFlow puts the odd cell at the end."""
    total = max((-(-size // stride) - 1) * stride + KERNEL - size, 0)
    return total // 2, total - total // 2


def windows_of(height, width, channels, stride):
    """For each row of X_col and each window, the channel, row and column that it is read from."""
    channel = np.repeat(np.arange(channels), KERNEL * KERNEL).reshape(-1, 1)
    i = np.tile(np.repeat(np.arange(KERNEL), KERNEL), channels).reshape(-1, 1)
    j = np.tile(np.arange(KERNEL), KERNEL * channels).reshape(-1, 1)
    rows, columns = (stride * np.arange((size - KERNEL) // stride + 1) for size in (height, width))
    return channel, i + np.repeat(rows, len(columns)), j + np.tile(columns, len(rows))


def forward_and_backward(x, weights, accum_grad, stride, pads):
    """The output, and the gradients of weights, bias and input; `weights` are (filters, channels, height, width)."""
    padded = np.pad(x, ((0, 0), (0, 0), pads, pads))
    place = windows_of(*padded.shape[2:], padded.shape[1], stride)
    X_col = padded[:, place[0], place[1], place[2]].transpose(1, 2, 0).reshape(len(place[0]), -1)
    W_col = weights.reshape(FILTERS, -1)
    output = W_col.dot(X_col).reshape(FILTERS, -1, len(x)).transpose(2, 0, 1)

    accum_grad = accum_grad.transpose(1, 2, 3, 0).reshape(FILTERS, -1)
    grad_w = accum_grad.dot(X_col.T).reshape(weights.shape)
    grad_w0 = np.sum(accum_grad, axis=1)
    columns = W_col.T.dot(accum_grad).reshape(len(place[0]), -1, len(x)).transpose(2, 0, 1)
    grad_padded = np.zeros_like(padded)
    np.add.at(grad_padded, (slice(None), *place), columns)  # a cell of several windows gets the sum
    inside = slice(pads[0], grad_padded.shape[2] - pads[1])
    return output, grad_w, grad_w0, grad_padded[:, :, inside, inside]


def largest(one, other):
    return f"{np.abs(one - other).max() / np.abs(other).max():.0e}"


random = np.random.RandomState(0)
image = random.uniform(0, 1, (2, 3, 32, 32)).astype("float32")
print("padding  stride   accum_grad     X_col           largest difference of: weights     bias    input")
for padding, stride in [("same", 1), ("valid", 1), ("valid", 2), ("same", 2)]:
    layer = keras.layers.Conv2D(
        FILTERS, KERNEL, strides=stride, padding=padding, data_format="channels_first", name="conv"
    )
    model = keras.Sequential([keras.Input((3, 32, 32), name="image"), layer])
    weights, bias = (random.uniform(-0.5, 0.5, w.shape).astype("float32") for w in model.get_weights())
    model.set_weights([weights, bias])
    name = f"conv_{padding}_{stride}"
    with tempfile.TemporaryDirectory() as folder:
        kerasgen.export(model, f"{folder}/{name}.py", verify=False, gradients=GradientOptions())
        sys.path.insert(0, folder)
        module = importlib.import_module(name)
    y, saved = module.forward(image)
    accum_grad = random.uniform(-1, 1, y.shape).astype("float32")
    d_image, d_weights = module.backward(saved, accum_grad)

    pads = pads_of(32, stride) if padding == "same" else (0, 0)
    filters = weights.transpose(3, 2, 0, 1)  # Keras keeps (height, width, channels, filters)
    output, grad_w, grad_w0, grad_x = forward_and_backward(image, filters, accum_grad, stride, pads)
    assert np.allclose(output.reshape(y.shape) + bias[:, np.newaxis, np.newaxis], y, atol=1e-5)

    # TensorFlow is asked channels-last, as some processors have no other convolutions.
    x, w = tf.constant(image.transpose(0, 2, 3, 1)), tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch([x, w])
        answer = tf.nn.conv2d(x, w, stride, padding.upper())
    d_x, d_w = tape.gradient(answer, [x, w], output_gradients=tf.constant(accum_grad.transpose(0, 2, 3, 1)))
    for got, seed in ((d_w.numpy().transpose(3, 2, 0, 1), grad_w), (d_x.numpy().transpose(0, 3, 1, 2), grad_x)):
        assert np.allclose(got, seed, atol=1e-4 * np.abs(seed).max())

    cells = [
        largest(d_weights["conv/kernel"].transpose(3, 2, 0, 1), grad_w),
        largest(d_weights["conv/bias"], grad_w0),
        largest(d_image, grad_x),
    ]
    sizes = f"({FILTERS}, {y[0, 0].size * len(y)})", f"(27, {y[0, 0].size * len(y)})"
    print(f"{padding:7}  {stride:6}   {sizes[0]:13}  {sizes[1]:35}  {cells[0]:>9}{cells[1]:>9}{cells[2]:>9}")
print("\nequal: the formulas, the exported module, TensorFlow")
