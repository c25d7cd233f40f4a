"""What the rest of the program needs to know about each kernel: one row per kernel.

Passes, the planner, the printer and the summary look facts up here. A new kernel needs a row, or a test fails;
`OPAQUE`, which claims nothing, is always safe.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.graph import macs, syntax, windows
from kerasgen.graph.derivatives import (
    activation,
    arithmetic,
    attention,
    conv,
    image,
    index,
    linalg,
    norm,
    pool,
    recurrent,
    reduce,
    resize,
    shape,
    signal,
    special,
    window,
)
from kerasgen.graph.derivatives.call import stop
from kerasgen.graph.fact_kinds import (
    ACTIVATION,
    APART,
    BY_CELL,
    CELLS,
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    GROUPED,
    MOVES,
    OPAQUE,
    PIECEWISE,
    REARRANGES,
    SATURATES,
    TRANSPOSED,
    UFUNC,
    Facts,
    Kernel,
)
from kerasgen.graph.numpy_facts import NUMPY

FACTS: dict[Kernel, Facts] = {
    # activation
    kernels.celu: replace(ACTIVATION, increasing=True, gradient=activation.celu),
    kernels.elu: replace(ACTIVATION, increasing=True, gradient=activation.elu),
    kernels.erf: replace(CELLS, near_one=True, gradient=special.erf),
    kernels.exponential: replace(ACTIVATION, increasing=True, gradient=activation.exponential),
    kernels.gelu: replace(ACTIVATION, gradient=activation.gelu),
    kernels.general_relu: replace(BY_CELL, gradient=activation.general_relu),
    kernels.glu: replace(APART, gradient=activation.glu, reads=windows.in_place),
    kernels.hard_shrink: replace(PIECEWISE, increasing=True, gradient=activation.shrink),
    kernels.hard_sigmoid: replace(SATURATES, increasing=True, gradient=activation.hard_sigmoid),
    kernels.hard_sigmoid_keras2: replace(SATURATES, increasing=True, gradient=activation.hard_sigmoid_keras2),
    kernels.hard_silu: replace(ACTIVATION, gradient=activation.hard_silu),
    kernels.hard_tanh: replace(SATURATES, increasing=True, gradient=activation.hard_tanh),
    kernels.identity: replace(
        BY_CELL, activation=True, increasing=True, linear=True, moves=True, gradient=activation.identity
    ),
    kernels.leaky_relu: replace(PIECEWISE, increasing=True, gradient=activation.leaky_relu),
    kernels.log_sigmoid: replace(ACTIVATION, increasing=True, gradient=activation.log_sigmoid),
    kernels.log_softmax: replace(ACTIVATION, gradient=activation.log_softmax),
    kernels.mish: replace(ACTIVATION, gradient=activation.mish),
    kernels.prelu: replace(CELLS, gradient=activation.prelu),
    kernels.relu: replace(PIECEWISE, increasing=True, limits=(0.0, np.inf), gradient=activation.relu),
    kernels.relu6: replace(PIECEWISE, increasing=True, limits=(0.0, 6.0), gradient=activation.relu6),
    kernels.selu: replace(ACTIVATION, increasing=True, gradient=activation.selu),
    kernels.sigmoid: replace(SATURATES, increasing=True, gradient=activation.sigmoid),
    kernels.silu: replace(ACTIVATION, gradient=activation.silu),
    kernels.soft_shrink: replace(ACTIVATION, increasing=True, gradient=activation.shrink),
    kernels.softmax: replace(PIECEWISE, saturates=True, gradient=activation.softmax),
    kernels.softmax_by_columns: APART,
    kernels.softplus: replace(ACTIVATION, increasing=True, gradient=activation.softplus),
    kernels.softsign: replace(SATURATES, increasing=True, gradient=activation.softsign),
    kernels.sparse_plus: replace(ACTIVATION, increasing=True, gradient=activation.sparse_plus),
    kernels.sparse_sigmoid: replace(SATURATES, increasing=True, gradient=activation.sparse_sigmoid),
    kernels.sparsemax: replace(SATURATES, gradient=activation.sparsemax),
    kernels.squareplus: replace(ACTIVATION, increasing=True, gradient=activation.squareplus),
    kernels.stop_gradient: replace(MOVES, samples=0, gradient=stop, reads=windows.in_place),
    kernels.tanh: replace(SATURATES, increasing=True, gradient=activation.tanh),
    kernels.tanh_shrink: replace(ACTIVATION, increasing=True, gradient=activation.tanh_shrink),
    kernels.threshold: replace(BY_CELL, gradient=activation.threshold),
    # conv
    kernels.conv1d: CONVOLUTION[1],
    kernels.conv1d_transpose: TRANSPOSED,
    kernels.conv2d: CONVOLUTION[2],
    kernels.conv2d_transpose: TRANSPOSED,
    kernels.conv3d: CONVOLUTION[3],
    kernels.conv3d_transpose: TRANSPOSED,
    kernels.conv_by_matrix: APART,
    kernels.conv_by_taps: APART,
    kernels.dense: replace(DENSE, by_cell=True, reads=windows.in_place),
    kernels.depthwise_conv1d: replace(DEPTHWISE, gradient=conv.depthwise1d),
    kernels.depthwise_conv2d: replace(DEPTHWISE, gradient=conv.depthwise2d),
    kernels.grouped_conv1d: GROUPED,
    kernels.grouped_conv2d: GROUPED,
    kernels.grouped_conv3d: GROUPED,
    # blocks
    kernels.activation_by_rows: APART,
    kernels.blocked_conv: APART,
    kernels.clamp: APART,
    kernels.dense_by_columns: APART,
    kernels.half_unfolded_conv: APART,
    kernels.kn2row_conv: APART,
    kernels.layer_norm_by_rows: APART,
    kernels.pointwise: APART,
    kernels.pool_by_rows: APART,
    kernels.scale_shift: APART,
    kernels.upsample_nearest_by_rows: APART,
    # conv_transpose
    kernels.conv_transpose_by_rows: APART,
    # depthwise
    kernels.tiled_depthwise_conv2d: APART,
    kernels.winograd_depthwise_conv2d: APART,
    # winograd
    kernels.winograd_conv2d: APART,
    kernels.winograd_conv3d: APART,
    # pool
    kernels.adaptive_average_pool: replace(OPAQUE, gradient=pool.adaptive_average_pool),
    kernels.adaptive_max_pool: replace(OPAQUE, gradient=pool.adaptive_max_pool),
    kernels.average_pool: replace(APART, gradient=pool.average_pool, reads=windows.pooling),
    kernels.global_average_pool: replace(APART, gradient=pool.global_average_pool),
    kernels.global_max_pool: replace(APART, gradient=pool.global_max_pool),
    kernels.max_pool: replace(APART, gradient=pool.max_pool, reads=windows.pooling),
    # norm
    kernels.batch_norm: replace(APART, by_cell=True, gradient=norm.batch_norm, reads=windows.in_place),
    kernels.group_norm: replace(OPAQUE, gradient=norm.group_norm),
    kernels.layer_norm: Facts(aliases=False, samples=1, scales=True, gradient=norm.layer_norm, reads=windows.in_place),
    kernels.local_response_norm: replace(OPAQUE, gradient=norm.local_response_norm),
    kernels.normalization: replace(CELLS, gradient=norm.normalization),
    kernels.normalize: replace(CELLS, gradient=norm.normalize),
    kernels.rms_norm: Facts(aliases=True, samples=0, scales=True, gradient=norm.rms_norm, reads=windows.in_place),
    kernels.variance_norm: replace(CELLS, gradient=norm.variance_norm),
    # arithmetic
    kernels.batch_dot: replace(OPAQUE, gradient=linalg.batch_dot),
    kernels.bessel_i0: replace(OPAQUE, gradient=arithmetic.bessel_i0),
    kernels.clip: replace(CELLS, gradient=arithmetic.clip),
    kernels.cross: replace(OPAQUE, gradient=arithmetic.cross),
    kernels.divide_no_nan: replace(CELLS, gradient=arithmetic.divide_no_nan),
    kernels.einsum: Facts(aliases=True, samples=0, macs=macs.einsum, gradient=linalg.einsum),
    kernels.floor_divide: replace(OPAQUE, gradient=stop),
    kernels.next_after: replace(OPAQUE, gradient=arithmetic.pass_on),
    kernels.rsqrt: replace(CELLS, gradient=arithmetic.rsqrt),
    # shape
    kernels.cast: replace(BY_CELL, moves=True, gradient=arithmetic.cast),
    kernels.channels_first: replace(MOVES, inverse=kernels.channels_last, gradient=shape.channels_first),
    kernels.channels_last: replace(MOVES, inverse=kernels.channels_first, gradient=shape.channels_last),
    kernels.concatenate: replace(UFUNC, linear=True, moves=True, gradient=shape.concatenate),
    kernels.crop: replace(MOVES, gradient=window.crop, reads=windows.cropping),
    kernels.depth_to_space: replace(REARRANGES, gradient=image.depth_to_space, reads=windows.blocks_to_cells),
    kernels.flatten: replace(MOVES, reshapes="sample", gradient=shape.reshape),
    kernels.get_item: replace(REARRANGES, linear=True, syntax=syntax.subscript, gradient=shape.get_item),
    kernels.reshape: replace(MOVES, reshapes="sample", gradient=shape.reshape),
    kernels.reshape_all: replace(REARRANGES, reshapes="all", linear=True, gradient=shape.reshape_whole),
    kernels.shape_of: replace(OPAQUE, gradient=stop),
    kernels.space_to_depth: replace(REARRANGES, gradient=image.space_to_depth, reads=windows.cells_to_blocks),
    kernels.split: replace(REARRANGES, linear=True, gradient=shape.split, reads=windows.in_place),
    kernels.stack: replace(REARRANGES, linear=True, gradient=shape.stack),
    kernels.upsample_nearest: replace(REARRANGES, gradient=resize.upsample_nearest, reads=windows.repeating),
    # window
    kernels.pad: replace(MOVES, gradient=window.pad, reads=windows.padding),
    # scatter
    kernels.rearrange: replace(OPAQUE, gradient=index.rearrange),
    kernels.scatter_nd: replace(OPAQUE, gradient=index.scatter_nd),
    kernels.scatter_update: replace(OPAQUE, gradient=index.scatter_update),
    kernels.slice_at: replace(OPAQUE, gradient=index.slice_at),
    kernels.slice_update: replace(OPAQUE, gradient=index.slice_update),
    kernels.unstack: replace(REARRANGES, linear=True, gradient=shape.unstack),
    # recurrent
    kernels.conv_lstm: Facts(
        aliases=True, samples=0, macs=macs.at_each_input, near_one=True, gradient=recurrent.conv_lstm
    ),
    kernels.gru: Facts(aliases=True, samples=0, macs=macs.recurrent, near_one=True, gradient=recurrent.gru),
    kernels.joined_mask: replace(OPAQUE, gradient=stop),
    kernels.lstm: Facts(aliases=True, samples=0, macs=macs.recurrent, near_one=True, gradient=recurrent.lstm),
    kernels.masked: replace(OPAQUE, gradient=recurrent.masked),
    kernels.masked_average: replace(OPAQUE, gradient=recurrent.masked_average),
    kernels.merge_steps: replace(MOVES, gradient=recurrent.merge_steps),
    kernels.simple_rnn: Facts(
        aliases=True, samples=0, macs=macs.recurrent, near_one=True, gradient=recurrent.simple_rnn
    ),
    kernels.split_steps: Facts(aliases=True, samples=2, moves=True, gradient=recurrent.split_steps),
    # attention
    kernels.additive_scores: Facts(
        aliases=True, samples=0, macs=macs.along_last_axis, gradient=attention.additive_scores
    ),
    kernels.attention_by_rows: replace(APART, samples=3),
    kernels.attend: Facts(aliases=True, samples=2, macs=macs.attend, gradient=attention.attend),
    kernels.band_attention_by_rows: replace(APART, samples=3),
    kernels.band_mask: replace(OPAQUE, gradient=stop),
    kernels.dot_scores: Facts(aliases=True, samples=0, macs=macs.along_last_axis, gradient=attention.dot_scores),
    kernels.head_scores: Facts(aliases=True, samples=2, macs=macs.along_last_axis, gradient=attention.head_scores),
    kernels.mask_scores: replace(OPAQUE, gradient=attention.mask_scores),
    kernels.masked_softmax: replace(OPAQUE, gradient=attention.masked_softmax),
    kernels.project: Facts(aliases=True, samples=1, macs=macs.project, gradient=attention.project),
    kernels.project_by_rows: APART,
    # reduce
    kernels.arg_max: replace(OPAQUE, gradient=stop),
    kernels.arg_min: replace(OPAQUE, gradient=stop),
    kernels.count_nonzero: replace(OPAQUE, gradient=stop),
    kernels.histogram: OPAQUE,
    kernels.keep_axis: replace(OPAQUE, gradient=reduce.keep_axis),
    kernels.nan_arg_max: replace(OPAQUE, gradient=stop),
    kernels.nan_arg_min: replace(OPAQUE, gradient=stop),
    kernels.quantile: replace(OPAQUE, gradient=reduce.quantile),
    kernels.signed_zeros: OPAQUE,
    kernels.unique: replace(OPAQUE, gradient=stop),
    kernels.weighted_average: replace(OPAQUE, gradient=reduce.weighted_average),
    # index
    kernels.arg_sort: replace(OPAQUE, gradient=stop),
    kernels.array_split: replace(OPAQUE, gradient=shape.split),
    kernels.dstack: replace(OPAQUE, gradient=shape.dstack),
    kernels.geomspace: replace(OPAQUE, gradient=index.geomspace),
    kernels.meshgrid: replace(OPAQUE, gradient=shape.meshgrid),
    kernels.select: replace(OPAQUE, gradient=index.select),
    kernels.size: replace(OPAQUE, gradient=stop),
    kernels.slogdet: replace(OPAQUE, gradient=linalg.slogdet),
    kernels.trapezoid: replace(OPAQUE, gradient=reduce.trapezoid),
    kernels.unravel_index: replace(OPAQUE, gradient=stop),
    kernels.view: replace(OPAQUE, gradient=stop),
    # linalg
    kernels.cholesky: replace(OPAQUE, gradient=linalg.cholesky),
    kernels.cholesky_inverse: replace(OPAQUE, gradient=linalg.cholesky_inverse),
    kernels.eig: replace(OPAQUE, ambiguous=True, gradient=linalg.eig),
    kernels.logdet: replace(OPAQUE, gradient=linalg.logdet),
    kernels.lstsq: replace(OPAQUE, gradient=linalg.lstsq),
    kernels.lu_factor: replace(OPAQUE, gradient=linalg.lu_factor),
    kernels.pinv: replace(OPAQUE, gradient=linalg.pinv),
    kernels.qr: replace(OPAQUE, ambiguous=True, gradient=linalg.qr),
    kernels.solve: replace(OPAQUE, gradient=linalg.solve),
    kernels.solve_triangular: replace(OPAQUE, gradient=linalg.solve_triangular),
    # resize
    kernels.bilinear_by_rows: APART,
    kernels.crop_to_aspect_ratio: replace(REARRANGES, gradient=resize.crop_to_aspect_ratio),
    kernels.pad_to_aspect_ratio: replace(REARRANGES, gradient=resize.pad_to_aspect_ratio),
    kernels.resize: replace(REARRANGES, gradient=resize.resize),
    kernels.resize_corners: replace(OPAQUE, gradient=resize.resize_corners),
    kernels.upsample: replace(REARRANGES, gradient=resize.upsample, reads=windows.upsampling),
    kernels.upsample_by_rows: APART,
    # image
    kernels.auto_contrast: replace(OPAQUE, cancels=10_000, gradient=image.auto_contrast),
    kernels.center_crop: replace(REARRANGES, gradient=resize.center_crop),
    kernels.equalize_adaptively: replace(OPAQUE, gradient=stop),
    # image_ops
    kernels.extract_patches: replace(OPAQUE, gradient=image.extract_patches),
    kernels.fold: replace(OPAQUE, gradient=image.fold),
    kernels.homography: replace(OPAQUE, gradient=stop),
    kernels.hsv_to_rgb: replace(OPAQUE, gradient=stop),
    kernels.map_coordinates: replace(OPAQUE, gradient=image.map_coordinates),
    kernels.projective_transform: replace(OPAQUE, gradient=image.projective_transform),
    kernels.rgb_to_grayscale: replace(OPAQUE, gradient=image.rgb_to_grayscale),
    kernels.rgb_to_hsv: replace(OPAQUE, gradient=image.rgb_to_hsv),
    kernels.scale_and_translate: replace(OPAQUE, gradient=image.scale_and_translate),
    kernels.sobel_edges: replace(OPAQUE, gradient=image.sobel_edges),
    kernels.ssim: replace(OPAQUE, cancels=10_000, gradient=image.ssim),
    kernels.unfold: replace(OPAQUE, gradient=image.unfolded),
    # signal
    kernels.fft: replace(OPAQUE, gradient=signal.fft),
    kernels.fft2: replace(OPAQUE, gradient=signal.fft2),
    kernels.frames: replace(OPAQUE, gradient=signal.frames),
    kernels.ifft2: replace(OPAQUE, gradient=signal.ifft2),
    kernels.irfft: replace(OPAQUE, gradient=signal.irfft),
    kernels.istft: replace(OPAQUE, gradient=signal.istft),
    kernels.polar: replace(OPAQUE, gradient=signal.polar),
    kernels.rfft: replace(OPAQUE, gradient=signal.rfft),
    kernels.stft: replace(OPAQUE, gradient=signal.stft),
    kernels.view_as_complex: replace(OPAQUE, gradient=signal.view_as_complex),
    kernels.view_as_real: replace(OPAQUE, gradient=signal.view_as_real),
    # spectrogram
    kernels.both_sides: replace(OPAQUE, gradient=signal.both_sides),
    kernels.decibels: replace(OPAQUE, gradient=signal.decibels),
    kernels.mel_spectrum: replace(OPAQUE, gradient=signal.mel_spectrum),
    kernels.power: replace(OPAQUE, gradient=signal.power),
    kernels.spectrum: Facts(aliases=True, samples=0, macs=macs.at_each_output, gradient=signal.spectrum),
    # special
    kernels.cdist: replace(OPAQUE, gradient=special.cdist),
    kernels.erfc: replace(OPAQUE, near_one=True, gradient=special.erfc),
    kernels.erfinv: replace(OPAQUE, near_one=True, gradient=special.erfinv),
    kernels.fake_quant: replace(OPAQUE, gradient=special.fake_quant),
    kernels.logsumexp: replace(OPAQUE, gradient=special.logsumexp),
    kernels.psnr: replace(OPAQUE, gradient=special.psnr),
    # categories
    kernels.binary_crossentropy: replace(OPAQUE, gradient=special.binary_crossentropy),
    kernels.categorical_crossentropy: replace(OPAQUE, gradient=special.categorical_crossentropy),
    kernels.in_top_k: replace(OPAQUE, gradient=stop),
    kernels.one_hot: replace(OPAQUE, gradient=stop),
    kernels.sparse_categorical_crossentropy: replace(OPAQUE, gradient=special.sparse_categorical_crossentropy),
    kernels.top_k: replace(OPAQUE, gradient=special.top_k),
    # hashing
    kernels.crossed_hash: replace(OPAQUE, gradient=stop),
    kernels.farm_hash: replace(OPAQUE, gradient=stop),
    kernels.sip_hash: replace(OPAQUE, gradient=stop),
    # segment
    kernels.segment_max: replace(OPAQUE, gradient=index.segment_extreme),
    kernels.segment_min: replace(OPAQUE, gradient=index.segment_extreme),
    kernels.segment_prod: replace(OPAQUE, gradient=index.segment_prod),
    kernels.segment_sum: replace(OPAQUE, gradient=index.segment_sum),
    # preprocessing
    kernels.inverse_lookup: replace(OPAQUE, gradient=stop),
    kernels.lookup: replace(OPAQUE, gradient=stop),
    # quantized
    kernels.dequantize: replace(OPAQUE, gradient=stop),
    kernels.round_bfloat16: replace(OPAQUE, gradient=arithmetic.pass_on),
    kernels.round_float8: replace(OPAQUE, gradient=arithmetic.pass_on),
    kernels.round_levels: replace(OPAQUE, gradient=arithmetic.pass_on),
    kernels.unpack_int4: replace(OPAQUE, gradient=stop),
    # ctc
    kernels.ctc_beam: replace(OPAQUE, gradient=stop),
    kernels.ctc_greedy: replace(OPAQUE, gradient=stop),
    kernels.ctc_loss: OPAQUE,
    # old
    kernels.cosine: replace(OPAQUE, gradient=special.cosine),
    kernels.locally_connected: replace(OPAQUE, gradient=conv.locally_connected),
    kernels.sample_norm: replace(OPAQUE, gradient=special.sample_norm),
    kernels.srelu: replace(OPAQUE, gradient=special.srelu),
    **NUMPY,
}


def facts(kernel: Kernel) -> Facts:
    """The row of a kernel. A ufunc without one is elementwise and returns a new array; others are opaque."""
    return FACTS.get(kernel) or (UFUNC if isinstance(kernel, np.ufunc) else OPAQUE)


def multiply_adds(node: Any, specs: Mapping[str, Any]) -> int | None:
    """How often a node multiplies and adds for one sample; None where a size is not known."""
    count = facts(node.kernel).macs
    if count is None:
        return 0
    result, *arrays = (specs[name] for name in (node.outputs[0], *node.reads))
    rows = result.rows if result.shape[:1] == (None,) else result.shape[0]
    sizes = (rows, *count(result.shape, *(array.shape for array in arrays), **node.attrs))
    return None if None in sizes else math.prod(size or 0 for size in sizes)


@cache
def setting(kernel: Kernel, name: str) -> inspect.Parameter | None:
    """A parameter of one of our kernels by name; None if it has none, and for NumPy's functions."""
    return inspect.signature(kernel).parameters.get(name) if is_copied(kernel) else None


def is_copied(thing: Any) -> bool:
    """Whether the source of a function or class is copied: it is not built in, NumPy's or the standard library's."""
    package = getattr(thing, "__module__", None) or "builtins"
    copied = inspect.isfunction(thing) or inspect.isclass(thing)
    return copied and package.partition(".")[0] not in ("numpy", *sys.stdlib_module_names)


def is_users(thing: Any) -> bool:
    """Whether a function is the user's own, so that only its name is known."""
    return is_copied(thing) and not thing.__module__.startswith("kerasgen.")
