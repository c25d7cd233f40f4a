"""Operations on classes, sequences, signals and distributions."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops
from keras.src.quantizers.quantizers import FakeQuantWithMinMaxVars

from cases.table import FIRST_IMAGE, IMAGE, STEPS, VECTOR, row

FEW = (5, 4)
TIES = (3, 11)


def probabilities(x):
    return ops.softmax(x)


def part(x):
    """Numbers between 0 and 1."""
    return ops.sigmoid(x)


def classes(x, count=4):
    """Whole numbers from 0."""
    return ops.cast(ops.mod(ops.cast(x, "int32"), count), "int32")


row("ops.one_hot", VECTOR, lambda x: ops.one_hot(x, 4), dtype="int32")
row("ops.one_hot outside", VECTOR, lambda x: ops.one_hot(x - 2, 2), dtype="int32")
row("ops.one_hot axis dtype", FEW, lambda x: ops.one_hot(x, 3, axis=1, dtype="int32"), dtype="int32")
row("ops.one_hot bool", FEW, lambda x: ops.one_hot(x, 3, dtype="bool"), dtype="uint8")
row("ops.multi_hot", VECTOR, lambda x: ops.multi_hot(x, 5), dtype="int32")
row("ops.multi_hot deep", FEW, lambda x: ops.multi_hot(x, 5), dtype="int32")
row("ops.multi_hot dtype", VECTOR, lambda x: ops.multi_hot(x, 5, dtype="int8"), dtype="int32")
row("ops.top_k", STEPS, lambda x: ops.top_k(x, 2))
row("ops.top_k ties", TIES, lambda x: ops.top_k(x, 5), dtype="int32")
row("ops.top_k all", VECTOR, lambda x: ops.top_k(x, 7)[0])
row("ops.in_top_k", [(), (5,)], lambda t, x: ops.in_top_k(classes(t, 6), x, 2))
row("ops.logsumexp", IMAGE, lambda x: ops.logsumexp(x, axis=-1))
row("ops.logsumexp axes", IMAGE, lambda x: ops.logsumexp(x * 300.0, axis=(1, 2), keepdims=True))
row("ops.logsumexp all", VECTOR, ops.logsumexp, mixes=True)
row("ops.cdist", [(6, 3), (4, 3)], ops.cdist)
row("ops.cdist whole", [(6, 3), (4, 3)], ops.cdist, dtype="int32")
row("ops.cdist points", (2, 6, 3), lambda x: ops.cdist(x, np.linspace(-1, 1, 12).reshape(4, 3).astype("float32")))
row("ops.moments", IMAGE, lambda x: ops.moments(x, (1, 2)))
row("ops.moments keepdims", IMAGE, lambda x: ops.moments(x, [-1], keepdims=True))
row("ops.normalize", IMAGE, ops.normalize)
row("ops.normalize axes", IMAGE, lambda x: ops.normalize(x, axis=(1, 2), epsilon=1e-3))
row("ops.normalize order", IMAGE, lambda x: ops.normalize(x, axis=1, order=3))
row("ops.normalize matrices", IMAGE, lambda x: ops.normalize(x, axis=(1, 2), order=1))
row("ops.normalize zeros", VECTOR, lambda x: ops.normalize(x * 0.0))
row("ops.psnr", [IMAGE, IMAGE], lambda a, b: ops.psnr(part(a), part(b), 1.0), mixes=True)
row("ops.erf", IMAGE, ops.erf)
row("ops.erfc", IMAGE, lambda x: ops.erfc(x))
row("ops.erfc relative", VECTOR, lambda x: ops.log(ops.erfc(x)))
row("ops.erfinv", IMAGE, lambda x: ops.erfinv(x * 0.249))
row("ops.binary_crossentropy", [FEW, FEW], lambda t, x: ops.binary_crossentropy(part(t), part(x) * 1.0))
row("ops.binary_crossentropy sure", [FEW, FEW], lambda t, x: ops.binary_crossentropy(part(t), ops.clip(x, 0, 1)))
row("ops.binary_crossentropy logits", [FEW, FEW], lambda t, x: ops.binary_crossentropy(part(t), x * 50.0, True))
row("ops.categorical_crossentropy", [FEW, FEW], lambda t, x: ops.categorical_crossentropy(part(t), ops.abs(x)))
row("ops.categorical_crossentropy logits", [FEW, FEW], lambda t, x: ops.categorical_crossentropy(part(t), x, True))
row("ops.categorical_crossentropy axis", [(4, 4)] * 2, lambda t, x: ops.categorical_crossentropy(part(t), x, True, 1))
row(
    "ops.sparse_categorical_crossentropy",
    [(5,), FEW],
    lambda t, x: ops.sparse_categorical_crossentropy(classes(t), ops.abs(x)),
)
row(
    "ops.sparse_categorical_crossentropy logits",
    [(5, 1), FEW],
    lambda t, x: ops.sparse_categorical_crossentropy(classes(t), x * 30.0, from_logits=True),
)
row(
    "ops.ctc_loss",
    [(4,), (12, 6), (), ()],
    lambda t, x, a, b: ops.ctc_loss(classes(t, 5) + 1, x, classes(a) + 1, classes(b) + 9),
)
row(
    "ops.ctc_loss blank last",
    [(4,), (12, 6), (), ()],
    lambda t, x, a, b: ops.ctc_loss(classes(t, 2), x, classes(a) + 1, classes(b) + 9, mask_index=5),
)
row("ops.ctc_decode", [(12, 3), ()], lambda x, n: [y[0] if i == 0 else y for i, y in enumerate(_decode(x, n))])
row("ops.ctc_decode all", [(12, 3), ()], lambda x, n: _decode(x, n, merge_repeated=False, mask_index=-1)[0][0])

for _blank in (0, 2, None):
    row(
        f"ops.ctc_decode beam {_blank}",
        [(9, 4), ()],
        lambda x, n, b=_blank: [
            ops.transpose(y) for y in _decode(x, n, strategy="beam_search", beam_width=7, top_paths=3, mask_index=b)
        ],
        mixes=True,
    )
row(
    "ops.ctc_decode wide beam",
    [(9, 4), ()],
    lambda x, n: _decode(x * 0.3, n, strategy="beam_search")[0][0],
)


def _decode(x, n, **settings):
    return ops.ctc_decode(x, classes(n) + 8, **settings)


def segments(operation, *args, **settings):
    """An operation on the rows of an array whose columns are the samples."""
    return lambda x: ops.transpose(operation(ops.transpose(x), *args, **settings))


GAPS = np.array([0, 2, 0, 1, 2, 2, 4])
row("ops.segment_sum", VECTOR, segments(ops.segment_sum, GAPS, 6))
row("ops.segment_sum negative", VECTOR, segments(ops.segment_sum, GAPS - 1, 4))
row("ops.segment_prod", VECTOR, segments(ops.segment_prod, GAPS, 6))
row("ops.segment_sum of samples", [FEW, ()], lambda x, n: ops.segment_sum(x, classes(n, 3), 3), mixes=True)
for _op in (ops.segment_max, ops.segment_min):
    # An empty segment is as small or as large as numbers are: clipped, so that the others still count.
    row(f"ops.{_op.__name__}", VECTOR, lambda x, op=_op: ops.clip(segments(op, GAPS, 6)(x), -9.0, 9.0))
    row(f"ops.{_op.__name__} whole", VECTOR, segments(_op, GAPS, 6), dtype="int32")
    for _sorted in (False, True):
        row(
            f"ops.{_op.__name__} sorted={_sorted}",
            VECTOR,
            lambda x, op=_op, s=_sorted: ops.reshape(
                ops.clip(segments(op, np.sort(GAPS), sorted=s)(x), -9, 9), (-1, 5)
            ),
        )

row("ops.extract_sequences", (17,), lambda x: ops.extract_sequences(x, 5, 3))
row("ops.extract_sequences deep", (2, 17), lambda x: ops.extract_sequences(x, 4, 4))
row("ops.fft", [(9,), (9,)], lambda a, b: ops.fft((a, b)))
row("ops.fft deep", [(3, 8), (3, 8)], lambda a, b: ops.fft((a, b))[1])
row("ops.fft2", [(7, 6), (7, 6)], lambda a, b: ops.fft2((a, b)))
row("ops.ifft2", [(7, 6), (7, 6)], lambda a, b: ops.ifft2((a, b)))
row("ops.rfft", (3, 9), ops.rfft)
row("ops.rfft longer", (9,), lambda x: ops.rfft(x, 12))
row("ops.rfft shorter", (9,), lambda x: ops.rfft(x, 6))
row("ops.irfft", [(6,), (6,)], lambda a, b: ops.irfft((a, b)))
row("ops.irfft odd", [(6,), (6,)], lambda a, b: ops.irfft((a, b), 9))
for _window in ("hann", "hamming", None):
    row(f"ops.stft {_window}", (40,), lambda x, w=_window: ops.stft(x, 8, 3, 12, window=w))
    row(f"ops.istft {_window}", [(6, 7), (6, 7)], lambda a, b, w=_window: ops.istft((a, b), 9, 4, 12, window=w))
row("ops.stft odd", (2, 40), lambda x: ops.stft(x, 7, 4, 7, center=False))
row("ops.stft list", (40,), lambda x: ops.stft(x, 4, 2, 6, window=[0.1, 1.0, 0.7, 0.2]))
row("ops.stft any length", (None,), lambda x: ops.stft(x, 4, 2, 4), sizes=(21,))
row("ops.istft length", [(6, 7), (6, 7)], lambda a, b: ops.istft((a, b), 12, 3, 12, length=20))
row("ops.istft uncentred", [(2, 6, 7)] * 2, lambda a, b: ops.istft((a, b), 12, 4, 12, window="hamming", center=False))
row("ops.stft and back", (40,), lambda x: ops.istft(ops.stft(x, 8, 2, 8), 8, 2, 8))
row("ops.polar", [STEPS, STEPS], lambda r, a: ops.polar(r, a))
row("ops.view_as_real", [STEPS, STEPS], lambda r, a: ops.view_as_real(ops.polar(r, a)))
row(
    "ops.view_as_complex",
    (5, 2),
    lambda x: ops.view_as_real(ops.view_as_complex(x)),
    # The node adds 1j to a float tensor, which TensorFlow refuses (keras/src/ops/math.py, 3.15).
    answer=lambda x: x,
)

row("ops.unfold", FIRST_IMAGE, lambda x: ops.unfold(x, 3))
row("ops.unfold settings", FIRST_IMAGE, lambda x: ops.unfold(x, (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 3)))
row("ops.fold", (18, 12), lambda x: ops.fold(x, (6, 5), 3))
row(
    "ops.fold settings", (12, 12), lambda x: ops.fold(x, (7, 8), (3, 2), dilation=(1, 2), padding=(1, 0), stride=(2, 2))
)
row("ops.fold of unfold", FIRST_IMAGE, lambda x: ops.fold(ops.unfold(x, 2, stride=2), (9, 10), 2, stride=2))

row("fake_quant", IMAGE, lambda x: keras.quantizers.fake_quant_with_min_max_vars(x, -1.7, 2.9))
row("fake_quant narrow", IMAGE, lambda x: FakeQuantWithMinMaxVars(num_bits=4, narrow_range=True)(x, 0.4, 2.9))
row(
    "fake_quant channels",
    IMAGE,
    lambda x: FakeQuantWithMinMaxVars(axis=-1)(x, np.array([-1.0, 0.0, -3.2], "f"), np.array([1.3, 0.0, 2.1], "f")),
)
row(
    "fake_quant axis",
    FIRST_IMAGE,
    lambda x: FakeQuantWithMinMaxVars(axis=1)(x, np.array([-1.0, -0.2, -3.2], "f"), np.array([1.3, 0.9, 2.1], "f")),
)
