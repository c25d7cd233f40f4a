"""Classes: encoding, ranking and scoring them."""

import numpy as np

from kerasgen.kernels.activation import log_softmax


def one_hot(x, *, num_classes, axis=-1, dtype="float32"):
    """1 at each index, 0 elsewhere, along a new axis: (...) → (..., num_classes)."""
    y = np.expand_dims(x.astype(np.int64), -1) == np.arange(num_classes)
    return np.moveaxis(y.astype(dtype), -1, axis)


def top_k(x, *, k):
    """The k largest along the last axis, in descending order, ties by index, and their indices: twice (..., k)."""
    last = x.shape[-1] - 1
    indices = last - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., : -k - 1 : -1]
    return np.take_along_axis(x, indices, axis=-1), indices.astype(np.int32)


def in_top_k(targets, predictions, *, k):
    """Whether fewer than k predictions are above the target's: (N,), (N, C) → (N,). False if undefined."""
    valid = (targets >= 0) & (targets < predictions.shape[1])
    scores = np.take_along_axis(predictions, np.where(valid, targets, 0)[:, np.newaxis], axis=1)
    above = np.sum(predictions > scores, axis=1)
    return (above < k) & valid & np.isfinite(predictions).all(axis=1)


def binary_crossentropy(target, output, *, from_logits=False):
    """-log of the probability of the true class of two; for logits in a form that does not overflow."""
    if from_logits:
        return np.maximum(output, 0) - output * target + np.log1p(np.exp(-np.abs(output)))
    output = np.clip(output, 1e-7, 1 - 1e-7)
    return -(target * np.log(output) + (1 - target) * np.log(1 - output))


def categorical_crossentropy(target, output, *, from_logits=False, axis=-1):
    """Cross-entropy with a target distribution along `axis`: (..., C), (..., C) → (...)."""
    if from_logits:
        logs = log_softmax(output, axis=axis)
    else:
        logs = np.log(np.clip(output / np.sum(output, axis=axis, keepdims=True), 1e-7, 1 - 1e-7))
    return -np.sum(target * logs, axis=axis)


def sparse_categorical_crossentropy(target, output, *, from_logits=False):
    """-log of the probability of the target class, given by its index: (...), (..., C) → (...)."""
    logits = output if from_logits else np.log(np.clip(output, 1e-7, 1 - 1e-7))
    target = np.expand_dims(target.astype(np.int64), -1)
    return -np.take_along_axis(log_softmax(logits), target, axis=-1)[..., 0]
