"""Operations of arithmetic: cell by cell, and products of arrays, in every dtype."""

from __future__ import annotations

import numpy as np
from keras import ops
from keras.src.ops.numpy import Abs, Conj

from cases.table import IMAGE, VECTOR, named, row

UNARY = """
    abs absolute angle arcsinh arctan cbrt ceil conj conjugate copy cos cosh deg2rad exp2 expm1 fabs floor i0 imag
    negative rad2deg real round sign sin sinc sinh square tan tanh trunc
"""
for _name, _op in named(ops, UNARY):
    row(f"ops.{_name} of floats", IMAGE, _op)
for _class in (Abs, Conj):  # `ops.abs` makes an Absolute, `ops.conj` a Conjugate
    row(f"ops.{_class.__name__}", IMAGE, lambda x, kind=_class: kind()(x))
for _op in (ops.arccos, ops.arcsin, ops.arctanh):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(x * 0.24))
row("ops.arccosh", IMAGE, lambda x: ops.arccosh(ops.absolute(x) + 1.0))
for _op in (ops.log10, ops.log1p, ops.log2):
    row(f"ops.{_op.__name__}", IMAGE, lambda x, op=_op: op(ops.absolute(x) + 0.1))
_FLOATING = """
    angle arcsinh arctan cbrt ceil cos cosh deg2rad exp exp2 expm1 fabs floor i0 log1p rad2deg sin sinc sinh sqrt tan
    tanh
"""
for _name, _op in named(ops, _FLOATING):
    row(f"ops.{_name} of int32", VECTOR, _op, dtype="int32")
for _name, _op in named(ops, "abs conj copy negative real round sign square trunc"):
    row(f"ops.{_name} of int32", VECTOR, _op, dtype="int32")
for _name, _op in named(ops, "arctan cbrt cos cosh exp exp2 floor rad2deg log1p round sin sinc sqrt square tanh"):
    row(f"ops.{_name} of float64", VECTOR, lambda x, op=_op: op(ops.absolute(x)), dtype="float64")
for _name, _op in named(ops, "cbrt cos deg2rad exp i0 rad2deg sqrt"):
    row(f"ops.{_name} of int64", VECTOR, _op, dtype="int64")
for _name, _op in named(ops, "absolute cos exp square trunc"):
    row(f"ops.{_name} of bool", VECTOR, _op, dtype="bool")

_BINARY = "arctan2 divide_no_nan floor_divide fmax fmin fmod heaviside hypot logaddexp logaddexp2 mod nextafter"
for _name, _op in named(ops, _BINARY):
    row(f"ops.{_name}", [IMAGE, IMAGE], _op)
for _name, _op in named(ops, "arctan2 divide_no_nan hypot logaddexp logaddexp2"):
    row(f"ops.{_name} of int32", [VECTOR, VECTOR], _op, dtype="int32")
for _name, _op in named(ops, "fmax fmin bitwise_and bitwise_or bitwise_xor gcd lcm left_shift right_shift"):
    row(f"ops.{_name} of int32", [VECTOR, VECTOR], _op, dtype="int32")
for _name, _op in named(ops, "floor_divide mod fmod"):
    row(
        f"ops.{_name} of int32",
        [VECTOR, VECTOR],
        lambda a, b, op=_op: op(a - 2, b * 2 + 1),
        dtype="int32",
    )
