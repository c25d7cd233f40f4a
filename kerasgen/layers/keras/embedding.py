"""Sequences: embeddings, quantised or not, and their reverse."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer
from kerasgen.layers.quantized import Scheme, rounded, scheme_of
from kerasgen.layers.registry import rule


@dataclass(frozen=True)
class _Table:
    """A matrix as stored: floats, or integers with their scales; `size` is the length of the packed axis, unpacked."""

    values: Value
    scale: Value | None = None
    zero: Value | None = None
    groups: Value | None = None
    size: int | None = None

    def rows(self, layer: Layer, numbers: Value) -> Value:
        """The rows with these numbers."""

        def pick(x: Value | None) -> Value | None:
            return None if x is None else layer.emit(np.take, x, numbers, axis=0)

        values = layer.emit(np.take, self.values, numbers, axis=0)
        return replace(self, values=values, scale=pick(self.scale), zero=pick(self.zero)).restored(layer)

    def restored(self, layer: Layer, axis: int = -1) -> Value:
        """The matrix as floats; there is a scale for each place along `axis`, or for each group."""
        values = self.values
        if self.size is not None:
            values = layer.emit(kernels.unpack_int4, values, size=self.size, axis=axis)
        if self.scale is None:
            return values
        if self.zero is not None:
            return layer.emit(kernels.dequantize, values, self.scale, self.zero, self.groups, axis=axis)
        scale = layer.emit(kernels.get_item, self.scale, index=(..., None)) if axis == -1 else self.scale
        return layer.emit(np.divide, values, scale)


def _sizes(layer: Layer) -> tuple[int, int]:
    return layer.config.integer("input_dim"), layer.config.integer("output_dim")


def _scheme(layer: Layer) -> Scheme | None:
    scheme = scheme_of(layer)
    if scheme is not None and scheme.mode not in ("int8", "int4"):
        raise InvalidModelError(f"an embedding cannot be quantised as {scheme.mode}")
    return scheme


def _table(layer: Layer) -> _Table:
    rows, width = _sizes(layer)
    scheme = _scheme(layer)
    if scheme is None:
        return _Table(layer.weight("embeddings", (rows, width)))
    packed = scheme.mode == "int4"
    shape = (rows, (width + 1) // 2 if packed else width)
    values = layer.weight("embeddings", shape, trainable=False, dtype="int8")
    if not packed or scheme.block is None:
        scale = layer.weight("embeddings_scale", (rows,), trainable=False)
        return _Table(values, scale, size=width if packed else None)
    blocks = (rows, scheme.groups(width))
    scale = layer.weight("embeddings_scale", blocks, trainable=False)
    zero = layer.weight("embeddings_zero", blocks, trainable=False, dtype="int8")
    return _Table(values, scale, zero, layer.weight("g_idx", (width,), trainable=False), width)


def _reverse_table(layer: Layer, groups: Value | None) -> _Table:
    """The separate matrix of the reverse if the weights are not tied: the table's shape, transposed."""
    rows, width = _sizes(layer)
    scheme = _scheme(layer)
    if scheme is None:
        return _Table(layer.weight("reverse_embeddings", (width, rows)))
    packed = scheme.mode == "int4"
    shape = ((width + 1) // 2 if packed else width, rows)
    values = layer.weight("reverse_embeddings", shape, trainable=False, dtype="int8")
    if not packed or scheme.block is None:
        scale = layer.weight("reverse_embeddings_scale", (rows,), trainable=False)
        return _Table(values, scale, size=width if packed else None)
    blocks = (scheme.groups(width), rows)
    scale = layer.weight("reverse_embeddings_scale", blocks, trainable=False)
    return _Table(values, scale, layer.weight("reverse_embeddings_zero", blocks, trainable=False), groups, width)


def _lookup(layer: Layer, x: Value, table: _Table) -> Value:
    if layer.config.flag("mask_zero", False):
        layer.output_mask = layer.emit(np.not_equal, x, 0)
    return table.rows(layer, layer.cast(x, "int32") if "int" not in x.dtype else x)


@rule("Embedding")
def embedding(layer: Layer, inputs: Value) -> Value:
    """A row of the table for each index."""
    return _lookup(layer, inputs, _table(layer))


@rule("ReversibleEmbedding")
def reversible_embedding(layer: Layer, inputs: Value, reverse: bool = False) -> Value:
    """An embedding, or its reverse: products of a vector with each row, of the same or a separate table."""
    table = _table(layer)
    own = None if layer.config.flag("tie_weights", True) else _reverse_table(layer, table.groups)
    if not reverse:
        return _lookup(layer, inputs, table)
    if _scheme(layer) is not None:
        inputs = rounded(layer, inputs, None, (-127, 127))
    matrix = layer.emit(np.transpose, table.restored(layer)) if own is None else own.restored(layer, axis=0)
    y = layer.emit(np.matmul, inputs, matrix)
    if layer.config.get("logit_soft_cap", None) is not None:
        cap = layer.config.number("logit_soft_cap")
        y = layer.emit(np.multiply, layer.emit(np.tanh, layer.emit(np.divide, y, cap)), cap)
    return y
