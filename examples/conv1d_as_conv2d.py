"""What Conv1D does with the last axis of its input: a Conv2D with the same numbers, and a picture of activations.

    python conv1d_as_conv2d.py [picture.png]

Conv1D takes (batch, steps, channels) and gives (batch, new_steps, filters). It slides along the steps only: its kernel
spans all channels at once, they are summed up, and the filters take their place.
"""

import os
import struct
import sys
import tempfile
import zlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

import kerasgen


def write_png(path, image):
    """Save a two-dimensional array of numbers from 0 to 1 in shades of grey."""
    height, width = image.shape
    rows = np.insert(
        (255 * image).astype(np.uint8), 0, 0, axis=1
    )  # a row begins with the number of its filter, 0: none
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


random = np.random.RandomState(0)
kernel, bias = random.standard_normal((4, 5, 3)), random.standard_normal(3)

line = keras.Sequential([keras.Input((20, 5)), layers.Conv1D(3, 4, name="line")])
line.set_weights([kernel, bias])

# The 2D kernel is as wide as there are channels, so it can slide along the steps only. With `same` padding it could
# slide over the border, too: the two are equal for `valid`, or where the steps are padded beforehand.
plane = keras.Sequential([keras.Input((20, 5, 1)), layers.Conv2D(3, (4, 5), name="plane")])
plane.set_weights([kernel[:, :, np.newaxis], bias])

# Ten filters, each a short wave, fading in and out; filter i answers to a tone of (i + 1) / 24 periods per step.
steps, filters, width = 600, 10, 24
waves = np.cos(2 * np.pi * np.outer(np.arange(width) - width / 2, np.arange(1, filters + 1) / width))
bank = keras.Sequential(
    [
        keras.Input((steps, 1)),
        layers.Conv1D(filters, width, padding="same", name="waves"),
        layers.Activation("relu", name="positive"),
        layers.MaxPooling1D(20, name="strongest"),
    ]
)
bank.set_weights([(waves * np.hanning(width)[:, np.newaxis])[:, np.newaxis], np.zeros(filters)])

with tempfile.TemporaryDirectory() as folder:
    for name, model in {"numpy_line": line, "numpy_plane": plane, "numpy_bank": bank}.items():
        kerasgen.export(model, f"{folder}/{name}.py", activations=True, verify=False)
    sys.path.insert(0, folder)
    import numpy_bank
    import numpy_line
    import numpy_plane

x = random.standard_normal((2, 20, 5)).astype("float32")
y1, y2 = numpy_line.predict(x), numpy_plane.predict(x[..., np.newaxis])
print(f"Conv1D {kernel.shape}: (batch, steps, channels) {x.shape} -> (batch, new_steps, filters) {y1.shape}")
print(f"Conv2D {kernel[:, :, np.newaxis].shape}: {x[..., np.newaxis].shape} -> {y2.shape}")
print(f"largest difference between the two: {np.abs(y1 - y2[:, :, 0]).max():.1e}")
print(f"largest difference from Keras: {np.abs(y1 - line(x).numpy()).max():.1e}\n")

# A signal of 600 numbers is 600 steps of one channel. Given as one step of 600 channels, it leaves the kernel nowhere
# to slide to: the output is one number per filter, and the kernel has 600 times as many weights.
for shape in [(600, 1), (1, 600)]:
    swapped = keras.Sequential([keras.Input(shape), layers.Conv1D(16, 8, padding="same")])
    (layer,) = kerasgen.inspect(swapped).layers
    print(f"input {(None, *shape)}: output {layer.shapes[0]}, {layer.parameters} parameters")

# The activations of a tone that rises steadily, filters upwards and steps to the right: a rising line.
time = np.arange(steps)
tone = np.cos(np.pi * (filters + 1) / width * time**2 / steps).astype("float32").reshape(1, steps, 1)
outputs = numpy_bank.activations(tone)
print("\nactivations: " + ", ".join(f"{name} {y.shape}" for name, y in outputs.items()))
pictures = {name: (y[0].T[::-1] - y.min()) / np.ptp(y) for name, y in outputs.items()}
for row in pictures["strongest"]:
    print("  |" + "".join(" .:-=+*#%@"[int(9.99 * shade)] * 2 for shade in row))

if len(sys.argv) > 1:
    border = np.ones((2, steps))
    panels = [np.kron(picture, np.ones((10, steps // picture.shape[1]))) for picture in pictures.values()]
    write_png(sys.argv[1], np.concatenate([part for panel in panels for part in (panel, border)]))
    print(f"\n{sys.argv[1]}: from the top, {', '.join(pictures)}")
