"""Every kernel with its default settings: the result is whole, and a default that is spelt out changes nothing.

A row holds the least that a kernel can be called with: an operand for each parameter that has no default, and each
setting that has none.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_kernels import positive, random

from kerasgen import kernels
from kerasgen.kernels import window
from kerasgen.kernels.threads import Buffer


class Call(NamedTuple):
    """What a kernel is called with."""

    operands: tuple[Any, ...]
    settings: dict[str, Any]


def call(*operands: Any, **settings: Any) -> Call:
    return Call(operands, settings)


def definite(*shape: int) -> np.ndarray:
    """Positive definite matrices."""
    x = random(*shape, shape[-1])
    return x @ np.swapaxes(x, -2, -1) + np.eye(shape[-1], dtype="float32")


X = random(3, 5)
SERIES, IMAGE, VOLUME = random(2, 7, 4), random(2, 6, 7, 4), random(2, 4, 5, 3, 4)
RGB = np.random.RandomState(0).rand(2, 6, 7, 3).astype("float32")
CHANNELS = random(4, seed=1)
HEADS = random(2, 5, 2, 3)
WHOLE = np.arange(6, dtype="int32").reshape(2, 3)
MASK = np.array([[True, True, False, True, True], [True, False, True, False, True]])
ONE, TWO, THREE = ((1,) * rank for rank in (1, 2, 3))
GATES = {"activation": kernels.tanh, "recurrent_activation": kernels.sigmoid}
CORNERS = np.float32([[[0, 0], [0, 6], [5, 0], [5, 6]]])
IDENTITY = np.float32([[1, 0, 0, 0, 1, 0, 0, 0]])

BITS = np.array([1, 2, 3], np.uint64)
TEXT = np.ones((3, 24), np.uint64)

CALLS: dict[str, Call] = {
    # Arithmetic
    **dict.fromkeys(
        """
        both_sides celu count_nonzero elu erf erfc exponential flatten gelu general_relu global_average_pool
        global_max_pool hard_shrink hard_sigmoid hard_sigmoid_keras2 hard_silu hard_tanh identity leaky_relu
        local_response_norm log_sigmoid log_softmax logsumexp mish arg_max arg_min arg_sort nan_arg_max nan_arg_min
        normalize relu relu6 round_bfloat16 round_levels selu shape_of sigmoid signed_zeros silu size soft_shrink
        softmax softmax_by_columns softplus softsign sparse_plus sparse_sigmoid sparsemax squareplus tanh tanh_shrink
        trapezoid bessel_i0 stop_gradient histogram sobel_edges decibels channels_first channels_last layer_norm
        rms_norm band_mask rfft
        """.split(),
        call(IMAGE),
    ),
    **dict.fromkeys("divide_no_nan floor_divide next_after polar power fft fft2 ifft2 irfft".split(), call(X, X + 1)),
    "batch_dot": call(SERIES, SERIES, axes=(2, 2)),
    "cast": call(X, dtype="int32"),
    "clip": call(X, x_min=-0.5, x_max=0.5),
    "cross": call(RGB, RGB[::-1]),
    "einsum": call(X, X, subscripts="ij,kj->ik"),
    "erfinv": call(np.tanh(X)),
    "fake_quant": call(X, np.float32(-1), np.float32(1)),
    "glu": call(IMAGE),
    "masked": call(random(2, 5, 3), MASK),
    "masked_average": call(random(2, 5, 3), MASK),
    "prelu": call(IMAGE, CHANNELS),
    "psnr": call(X, X + 1, max_val=1.0),
    "quantile": call(X, np.float32([0.2, 0.7])),
    "round_float8": call(X, np.float32(2)),
    "rsqrt": call(positive(3, 5)),
    "srelu": call(IMAGE, *random(4, 4)),
    "threshold": call(X, threshold=0.5, default_value=-1.0),
    "weighted_average": call(X, positive(3, 5)),
    # Inputs and memory
    "as_input": call(X, "x", (None, 5), "float32"),
    "buffers": call(2),
    "check_batch": call((("a", (None, 5), "float32"), ("b", (None, 5), "float32")), X, X + 1),
    "in_batches": call(np.negative, 1, X),
    "share_batch": call(np.negative, 1, X),
    # Products
    "additive_scores": call(SERIES, SERIES),
    "attend": call(random(2, 2, 5, 5), HEADS),
    "cdist": call(SERIES, SERIES + 1),
    "cosine": call(X, X + 1),
    "dense": call(X, random(5, 4)),
    "dot_scores": call(SERIES, SERIES),
    "head_scores": call(HEADS, HEADS),
    "mask_scores": call(random(2, 5, 5), MASK[:, None]),
    "masked_softmax": call(random(2, 5, 5), MASK[:, None]),
    "project": call(SERIES, random(4, 2, 3)),
    "project_by_rows": call(SERIES, random(4, 2, 3)),
    "attention_by_rows": call(random(2, 5, 2, 4), random(2, 6, 2, 4), random(2, 6, 2, 3)),
    "band_attention_by_rows": call(random(2, 5, 2, 4), random(2, 6, 2, 4), random(2, 6, 2, 3)),
    # Convolutions
    "blocked_conv": call(IMAGE, random(3, 2, 4, 5), strides=TWO, dilation=TWO),
    "clamp": call(IMAGE),
    "conv1d": call(SERIES, random(3, 4, 5)),
    "conv2d": call(IMAGE, random(3, 2, 4, 5)),
    "conv3d": call(VOLUME, random(2, 2, 2, 4, 5)),
    "conv1d_transpose": call(SERIES, random(3, 5, 4)),
    "conv2d_transpose": call(IMAGE, random(3, 2, 5, 4)),
    "conv3d_transpose": call(VOLUME, random(2, 2, 2, 5, 4)),
    "conv_by_matrix": call(random(2, 2, 2, 3), random(12, 8), shape=(2, 2, 2)),
    "conv_by_taps": call(random(2, 6, 7, 1), random(3, 2, 1, 5), strides=TWO, dilation=TWO),
    "half_unfolded_conv": call(IMAGE, random(3, 2, 4, 5), dilation=TWO),
    "kn2row_conv": call(IMAGE, random(3, 2, 4, 5), dilation=TWO),
    "conv_transpose_by_rows": call(IMAGE, random(3, 2, 5, 4), strides=TWO, dilation=ONE * 2),
    "conv_matrix": call(random(2, 2, 3, 4), sizes=(3, 4), strides=TWO, dilation=TWO, pad=None),
    "depthwise_conv1d": call(SERIES, random(3, 4, 2)),
    "depthwise_conv2d": call(IMAGE, random(3, 2, 4, 2)),
    "grouped_conv1d": call(SERIES, random(3, 2, 6), groups=2),
    "grouped_conv2d": call(IMAGE, random(3, 2, 2, 6), groups=2),
    "grouped_conv3d": call(VOLUME, random(2, 2, 2, 2, 6), groups=2),
    "locally_connected": call(SERIES, random(5, 12, 6), random(5, 6), size=(3,), strides=ONE),
    "dense_by_columns": call(X, random(5, 4)),
    "pointwise": call(IMAGE, random(4, 5)),
    "activation_by_rows": call(IMAGE, activation=kernels.tanh),
    "bilinear_by_rows": call(IMAGE, size=(7, 9)),
    "upsample_by_rows": call(IMAGE, size=(2, 3)),
    "upsample_nearest_by_rows": call(IMAGE, size=(2, 3)),
    "layer_norm_by_rows": call(IMAGE),
    "pool_by_rows": call(IMAGE, pool=kernels.max_pool, size=TWO, strides=TWO),
    "scale_shift": call(IMAGE, CHANNELS, random(4, seed=2)),
    "spectrum": call(random(2, 9, 1), random(4, 1, 6), stride=2),
    "tile": call(random(3, 2, 4, 1), count=3),
    "tiled_depthwise_conv2d": call(IMAGE, kernels.tile(random(3, 2, 4, 1), count=3)),
    "transpose_crop": call((3, 2), (2, 2), TWO, "same"),
    "winograd_conv2d": call(IMAGE[:, :, :6], kernels.winograd_filters(random(3, 3, 4, 5), m=(2, 2))),
    "winograd_conv3d": call(
        random(2, 3, 5, 6, 4), kernels.winograd_filters(random(2, 3, 3, 4, 5), m=(2, 2)), window=(2, 3, 3)
    ),
    "winograd_depthwise_conv2d": call(IMAGE, kernels.winograd_tile(random(3, 3, 4, 1), m=2, count=2), window=(3, 3)),
    "winograd_filters": call(random(3, 3, 4, 5), m=(2, 2)),
    "merge_groups": call(random(3, 2, 2, 12), groups=4, count=2),
    "winograd_tile": call(random(3, 3, 4, 1), m=2, count=2),
    # Windows and pooling
    "adaptive_average_pool": call(IMAGE, size=(2, 3)),
    "adaptive_max_pool": call(IMAGE, size=(2, 3)),
    "average_pool": call(IMAGE, size=(3, 2), strides=(2, 1)),
    "extract_patches": call(IMAGE, size=(3, 2), strides=(2, 1)),
    "fold": call(random(2, 24, 20), sizes=(6, 6), size=(3, 2), strides=TWO, dilation=TWO, pads=((0, 0), (0, 0))),
    "frames": call(X, length=3, stride=2),
    "max_pool": call(IMAGE, size=(3, 2), strides=(2, 1)),
    "pad": call(IMAGE, pads=((1, 2), (0, 3))),
    "padded": call(IMAGE, (3, 2), TWO, TWO, ((1, 2), (0, 3))),
    "same_pads": call((6, 7), (3, 2), (2, 1), TWO),
    "taps": call(IMAGE, (3, 2), TWO, TWO),
    "unfold": call(IMAGE, size=(3, 2), strides=TWO, dilation=TWO, pads=((0, 0), (0, 0))),
    "windows": call(IMAGE, (3, 2), TWO, TWO),
    # Normalisation
    "batch_norm": call(IMAGE, CHANNELS, CHANNELS, CHANNELS, positive(4)),
    "group_norm": call(IMAGE, CHANNELS, CHANNELS, groups=2),
    "normalization": call(IMAGE, CHANNELS, positive(4)),
    "sample_norm": call(IMAGE, CHANNELS, CHANNELS),
    "variance_norm": call(IMAGE, CHANNELS),
    # Shapes
    "array_split": call(X, indices_or_sections=2),
    "concatenate": call(X, X + 1),
    "crop": call(IMAGE, crops=((1, 2), (0, 3))),
    "depth_to_space": call(IMAGE, block_size=2),
    "dstack": call(X, X + 1),
    "get_item": call(X, index=(slice(None), 1)),
    "keep_axis": call(X, 3, 1),
    "meshgrid": call(X[0], X[1, :3]),
    "rearrange": call(X, split=((3,), (5,)), order=(1, 0), merge=(1, 1)),
    "reshape": call(IMAGE, shape=(42, 4)),
    "reshape_all": call(IMAGE, shape=(12, 28)),
    "slice_at": call(X, (1, 2), shape=(2, -1)),
    "space_to_depth": call(IMAGE[:, :, :6], block_size=2),
    "split": call(X, indices_or_sections=3),
    "stack": call(X, X + 1),
    "unstack": call(X, num=3),
    "upsample_nearest": call(IMAGE, size=(2, 3)),
    "view": call(X, dtype="int32"),
    # Hashes
    "crossed_hash": call(WHOLE, WHOLE, bins=9),
    "decimal_text": call(WHOLE),
    "farm_hash": call(WHOLE, bins=9),
    "hash_pair": call(BITS, BITS, BITS),
    "rotate_right": call(BITS, 25),
    "shift_mix": call(BITS, 47),
    "short_text": call(TEXT, BITS),
    "sip_hash": call(WHOLE, bins=9, key=(1, 2)),
    "sip_rounds": call([BITS, BITS, BITS, BITS], 2),
    "text_word": call(TEXT, BITS, 4),
    # Places and classes
    "geomspace": call(positive(3), positive(3, seed=1)),
    "in_top_k": call(np.array([1, 0, 4]), X, k=2),
    "inverse_lookup": call(WHOLE, np.array([0, 1, 40, 20])),
    "lookup": call(WHOLE, np.array([0, 5, 4, 2])),
    "one_hot": call(WHOLE, num_classes=6),
    "scatter_nd": call(WHOLE[:, :1], random(2, 3), shape=(7, 3)),
    "scatter_update": call(X, np.array([[0], [2]]), random(2, 5)),
    "select": call(X > 1, X < 0, X, -X, X * 0),
    "slice_update": call(X, (1, 1), random(2, 2)),
    "top_k": call(X, k=2),
    "unique": call(np.array([3, 1, 3, 2]), size=4),
    "unravel_index": call(WHOLE, shape=(2, 3)),
    **dict.fromkeys(
        ["segment_max", "segment_min", "segment_prod", "segment_sum"], call(random(5, 3), np.array([0, 0, 1, 2, 2]))
    ),
    "binary_crossentropy": call(np.float32([[0, 1]]), np.float32([[0.2, 0.7]])),
    "categorical_crossentropy": call(np.float32([[0, 1]]), np.float32([[0.2, 0.8]])),
    "sparse_categorical_crossentropy": call(np.array([1]), np.float32([[0.2, 0.8]])),
    # Recurrent layers
    "conv_lstm": call(random(2, 3, 6, 5, 8), random(3, 3, 2, 8), **GATES),
    "gru": call(SERIES, random(4, 9), random(3, 9), **GATES),
    "joined_mask": call(random(2, 5, 3), MASK, random(2, 5, 1), None, axis=-1),
    "lstm": call(SERIES, random(4, 12), random(3, 12), **GATES),
    "merge_steps": call(SERIES),
    "simple_rnn": call(SERIES, random(4, 3), random(3, 3), activation=kernels.tanh),
    "split_steps": call(random(14, 3), SERIES),
    "ctc_beam": call(random(2, 5, 4), np.array([5, 3])),
    "ctc_greedy": call(random(2, 5, 4), np.array([5, 3])),
    "ctc_loss": call(np.array([[1, 2], [3, 1]]), random(2, 5, 4), np.array([2, 1]), np.array([5, 4])),
    # Quantised weights
    "dequantize": call(random(4, 3), positive(2, 3), random(2, 3), np.array([0, 0, 1, 1]), axis=0),
    "unpack_int4": call(np.arange(6, dtype="int8").reshape(2, 3), size=6),
    # Images
    "auto_contrast": call(RGB, value_range=(0, 1)),
    "center_crop": call(RGB, size=(4, 5)),
    "crop_to_aspect_ratio": call(RGB, size=(4, 4)),
    "equalize_adaptively": call(255 * RGB),
    "homography": call(CORNERS, CORNERS + 1),
    "hsv_to_rgb": call(RGB),
    "map_coordinates": call(X, np.float32([[0.5, 1.2], [3.1, 9]]), order=1),
    "pad_to_aspect_ratio": call(RGB, size=(4, 4)),
    "projective_transform": call(RGB, IDENTITY),
    "resize": call(RGB, size=(4, 9)),
    "resize_corners": call(RGB, size=(4, 9)),
    "rgb_to_grayscale": call(RGB),
    "rgb_to_hsv": call(RGB),
    "scale_and_translate": call(
        RGB, np.float32([0.5, 2]), np.float32([0, 1]), sizes=(4, 9), axes=(1, 2), method="linear"
    ),
    "ssim": call(RGB, RGB[::-1], np.full((3, 3), 1 / 9, "float32")),
    "upsample": call(RGB, size=(2, 2), interpolation="bilinear"),
    # Signals
    "istft": call(random(2, 3, 5), random(2, 3, 5, seed=1), fft_length=8, stride=4),
    "mel_spectrum": call(random(2, 3, 5), random(2, 3, 5), positive(5, 4)),
    "stft": call(random(2, 16), fft_length=8, stride=4),
    "view_as_complex": call(random(3, 2)),
    "view_as_real": call(random(3) + 1j * random(3, seed=1)),
    # Matrices
    **dict.fromkeys("cholesky cholesky_inverse eig logdet lu_factor pinv qr slogdet".split(), call(definite(2, 3))),
    "lstsq": call(random(4, 3), random(4, 2)),
    "solve": call(definite(2, 3), random(2, 3, 4)),
    "solve_triangular": call(definite(2, 3), random(2, 3, 4)),
}


def parameters(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(kernels, name)).parameters)


def arrays(result: Any) -> Iterator[np.ndarray]:
    """The arrays and numbers in a result, whatever holds them."""
    if isinstance(result, (tuple, list)) or inspect.isgenerator(result):
        for item in result:
            yield from arrays(item)
    elif result is not None and not isinstance(result, Buffer):
        yield np.asarray(result)


def form(array: np.ndarray) -> tuple[tuple[int, ...], np.dtype[Any]]:
    return array.shape, array.dtype


def run(name: str, **more: Any) -> list[np.ndarray]:
    operands, settings = CALLS[name]
    return [array.copy() for array in arrays(getattr(kernels, name)(*operands, **settings, **more))]


def equal(got: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_every_kernel_has_a_row_of_what_it_must_be_given() -> None:
    assert sorted(CALLS) == [name for name in kernels.__all__ if name != "ACTIVATIONS"]
    for name, (operands, settings) in CALLS.items():
        kinds: dict[Any, list[str]] = {}
        for key, parameter in parameters(name).items():
            if parameter.default is parameter.empty:
                kinds.setdefault(parameter.kind, []).append(key)
        if inspect.Parameter.VAR_POSITIONAL not in kinds:
            assert len(operands) == len(kinds.get(inspect.Parameter.POSITIONAL_OR_KEYWORD, [])), name
        assert sorted(settings) == sorted(kinds.get(inspect.Parameter.KEYWORD_ONLY, [])), name


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Fills all memory that a kernel asks for with one byte: 255 are NaN as floats and -1 as whole numbers."""
    empty, empty_like = np.empty, np.empty_like

    def fill(byte: int) -> None:
        def filled(array: np.ndarray) -> np.ndarray:
            if array.size:
                array.reshape(-1).view(np.uint8)[...] = byte
            return array

        def poisoned(*shape: Any, **settings: Any) -> np.ndarray:
            return filled(empty(*shape, **settings))

        monkeypatch.setattr(np, "empty", poisoned)
        monkeypatch.setattr(np, "empty_like", lambda *like, **settings: filled(empty_like(*like, **settings)))
        monkeypatch.setattr(window.surround, "__defaults__", (0.0, poisoned))  # which it got when it was defined

    return fill


