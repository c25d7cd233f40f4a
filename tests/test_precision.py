"""What the docstrings of kernels promise about their errors, against exact arithmetic."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from decimal import Context, Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from test_kernels import positive, random

from kerasgen import kernels

PI = Decimal("3.1415926535897932384626433832795028841971693993751058209749445923078164062862089986280348253421170680")
SELU = Decimal("1.0507009873554805"), Decimal("1.6732632423543772")
DTYPES = ("float32", "float64")


# --- Formulas with 150 digits, more than any difference costs ---------------------------------------------------------


def sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def tanh(x: Decimal) -> Decimal:
    if abs(x) < Decimal("1e-60"):  # without x³ / 3
        return x
    small = (-2 * abs(x)).exp()
    return ((1 - small) / (1 + small)).copy_sign(x)


def softplus(x: Decimal) -> Decimal:
    return (1 + x.exp()).ln() if x > -100 else x.exp() * (1 - x.exp() / 2)


def elu(x: Decimal) -> Decimal:
    return x if x > 0 else x.exp() - 1


def erf(x: Decimal) -> Decimal:
    """Its Taylor series; from 16 on it is 1 in 100 digits."""
    if abs(x) > 16:
        return Decimal(1).copy_sign(x)
    power = total = x
    n = 0
    while abs(power) > abs(total) * Decimal("1e-150"):
        n += 1
        power *= -x * x / n
        total += power / (2 * n + 1)
    return 2 * total / PI.sqrt()


def erfinv(y: Decimal) -> Decimal:
    x = Decimal(float(np.arctanh(float(y)) if abs(y) < 0.9 else np.sign(float(y)) * 2))
    for _ in range(60):
        step = (erf(x) - y) * PI.sqrt() / 2 * (x * x).exp()
        x -= max(min(step, Decimal("0.5")), Decimal("-0.5"))
        if abs(step) < abs(x) * Decimal("1e-40"):
            break
    return x


def bessel_i0(x: Decimal) -> Decimal:
    term = total = Decimal(1)
    n = 0
    while term > total * Decimal("1e-50"):
        n += 1
        term *= x * x / (4 * n * n)
        total += term
    return total


EXACT: dict[str, Callable[[Decimal], Decimal]] = {
    "bessel_i0": bessel_i0,
    "celu": elu,
    "elu": elu,
    "erf": erf,
    "erfc": lambda x: 1 - erf(x),
    "erfinv": erfinv,
    "exponential": Decimal.exp,
    "gelu": lambda x: x / 2 * (1 + erf(x / Decimal(2).sqrt())),
    "log_sigmoid": lambda x: -softplus(-x),
    "mish": lambda x: x * tanh(softplus(x)),
    "rsqrt": lambda x: 1 / x.sqrt(),
    "selu": lambda x: SELU[0] * (x if x > 0 else SELU[1] * elu(x)),
    "sigmoid": sigmoid,
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "squareplus": lambda x: (x + (x * x + 4).sqrt()) / 2,
    "tanh": tanh,
    "tanh_shrink": lambda x: x - tanh(x),
}
BY_TANH = "gelu by tanh"
WHERE = {  # but for all numbers up to 1000
    "bessel_i0": lambda x: abs(x) < 80,
    "erfc": lambda x: x < 9,
    "erfinv": lambda x: abs(x) < 1,
    "rsqrt": lambda x: x > 0,
}


def gelu_by_tanh(x: Decimal) -> Decimal:
    return x / 2 * (1 + tanh((2 / PI).sqrt() * (x + Decimal("0.044715") * x**3)))


def numbers(name: str, dtype: str) -> np.ndarray:
    steps = np.concatenate([np.linspace(0.02, 30, 100), np.logspace(-30, 3, 60), 1 - np.logspace(-6, -1, 10)])
    x = np.unique(np.concatenate([-steps, steps]).astype(dtype))
    return x[[bool(WHERE.get(name, lambda _: True)(value)) for value in x]]


def promise(name: str) -> tuple[Callable[[Decimal, Decimal], Decimal], Decimal]:
    """The error that a docstring admits, in eps, as a function of x and the exact result; and its absolute part."""
    text = " ".join((inspect.getdoc(getattr(kernels, name)) or "").split())
    more = re.search(r"plus an absolute error up to (\S+)\.", text)
    missing = Decimal(more[1]) if more else Decimal(0)
    relative, of_x = re.search(r"Relative error up to (\d+) eps", text), re.search(
        r"[Ee]rror up to (\d+) eps \|x\|", text
    )
    if "above 0; below, error up to 8 eps (1 + |x|)" in text:
        return lambda x, y: 8 * (y if x > 0 else 1 + abs(x)), missing
    if relative:
        return lambda x, y: int(relative[1]) * abs(y), missing
    assert of_x, f"{name} promises nothing"
    return lambda x, y: int(of_x[1]) * abs(x), missing


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [*EXACT, BY_TANH])
def test_errors_are_what_the_docstring_says(name: str, dtype: str) -> None:
    kernel, exact = getattr(kernels, name.split()[0]), EXACT.get(name, gelu_by_tanh)
    limits, x = np.finfo(dtype), numbers(name, dtype)
    allowed, missing = promise(name.split()[0])
    with np.errstate(over="ignore"):
        got = kernel(x, approximate=True) if name == BY_TANH else kernel(x)
    assert got.dtype == dtype
    with localcontext(Context(prec=150)):
        for a, b in zip(map(Decimal, x.tolist()), got.tolist(), strict=True):
            y = exact(a)
            if abs(y) < Decimal(float(limits.max)):
                smallest = 256 * Decimal(float(limits.tiny))
                most = allowed(a, y) * Decimal(float(limits.eps)) + missing + smallest
                assert abs(Decimal(b) - y) <= most, (a, b, y)


# --- Along an axis ----------------------------------------------------------------------------------------------------


def rows(dtype: str) -> Iterator[np.ndarray]:
    for size in (2, 10, 1000):
        for scale in (0.1, 1, 10, 100):
            yield (scale * random(5, size)).astype(dtype)


def within(got: np.ndarray, exact: np.ndarray, allowed: Any, dtype: str) -> None:
    assert got.dtype == dtype
    assert np.all(np.abs(got - exact) <= allowed * np.finfo(dtype).eps + 256 * np.finfo(dtype).tiny)


@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_of_softmax(dtype: str) -> None:
    """Long doubles have the digits that count where they are longer than float64."""
    if np.finfo(np.longdouble).eps > 1e-18 and dtype == "float64":
        pytest.skip("nothing here is more exact than float64")
    for softmax in (kernels.softmax, kernels.softmax_by_columns):
        assert "Error up to 8 eps; relative to the result, up to 8 eps (1 + maximum - x)." in str(softmax.__doc__)
    assert "Error up to 8 eps (1 + |result|)." in str(kernels.log_softmax.__doc__)
    assert "Error up to 8 eps (1 + max |x|)." in str(kernels.logsumexp.__doc__)
    for x in rows(dtype):
        wide = x.astype(np.longdouble)
        below = wide - wide.max(axis=-1, keepdims=True)
        total = np.exp(below).sum(axis=-1, keepdims=True)
        probabilities, logs = np.exp(below) / total, below - np.log(total)
        for softmax in (kernels.softmax, kernels.softmax_by_columns):
            within(softmax(x), probabilities, 8 * np.minimum(1, probabilities * (1 - below)), dtype)
        within(kernels.log_softmax(x), logs, 8 * (1 + np.abs(logs)), dtype)
        sums = (np.log(total) + wide.max(axis=-1, keepdims=True))[:, 0]
        within(kernels.logsumexp(x, axis=-1), sums, 8 * (1 + np.abs(wide).max(axis=-1)), dtype)


def test_errors_of_batch_norm() -> None:
    assert "Error up to 8 eps of scale * (|x| + |mean|) + |beta|." in str(kernels.batch_norm.__doc__)
    x, gamma, beta, mean, variance = random(50, 7), random(7, seed=1), random(7, seed=2), random(7, seed=3), positive(7)
    for offset in (0, 10, 1e4):
        inputs = (x + np.float32(offset), gamma, beta, mean + np.float32(offset), variance)
        wide = [array.astype("float64") for array in inputs]
        scale = np.abs(wide[1]) / np.sqrt(wide[4] + 1e-3)
        allowed = 8 * (scale * (np.abs(wide[0]) + np.abs(wide[3])) + np.abs(wide[2]))
        within(kernels.batch_norm(*inputs), kernels.batch_norm(*wide), allowed, "float32")


def test_errors_of_ssim() -> None:
    assert "Error up to 10000 eps." in str(kernels.ssim.__doc__)
    noise = np.random.RandomState(0).rand(2, 20, 20, 3).astype("float32")
    bell = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    window = (np.outer(bell, bell) / bell.sum() ** 2).astype("float32")
    for largest in (1, 255):
        for a in (noise, noise * 0 + np.float32(0.9)):
            for b in (noise[::-1], noise * 0 + np.float32(0.5), a):
                inputs = [np.float32(largest) * a, np.float32(largest) * b, window]
                exact = kernels.ssim(*(array.astype("float64") for array in inputs), max_val=largest)
                within(kernels.ssim(*inputs, max_val=largest), exact, 10000, "float32")


@pytest.mark.parametrize("m", [2, 4, 6])
def test_errors_of_winograd(m: int) -> None:
    for kernel in (kernels.winograd_conv2d, kernels.winograd_conv3d, kernels.winograd_depthwise_conv2d):
        assert "Error up to 1000 eps of the largest result." in str(kernel.__doc__)
    x, w, depthwise = random(2, m * 4 + 2, m * 4 + 2, 16), random(3, 3, 16, 8, seed=1), random(3, 3, 16, 1, seed=2)
    more = (0, m - 1)
    filters = kernels.winograd_filters(w, m=(m, m))
    got = kernels.winograd_conv2d(x, filters, window=(3, 3), pad=(more, more))
    exact = kernels.conv2d(x.astype("float64"), w.astype("float64"))
    within(got, exact, 1000 * np.abs(exact).max(), "float32")
    depths, w = np.stack([x, x[::-1]], axis=1), np.stack([w, w[::-1]])
    filters = kernels.winograd_filters(w, m=(m, m))
    got = kernels.winograd_conv3d(depths, filters, window=(2, 3, 3), pad=((0, 0), more, more))
    exact = kernels.conv3d(depths.astype("float64"), w.astype("float64"))
    within(got, exact, 1000 * np.abs(exact).max(), "float32")
    filters = kernels.winograd_tile(depthwise, m=m, count=3)
    got = kernels.winograd_depthwise_conv2d(x, filters, window=(3, 3), pad=(more, (0, 0)))
    exact = kernels.depthwise_conv2d(x.astype("float64"), depthwise.astype("float64"))
    within(got, exact, 1000 * np.abs(exact).max(), "float32")


def test_whoever_promises_is_tested_and_who_must_does() -> None:
    promised = {name for name in kernels.__all__ if "rror up to" in str(getattr(kernels, name).__doc__)}
    others = {"batch_norm", "glu", "log_softmax", "logsumexp", "softmax", "softmax_by_columns", "ssim"}
    assert promised == {*EXACT, *others, "winograd_conv2d", "winograd_conv3d", "winograd_depthwise_conv2d"}
    approximate = re.compile(r"np\.(exp|expm1|log|log1p|tanh|hypot|i0)\(|\b(erf|sigmoid|softplus|softmax)\(")
    for name, kernel in kernels.ACTIVATIONS.items():
        body = inspect.getsource(kernel).partition('"""')[2].partition('"""')[2]
        assert not approximate.search(body) or kernel.__name__ in promised, name
