"""What explanations of an answer share."""

import numpy as np


def chosen(scores, index=None):
    """1 at the class `index` of each sample, 0 elsewhere; by default at the largest score: (N, classes), shape kept."""
    index = np.argmax(scores, axis=-1) if index is None else np.broadcast_to(index, scores.shape[:-1])
    return (index[..., np.newaxis] == np.arange(scores.shape[-1])).astype(scores.dtype)
