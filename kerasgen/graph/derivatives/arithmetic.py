"""Elementwise arithmetic: with y = f(a, b), the gradient of a is d * ∂f/∂a, summed over what was broadcast.

For complex numbers, as in TensorFlow, it is d times the conjugate of ∂f/∂a.
"""

from __future__ import annotations

import math

import numpy as np

from kerasgen import kernels
from kerasgen.graph.derivatives.call import Call, Operand
from kerasgen.kernels.backward import arithmetic as backward

LN2, LN10 = math.log(2), math.log(10)


def is_complex(call: Call, x: Operand) -> bool:
    """Whether an operand holds complex numbers."""
    return isinstance(x, str) and "complex" in call.emitter.dtype(x)


def conjugate(call: Call, x: Operand) -> Operand:
    """The conjugate of complex numbers; real ones as they are."""
    return str(call.emit(np.conj, x)) if is_complex(call, x) else x


def times(call: Call, slope: Operand) -> str:
    """d * slope."""
    return str(call.emit(np.multiply, call.d, conjugate(call, slope)))


def over(call: Call, x: Operand) -> str:
    """d / x."""
    return str(call.emit(np.divide, call.d, conjugate(call, x)))


def minus(call: Call, x: Operand) -> str:
    """-x."""
    return str(call.emit(np.negative, x))


def where(call: Call, d: str, condition: str) -> str:
    """d where the condition holds, else 0."""
    return str(call.emit(np.multiply, d, condition))


# Sums, products and quotients


def add(call: Call, i: int) -> Operand:
    """∂(a + b)/∂a = 1."""
    return call.unbroadcast(call.d, i)


def subtract(call: Call, i: int) -> Operand:
    """∂(a - b)/∂b = -1."""
    return call.unbroadcast(minus(call, call.d) if i else call.d, i)


def multiply(call: Call, i: int) -> Operand:
    """∂(a b)/∂a = b."""
    return call.unbroadcast(times(call, call.x[1 - i]), i)


def divide(call: Call, i: int) -> Operand:
    """∂(a / b)/∂a = 1 / b; ∂(a / b)/∂b = -y / b."""
    quotient = over(call, call.x[1])
    if i == 1:
        quotient = minus(call, call.emit(np.multiply, quotient, conjugate(call, call.y)))
    return call.unbroadcast(quotient, i)


def divide_no_nan(call: Call, i: int) -> Operand:
    """As a / b, but 0 where b is 0."""
    quotient = str(call.emit(kernels.divide_no_nan, call.d, call.x[1]))
    if i == 1:
        quotient = minus(call, call.emit(np.multiply, quotient, call.y))
    return call.unbroadcast(quotient, i)


def negative(call: Call, i: int) -> Operand:
    """∂(-x)/∂x = -1."""
    return minus(call, call.d)


def reciprocal(call: Call, i: int) -> Operand:
    """∂(1/x)/∂x = -y²."""
    return minus(call, times(call, call.emit(np.square, call.y)))


def mod(call: Call, i: int) -> Operand:
    """∂(a - ⌊a / b⌋ b)/∂a = 1; the gradient of b is -⌊a / b⌋ d."""
    if i == 0:
        return call.unbroadcast(call.d, 0)
    return call.unbroadcast(minus(call, times(call, call.emit(kernels.floor_divide, *call.x))), 1)


def fmod(call: Call, i: int) -> Operand:
    """As `mod`, with a / b rounded towards 0."""
    if i == 0:
        return call.unbroadcast(call.d, 0)
    return call.unbroadcast(minus(call, times(call, call.emit(np.trunc, call.emit(np.divide, *call.x)))), 1)


def ldexp(call: Call, i: int) -> Operand:
    """∂(2ⁿ x)/∂x = 2ⁿ."""
    return call.unbroadcast(str(call.emit(np.ldexp, call.d, call.x[1])), 0) if i == 0 else None


def deg2rad(call: Call, i: int) -> Operand:
    """∂y/∂x = π / 180."""
    return str(call.emit(np.deg2rad, call.d))


def rad2deg(call: Call, i: int) -> Operand:
    """∂y/∂x = 180 / π."""
    return str(call.emit(np.rad2deg, call.d))


# Powers


def square(call: Call, i: int) -> Operand:
    """∂x²/∂x = 2x."""
    return str(call.emit(np.multiply, times(call, call.x[0]), 2.0))


def sqrt(call: Call, i: int) -> Operand:
    """∂√x/∂x = 1 / (2y)."""
    return str(call.emit(np.multiply, over(call, call.y), 0.5))


def rsqrt(call: Call, i: int) -> Operand:
    """∂(1/√x)/∂x = -y³ / 2."""
    return str(call.emit(backward.rsqrt_backward, call.d, call.y))


