"""Quantised layers: Keras quantises the random weights itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers as L
from keras.quantizers import AbsMaxQuantizer, AWQConfig, GPTQConfig, Int4QuantizationConfig, Int8QuantizationConfig
from keras.src.quantizers.awq import AWQ
from keras.src.quantizers.gptq import GPTQ

from cases.table import IMAGE, STEPS, VECTOR, row

Finish = Callable[[Any], None]


def _quantize(how: Any, scales: tuple[float, float] = (0.005, 0.003)) -> Finish:
    """By `model.quantize`; a float8 layer gets these scales for its inputs and its kernel, as training would."""

    def finish(model: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of layers that cannot be quantised
            model.quantize(**{"mode" if isinstance(how, str) else "config": how})
        for variable in model.weights:
            name = variable.path.split("/")[-1]
            if how == "float8" and name in ("inputs_scale", "kernel_scale"):
                variable.assign(scales[name == "kernel_scale"])

    return finish


def _calibrate(config: Any) -> Finish:
    """By GPTQ or AWQ, on random inputs."""

    def finish(model: Any) -> None:
        random = np.random.RandomState(5)
        for layer in model.layers:
            if not layer.weights:
                continue
            layer.quantize(config.mode, config=config)
            tool = GPTQ(layer, config) if config.mode == "gptq" else AWQ(layer, config)
            inputs = random.standard_normal((64, tool.rows)).astype("float32")
            if config.mode == "gptq":
                tool.update_hessian_with_batch(inputs)
                tool.quantize_and_correct_layer()
            else:
                tool.update_activation_magnitudes(inputs)
                tool.quantize_layer()
            # Keras 3.15 leaves the zero points out of `.keras` files, which it cannot load then (keras#23321).
            layer._get_kernel_with_merged_lora = lambda layer=layer: (None, None, layer.kernel_zero)

    return finish


def _gptq(**settings: Any) -> Finish:
    return _calibrate(GPTQConfig(dataset=None, tokenizer=None, **settings))


def _awq(**settings: Any) -> Finish:
    return _calibrate(AWQConfig(dataset=None, tokenizer=None, num_grid_points=4, **settings))


LAYERS: dict[str, tuple[Any, Callable[[], Any]]] = {
    "dense": (STEPS, lambda: L.Dense(5, activation="relu")),
    "dense of vector": (VECTOR, lambda: L.Dense(4, use_bias=False)),
    "einsum_dense": (STEPS, lambda: L.EinsumDense("abc,cd->abd", (11, 5), bias_axes="d", activation="tanh")),
    "einsum_dense heads": (STEPS, lambda: L.EinsumDense("abc,cde->abde", (11, 2, 3), bias_axes="de")),
    "einsum_dense two axes": (IMAGE, lambda: L.EinsumDense("abcd,cde->abe", (9, 4), bias_axes="e")),
}
MORE = {
    "einsum_dense turned": (STEPS, lambda: L.EinsumDense("abc,cde->aedb", (4, 2, 11), bias_axes="e")),
    "einsum_dense kept axis": (STEPS, lambda: L.EinsumDense("abc,bcd->abd", (11, 4), bias_axes="bd")),
}
# Keras quantises no weights of an equation with "..." (keras/src/layers/core/einsum_dense.py, 3.15: a TypeError).
ELIDED = {"einsum_dense ellipsis": ((9, 9, 3), lambda: L.EinsumDense("...x,xy->...y", 5, bias_axes="y"))}
INT4_BY_CHANNEL = Int4QuantizationConfig(block_size=None)
WAYS: dict[str, tuple[Finish, dict[str, Any]]] = {
    "int8": (_quantize("int8"), {**LAYERS, **MORE}),
    "int8 weights only": (_quantize(Int8QuantizationConfig(activation_quantizer=None)), LAYERS),
    "int8 narrow": (
        _quantize(Int8QuantizationConfig(activation_quantizer=AbsMaxQuantizer(value_range=(-15, 12), epsilon=0.1))),
        LAYERS,
    ),
    "int4": (_quantize("int4"), {**LAYERS, **MORE}),
    "int4 blocks": (_quantize(Int4QuantizationConfig(block_size=2)), LAYERS),
    "int4 by channel": (_quantize(INT4_BY_CHANNEL), {**LAYERS, **MORE}),
    "int4 rounded inputs": (
        _quantize(Int4QuantizationConfig(activation_quantizer=AbsMaxQuantizer(), block_size=-1)),
        LAYERS,
    ),
    "float8": (_quantize("float8"), {**LAYERS, **MORE, **ELIDED}),
    "gptq": (_gptq(group_size=2), LAYERS),
    "gptq ordered": (_gptq(group_size=2, activation_order=True), LAYERS),
    "gptq 8 bits": (_gptq(weight_bits=8, group_size=-1), LAYERS),
    "gptq 3 bits": (_gptq(weight_bits=3, group_size=4, symmetric=True), LAYERS),
    "awq": (_awq(group_size=2), LAYERS),
    "awq ungrouped": (_awq(group_size=-1), LAYERS),
}
for _way, (_finish, _layers) in WAYS.items():
    for _name, (_shape, _make) in _layers.items():
        row(f"{_way} {_name}", _shape, lambda x, make=_make: make()(x), finish=_finish)


# whole models
def _stack(x: Any) -> Any:
    x = L.Dense(6, activation="relu")(L.Conv1D(5, 3)(x))
    return L.Dense(3)(L.GlobalAveragePooling1D()(x))


for _way in ("int8", "int4", "float8"):
    row(f"{_way} stack", STEPS, _stack, finish=_quantize(_way))
row(
    "int8 nested",
    STEPS,
    lambda x: keras.Sequential([keras.Input(STEPS), L.Dense(4), L.Dense(3)])(x),
    finish=_quantize("int8"),
)
row(
    "int8 mixed precision",
    STEPS,
    lambda x: L.Dense(5, dtype="mixed_bfloat16")(x),
    finish=_quantize("int8"),
    tolerance=2e-2,  # Keras computes with 8 significant bits
)


# embeddings
def _reversed(**settings: Any) -> Callable[[Any], Any]:
    def make(x: Any) -> Any:
        layer = L.ReversibleEmbedding(9, 5, **settings)
        return layer(L.Dense(5)(layer(x)), reverse=True)

    return make


INT4_PAIRS = Int4QuantizationConfig(block_size=2)
for _way, _how in (
    ("int8", "int8"),
    ("int8 weights only", Int8QuantizationConfig(activation_quantizer=None)),
    ("int4", "int4"),
    ("int4 blocks", INT4_PAIRS),
    ("int4 by channel", INT4_BY_CHANNEL),
):
    for _name, _make in (
        ("embedding", lambda x: L.Embedding(9, 5)(x)),
        ("embedding masked", lambda x: L.LSTM(3)(L.Embedding(9, 4, mask_zero=True)(x))),
        ("reversible_embedding", _reversed()),
        ("reversible_embedding untied", _reversed(tie_weights=False, logit_soft_cap=2.0)),
    ):
        row(f"{_way} {_name}", (6,), _make, dtype="int32", finish=_quantize(_how))
