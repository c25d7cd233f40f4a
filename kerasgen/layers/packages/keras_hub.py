"""KerasHub: the parts of transformers in the package `keras-hub`, which was `keras-nlp`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.keras.attention import multi_head_attention
from kerasgen.layers.layer import Layer
from kerasgen.layers.packages.parts import apply, sort_weights, steps, with_masks
from kerasgen.layers.registry import package_rule

REGISTERED = "keras_hub keras_nlp"
ENCODER = (
    *("_self_attention_layer", "_self_attention_layer_norm", "_feedforward_layer_norm"),
    *("_feedforward_intermediate_dense", "_feedforward_output_dense"),
)
DECODER = (
    *("_self_attention_layer", "_self_attention_layer_norm", "_cross_attention_layer", "_cross_attention_layer_norm"),
    *("_feedforward_intermediate_dense", "_feedforward_output_dense", "_feedforward_layer_norm"),
)


@package_rule("TokenAndPositionEmbedding", registered=REGISTERED)
def token_and_position_embedding(layer: Layer, inputs: Value, start_index: int = 0) -> Value:
    """An embedding of each token plus one of its place."""
    config = layer.config
    width, longest, length = config.integer("embedding_dim"), config.integer("sequence_length"), steps(inputs)
    table = {"input_dim": config.integer("vocabulary_size"), "output_dim": width}
    tied = config.flag("tie_weights", True)
    tokens = apply(layer, "token_embedding", "ReversibleEmbedding", inputs, {**table, "tie_weights": tied})
    places = layer.part("position_embedding").weight("embeddings", (longest, width))
    if not 0 <= start_index <= longest - length:
        raise InvalidModelError(f"its inputs have {length} steps, its table {longest}")
    places = layer.emit(kernels.get_item, places, index=(slice(start_index, start_index + length),))
    layer.output_mask = layer.emit(np.not_equal, inputs, 0) if config.flag("mask_zero", False) else None
    return layer.emit(np.add, tokens, places)


@package_rule("SinePositionEncoding", registered=REGISTERED, keys="max_wavelength")
def sine_position_encoding(layer: Layer, inputs: Value, start_index: int = 0) -> Value:
    """Sines and cosines of each place, whatever the inputs are."""
    width, places = steps(inputs, -1), np.arange(steps(inputs, -2)) + start_index
    channels = np.arange(width)
    frequencies = (1 / layer.config.number("max_wavelength", 10000)) ** (2 * (channels // 2) / width)
    angles = places[:, np.newaxis] * frequencies
    table = np.where(channels % 2, np.cos(angles), np.sin(angles)).astype(layer.dtype)
    return layer.emit(np.add, layer.emit(np.zeros_like, inputs), table)


@package_rule(
    "RotaryEmbedding",
    registered=REGISTERED,
    keys="max_wavelength scaling_factor sequence_axis feature_axis",
    optional="rope_type beta_fast beta_slow original_max_position_embeddings truncate denominator_dim",
)
def rotary_embedding(layer: Layer, inputs: Value, start_index: int = 0) -> Value:
    """Pairs of features, turned by an angle that grows with the place."""
    config, rank = layer.config, len(inputs.shape)
    sequence, features = (config.one_axis(f"{name}_axis", at) % rank for name, at in (("sequence", 1), ("feature", -1)))
    if config.choice("rope_type", ("linear", "dynamic", "yarn"), "linear") != "linear":
        raise UnsupportedModelError("its frequencies are scaled in another way than linearly")
    width, places = steps(inputs, features), np.arange(steps(inputs, sequence), dtype=np.float32) + start_index
    if width % 2 or sequence == features:
        raise InvalidModelError(f"it turns pairs of {width} features")
    total = config.integer("denominator_dim") if config.get("denominator_dim", None) is not None else width
    exponents = np.arange(0, width, 2, dtype=np.float32) / np.float32(total)
    inverse = np.float32(config.number("max_wavelength", 10000)) ** -exponents
    angles = places[:, np.newaxis] * (inverse / np.float32(config.number("scaling_factor", 1.0)))
    angles = np.concatenate([angles, angles], axis=1)
    shape = [1] * rank
    shape[sequence], shape[features] = angles.shape
    angles = (angles if sequence < features else angles.T).reshape(shape)
    low, high = layer.emit_many(kernels.split, inputs, indices_or_sections=2, axis=features)
    turned = layer.emit(kernels.concatenate, layer.emit(np.negative, high), low, axis=features)
    cosine = layer.emit(np.multiply, inputs, np.cos(angles).astype(layer.dtype))
    return layer.emit(np.add, cosine, layer.emit(np.multiply, turned, np.sin(angles).astype(layer.dtype)))


@package_rule("CachedMultiHeadAttention", registered=REGISTERED)
def cached_multi_head_attention(
    layer: Layer,
    query: Value,
    value: Value,
    key: Any = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
) -> list[Value]:
    """Multi-head attention that knows no masks but the one that it is given; its cache is for generation only."""
    settings = {"attention_mask": attention_mask, "return_attention_scores": return_attention_scores}
    outputs: list[Value] = multi_head_attention(with_masks(layer), query, value, key, **settings)
    return outputs


@package_rule("TransformerEncoder", registered=REGISTERED)
def transformer_encoder(
    layer: Layer,
    inputs: Value,
    padding_mask: Any = None,
    attention_mask: Any = None,
    return_attention_scores: bool = False,
) -> list[Value]:
    """Attention of a sequence to itself, then two dense layers, each around a shortcut."""
    implicit = layer.masks.get("inputs")
    block = _Block(layer, inputs)
    mask = _merged(layer, implicit if padding_mask is None else padding_mask, attention_mask)
    scores: list[Value] = []

    def attend(x: Value) -> Value:
        masked = with_masks(layer, query=implicit, value=implicit)  # normalisation hands on the mask of the inputs
        result = block.attention(masked, "self_attention_layer", x, x, mask, scores=return_attention_scores)
        outputs: list[Value] = result if isinstance(result, list) else [result]
        scores.extend(outputs[1:])
        return outputs[0]

    x = block.around("self_attention_layer_norm", inputs, attend)
    x = block.around("feedforward_layer_norm", x, block.feedforward)
    sort_weights(layer, ENCODER)
    layer.output_mask = implicit
    return [x, *scores]


@package_rule("TransformerDecoder", registered=REGISTERED)
def transformer_decoder(
    layer: Layer,
    decoder_sequence: Value,
    encoder_sequence: Any = None,
    decoder_padding_mask: Any = None,
    decoder_attention_mask: Any = None,
    encoder_padding_mask: Any = None,
    encoder_attention_mask: Any = None,
    use_causal_mask: bool = True,
) -> Value:
    """Attention to the steps before, and perhaps to another sequence, then two dense layers, around shortcuts."""
    implicit = layer.masks.get("decoder_sequence")
    block = _Block(layer, decoder_sequence)
    own = _merged(layer, implicit if decoder_padding_mask is None else decoder_padding_mask, decoder_attention_mask)
    bare = with_masks(layer)

    def attend(x: Value) -> Value:
        attended: Value = block.attention(bare, "self_attention_layer", x, x, own, causal=use_causal_mask)
        return attended

    x = block.around("self_attention_layer_norm", decoder_sequence, attend)
    if encoder_sequence is not None:
        padding = encoder_padding_mask
        padding = layer.masks.get("encoder_sequence") if padding is None else padding
        other = _merged(layer, padding, encoder_attention_mask)

        def attend_other(x: Value) -> Value:
            attended: Value = block.attention(bare, "cross_attention_layer", x, encoder_sequence, other)
            return attended

        x = block.around("cross_attention_layer_norm", x, attend_other)
    result = block.around("feedforward_layer_norm", x, block.feedforward)
    sort_weights(layer, DECODER)
    layer.output_mask = implicit
    return result


class _Block:
    """What an encoder and a decoder are made of. Attributes of parts begin with `_`."""

    def __init__(self, layer: Layer, x: Value) -> None:
        self.layer = layer
        self.width, self.heads = steps(x, -1), layer.config.integer("num_heads")
        self.first = layer.config.flag("normalize_first", False)

    def around(self, norm: str, x: Value, change: Callable[[Value], Value]) -> Value:
        """A shortcut around a part, normalised before the part or after the sum."""
        y = change(self._normalized(norm, x) if self.first else x)
        y = self.layer.emit(np.add, y, x)
        return y if self.first else self._normalized(norm, y)

    def attention(
        self,
        layer: Layer,
        attribute: str,
        query: Value,
        value: Value,
        mask: Value | None,
        *,
        causal: bool = False,
        scores: bool = False,
    ) -> Any:
        """Attention of several heads."""
        config = {
            "num_heads": self.heads,
            "key_dim": self.width // self.heads,
            "dropout": layer.config.number("dropout", 0),
        }
        settings = {"attention_mask": mask, "use_causal_mask": causal, "return_attention_scores": scores}
        return apply(layer, f"_{attribute}", "MultiHeadAttention", query, config, value=value, **settings)

    def feedforward(self, x: Value) -> Value:
        """Two dense layers."""
        wide = {"units": self.layer.config.integer("intermediate_dim")}
        wide["activation"] = self.layer.config.get("activation", "relu")
        x = apply(self.layer, "_feedforward_intermediate_dense", "Dense", x, wide)
        result: Value = apply(self.layer, "_feedforward_output_dense", "Dense", x, {"units": self.width})
        return result

    def _normalized(self, norm: str, x: Value) -> Value:
        config = {"epsilon": self.layer.config.number("layer_norm_epsilon", 1e-5)}
        result: Value = apply(self.layer, f"_{norm}", "LayerNormalization", x, config)
        return result


def _merged(layer: Layer, padding: Value | None, mask: Value | None) -> Value | None:
    """Where a sequence may be looked at: the steps that are no padding, and what a mask allows."""
    if padding is None:
        return mask
    rows = layer.emit(np.expand_dims, layer.cast(padding, "bool"), axis=1)
    return rows if mask is None else layer.emit(np.logical_and, rows, layer.cast(mask, "bool"))
