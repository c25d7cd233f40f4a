"""Runs the lines of a module's `predict` one by one: what each computes, and which node of the graph it stands for.

The lines are the module's own, from its text. A line that also applies a saturating activation is run without it as
well, because such an activation hides most errors.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasgen.emit.body import Body
from kerasgen.emit.instrument import instrument, parse_predict, targets, value_lines
from kerasgen.emit.target import NUMPY
from kerasgen.graph.facts import FACTS
from kerasgen.graph.plan import Plan
from kerasgen.verification.compare import flat

SATURATING = {kernel.__name__ for kernel, row in FACTS.items() if row.saturates}


class Made(NamedTuple):
    """The values of a line; `before` is the array before the activation, if that saturates."""

    values: list[Any]
    before: Any = None


Visit = Callable[[int, Made], None]


class Lines:
    """The lines of a loaded module, and the nodes of the plan that it was printed from.

    `nodes` has the index of each line's node, or None; it is empty if the lines are not those of the plan.
    """

    function = "predict"

    def __init__(self, module: Any, plan: Plan) -> None:
        self.module = module
        self.predict = parse_predict(module.__spec__.loader.get_data(""), self.function)
        calls = (node for node in ast.walk(self.predict) if isinstance(node, ast.Call))
        limits = (call.args[1] for call in calls if _called(call) in ("in_batches", "share_batch"))
        known = (ast.literal_eval(limit) for limit in limits if isinstance(limit, ast.Constant))
        self.max_batch: int | None = next(known, None)  # not known where it depends on open sizes
        self.lines = list(value_lines(self.predict))
        self.nodes = self._nodes(plan)

    def _nodes(self, plan: Plan) -> list[int | None]:
        if not self._are(Body(plan, NUMPY).lines()):
            return []
        first = len(plan.graph.inputs) + len(plan.graph.memory) + bool(plan.buffers)
        count = len(plan.graph.nodes)
        return [index - first if first <= index < first + count else None for index in range(len(self.lines))]

    def _are(self, lines: Sequence[str]) -> bool:
        """Whether the lines assign the same names as `lines`, the lines of the plan."""
        printed = value_lines(parse_predict("\n    ".join(["def predict():", *lines])))
        return [line.names for line in printed] == [line.names for line in self.lines]

    def batches(self, arrays: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """The inputs in batches of as many samples as the module runs at once."""
        size = self.max_batch or max((len(array) for array in arrays), default=1) or 1
        for start in range(0, max(map(len, arrays), default=1) or 1, size):
            yield [array[start : start + size] for array in arrays]

    def run(self, arrays: Sequence[np.ndarray], visit: Visit) -> Any:
        """Run the lines on inputs. `visit` gets each line's number and values before the next line runs.

        Returns what `predict` returns and raises what it raises.
        """
        getattr(self.module, "reset_states", dict)()
        return self._recording(visit, flat)(*arrays)

    def _recording(self, visit: Visit, values: Callable[[Any], list[Any]]) -> Callable[..., Any]:
        """`predict`, changed to hand each line's number and values to `visit`; `values` lists the values of a line."""
        count = iter(range(len(self.lines)))
        before: list[Any] = []

        def record(made: Any) -> Any:
            visit(next(count), Made(values(made), before.pop() if before else None))
            return made

        recorder = _Recorder({name for name, thing in vars(self.module).items() if _takes_activation(thing)})
        scope = {**vars(self.module), "_record": record, "_before": before.append}
        return instrument(self.predict, scope, recorder.replace, split=False)  # all the samples in one run


def _called(call: ast.expr | None) -> str:
    """The name of the function that an expression calls; "" if it is not a plain call."""
    return call.func.id if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else ""


def _takes_activation(thing: Any) -> bool:
    """Whether a function applies an activation to its result. In a recurrent kernel the activation acts inside."""
    if not inspect.isfunction(thing):
        return False
    setting = inspect.signature(thing).parameters.get("activation")
    return setting is not None and setting.default is None


class _Recorder:
    """Hands every value that a line computes to `_record`, and the value before its activation to `_before`."""

    def __init__(self, takes: set[str]) -> None:
        self.takes = takes

    def replace(self, number: int, statement: ast.Assign | ast.Return) -> list[ast.stmt]:
        """The line, with recording added."""
        before = self._before(statement.value)
        if isinstance(statement, ast.Return):
            return [*before, ast.Return(_call("_record", statement.value or ast.Constant(None)))]
        loads: list[ast.expr] = [ast.Name(name, ast.Load()) for name in targets(statement)]
        return [*before, statement, ast.Expr(_call("_record", ast.Tuple(loads, ast.Load())))]

    def _before(self, value: ast.expr | None) -> list[ast.stmt]:
        """The call without the activation and without its output buffer."""
        if not isinstance(value, ast.Call) or _called(value) not in self.takes:
            return []
        settings = {keyword.arg: keyword.value for keyword in value.keywords}
        activation = settings.get("activation")
        if not isinstance(activation, ast.Name) or activation.id not in SATURATING:
            return []
        keywords = [keyword for keyword in value.keywords if keyword.arg not in ("activation", "out")]
        return [ast.Expr(_call("_before", ast.Call(value.func, value.args, keywords)))]


def _call(name: str, value: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [value], [])
