"""Adapts modules without NumPy to the comparison: arrays in, arrays out, and their lines one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kerasgen.emit.pure import SampleBody
from kerasgen.graph.plan import Plan
from kerasgen.lowering import Lowered
from kerasgen.verification.compare import flat
from kerasgen.verification.lines import Lines, Made, Visit


def is_pure(module: Any) -> bool:
    """Whether a generated module is one without NumPy."""
    return hasattr(module, "predict_sample")


def predicted(module: Any, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a module's `predict`, as arrays."""
    result = module.predict(*arrays)
    if not is_pure(module):
        return flat(result)
    return as_arrays(module, [result] if isinstance(result, list) else flat(result))


def as_arrays(module: Any, results: Iterable[Any]) -> list[np.ndarray]:
    """The outputs of a module without NumPy as arrays; each output is a list with one entry per sample."""
    return [
        np.array(samples, dtype).reshape(len(samples), *map(int, shape[1:]))
        for samples, (_, shape, dtype) in zip(results, module.OUTPUTS, strict=True)
    ]


class PureLines(Lines):
    """The lines of `predict_sample`. If the plan has the value of a line, the line stands for that value's node."""

    function = "predict_sample"

    def __init__(self, module: Any, plan: Plan, lowered: Lowered) -> None:
        self.lowered = lowered
        super().__init__(module, plan)

    def _nodes(self, plan: Plan) -> list[int | None]:
        if not self._are(SampleBody(self.lowered.graph).lines()):
            return []
        makers = {node.outputs: index for index, node in enumerate(plan.graph.nodes)}
        found = [makers.get(node.outputs) for node in self.lowered.graph.nodes]
        return found + [None] * (len(self.lines) - len(found))

    def batches(self, arrays: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """The inputs as a single batch."""
        yield list(arrays)

    def run(self, arrays: Sequence[np.ndarray], visit: Visit) -> Any:
        """Run the lines on each sample; `visit` gets the values of each line for all samples, as arrays."""
        made: list[list[Made]] = [[] for _ in self.lines]
        batches = [self.module.as_samples(array, *row) for array, row in zip(arrays, self.module.INPUTS, strict=True)]
        answers = []
        for sample in zip(*batches, strict=True):
            predict = self._recording(lambda number, each: made[number].append(each), lists)
            answers.append(lists(predict(*sample)))
        for number, node in enumerate(self.lowered.graph.nodes):
            values = zip(*(each.values for each in made[number]), strict=True)
            before = [each.before for each in made[number]]
            arrays_of = [self._array(name, samples) for name, samples in zip(node.outputs, values, strict=True)]
            hidden = None if not before or before[0] is None else self._array(node.outputs[0], before)
            visit(number, Made(arrays_of, hidden))
        return as_arrays(self.module, zip(*answers, strict=True))

    def _array(self, name: str, samples: Sequence[Any]) -> np.ndarray:
        """The lists that a line made for the samples, as one array of the plan's shape and dtype."""
        array = np.array(samples)
        spec = self.lowered.values.get(name)
        return array if spec is None else array.reshape(-1, *(size or 0 for size in spec.shape[1:])).astype(spec.dtype)


def lists(made: Any) -> list[Any]:
    """The lists that a line made: one, or several."""
    several = isinstance(made, tuple) or (bool(made) and isinstance(made[0], list))
    return list(made) if several else [made]


def altered_lists(module: Any, lowered: Lowered) -> list[str]:
    """The weights of a module without NumPy that differ from those of the graph."""
    own = getattr(module, "W", {})
    weights = lowered.graph.weights.items()
    return [name for name, array in weights if not np.array_equal(np.array(own.get(name, [])), array, equal_nan=True)]
