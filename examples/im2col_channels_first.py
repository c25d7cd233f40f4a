"""A channels-first Conv2D as one matrix product: 16 filters of 3 x 3 on an input of shape (3, 32, 32).

Every window becomes a column (im2col), every filter a row; their product is the convolution. The result is compared
with Keras and with the exported module, for `same` and `valid`, strides 1 and 2.
"""

import importlib
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

import kerasgen


def pads_of_kernel(size, kernel, stride):
    """What a kernel needs at stride 1 to keep the size. Often used for any stride; see below where that is wrong."""
    return (kernel - 1) // 2, kernel // 2


def pads_of_all(size, kernel, stride):
    """What ceil(size / stride) windows need; TensorFlow puts the odd cell at the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


def im2col(x, kernel, stride):
    """(N, C, H, W) -> (N, C, kernel, kernel, OH, OW), by three index arrays that broadcast against each other."""
    _, channels, height, width = x.shape
    channel = np.arange(channels).reshape(-1, 1, 1, 1, 1)
    firsts = [stride * np.arange((size - kernel) // stride + 1) for size in (height, width)]
    row = np.arange(kernel).reshape(-1, 1, 1, 1) + firsts[0].reshape(-1, 1)
    column = np.arange(kernel).reshape(-1, 1, 1) + firsts[1]
    return x[:, channel, row, column]


def conv2d(x, weights, bias, stride, pads):
    """Returns the convolution, and the shapes of the two matrices."""
    kernel, _, _, filters = weights.shape  # Keras keeps (kernel, kernel, C, filters) for channels-first layers, too
    windows = im2col(np.pad(x, ((0, 0), (0, 0), pads, pads)), kernel, stride)
    rows = weights.transpose(3, 2, 0, 1).reshape(filters, -1)
    columns = windows.reshape(len(x), rows.shape[1], -1)
    y = rows @ columns + bias[:, np.newaxis]
    return y.reshape(len(x), filters, *windows.shape[-2:]), f"{rows.shape} @ {columns.shape[1:]}"


def verdict(got, expected):
    assert got.shape == expected.shape  # wrong padding need not show in the shape
    difference = np.abs(got - expected).max()
    return "right" if difference < 1e-5 else f"WRONG by {difference:.2f}"


random = np.random.RandomState(0)
image = random.randint(0, 256, (2, 3, 32, 32)).astype("float32") / 255
print("padding  stride  output        im2col                 pads of the kernel    pads of all   exported module")
for padding, stride in [("same", 1), ("valid", 1), ("valid", 2), ("same", 2)]:
    layer = keras.layers.Conv2D(16, 3, strides=stride, padding=padding, data_format="channels_first")
    model = keras.Sequential([keras.Input((3, 32, 32)), layer])
    weights, bias = (random.uniform(-0.5, 0.5, w.shape).astype("float32") for w in model.get_weights())
    model.set_weights([weights, bias])
    name = f"conv_{padding}_{stride}"
    with tempfile.TemporaryDirectory() as folder:
        kerasgen.export(model, f"{folder}/{name}.py", verify=False)
        sys.path.insert(0, folder)
        module = importlib.import_module(name)

    # Keras is asked channels-last. TensorFlow computes channels-first on some processors only; and where the output is
    # as wide as there are filters, as with stride 2, Keras 3.15 called eagerly adds the bias along the width instead.
    y = keras.ops.conv(
        image.transpose(0, 2, 3, 1), weights, strides=stride, padding=padding, data_format="channels_last"
    )
    expected = y.numpy().transpose(0, 3, 1, 2) + bias[:, np.newaxis, np.newaxis]
    cells = []
    for rule in (pads_of_kernel, pads_of_all):
        pads = rule(32, 3, stride) if padding == "same" else (0, 0)
        got, product = conv2d(image, weights, bias, stride, pads)
        cells.append(f"{pads} {verdict(got, expected)}")
    ours = verdict(module.predict(image), expected)
    print(f"{padding:7}  {stride:6}  {expected.shape[1:]!s:12}  {product:21}  {cells[0]:20}  {cells[1]:12}  {ours}")

sizes = [size for size in range(1, 100) if pads_of_kernel(size, 3, 2) == pads_of_all(size, 3, 2)]
assert sizes == list(range(1, 100, 2))
print(
    "\nAt stride 1, `same` adds kernel - 1 cells to any size, so the kernel alone decides. At stride 2, a 3 x 3 kernel"
)
print(
    "gets (1, 1) on odd sizes but (0, 1) on even ones; (1, 1) gives the right shape there, from windows one cell off."
)
print(
    f"\nparameters: 3 * 3 * 3 * 16 + 16 = {3 * 3 * 3 * 16 + 16}; kerasgen.inspect: {kerasgen.inspect(model).parameters}"
)
