"""How many steps of a value there are after so many steps of the input, exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True)
class Clock:
    """A function of the number t of input steps: n = t, then n = repeat * ⌊(n + offset) / stride⌋ by stage, + shift.

    Equal functions have equal forms: 0 <= shift < repeat of the last stage, and a stage is joined to the one before
    wherever that can be done: ⌊(⌊(n + a) / s⌋ + b) / r⌋ = ⌊(n + a + s b) / (s r)⌋. Only a stride after a repeat that
    neither divides the other keeps a stage of its own.
    """

    stages: tuple[tuple[int, int, int], ...] = ((0, 1, 1),)  # offset, stride, repeat
    shift: int = 0

    def moved(self, steps: int) -> Clock:
        """With so many more steps at an end, or fewer."""
        *before, (offset, stride, repeat) = self.stages
        whole, shift = divmod(self.shift + steps, repeat)
        return Clock((*before, (offset + whole * stride, stride, repeat)), shift)

    def strided(self, by: int) -> Clock:
        """With one step in place of every `by` whole ones: ⌊n / by⌋."""
        *before, (offset, stride, repeat) = self.stages
        common = math.gcd(repeat, by)
        repeat, by, shift = repeat // common, by // common, self.shift // common
        if by == 1:
            return Clock((*before, (offset, stride, repeat)), shift)
        if repeat == 1:
            return Clock((*before, (offset, stride * by, 1)))
        return Clock((*self.stages[:-1], (offset, stride, repeat), (shift, by, 1)))

    def repeated(self, times: int) -> Clock:
        """With every step `times` times."""
        *before, (offset, stride, repeat) = self.stages
        return Clock((*before, (offset, stride, repeat * times)), self.shift * times)

    def windows(self, size: int, stride: int) -> Clock:
        """The windows that fit: ⌊(n - size) / stride⌋ + 1."""
        return self.moved(stride - size).strided(stride)

    def __call__(self, given: int) -> int:
        """The number of steps after so many of the input."""
        n = given
        for offset, stride, repeat in self.stages:
            n = repeat * ((n + offset) // stride)
        return max(0, n + self.shift)

    def until(self, steps: int) -> int:
        """The least number of input steps after which there are so many."""
        n = steps - self.shift
        for offset, stride, repeat in reversed(self.stages):
            n = -(-n // repeat) * stride - offset
        return max(0, n)

    def __sub__(self, other: Clock) -> int | None:
        """How many more steps this has than the other, None if that changes from step to step of the input."""
        (offset, stride, repeat), last = self.stages[-1], other.stages[-1]
        if self.stages[:-1] != other.stages[:-1] or last[1:] != (stride, repeat) or (offset - last[0]) % stride:
            return None
        return (offset - last[0]) // stride * repeat + self.shift - other.shift

    @property
    def rate(self) -> Fraction:
        """Steps per step of the input."""
        return Fraction(math.prod(s[2] for s in self.stages), math.prod(s[1] for s in self.stages))


Fill = float | tuple[float, ...]  # what is before the first step: a number, or one for each channel


@dataclass(frozen=True)
class Timing:
    """What is known of a value that has steps.

    `ready` counts the steps that `step` has computed, `full` those that `predict` computes of the same input: it has
    more where zeros follow the last one. `axis` is that of the steps: 1, or 0 where they are merged into the batch;
    `like` then names a value with these steps along axis 1. `ahead` are the layers that wait for later steps of the
    input, and how many each.
    """

    ready: Clock = Clock()
    full: Clock = Clock()
    axis: int = 1
    like: str = ""
    ahead: tuple[tuple[str, int], ...] = ()

    @property
    def delay(self) -> int:
        """The input steps that must follow until every step that `predict` has is ready."""
        first = self.full.until(1)
        period = math.prod(stride for _, stride, _ in self.full.stages)
        return max(self.ready.until(self.full(t)) - t for t in range(first, first + period))

    def both(self, change: str, *numbers: int) -> Timing:
        """With the same change of both clocks."""
        return replace(self, ready=getattr(self.ready, change)(*numbers), full=getattr(self.full, change)(*numbers))
