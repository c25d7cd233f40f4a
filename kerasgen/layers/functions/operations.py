"""The functions of `keras.ops`, by the rules of Keras's operations."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.functions import constants
from kerasgen.layers.functions.python import attribute, dtype_name, tf
from kerasgen.layers.functions.values import Function, Reference
from kerasgen.layers.layer import Layer
from kerasgen.layers.sizes import concrete
from kerasgen.layers.tf.ops import keras

# Function, class, and the arguments in their order: `@` before the tensors, which the class is called with; the others
# are its settings. A line that is indented continues the one before.
_TABLE = """
    absolute Absolute @x
    adaptive_average_pool AdaptiveAveragePool @inputs output_size data_format=None
    adaptive_max_pool AdaptiveMaxPool @inputs output_size data_format=None
    add Add @x1 @x2
    all All @x axis=None keepdims=False
    allclose AllClose @x1 @x2 rtol=1e-05 atol=1e-08 equal_nan=False
    amax Amax @x axis=None keepdims=False
    amin Amin @x axis=None keepdims=False
    angle Angle @x
    any Any @x axis=None keepdims=False
    append Append @x1 @x2 axis=None
    arccos Arccos @x
    arccosh Arccosh @x
    arcsin Arcsin @x
    arcsinh Arcsinh @x
    arctan Arctan @x
    arctan2 Arctan2 @x1 @x2
    arctanh Arctanh @x
    argmax Argmax @x axis=None keepdims=False
    argmin Argmin @x axis=None keepdims=False
    argsort Argsort @x axis=-1
    array Array @x dtype=None
    array_split ArraySplit @x indices_or_sections axis=0
    average Average @x axis=None @weights=None
    average_pool AveragePool @inputs pool_size strides=None padding='valid' data_format=None
    batch_normalization BatchNorm @x @mean @variance axis @offset=None @scale=None epsilon=0.001
    binary_crossentropy BinaryCrossentropy @target @output from_logits=False
    bitwise_and BitwiseAnd @x @y
    bitwise_invert BitwiseInvert @x
    bitwise_left_shift BitwiseLeftShift @x @y
    bitwise_not BitwiseNot @x
    bitwise_or BitwiseOr @x @y
    bitwise_right_shift BitwiseRightShift @x @y
    bitwise_xor BitwiseXor @x @y
    categorical_crossentropy CategoricalCrossentropy @target @output from_logits=False axis=-1
    cbrt Cbrt @x
    cdist CDist @x @y
    ceil Ceil @x
    celu Celu @x alpha=1.0
    cholesky Cholesky @x upper=False
    cholesky_inverse CholeskyInverse @x upper=False
    clip Clip @x x_min x_max
    concatenate Concatenate @xs axis=0
    conjugate Conjugate @x
    conv Conv @inputs @kernel strides=1 padding='valid' data_format=None dilation_rate=1
    conv_transpose ConvTranspose @inputs @kernel strides=1 padding='valid' output_padding=None data_format=None
        dilation_rate=1
    copy Copy @x
    corrcoef Corrcoef @x
    correlate Correlate @x1 @x2 mode='valid'
    cos Cos @x
    cosh Cosh @x
    count_nonzero CountNonzero @x axis=None
    cross Cross @x1 @x2 axisa=-1 axisb=-1 axisc=-1 axis=None
    ctc_decode CTCDecode @inputs @sequence_lengths strategy='greedy' beam_width=100 top_paths=1 merge_repeated=True
        mask_index=0
    ctc_loss CTCLoss @target @output @target_length @output_length mask_index=0
    cumprod Cumprod @x axis=None dtype=None
    cumsum Cumsum @x axis=None dtype=None
    deg2rad Deg2rad @x
    depth_to_space DepthToSpace @x block_size data_format='channels_last'
    depthwise_conv DepthwiseConv @inputs @kernel strides=1 padding='valid' data_format=None dilation_rate=1
    det Det @x
    diag Diag @x k=0
    diagflat Diagflat @x k=0
    diagonal Diagonal @x offset=0 axis1=0 axis2=1
    digitize Digitize @x @bins
    divide Divide @x1 @x2
    divide_no_nan DivideNoNan @x1 @x2
    dot Dot @x1 @x2
    dot_product_attention DotProductAttention @query @key @value @bias=None @mask=None @scale=None is_causal=False
        flash_attention=None attn_logits_soft_cap=None
    dsplit Dsplit @x indices_or_sections
    dstack Dstack @xs
    eig Eig @x
    eigh Eigh @x
    einsum Einsum subscripts @*operands @**kwargs
    elu Elu @x alpha=1.0
    empty_like EmptyLike @x dtype=None
    equal Equal @x1 @x2
    erf Erf @x
    erfc Erfc @x
    erfinv Erfinv @x
    exp Exp @x
    exp2 Exp2 @x
    expand_dims ExpandDims @x axis
    expm1 Expm1 @x
    extract_sequences ExtractSequences @x sequence_length sequence_stride
    fabs Fabs @x
    fft FFT @x
    fft2 FFT2 @x
    flip Flip @x axis=None
    fliplr Fliplr @x
    flipud Flipud @x
    floor Floor @x
    floor_divide FloorDivide @x1 @x2
    fmax Fmax @x1 @x2
    fmin Fmin @x1 @x2
    fmod Fmod @x1 @x2
    fold Fold @x output_size kernel_size dilation=1 padding=0 stride=1
    full Full shape @fill_value dtype=None
    full_like FullLike @x @fill_value dtype=None
    gcd Gcd @x1 @x2
    gelu Gelu @x approximate=True
    get_item GetItem @x @key
    glu Glu @x axis=-1
    greater Greater @x1 @x2
    greater_equal GreaterEqual @x1 @x2
    hard_shrink HardShrink @x threshold=0.5
    hard_sigmoid HardSigmoid @x
    hard_silu HardSilu @x
    hard_swish HardSilu @x
    hard_tanh HardTanh @x
    heaviside Heaviside @x1 @x2
    histogram Histogram @x bins=10 range=None
    hsplit Hsplit @x indices_or_sections
    hstack Hstack @xs
    hypot Hypot @x1 @x2
    i0 I0 @x
    ifft2 IFFT2 @x
    imag Imag @x
    in_top_k InTopK @targets @predictions k
    inner Inner @x1 @x2
    inv Inv @x
    irfft IRFFT @x fft_length=None
    isclose Isclose @x1 @x2 @rtol=1e-05 @atol=1e-08 equal_nan=False
    isfinite Isfinite @x
    isin IsIn @x1 @x2 assume_unique=False invert=False
    isinf Isinf @x
    isnan Isnan @x
    isneginf Isneginf @x
    isposinf Isposinf @x
    isreal Isreal @x
    istft ISTFT @x sequence_length sequence_stride fft_length length=None window='hann' center=True
    kron Kron @x1 @x2
    layer_normalization LayerNorm @x @gamma=None @beta=None axis=-1 epsilon=None
    lcm Lcm @x1 @x2
    ldexp Ldexp @x1 @x2
    leaky_relu LeakyRelu @x negative_slope=0.2
    left_shift LeftShift @x @y
    less Less @x1 @x2
    less_equal LessEqual @x1 @x2
    log Log @x
    log10 Log10 @x
    log1p Log1p @x
    log2 Log2 @x
    log_sigmoid LogSigmoid @x
    log_softmax LogSoftmax @x axis=-1
    logaddexp Logaddexp @x1 @x2
    logaddexp2 Logaddexp2 @x1 @x2
    logdet Logdet @x
    logical_and LogicalAnd @x1 @x2
    logical_not LogicalNot @x
    logical_or LogicalOr @x1 @x2
    logical_xor LogicalXor @x1 @x2
    logsumexp Logsumexp @x axis=None keepdims=False
    lstsq Lstsq @a @b rcond=None
    lu_factor LuFactor @x
    matmul Matmul @x1 @x2
    matrix_rank MatrixRank @x tol=None
    max Max @x axis=None keepdims=False initial=None
    max_pool MaxPool @inputs pool_size strides=None padding='valid' data_format=None
    maximum Maximum @x1 @x2
    mean Mean @x axis=None keepdims=False
    median Median @x axis=None keepdims=False
    meshgrid Meshgrid @*x indexing='xy'
    min Min @x axis=None keepdims=False initial=None
    minimum Minimum @x1 @x2
    mod Mod @x1 @x2
    moments Moments @x axes keepdims=False synchronized=False
    moveaxis Moveaxis @x source destination
    multi_hot MultiHot @inputs num_classes=None axis=-1 dtype=None sparse=False
    multiply Multiply @x1 @x2
    nan_to_num NanToNum @x nan=0.0 posinf=None neginf=None
    nanargmax Nanargmax @x axis=None keepdims=False
    nanargmin Nanargmin @x axis=None keepdims=False
    nancumprod Nancumprod @x axis=None dtype=None
    nancumsum Nancumsum @x axis=None dtype=None
    nanmax Nanmax @x axis=None keepdims=False
    nanmean Nanmean @x axis=None keepdims=False
    nanmedian Nanmedian @x axis=None keepdims=False
    nanmin Nanmin @x axis=None keepdims=False
    nanpercentile Nanpercentile @x @q axis=None method='linear' keepdims=False
    nanprod Nanprod @x axis=None keepdims=False
    nanquantile Nanquantile @x @q axis=None method='linear' keepdims=False
    nanstd Nanstd @x axis=None keepdims=False
    nansum Nansum @x axis=None keepdims=False
    nanvar Nanvar @x axis=None keepdims=False
    negative Negative @x
    nextafter Nextafter @x1 @x2
    norm Norm @x ord=None axis=None keepdims=False
    normalize Normalize @x axis=-1 order=2 epsilon=None
    not_equal NotEqual @x1 @x2
    one_hot OneHot @x num_classes axis=-1 dtype=None sparse=False
    ones_like OnesLike @x dtype=None
    outer Outer @x1 @x2
    percentile Percentile @x @q axis=None method='linear' keepdims=False
    pinv Pinv @x rcond=None
    polar Polar @abs_ @angle
    power Power @x1 @x2
    prod Prod @x axis=None keepdims=False dtype=None
    psnr PSNR @x1 @x2 max_val
    ptp Ptp @x axis=None keepdims=False
    qr Qr @x mode='reduced'
    quantile Quantile @x @q axis=None method='linear' keepdims=False
    rad2deg Rad2deg @x
    ravel Ravel @x
    real Real @x
    rearrange Rearrange @tensor @pattern @**axes_lengths
    reciprocal Reciprocal @x
    relu Relu @x
    relu6 Relu6 @x
    repeat Repeat @x repeats axis=None
    rfft RFFT @x fft_length=None
    right_shift RightShift @x @y
    rms_normalization RMSNorm @x @scale=None axis=-1 epsilon=None
    roll Roll @x shift axis=None
    rot90 Rot90 @array k=1 axes=(0,1)
    round Round @x decimals=0
    rsqrt Rsqrt @x
    scatter Scatter @indices @values shape
    scatter_update ScatterUpdate @inputs @indices @updates reduction=None
    searchsorted SearchSorted @sorted_sequence @values side='left'
    segment_max SegmentMax @data @segment_ids num_segments=None sorted=False
    segment_min SegmentMin @data @segment_ids num_segments=None sorted=False
    segment_prod SegmentProd @data @segment_ids num_segments=None sorted=False
    segment_sum SegmentSum @data @segment_ids num_segments=None sorted=False
    select Select @condlist @choicelist @default=0
    selu Selu @x
    separable_conv SeparableConv @inputs @depthwise_kernel @pointwise_kernel strides=1 padding='valid'
        data_format=None dilation_rate=1
    sigmoid Sigmoid @x
    sign Sign @x
    signbit Signbit @x
    silu Silu @x
    sin Sin @x
    sinc Sinc @x
    sinh Sinh @x
    size Size @x
    slice Slice @inputs @start_indices shape
    slice_update SliceUpdate @inputs @start_indices @updates
    slogdet Slogdet @x
    soft_shrink SoftShrink @x threshold=0.5
    softmax Softmax @x axis=-1
    softplus Softplus @x
    softsign Softsign @x
    solve Solve @a @b
    solve_triangular SolveTriangular @a @b lower=False
    sort Sort @x axis=-1
    space_to_depth SpaceToDepth @x block_size data_format='channels_last'
    sparse_categorical_crossentropy SparseCategoricalCrossentropy @target @output from_logits=False axis=-1
    sparse_plus SparsePlus @x
    sparse_sigmoid SparseSigmoid @x
    sparsemax Sparsemax @x axis=-1
    split Split @x indices_or_sections axis=0
    sqrt Sqrt @x
    square Square @x
    squareplus Squareplus @x b=4
    squeeze Squeeze @x axis=None
    stack Stack @x axis=0
    std Std @x axis=None keepdims=False
    stft STFT @x sequence_length sequence_stride fft_length window='hann' center=True
    subtract Subtract @x1 @x2
    sum Sum @x axis=None keepdims=False
    svd SVD @x full_matrices=True compute_uv=True
    swapaxes Swapaxes @x axis1 axis2
    swish Silu @x
    take Take @x @indices axis=None
    take_along_axis TakeAlongAxis @x @indices axis=None
    tan Tan @x
    tanh Tanh @x
    tanh_shrink TanhShrink @x
    tensordot Tensordot @x1 @x2 axes=2
    threshold Threshold @x threshold default_value
    tile Tile @x repeats
    top_k TopK @x k sorted=True
    trace Trace @x offset=0 axis1=0 axis2=1
    transpose Transpose @x axes=None
    trapezoid Trapezoid @y x=None dx=1.0 axis=-1
    tril Tril @x k=0
    triu Triu @x k=0
    true_divide TrueDivide @x1 @x2
    trunc Trunc @x
    unfold Unfold @x kernel_size dilation=1 padding=0 stride=1
    unique Unique @x sorted=True return_index=False return_inverse=False return_counts=False axis=None size=None
        fill_value=None
    unravel_index UnravelIndex @indices shape
    unstack Unstack @x num=None axis=0
    vander Vander @x N=None increasing=False
    var Var @x axis=None keepdims=False
    vdot Vdot @x1 @x2
    view View @x dtype=None
    view_as_complex ViewAsComplex @x
    view_as_real ViewAsReal @x
    vsplit Vsplit @x indices_or_sections
    vstack Vstack @xs
    where Where @condition @x1=None @x2=None
    zeros_like ZerosLike @x dtype=None
    image.affine_transform AffineTransform @images @transform interpolation='bilinear' fill_mode='constant'
        fill_value=0 data_format=None
    image.crop_images CropImages @images top_cropping=None left_cropping=None bottom_cropping=None
        right_cropping=None target_height=None target_width=None data_format=None
    image.extract_patches ExtractPatches @images size strides=None dilation_rate=1 padding='valid' data_format=None
    image.extract_patches_3d ExtractPatches @volumes size strides=None dilation_rate=1 padding='valid'
        data_format=None
    image.gaussian_blur GaussianBlur @images kernel_size=(3,3) sigma=(1.0,1.0) data_format=None
    image.hsv_to_rgb HSVToRGB @images data_format=None
    image.map_coordinates MapCoordinates @inputs @coordinates order fill_mode='constant' fill_value=0
    image.pad_images PadImages @images top_padding=None left_padding=None bottom_padding=None right_padding=None
        target_height=None target_width=None data_format=None
    image.perspective_transform PerspectiveTransform @images @start_points @end_points interpolation='bilinear'
        fill_value=0 data_format=None
    image.resize Resize @images size interpolation='bilinear' antialias=False crop_to_aspect_ratio=False
        pad_to_aspect_ratio=False fill_mode='constant' fill_value=0.0 data_format=None
    image.rgb_to_grayscale RGBToGrayscale @images data_format=None
    image.rgb_to_hsv RGBToHSV @images data_format=None
    image.scale_and_translate ScaleAndTranslate @images @output_shape @scale @translation spatial_dims method
        antialias=True
    image.sobel_edges SobelEdges @images data_format=None
    image.ssim SSIM @image1 @image2 max_val=1.0 filter_size=11 filter_sigma=1.5 k1=0.01 k2=0.03 data_format=None
