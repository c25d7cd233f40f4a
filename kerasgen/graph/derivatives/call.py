"""One node on the way back: what a rule reads to emit the nodes that compute the gradient of an operand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kerasgen.kernels.backward.arithmetic import unbroadcast

Operand = str | float | int | bool | None
Shape = tuple[int | None, ...]


class Emitter(Protocol):
    """Where the nodes of the backward pass are collected."""

    def emit(self, kernel: Callable[..., Any], *inputs: Operand, outputs: int = 1, **attrs: Any) -> Any:
        """Add a node; returns the name of its output, or a tuple of names. Equal calls are one node."""
        ...

    def emit_like(self, like: str, kernel: Callable[..., Any], *inputs: Operand, **attrs: Any) -> str:
        """Add a node whose output has the shape and dtype of another value, and need not be inferred."""
        ...

    def shape(self, operand: Operand) -> Shape | None:
        """The shape of a value, None at axes known only at run time; None if nothing is known."""
        ...

    def dtype(self, operand: Operand) -> str:
        """The dtype of a value."""
        ...


class Call:
    """A node of the forward pass and the gradients `d` of its outputs.

    Values of the forward pass that a rule names are saved for the backward pass.
    """

    def __init__(self, emitter: Emitter, node: Any, gradients: tuple[str | None, ...]) -> None:
        self.emitter = emitter
        self.node = node
        self.gradients = gradients
        self.emit = emitter.emit

    @property
    def x(self) -> tuple[Operand, ...]:
        """The operands."""
        return tuple(self.node.inputs)

    @property
    def y(self) -> str:
        """The only output."""
        return str(self.node.output)

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The settings."""
        return dict(self.node.attrs)

    @property
    def d(self) -> str:
        """The gradient of the only output."""
        (name,) = self.gradients
        assert name is not None
        return name

    def operand(self, i: int) -> Operand:
        """Operand i, None where the call leaves it out."""
        return self.node.inputs[i] if i < len(self.node.inputs) else None

    def setting(self, name: str, default: Any = None) -> Any:
        """A setting of the call, or the kernel's default."""
        return self.node.attrs.get(name, default)

    def shape(self, operand: Operand) -> Shape | None:
        """The shape of a value, None at axes known only at run time; None if nothing is known."""
        return self.emitter.shape(operand)

    def sized(self, kernel: Callable[..., Any], *inputs: Operand, like: Operand, **attrs: Any) -> Any:
        """Emit a kernel that must know the shape of `like`, the batch apart.

        It gets `shape`, the sizes after the batch, where they are known, and else the array, as its operand `like`.
        """
        operand, sizes = self._sizes(like)
        return self.emit(kernel, *inputs, operand, **sizes, **attrs)

    def of_operand(
        self, i: int, kernel: Callable[..., Any], *inputs: Operand, sized: bool = False, **attrs: Any
    ) -> str:
        """Emit the kernel that computes the gradient of operand i, whose shape and dtype it has.

        If `sized`, it must know this shape and gets it as in `Call.sized`.
        """
        operand, sizes = self._sizes(self.x[i]) if sized else (None, {})
        return self.emitter.emit_like(str(self.x[i]), kernel, *inputs, operand, **sizes, **attrs)

    def _sizes(self, like: Operand) -> tuple[Operand, dict[str, Any]]:
        shape = self.shape(like)
        if shape is None or None in shape[1:] or shape[:1] != (None,):
            return like, {}
        return None, {"shape": shape[1:]}

    def unbroadcast(self, d: str, i: int) -> str:
        """The gradient of operand i from that of what it was broadcast to: the sum over what was repeated."""
        x, y = self.shape(self.operand(i)), self.shape(d)
        assert x is not None
        assert y is not None
        lead = len(y) - len(x)
        axes = tuple(a for a in range(len(y)) if a < lead or (x[a - lead] == 1 and y[a] != 1))
        return str(self.emit(unbroadcast, d, axes=axes, lead=lead)) if axes else d


Rule = Callable[[Call, int], Operand]


def stop(call: Call, i: int) -> Operand:
    """No gradient: the result does not depend on the operand smoothly, or TensorFlow does not look further."""
    return None
