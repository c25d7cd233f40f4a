"""The derivatives of activations, elementwise functions and special functions, against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from derivatives import check, gradients, one_node

from kerasgen import kernels
from kerasgen.backward import differentiate


def x(*shape: int, low: float = -2.5, high: float = 2.5, seed: int = 0) -> np.ndarray:
    """Random numbers, no two of them closer than the steps of a difference, none that close to a tenth."""
    count = int(np.prod(shape, dtype=int))
    random = np.random.RandomState(seed + 7 * count)
    cells = (np.arange(count) + random.uniform(0.2, 0.8, count)) / max(count, 1)
    return random.permutation(low + (high - low) * cells).reshape(shape)


def positive(*shape: int, seed: int = 0) -> np.ndarray:
    return x(*shape, low=0.3, high=3.0, seed=seed)


def part(*shape: int, seed: int = 0) -> np.ndarray:
    return x(*shape, low=0.05, high=0.95, seed=seed)


def distributions(*shape: int, axis: int = -1) -> np.ndarray:
    return kernels.softmax(x(*shape, seed=5), axis=axis)


Row = tuple[Any, tuple[Any, ...], dict[str, Any]]


def row(kernel: Any, *operands: Any, **settings: Any) -> Row:
    return kernel, operands, settings


ACTIVATIONS: list[Row] = [
    *(
        row(kernel, x(3, 4, 5))
        for kernel in sorted(set(kernels.ACTIVATIONS.values()), key=lambda k: str(k.__name__))
        if kernel is not kernels.glu
    ),
    row(kernels.hard_sigmoid_keras2, x(3, 20, low=-4, high=4)),
    *(row(kernels.hard_sigmoid, x(3, 20, low=-5, high=5, seed=seed)) for seed in range(2)),
    row(kernels.hard_silu, x(3, 20, low=-5, high=5)),
    row(kernels.relu6, x(3, 20, low=-2, high=9)),
    *(row(kernels.leaky_relu, x(4, 9, seed=i), negative_slope=slope) for i, slope in enumerate((0.0, 0.3, 1.5, -0.4))),
    *(row(kernels.elu, x(4, 9, seed=i), alpha=alpha) for i, alpha in enumerate((0.0, 0.7, 1.3, -0.6))),
    *(row(kernels.celu, x(4, 9, seed=i), alpha=alpha) for i, alpha in enumerate((0.6, 2.0, -1.5))),
    row(kernels.gelu, x(3, 20), approximate=True),
    row(kernels.gelu, x(3, 20, low=-9, high=9), approximate=False),
    row(kernels.general_relu, x(3, 20), max_value=1.5, negative_slope=0.3, threshold=0.5),
    row(kernels.general_relu, x(3, 20), max_value=1.0),
    row(kernels.general_relu, x(3, 20), negative_slope=-0.3, threshold=-0.4),
    row(kernels.prelu, x(3, 4, 5), x(4, 5, seed=1)),
    row(kernels.prelu, x(3, 4, 5), x(1, 5, seed=2)),
    row(kernels.glu, x(3, 4, 6)),
    row(kernels.glu, x(3, 4, 6), axis=1),
    row(kernels.hard_shrink, x(3, 20), threshold=1.2),
    row(kernels.soft_shrink, x(3, 20), threshold=0.3),
    row(kernels.squareplus, x(3, 20), b=0.7),
    row(kernels.threshold, x(3, 20), threshold=0.4, default_value=-2.0),
    *(row(kernel, x(3, 4, 5), axis=axis) for kernel in (kernels.softmax, kernels.log_softmax) for axis in (1, -1)),
    row(kernels.softmax, x(3, 2, 4, 2), axis=(1, 3)),
    row(kernels.joint_softmax, x(3, 2, 4, 2), axis=(1, 3)),
    *(
        row(kernels.sparsemax, scale * x(4, 5, 3, seed=i), axis=axis)
        for i, (scale, axis) in enumerate([(1, 1), (0.2, -1), (4, -1)])
    ),
    row(kernels.sigmoid, x(3, 20, low=-40, high=40)),
    row(kernels.softplus, x(3, 20, low=-40, high=40)),
    row(kernels.mish, x(3, 20, low=-30, high=30)),
]

UNARY: list[Row] = [
    *(
        row(kernel, x(3, 4))
        for kernel in (
            *(np.negative, np.abs, np.exp, np.exp2, np.expm1, np.square, np.sin, np.cos, np.tanh, np.sinh, np.cosh),
            *(np.arctan, np.arcsinh, np.deg2rad, np.rad2deg, np.sinc, np.nan_to_num, np.real, np.conj, kernels.erf),
            *(kernels.erfc, kernels.bessel_i0, kernels.identity),
        )
    ),
    *(row(kernel, positive(3, 4)) for kernel in (np.log, np.log1p, np.log2, np.log10, np.sqrt, np.reciprocal, np.cbrt)),
    *(row(kernel, x(3, 4, low=-0.9, high=0.9)) for kernel in (np.arcsin, np.arccos, np.arctanh, kernels.erfinv)),
    row(np.arccosh, x(3, 4, low=1.1, high=3)),
    row(np.tan, x(3, 4, low=-1.2, high=1.2)),
    row(np.cbrt, -positive(3, 4)),
    row(np.reciprocal, -positive(3, 4)),
    row(kernels.rsqrt, positive(3, 4)),
    row(kernels.bessel_i0, x(3, 4, low=-30, high=30)),
    row(kernels.clip, x(3, 9), x_min=-1, x_max=0.7),
    row(kernels.cast, x(3, 4), dtype="float64"),
]

# Pairs of shapes that broadcast.
PAIRS = [((3, 4), (3, 4)), ((3, 4, 2), (4, 1)), ((3, 1), (3, 4)), ((3, 4), ())]
BINARY: list[Row] = [
    *(
        row(kernel, x(*left, seed=1), x(*right, seed=2))
        for kernel in (
            np.maximum,
            np.minimum,
            np.fmax,
            np.fmin,
            np.hypot,
            np.logaddexp,
            np.logaddexp2,
            np.arctan2,
            np.multiply,
        )
        for left, right in PAIRS
    ),
    *(
        row(kernel, x(*left, seed=1), positive(*right, seed=2))
        for kernel in (np.mod, np.fmod, np.divide, kernels.divide_no_nan)
        for left, right in PAIRS[:3]
    ),
    *(row(np.power, positive(*left, seed=1), x(*right, seed=2)) for left, right in PAIRS),
    *(row(np.power, x(3, 4), exponent) for exponent in (2, 2.0, 3, 1, -1)),
    row(np.power, positive(3, 4), 0.5),
    row(np.power, 10.0, x(3, 4)),
    *(
        row(kernel, x(3, 4), 0.5)
        for kernel in (np.maximum, np.minimum, np.hypot, np.logaddexp, np.mod, np.fmod, np.arctan2)
    ),
    *(row(kernel, 0.5, x(3, 4)) for kernel in (np.maximum, np.minimum, np.hypot, np.logaddexp, np.arctan2, np.divide)),
    row(np.ldexp, x(3, 4), np.arange(4)),
    row(np.where, x(3, 4) > 0, x(3, 4, seed=1), x(4, seed=2)),
    row(np.where, np.arange(12).reshape(3, 4) % 3, x(3, 4, seed=1), 0.0),
    row(kernels.divide_no_nan, x(3, 4), np.float64([[1, 3, 2, 1]])),
    row(kernels.cross, x(4, 3), x(4, 3, seed=1)),
    row(kernels.cross, x(4, 2), x(4, 2, seed=1)),
    row(kernels.cross, x(4, 2), x(4, 3, seed=1)),
    row(kernels.cross, x(4, 3), x(2, seed=1)),
    row(kernels.cross, x(4, 3, 2), x(4, 2, 3, seed=1), axisa=1, axisb=2, axisc=1),
    row(kernels.cross, x(4, 2, 5), x(4, 2, 5, seed=1), axisa=1, axisb=1),
]

SPECIAL: list[Row] = [
    *(
        row(kernels.logsumexp, x(3, 4, 5), axis=axis, keepdims=keepdims)
        for axis in (None, 1, -1, (1, 2), (0, 2))
        for keepdims in (False, True)
    ),
    row(kernels.cdist, x(2, 4, 3), x(2, 5, 3, seed=1)),
    row(kernels.cdist, x(2, 4, 3), x(5, 3, seed=1)),
    row(kernels.cdist, x(3, 2, 1), x(4, 1, seed=1)),
    row(kernels.psnr, part(3, 4), part(3, 4, seed=1), max_val=1.0),
    row(kernels.cosine, x(4, 3), x(4, 3, seed=1)),
    row(kernels.cosine, x(4, 3), x(4, 3, seed=1), epsilon=20.0),
    row(kernels.sample_norm, x(3, 2, 5), x(5, seed=1), x(5, seed=2)),
    row(kernels.sample_norm, x(3, 5), x(5, seed=1), x(5, seed=2), epsilon=0.1),
    *(row(kernels.srelu, x(6, 5, seed=s), *(x(5, seed=s + i) for i in range(1, 5))) for s in (0, 10, 20)),
    *(row(kernels.top_k, x(3, 6), k=k) for k in (1, 4, 6)),
    row(kernels.top_k, x(2, 3, 5), k=2),
    row(kernels.top_k, x(5), k=2),
    *(
        row(kernels.binary_crossentropy, part(3, 4), output, from_logits=logits)
        for output, logits in ((x(3, 4), True), (part(3, 4, seed=1), False))
    ),
    *(
        row(
            kernels.categorical_crossentropy, distributions(3, 4, 5, axis=axis), x(3, 4, 5), from_logits=True, axis=axis
        )
        for axis in (1, -1)
    ),
    *(row(kernels.categorical_crossentropy, part(3, 4, 5), part(3, 4, 5, seed=1), axis=axis) for axis in (1, -1)),
    row(kernels.sparse_categorical_crossentropy, np.array([0, 3, 1]), x(3, 4), from_logits=True),
    row(kernels.sparse_categorical_crossentropy, np.array([0, 3, 1]), part(3, 4)),
    row(kernels.sparse_categorical_crossentropy, np.array([0, 3, 1]), x(3, 4, low=-0.5, high=2)),
]


def name(part: Any) -> str:
    return str(part.__name__) if callable(part) else ""


# Where probabilities are clipped, float32 has few digits left.
CLIPPED = [row(kernels.binary_crossentropy, part(3, 4), x(3, 4))]
ROWS = [*ACTIVATIONS, *UNARY, *BINARY, *SPECIAL]


def shared(operands: tuple[Any, ...]) -> int:
    """The first operand without a batch axis: of fewer axes than the first array, or with a batch of 1."""
    first = next(operand for operand in operands if isinstance(operand, np.ndarray))
    places = (i for i, a in enumerate(operands) if isinstance(a, np.ndarray) and (a.ndim < first.ndim or len(a) == 1))
    return next(places, 99)


@pytest.mark.parametrize(("kernel", "operands", "settings"), [*ROWS, *CLIPPED], ids=name)
def test_differences(kernel: Any, operands: tuple[Any, ...], settings: dict[str, Any]) -> None:
    check(kernel, *operands, weights=shared(operands), **settings)


@pytest.mark.parametrize(("kernel", "operands", "settings"), ROWS, ids=name)
def test_single_precision(kernel: Any, operands: tuple[Any, ...], settings: dict[str, Any]) -> None:
    """Float32 stays float32, and is about as exact; an empty batch has an empty gradient."""
    if kernel is kernels.cast:
        return
    weights = shared(operands)
    graphs, found = [], []
    for dtype in ("float64", "float32"):
        narrow = [a.astype(dtype) if isinstance(a, np.ndarray) and a.dtype.kind == "f" else a for a in operands]
        graph = one_node(kernel, narrow, settings, weights)
        arrays = [a for i, a in enumerate(narrow) if isinstance(a, np.ndarray) and i < weights]
        outer = [
            np.cos(np.arange(y.size)).reshape(y.shape).astype(y.dtype) for y in map(np.asarray, graph.run(*arrays))
        ]
        graphs.append(graph)
        found.append(gradients(graph, arrays, outer))
    for key, wide in found[0].items():
        assert found[1][key].dtype == "float32", key
        assert np.abs(found[1][key] - wide).max(initial=0) <= 1e-4 * max(np.abs(wide).max(initial=0), 1), key
    empty = [a[:0] for a in arrays]
    if not arrays or any(value.shape[:1] != (None,) for value in map(graph.specs.get, graph.outputs) if value):
        return
    outer = [np.asarray(y) for y in graph.run(*empty)]
    for key, gradient in gradients(graph, empty, outer).items():
        assert gradient.shape == (
            graph.variables[key].shape if key in graph.variables else (0, *operands[int(key[1:])].shape[1:])
        )
        assert gradient.dtype == "float32"


def slopes(kernel: Any, *operands: Any, weights: int = 99, **settings: Any) -> list[np.ndarray]:
    """The gradients of the sum of a kernel's result."""
    graph = one_node(kernel, operands, settings, weights)
    arrays = [a for i, a in enumerate(operands) if isinstance(a, np.ndarray) and i < weights]
    outer = [np.ones_like(y) for y in graph.run(*arrays)]
    return list(gradients(graph, arrays, outer).values())


