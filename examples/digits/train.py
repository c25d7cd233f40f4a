"""Train a small network on scikit-learn's handwritten digits: writes digits.h5 and digits.npz, the held-out images.

    python train.py [--epochs 40] [--output FOLDER]

Needs TensorFlow and scikit-learn, takes about half a minute. The demo beside this file needs neither.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def split():
    """Train and test images, (N, 8, 8, 1) with pixels from 0 to 16, and their labels."""
    digits = load_digits()
    images = digits.images.astype("uint8")[..., np.newaxis]
    return train_test_split(images, digits.target, test_size=0.25, stratify=digits.target, random_state=0)


def network():
    """Three convolutions, each with batch normalisation, which kerasgen folds into them."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Rescaling(1 / 16, name="unit_range"),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="strokes"),
            layers.BatchNormalization(name="strokes_norm"),
            layers.ReLU(name="strokes_relu"),
            layers.Conv2D(32, 3, padding="same", use_bias=False, name="corners"),
            layers.BatchNormalization(name="corners_norm"),
            layers.ReLU(name="corners_relu"),
            layers.MaxPooling2D(name="halve"),
            layers.Conv2D(48, 3, use_bias=False, name="shapes"),
            layers.BatchNormalization(name="shapes_norm"),
            layers.ReLU(name="shapes_relu"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.4, name="drop"),
            layers.Dense(10, activation="softmax", name="digit"),
        ],
        name="digits",
    )


def main():
    parser = argparse.ArgumentParser(description="Train a network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="where to write [default: here]")
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    train_images, test_images, train_labels, test_labels = split()
    model = network()
    steps = options.epochs * -(-len(train_images) // 64)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps)),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(train_images, train_labels, batch_size=64, epochs=options.epochs, verbose=0)
    _, accuracy = model.evaluate(test_images, test_labels, verbose=0)
    print(f"{model.count_params()} parameters, {accuracy:.1%} of {len(test_images)} held-out images recognised")

    model.save(options.output / "digits.h5", include_optimizer=False)  # the older HDF5 format, by its ending
    np.savez_compressed(options.output / "digits.npz", images=test_images, labels=test_labels.astype("uint8"))


if __name__ == "__main__":
    main()
