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


def ctc_loss(target, output, target_length, output_length, *, mask_index=0):
    """-log of the probability of all paths through the steps that spell the target: (N, L), (N, T, C) → (N,).

    The states are the labels with a blank before, between and after them (Graves et al. 2006).
    """
    n, steps, classes = output.shape
    blank = mask_index % classes
    states = np.full((n, 2 * target.shape[1] + 1), blank)
    states[:, 1::2] = np.where(target < 0, blank, target)
    jumps = np.zeros(states.shape, bool)  # to where a blank may be left out: between labels that differ
    jumps[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    logs = np.take_along_axis(log_softmax(output), states[:, np.newaxis, :], axis=2)
    never = np.full((n, 2), -np.inf, output.dtype)
    paths = np.where(np.arange(states.shape[1]) < 2, logs[:, 0], -np.inf)
    for t in range(1, steps):
        before = np.concatenate((never, paths), axis=1)
        grown = np.logaddexp(np.logaddexp(paths, before[:, 1:-1]), np.where(jumps, before[:, :-2], -np.inf))
        paths = np.where((t < output_length)[:, np.newaxis], grown + logs[:, t], paths)
    ends = np.concatenate((never, paths), axis=1)
    last = (2 * target_length + 2).astype(np.int64)[:, np.newaxis]
    final = np.logaddexp(*(np.take_along_axis(ends, last - i, axis=1)[:, 0] for i in (0, 1)))
    return -final.astype(output.dtype)


def ctc_greedy(x, lengths, *, mask_index=0, merge_repeated=True):
    """The best class of each step, without blanks and repetitions, then -1: (N, T, C) → (1, N, T), and (N, 1) scores.

    The score is minus the sum of the best logits.
    """
    steps, classes = x.shape[1:]
    valid = np.arange(steps) < lengths[:, np.newaxis]
    best = np.argmax(x, axis=2)
    kept = valid & (best != mask_index % classes)
    if merge_repeated:
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    order = np.argsort(~kept, axis=1, kind="stable")
    labels = np.take_along_axis(np.where(kept, best, -1), order, axis=1)
    scores = -np.sum(np.where(valid, np.max(x, axis=2), 0), axis=1, keepdims=True)
    return labels[np.newaxis].astype(np.int32), scores
