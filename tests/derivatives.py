"""Derivatives against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any

import numpy as np

from kerasgen.backward import differentiate
from kerasgen.graph.infer import infer
from kerasgen.graph.ir import Graph, Node, Value

STEP = 1e-5


def one_node(
    kernel: Callable[..., Any], operands: Sequence[Any], attrs: dict[str, Any], weights: int | Container[int] = 99
) -> Graph:
    """A graph of one call. Arrays are its inputs, with an open batch, but operands in `weights` are its variables.

    A number means all from that operand on.
    """
    weights = range(weights, len(operands)) if isinstance(weights, int) else weights
    names = [f"x{i}" if isinstance(operand, np.ndarray) else operand for i, operand in enumerate(operands)]
    arrays = {name: array for name, array in zip(names, operands, strict=True) if isinstance(array, np.ndarray)}
    variables = {f"x{i}": array for i, array in enumerate(operands) if i in weights and isinstance(array, np.ndarray)}
    specs = {
        name: Value(name, array.shape if name in variables else (None, *array.shape[1:]), array.dtype.name)
        for name, array in arrays.items()
    }
    forms = infer(kernel, [specs.get(name, name) if isinstance(name, str) else name for name in names], attrs)
    outputs = [Value(f"y{i}", shape, dtype) for i, (shape, dtype) in enumerate(forms)]
    inputs = tuple(value for name, value in specs.items() if name not in variables)
    results = tuple(value.name for value in outputs)
    specs.update((value.name, value) for value in outputs)
    nodes = (Node(results, kernel, tuple(names), attrs),)
    return Graph(inputs, nodes, results, {}, results, specs=specs, variables=variables).check()


def gradients(graph: Graph, arrays: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients of Σ weight * output in every float input and variable, by the backward pass."""
    wanted = [value.name for value in graph.inputs if np.dtype(value.dtype).kind == "f"]
    wanted += [name for name, array in graph.variables.items() if array.dtype.kind == "f"]
    derivative = differentiate(graph, wanted)
    values = graph.trace(*arrays)
    reached = [array for array, name in zip(weights, derivative.d_outputs, strict=True) if name]
    back = derivative.graph.check().trace(*(values[name] for name in derivative.saved), *reached)
    return {name: back[gradient] for name, gradient in derivative.gradients.items()}


def check(
    kernel: Callable[..., Any], *operands: Any, weights: int | Container[int] = 99, within: float = 1e-6, **attrs: Any
) -> None:
    """Compare the derivative of a kernel in every float64 operand with central differences.

    The arrays in `weights`, or from that operand on, have no batch axis. Raises AssertionError where they differ by
    more than `within` of the largest one.
    """
    weights = range(weights, len(operands)) if isinstance(weights, int) else weights
    graph = one_node(kernel, operands, attrs, weights)
    arrays = [array for i, array in enumerate(operands) if isinstance(array, np.ndarray) and i not in weights]
    random = np.random.RandomState(3)
    answers = [np.asarray(y) for y in graph.run(*arrays)]
    outer = [random.uniform(0.5, 1.5, y.shape).astype(y.dtype) for y in answers]

    def loss() -> float:
        return float(sum(np.sum(a * y) for a, y in zip(outer, graph.run(*arrays), strict=True)))

    got = gradients(graph, arrays, outer)
    for name, gradient in got.items():
        array = operands[int(name[1:])]
        assert gradient.shape == array.shape, f"{name}: {gradient.shape} for {array.shape}"
        assert gradient.dtype == array.dtype, f"{name}: {gradient.dtype}"
        expected = np.zeros(array.shape)
        for cell in np.ndindex(*array.shape):
            number = array[cell]
            array[cell] = number + STEP
            above = loss()
            array[cell] = number - STEP
            expected[cell] = (above - loss()) / (2 * STEP)
            array[cell] = number
        error = np.abs(gradient - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-3)
        assert error <= within, f"{name}: {error:.1e}"