@pytest.mark.parametrize("name", CALLS)
def test_nothing_of_what_was_in_memory_is_left(name: str, poison: Callable[[int], None]) -> None:
    results = []
    for byte in (0, 255):
        poison(byte)
        results.append(run(name))
    equal(*results)
    assert all(np.isfinite(array).all() for array in results[0])


# What stands for None, as a function of the result and of the first operand; "kernel.parameter" where it differs.
NEUTRAL: dict[str, Callable[[np.ndarray, Any], Any]] = {
    "activation": lambda y, x: kernels.identity,
    "attention_by_rows.mask": lambda y, x: np.ones(1, bool),
    "beta": lambda y, x: np.zeros(1, y.dtype),
    "bias": lambda y, x: np.zeros(1, y.dtype),
    "c": lambda y, x: np.zeros(y.shape, y.dtype),
    "crop": lambda y, x: ((0, 0),) * (y.ndim - 2),
    "gamma": lambda y, x: np.ones(1, y.dtype),
    "gru.bias": lambda y, x: np.zeros((2, 1), y.dtype),
    "h": lambda y, x: np.zeros(y.shape, y.dtype),
    "high": lambda y, x: np.inf,
    "low": lambda y, x: -np.inf,
    "mask": lambda y, x: np.ones(x.shape[:2], bool),
    "pad": lambda y, x: ((0, 0),) * (x.ndim - 2),
    "residual": lambda y, x: np.zeros(y.shape, y.dtype),
    "scale": lambda y, x: np.ones(1, y.dtype),
    "weight": lambda y, x: np.ones(1, y.dtype),
    "istft.window": lambda y, x: np.ones(8, y.dtype),
    "stft.window": lambda y, x: np.ones(8, y.dtype),
}
SPELT_OUT = [
    (name, key, NEUTRAL.get(f"{name}.{key}") or NEUTRAL[key])
    for name in CALLS
    for key, parameter in parameters(name).items()
    if parameter.default is None and (f"{name}.{key}" in NEUTRAL or key in NEUTRAL)
]