ENDS = np.array([[-1.0, 0.0, 1.0, 6.0]])


@pytest.mark.parametrize(
    ("kernel", "settings", "expected"),
    [
        (kernels.relu, {}, [0, 0, 1, 1]),
        (kernels.relu6, {}, [0, 0, 1, 0]),
        (kernels.leaky_relu, {"negative_slope": 0.5}, [0.5, 0.5, 1, 1]),
        (kernels.leaky_relu, {"negative_slope": -0.5}, [-0.5, -0.5, 1, 1]),
        (kernels.general_relu, {"max_value": 1.0}, [0, 0, 1, 0]),
        (kernels.threshold, {"threshold": 1.0, "default_value": 3.0}, [0, 0, 0, 1]),
        (kernels.clip, {"x_min": -1, "x_max": 1}, [1, 1, 1, 0]),
        (kernels.hard_tanh, {}, [1, 1, 1, 0]),
        (kernels.hard_shrink, {"threshold": 1.0}, [0, 0, 0, 1]),
        (kernels.sparse_sigmoid, {}, [0, 0.5, 0, 0]),
        (kernels.round_levels, {}, [1, 1, 1, 1]),
        (kernels.round_bfloat16, {}, [1, 1, 1, 1]),
        (np.abs, {}, [-1, 0, 1, 1]),
        (np.sinc, {}, [1, 0, -1, 1 / 6]),
        (np.rint, {}, [0, 0, 0, 0]),
        (np.floor, {}, [0, 0, 0, 0]),
        (np.sign, {}, [0, 0, 0, 0]),
        (np.isnan, {}, [0, 0, 0, 0]),
    ],
    ids=name,
)
def test_corners(kernel: Any, settings: dict[str, Any], expected: list[float]) -> None:
    """What TensorFlow gives where the slope jumps."""
    (found,) = slopes(kernel, ENDS.copy(), **settings)
    np.testing.assert_allclose(found, [expected], atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "first"),
    [
        (np.maximum, [0, 1, 1]),
        (np.minimum, [1, 1, 0]),
        (np.fmax, [0, 1, 1]),
        (np.fmin, [1, 1, 0]),
    ],
    ids=name,
)
def test_ties(kernel: Any, first: list[float]) -> None:
    """The first of equal numbers takes all."""
    left, right = slopes(kernel, np.array([[1.0, 2.0, 3.0]]), np.array([[2.0, 2.0, 2.0]]))
    np.testing.assert_array_equal(left, [first])
    np.testing.assert_array_equal(right, 1 - left)


