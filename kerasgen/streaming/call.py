"""The interface of the rules: one node of the graph, with methods to read its timing and to emit nodes of `step`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import setting
from kerasgen.graph.ir import Node, Operand, Value
from kerasgen.kernels.streaming import conv_steps, over_windows
from kerasgen.streaming.clock import Fill, Timing


class Refused(Exception):
    """Why a node cannot compute its steps as they arrive. With a delay of `ahead` input steps, it could."""

    def __init__(self, reason: str, ahead: int = 0) -> None:
        super().__init__(f"{reason}, with a delay of {in_words(ahead)} it could be done" if ahead else reason)


def in_words(count: int) -> str:
    """A number of steps as text: "1 step", "2 steps"."""
    return f"{count} step{'s' * (count != 1)}"


class Walk(Protocol):
    """The graph of `step` that a rule adds to: see `kerasgen.streaming.walk`.

    `memory` holds the names of the states of stateful layers; `unread`, the values that only these states read.
    """

    memory: set[str]
    unread: set[str]

    def value(self, name: str) -> Value:
        """The name, shape and dtype of a value or a weight of the graph."""

    def timing(self, name: str) -> Timing | None:
        """The timing of a value; None if it has no steps."""

    def current(self, name: str) -> str:
        """The name of a value of the graph in `step`."""

    def new_name(self, name: str) -> str:
        """An unused name, derived from `name`."""

    def add(self, node: Node) -> None:
        """Add a node to `step`."""

    def remember(self, key: str, value: Value, fill: Fill) -> tuple[str, str]:
        """Add an array to the state; returns its names before and after the step."""

    def complete_windows(self, x: str, first: Value, fill: Fill, settings: dict[str, Any], layer: str) -> str:
        """The steps of `x` in complete windows, shared by nodes with equal windows. `first` is the initial state."""


# Kernels that accept an array of no steps and return one.
TAKE_NO_STEPS = (conv_steps, kernels.pad, kernels.crop, kernels.get_item, kernels.identity)
Rule = Callable[["Call"], None]


class Call:
    """A node while its rule runs."""

    def __init__(self, walk: Walk, node: Node, results: dict[str, tuple[str, Timing]]) -> None:
        self.walk = walk
        self.node = node
        self.attrs = node.attrs
        self.results = results  # for each output, its name in `step` and its timing

    @property
    def timed(self) -> tuple[str, ...]:
        """The operands that have steps, without duplicates."""
        return tuple(dict.fromkeys(name for name in self.node.reads if self.walk.timing(name)))

    def timing(self, name: Operand) -> Timing:
        """The timing of an operand. Raises Refused if it has no steps."""
        found = self.walk.timing(name) if isinstance(name, str) else None
        if found is None:
            raise Refused(f"{self.node.kernel.__name__} reads no steps where it should")
        return found

    def rank(self, name: Operand) -> int:
        """The number of axes of an operand."""
        return len(self.shape(name))

    def shape(self, name: Operand) -> tuple[int | None, ...]:
        """The shape of an operand; () for a literal."""
        return self.walk.value(name).shape if isinstance(name, str) else ()

    def axes(self, key: str, rank: int, default: Any = -1) -> set[int]:
        """The axes that a setting names, counted from 0; all of them if it is None."""
        value = self.attrs.get(key, default)
        return set(range(rank)) if value is None else {int(axis) % rank for axis in np.ravel(value)}

    def operands(self) -> tuple[Operand, ...]:
        """The names of the operands in `step`, with the faster ones held back until all have the same steps."""
        timings = [self.timing(name) for name in self.timed]
        first = timings[0]
        if any((t.full, t.axis) != (first.full, first.axis) for t in timings):
            raise Refused("it joins values whose steps do not belong together: their strides, or their lengths, differ")
        leads = [(timing.ready - first.ready) for timing in timings]
        if None in leads:
            raise Refused("it joins values whose steps become ready in turns")
        least = min(lead or 0 for lead in leads)
        names = {}
        for name, timing, lead in zip(self.timed, timings, leads, strict=True):
            waits = (lead or 0) - least
            if waits and timing.axis == 0:
                raise Refused("it joins branches of different delays behind the last step")
            names[name] = self.hold_back(name, waits) if waits else self.walk.current(name)
        return tuple(names.get(i, self.walk.current(i)) if isinstance(i, str) else i for i in self.node.inputs)

    def joint(self) -> Timing:
        """The timing of a value computed from `operands`."""
        timings = [self.timing(name) for name in self.timed]
        slowest = min(timings, key=lambda timing: (timing.ready - timings[0].ready) or 0)
        return replace(slowest, ahead=tuple(dict.fromkeys(layer for t in timings for layer in t.ahead)))

    def hold_back(self, name: str, steps: int) -> str:
        """A value delayed by this many steps."""
        cells, held = self.complete_windows(name, span=steps + 1), self.walk.new_name(name)
        self.walk.add(Node((held,), kernels.crop, (cells,), {"crops": ((0, steps),)}, self.node.layer))
        return held

    def keep(self, timing: Timing | None = None, **attrs: Any) -> None:
        """Keep the node as it is, with these settings changed: it computes each step by itself."""
        operands = self.operands()
        node = self.node.with_attrs(**attrs) if attrs else self.node
        self.walk.add(replace(node, inputs=operands))
        timing = self.joint() if timing is None else timing
        self.results.update((name, (name, timing)) for name in node.outputs)

    def rename(self, name: str, timing: Timing) -> None:
        """Let the output be an existing value of `step`."""
        self.results[self.node.output] = (name, timing)

    def emit(
        self, kernel: Callable[..., Any], operands: Sequence[Operand], timing: Timing, attrs: Mapping[str, Any]
    ) -> None:
        """Compute the only output with another kernel."""
        self.walk.add(Node((self.node.output,), kernel, tuple(operands), attrs, self.node.layer))
        self.results[self.node.output] = (self.node.output, timing)

    def complete_windows(self, x: str, *, span: int, hop: int = 1, before: int = 0, fill: Fill = 0.0) -> str:
        """The steps of a value in complete windows, following a state that begins with `before` steps."""
        value = self.walk.value(x)
        if span == hop == 1 and not before:
            return self.walk.current(x)
        skip = max(0, hop - span)  # steps between two windows belong to the later one
        settings = {"span": max(span, hop), **({"hop": hop} if hop > 1 else {}), **({"skip": skip} if skip else {})}
        first = replace(value, shape=(None, before + skip, *value.shape[2:]))
        return self.walk.complete_windows(self.walk.current(x), first, fill, settings, self.node.layer)

    def windows(
        self,
        kernel: Callable[..., Any],
        weights: Sequence[Operand] = (),
        *,
        span: int,
        hop: int = 1,
        before: int = 0,
        after: int = 0,
        fill: Fill = 0.0,
        settings: Mapping[str, Any],
    ) -> None:
        """Compute the output from windows with a kernel; a pad adds `before` and `after` steps at the ends.

        A kernel that does not accept an array of no steps is called through `over_windows`.
        """
        x, weights = str(self.node.inputs[0]), list(weights)
        while weights and weights[-1] is None:
            weights.pop()
        timing = self.timing(x)
        cells = self.complete_windows(x, span=span, hop=hop, before=before, fill=fill)
        ready = timing.ready.moved(before).windows(span, hop)
        full = timing.full.moved(before + after).windows(span, hop)
        settings = {key: each for key, each in settings.items() if not _is_default(kernel, key, each)}
        if kernel not in TAKE_NO_STEPS:
            kernel, settings = over_windows, {"kernel": kernel, "span": span, **settings}
        operands = (cells, *(self.walk.current(i) if isinstance(i, str) else i for i in weights))
        self.emit(kernel, operands, self.later(replace(timing, ready=ready, full=full), after), settings)

    def later(self, timing: Timing, after: int) -> Timing:
        """The timing of a layer that looks ahead by `after` steps of its operand."""
        if not after:
            return timing
        waits = math.ceil(after / self.timing(self.node.inputs[0]).ready.rate)
        return replace(timing, ahead=(*timing.ahead, (self.node.layer, waits)))


def _is_default(kernel: Callable[..., Any], key: str, value: Any) -> bool:
    parameter = setting(kernel, key)
    return parameter is not None and parameter.default is not parameter.empty and parameter.default == value
