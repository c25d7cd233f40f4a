"""The self-test of `predict_tiled`: whether it answers as `predict` does."""

import numpy as np

from kerasgen.emit.runtime.inputs import make_input
from kerasgen.kernels.tiles import listed


def tile_errors(predict, predict_tiled, shape, dtype, low, high, whole, tiles):
    """Of each output, how far `predict_tiled` is from `predict`, as a part of its largest number.

    Along one axis after the other, the image is long enough for tiles with edges inside it on both sides. Its sizes
    leave what those of `shape` leave when divided by the step, as the model may take no others.
    """
    errors = []
    for i in range(len(tiles["axes"])):
        sizes, tile = [1, *shape[1:]], []
        for j, other in enumerate(tiles["axes"]):
            step, around = tiles["step"][j], max(tiles["before"][j], tiles["after"][j])
            size = -(-max(around, 1) // step) * step
            least = tiles["least"][j] + (4 * size if j == i else 0)
            sizes[other] = least + (shape[other] - least) % step
            tile.append(size if j == i else sizes[other])
        x = make_input(tuple(sizes), np.dtype(dtype), low, high, whole)
        pairs = zip(listed(predict_tiled(x, tile)), listed(predict(x)))
        errors.append([float(np.abs(a - b).max() / (np.abs(b).max() or 1)) if b.size else 0.0 for a, b in pairs])
    return [max(each) for each in zip(*errors)]


def check_tiles(predict, predict_tiled, inputs, recorded, tiles, allowed=1e-5):
    """With `--selftest`, compare `predict_tiled` with `predict` and end with 1 where they differ."""
    import sys

    if recorded is None or "--selftest" not in sys.argv[1:]:
        return
    (shape, low, high, whole), (_, _, dtype) = recorded["inputs"][0], inputs[0]
    error = max(tile_errors(predict, predict_tiled, shape, dtype, low, high, whole, tiles))
    print(f"{'ok' if error <= allowed else 'WRONG'} predict_tiled: off by {error:.2g}, {allowed:.2g} allowed")
    if not error <= allowed:
        sys.exit(1)