row("ops.heaviside of int32", [VECTOR, VECTOR], lambda a, b: ops.heaviside(a - 1, b), dtype="int32")
row("ops.hypot of int64", [VECTOR, VECTOR], ops.hypot, dtype="int64")
row("ops.floor_divide number", IMAGE, lambda x: ops.floor_divide(ops.round(x * 10.0) / 10.0, 0.1))
row("ops.floor_divide of bool", VECTOR, lambda x: ops.floor_divide(x, 2), dtype="bool")
row("ops.mod number", IMAGE, lambda x: ops.mod(x, 0.7))
row("ops.mod of uint8", VECTOR, lambda x: ops.mod(x, 2), dtype="uint8")
row("ops.mod of bool", [VECTOR, VECTOR], lambda a, b: ops.mod(a, ops.logical_or(b, True)), dtype="bool")
row("ops.divide_no_nan by zero", [VECTOR, VECTOR], lambda a, b: ops.divide_no_nan(a, ops.maximum(b, 0.0)))
row("ops.divide_no_nan number", VECTOR, lambda x: ops.divide_no_nan(1.0, ops.maximum(x, 0.0)))
row("ops.bitwise_not", VECTOR, ops.bitwise_not, dtype="int32")
row("ops.bitwise_invert", VECTOR, ops.bitwise_invert, dtype="uint8")
row("ops.bitwise_left_shift", [VECTOR, VECTOR], ops.bitwise_left_shift, dtype="int32")
row("ops.bitwise_right_shift", [VECTOR, VECTOR], lambda a, b: ops.bitwise_right_shift(a * 100, b), dtype="int32")
row("ops.left_shift number", VECTOR, lambda x: ops.left_shift(x, 3), dtype="uint8")
row("ops.right_shift number", VECTOR, lambda x: ops.right_shift(x - 2, 1), dtype="int32")
row("ops.ldexp", VECTOR, lambda x: ops.ldexp(x, ops.cast(x, "int32")))
row("ops.ldexp of int32", [VECTOR, VECTOR], ops.ldexp, dtype="int32")
row("ops.nextafter number", VECTOR, lambda x: ops.nextafter(x, 1.0))
row("ops.nextafter of float64", [VECTOR, VECTOR], ops.nextafter, dtype="float64")
row("ops.round decimals", IMAGE, lambda x: ops.round(x, 2))
row("ops.round tens", IMAGE, lambda x: ops.round(x * 30.0, -1))
row("ops.round tens of int32", VECTOR, lambda x: ops.round(x * 7, -1), dtype="int32")
row("ops.round decimals of int32", VECTOR, lambda x: ops.round(x, 2), dtype="int32")
row("ops.clip of int32", VECTOR, lambda x: ops.clip(x, 1, 2), dtype="int32")
row("ops.clip of bool", VECTOR, lambda x: ops.clip(x, 0, 1), dtype="bool")
row("ops.clip of float64", VECTOR, lambda x: ops.clip(x, -1.0, 0.7), dtype="float64")
row("ops.clip lists", (3,), lambda x: ops.clip(x, [-1.0, 0.0, 0.5], [1.0, 2.0, 3.0]))
row("ops.power of int32", VECTOR, lambda x: ops.power(x, 3), dtype="int32")
row("ops.power mixed", VECTOR, lambda x: ops.power(ops.absolute(x), ops.cast(x, "int32")))

for _op in (ops.add, ops.subtract, ops.multiply, ops.maximum, ops.divide):
    row(f"ops.{_op.__name__} of int32", [VECTOR, VECTOR], lambda a, b, op=_op: op(a, b + 1), dtype="int32")
    row(f"ops.{_op.__name__} of int32 and number", VECTOR, lambda x, op=_op: op(x, 0.7), dtype="int32")
    row(f"ops.{_op.__name__} of int32 and floats", VECTOR, lambda x, op=_op: op(ops.cast(x, "int32"), x))
    row(f"ops.{_op.__name__} of float64 and number", VECTOR, lambda x, op=_op: op(x, 0.7), dtype="float64")
row("ops.add of bool and number", VECTOR, lambda x: ops.add(x, 1), dtype="bool")
row("ops.multiply of bool and floats", VECTOR, lambda x: ops.multiply(x > 0, x))
row("ops.multiply of float64 array", VECTOR, lambda x: x * np.linspace(0, 1, 7))
row("ops.add of int8", VECTOR, lambda x: ops.add(ops.cast(x, "int8"), ops.cast(x > 0, "uint8")))

