"""Lambda layers: tensors become nodes of the graph, plain values are computed at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.bytecode import Expression, Node, expression
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph.ir import Value
from kerasgen.layers.functions import modules, python
from kerasgen.layers.functions.constants import tensor_of
from kerasgen.layers.functions.evaluation import Evaluator
from kerasgen.layers.functions.values import Method, Random, Reference
from kerasgen.layers.layer import Layer, UnreadMask
from kerasgen.layers.registry import rule
from kerasgen.readers.model import leaves

_CHOOSES = ("keras.backend.in_train_phase", "keras.backend.in_test_phase")  # one of their arguments is not computed


class Emitter(Evaluator):
    """Evaluates expressions in a layer."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer.defines)
        self.layer = layer

    def value(self, function: Expression, node: Node, operands: list[Any]) -> Any:
        """The value of a node; what depends on a random number is one. Refusals say which part of the text is meant."""
        random = next(leaves(operands, Random), None)
        if random is not None and not (isinstance(operands[0], Reference) and operands[0].path in _CHOOSES):
            return random
        try:
            return super().value(function, node, operands)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(_with(function.part(node), error)) from error

    def value_attribute(self, of: Any, name: str) -> Any:
        """`of.name`, of a value."""
        return python.attribute(of, name)

    def operator(self, symbol: str, operands: Sequence[Any]) -> Any:
        """An operator of Python, of one operand or two."""
        if len(operands) == 1:
            return python.unary(self.layer, symbol, *operands)
        return python.binary(self.layer, symbol, *operands)

    def item(self, of: Any, index: Any) -> Any:
        """`of[index]`."""
        return python.item(self.layer, of, index)

    def unpacked(self, of: Any, number: int, count: int) -> Any:
        """One of `count` elements that a sequence is unpacked to."""
        return python.unpacked(self.layer, of, number, count)

    def call(self, function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """What a function returns."""
        if isinstance(function, Method):
            return function.function(self.layer, *args, **kwargs)
        if not isinstance(function, Reference):
            raise UnsupportedModelError("it calls something that is no function")
        path = f"np.{function.path.rpartition('.')[2]}" if function.dtype else function.path
        called = modules.function(function.path) or modules.function(path)
        if called is None:
            raise UnsupportedModelError(f"{function.path} is no function")
        try:
            return called(self.layer, *map(_dtype, args), **{key: _dtype(item) for key, item in kwargs.items()})
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())[:160]
            raise UnsupportedModelError(f"{function.path} does not take these arguments: {reason}") from error
        except InvalidModelError as error:
            raise UnsupportedModelError(f"{function.path}: {error}") from error


def _dtype(item: Any) -> Any:
    """An argument; a type that stands for a dtype, as `np.float32`, becomes its name."""
    return item.dtype if isinstance(item, Reference) and item.dtype else item


def _with(text: str, error: Exception) -> str:
    """The message of an error after the text that it is about, unless it has that already."""
    return str(error) if text in str(error) else f"{text}: {error}"


@rule("Lambda")
def lambda_(layer: Layer, inputs: Any, mask: Any = None) -> Any:
    """A function of the training script, read from its bytecode, which is not run."""
    try:
        return _applied(layer, inputs, mask)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(f"{error}; or give your own: `custom={{{layer.name!r}: function}}`") from error


def _applied(layer: Layer, inputs: Any, mask: Any) -> Any:
    config = {key: layer.config.get(key, None) for key in ("function", "arguments", "mask")}
    function = expression(config)
    layer.notes.append(function.text)
    try:
        first, *_ = function.inputs
        result = Emitter(layer).evaluate(function, {"mask": mask, "training": False, first: inputs})
        results = _results(layer, inputs, result)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(_with(function.text, error)) from error
    layer.output_mask = None if config["mask"] is None else _mask(layer, config, inputs, mask)
    return results


def _mask(layer: Layer, config: Mapping[str, Any], inputs: Any, mask: Any) -> Any:
    """The mask of the outputs: a Lambda has one only if it has a function for it."""
    start = len(layer.nodes)
    try:
        function = expression(config, "mask")
        result = Emitter(layer).evaluate(function, dict(zip(function.inputs, (inputs, mask), strict=True)))
        if not isinstance(result, (Value, type(None))):
            raise UnsupportedModelError("it makes something else than a tensor")
    except UnsupportedModelError as error:
        del layer.nodes[start:]
        reason = f"it needs the mask of {layer.name}, which cannot be read: {error}"
        return UnreadMask("", (), "bool", reason=reason)
    return result


def _results(layer: Layer, inputs: Any, result: Any) -> Any:
    """What a function returns, as tensors of the graph."""
    random = next(leaves(result, Random), None)
    if random is not None:
        name = next((value.name for value in leaves(inputs, Value)), "")
        raise UnsupportedModelError(
            f"{random.source} draws random numbers, so no two answers agree; export the model up to the layer before: "
            f"`outputs={name!r}`"
        )
    if isinstance(result, (list, tuple)) and result and all(isinstance(item, Value) for item in result):
        return [_own(layer, item) for item in result]
    if isinstance(result, (np.ndarray, int, float)) and not isinstance(result, bool):
        return tensor_of(layer, np.asarray(result, "float32"))
    if not isinstance(result, Value):
        raise UnsupportedModelError("it returns something else than tensors")
    return _own(layer, result)


def _own(layer: Layer, value: Value) -> Value:
    """A value that the layer has made, even where the function returns its input."""
    return value if value.name in layer.values else layer.emit(kernels.identity, value)
