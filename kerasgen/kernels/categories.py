"""Classes: encoding, ranking and scoring them."""

import numpy as np

from kerasgen.kernels.activation import log_softmax


def one_hot(x, *, num_classes, axis=-1, dtype="float32"):
    """1 at the place that each number names, 0 elsewhere, along a new axis: (...) → (..., num_classes)."""
    y = np.expand_dims(x.astype(np.int64), -1) == np.arange(num_classes)
    return np.moveaxis(y.astype(dtype), -1, axis)


def top_k(x, *, k):
    """The k largest of the last axis, falling, the first of equal ones first, and their places: twice (..., k)."""
    last = x.shape[-1] - 1
    places = last - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., : -k - 1 : -1]
    return np.take_along_axis(x, places, axis=-1), places.astype(np.int32)


def in_top_k(targets, predictions, *, k):
    """Whether fewer than k predictions are above the target's: (N,), (N, C) → (N,). False where it cannot be told."""
    exists = (targets >= 0) & (targets < predictions.shape[1])
    wanted = np.take_along_axis(predictions, np.where(exists, targets, 0)[:, np.newaxis], axis=1)
    above = np.sum(predictions > wanted, axis=1)
    return (above < k) & exists & np.isfinite(predictions).all(axis=1)


def binary_crossentropy(target, output, *, from_logits=False):
    """-log of the probability given to the truth, of two classes; of a logit in a form that does not overflow."""
    if from_logits:
        return np.maximum(output, 0) - output * target + np.log1p(np.exp(-np.abs(output)))
    output = np.clip(output, 1e-7, 1 - 1e-7)
    return -(target * np.log(output) + (1 - target) * np.log(1 - output))


def categorical_crossentropy(target, output, *, from_logits=False, axis=-1):
    """-log of the probability given to the truth, a distribution along `axis`: (..., C), (..., C) → (...)."""
    if from_logits:
        logs = log_softmax(output, axis=axis)
    else:
        logs = np.log(np.clip(output / np.sum(output, axis=axis, keepdims=True), 1e-7, 1 - 1e-7))
    return -np.sum(target * logs, axis=axis)


def sparse_categorical_crossentropy(target, output, *, from_logits=False):
    """-log of the probability given to the truth, the number of a class: (...), (..., C) → (...)."""
    logits = output if from_logits else np.log(np.clip(output, 1e-7, 1 - 1e-7))
    target = np.expand_dims(target.astype(np.int64), -1)
    return -np.take_along_axis(log_softmax(logits), target, axis=-1)[..., 0]