row("ops.inner", (4, 5), lambda x: ops.inner(x, np.linspace(-1, 1, 10, dtype="float32").reshape(2, 5)))
row("ops.inner of int32", (4, 5), lambda x: ops.inner(x, np.arange(10, dtype="int32").reshape(2, 5)), dtype="int32")
row("ops.outer", [(4,), (5,)], ops.outer, mixes=True)
row("ops.kron", VECTOR, lambda x: ops.kron(x, np.linspace(-1, 1, 4, dtype="float32").reshape(2, 2)), mixes=True)
row("ops.vdot", [(4, 5), (4, 5)], ops.vdot, mixes=True)
row("ops.dot of int32", (4, 5), lambda x: ops.dot(x, np.arange(15, dtype="int32").reshape(5, 3)), dtype="int32")
row("ops.dot of bool", (4, 5), lambda x: ops.dot(x, np.arange(15).reshape(5, 3) % 2 == 0), dtype="bool")
row("ops.matmul of int32 and floats", (5, 5), lambda x: ops.matmul(ops.cast(x, "int32"), x))
row("ops.matmul of int8", (5, 5), lambda x: ops.matmul(x, x), dtype="int8")
row("ops.einsum of int32", (4, 5), lambda x: ops.einsum("bij->bji", x), dtype="int32")
row(
    "ops.tensordot of int32",
    (4, 5),
    lambda x: ops.tensordot(x, np.arange(15, dtype="int32").reshape(5, 3), 1),
    dtype="int32",
)
row("ops.cross", [(4, 3), (4, 3)], ops.cross)
row("ops.cross flat", [(4, 2), (4, 2)], ops.cross)
row("ops.cross flat and not", [(4, 2), (4, 3)], ops.cross)
row("ops.cross axis", [(3, 4), (3, 4)], lambda a, b: ops.cross(a, b, axis=1))
row("ops.cross axes", [(3, 4), (4, 3)], lambda a, b: ops.cross(a, b, axisa=1, axisb=2, axisc=1))
row("ops.cross of int32", (4, 3), lambda x: ops.cross(x, np.array([1, 2, 3], "int32")), dtype="int32")
row("ops.trapezoid", IMAGE, ops.trapezoid)
row("ops.trapezoid dx axis", IMAGE, lambda x: ops.trapezoid(x, dx=0.3, axis=1))
row("ops.trapezoid places", (4,), lambda x: ops.trapezoid(x, x=[0.0, 1.0, 3.0, 3.5]))
row("ops.trapezoid of int32", (4,), ops.trapezoid, dtype="int32")
row("ops.corrcoef", (5,), lambda x: ops.reshape(ops.corrcoef(x), (-1,)), mixes=True)
row(
    "ops.correlate",
    (5, 6),
    lambda x: ops.correlate(ops.mean(x, axis=(0, 1)), np.array([1.0, 2.0, 4.0], "f")),
    mixes=True,
)
for _mode in ("same", "full"):
    for _width in (3, 4):
        row(
            f"ops.correlate {_mode} {_width}",
            (5, 6),
            lambda x, mode=_mode, width=_width: ops.correlate(
                ops.mean(x, axis=(0, 1)), np.arange(width, dtype="f"), mode
            ),
            mixes=True,
        )
row("ops.vander", (), lambda x: ops.vander(x, 4))
row("ops.vander increasing", (), lambda x: ops.vander(x, 4, increasing=True))
row("ops.vander of int32", (), lambda x: ops.vander(x, 4), dtype="int32")
row("ops.slogdet", (3, 3), lambda x: ops.slogdet(x)[1] * 1.0)

row("ops.real of complex", IMAGE, lambda x: ops.real(ops.cast(x, "complex64") * ops.cast(x, "complex64")))
row("ops.imag of complex", IMAGE, lambda x: ops.imag(ops.sqrt(ops.cast(x, "complex64"))))
row("ops.angle of complex", IMAGE, lambda x: ops.angle(ops.sqrt(ops.cast(x, "complex64"))))
row("ops.abs of complex", IMAGE, lambda x: ops.abs(ops.sqrt(ops.cast(x, "complex64"))))
row("ops.conj of complex", IMAGE, lambda x: ops.imag(ops.conj(ops.sqrt(ops.cast(x, "complex64")))))
row("ops.isreal of complex", IMAGE, lambda x: ops.isreal(ops.sqrt(ops.cast(x, "complex64"))))
