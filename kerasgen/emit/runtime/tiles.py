"""The self-test of `predict_tiled`: whether it answers as `predict` does."""

import numpy as np

from kerasgen.emit.runtime.inputs import make_input
from kerasgen.kernels.tiles import listed


def tiled_and_whole(predict, predict_tiled, x, tiles):
    """For each output of floats, the answers in tiles and as a whole, to images that repeat the sample x.

    Along one axis after the other, the image is long enough for a tile with neighbours on both sides. Divided by the
    step, its sizes leave the same remainder as those of x, as the model may not take others.
    """
    for i in range(len(tiles["axes"])):
        image, tile = x[:1], []
        for j, (axis, step, least) in enumerate(zip(tiles["axes"], tiles["step"], tiles["least"])):
            around = -(-max(tiles["before"][j], tiles["after"][j], 1) // step) * step
            size = least + (4 * around if i == j else 0)
            size += (x.shape[axis] - size) % step
            image = image.take(np.arange(size) % x.shape[axis], axis=axis)
            tile.append(around if i == j else size)
        for got, right in zip(listed(predict_tiled(image, tile)), listed(predict(image))):
            if right.size and right.dtype.kind in "fc":
                yield got, right


def tile_tolerance(dtype):
    """The error allowed in tiles, as a fraction of the largest number: products may add in another order."""
    return max(1e-5, float(np.finfo(dtype).eps))


def check_tiles(predict, predict_tiled, inputs, recorded, tiles):
    """With `--selftest`, compare `predict_tiled` with `predict`, and exit with 1 if they differ."""
    import sys

    if recorded is None or "--selftest" not in sys.argv[1:]:
        return
    (shape, low, high, whole), (_, _, dtype) = recorded["inputs"][0], inputs[0]
    x, wrong = make_input((1, *shape[1:]), np.dtype(dtype), low, high, whole), False
    for got, right in tiled_and_whole(predict, predict_tiled, x, tiles):
        error, allowed = np.abs(got - right).max() / (np.abs(right).max() or 1), tile_tolerance(right.dtype)
        wrong = wrong or not error <= allowed
        print(f"{'ok' if error <= allowed else 'WRONG'} in tiles: off by {error:.2g}, {allowed:.2g} allowed")
    if wrong:
        sys.exit(1)