@pytest.mark.parametrize(("name", "key", "neutral"), SPELT_OUT, ids=lambda part: part if isinstance(part, str) else "")
def test_none_is_the_neutral_value(name: str, key: str, neutral: Callable[[np.ndarray, Any], Any]) -> None:
    results = run(name)
    equal(run(name, **{key: neutral(results[0], CALLS[name].operands[0])}), results)


def test_every_neutral_value_is_used() -> None:
    assert {key for _, key, _ in SPELT_OUT} == {key.split(".")[-1] for key in NEUTRAL}


@pytest.mark.parametrize("name", [name for name in CALLS if "border" in parameters(name)])
def test_a_border_is_zeros_around_the_same(name: str) -> None:
    (inside,) = run(name)
    border = ((1, 2), (0, 3), (2, 1))[: inside.ndim - 2]
    equal(run(name, border=border), [np.pad(inside, ((0, 0), *border, (0, 0)))])


@pytest.mark.parametrize("name", [name for name in CALLS if "out" in parameters(name)])
def test_out_is_where_the_same_goes(name: str) -> None:
    (wanted,) = run(name)
    memory: Any = np.full_like(wanted, np.nan)
    if name not in ("relu", "relu6"):
        memory = Buffer()
        memory.empty(wanted.shape, wanted.dtype).fill(np.nan)
    equal(run(name, out=memory), [wanted])
    np.testing.assert_array_equal(memory if isinstance(memory, np.ndarray) else memory.empty(*form(wanted)), wanted)
