"""Why is this a 3? Saliency and Grad-CAM of the digits, drawn as a picture by a module that needs only NumPy.

    python explain.py [picture.png]

From the top: the digits, what each answer depends on (saliency), and where the last convolution sees it (Grad-CAM).
"""

import importlib
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np

import kerasgen

HERE = Path(__file__).resolve().parent
SCALE = 12  # pixels for each cell


def write_png(path, image):
    """Save a two-dimensional array of numbers from 0 to 1 in shades of grey."""
    height, width = image.shape
    rows = np.insert((255 * image).astype(np.uint8), 0, 0, axis=1)  # a row begins with the number of its filter, 0
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b"")):
            file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))


def panel(maps):
    """Maps (N, H, W) side by side, each from its least number, black, to its largest, white."""
    maps = maps - maps.min(axis=(1, 2), keepdims=True)
    maps = maps / np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-12)
    cells = 8 * SCALE // maps.shape[1]
    tiles = np.pad(np.kron(maps, np.ones((1, cells, cells))), ((0, 0), (2, 2), (2, 2)), constant_values=1)
    return np.concatenate(list(tiles), axis=1)


with tempfile.TemporaryDirectory() as folder:
    options = kerasgen.GradientOptions(trainable=(), explain=("saliency", "grad_cam=corners_relu"))
    kerasgen.export(HERE / "digits.h5", Path(folder, "explained.py"), verify=False, gradients=options)
    sys.path.insert(0, folder)
    net = importlib.import_module("explained")

with np.load(HERE / "digits.npz") as data:
    images, labels = data["images"][:12].astype("float32"), data["labels"][:12]
scores = net.predict(images)
saliency, cam = net.saliency(images), net.grad_cam(images)
for label, score, where in zip(labels, scores, saliency.reshape(len(labels), -1).argmax(axis=-1), strict=True):
    print(f"a {label} is taken for a {score.argmax()}, by the cell in row {where // 8}, column {where % 8}")
if sys.argv[1:]:
    write_png(sys.argv[1], np.concatenate([panel(images[..., 0]), panel(saliency), panel(cam)]))
    print(f"{sys.argv[1]}: digits, saliency, Grad-CAM")
