"""Attention: scores of queries against keys, weights from the scores, and weighted sums of the values.

Sequences are (N, steps, features) or, with heads, (N, steps, heads, features).
"""

import numpy as np

from kerasgen.kernels.activation import softmax
from kerasgen.kernels.blocks import bordered, pointwise
from kerasgen.kernels.conv import finish
from kerasgen.kernels.matmul import matmul
from kerasgen.kernels.threads import block_rows, over_blocks, product

BAND = 128  # most queries in a block of `band_attention_by_rows`: more of them would see keys that others do not


def dot_scores(query, key):
    """The dot product of each query with each key: (N, T, D), (N, S, D) → (N, T, S)."""
    return matmul(query, np.swapaxes(key, -2, -1))


def additive_scores(query, key, weight=None, scale=None):
    """Σ weight * tanh(scale * (query + key)) over the features: (N, T, D), (N, S, D) → (N, T, S)."""
    y = query[..., :, None, :] + key[..., None, :, :]
    y = np.tanh(y if scale is None else scale * y)
    return np.sum(y if weight is None else weight * y, axis=-1)


def head_scores(query, key, *, scale=1.0):
    """The dot product of each query with each key, per head: (N, T, H, D), (N, S, H, D) → (N, H, T, S)."""
    return matmul((query * scale).transpose(0, 2, 1, 3), key.transpose(0, 2, 3, 1))


def attend(weights, value):
    """Weighted sums of the values, per head: (N, H, T, S), (N, S, H, E) → (N, T, H, E)."""
    return matmul(weights, value.transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)


def band_mask(scores, *, causal=False, window=None):
    """Keys that each query may see: if `causal`, none after it; those within `window`: (N, ..., T, S) → (1, T, S)."""
    t, s = scores.shape[-2:]
    return in_band(np.arange(t), np.arange(s), causal, window)[None]


def in_band(queries, keys, causal, window):
    """Whether each query may see each key, from their steps: (T), (S) → (T, S)."""
    ahead = keys - queries[:, None]
    seen = ahead <= (0 if causal else np.inf)
    return seen if window is None else seen & (np.abs(ahead) < window)


def mask_scores(scores, mask):
    """Scores minus 10⁹ where the mask is false: softmax then gives weight 0, or equal weights if all are masked."""
    return np.where(mask, scores, scores - scores.dtype.type(1e9))


def masked_softmax(scores, mask, *, axis=-1, lowest=None, zeroed=False):
    """Softmax of the scores. Masked scores become `lowest`, by default half of the dtype's lowest number.

    If `zeroed`, their weights are 0; otherwise the weights are equal if all scores are masked.
    """
    lowest = np.finfo(scores.dtype).min / 2 if lowest is None else lowest
    y = softmax(np.where(mask, scores, scores.dtype.type(lowest)), axis=axis)
    return np.where(mask, y, y.dtype.type(0)) if zeroed else y


def project(x, kernel, bias=None, *, axes=1, activation=None):
    """Matrix product over the last `axes` axes: (N, T, C) with (C, H, D) or, for two, (N, T, H, D) with (H, D, C)."""
    c = int(np.prod(kernel.shape[:axes]))
    y = matmul(x.reshape(x.size // c, c), kernel.reshape(c, kernel.size // c))
    return finish(y.reshape(x.shape[: x.ndim - axes] + kernel.shape[axes:]), bias, activation)


def project_by_rows(x, kernel, bias=None, residual=None, *, axes=1, activation=None, out=None):
    """`project` plus `residual`, in blocks: (N, T, C) with (C, H, D) or, for two axes, (N, T, H, D) with (H, D, C)."""
    c, shape = product(kernel.shape[:axes]), x.shape[: x.ndim - axes] + kernel.shape[axes:]
    cells, matrix = x.reshape(*x.shape[: x.ndim - axes], c), kernel.reshape(c, kernel.size // c)
    bias = None if bias is None else bias.reshape(-1)
    residual = None if residual is None else residual.reshape(*cells.shape[:-1], matrix.shape[1])
    return pointwise(cells, matrix, bias, residual, activation=activation, out=out).reshape(shape)


def attention_by_rows(query, key, value, mask=None, *, scale=1.0, lowest=None, zeroed=False, out=None):
    """`attend` by softmax of `head_scores`, in blocks: (N, T, H, D), (N, S, H, D), (N, S, H, E) → (N, T, H, E).

    Only the scores of one block exist at once: of several heads, or of some queries of one. `masked_softmax` explains
    the mask and its settings.
    """
    (n, t, heads, d), s, e = query.shape, key.shape[1], value.shape[-1]
    mask = None if mask is None else np.broadcast_to(mask, (n, heads, t, s))
    cost = n * heads * t * s * (d + e + 32)  # softmax has four operations
    y, whole = bordered((n, t, heads, e), value.dtype, None, out, cost)
    count = min(heads, block_rows(t * s * query.itemsize))
    groups = -(-heads // count)

    def block(at):
        (image, group), rows = divmod(at[0], groups), at[1]
        several = slice(group * count, (group + 1) * count)
        queries = (query[image, rows, several] * scale).transpose(1, 0, 2)
        scores = matmul(queries, key[image, :, several].transpose(1, 2, 0))
        if mask is None:
            weights = softmax(scores)
        else:
            weights = masked_softmax(scores, mask[image, several, rows], lowest=lowest, zeroed=zeroed)
        y[image, rows, several] = matmul(weights, value[image, :, several].transpose(1, 0, 2)).transpose(1, 0, 2)

    over_blocks(block, n * groups, t, block_rows(count * s * query.itemsize), cost, e)
    return whole


def band_attention_by_rows(query, key, value, *, scale=1.0, causal=False, window=None, out=None):
    """`attention_by_rows` under a `band_mask`: each block of queries is multiplied by the keys that one of them sees.

    Every query must see a key: without `causal`, there are no more queries than keys.
    """
    (n, t, heads, d), s, e = query.shape, key.shape[1], value.shape[-1]
    cost = n * heads * t * s * (d + e + 32)
    y, whole = bordered((n, t, heads, e), value.dtype, None, out, cost)

    def block(at):
        (image, head), rows = divmod(at[0], heads), at[1]
        reach = t + s if window is None else window - 1
        first, stop = max(0, rows.start - reach), min(s, rows.stop + (0 if causal else reach))
        seen = in_band(np.arange(rows.start, rows.stop), np.arange(first, stop), causal, window)
        scores = matmul(query[image, rows, head] * scale, key[image, first:stop, head].T)
        y[image, rows, head] = matmul(masked_softmax(scores, seen), value[image, first:stop, head])

    over_blocks(block, n * heads, t, min(BAND, block_rows(s * query.itemsize)), cost, e)
    return whole
