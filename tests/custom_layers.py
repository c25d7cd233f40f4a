"""Functions for layers of a user's own, as kerasgen is given them."""

from __future__ import annotations

from typing import Any

FACTOR = 1.0


def swirl(x, factor=FACTOR):  # type: ignore[no-untyped-def]
    """2 x + factor x³."""
    return 2.0 * x + factor * cube(x)


def cube(x):  # type: ignore[no-untyped-def]
    """x³."""
    return x * x * x


def marked(x):  # type: ignore[no-untyped-def]
    """x, beside lines that the writer of a module uses for itself."""
    return (
        x
        if """
# (kernels)
# (runtime)
"""
        else 0 * x
    )


def gain(x, weight, *, factor):  # type: ignore[no-untyped-def]
    """x scaled by a weight and a factor."""
    return x * weight * factor


def gain_rule(layer: Any, x: Any) -> Any:
    """The rule for `Gain`."""
    return layer.emit(gain, x, layer.weight("weight", (x.shape[-1],)), factor=layer.config.number("factor"))


def power_of_two(n):  # type: ignore[no-untyped-def]
    """2ⁿ."""
    return 2.0**n


SCALE = power_of_two(3)


def scaled(x):  # type: ignore[no-untyped-def]
    """x times a constant that a function makes."""
    return x * SCALE
