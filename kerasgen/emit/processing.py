"""What a module has around `predict`: images become the model's input, its output becomes names of classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kerasgen.errors import UsageError
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph
from kerasgen.kernels import classify
from kerasgen.names import printable

Scaling = str | tuple[float, float]

# What keras.applications.imagenet_utils.preprocess_input does to RGB from 0 to 255 in each of its modes.
MODES = {
    "tf": "x / 127.5 - 1.0",
    "torch": "(x / 255.0 - np.array([0.485, 0.456, 0.406], np.float32)) / np.array([0.229, 0.224, 0.225], np.float32)",
    "caffe": "x[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)",
}


def scaling(preprocess: str | Sequence[float]) -> Scaling:
    """One of MODES, or the factor and the summand in a text such as `1/255,0` or in a pair. Raises UsageError."""
    if isinstance(preprocess, str) and preprocess in MODES:
        return preprocess
    parts = preprocess.split(",") if isinstance(preprocess, str) else preprocess
    try:
        scale, offset = (_number(part) if isinstance(part, str) else float(part) for part in parts)
        if scale and math.isfinite(scale) and math.isfinite(offset):
            return scale, offset
    except (TypeError, ValueError, ZeroDivisionError):
        pass
    raise UsageError(
        f"preprocess is {', '.join(MODES)} or SCALE,OFFSET as 1/255,0, not {printable(str(preprocess))[:80]}"
    )


def _number(text: str) -> float:
    """The value of a number or a fraction, as 1/255."""
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(numerator)


class Images(NamedTuple):
    """What a model takes: images of this size, None for any, with this many channels; how to arrange (N, H, W, C)."""

    size: tuple[int | None, ...]
    channels: int
    arrange: str


@dataclass(frozen=True)
class Processing:
    """The names of the classes, and how the pixels of images are scaled; either may be missing."""

    labels: tuple[str, ...] = ()
    scaling: Scaling | None = None

    def check(self, graph: Graph) -> None:
        """Raise UsageError where these labels are not the model's, or its input is not images."""
        if self.labels:
            self._check_labels(graph)
        if self.scaling is not None:
            self._images(graph)

    @property
    def suffix(self) -> str:
        """What the name of a file with an input ends with, in an example."""
        return ".npy" if self.scaling is None else ".png"

    def public(self) -> Iterator[str]:
        """The names in the module that are meant for others."""
        yield from ("LABELS", "classify") if self.labels else ()
        yield from ("preprocess",) if self.scaling is not None else ()

    def functions(self) -> Iterator[Callable[..., Any]]:
        """The functions that the module must contain."""
        if self.scaling is not None:
            yield classify.fit_images
        if self.labels:
            yield classify.top_classes

    def printed(self, graph: Graph) -> dict[str, Any]:
        """What the template prints."""
        return {
            "labels": repr(self.labels) if self.labels else "",
            "scores": self._scores(graph),
            "preprocess": [] if self.scaling is None else list(self._lines(graph)),
            "arguments": ", preprocess=preprocess" * (self.scaling is not None)
            + ", classify=classify" * bool(self.labels),
        }

    def _check_labels(self, graph: Graph) -> None:
        name, spec = graph.output_names[0], graph.specs[graph.outputs[0]]
        if len(spec.shape) != 2 or spec.dtype not in ("float16", "float32", "float64"):
            raise UsageError(
                f"`labels` are for scores, (N, classes); {name!r} has the shape {spec.shape}, {spec.dtype}"
            )
        classes = spec.shape[1]
        if classes == 1:
            if len(self.labels) != 2:
                raise UsageError(f"{name!r} is one probability, of the second of 2 labels, not {len(self.labels)}")
            if _is_linear(graph, graph.outputs[0]):
                raise UsageError(f"{name!r} ends without an activation: no probability, so there are no labels for it")
        elif classes != len(self.labels):
            raise UsageError(f"{name!r} has {classes} classes, not the {len(self.labels)} of the labels")

    def _scores(self, graph: Graph) -> str:
        """The first output of `predict`."""
        call = f"predict({', '.join(value.name for value in graph.inputs)})"
        if graph.keyed:
            return f"{call}[{graph.output_names[0]!a}]"
        return f"{call}[0]" if len(graph.output_names) > 1 else call

    def _lines(self, graph: Graph) -> Iterator[str]:
        """The lines of `preprocess`."""
        images = self._images(graph)
        yield f"x = fit_images(images, size={images.size}, channels={images.channels})"
        if images.arrange:
            yield f"x = {self._scaled()}"
        yield f"return x{images.arrange}" if images.arrange else f"return {self._scaled()}"

    def _scaled(self) -> str:
        """The pixels as numbers that the model knows."""
        if isinstance(self.scaling, str):
            return MODES[self.scaling]
        scale, offset = self.scaling or (1.0, 0.0)
        return f"x * {scale!r}" + (f" {'-' if offset < 0 else '+'} {abs(offset)!r}" if offset else "")

    def _images(self, graph: Graph) -> Images:
        if len(graph.inputs) != 1:
            raise UsageError(f"`preprocess` is for a model with one input, not {len(graph.inputs)}")
        (value,) = graph.inputs
        shape = value.shape[1:]
        if len(shape) == 2:
            images = Images(shape, 1, "[..., 0]")
        elif len(shape) == 3 and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4):
            images = Images(shape[1:], shape[0], ".transpose(0, 3, 1, 2)")
        else:
            images = Images(shape[:-1], shape[-1] or 0, "")
        if len(images.size) != 2 or images.channels not in (1, 3, 4) or not value.dtype.startswith("float"):
            raise UsageError(f"`preprocess` is for images; {value.name!r} has the shape {value.shape}, {value.dtype}")
        if self.scaling in ("torch", "caffe") and images.channels != 3:
            raise UsageError(f"`preprocess={self.scaling!r}` is for RGB; {value.name!r} has the shape {value.shape}")
        return images


def _is_linear(graph: Graph, name: str) -> bool:
    """Whether a value is a weighted sum: what logits are, and no probability is."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    node = makers.get(name)
    while node is not None and facts(node.kernel).moves:
        node = makers.get(next((part for part in node.inputs if part in makers), ""))
    return node is not None and bool(facts(node.kernel).output_axes) and node.attrs.get("activation") is None
