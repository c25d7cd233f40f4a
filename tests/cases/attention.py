"""Attention, its masks and its scores, and dense layers by equation."""

from __future__ import annotations

from typing import Any

from keras import layers as L
from keras import ops

from cases.table import IMAGE, STEPS, VECTOR, row

QUERY, VALUE = (5, 4), (6, 4)
PAIR = [QUERY, VALUE]
TRIPLE = [QUERY, (6, 3), (6, 4)]  # query, value, key


def _positive(x: Any, axis: int = -1) -> Any:
    """A mask that hides some steps, and in some rows all of them."""
    return ops.sum(x, axis=axis) > 0.5


def _masking(x: Any) -> Any:
    """The same steps hidden from the layers that follow."""
    return L.Masking(0.0)(ops.where(ops.expand_dims(_positive(x), -1), x, 0.0))


# Attention and AdditiveAttention
for _name, _make in (
    ("attention", lambda **k: L.Attention(**k)),
    ("attention scale", lambda **k: L.Attention(use_scale=True, **k)),
    ("attention concat", lambda **k: L.Attention(score_mode="concat", **k)),
    ("attention concat scale", lambda **k: L.Attention(score_mode="concat", use_scale=True, **k)),
    ("additive_attention", lambda **k: L.AdditiveAttention(**k)),
    ("additive_attention no scale", lambda **k: L.AdditiveAttention(use_scale=False, dropout=0.3, **k)),
):
    row(_name, PAIR, lambda q, v, make=_make: make()([q, v]))
    row(f"{_name} scores", TRIPLE, lambda q, v, k, make=_make: make()([q, v, k], return_attention_scores=True))
    row(f"{_name} causal", PAIR, lambda q, v, make=_make: make()([q, v], use_causal_mask=True))
    row(
        f"{_name} masks",
        PAIR,
        lambda q, v, make=_make: make()(
            [q, v], mask=[_positive(q), _positive(v)], use_causal_mask=True, return_attention_scores=True
        ),
    )
row("attention value mask", PAIR, lambda q, v: L.Attention()([q, v], mask=[None, _positive(v)]))
row("attention query mask", PAIR, lambda q, v: L.Attention()([q, v], mask=[_positive(q), None]))
row("attention any length", [(None, 4), (None, 4)], lambda q, v: L.Attention(dropout=0.5)([q, v], use_causal_mask=True))
row("attention of images", [(3, 5, 4), (3, 6, 4)], lambda q, v: L.Attention()([q, v], use_causal_mask=True))

# MultiHeadAttention
for _name, _settings in (
    ("", {}),
    ("value_dim", {"value_dim": 5}),
    ("output_shape", {"output_shape": 7}),
    ("output_shape two", {"output_shape": (3, 2)}),
    ("no bias", {"use_bias": False}),
    ("dropout", {"dropout": 0.4}),
    ("gate", {"use_gate": True, "value_dim": 2}),
    ("window", {"sliding_window": 2}),
):
    row(f"multi_head_attention {_name}", PAIR, lambda q, v, s=_settings: L.MultiHeadAttention(2, 3, **s)(q, v))
