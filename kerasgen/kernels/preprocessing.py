"""Integer lookup: numbers to their index in a vocabulary, and back."""

import numpy as np


def lookup(x, vocabulary, *, first=1, oov=1, mask_token=None, masked=0):
    """The index of each number in a vocabulary, of which the entries from `first` on are searched: shape kept.

    A missing number gets one of the `oov` indices before these or, without any, raises a ValueError. The mask token
    becomes `masked`.
    """
    order = np.argsort(vocabulary[first:])
    tokens = vocabulary[first:][order]
    positions = np.minimum(np.searchsorted(tokens, x), len(tokens) - 1)
    matches = tokens[positions] == x
    if mask_token is not None:
        matches |= x == mask_token
    if not oov and not matches.all():
        raise ValueError(f"not in the vocabulary: {x[~matches][:5].tolist()}")
    y = np.where(matches, order[positions] + first, first - oov + x % max(oov, 1))
    return y if mask_token is None else np.where(x == mask_token, masked, y)


def inverse_lookup(x, vocabulary, *, oov_token=-1):
    """The vocabulary entry at each index: shape kept. Indices out of range give the `oov_token`."""
    valid = (x >= 0) & (x < len(vocabulary))
    return np.where(valid, vocabulary[np.where(valid, x, 0)], oov_token)
