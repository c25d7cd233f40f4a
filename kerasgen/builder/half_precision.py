"""Half precision: the graph holds values in float32 that Keras would hold in float16 or bfloat16."""

from __future__ import annotations

from collections.abc import Iterable

from kerasgen.graph.ir import Value
from kerasgen.layers.layer import Layer


class HalfPrecision:
    """Which values Keras would hold in half precision, and in which dtype."""

    def __init__(self) -> None:
        self._dtypes: dict[str, str] = {}

    def dtype(self, value: Value) -> str:
        """The half-precision dtype of a value in Keras, or ""."""
        return self._dtypes.get(value.name, "float16" if value.dtype == "float16" else "")

    def of_operation(self, tensors: Iterable[Value]) -> str:
        """The half-precision dtype that an operation computes in, or "": the widest of its float inputs decides."""
        dtypes = {self.dtype(value) for value in tensors if "float" in value.dtype}
        return dtypes.pop() if len(dtypes) == 1 else ""

    def record(self, layer: Layer, outputs: Iterable[Value]) -> None:
        """Note that a layer computes in half precision, if it does."""
        if layer.half:
            self._dtypes.update((value.name, layer.half) for value in outputs if value.dtype == "float32")


def autocast(layer: Layer, value: Value) -> Value:
    """A layer's input in the dtype that the layer computes in; for an operation, only float16 is cast."""
    if layer.is_operation:
        return layer.cast(value, "float32") if value.dtype == "float16" else value
    return layer.cast(value, layer.dtype) if "float" in value.dtype else value
