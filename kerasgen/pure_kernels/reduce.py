"""Reductions along axes."""

from kerasgen.pure_kernels.lists import product, reduced
from kerasgen.pure_kernels.pool import mean


def sum_over(x, *, shape, axes):
    """The sum along these axes."""
    return reduced(sum, x, shape, axes)


def mean_over(x, *, shape, axes):
    """The mean along these axes."""
    return reduced(mean, x, shape, axes)


def variance_over(x, *, shape, axes):
    """The mean of the squared distance from the mean along these axes."""

    def variance(cells):
        middle = mean(cells)
        return mean([(v - middle) ** 2 for v in cells])

    return reduced(variance, x, shape, axes)


def max_over(x, *, shape, axes):
    """The largest number along these axes."""
    return reduced(max, x, shape, axes)


def min_over(x, *, shape, axes):
    """The smallest number along these axes."""
    return reduced(min, x, shape, axes)


def prod_over(x, *, shape, axes):
    """The product along these axes."""
    return reduced(product, x, shape, axes)


def any_over(x, *, shape, axes):
    """1 where a number along these axes is not 0, else 0."""
    return reduced(lambda cells: int(any(cells)), x, shape, axes)


def all_over(x, *, shape, axes):
    """1 where no number along these axes is 0, else 0."""
    return reduced(lambda cells: int(all(cells)), x, shape, axes)


def arg_max(x, *, shape, axes):
    """The index of the largest number along these axes, the first of equal ones."""
    return reduced(lambda cells: cells.index(max(cells)), x, shape, axes)


def arg_min(x, *, shape, axes):
    """The index of the smallest number along these axes, the first of equal ones."""
    return reduced(lambda cells: cells.index(min(cells)), x, shape, axes)
