"""What is in a model: its layers with their shapes, parameters and multiplications, and what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from kerasgen.builder import Built
from kerasgen.display import Display, Displayed, Table, count
from kerasgen.graph.facts import multiply_adds
from kerasgen.graph.ir import Node, Shape, Value


@dataclass(frozen=True)
class LayerSummary:
    """One layer. `macs` counts multiply-adds for one sample; None where a size is not known, or the layer unsupported.

    `parameters` are those that the file holds, where the layer could not be built. `note` is a Lambda's expression.
    """

    name: str
    kind: str
    shapes: tuple[Shape, ...] | None
    parameters: int
    macs: int | None
    problem: str
    note: str = ""


@dataclass(frozen=True)
class StepCost:
    """Of one call of `forward` and `backward`.

    `saved_bytes` is what the forward pass hands to the backward pass, for each sample; `peak_bytes` what the arrays of
    both take at most, for each sample. Whatever the batch, `weight_bytes` are the gradients of the weights, and
    `block_bytes` what kernels need inside to work block by block. `macs` counts multiply-adds for a sample. What
    depends on a size that is known only at run time is None.
    """

    saved_bytes: int | None
    peak_bytes: int | None
    weight_bytes: int
    block_bytes: int
    macs: int | None


@dataclass(frozen=True)
class Summary(Displayed):
    """A model: where it came from, what goes in and out, its layers, and every unsupported one with the reason.

    The shape and the dtype of an output are None where they are not known: they depend on an unsupported layer.
    `gradients` tells what a step of training takes, if that was asked.
    """

    source: str
    keras_version: str
    inputs: tuple[tuple[str, Shape, str], ...]
    outputs: tuple[tuple[str, Shape | None, str | None], ...]
    layers: tuple[LayerSummary, ...]
    problems: tuple[str, ...]
    gradients: StepCost | None = None

    @property
    def parameters(self) -> int:
        """Parameters of all layers, as `model.count_params()` counts them."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int | None:
        """Multiply-adds of all layers for one sample."""
        counts = [layer.macs for layer in self.layers]
        return None if None in counts else sum(count or 0 for count in counts)

    def display(self) -> Display:
        """A table of the layers, then the totals and what is unsupported."""
        rows = [
            (
                *(layer.name, layer.kind, ", ".join(map(str, layer.shapes)) if layer.shapes is not None else "?"),
                *(count(layer.parameters), count(layer.macs)),
            )
            for layer in self.layers
        ]
        wrong = {row for row, layer in enumerate(self.layers) if layer.problem}
        table = Table(("layer", "kind", "output shape", "parameters", "MACs"), rows, numbers=2, wrong=wrong)
        sentences = [f"{self.source}: written by Keras {self.keras_version or 'unknown'}"]
        sentences += (
            f"{title} {name} {shape or '?'} {dtype or '?'}"
            for title, values in (("input", self.inputs), ("output", self.outputs))
            for name, shape, dtype in values
        )
        sentences.append(f"{self.parameters:,} parameters, {count(self.macs)} MACs for one sample")
        cost = self.gradients
        if cost is not None:
            sentences.append(
                f"a step of training: {count(cost.macs)} MACs for one sample; {count(cost.saved_bytes)} bytes saved, "
                f"{count(cost.peak_bytes)} bytes at the peak, and {cost.weight_bytes + cost.block_bytes:,} bytes for "
                "the gradients of the weights and for blocks"
            )
        sentences += [f"{layer.name}: {layer.note}" for layer in self.layers if layer.note]
        return Display([table], sentences, [f"unsupported: {problem}" for problem in self.problems])

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {**asdict(self), "parameters": self.parameters, "macs": self.macs}


def summarize(built: Built) -> Summary:
    """The summary of a built model.

    Raises InvalidModelError or FileError where layers are unsupported and the file of weights cannot be read.
    """
    nodes: dict[str, list[Node]] = {}
    for node in built.graph.nodes:
        nodes.setdefault(node.layer, []).append(node)
    stored = _stored(built) if any(layer.variables is None for layer in built.layers) else {}
    rows = []
    for layer in built.layers:
        if layer.variables is None:
            rows.append(LayerSummary(layer.name, layer.kind, layer.shapes, stored[layer.name], None, layer.problem))
            continue
        parameters = sum(math.prod(variable.shape) for variable in layer.variables if not variable.state)
        counts = [multiply_adds(node, built.specs) for node in nodes.get(layer.name, [])]
        macs = None if None in counts else sum(count or 0 for count in counts)
        rows.append(LayerSummary(layer.name, layer.kind, layer.shapes, parameters, macs, layer.problem, layer.note))
    outputs = zip(built.graph.output_names, built.outputs, strict=True)
    return Summary(
        built.file.source,
        built.file.keras_version,
        tuple((value.name, value.shape, value.dtype) for value in built.graph.inputs),
        tuple((name, *_shape_and_dtype(value, built.specs)) for name, value in outputs),
        tuple(rows),
        built.problems,
    )


def _stored(built: Built) -> dict[str, int]:
    """How many parameters the file has for each layer by its name, those of what it wraps included."""
    counts = {layer.name: 0 for layer in built.layers}
    for path, shapes in built.file.weights.shapes(built.file.model, built.variables).items():
        around = ("/".join(path[:length]) for length in range(len(path), 0, -1))
        name = next((name for name in around if name in counts), None)
        if name is not None:
            counts[name] += sum(map(math.prod, shapes))
    return counts


def _shape_and_dtype(name: str | None, specs: Mapping[str, Value]) -> tuple[Shape | None, str | None]:
    return (None, None) if name is None else (specs[name].shape, specs[name].dtype)
