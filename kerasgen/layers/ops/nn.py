"""Classes, losses and statistics: operations of `keras.ops.nn` and `keras.ops.math`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.config import LARGEST
from kerasgen.layers.dtypes import apply, argument, floats, tensor, wanted_dtype
from kerasgen.layers.layer import Layer
from kerasgen.layers.registry import rule

SPECIAL: dict[str, Callable[..., Any]] = {"Erf": kernels.erf, "Erfc": kernels.erfc, "Erfinv": kernels.erfinv}


def _special(kind: str, kernel: Callable[..., Any]) -> None:
    @rule(f"ops.{kind}")
    def special(layer: Layer, x: Value) -> Value:
        return apply(layer, kernel, x, rule=floats)


for _kind, _kernel in SPECIAL.items():
    _special(_kind, _kernel)


@rule("ops.OneHot")
def one_hot(layer: Layer, x: Value) -> Value:
    """A vector with 1 at the class, 0 elsewhere."""
    axis = layer.config.axis("axis", -1)
    dtype = wanted_dtype(layer, "float32")
    return layer.emit(kernels.one_hot, x, num_classes=layer.config.integer("num_classes"), axis=axis, dtype=dtype)


@rule("ops.MultiHot")
def multi_hot(layer: Layer, inputs: Value) -> Value:
    """A vector with 1 at the classes of a sample, 0 elsewhere."""
    return layer.emit(np.max, one_hot(layer, inputs), axis=1 if len(inputs.shape) > 1 else 0)


@rule("ops.TopK")
def top_k(layer: Layer, x: Value) -> list[Value]:
    """The largest elements and their indices."""
    return layer.emit_many(kernels.top_k, x, k=layer.config.integer("k"))


@rule("ops.InTopK")
def in_top_k(layer: Layer, targets: Any, predictions: Any) -> Value:
    """Whether the target is among the top k predictions."""
    arrays = argument(layer, "targets", targets), argument(layer, "predictions", predictions)
    return layer.emit(kernels.in_top_k, *arrays, k=layer.config.integer("k"))


@rule("ops.Logsumexp")
def logsumexp(layer: Layer, x: Value) -> Value:
    """The logarithm of a sum of exponentials."""
    settings = {"axis": layer.config.axis(), "keepdims": layer.config.flag("keepdims", False)}
    return apply(layer, kernels.logsumexp, x, rule=floats, **settings)


@rule("ops.CDist")
def cdist(layer: Layer, x: Any, y: Any) -> Value:
    """Distances between points."""
    return apply(layer, kernels.cdist, x, y, rule=floats)


@rule("ops.Moments")
def moments(layer: Layer, x: Value) -> list[Value]:
    """Mean and variance."""
    settings: dict[str, Any] = {"axis": layer.config.axes("axes")}
    if layer.config.flag("keepdims", False):
        settings["keepdims"] = True
    return [layer.emit(np.mean, x, **settings), layer.emit(np.var, x, **settings)]


@rule("ops.Normalize")
def normalize(layer: Layer, x: Value) -> Value:
    """Divided by its norm."""
    axis, order = layer.config.axis("axis", -1), layer.config.integer("order", 2)
    epsilon = 1e-7 if layer.config.get("epsilon", None) is None else layer.config.number("epsilon")
    x = layer.cast(x, floats(x))
    if order != 2 and (isinstance(axis, tuple) and len(axis) == 2):
        norm = layer.emit(np.linalg.norm, x, ord=order, axis=axis, keepdims=True)  # of matrices
        return layer.emit(np.divide, x, layer.emit(np.maximum, norm, epsilon))
    return layer.emit(kernels.normalize, x, axis=axis, order=order, epsilon=epsilon)


@rule("ops.PSNR")
def psnr(layer: Layer, x1: Any, x2: Any) -> Value:
    """The peak signal-to-noise ratio of two arrays, in decibels."""
    return apply(layer, kernels.psnr, x1, x2, rule=floats, max_val=layer.config.number("max_val"))


@rule("ops.BinaryCrossentropy")
def binary_crossentropy(layer: Layer, target: Any, output: Any) -> Value:
    """The loss of a probability, or of a logit.

    For the output of a sigmoid or a softmax, Keras uses the logit: the loss is the same, but not limited to 16 for
    probabilities near 0.
    """
    settings = {"from_logits": layer.config.flag("from_logits", False)}
    return apply(layer, kernels.binary_crossentropy, target, output, rule=floats, **settings)


@rule("ops.CategoricalCrossentropy")
def categorical_crossentropy(layer: Layer, target: Any, output: Any) -> Value:
    """The loss of probabilities, or of logits, for a target distribution."""
    settings = {"from_logits": layer.config.flag("from_logits", False), "axis": layer.config.axis("axis", -1)}
    return apply(layer, kernels.categorical_crossentropy, target, output, rule=floats, **settings)


@rule("ops.SparseCategoricalCrossentropy")
def sparse_categorical_crossentropy(layer: Layer, target: Any, output: Any) -> Value:
    """The loss of probabilities, or of logits, for a target class."""
    target, output = argument(layer, "target", target), argument(layer, "output", output)
    if len(target.shape) == len(output.shape):
        target = layer.emit(np.squeeze, target, axis=-1)
    from_logits = layer.config.flag("from_logits", False)
    return layer.emit(kernels.sparse_categorical_crossentropy, target, output, from_logits=from_logits)


@rule("ops.CTCLoss")
def ctc_loss(layer: Layer, target: Any, output: Any, target_length: Any, output_length: Any) -> Value:
    """The loss of a sequence of logits for a sequence of labels."""
    arrays = {"target": target, "output": output, "target_length": target_length, "output_length": output_length}
    operands = [argument(layer, name, x) for name, x in arrays.items()]
    return layer.emit(kernels.ctc_loss, *operands, mask_index=layer.config.integer("mask_index", 0, least=-LARGEST))


@rule("ops.CTCDecode")
def ctc_decode(layer: Layer, inputs: Any, sequence_lengths: Any) -> list[Value]:
    """The sequence of labels from a sequence of logits."""
    inputs, lengths = argument(layer, "inputs", inputs), argument(layer, "lengths", sequence_lengths)
    config = layer.config
    blank = None if config.get("mask_index", 0) is None else config.integer("mask_index", 0, least=-LARGEST)
    if config.choice("strategy", ("greedy", "beam_search"), "greedy") == "greedy":
        settings: dict[str, Any] = {"merge_repeated": config.flag("merge_repeated", True)}
        return layer.emit_many(
            kernels.ctc_greedy, inputs, lengths, mask_index=-1 if blank is None else blank, **settings
        )
    if blank is not None and blank < 0:
        raise UnsupportedModelError(
            "Keras's beam search takes a different class for the blank if its index is negative"
        )
    settings = {"beam_width": config.integer("beam_width", 100), "top_paths": config.integer("top_paths", 1)}
    logs = layer.emit(kernels.log_softmax, inputs)
    return layer.emit_many(kernels.ctc_beam, logs, lengths, mask_index=blank, **settings)


@rule("ops.FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVars")
def fake_quant(layer: Layer, inputs: Value, min_vals: Any, max_vals: Any) -> Value:
    """Rounded to the levels of a quantised type between two bounds."""
    axis = layer.config.axis()
    return layer.emit(
        kernels.fake_quant,
        inputs,
        tensor(min_vals),
        tensor(max_vals),
        num_bits=layer.config.integer("num_bits", 8),
        narrow_range=layer.config.flag("narrow_range", False),
        axis=axis,
    )
