"""Finds the layers of a model that can be computed in several ways, as calls to time.

`kerasgen.emit.runtime.tuning` times them, either here or in a module on another machine.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from kerasgen.emit.tunable import Way, Work
from kerasgen.errors import UsageError
from kerasgen.graph.facts import setting
from kerasgen.graph.ir import Graph, Node, Shape
from kerasgen.graph.plan import Plan
from kerasgen.kernels.threads import Buffer, thread_count
from kerasgen.passes import PIPELINES, passes
from kerasgen.passes.plan.choose_kernels import Choice, candidates, choose_exact_kernels, choose_kernels

CHOOSERS = {choose_kernels.__name__: False, choose_exact_kernels.__name__: True}  # whether the kernels are exact


@dataclass(frozen=True)
class Works:
    """The works of a model, the maximum samples per run, None for any number, and how many threads share a layer."""

    all: tuple[Work, ...]
    max_batch: int | None
    threads: int

    def by_layer(self) -> dict[str, Work]:
        """The work of each layer."""
        return {layer: work for work in self.all for layer in work[1]}


def works_of(graph: Graph, level: int, source: str) -> Works:
    """The works of a graph at this level of optimisation.

    Raises UsageError if the level leaves no choice of kernels, or if a size of an input is known only at run time.
    """
    steps = list(passes(PIPELINES[level]))
    at = next((i for i, step in enumerate(steps) if step.__name__ in CHOOSERS), None)
    if at is None:
        raise UsageError("textbook kernels leave nothing to tune: use `optimize=1` or `optimize=2`")
    for value in graph.inputs:
        if None in value.shape[1:]:
            sizes = f"input {value.name!a} leaves a size open"
            raise UsageError(f"{source}: {sizes}, so layers cannot be timed: give the `input_shape`")
    before = _passed(Plan(graph), steps[:at])
    after = _passed(before, steps[at:])
    exact = CHOOSERS[steps[at].__name__]
    finals = _Finals(after.graph)
    found: dict[str, Work] = {}
    for node in before.graph.nodes:
        choices = candidates(node, before.graph, exact=exact)
        final = finals.of(node) if choices else None
        if final is None:
            continue
        text = _described(node, final, before.graph)
        ways = {name: way for name, choice in choices.items() if (way := _way(choice, node, final, before.graph))}
        default = ways.get(next(iter(choices)))
        if text and default and (len(ways) > 1 or "out" in default[2]):  # a kernel with a buffer has blocks, too
            layers = found[text][1] if text in found else ()
            found[text] = text, (*layers, node.output), ways
    count = thread_count(os.environ.get("KERASGEN_THREADS") or after.threads, os.cpu_count())
    return Works(tuple(found.values()), after.max_batch, count)


def _passed(plan: Plan, steps: list[Any]) -> Plan:
    for step in steps:
        plan = step(plan).check()
    return plan


class _Finals:
    """The nodes of a finished graph by the weight that they read, in the graph's order."""

    def __init__(self, graph: Graph) -> None:
        self.nodes: dict[str, list[Node]] = {}
        for node in graph.nodes:
            if len(node.inputs) > 1:
                self.nodes.setdefault(str(node.inputs[1]), []).append(node)

    def of(self, node: Node) -> Node | None:
        """The final node of a layer. Layers that share a weight must ask in the graph's order."""
        nodes = self.nodes.get(str(node.inputs[1]), [])
        return nodes.pop(0) if nodes else None


def _way(choice: Choice, node: Node, final: Node, graph: Graph) -> Way | None:
    """A choice as a call that does everything that the final node does, with its residual, activation and border.

    None if the kernel does less than the final one, so that another line would have to do the rest.
    """
    chosen, layout = choice
    kernel, attrs = chosen.kernel, dict(chosen.attrs)
    residual = len(final.inputs) > 3
    x, weight = graph.specs[str(node.inputs[0])].shape, graph.weights[str(node.inputs[1])]
    for name in ("activation", "border"):
        if final.attrs.get(name) is not None:
            attrs[name] = final.attrs[name]
    needs = {name for name in ("activation", "border") if name in attrs} | ({"residual"} if residual else set())
    if any(setting(kernel, name) is None for name in needs):
        return None
    if isinstance(attrs.get("pad"), tuple) and setting(kernel, "border") and final.attrs.get("pad") is None:
        around = attrs.pop("pad")  # the layer before writes into it
        x = (x[0], *((n or 0) + a + b for n, (a, b) in zip(x[1:-1], around, strict=True)), x[-1])
    laid_out = layout[0](weight, **layout[1]).shape if layout else weight.shape
    bias = _shape(final.inputs[2], graph) if len(final.inputs) > 2 else None
    shapes = [x, laid_out, bias, *([graph.specs[node.output].shape] if residual else [])]
    if setting(kernel, "out"):
        attrs["out"] = Buffer
    return kernel, tuple(shapes), {key: value for key, value in attrs.items() if value is not None}


def _shape(operand: Any, graph: Graph) -> Shape | None:
    return graph.arrays[operand].shape if operand in graph.arrays else None


def _described(node: Node, final: Node, graph: Graph) -> str:
    """What a layer computes, with everything that its time depends on; "" if it cannot be timed from its shapes."""
    x, y = graph.specs[str(node.inputs[0])], graph.specs[node.output]
    if None in x.shape[1:] or x.shape[:1] != (None,) or (x.rows, y.rows) != (1, 1) or x.dtype != "float32":
        return ""
    weight = graph.weights.get(str(node.inputs[1]))
    if weight is None or weight.dtype != np.float32:
        return ""
    parts = [f"{node.kernel.__name__} of {_sizes(x.shape[1:])} by {_sizes(weight.shape)}"]
    parts += [f"{key}={_setting(value)}" for key, value in sorted(node.attrs.items()) if value is not None]
    activation, border = final.attrs.get("activation"), final.attrs.get("border")
    if activation is not None and node.attrs.get("activation") is None:
        parts.append(f"activation={_setting(activation)}")
    parts += [f"border={_setting(border)}"] if border else []
    parts += ["bias"] * (len(final.inputs) > 2 and final.inputs[2] is not None) + ["residual"] * (len(final.inputs) > 3)
    return ", ".join(parts)


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _setting(value: Any) -> str:
    return str(value.__name__ if callable(value) else value)
