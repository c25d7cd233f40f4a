"""What a program looks like that uses the exported module: it knows NumPy and digits_numpy.py, nothing else.

python classify.py FOLDER_OF_DIGITS_NUMPY
"""

import sys
from pathlib import Path

import numpy as np

SHADES = " .:-=+*#%@"


def show(image, label, probabilities):
    """The image as text, beside a bar for the probability of each digit."""
    rows = ["".join(SHADES[pixel * 9 // 16] * 2 for pixel in row) for row in image[..., 0]]
    for digit, probability in enumerate(probabilities):
        bar = "#" * round(30 * probability)
        print(f"  {rows[digit] if digit < len(rows) else '':16}   {digit} {probability:6.1%} {bar}".rstrip())
    print(f"  prediction {probabilities.argmax()}, label {label}\n")


def main():
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[1])
    from digits_numpy import predict

    with np.load(Path(__file__).with_name("digits.npz")) as data:
        images, labels = data["images"], data["labels"]  # (N, 8, 8, 1), pixels from 0 to 16; real handwriting
    probabilities = predict(images)

    loaded = {"h5py", "jinja2", "keras", "kerasgen", "sklearn", "tensorflow"} & set(sys.modules)
    assert not loaded, f"only NumPy should be needed, but these are loaded: {loaded}"
    print(f"NumPy {np.__version__} alone: no TensorFlow, Keras, h5py or kerasgen in this process")

    right = probabilities.argmax(axis=1) == labels
    print(f"accuracy on {len(images)} images that the training never saw: {right.mean():.1%}\n")
    hesitant = np.where(right, probabilities.max(axis=1), 1).argmin()
    examples = [("the first", 0), ("the least certain that is right", hesitant), ("a wrong one", right.argmin())]
    for title, i in examples[: 3 if not right.all() else 2]:
        print(f"{title}:")
        show(images[i], labels[i], probabilities[i])


if __name__ == "__main__":
    main()