row("multi_head_attention self", STEPS, lambda x: L.MultiHeadAttention(3, 2)(x, x))
row("multi_head_attention key", TRIPLE, lambda q, v, k: L.MultiHeadAttention(2, 3)(q, v, k))
row("multi_head_attention any length", [(None, 4), (None, 4)], lambda q, v: L.MultiHeadAttention(2, 3)(q, v))
row(
    "multi_head_attention scores",
    STEPS,
    lambda x: L.MultiHeadAttention(2, 3, dropout=0.1)(x, x, return_attention_scores=True),
)
row("multi_head_attention causal", PAIR, lambda q, v: L.MultiHeadAttention(2, 3)(q, v, use_causal_mask=True))
row(
    "multi_head_attention causal scores",
    STEPS,
    lambda x: L.MultiHeadAttention(2, 3, sliding_window=3)(x, x, use_causal_mask=True, return_attention_scores=True),
)
row(
    "multi_head_attention attention mask",
    [QUERY, VALUE, (5, 6)],
    lambda q, v, m: L.MultiHeadAttention(2, 3)(q, v, attention_mask=m > 0, use_causal_mask=True),
)
row(
    "multi_head_attention float mask",
    [QUERY, VALUE, (5, 6)],
    lambda q, v, m: L.MultiHeadAttention(2, 3)(q, v, attention_mask=ops.relu(m)),
)
row(
    "multi_head_attention mask by head",
    [QUERY, QUERY, (2, 5, 5)],
    lambda q, v, m: L.MultiHeadAttention(2, 3)(q, v, attention_mask=m > 0, return_attention_scores=True),
)
row(
    "multi_head_attention given masks",
    TRIPLE,
    lambda q, v, k: L.MultiHeadAttention(2, 3)(
        q, v, k, query_mask=_positive(q), value_mask=_positive(v), key_mask=_positive(k)
    ),
)
row(
    "multi_head_attention given masks dropout",
    TRIPLE,
    lambda q, v, k: L.MultiHeadAttention(2, 3, dropout=0.2)(q, v, k, value_mask=_positive(v), key_mask=_positive(k)),
)
row("multi_head_attention images", [(3, 5, 4), (3, 6, 4)], lambda q, v: L.MultiHeadAttention(2, 3)(q, q))
row(
    "multi_head_attention axes",
    [(3, 5, 4), (3, 6, 4)],
    lambda q, v: L.MultiHeadAttention(2, 3, attention_axes=(2,))(q, v),
)
row(
    "multi_head_attention axis from end",
    (3, 5, 4),
    lambda x: L.MultiHeadAttention(2, 3, attention_axes=-2, use_gate=True)(x, x),
)
row(
    "multi_head_attention first axis",
    (None, 5, 4),
    lambda x: L.MultiHeadAttention(2, 3, attention_axes=1, output_shape=2)(x, x),
)
row(
    "multi_head_attention axes mask",
    [(3, 5, 4), (3, 5, 3, 5)],
    lambda x, m: L.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x, attention_mask=m > 0),
)
row(
    "multi_head_attention axes scores",
    (3, 5, 4),
    lambda x: [
        ops.reshape(y, (-1, 1))
        for y in L.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x, return_attention_scores=True)
    ],
)

# GroupedQueryAttention
for _name, _settings in (
    ("", {}),
    ("one group", {"num_key_value_heads": 1}),
    ("no groups", {"num_key_value_heads": 4}),
    ("no bias", {"use_bias": False, "dropout": 0.1}),
    ("gate", {"use_gate": True}),
    ("window", {"sliding_window": 2}),
):
    row(
        f"grouped_query_attention {_name}",
        PAIR,
        lambda q, v, s=_settings: L.GroupQueryAttention(3, 4, **{"num_key_value_heads": 2, **s})(q, v),
    )
row("grouped_query_attention key", [QUERY, VALUE, (6, 3)], lambda q, v, k: L.GroupQueryAttention(3, 4, 2)(q, v, k))
row(
    "grouped_query_attention scores",
    PAIR,
    lambda q, v: L.GroupQueryAttention(3, 4, 2)(q, v, use_causal_mask=True, return_attention_scores=True),
)
row("grouped_query_attention causal", PAIR, lambda q, v: L.GroupQueryAttention(3, 4, 2)(q, v, use_causal_mask=True))
row(
    "grouped_query_attention masks",
    [QUERY, VALUE, (5, 6)],
    lambda q, v, m: L.GroupQueryAttention(3, 4, 2)(
        q, v, query_mask=_positive(q), value_mask=_positive(v), attention_mask=m > 0
    ),
)
row(
    "grouped_query_attention masks dropout",
    [QUERY, VALUE, (5, 6)],
    lambda q, v, m: L.GroupQueryAttention(3, 4, 2, dropout=0.1)(
        q, v, query_mask=_positive(q), value_mask=_positive(v), attention_mask=m > 0
    ),
)

# The operation
HEADS = [(5, 4, 3), (6, 4, 3), (6, 4, 3)]
row("ops.dot_product_attention", HEADS, ops.dot_product_attention)
row("ops.dot_product_attention scale", HEADS, lambda q, k, v: ops.dot_product_attention(q, k, v, scale=0.3))
row("ops.dot_product_attention causal", HEADS, lambda q, k, v: ops.dot_product_attention(q, k, v, is_causal=True))
row(
    "ops.dot_product_attention bias and mask",
    [*HEADS, (4, 5, 6), (1, 5, 6)],
    lambda q, k, v, bias, m: ops.dot_product_attention(q, k, v, bias=bias, mask=m > 1, is_causal=True),
)
row("ops.dot_product_attention groups", [(5, 4, 3), (6, 2, 3), (6, 2, 3)], ops.dot_product_attention)
row(
    "ops.dot_product_attention any length",
    [(None, 4, 3), (None, 4, 3)],
    lambda q, k: ops.dot_product_attention(q, k, k),
)

