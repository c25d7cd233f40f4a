"""Two strided Conv1D layers with `same` padding in NumPy alone: (100, 1) -> (9, 16) -> (1, 16).

Written by hand, such a layer takes three steps: pad, cut into windows, multiply. This script exports the layers with
kerasgen and compares with Keras; then it asks for which lengths, kernels and strides each hand-written step is right.
"""

import itertools
import os
import sys
import tempfile

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras.layers import Conv1D
from numpy.lib.stride_tricks import as_strided

import kerasgen

random = np.random.RandomState(0)


def pad(x, kernel, stride):
    """Zeros such that ceil(length / stride) windows fit; TensorFlow puts the odd one at the end."""
    total = max(kernel - (len(x) % stride or stride), 0)
    return np.pad(x, ((total // 2, total - total // 2), (0, 0)))


def slices(x, kernel, stride):
    """As many windows as strides fit into the padded length, whether or not the kernel fits so often."""
    return np.stack([x[i * stride : i * stride + kernel] for i in range(len(x) // stride)])


def no_strides(x, kernel, stride):
    """A view instead of copies, but `as_strided` is not told the stride: it lays the windows end to end."""
    memory = np.full((len(x) * kernel, x.shape[1]), np.nan)  # NaN shows what is read behind the end of the sequence
    memory[: len(x)] = x
    return as_strided(memory[: len(x)], (len(x) // stride, kernel, x.shape[1]))


def corrected(x, kernel, stride):
    """The last window starts where a whole kernel still fits; the next window starts one stride further."""
    step, channel = x.strides
    return as_strided(x, ((len(x) - kernel) // stride + 1, kernel, x.shape[1]), (stride * step, step, channel))


def verdict(cut, x, weights, stride, expected):
    try:
        y = np.tensordot(cut(pad(x, len(weights), stride), len(weights), stride), weights, axes=2)
    except ValueError:
        return "cannot stack"  # the last slices are shorter
    if np.isnan(y).any():
        return "reads past the end"
    if len(y) != len(expected):
        return f"{len(y)} windows"
    return "right" if np.allclose(y, expected, atol=1e-5) else "wrong numbers"


layers = [Conv1D(16, 12, strides=12, padding="same", name=name) for name in ("first", "second")]
model = keras.Sequential([keras.Input((100, 1)), *layers])
model.set_weights([random.uniform(-0.5, 0.5, w.shape) for w in model.get_weights()])  # biases too: fresh ones are 0
with tempfile.TemporaryDirectory() as folder:
    kerasgen.export(model, f"{folder}/strided.py", activations=True, optimize=0, verify=False)
    sys.path.insert(0, folder)
    import strided

x = random.uniform(-1, 1, (5, 100, 1)).astype("float32")
for name, y in strided.activations(x).items():
    print(f"{name}: {y.shape}")
print(f"largest difference from Keras: {np.abs(strided.predict(x) - model(x).numpy()).max():.1e}")

print("\nlength kernel stride  Keras        slices        no strides          corrected  kerasgen")
shown = [(100, 12, 12), (9, 12, 12), (100, 18, 12), (100, 24, 12), (100, 3, 1), (96, 5, 12), (100, 5, 12)]
sweep = list(itertools.product(range(1, 13), range(1, 8), range(1, 5)))
right = dict.fromkeys(["slices", "no_strides", "corrected", "kerasgen"], 0)
for length, kernel, stride in shown + sweep:
    x = random.uniform(-1, 1, (1, length, 2)).astype("float32")
    weights = random.uniform(-0.5, 0.5, (kernel, 2, 4)).astype("float32")
    expected = keras.ops.conv(x, weights, strides=stride, padding="same").numpy()
    row = {cut.__name__: verdict(cut, x[0], weights, stride, expected[0]) for cut in (slices, no_strides, corrected)}
    # The functions of an exported module are general ones: this is the `conv1d` that `strided.predict` calls.
    ours = strided.conv1d(x, weights, strides=(stride,), pad="same")
    row["kerasgen"] = "right" if np.allclose(ours, expected, atol=1e-5) else "wrong"
    if (length, kernel, stride) in shown:
        windows = f"{expected.shape[1]} windows"
        line = "{:6} {:6} {:6}  {:11}  {:12}  {:18}  {:9}  {}"
        print(line.format(length, kernel, stride, windows, *row.values()))
    # Slices are right where the kernel spans one stride but not two, or where nothing has to be padded anyway.
    fits = stride <= kernel < 2 * stride or (kernel < stride and length % stride == 0)
    assert (row["slices"] == "right") == fits
    right = {name: count + (row[name] == "right") for name, count in right.items()}
print(f"\nright among {len(shown + sweep)} combinations: {', '.join(f'{k} {v}' for k, v in right.items())}")