"""
_REQUIRED: Any = object()


class _Argument(NamedTuple):
    """An argument of a function: whether it is a tensor, whether it takes all that follow, and its default."""

    name: str
    tensor: bool
    rest: bool
    default: Any


class _Row(NamedTuple):
    kind: str
    arguments: tuple[_Argument, ...]


@functools.cache
def _rows() -> Mapping[str, _Row]:
    lines = _TABLE.strip().replace("\n        ", " ").splitlines()
    return {name: _Row(kind, tuple(map(_argument, words))) for name, kind, *words in map(str.split, lines)}


def _argument(text: str) -> _Argument:
    name, _, default = text.partition("=")
    value = ast.literal_eval(default) if default else _REQUIRED
    return _Argument(name.lstrip("@*"), name.startswith("@"), "*" in name, value)


def function(name: str) -> Function | None:
    """A function of `keras.ops`, by its name there."""
    if name in _OTHERS:
        return _OTHERS[name]
    row = _rows().get(name)
    return None if row is None else lambda layer, *args, **kwargs: _call(layer, name, row, args, kwargs)


def _call(layer: Layer, name: str, row: _Row, args: Any, kwargs: Any) -> Any:
    bound = _bound(name, row, args, kwargs)
    tensors: list[Any] = []
    settings: dict[str, Any] = {}
    for argument in row.arguments:
        item = bound.get(argument.name, () if argument.rest else _REQUIRED)
        if item is _REQUIRED:
            raise UnsupportedModelError(f"keras.ops.{name} has no {argument.name}")
        if argument.tensor:
            tensors += map(_operand, item) if argument.rest else [_operand(item)]
        elif argument.name == "dtype":
            settings["dtype"] = None if item is None else dtype_name(item)
        elif argument.name != "data_format" or item is not None:
            settings[argument.name] = concrete(item)
    while tensors and tensors[-1] is None:
        tensors.pop()
    return keras(layer, row.kind, *tensors, given=settings)


def _bound(name: str, row: _Row, args: Any, kwargs: Any) -> dict[str, Any]:
    bound = {argument.name: argument.default for argument in row.arguments if argument.default is not _REQUIRED}
    rest = next((index for index, argument in enumerate(row.arguments) if argument.rest), None)
    names = [argument.name for argument in row.arguments]
    positional = names if rest is None else names[:rest]
    if rest is not None and len(args) > rest:
        bound[names[rest]] = args[rest:]
    elif len(args) > len(positional):
        raise UnsupportedModelError(f"keras.ops.{name} has more arguments than it takes")
    bound.update(zip(positional, args, strict=False))
    if not kwargs.keys() <= set(names):
        raise UnsupportedModelError(f"keras.ops.{name} does not take these arguments")
    return {**bound, **kwargs}


def _operand(item: Any) -> Any:
    """A tensor, or numbers."""
    if isinstance(item, Reference):
        raise UnsupportedModelError("an argument is a function or a module")
    if isinstance(item, np.ndarray) and item.dtype.kind == "f":
        return item.astype("float32")
    return item


def _shape(layer: Layer, x: Value) -> tuple[Any, ...]:
    """The sizes of the axes; one that is open is a tensor."""
    if None not in x.shape:
        return x.shape
    sizes = tf(layer, "shape", x)
    return tuple(tf(layer, "__operators__.getitem", sizes, i) if n is None else n for i, n in enumerate(x.shape))


def _absolute(layer: Layer, x: Any) -> Any:
    return keras(layer, "Absolute", x)


def _cast(layer: Layer, x: Any, dtype: Any) -> Any:
    return tf(layer, "cast", x, dtype_name(dtype)) if isinstance(x, Value) else constants.constant(layer, x, dtype)


def _convert(layer: Layer, x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Any:
    return constants.constant(layer, x, dtype)


def _pad(layer: Layer, x: Value, pad_width: Any, mode: str = "constant", constant_values: Any = None) -> Value:
    return keras(layer, "Pad", x, constant_values, pad_width=pad_width, mode=mode)


def _full(value: float) -> Function:
    def full(layer: Layer, shape: Any, dtype: Any = None) -> Any:
        name = "ones" if value else "zeros"
        return tf(layer, name, [shape] if isinstance(shape, int) else shape, dtype_name(dtype or "float32"))

    return full


def _arange(layer: Layer, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    return constants.TENSORFLOW["range"](layer, start, stop, step, dtype)


def _eye(layer: Layer, N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> Any:
    if k:
        raise UnsupportedModelError("keras.ops.eye with k")
    return constants.TENSORFLOW["eye"](layer, N, M, dtype or "float32")


_OTHERS: dict[str, Function] = {
    "abs": _absolute,
    "arange": _arange,
    "broadcast_to": lambda layer, x, shape: tf(layer, "broadcast_to", x, shape),
    "cast": _cast,
    "conj": lambda layer, x: keras(layer, "Conj", x),
    "convert_to_tensor": _convert,
    "dtype": lambda layer, x: attribute(x, "dtype"),
    "eye": _eye,
    "identity": _eye,
    "ndim": lambda layer, x: attribute(x, "ndim"),
    "ones": _full(1),
    "pad": _pad,
    "reshape": lambda layer, x, newshape: tf(layer, "reshape", x, newshape),
    "saturate_cast": lambda layer, x, dtype: keras(layer, "SaturateCast", x, dtype=dtype_name(dtype)),
    "shape": _shape,
    "stop_gradient": lambda layer, variable: keras(layer, "StopGradient", variable),
    "zeros": _full(0),
}
