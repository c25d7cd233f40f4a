"""Losses, as in keras/src/losses/losses.py: the mean over all samples, and its gradient in the outputs.

Probabilities are not clipped at 1e-7: behind a softmax or a sigmoid, Keras computes with the logits, and the gradient
in these is the same.
"""

import numpy as np

from kerasgen.kernels.activation import log_softmax, sigmoid, softplus


def mean_squared_error_loss(y, targets):
    """The mean of (y - t)², and 2 (y - t) / size."""
    error = y - targets
    return float(np.mean(np.square(error))), error * (2 / error.size)


def mean_absolute_error_loss(y, targets):
    """The mean of |y - t|, and sign(y - t) / size."""
    error = y - targets
    return float(np.mean(np.abs(error))), np.sign(error) * (1 / error.size)


def binary_crossentropy_loss(y, targets, *, from_logits=False):
    """The mean of -t log(p) - (1 - t) log(1 - p), and (p - t) / (p (1 - p)) / size; p - t where y are logits."""
    t = np.asarray(targets, y.dtype)
    if from_logits:
        return float(np.mean(softplus(y) - t * y)), (sigmoid(y) - t) * (1 / y.size)
    tiny = np.finfo(y.dtype).tiny
    p, q = np.maximum(y, tiny), np.maximum(1 - y, tiny)
    return float(np.mean(-t * np.log(p) - (1 - t) * np.log(q))), (y - t) / np.maximum(p * q, tiny) * (1 / y.size)


def categorical_crossentropy_loss(y, targets, *, from_logits=False):
    """The mean of -Σ t log(p) over the last axis, and -t / p / n; p Σ t - t where y are logits."""
    t, n = np.asarray(targets, y.dtype), y.size // y.shape[-1]
    if from_logits:
        log_p = log_softmax(y)
        return float(-np.sum(t * log_p) / n), (np.exp(log_p) * t.sum(axis=-1, keepdims=True) - t) * (1 / n)
    p = np.maximum(y, np.finfo(y.dtype).tiny)
    return float(-np.sum(t * np.log(p)) / n), t / p * (-1 / n)


def sparse_categorical_crossentropy_loss(y, targets, *, from_logits=False):
    """`categorical_crossentropy_loss` for targets that are the numbers of the classes."""
    classes = np.asarray(targets).reshape(y.shape[:-1])
    t = (classes[..., np.newaxis] == np.arange(y.shape[-1])).astype(y.dtype)
    return categorical_crossentropy_loss(y, t, from_logits=from_logits)
