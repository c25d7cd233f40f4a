"""Training on the device: it knows NumPy and digits_numpy.py, nothing else.

python learn.py FOLDER_OF_DIGITS_NUMPY
"""

import sys
import time
from pathlib import Path

import numpy as np

EPOCHS, BATCH = 40, 32


def shifted(images):
    """Each digit one cell further down and to the right, where the training never saw it."""
    moved = np.zeros_like(images)
    moved[:, 1:, 1:] = images[:, :-1, :-1]
    return moved


def accuracy(net, images, labels):
    """The part of the images that the network knows."""
    return (net.predict(images).argmax(axis=-1) == labels).mean()


def main():
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    import digits_numpy as net

    with np.load(str(Path(__file__).with_name("digits.npz"))) as data:
        images, labels = data["images"].astype("float32"), data["labels"]  # (N, 8, 8, 1), pixels from 0 to 16
    print(f"NumPy {np.__version__} alone: {len(net.TRAINABLE)} weights of {len(net.W)} can be trained")
    first = {name: net.W[name].copy() for name in net.TRAINABLE}
    for title, change in (("negatives", lambda x: 16 - x), ("shifted", shifted)):
        for name, array in first.items():
            net.W[name][...] = array
        net.OPTIMIZER = type(net.OPTIMIZER)(net.OPTIMIZER.learning_rate)  # without the state of the last training
        x = change(images)
        order = np.random.RandomState(0).permutation(len(x))
        learn, test = order[:300], order[300:]

        before, start, losses = accuracy(net, x[test], labels[test]), time.time(), []
        for epoch in range(EPOCHS):
            batches = np.random.RandomState(epoch).permutation(learn)
            for i in range(0, len(learn), BATCH):
                batch = batches[i : i + BATCH]
                losses.append(net.train_step(x[batch], labels[batch]))
        after = accuracy(net, x[test], labels[test])
        print(f"{title}: accuracy on 150 digits {before:.1%} before, {after:.1%} after {len(losses)} steps", end=" ")
        print(f"in {time.time() - start:.1f} s; loss {losses[0]:.2f} to {losses[-1]:.3f}")
    loaded = {"h5py", "jinja2", "keras", "kerasgen", "sklearn", "tensorflow"} & set(sys.modules)
    assert not loaded, loaded


if __name__ == "__main__":
    main()