def cbrt(call: Call, i: int) -> Operand:
    """∂∛x/∂x = 1 / (3y²)."""
    return str(call.emit(np.divide, over(call, call.emit(np.square, call.y)), 3.0))


def power(call: Call, i: int) -> Operand:
    """∂aᵇ/∂a = b aᵇ⁻¹; ∂aᵇ/∂b = y log(a), which TensorFlow takes as 0 where a is not positive."""
    a, b = call.x
    if i == 1:
        if isinstance(a, str):
            return call.unbroadcast(str(call.emit(backward.power_backward_exponent, call.d, a, call.y)), 1)
        base = float(a or 0)
        return str(call.emit(np.multiply, times(call, call.y), math.log(base))) if base > 0 else None
    if isinstance(b, str):
        rest: Operand = str(call.emit(np.power, a, call.emit(np.subtract, b, 1)))
    else:
        rest = a if b == 2 else str(call.emit(np.power, a, float(b or 0) - 1))
    return call.unbroadcast(str(call.emit(np.multiply, times(call, rest), conjugate(call, b))), 0)


# Exponentials and logarithms


def exp(call: Call, i: int) -> Operand:
    """∂exp(x)/∂x = y."""
    return times(call, call.y)


def exp2(call: Call, i: int) -> Operand:
    """∂2ˣ/∂x = y log(2)."""
    return str(call.emit(np.multiply, times(call, call.y), LN2))


def expm1(call: Call, i: int) -> Operand:
    """∂(exp(x) - 1)/∂x = y + 1."""
    return times(call, call.emit(np.add, call.y, 1.0))


def log(call: Call, i: int) -> Operand:
    """∂log(x)/∂x = 1 / x."""
    return over(call, call.x[0])


def log1p(call: Call, i: int) -> Operand:
    """∂log(1 + x)/∂x = 1 / (1 + x)."""
    return over(call, call.emit(np.add, call.x[0], 1.0))


def log2(call: Call, i: int) -> Operand:
    """∂log₂(x)/∂x = 1 / (x log(2))."""
    return str(call.emit(np.divide, over(call, call.x[0]), LN2))


def log10(call: Call, i: int) -> Operand:
    """∂log₁₀(x)/∂x = 1 / (x log(10))."""
    return str(call.emit(np.divide, over(call, call.x[0]), LN10))


def logaddexp(call: Call, i: int) -> Operand:
    """∂log(exp(a) + exp(b))/∂a = exp(a - y)."""
    return call.unbroadcast(times(call, call.emit(np.exp, call.emit(np.subtract, call.x[i], call.y))), i)


def logaddexp2(call: Call, i: int) -> Operand:
    """∂log₂(2ᵃ + 2ᵇ)/∂a = 2ᵃ⁻ʸ."""
    return call.unbroadcast(times(call, call.emit(np.exp2, call.emit(np.subtract, call.x[i], call.y))), i)


# Angles


def sin(call: Call, i: int) -> Operand:
    """∂sin(x)/∂x = cos(x)."""
    return times(call, call.emit(np.cos, call.x[0]))


def cos(call: Call, i: int) -> Operand:
    """∂cos(x)/∂x = -sin(x)."""
    return minus(call, times(call, call.emit(np.sin, call.x[0])))


def tan(call: Call, i: int) -> Operand:
    """∂tan(x)/∂x = 1 + y²."""
    return times(call, call.emit(np.add, call.emit(np.square, call.y), 1.0))


def arcsin(call: Call, i: int) -> Operand:
    """∂arcsin(x)/∂x = 1 / √(1 - x²)."""
    return over(call, call.emit(np.sqrt, call.emit(np.subtract, 1.0, call.emit(np.square, call.x[0]))))


def arccos(call: Call, i: int) -> Operand:
    """∂arccos(x)/∂x = -1 / √(1 - x²)."""
    return minus(call, arcsin(call, i))


def arctan(call: Call, i: int) -> Operand:
    """∂arctan(x)/∂x = 1 / (1 + x²)."""
    return over(call, call.emit(np.add, call.emit(np.square, call.x[0]), 1.0))


def arctan2(call: Call, i: int) -> Operand:
    """∂arctan2(a, b)/∂a = b / (a² + b²); ∂arctan2(a, b)/∂b = -a / (a² + b²)."""
    squares = call.emit(np.square, call.emit(np.hypot, *call.x))
    part = str(call.emit(np.multiply, over(call, squares), call.x[1 - i]))
    return call.unbroadcast(minus(call, part) if i else part, i)


def hypot(call: Call, i: int) -> Operand:
    """∂√(a² + b²)/∂a = a / y."""
    return call.unbroadcast(times(call, call.emit(kernels.divide_no_nan, call.x[i], call.y)), i)


def sinc(call: Call, i: int) -> Operand:
    """∂(sin(πx) / πx)/∂x = (cos(πx) - y) / x, which is 0 at 0."""
    return str(call.emit(backward.sinc_backward, call.d, call.x[0], call.y))


