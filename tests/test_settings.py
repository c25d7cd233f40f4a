"""Settings that nobody thought of: layers with drawn settings, through file and optimised graph, against Keras.

`pytest tests/test_settings.py --hypothesis-profile long` draws many more.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from keras import layers as L
from support import randomize, relative_error

from kerasgen.builder import build
from kerasgen.passes import optimize
from kerasgen.readers import read
from kerasgen.verification.compare import flat

small = st.integers(1, 4)
padding = st.sampled_from(["valid", "same"])
formats = st.sampled_from(["channels_last", "channels_first"])


def check(shapes: list[tuple[int, ...]], make: Any, known: bool = True) -> None:
    """Keras and the optimised graph agree on random weights and inputs, unless Keras refuses the settings."""
    inputs = [keras.Input(shape if known else tuple(None for _ in shape[:-1]) + shape[-1:]) for shape in shapes]
    random = np.random.RandomState(3)
    arrays = [random.standard_normal((2, *shape)).astype("float32") for shape in shapes]
    try:
        model = keras.Model(inputs, make(*inputs))
        randomize(model)
        expected = [np.asarray(array) for array in flat(model(arrays))]
    except Exception as refusal:
        assume(False)
        raise AssertionError from refusal
    results = optimize(build(read(model)).bind()).run(*arrays)
    for got, wanted in zip(results, expected, strict=True):
        assert got.dtype == wanted.dtype
        assert relative_error(got, wanted) < 1e-5


def sized(rank: int, spatial: tuple[int, ...], channels: int, data_format: str) -> tuple[int, ...]:
    return (*spatial[:rank], channels) if data_format == "channels_last" else (channels, *spatial[:rank])


@given(
    rank=st.integers(1, 2),
    spatial=st.tuples(*[st.integers(3, 9)] * 2),
    channels=st.sampled_from([1, 2, 4]),
    kernel=st.tuples(small, small),
    strides=st.integers(1, 3),
    dilation=st.integers(1, 3),
    groups=st.sampled_from([1, 1, 2, 4]),
    filters=st.sampled_from([1, 4, 8]),
    padding=st.sampled_from(["valid", "same", "causal"]),
    data_format=formats,
    use_bias=st.booleans(),
    known=st.booleans(),
)
def test_conv(
    rank: int, spatial: Any, channels: int, kernel: Any, strides: int, dilation: int, groups: int, filters: int,
    padding: str, data_format: str, use_bias: bool, known: bool,
) -> None:  # fmt: skip
    assume(channels % groups == 0 and filters % groups == 0)
    assume(strides == 1 or dilation == 1)
    assume(padding != "causal" or (rank == 1 and data_format == "channels_last"))
    assume(known or data_format == "channels_last")
    shape = sized(rank, spatial, channels, data_format)
    # A channels-first bias is added along the width by Keras 3.15 where the width equals the number of filters.
    assume(data_format == "channels_last" or not use_bias)
    layer = (L.Conv1D, L.Conv2D)[rank - 1](
        filters, kernel[:rank], strides=strides, dilation_rate=dilation, groups=groups, padding=padding,
        data_format=data_format, use_bias=use_bias,
    )  # fmt: skip
    check([shape], layer, known)


@given(
    rank=st.integers(1, 2),
    spatial=st.tuples(*[st.integers(1, 7)] * 2),
    kernel=st.tuples(small, small),
    strides=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    output_padding=st.sampled_from([None, None, 0, 1]),
    padding=padding,
    filters=st.integers(1, 4),
)
def test_conv_transpose(
    rank: int, spatial: Any, kernel: Any, strides: Any, output_padding: int | None, padding: str, filters: int
) -> None:
    assume(output_padding is None or output_padding < min(strides[:rank]))
    layer = (L.Conv1DTranspose, L.Conv2DTranspose)[rank - 1](
        filters, kernel[:rank], strides=strides[:rank], padding=padding, output_padding=output_padding
    )
    check([sized(rank, spatial, 3, "channels_last")], layer)


@given(
    rank=st.integers(1, 2),
    spatial=st.tuples(*[st.integers(3, 9)] * 2),
    kernel=st.tuples(small, small),
    strides=st.integers(1, 3),
    dilation=st.integers(1, 2),
    multiplier=st.integers(1, 3),
    padding=padding,
    known=st.booleans(),
)
def test_depthwise_conv(
    rank: int, spatial: Any, kernel: Any, strides: int, dilation: int, multiplier: int, padding: str, known: bool
) -> None:
    layer = (L.DepthwiseConv1D, L.DepthwiseConv2D)[rank - 1](
        kernel[:rank], strides=strides, dilation_rate=dilation, depth_multiplier=multiplier, padding=padding
    )
    check([sized(rank, spatial, 2, "channels_last")], layer, known)


@given(
    rank=st.integers(1, 2),
    spatial=st.tuples(*[st.integers(2, 9)] * 2),
    size=st.tuples(small, small),
    strides=st.none() | st.tuples(small, small),
    padding=padding,
    data_format=formats,
    maximum=st.booleans(),
    known=st.booleans(),
)
def test_pool(
    rank: int, spatial: Any, size: Any, strides: Any, padding: str, data_format: str, maximum: bool, known: bool
) -> None:
    assume(known or data_format == "channels_last")
    assume(strides is None or all(s <= k for s, k in zip(strides, size, strict=True)))  # TensorFlow may crash
    kinds = (L.MaxPooling1D, L.MaxPooling2D) if maximum else (L.AveragePooling1D, L.AveragePooling2D)
    layer = kinds[rank - 1](size[:rank], strides=strides and strides[:rank], padding=padding, data_format=data_format)
    check([sized(rank, spatial, 3, data_format)], layer, known)


@given(
    spatial=st.tuples(*[st.integers(3, 8)] * 2),
    edges=st.tuples(*[st.integers(0, 3)] * 4),
    crop=st.booleans(),
    data_format=formats,
)
def test_pad_and_crop(spatial: Any, edges: Any, crop: bool, data_format: str) -> None:
    assume(not crop or (edges[0] + edges[1] < spatial[0] and edges[2] + edges[3] < spatial[1]))
    pairs = (edges[:2], edges[2:])
    layer = (L.Cropping2D if crop else L.ZeroPadding2D)(pairs, data_format=data_format)
    check([sized(2, spatial, 2, data_format)], layer)


@given(
    spatial=st.tuples(*[st.integers(1, 9)] * 2),
    new=st.tuples(*[st.integers(1, 12)] * 2),
    interpolation=st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]),
    antialias=st.booleans(),
)
def test_resize(spatial: Any, new: Any, interpolation: str, antialias: bool) -> None:
    check(
        [sized(2, spatial, 2, "channels_last")],
        lambda x: keras.ops.image.resize(x, new, interpolation=interpolation, antialias=antialias),
    )


@given(
    kind=st.sampled_from([L.Add, L.Multiply, L.Average, L.Maximum, L.Minimum, L.Subtract]),
    shapes=st.lists(st.tuples(*[st.sampled_from([1, 3])] * 3), min_size=2, max_size=4),
    drop=st.integers(0, 2),
)
def test_merge(kind: Any, shapes: Any, drop: int) -> None:
    assume(kind is not L.Subtract or len(shapes) == 2)
    shapes = [shapes[0], *(shape[drop:] for shape in shapes[1:])]
    check(shapes, lambda *xs: kind()(list(xs)))


@given(axis=st.integers(1, 3) | st.integers(-3, -1), sizes=st.lists(st.integers(1, 4), min_size=2, max_size=4))
def test_concatenate(axis: int, sizes: list[int]) -> None:
    place = axis - 1 if axis > 0 else axis
    shapes = []
    for size in sizes:
        shape = [2, 3, 4]
        shape[place] = size
        shapes.append(tuple(shape))
    check(shapes, lambda *xs: L.Concatenate(axis=axis)(list(xs)))


gates = st.sampled_from(["sigmoid", "hard_sigmoid", "tanh", "softmax"])  # without bounds, they magnify the last bits
activations = gates | st.sampled_from(["relu", "elu", "linear"])


def masked(x: Any) -> Any:
    """Steps whose first number is negative are left out, whole samples of short series among them."""
    return L.Masking()(x * keras.ops.cast(x[..., :1] > 0, "float32"))


@given(
    kind=st.sampled_from([L.SimpleRNN, L.LSTM, L.GRU]),
    steps=st.integers(1, 6),
    channels=small,
    units=small,
    known=st.booleans(),
    mask=st.booleans(),
    merge=st.sampled_from(["one way", "one way", "concat", "sum", "mul", "ave", None]),
    reset_after=st.booleans(),
    functions=st.tuples(activations, gates),
    flags=st.fixed_dictionaries(
        {name: st.booleans() for name in ("go_backwards", "return_sequences", "return_state", "use_bias", "unroll")}
    ),
    zeros=st.booleans(),
)
def test_recurrent(
    kind: Any, steps: int, channels: int, units: int, known: bool, mask: bool, merge: str | None, reset_after: bool,
    functions: Any, flags: dict[str, bool], zeros: bool,
) -> None:  # fmt: skip
    assume(known or not flags["unroll"])
    settings: dict[str, Any] = {"activation": functions[0], **flags}
    if kind is not L.SimpleRNN:
        settings["recurrent_activation"] = functions[1]
    if kind is L.GRU:
        settings["reset_after"] = reset_after
    if merge == "one way":
        layer: Any = kind(units, zero_output_for_mask=zeros, **settings)
    else:
        other = kind(units, **{**settings, "go_backwards": not flags["go_backwards"]})
        layer = L.Bidirectional(kind(units, **settings), merge_mode=merge, backward_layer=other)
    check([(steps, channels)], lambda x: layer(masked(x) if mask else x), known)
