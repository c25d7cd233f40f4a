"""The self-test of a module that streams."""

import numpy as np

from kerasgen.emit.runtime.inputs import make_input
from kerasgen.emit.runtime.selftest import difference, numbers


def with_steps(selftest, start, step):
    """The self-test, extended: `step` must answer as `predict` did, to the same inputs a few steps at a time."""

    def both(predict, inputs, outputs, recorded, reset=None):
        right = selftest(predict, inputs, outputs, recorded, reset)
        return same_steps(start, step, inputs, outputs, recorded) and right

    return both


def same_steps(start, step, inputs, outputs, recorded):
    """Whether `step` gives the answers recorded for `predict`; prints what it finds."""
    arrays = [
        make_input(shape, dtype, low, high, whole, number)
        for number, ((shape, low, high, whole), (_, _, dtype)) in enumerate(zip(recorded["inputs"], inputs))
    ]
    state, at, parts = start(len(arrays[0])), 0, []
    for size in [1, 0, 2] * 20 + [arrays[0].shape[1]]:
        with np.errstate(all="ignore"):  # the inputs are random
            answer, state = step(*[x[:, at : at + size] for x in arrays], state)
        parts.append(list(answer.values()) if isinstance(answer, dict) else [answer] if len(outputs) == 1 else answer)
        at += size
    right = True
    for ys, (name, _, _), (shape, allowed, expected) in zip(zip(*parts), outputs, recorded["outputs"]):
        y = np.concatenate(ys, axis=1)
        y = y[:, -1] if y.ndim > len(shape) else y  # the answer to the whole sequence
        error = difference(numbers(y), expected) if y.shape == tuple(shape) else float("inf")
        right = right and error <= allowed
        print(f"{'ok' if error <= allowed else 'WRONG'} {name!a} by step: off by {error:.2g}, {allowed:.2g} allowed")
    return right