def test_missing_numbers() -> None:
    left, right = slopes(np.fmax, np.array([[np.nan, 2.0]]), np.array([[1.0, np.nan]]))
    np.testing.assert_array_equal([left[0], right[0]], [[0, 1], [1, 0]])
    (finite,) = slopes(np.nan_to_num, np.array([[np.nan, 2.0, np.inf]]))
    np.testing.assert_array_equal(finite, [[0, 1, 0]])


def test_by_nothing() -> None:
    """A quotient without NaN, and what is chosen where a step is."""
    a, b = slopes(kernels.divide_no_nan, np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
    np.testing.assert_array_equal([a[0], b[0]], [[0, 0.25], [0, -0.125]])
    step, middle = slopes(np.heaviside, np.array([[-1.0, 0.0, 1.0]]), np.array([[5.0, 6.0, 7.0]]))
    np.testing.assert_array_equal([step[0], middle[0]], [[0, 0, 0], [0, 1, 0]])
    a, b = slopes(np.power, np.array([[-2.0, 0.0]]), np.array([[2.0, 2.0]]))
    np.testing.assert_array_equal([a[0], b[0]], [[-4, 0], [0, 0]])


def test_fake_quantisation() -> None:
    """Straight through within the bounds, which take what is clipped."""
    x = np.array([[-3.0, -0.5, 0.2, 0.7, 9.0, 8.0]])
    found = slopes(kernels.fake_quant, x, np.array(-1.0), np.array(1.0), weights=1)
    np.testing.assert_array_equal(found[0], [[0, 1, 1, 1, 0, 0]])
    assert [float(bound) for bound in found[1:]] == [1, 2]
    x = np.array([[-3.0, 0.5], [0.2, 7.0]])
    found = slopes(kernels.fake_quant, x, np.array([-1.0, 0.0]), np.array([1.0, 0.0]), weights=1, axis=-1)
    np.testing.assert_array_equal(found[0], [[0, 1], [1, 1]])
    np.testing.assert_array_equal(found[1:], [[1, 0], [0, 0]])


def test_casts() -> None:
    (wide,) = slopes(kernels.cast, np.float32([[1, 2]]), dtype="float64")
    assert wide.dtype == "float32"
    (whole,) = slopes(kernels.cast, np.float32([[1, 2]]), dtype="int32")
    np.testing.assert_array_equal(whole, [[0, 0]])


HOLOMORPHIC = [np.exp, np.sqrt, np.square, np.sin, np.cosh, np.negative, np.reciprocal, np.log, np.conj, np.tan]


@pytest.mark.parametrize("kernel", [*HOLOMORPHIC, np.abs, np.angle, np.real, np.imag], ids=name)
def test_complex(kernel: Any) -> None:
    """The real and the imaginary part of the gradient are the derivatives by those of the operand."""
    x = np.array([[0.7 + 0.4j, -0.3 + 1.1j, 0.5 - 0.8j]])
    outer = np.array([[0.6 - 0.2j, 1.1 + 0.4j, -0.5 + 0.9j]])

    def loss(x: np.ndarray) -> float:
        return float(np.sum((outer.conj() * kernel(x)).real))

    graph = one_node(kernel, (x,), {})
    derivative = differentiate(graph, ["x0"])
    values = graph.trace(x)
    d = outer if np.iscomplexobj(values[graph.outputs[0]]) else outer.real
    back = derivative.graph.check().trace(*(values[name] for name in derivative.saved), d)
    for i in range(3):
        for step in (1e-5, 1e-5j):
            shift = np.zeros_like(x)
            shift[0, i] = step
            slope = (loss(x + shift) - loss(x - shift)) / 2e-5
            found = back[derivative.gradients["x0"]][0, i]
            assert abs((found.imag if step.imag else found.real) - slope) < 1e-7
