"""Connectionist temporal classification: the labels that logits spell, without blanks and repetitions."""

import math

import numpy as np

from kerasgen.kernels.activation import log_softmax


def ctc_loss(target, output, target_length, output_length, *, mask_index=0):
    """-log of the total probability of all paths that spell the target: (N, L), (N, T, C) → (N,).

    The states are the labels with a blank before, between and after them (Graves et al. 2006). As in TensorFlow, a
    path may end in any of them, where it should not with a probability of 1e-307.
    """
    n, steps, classes = output.shape
    blank = mask_index % classes
    states = np.full((n, 2 * target.shape[1] + 1), blank)
    states[:, 1::2] = np.where(target < 0, blank, target)
    jumps = np.zeros(states.shape, bool)  # where a blank may be skipped: between different labels
    jumps[:, 2:] = (states[:, 2:] != blank) & (states[:, 2:] != states[:, :-2])
    logs = np.take_along_axis(log_softmax(output), states[:, np.newaxis, :], axis=2)
    never = np.full((n, 2), -np.inf, output.dtype)
    paths = np.where(np.arange(states.shape[1]) < 2, logs[:, 0], -np.inf)
    for t in range(1, steps):
        before = np.concatenate((never, paths), axis=1)
        grown = np.logaddexp(np.logaddexp(paths, before[:, 1:-1]), np.where(jumps, before[:, :-2], -np.inf))
        paths = np.where((t < output_length)[:, np.newaxis], grown + logs[:, t], paths)
    beyond = 2 * target_length[:, np.newaxis] - np.arange(states.shape[1])
    ends = np.where((beyond == 0) | (beyond == 1), 0, math.log(1e-307))
    return -np.logaddexp.reduce(paths + ends, axis=1).astype(output.dtype)


def ctc_greedy(x, lengths, *, mask_index=0, merge_repeated=True):
    """The best class of each step, without blanks and repetitions, -1 at the end: (N, T, C) → (1, N, T), (N, 1) scores.

    The score is minus the sum of the best logits.
    """
    steps, classes = x.shape[1:]
    valid = np.arange(steps) < lengths[:, np.newaxis]
    best = np.argmax(x, axis=2)
    keep = valid & (best != mask_index % classes)
    if merge_repeated:
        keep[:, 1:] &= best[:, 1:] != best[:, :-1]
    order = np.argsort(~keep, axis=1, kind="stable")
    labels = np.take_along_axis(np.where(keep, best, -1), order, axis=1)
    scores = -np.sum(np.where(valid, np.max(x, axis=2), 0), axis=1, keepdims=True)
    return labels[np.newaxis].astype(np.int32), scores


def ctc_beam(logs, lengths, *, mask_index=None, beam_width=100, top_paths=1, merge_repeated=False):
    """The most probable label sequences, -1 at the end: (N, T, C) → (top_paths, N, T), and (N, top_paths) scores.

    `logs` are the log-probabilities of the classes, of which the last is the blank by default. The score is the
    log-probability of the paths within the beam. `merge_repeated` leaves out of a sequence, once it is found, a label
    that is that before it.
    """
    n, steps, classes = logs.shape
    labels = np.full((top_paths, n, steps), -1, np.int32)
    scores = np.full((n, top_paths), -np.inf, logs.dtype)
    for i, length in enumerate(lengths):
        paths, path_logs = beam_search(logs[i, :length], classes - 1 if mask_index is None else mask_index, beam_width)
        scores[i, : len(path_logs)] = path_logs[:top_paths]
        for j, path in enumerate(paths[:top_paths]):
            if merge_repeated:
                path = [label for label, before in zip(path, (None, *path)) if label != before]
            labels[j, i, : len(path)] = path
    return labels, scores


def beam_search(logs, blank, width):
    """The `width` most probable label sequences and their log-probabilities, best first, for `logs` (T, C).

    The beam holds two log-probabilities per sequence: that it ends in a blank, and that it ends in its last label.
    """
    beam = {(): (0.0, -np.inf)}
    for step in logs.tolist():
        beam = beam_step(beam, step, blank, width)
    scores = {path: np.logaddexp(*ends) for path, ends in beam.items()}
    best = sorted(scores, key=scores.get, reverse=True)
    return best, np.array([scores[path] for path in best])


def beam_step(beam, step, blank, width):
    """The beam after one more step, given the log-probabilities of the classes."""
    total = {path: np.logaddexp(*ends) for path, ends in beam.items()}
    order = sorted(total, key=total.get, reverse=True)
    labels = [label for label in range(len(step)) if label != blank]
    growth = {  # the same label again needs a blank before it
        path: {path + (x,): (beam[path][0] if path[-1:] == (x,) else total[path]) + step[x] for x in labels}
        for path in order
    }
    ends = {}
    for path in order:  # a blank; the last label again, or for the first time
        again = beam[path][1] + step[path[-1] if path else blank]
        first = growth.get(path[:-1], {}).get(path, -np.inf)
        ends[path] = (total[path] + step[blank], np.logaddexp(again, first))
    return grow_beam(ends, growth, total, width)


def grow_beam(ends, growth, total, width):
    """The beam with sequences extended by a label, as long as there is room or they replace a worse one.

    This is TensorFlow's order: the extensions of a replaced sequence are lost, too.
    """
    scores = {path: np.logaddexp(*pair) for path, pair in ends.items()}
    worst = min(scores, key=scores.get)
    lost = set()
    for path, children in growth.items():
        if path in lost or (len(scores) >= width and total[path] <= scores[worst]):
            continue
        for child, score in children.items():
            full = len(scores) >= width
            if child in scores:
                continue
            if score == -np.inf or (full and score <= scores[worst]):
                lost.add(child)
                continue
            if full:
                del scores[worst]
            scores[child], ends[child] = score, (-np.inf, score)
            worst = min(scores, key=scores.get)
    return {path: ends[path] for path in scores}
