"""The exact number of steps of a value after any number of input steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True)
class Clock:
    """A function of the number t of input steps: n = t, then n = repeat * ⌊(n + offset) / stride⌋ by stage, + shift.

    Equal functions have equal forms: 0 <= shift < repeat of the last stage, and stages are merged wherever possible:
    ⌊(⌊(n + a) / s⌋ + b) / r⌋ = ⌊(n + a + s b) / (s r)⌋. A stride after a repeat keeps its own stage only if neither of
    them divides the other.
    """

    stages: tuple[tuple[int, int, int], ...] = ((0, 1, 1),)  # offset, stride, repeat
    shift: int = 0

    def moved(self, steps: int) -> Clock:
        """The clock of a value with this many more steps, or fewer if negative."""
        *before, (offset, stride, repeat) = self.stages
        whole, shift = divmod(self.shift + steps, repeat)
        return Clock((*before, (offset + whole * stride, stride, repeat)), shift)

    def strided(self, by: int) -> Clock:
        """The clock of a value with one step for every `by` complete ones: ⌊n / by⌋."""
        *before, (offset, stride, repeat) = self.stages
        common = math.gcd(repeat, by)
        repeat, by, shift = repeat // common, by // common, self.shift // common
        if by == 1:
            return Clock((*before, (offset, stride, repeat)), shift)
        if repeat == 1:
            return Clock((*before, (offset, stride * by, 1)))
        return Clock((*self.stages[:-1], (offset, stride, repeat), (shift, by, 1)))

    def repeated(self, times: int) -> Clock:
        """The clock of a value with every step repeated `times` times."""
        *before, (offset, stride, repeat) = self.stages
        return Clock((*before, (offset, stride, repeat * times)), self.shift * times)

    def windows(self, size: int, stride: int) -> Clock:
        """The clock of the windows that fit: ⌊(n - size) / stride⌋ + 1."""
        return self.moved(stride - size).strided(stride)

    def __call__(self, given: int) -> int:
        """The number of steps after `given` input steps."""
        n = given
        for offset, stride, repeat in self.stages:
            n = repeat * ((n + offset) // stride)
        return max(0, n + self.shift)

    def until(self, steps: int) -> int:
        """The least number of input steps after which there are this many steps."""
        n = steps - self.shift
        for offset, stride, repeat in reversed(self.stages):
            n = -(-n // repeat) * stride - offset
        return max(0, n)

    def __sub__(self, other: Clock) -> int | None:
        """How many more steps this clock gives than the other; None if that varies with the number of input steps."""
        (offset, stride, repeat), last = self.stages[-1], other.stages[-1]
        if self.stages[:-1] != other.stages[:-1] or last[1:] != (stride, repeat) or (offset - last[0]) % stride:
            return None
        return (offset - last[0]) // stride * repeat + self.shift - other.shift

    @property
    def rate(self) -> Fraction:
        """The number of steps per input step."""
        return Fraction(math.prod(s[2] for s in self.stages), math.prod(s[1] for s in self.stages))


Fill = float | tuple[float, ...]  # the value before the first step: one number, or one per channel


@dataclass(frozen=True)
class Timing:
    """When the steps of a value are ready.

    `ready` counts the steps that `step` has computed, `full` those that `predict` computes from the same input: it has
    more if zeros follow the last one. `axis` is the axis of the steps: 1, or 0 if they are merged into the batch;
    `like` then names a value with these steps along axis 1. `ahead` names the layers that wait for later input steps,
    and how many each waits for.
    """

    ready: Clock = Clock()
    full: Clock = Clock()
    axis: int = 1
    like: str = ""
    ahead: tuple[tuple[str, int], ...] = ()

    @property
    def delay(self) -> int:
        """The number of further input steps until every step of `predict` is ready."""
        first = self.full.until(1)
        period = math.prod(stride for _, stride, _ in self.full.stages)
        return max(self.ready.until(self.full(t)) - t for t in range(first, first + period))

    def both(self, change: str, *numbers: int) -> Timing:
        """The timing with the same change to both clocks."""
        return replace(self, ready=getattr(self.ready, change)(*numbers), full=getattr(self.full, change)(*numbers))
