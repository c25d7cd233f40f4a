"""Arithmetic of lists of numbers, cell by cell.

Arrays of different shapes are broadcast: `shapes` then has the shape of each. A number goes with every cell.
"""

import math

from kerasgen.pure_kernels.lists import aligned, floats


def add(a, b, *, shapes=None):
    """a + b."""
    return floats(v + w for v, w in aligned(a, b, shapes=shapes))


def subtract(a, b, *, shapes=None):
    """a - b."""
    return floats(v - w for v, w in aligned(a, b, shapes=shapes))


def multiply(a, b, *, shapes=None):
    """a * b."""
    return floats(v * w for v, w in aligned(a, b, shapes=shapes))


def divide(a, b, *, shapes=None):
    """a / b; infinite or NaN where b is 0."""
    return floats(quotient(v, w) for v, w in aligned(a, b, shapes=shapes))


def quotient(a, b):
    """a / b as IEEE 754 has it."""
    if b:
        return a / b
    return float("nan") if not a or a != a else math.copysign(float("inf"), a) * math.copysign(1.0, b)


def divide_no_nan(a, b, *, shapes=None):
    """a / b, and 0 where b is 0."""
    return floats(v / w if w else 0.0 for v, w in aligned(a, b, shapes=shapes))


def floor_divide(a, b, *, shapes=None):
    """⌊a / b⌋."""
    return floats(v // w for v, w in aligned(a, b, shapes=shapes))


def mod(a, b, *, shapes=None):
    """a - ⌊a / b⌋ b."""
    return floats(v % w for v, w in aligned(a, b, shapes=shapes))


def power(a, b, *, shapes=None):
    """a to the power of b."""
    return floats(math.pow(v, w) for v, w in aligned(a, b, shapes=shapes))


def maximum(a, b, *, shapes=None):
    """The larger of a and b."""
    return floats(max(v, w) for v, w in aligned(a, b, shapes=shapes))


def minimum(a, b, *, shapes=None):
    """The smaller of a and b."""
    return floats(min(v, w) for v, w in aligned(a, b, shapes=shapes))


def arctan2(a, b, *, shapes=None):
    """The angle of the point (b, a)."""
    return floats(math.atan2(v, w) for v, w in aligned(a, b, shapes=shapes))


def equal(a, b, *, shapes=None):
    """1 where a == b, else 0."""
    return floats(int(v == w) for v, w in aligned(a, b, shapes=shapes))


def not_equal(a, b, *, shapes=None):
    """1 where a != b, else 0."""
    return floats(int(v != w) for v, w in aligned(a, b, shapes=shapes))


def greater(a, b, *, shapes=None):
    """1 where a > b, else 0."""
    return floats(int(v > w) for v, w in aligned(a, b, shapes=shapes))


def greater_equal(a, b, *, shapes=None):
    """1 where a >= b, else 0."""
    return floats(int(v >= w) for v, w in aligned(a, b, shapes=shapes))


def less(a, b, *, shapes=None):
    """1 where a < b, else 0."""
    return floats(int(v < w) for v, w in aligned(a, b, shapes=shapes))


def less_equal(a, b, *, shapes=None):
    """1 where a <= b, else 0."""
    return floats(int(v <= w) for v, w in aligned(a, b, shapes=shapes))


def logical_and(a, b, *, shapes=None):
    """1 where neither is 0, else 0."""
    return floats(int(bool(v and w)) for v, w in aligned(a, b, shapes=shapes))


def logical_or(a, b, *, shapes=None):
    """1 where one is not 0, else 0."""
    return floats(int(bool(v or w)) for v, w in aligned(a, b, shapes=shapes))


def logical_xor(a, b, *, shapes=None):
    """1 where exactly one is not 0, else 0."""
    return floats(int(bool(v) != bool(w)) for v, w in aligned(a, b, shapes=shapes))


def where(condition, a, b, *, shapes=None):
    """a where the condition is not 0, else b."""
    return floats(v if on else w for on, v, w in aligned(condition, a, b, shapes=shapes))


def clip(x, *, x_min, x_max):
    """min(max(x, x_min), x_max)."""
    return floats(min(max(v, x_min), x_max) for v in x)


def logical_not(x):
    """1 where x is 0, else 0."""
    return floats(int(not v) for v in x)


def negative(x):
    """-x."""
    return floats(-v for v in x)


def absolute(x):
    """|x|."""
    return floats(abs(v) for v in x)


def sign(x):
    """-1, 0 or 1."""
    return floats((v > 0) - (v < 0) for v in x)


def square(x):
    """x²."""
    return floats(v * v for v in x)


def sqrt(x):
    """√x; NaN where x is negative."""
    return floats(math.sqrt(v) if v >= 0 else float("nan") for v in x)


def rsqrt(x):
    """1 / √x."""
    return floats(1.0 / math.sqrt(v) for v in x)


def reciprocal(x):
    """1 / x; infinite where x is 0."""
    return floats(quotient(1.0, v) for v in x)


def log(x):
    """log(x); -infinity at 0, NaN below."""
    return floats(math.log(v) if v > 0 else float("-inf") if v == 0 else float("nan") for v in x)


def expm1(x):
    """exp(x) - 1."""
    return floats(math.expm1(v) for v in x)


def sin(x):
    """sin(x)."""
    return floats(math.sin(v) for v in x)


def cos(x):
    """cos(x)."""
    return floats(math.cos(v) for v in x)


def tan(x):
    """tan(x)."""
    return floats(math.tan(v) for v in x)


def sinh(x):
    """sinh(x)."""
    return floats(math.sinh(v) for v in x)


def cosh(x):
    """cosh(x)."""
    return floats(math.cosh(v) for v in x)


def arcsin(x):
    """The angle whose sine is x."""
    return floats(math.asin(v) for v in x)


def arccos(x):
    """The angle whose cosine is x."""
    return floats(math.acos(v) for v in x)


def arctan(x):
    """The angle whose tangent is x."""
    return floats(math.atan(v) for v in x)


def erf(x):
    """2/√π ∫₀ˣ exp(-t²) dt."""
    return floats(math.erf(v) for v in x)


def floor(x):
    """⌊x⌋."""
    return floats(math.floor(v) for v in x)


def ceil(x):
    """⌈x⌉."""
    return floats(math.ceil(v) for v in x)


def rint(x):
    """The nearest whole number, the even one of two."""
    return floats(round(v) for v in x)


def trunc(x):
    """x without what follows the point."""
    return floats(int(v) for v in x)
