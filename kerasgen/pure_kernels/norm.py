"""Normalisation."""

import math

from kerasgen.pure_kernels.lists import aligned, along, floats
from kerasgen.pure_kernels.pool import mean


def batch_norm(x, scale, shift, *, shapes):
    """x * scale + shift, of which each channel has its own."""
    return floats(v * a + b for v, a, b in aligned(x, scale, shift, shapes=shapes))


def layer_norm(x, *, shape, axes, epsilon):
    """(x - mean) / √(variance + ε), mean and variance taken over these axes."""

    def row(cells):
        middle = mean(cells)
        deviation = math.sqrt(mean([(v - middle) ** 2 for v in cells]) + epsilon)
        return [(v - middle) / deviation for v in cells]

    return along(row, x, shape, axes)


def rms_norm(x, *, shape, axes, epsilon):
    """x / √(mean of x² + ε), the mean taken over these axes."""

    def row(cells):
        size = math.sqrt(mean([v * v for v in cells]) + epsilon)
        return [v / size for v in cells]

    return along(row, x, shape, axes)


def normalize(x, *, shape, axes, order=2, epsilon=1e-12):
    """x / max(‖x‖, ε), with the norm of this order along these axes."""

    def row(cells):
        size = max(sum(abs(v) ** order for v in cells) ** (1.0 / order), epsilon)
        return [v / size for v in cells]

    return along(row, x, shape, axes)
