"""Preparing features: whole numbers by their place in a vocabulary."""

import numpy as np


def lookup(x, vocabulary, *, first=1, oov=1, mask_token=None, masked=0):
    """The place of each number in a vocabulary, of which those from `first` on are looked up: shape kept.

    A number that is not there goes to one of the `oov` places before them; with none, it is an error. The mask token
    becomes `masked`.
    """
    order = np.argsort(vocabulary[first:])
    tokens = vocabulary[first:][order]
    places = np.minimum(np.searchsorted(tokens, x), len(tokens) - 1)
    known = tokens[places] == x
    if mask_token is not None:
        known |= x == mask_token
    if not oov and not known.all():
        raise ValueError(f"not in the vocabulary: {x[~known][:5].tolist()}")
    y = np.where(known, order[places] + first, first - oov + x % max(oov, 1))
    return y if mask_token is None else np.where(x == mask_token, masked, y)


def inverse_lookup(x, vocabulary, *, oov_token=-1):
    """What stands at each place of the vocabulary: shape kept. Places that do not exist give the `oov_token`."""
    exists = (x >= 0) & (x < len(vocabulary))
    return np.where(exists, vocabulary[np.where(exists, x, 0)], oov_token)
