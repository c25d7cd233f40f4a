"""Parity cases, one row each: a name, the inputs' shapes without the batch, and what Keras makes of them.

Every test of the road from file to module runs over all of them. A row's tolerance, where it has one, has its reason
beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

Shape = tuple[int | None, ...]
STEPS = (11, 3)
IMAGE = (9, 10, 3)
FIRST_STEPS = (3, 11)
FIRST_IMAGE = (3, 9, 10)
VECTOR = (7,)


@dataclass(frozen=True)
class Case:
    """One row. `make` is given a Keras input for each shape and returns the outputs; or it returns a whole model."""

    name: str
    shapes: tuple[Shape, ...]
    make: Callable[..., Any]
    dtype: str = "float32"
    tolerance: float = 1e-5  # of the largest number in the output
    values: tuple[float, float] | None = None  # the range of the inputs, by default -4 to 4, or 0 to 4 for integers
    formats: tuple[str, ...] = ("keras", "h5")  # those that Keras can write
    sizes: tuple[int, ...] = (6, 8)  # that stand for unknown ones, in turn
    mixes: bool = False  # what a sample gives depends on the rest of the batch
    finish: Callable[[Any], None] | None = None  # what is done to the model once its weights are random
    answer: Callable[..., Any] | None = None  # instead of the model's, where Keras cannot run its own model

    def model(self) -> Any:
        """The Keras model, its weights as Keras made them."""
        inputs = [keras.Input(shape, name=f"in_{i}", dtype=self.dtype) for i, shape in enumerate(self.shapes)]
        made = self.make(*inputs)
        return made if isinstance(made, keras.Model) else keras.Model(inputs if len(inputs) > 1 else inputs[0], made)


CASES: dict[str, Case] = {}


def row(name: str, shapes: Any, make: Callable[..., Any], **settings: Any) -> None:
    """Enter a case; `shapes` is one shape or a list of them."""
    assert name not in CASES, name
    CASES[name] = Case(name, tuple(shapes) if isinstance(shapes, list) else (shapes,), make, **settings)


def named(module: Any, names: str) -> list[tuple[str, Any]]:
    """Functions of a module, each after its name."""
    return [(name, getattr(module, name)) for name in names.split()]