def sinh(call: Call, i: int) -> Operand:
    """∂sinh(x)/∂x = cosh(x)."""
    return times(call, call.emit(np.cosh, call.x[0]))


def cosh(call: Call, i: int) -> Operand:
    """∂cosh(x)/∂x = sinh(x)."""
    return times(call, call.emit(np.sinh, call.x[0]))


def arcsinh(call: Call, i: int) -> Operand:
    """∂arcsinh(x)/∂x = 1 / cosh(y)."""
    return over(call, call.emit(np.cosh, call.y))


def arccosh(call: Call, i: int) -> Operand:
    """∂arccosh(x)/∂x = 1 / sinh(y)."""
    return over(call, call.emit(np.sinh, call.y))


def arctanh(call: Call, i: int) -> Operand:
    """∂arctanh(x)/∂x = 1 / (1 - x²)."""
    return over(call, call.emit(np.subtract, 1.0, call.emit(np.square, call.x[0])))


# Choices


def absolute(call: Call, i: int) -> Operand:
    """∂|x|/∂x = sign(x), which is x / y, and 0 at 0."""
    if is_complex(call, call.x[0]):
        return str(call.emit(np.multiply, call.d, call.emit(kernels.divide_no_nan, call.x[0], call.y)))
    return times(call, call.emit(np.sign, call.x[0]))


def maximum(call: Call, i: int) -> Operand:
    """To a where it is the larger one, or equal; else to b."""
    chosen = str(call.emit(np.greater_equal, *call.x))
    return call.unbroadcast(where(call, call.d, str(call.emit(np.logical_not, chosen)) if i else chosen), i)


def minimum(call: Call, i: int) -> Operand:
    """To a where it is the smaller one, or equal; else to b."""
    chosen = str(call.emit(np.less_equal, *call.x))
    return call.unbroadcast(where(call, call.d, str(call.emit(np.logical_not, chosen)) if i else chosen), i)


def of_chosen(call: Call, i: int) -> Operand:
    """To a where it is the result, else to b: for fmax and fmin, which pass over NaN."""
    chosen = str(call.emit(np.equal, call.x[0], call.y))
    return call.unbroadcast(where(call, call.d, str(call.emit(np.logical_not, chosen)) if i else chosen), i)


def clip(call: Call, i: int) -> Operand:
    """Where x is within its bounds."""
    return str(call.emit(backward.clip_backward, call.d, call.x[0], **call.attrs))


def heaviside(call: Call, i: int) -> Operand:
    """To b where a is 0."""
    return call.unbroadcast(where(call, call.d, str(call.emit(np.equal, call.x[0], 0))), 1) if i else None


def nan_to_num(call: Call, i: int) -> Operand:
    """Where x is finite."""
    return where(call, call.d, str(call.emit(np.isfinite, call.x[0])))


# Parts of complex numbers


def conj(call: Call, i: int) -> Operand:
    """The conjugate of the gradient."""
    return conjugate(call, call.d)


def real(call: Call, i: int) -> Operand:
    """The real part of the gradient."""
    return to_dtype(call, call.d, call.emitter.dtype(call.x[0]))


def imag(call: Call, i: int) -> Operand:
    """The imaginary part of the gradient."""
    return str(call.emit(backward.imag_backward, call.d)) if is_complex(call, call.x[0]) else None


def angle(call: Call, i: int) -> Operand:
    """∂(the angle of x)/∂x = i x / |x|², in the sense that its parts are those of the gradient."""
    return str(call.emit(backward.angle_backward, call.d, call.x[0])) if is_complex(call, call.x[0]) else None


# Others


def to_dtype(call: Call, d: str, dtype: str) -> str:
    """A gradient in another dtype."""
    if is_complex(call, d) and "complex" not in dtype:
        d = str(call.emit(np.real, d))
    return d if call.emitter.dtype(d) == dtype else str(call.emit(kernels.cast, d, dtype=dtype))


def cast(call: Call, i: int) -> Operand:
    """The gradient in the dtype of the operand."""
    return to_dtype(call, call.d, call.emitter.dtype(call.x[0]))


def pass_on(call: Call, i: int) -> Operand:
    """The gradient as it is, to the first operand."""
    return call.unbroadcast(call.d, 0) if i == 0 else None


def bessel_i0(call: Call, i: int) -> Operand:
    """∂I₀(x)/∂x = I₁(x)."""
    return str(call.emit(backward.bessel_i0_backward, call.d, call.x[0]))


def cross(call: Call, i: int) -> Operand:
    """The gradient of a in a x b is b x d, that of b is d x a."""
    both = call.emit(backward.cross_backward, call.d, *call.x, outputs=2, **call.attrs)
    return call.unbroadcast(both[i], i)
