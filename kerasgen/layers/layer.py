"""The interface for rules: one call of one layer, with methods to declare weights and to emit nodes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kerasgen import kernels
from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.graph import infer
from kerasgen.graph.ir import Node, Shape, Value
from kerasgen.layers.config import Config
from kerasgen.layers.registry import find_rule
from kerasgen.readers.model import OPERATION, LayerPath, LayerSpec, Variable

HALF = ("float16", "bfloat16")
KEEP = object()  # the layer's kind decides whether the output keeps the input's mask


@dataclass(frozen=True)
class UnreadMask(Value):
    """A mask that is in the file, but cannot be computed; a layer that needs it is refused for this reason."""

    reason: str = ""


class Layer:
    """One call of a layer while its rule runs.

    `ident` is the prefix of its weights' names, `output` that of this call's values. `dtype` is the dtype that it
    computes in: float32 for half precision, since NumPy is faster and more accurate in it.
    """

    def __init__(
        self,
        spec: LayerSpec,
        path: LayerPath,
        ident: str,
        *,
        output: str,
        keras_major: int,
        frozen: bool,
        inline: Callable[..., list[Value]],
        states: Mapping[str, Value],
        defines: Mapping[str, Any] | None = None,
    ) -> None:
        self.kind = spec.kind
        self.path = path
        self.ident = ident
        self.output = output
        self.keras_major = keras_major
        self.frozen = frozen
        self.config = Config(spec.config)
        self.nodes: list[Node] = []
        self.variables: dict[str, tuple[Variable, Value]] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.values: dict[str, Value] = {}  # the nodes' outputs
        self.final: dict[str, str] = {}  # their names in the graph, once the builder has adopted them
        self.output_mask: Any = KEEP  # if a rule sets it: the first output's mask or None, or a list with one for each
        self.recalled: dict[str, Value] = {}  # states of the previous call that were read
        self.remembered: dict[str, Value] = {}  # states for the next call
        self.inner_mask: Any = KEEP  # that of the wrapped layer, once it is applied
        self.defines = defines or {}  # the user's values for globals of the training script, by name
        self.notes: list[str] = []  # what it computes, if its kind does not say it: printable ASCII, a line each
        self.masks: Mapping[str, Any] = {}  # the implicit masks of the arguments' tensors, by the argument's name
        self.strips_masks = False  # whether later layers no longer see the masks of these tensors
        self._inline = inline
        self._states = states
        self._prefix = ""
        policy = str(spec.config.get("dtype") or "float32").split("_from_")[-1].removeprefix("mixed_")
        self.half = policy if policy in HALF else ""
        self.dtype = "float64" if policy == "float64" else "float32"

    @property
    def name(self) -> str:
        """The layer's name, prefixed by the names of the enclosing models."""
        return "/".join(self.path)

    def renamed(self, value: Value) -> Value:
        """A value under its name in the graph, once the builder has adopted it."""
        return replace(value, name=self.final.get(value.name, value.name))

    @property
    def is_operation(self) -> bool:
        """Whether it is an operation, not a layer."""
        return self.kind.startswith(OPERATION)

    def weight(self, name: str, shape: Shape, *, trainable: bool = True, dtype: str = "", state: bool = False) -> Value:
        """Declare a weight, in the order in which Keras creates them. `name` is Keras's.

        Raises UnsupportedModelError if the shape depends on a size that is known only at run time.
        """
        if None in shape:
            raise UnsupportedModelError(f"the shape of {name} depends on an input size that must be known: {shape}")
        name = self._prefix + name
        key = f"{self.ident}/{name}"
        sizes = tuple(int(n) for n in shape if n is not None)
        value = Value(key, sizes, dtype or self.dtype)
        self.variables[key] = (Variable(key, self.path, name, sizes, trainable, self.frozen, state), value)
        return value

    def constant(self, name: str, array: Any) -> Value:
        """An array from the config, not from the weights."""
        key = f"{self.ident}/{name}"
        while key in self.constants:
            key += "_"
        array = np.asarray(array)
        self.constants[key] = array.astype(array.dtype.newbyteorder("="), copy=False)
        return Value(key, self.constants[key].shape, self.constants[key].dtype.name)

    def emit(self, kernel: Callable[..., Any], *inputs: Any, **attrs: Any) -> Value:
        """Add the node `kernel(*inputs, **attrs)` with one output. Inputs are values, constants or literals."""
        (value,) = self.emit_many(kernel, *inputs, **attrs)
        return value

    def emit_many(self, kernel: Callable[..., Any], *inputs: Any, **attrs: Any) -> list[Value]:
        """Add a node with a list of outputs."""
        operands = [self._operand(item) for item in inputs]
        try:
            outputs = infer.infer(kernel, operands, attrs)
        except (ValueError, IndexError, TypeError, ArithmeticError, MemoryError) as error:
            shapes = ", ".join(str(v.shape) for v in operands if isinstance(v, Value))
            reason = f"{kernel.__name__} cannot take {shapes}: {' '.join(str(error).split())[:200]}"
            if any(isinstance(v, Value) and None in v.shape[1:] for v in operands):
                raise UnsupportedModelError(f"a size must be known: {reason}") from error
            raise InvalidModelError(reason) from error
        arrays = [v for v in operands if isinstance(v, Value)]
        batched = all(v.batched for v in arrays)
        values = [
            Value(f"%{len(self.values)}.{i}", shape, dtype, batched=batched, rows=infer.rows(kernel, arrays, shape))
            for i, (shape, dtype) in enumerate(outputs)
        ]
        self.values.update((value.name, value) for value in values)
        names = tuple(v.name if isinstance(v, Value) else v for v in operands)
        self.nodes.append(Node(tuple(v.name for v in values), kernel, names, attrs, self.name))
        return values

    def cast(self, x: Value, dtype: str) -> Value:
        """`x` in this dtype; `x` itself if it already has it."""
        return x if x.dtype == dtype else self.emit(kernels.cast, x, dtype=dtype)

    def recall(self, name: str, shape: Shape) -> Value:
        """A state of a stateful layer after its previous call, possibly in the same `predict`."""
        key = f"{self.ident}/{self._prefix}{name}"
        return self._states.get(key) or self.recalled.setdefault(key, Value(f"%{key}", shape, self.dtype))

    def remember(self, name: str, state: Value) -> None:
        """Keep a state for the next call."""
        self.remembered[f"{self.ident}/{self._prefix}{name}"] = state

    def prefixed(self, attribute: str) -> str:
        """The attribute path of a part, from the outermost layer."""
        return f"{self._prefix}{attribute}"

    def part(self, attribute: str) -> Layer:
        """A part of this layer, at `attribute`, with the same config.

        Its nodes and weights belong to this layer; the names of the weights are prefixed with the attribute.
        """
        part = copy.copy(self)
        part._prefix = f"{self._prefix}{attribute}/"
        return part

    def held(self, attribute: str, written: Any) -> Layer:
        """An inner layer at `attribute`, from its serialised form: a part with its own config."""
        if not isinstance(written, Mapping) or not isinstance(written.get("config"), Mapping):
            raise InvalidModelError(f"its config has no layer as {attribute}")
        inner = self.part(attribute)
        inner.kind, inner.config = str(written["class_name"]), Config(written["config"])
        inner.frozen = self.frozen or written["config"].get("trainable") is False
        return inner

    def wrapped(self, attribute: str, written: Any, *args: Any, **kwargs: Any) -> Any:
        """Apply the inner layer or model at `attribute`, from its serialised form; returns its rule's result."""
        if isinstance(written, Mapping) and "model" in written:
            return self._inline(self, written["model"], args, **kwargs)
        inner = self.held(attribute, written)
        rule = find_rule(inner.kind, written["config"])
        if rule is None:
            raise UnsupportedModelError(f"no rule for the layer that it wraps, {inner.kind!a}")
        result = rule(inner, *args, **kwargs)
        self.inner_mask = inner.output_mask
        return result

    def _operand(self, item: Any) -> Any:
        if isinstance(item, UnreadMask):
            raise UnsupportedModelError(item.reason)
        if isinstance(item, np.ndarray) and item.ndim:
            return self.constant("constant", item)
        if isinstance(item, (np.ndarray, np.generic)):
            return item.item()
        if not isinstance(item, (Value, float, int, bool, type(None))):
            raise UnsupportedModelError(f"an argument is a {type(item).__name__}, where a tensor is expected")
        return item
