"""Compares a module with its model in Keras, and explains differences."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.builder import Built, build
from kerasgen.builder.custom import Rules
from kerasgen.builder.cut import Cut
from kerasgen.builder.defines import check as check_defines
from kerasgen.display import Display, Displayed, Table
from kerasgen.emit.load import load_module
from kerasgen.emit.quantize import MAX_LOSS
from kerasgen.emit.runtime.tiles import tile_tolerance, tiled_and_whole
from kerasgen.errors import ParityError
from kerasgen.names import printable
from kerasgen.readers import read
from kerasgen.readers.model import ModelFile
from kerasgen.verification.architecture import rebuilt
from kerasgen.verification.compare import OutputReport, compare, precisions
from kerasgen.verification.divergence import Divergence, Search
from kerasgen.verification.gradients import compare_gradients
from kerasgen.verification.inputs import draw, edge_inputs, load_inputs, recipes
from kerasgen.verification.lambdas import Lambdas, not_compared
from kerasgen.verification.loss import Loss, measure
from kerasgen.verification.oracle import Oracle, oracle
from kerasgen.verification.pure import predicted
from kerasgen.verification.streaming import compare_steps, streams

EDGE = "edge"


@dataclass(frozen=True)
class Verification(Displayed):
    """How a module compares with its model: a report for each output, and where it begins to differ, if it does.

    `divergence` is None if every step of the module and every output is right: see `kerasgen.verification.steps`. A
    step may be wrong even if the outputs hide it. `unread` names the Lambda layers for which Keras got the expression
    read from their code instead of the code: that reading was not compared. `unanswered` names the edge inputs that
    Keras itself cannot answer, such as a matrix of zeros to invert. `loss` is the loss from storing the weights in
    fewer bytes; None if they are not stored so. `steps` reports on the outputs of `step`, if the module streams.
    """

    source: str
    outputs: tuple[OutputReport, ...]
    divergence: Divergence | None = None
    gradients: tuple[OutputReport, ...] = ()
    unread: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    loss: Loss | None = None
    steps: tuple[OutputReport, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every output and every gradient is within its tolerance, and every step is right."""
        return self.divergence is None and all(report.ok for report in self.reports)

    @property
    def reports(self) -> tuple[OutputReport, ...]:
        """The reports of the outputs, of the outputs of `step`, and of the gradients."""
        return (*self.outputs, *self.steps, *self.gradients)

    @property
    def wrong_gradient(self) -> str:
        """Where the backward pass goes wrong: at its first wrong gradient; "" if all are right."""
        wrong = next((report for report in self.gradients if not report.ok), None)
        return f"the backward pass is wrong from {wrong.name} on" if wrong else ""

    @property
    def tolerance(self) -> float:
        """The largest error allowed, as a fraction of the largest number in an output."""
        return max((report.tolerance for report in self.outputs), default=0.0)

    def display(self) -> Display:
        """A table of the outputs and gradients, and where they begin to differ."""
        reports = self.reports
        rows = [
            (
                *("ok" if report.ok else "DIFFERS", report.name, report.given),
                *(f"{number:.2g}" for number in (report.relative, report.ulps, report.tolerance)),
            )
            for report in reports
        ]
        columns = ("", "output", "inputs", "error", "ULP", "allowed")
        wrong = {row for row, report in enumerate(reports) if not report.ok}
        verdict = f"{self.source}: the module {'answers as Keras does' if self.ok else 'differs from Keras'}"
        why = [str(part) for part in (self.loss, self.divergence, self.wrong_gradient, self.remark) if part]
        return Display([Table(columns, rows, numbers=3, wrong=wrong)], [verdict], why)

    def __str__(self) -> str:
        """One line for each output, and an explanation."""
        why = filter(None, (self.loss, self.divergence, self.wrong_gradient, self.remark))
        return "\n".join(map(str, (*self.reports, *why)))

    @property
    def remark(self) -> str:
        """What was not compared; "" if everything was."""
        edges = f"not compared: {', '.join(self.unanswered)}, which Keras cannot answer" if self.unanswered else ""
        return "; ".join(filter(None, (not_compared(self.unread), edges)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "ok": self.ok,
            "outputs": [report.to_dict() for report in self.outputs],
            "divergence": None if self.divergence is None else self.divergence.to_dict(),
            "gradients": [report.to_dict() for report in self.gradients],
            "steps": [report.to_dict() for report in self.steps],
            "unread": list(self.unread),
            "unanswered": list(self.unanswered),
            "loss": None if self.loss is None else self.loss.to_dict(),
        }

    def raise_if_wrong(self) -> None:
        """Raise a ParityError with this verification as `verification`, unless it is `ok`."""
        if not self.ok:
            if self.loss is not None and self.divergence is not None and self.divergence.stage == "loss":
                error = ParityError(f"{self.source}: {self.loss}; {self.loss.hint}")
                error.verification = self
                raise error
            wrong = [report for report in self.reports if not report.ok]
            worst = max(wrong, key=lambda report: report.relative / (report.tolerance or 1e-9), default="")
            why = "; ".join(map(str, filter(None, (worst, self.divergence, self.wrong_gradient))))
            error = ParityError(f"{self.source}: the module differs from Keras: {why}")
            error.verification = self
            raise error


def verify(
    source: Any,
    module: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    inputs: Any = None,
    seed: int = 0,
    tolerance: float | None = None,
    custom: Rules | None = None,
    theano_kernels: bool = False,
    gradients: bool = False,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    defines: Mapping[str, Any] | None = None,
    run_lambdas: bool = False,
    on_step: Callable[[str], object] = lambda step: None,
) -> Verification:
    """Compare a module with its model in Keras, and explain where they differ.

    `inputs` are random by default, drawn with `seed`; the path of an .npy or .npz file takes your own; "edge" tries
    zeros, ones, negative, large and small numbers in turn. `tolerance` bounds the error of every output and every
    layer, as a fraction of its largest number, and replaces the rule in `kerasgen.verification.steps`. If the module
    stores its weights in fewer bytes, every line is compared with the result of these weights, and the outputs with
    Keras's, within the loss that the export allowed. `custom`, `theano_kernels`, `outputs`, `input_shape`, `defines`
    and `run_lambdas` are as for `export`. `gradients` also compares the gradients of a module that has them with
    TensorFlow's. `on_step` is called with the name of each step when it begins: "read", "build", "ask" (Keras) and
    "verify".

    Raises UsageError if TensorFlow is missing or the inputs do not fit. Raises ParityError if the module belongs to
    another model, if Keras cannot load the model or would answer differently from the Keras that wrote it, or if Keras
    or the module fails.
    """
    on_step("read")
    file = read(source, weights, theano_kernels=theano_kernels, outputs=outputs, input_shape=input_shape)
    loaded = load_module(Path(module))
    on_step("build")
    any_size = bool(loaded.EXPORT.get("tiled"))
    built = build(file, custom, check_defines(defines), any_size=any_size).renamed(loaded.EXPORT.get("rename", {}))
    _check_interface(loaded, Path(module), built)
    if inputs is None or (isinstance(inputs, (str, os.PathLike)) and os.fspath(inputs) == EDGE):
        wanted = recipes(built.as_recorded(built.graph if built.problems else built.bind()), file.model)
        given = {"": draw(wanted, seed)} if inputs is None else edge_inputs(wanted, seed)
    else:
        given = {"": load_inputs(inputs, loaded.INPUTS)}
    on_step("ask")
    lambdas = Lambdas(defines or {}, run_lambdas, built.notes)
    truth = original(source, weights, file, lambdas)
    expected = _answered(truth, given)
    on_step("verify")
    result = compared(built, loaded, {name: given[name] for name in expected}, expected, truth, tolerance=tolerance)
    if gradients:
        arrays = next(iter(given.values()))
        if inputs is None:  # in the others many numbers are equal, and rounding decides which is the largest
            arrays = [array[::2] for array in arrays]
        found = compare_gradients(built, loaded, truth, arrays, seed=seed, tolerance=tolerance)
        result = replace(result, gradients=found)
    unanswered = tuple(name for name in given if name not in expected)
    return replace(result, unread=lambdas.unread(source), unanswered=unanswered)


def _answered(truth: Oracle, given: Mapping[str, Sequence[np.ndarray]]) -> dict[str, list[np.ndarray]]:
    """Keras's answers to the inputs that it can answer. Raises ParityError if it can answer none."""
    expected, errors = {}, []
    for name, arrays in given.items():
        try:
            expected[name] = truth(arrays)
        except ParityError as error:
            errors.append(error)
    if not expected:
        raise errors[0]
    return expected


Interface = Sequence[tuple[str, Sequence[int | None], str]]  # name, shape and dtype of each input or output


def _check_interface(module: Any, path: Path, built: Built) -> None:
    """Raise ParityError if the module's inputs or outputs are not the model's: it was made from another model."""
    graph, source = built.graph, built.file.source
    outputs = [(name, built.specs[value]) for name, value in zip(graph.output_names, graph.outputs, strict=False)]
    sides: list[tuple[str, Interface, Interface]] = [
        ("input", module.INPUTS, [(value.name, value.shape, value.dtype) for value in graph.inputs]),
        ("output", module.OUTPUTS, [(name, value.shape, value.dtype) for name, value in outputs]),
    ]
    for what, own, models in sides:
        difference = _difference(what, own, models)
        if difference and models:  # the outputs of a model with unsupported layers may not be known
            raise ParityError(f"{printable(str(path))}: is the module of another model than {source}: {difference}")


def _difference(what: str, own: Interface, models: Interface) -> str:
    """How the inputs or outputs of a module differ from the model's; "" if they may be the same.

    Names alone prove nothing, because Keras numbers the names that it chooses. But equal names must be in the same
    order.
    """
    own_names, names = [name for name, _, _ in own], [name for name, _, _ in models]
    if len(own) != len(models) or (own_names != names and sorted(own_names) == sorted(names)):
        return f"its {what}s are {', '.join(own_names)}, the model's {', '.join(names)}"
    for (own_name, own_shape, own_dtype), (name, shape, dtype) in zip(own, models, strict=True):
        known = zip(own_shape, shape, strict=False)
        same = len(own_shape) == len(shape) and all(a == b or None in (a, b) for a, b in known)
        if not same or own_dtype != dtype:
            return (
                f"its {what} {own_name} is {tuple(own_shape)} {own_dtype}, "
                f"the model's {what} {name} is {tuple(shape)} {dtype}"
            )
    return ""


def original(source: Any, weights: Any, file: ModelFile, lambdas: Lambdas | None = None) -> Oracle:
    """The model in Keras. Raises ParityError if it would answer differently from the Keras that wrote the file."""
    if file.unlike:
        raise ParityError(f"{file.source}: {file.unlike}")
    cut = Cut.of(file) if file.outputs else None
    part = rebuilt(file, cut)
    config = file.config if part is None and file.input_shape is not None else part
    return oracle(source, weights, file.keras_version, config, by_name=part is not None, cut=cut, lambdas=lambdas)


def compared(
    built: Built,
    module: Any,
    given: Mapping[str, Sequence[np.ndarray]],
    expected: Mapping[str, Sequence[np.ndarray]],
    truth: Oracle,
    *,
    tolerance: float | None = None,
) -> Verification:
    """Compare a module's answers with Keras's answers to the same inputs; both are by the name of a set of inputs.

    Raises ParityError if the module fails or has a different number of outputs.
    """
    inside = set(precisions(built.file.model))
    dtype, limit = _loss_allowed(module)
    limit = tolerance if tolerance is not None else limit
    names = [name for name, _, _ in module.OUTPUTS]
    pairs: list[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]] = []
    search = None if built.problems else Search(built, module, truth, tolerance)
    reports: list[OutputReport] = []
    steps: list[OutputReport] = []
    divergence = None
    for name, arrays in given.items():
        answers = _predicted(module, arrays, built.file.source)
        if not len(answers) == len(names) == len(expected[name]):
            counts = f"the module has {len(answers)} outputs, Keras {len(expected[name])}"
            raise ParityError(f"{built.file.source}: {counts}")
        found = [
            replace(compare(n, got, right, tolerance=limit, inside=inside), given=name)
            for n, got, right in zip(names, answers, expected[name], strict=True)
        ]
        if search is not None:
            divergence = divergence or search.wrong_step(arrays, expected[name], answers)
            found = found if dtype else search.explained(arrays, expected[name], answers, found)
        pairs += [(answers, expected[name])] * bool(dtype)
        if divergence is None and not all(report.ok for report in found):
            divergence = (search or Search(built, module, truth)).unexplained(arrays, expected[name])
        reports += found
        steps += compare_steps(module, arrays, expected[name], found, built.file.source) if streams(module) else ()
        if divergence is None and getattr(module, "TILES", None):
            reports += (replace(report, given=name) for report in _in_tiles(module, arrays[0]))
    loss = measure(dtype, limit or 0.0, pairs) if dtype else None
    return Verification(printable(built.file.source), tuple(reports), divergence, loss=loss, steps=tuple(steps))


def _in_tiles(module: Any, x: np.ndarray) -> Iterator[OutputReport]:
    """A report for each answer of `predict_tiled`, compared with the answer of `predict`."""
    for got, right in tiled_and_whole(module.predict, module.predict_tiled, x, module.TILES):
        yield compare("predict_tiled", got, right, tolerance=tile_tolerance(right.dtype))


def _loss_allowed(module: Any) -> tuple[str, float | None]:
    """The dtype in which a module stores its weights, and the error that this may cause; "" and None for float32."""
    options = getattr(module, "EXPORT", {})
    dtype = options.get("weights_dtype", "")
    return (dtype, options.get("max_loss", MAX_LOSS[dtype])) if dtype in MAX_LOSS else ("", None)


def _predicted(module: Any, arrays: Sequence[np.ndarray], source: str) -> list[np.ndarray]:
    getattr(module, "reset_states", dict)()
    try:
        return predicted(module, arrays)
    except Exception as error:
        raise ParityError(f"{source}: predict fails: {type(error).__name__}: {error}") from error