# EinsumDense
for _equation, _shape, _axes, _input in (
    ("ab,bc->ac", 4, "c", VECTOR),
    ("abc,cd->abd", (11, 4), None, STEPS),
    ("abc,cd->abd", (11, 4), "d", STEPS),
    ("abc,cd->abd", (11, 4), "bd", STEPS),
    ("...x,xy->...y", 4, "y", (9, 9, 3)),
    ("abc,cde->abde", (11, 2, 3), "de", STEPS),
    ("abcd,cde->abe", (9, 4), "e", IMAGE),
    ("abc,bd->adc", (4, 3), "d", STEPS),
    ("abc,bde->aedc", (2, 4, 3), "ed", STEPS),
    ("ab...,bc->ac...", 4, "c", STEPS),
    ("abc,bcd->abd", (11, 4), "bd", STEPS),
    ("abc,dc->abd", (11, 4), "d", STEPS),
):
    row(
        f"einsum_dense {_equation} {_axes}",
        _input,
        L.EinsumDense(_equation, _shape, bias_axes=_axes, activation="tanh"),
    )
row("einsum_dense any length", (None, 3), L.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d"))
row("einsum_dense any size", (None, None, 3), L.EinsumDense("...c,cd->...d", 4, bias_axes="d", activation="relu"))


# Whole blocks
def _block(x: Any, y: Any) -> Any:
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 3, dropout=0.1)(x, y))
    return L.LayerNormalization()(x + L.Dense(4)(L.Dense(9, activation="gelu")(x)))


row("transformer", QUERY, lambda x: L.Dense(2)(L.GlobalAveragePooling1D()(_block(_block(x, x), x))))
row("transformer decoder", PAIR, lambda x, y: _block(_block(x, y), y))


# Masks that earlier layers imply; attention of Keras 3 takes them off its inputs
TOKENS = (6,)


def _embedded(numbers: Any) -> Any:
    return L.Embedding(5, 4, mask_zero=True)(numbers)


row("softmax masked", [(5, 6), (5, 6)], lambda x, m: L.Softmax()(x, mask=m > 0))
row("softmax masked axes", [(5, 6), (5, 6)], lambda x, m: L.Softmax(axis=(1, 2))(x, mask=ops.relu(m)))
row(
    "attention implied masks",
    PAIR,
    lambda q, v: L.Attention()([_masking(q), _masking(v)], return_attention_scores=True),
)
row("attention implied query mask", PAIR, lambda q, v: L.AdditiveAttention()([_masking(q), v]))
row(
    "attention hands its mask on",
    PAIR,
    lambda q, v: L.LSTM(3)(L.Attention(use_scale=True)([_masking(q), _masking(v)])),
)
for _name, _make in (
    ("multi_head_attention", lambda **k: L.MultiHeadAttention(2, 3, **k)),
    ("multi_head_attention dropout", lambda **k: L.MultiHeadAttention(2, 3, dropout=0.1, **k)),
    ("grouped_query_attention", lambda **k: L.GroupQueryAttention(3, 4, 2, **k)),
):
    row(f"{_name} implied masks", PAIR, lambda q, v, make=_make: make()(_masking(q), _masking(v), use_causal_mask=True))
    row(
        f"{_name} implied key mask",
        TRIPLE,
        lambda q, v, k, make=_make: make()(q, v[..., :1] * k, _masking(k)),
    )
    row(
        f"{_name} implied and given",
        [QUERY, QUERY, (5, 5)],
        lambda q, v, m, make=_make: make()(
            _masking(q), v, query_mask=_positive(v), value_mask=_positive(q), attention_mask=m > 0
        ),
    )
    row(
        f"{_name} of embeddings",
        TOKENS,
        lambda x, make=_make: make()(_embedded(x), _embedded(x), return_attention_scores=True),
        dtype="int32",
    )
    row(
        f"{_name} hands its mask on",
        QUERY,
        lambda x, make=_make: L.LSTM(3)((lambda y: make()(y, y))(_masking(x))),
    )


def _two(first: Any, second: Any, x: Any) -> Any:
    """The second layer reads what the first has read."""
    x = _masking(x)
    y = first(x)
    return [y, second(x), L.LSTM(3)(L.Add()([x, y]))]


row(
    "multi_head_attention strips masks",
    QUERY,
    lambda x: _two(lambda y: L.MultiHeadAttention(2, 3)(y, y), lambda y: L.Attention()([y, y]), x),
)
row(
    "multi_head_attention twice",
    QUERY,
    lambda x: _two(lambda y: L.MultiHeadAttention(2, 3)(y, y), lambda y: L.MultiHeadAttention(2, 3)(y, y), x),
)
row("transformer of embeddings", TOKENS, lambda x: (lambda y: _block(_block(y, y), y))(_embedded(x)), dtype="int32")
