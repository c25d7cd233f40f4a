"""Compares the answers of a module's `step`, a few steps at a time, with Keras's answers to the whole sequence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain, cycle, repeat
from typing import Any

import numpy as np

from kerasgen.errors import ParityError
from kerasgen.verification.compare import OutputReport, compare, flat

# Numbers of new steps, repeated over and over: one at a time, with none in between, and many at once.
PARTS: Sequence[Iterable[int]] = ((1,), (3, 0, 17), (100,))
MOST_STEPS = 200  # of one pattern; the rest comes at once


def streams(module: Any) -> bool:
    """Whether a generated module has `start` and `step`."""
    return hasattr(module, "step") and "streaming" in getattr(module, "EXPORT", {})


def streamed(module: Any, arrays: Sequence[np.ndarray], parts: Iterable[int]) -> list[np.ndarray]:
    """The joined answers of `step` to sequences cut into parts of these sizes, which repeat over and over."""
    state, at = module.start(len(arrays[0])), 0
    found: list[list[Any]] = []
    length = arrays[0].shape[1]
    sizes = chain((size for size, _ in zip(cycle(parts), range(MOST_STEPS))), repeat(length))
    while at < length or not found:
        size = next(sizes)
        answer, state = module.step(*(x[:, at : at + size] for x in arrays), state)
        found.append(flat(answer))
        at += size
    return [np.concatenate(each, axis=1) for each in zip(*found, strict=True)]


def compare_steps(
    module: Any,
    arrays: Sequence[np.ndarray],
    expected: Sequence[np.ndarray],
    reports: Sequence[OutputReport],
    source: str,
) -> tuple[OutputReport, ...]:
    """A report for each output of `step`: the worst over several ways to cut the sequences.

    `reports` are those of `predict`. Raises ParityError if the module fails.
    """
    worst: dict[str, OutputReport] = {}
    for parts in PARTS:
        try:
            answers = streamed(module, arrays, parts)
        except Exception as error:
            raise ParityError(f"{source}: step fails: {type(error).__name__}: {error}") from error
        for y, right, report in zip(answers, expected, reports, strict=True):
            latest = y[:, -1] if y.ndim > np.ndim(right) and y.shape[1] else y  # the answer to the whole sequence
            name = f"{report.name}, by step"
            found = replace(compare(name, latest, right, tolerance=report.tolerance), given=report.given)
            if name not in worst or found.relative > worst[name].relative:
                worst[name] = found
    return tuple(worst.values())
