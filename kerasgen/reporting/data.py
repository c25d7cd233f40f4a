"""All that a report shows, as plain data for JSON: docs/report.md tells what is in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import kerasgen
from kerasgen.builder import build
from kerasgen.builder.custom import Rules
from kerasgen.emit.load import load_module
from kerasgen.emit.module import Origin, emit
from kerasgen.errors import ParityError, UnsupportedModelError
from kerasgen.graph.plan import Plan
from kerasgen.names import printable
from kerasgen.passes import PIPELINES
from kerasgen.planning.options import Options
from kerasgen.planning.prepared import Prepared, prepare
from kerasgen.readers import read
from kerasgen.reporting.layers import Layers
from kerasgen.reporting.parity import Parity, layer_values, parity
from kerasgen.reporting.placement import optimized, placement
from kerasgen.reporting.plain import finite, plain
from kerasgen.reporting.profile import profile
from kerasgen.reporting.source import highlighted
from kerasgen.reporting.subject import Code, Subject, readable_weights
from kerasgen.scanner import scan
from kerasgen.verification.inputs import TooLarge, draw, load_inputs
from kerasgen.verification.lambdas import Lambdas, not_compared
from kerasgen.verification.lines import Lines
from kerasgen.verification.selftest import Proof, affordable

VERSION = 1  # of the form of the data
SAMPLES = 8  # of the user's inputs: every value of each is kept

OnStep = Callable[[str], object]


def collect(
    source: Any,
    *,
    weights: str | os.PathLike[str] | None = None,
    custom: Rules | None = None,
    inputs: Any = None,
    verify: bool | None = None,
    theano_kernels: bool = False,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    defines: Mapping[str, Any] | None = None,
    on_step: OnStep = lambda step: None,
) -> dict[str, Any]:
    """The data of the report on a model. The arguments are those of `kerasgen.report`; `on_step` gets each step.

    Raises InvalidModelError, FileError and UsageError, and ParityError where Keras must answer but cannot. An
    unsupported model is no error: the data tells what is unsupported.
    """
    on_step("read")
    findings = _scanned(source)
    file = read(source, weights, theano_kernels=theano_kernels, outputs=outputs, input_shape=input_shape)
    options = Options(
        custom=custom or {},
        theano_kernels=theano_kernels,
        outputs=file.outputs,
        input_shape=file.input_shape,
        defines=defines or {},
    )
    try:
        model = prepare(file, options)
    except UnsupportedModelError:
        built = build(file, options.custom, options.defines)
        if not built.problems:
            raise
        subject = Subject(built, readable_weights(built))
        subject.verification["reason"] = "the model is unsupported"
    else:
        proof = Proof(source, weights, file, verify, Lambdas(options.defines, notes=model.built.notes))
        subject = _examined(model, proof, inputs, options, on_step)
    on_step("report")
    given = "random" if inputs is None else "a file"
    return {**_data(subject), "scan": findings, "given": given}


def _scanned(source: Any) -> dict[str, Any]:
    """What the scanner finds in a file; a live model is none."""
    if not isinstance(source, (str, os.PathLike)):
        return {"dangerous": False, "findings": []}
    result = scan(source).to_dict()
    return {"dangerous": result["dangerous"], "findings": [plain(finding) for finding in result["findings"]]}


def _examined(model: Prepared, proof: Proof, inputs: Any, options: Options, on_step: OnStep) -> Subject:
    """All that can be known of a supported model: its code, what it costs, what it makes, how it compares."""
    subject = Subject(model.built, {v.key: model.graph.weights[v.key] for v in model.built.variables})
    subject.sha256 = str(model.header["sha256"])
    subject.warn(model.warning)
    on_step("emit")
    passed = optimized(model.graph, PIPELINES[options.level])
    plan = passed.plan
    module = emit(plan, level=options.level, origin=Origin(model.header, options.header()))
    buffer = BytesIO()
    module.write(buffer)
    loaded = load_module(buffer.getvalue())
    lines = Lines(loaded, plan)
    places = placement(subject.structure, model.graph, passed, lines.nodes)
    subject.code = Code(module.text, lines.lines, places)
    if inputs is not None:
        rows = [(value.name, value.shape, value.dtype) for value in model.graph.inputs]
        inputs = [array[:SAMPLES] for array in load_inputs(inputs, rows)]
    on_step("verify" if proof.wanted is not False else "run")
    proof.ask(model.recipes, model.graph.inputs, inputs)
    arrays = proof.arrays or inputs or _sample(model)
    _run(subject, model, plan, loaded, arrays)
    _verify(subject, plan, loaded, proof)
    return subject


def _sample(model: Prepared) -> list[np.ndarray]:
    """One random sample; nothing if it is too large to be made up."""
    try:
        return draw(recipe._replace(shape=(1, *recipe.shape[1:])) for recipe in model.recipes)
    except TooLarge:
        return []


def _run(subject: Subject, model: Prepared, plan: Plan, loaded: ModuleType, arrays: Sequence[np.ndarray]) -> None:
    """Measure the module on the first sample, and keep what each layer makes of all of them."""
    assert subject.code is not None
    one = [array[:1] for array in arrays]
    shapes = zip(model.recipes, one, strict=False)
    if not one or not affordable(plan, [recipe._replace(shape=array.shape) for recipe, array in shapes]):
        subject.warn("a run of this model would take long or much memory: nothing was measured")
        return
    try:
        with np.errstate(all="ignore"):  # answers need not be finite
            subject.profile = profile(loaded, subject.code.text, one)
            subject.values = layer_values(model.graph, arrays)
    except Exception as error:  # the user's functions may raise any, and random inputs need not suit them
        subject.warn(plain(f"nothing was measured, for the model fails: {type(error).__name__}: {error}"))


def _verify(subject: Subject, plan: Plan, loaded: ModuleType, proof: Proof) -> None:
    """Compare the module with Keras, if Keras has answered."""
    if proof.truth is None:
        subject.verification["reason"] = _without_folder(proof.unverified, subject.built.file.source)
        return
    found = subject.verification
    found["compared"] = True
    subject.warn(plain(not_compared(proof.unread)))
    try:
        result = parity(subject.built, plan, loaded, proof.truth, proof.arrays, proof.expected, subject.values)
    except ParityError as error:
        found["summary"] = _without_folder(str(error), subject.built.file.source)
        return
    subject.parity = result
    found.update(ok=result.verification.ok, outputs=_outputs(result), summary=str(result.verification))


def _without_folder(text: str, source: str) -> str:
    """The text with the model's file by its name alone: where it is on this machine is nobody's business."""
    return str(plain(text.replace(printable(source), printable(Path(source).name))))


def _outputs(result: Parity) -> list[dict[str, Any]]:
    return [
        {
            "name": plain(report.name),
            "relative": finite(report.relative),
            "absolute": finite(report.absolute),
            "tolerance": finite(report.tolerance),
            "ok": report.ok,
        }
        for report in result.verification.outputs
    ]


def _data(subject: Subject) -> dict[str, Any]:
    """The whole, but for the scan and the inputs."""
    layers = Layers(subject)
    source = subject.code.text if subject.code else None
    timing = subject.profile
    return {
        "version": VERSION,
        "kerasgen": kerasgen.__version__,
        "model": _model(subject),
        "supported": not subject.built.problems,
        "problems": layers.problems(),
        "warning": subject.warning,
        "layers": layers.rows(),
        "groups": [vars(group) for group in subject.structure.groups],
        "edges": [list(edge) for edge in subject.structure.edges],
        "source": source,
        "source_html": None if source is None else highlighted(source),
        "verification": subject.verification,
        "profile": timing and {"samples": 1, "runs": timing.runs, "seconds": sum(timing.seconds)},
    }


def _model(subject: Subject) -> dict[str, Any]:
    summary, file = subject.summary, subject.built.file
    return {
        "name": plain(file.model.name),
        "source": plain(Path(file.source).name),
        "keras_version": plain(file.keras_version),
        "sha256": subject.sha256,
        "parameters": summary.parameters,
        "macs": summary.macs,
        "weight_bytes": sum(array.nbytes for array in subject.weights.values()),
        "inputs": _interface(summary.inputs),
        "outputs": _interface(summary.outputs),
    }


def _interface(rows: Sequence[tuple[str, Any, str | None]]) -> list[dict[str, Any]]:
    return [
        {"name": plain(name), "shape": None if shape is None else list(shape), "dtype": dtype}
        for name, shape, dtype in rows
    ]
