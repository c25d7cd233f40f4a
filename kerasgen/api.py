"""The public functions export, check and inspect; `kerasgen.verification.verify` has verify."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from kerasgen.backward.cost import step_cost
from kerasgen.backward.options import GradientOptions
from kerasgen.builder import Built, build
from kerasgen.builder.custom import Rules
from kerasgen.builder.defines import check as check_defines
from kerasgen.builder.summary import Summary, summarize
from kerasgen.emit.labels import Labels, read_labels
from kerasgen.emit.load import load_module
from kerasgen.emit.memory import within
from kerasgen.emit.module import Module, Origin, emit
from kerasgen.emit.processing import Processing, scaling
from kerasgen.emit.publish import check_target, published, write_again
from kerasgen.emit.pure import PRODUCTS, emit_pure
from kerasgen.emit.staleness import Changes, changes
from kerasgen.errors import ParityError, UsageError
from kerasgen.graph.plan import Plan
from kerasgen.names import module_name, printable
from kerasgen.passes import LEVEL
from kerasgen.planning.options import Options
from kerasgen.planning.plans import Plans, plan_module, tuned
from kerasgen.planning.prepared import Prepared, prepare
from kerasgen.readers import read
from kerasgen.readers.model import ModelFile
from kerasgen.tuning import Tune
from kerasgen.verification.lambdas import Lambdas
from kerasgen.verification.loss import FLOAT32, Loss, measure
from kerasgen.verification.result import ExportResult
from kerasgen.verification.selftest import Proof
from kerasgen.verification.verify import Verification, compared

STORES = ("embedded", "sidecar")
TARGETS = {"numpy": ".npz", "pure": ".bin"}  # with the ending of their sidecars


def generate(file: ModelFile, options: Options | None = None, *, strict: bool = False) -> Module:
    """The module of a model that was read: its text and its weights, not written anywhere, not compared with Keras.

    `strict` raises InvalidModelError where there would be a warning.
    """
    options = options or Options()
    model = prepare(file, options, strict=strict)
    return _emit(model, plan_module(model, options), options)


def _emit(model: Prepared, plans: Plans, options: Options, proof: Proof | None = None) -> Module:
    """The module, with what its self-test compares where somebody has answered."""
    if plans.lowered is not None:
        module = emit_pure(
            plans.lowered.graph,
            model.graph,
            sidecar=options.sidecar,
            level=options.level,
            selftest=None if proof is None else proof.record(plans.predict, most_products=PRODUCTS),
            origin=Origin(model.header, options.header(), None if proof is None else proof.verified),
        )
        return replace(module, warning=model.warning)
    make = partial(
        emit,
        sidecar=options.sidecar,
        activations=plans.activations,
        training=plans.training,
        step=plans.step,
        processing=options.processing,
        tiling=model.tiling,
        level=options.level,
        minimal=options.minimal,
        stored=plans.stored,
        works=plans.works.all if plans.works else (),
        origin=Origin(model.header, options.header(), None if proof is None else proof.verified),
    )
    # Before the text is made: the memory of both would add up.
    answers = None if proof is None or options.minimal else proof.record(plans.predict, own=options.compact)
    if options.max_memory is None:
        module = make(plans.predict)
    else:
        module = _within(options.max_memory, model, plans, make, options.sidecar)
    if answers is not None:
        module = module.with_constants(SELFTEST=answers)
    return replace(module, warning=model.warning)


def _within(limit: int, model: Prepared, plans: Plans, make: Callable[[Plan], Module], sidecar: str) -> Module:
    try:
        return within(limit, plans.predict, make, sidecar)
    except UsageError as error:
        raise UsageError(f"{model.file.source}: {error}") from error


def export(
    source: Any,
    output: str | os.PathLike[str] | BinaryIO | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    store: str = "embedded",
    activations: bool = False,
    custom: Rules | None = None,
    force: bool = False,
    verify: bool | None = None,
    keep_failed: bool = False,
    theano_kernels: bool = False,
    strict: bool = False,
    optimize: int = LEVEL,
    max_memory: int | None = None,
    inputs: Any = None,
    gradients: GradientOptions | None = None,
    defines: Mapping[str, Any] | None = None,
    run_lambdas: bool = False,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    labels: Labels | None = None,
    preprocess: str | Sequence[float] | None = None,
    rename: Mapping[str, str] | None = None,
    minimal: bool = False,
    target: str = "numpy",
    weights_dtype: str = "float32",
    keep: Sequence[str] = (),
    max_loss: float | None = None,
    streaming: bool = False,
    tiled: bool = False,
    tune: str | os.PathLike[str] | None = None,
    tune_batch: int | None = None,
    tunable: bool = False,
    on_step: Callable[[str], object] = lambda step: None,
) -> ExportResult:
    """Write a model as a NumPy module.

    `source` is the path of a model, a file or a folder, or a live keras.Model; `weights` the file with the weights
    where `source` is an architecture in JSON. `output` is a path, or a binary stream; by default it is the model's name
    with .py, in the current folder. `store` puts the weights into the module ("embedded") or into an .npz file beside
    it ("sidecar"). `activations` adds a function that returns every layer's output. `custom` holds functions of yours
    for layers that have no rule, by the layer's name or its class: rules, as `kerasgen.rule` enters them for good, or
    NumPy functions. `verify` compares the module with Keras before it is published: True insists on it, False leaves it
    out, None does it where TensorFlow is installed. `theano_kernels` tells that Theano trained a model of Keras 1,
    whose files do not say so. `strict` refuses weights that are NaN or infinite, of which the result otherwise only
    warns. `optimize` is 0 for textbook kernels, 1 for what keeps the arithmetic of every layer, 2 for all that keeps
    the answers to finite inputs. `max_memory` are the bytes that the arrays of a call on one sample may take beside the
    weights; with less than the fastest way takes, blocks are smaller and calls slower. `inputs` are arrays, or an .npy
    or .npz file, with which the module and Keras are compared, instead of random ones; they are stored nowhere.
    `gradients` adds the backward pass, and what explains answers or trains with it. `outputs` names the layers at which
    the module ends, as `inspect` does: `block/conv1` in a nested model, `conv#2` for a second call; a nested model's
    own name stands for its outputs. What they do not need is left out, inputs too, and may be unsupported.
    `input_shape` is the shape of a sample, with None for open sizes, for a Sequential that does not record it.
    `labels`, names or a file of them (see `kerasgen.emit.labels`), add a function `classify` that answers with the most
    probable classes. `preprocess` adds one that makes the input of images from 0 to 255 of any size: "tf", "torch" or
    "caffe" as keras.applications scales them, or a factor and a summand, as (1 / 255, 0) or "1/255,0". `rename` gives
    inputs and outputs other names, from the old one to the new one. A `minimal` module has no command line and no
    self-test. `target` is "numpy", or "pure" for a module without NumPy, for CPython, PyPy and MicroPython, whose
    sidecar is a .bin file of plain numbers. `weights_dtype` stores the weights as "float16", "bfloat16" or "int8"; they
    are decoded to float32 when the module is loaded. Those whose name or layer fits one of the patterns `keep` are left
    alone. Then `max_loss` bounds the error of the outputs, as a part of the largest number in one: by default as
    `kerasgen.emit.quantize.MAX_LOSS` has it. `streaming` adds functions `start` and `step`, which answer a sequence a
    few steps at a time. `tiled` adds `predict_tiled`, which answers to images of any size in bounded memory, part by
    part; `predict` takes any size then, too. `tune` is a tuning file, which names the fastest kernel for each layer on
    some machine; if it does not exist, the kernels are timed here, on batches of `tune_batch` samples (default 1), and
    the file is written. A `tunable` module can write it, too: `python model.py --tune FILE`. `defines` are values of
    globals that the functions of Lambda layers read, by name. Keras is not given the code of these functions, but what
    was read of it; with `run_lambdas` it runs the code, which may do anything. `on_step` is called with the name of
    each step when it begins, a key of `kerasgen.display.STEPS`: a large model takes minutes.

    Raises InvalidModelError, UnsupportedModelError, ParityError (the module is then not written, unless `keep_failed`),
    FileError and UsageError.
    """
    output = module_name(source) if output is None else output
    place = Path(output) if isinstance(output, (str, os.PathLike)) else None
    sidecar = _sidecar(place, store, target)
    for path in filter(None, (place, sidecar)):
        check_target(path, sources=(source, weights), force=force)
    on_step("read")
    file = read(source, weights, theano_kernels=theano_kernels, outputs=outputs, input_shape=input_shape)
    on_step("build")
    options = Options(
        sidecar=sidecar.name if sidecar else "",
        activations=activations,
        custom=custom or {},
        theano_kernels=theano_kernels,
        level=optimize,
        max_memory=max_memory,
        gradients=gradients,
        outputs=file.outputs,
        input_shape=file.input_shape,
        defines=defines or {},
        rename=rename or {},
        minimal=minimal,
        target=target,
        processing=_processing(labels, preprocess),
        weights_dtype=weights_dtype,
        keep=tuple(keep),
        max_loss=max_loss,
        streaming=streaming,
        tiled=tiled,
        tunable=tunable,
    )
    options.check_tuning(tune, tune_batch)
    model = prepare(file, options, strict=strict)
    if tune is not None:
        on_step("tune")
        model, options = tuned(model, options, Tune(tune, tune_batch))
    on_step("optimise")
    plans = plan_module(model, options)
    proof = Proof(source, weights, file, verify, Lambdas(options.defines, run_lambdas, model.built.notes))
    if proof.asks:
        on_step("ask")
    proof.ask(model.recipes, model.graph.inputs, inputs)
    loss = _loss(proof, plans, options, inputs)
    if loss is not None and not (loss.ok or keep_failed):
        raise _too_much(model, loss)
    plans = plans._replace(exact=None)
    on_step("emit")
    model = model._replace(graph=plans.predict.graph)  # the weights before folding are gone when the folded are packed
    module = _emit(model, plans, options, proof)
    with published(module, output, sidecar, force=force) as candidate:
        if proof.truth is not None:
            on_step("verify")
        verification = _verified(proof, candidate, model.built, loss)
        if verification and not keep_failed:
            verification.raise_if_wrong()
        if verification and not verification.ok:
            write_again(module.with_constants(VERIFIED=None, SELFTEST=proof.of_keras()), candidate)
        elif verification and (met := proof.met(verification.tolerance, verification.loss)) != proof.verified:
            write_again(module.with_constants(VERIFIED=met), candidate)
    if verification:
        verification.raise_if_wrong()
        loss = verification.loss
    elif loss is not None and not loss.ok:
        raise _too_much(model, loss)
    reports = (*verification.outputs, *verification.steps) if verification else ()
    unread = proof.unread if verification else ()
    return ExportResult(place, sidecar, len(module.npz), reports, proof.unverified, module.warning, unread, loss)


def load(source: Any, **options: Any) -> ModuleType:
    """A model as a NumPy module in memory: no file is written.

    `source` and the options are those of `export`, but for `output`, `force` and a sidecar; the module is compared with
    Keras in the same way. Its `VERIFIED` tells whether that was done.

    Warns of weights that are NaN or infinite. Raises what `export` raises.
    """
    stream = BytesIO()
    result = export(source, stream, **options)
    if result.warning:
        warnings.warn(result.warning, stacklevel=2)
    return load_module(stream.getvalue())


def check(
    source: Any,
    module: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    store: str = "embedded",
    activations: bool = False,
    custom: Rules | None = None,
    theano_kernels: bool = False,
    optimize: int = LEVEL,
    max_memory: int | None = None,
    gradients: GradientOptions | None = None,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    defines: Mapping[str, Any] | None = None,
    labels: Labels | None = None,
    preprocess: str | Sequence[float] | None = None,
    rename: Mapping[str, str] | None = None,
    minimal: bool = False,
    target: str = "numpy",
    weights_dtype: str = "float32",
    keep: Sequence[str] = (),
    max_loss: float | None = None,
    streaming: bool = False,
    tiled: bool = False,
    tune: str | os.PathLike[str] | None = None,
    tune_batch: int | None = None,
    tunable: bool = False,
) -> Changes:
    """What an export with these options would change in a module that was written before; nothing is written.

    Raises InvalidModelError, UnsupportedModelError, FileError and UsageError.
    """
    place = Path(module)
    sidecar = _sidecar(place, store, target)
    file = read(source, weights, theano_kernels=theano_kernels, outputs=outputs, input_shape=input_shape)
    options = Options(
        sidecar=sidecar.name if sidecar else "",
        activations=activations,
        custom=custom or {},
        theano_kernels=theano_kernels,
        level=optimize,
        max_memory=max_memory,
        gradients=gradients,
        outputs=file.outputs,
        input_shape=file.input_shape,
        defines=defines or {},
        rename=rename or {},
        minimal=minimal,
        target=target,
        processing=_processing(labels, preprocess),
        weights_dtype=weights_dtype,
        keep=tuple(keep),
        max_loss=max_loss,
        streaming=streaming,
        tiled=tiled,
        tunable=tunable,
    )
    options.check_tuning(tune, tune_batch)
    if tune is not None:
        _, options = tuned(prepare(file, options), options, Tune(tune, tune_batch, measure=False))
    new = generate(file, options)
    return changes(new, place, sidecar)


def _processing(labels: Labels | None, preprocess: str | Sequence[float] | None) -> Processing | None:
    """What is around `predict`, if anything is asked for."""
    if labels is None and not preprocess:
        return None
    return Processing(() if labels is None else read_labels(labels), scaling(preprocess) if preprocess else None)


def _sidecar(place: Path | None, store: str, target: str) -> Path | None:
    """The file beside the module that holds the weights, if there is to be one."""
    if target not in TARGETS:
        raise UsageError(f"target is one of {', '.join(TARGETS)}, not {target!r}")
    if store not in STORES:
        raise UsageError(f"store is one of {', '.join(STORES)}, not {store!r}")
    if store == "embedded":
        return None
    if place is None:
        raise UsageError("a sidecar stands beside the module: give the module a file name")
    if place.suffix == TARGETS[target]:
        raise UsageError(f"{printable(str(place))}: is the sidecar's name; give the module another one")
    return place.with_suffix(TARGETS[target])


def _loss(proof: Proof, plans: Plans, options: Options, inputs: Any) -> Loss | None:
    """What weights in fewer bytes cost, compared with the graph that has the model's."""
    if plans.exact is None or (proof.truth is not None and inputs is not None):  # Keras has answered them all
        return None
    batches = proof.answers(plans.exact, plans.predict, inputs)
    return measure(options.weights_dtype, options.loss_limit, batches, FLOAT32)


def _too_much(model: Prepared, loss: Loss) -> ParityError:
    return ParityError(f"{printable(model.file.source)}: {loss}; {loss.hint}")


def _verified(proof: Proof, candidate: Path | BytesIO, built: Built, loss: Loss | None) -> Verification | None:
    """The comparison of a module that is not published yet with Keras, if Keras has answered, with all of the loss."""
    if proof.truth is None:
        return None
    module = load_module(candidate if isinstance(candidate, Path) else candidate.getvalue())
    verification = compared(built, module, {"": proof.arrays}, {"": proof.expected}, proof.truth)
    return replace(verification, loss=verification.loss and verification.loss.joined(loss))


def inspect(
    source: Any,
    *,
    weights: str | os.PathLike[str] | None = None,
    custom: Rules | None = None,
    gradients: GradientOptions | None = None,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    defines: Mapping[str, Any] | None = None,
) -> Summary:
    """What is in a model: layers, shapes, parameters, multiplications, and everything unsupported with the reason.

    With `gradients`, also what a step of training takes, in a module that is exported with them. `outputs` and
    `input_shape` are as for `export`; with `outputs`, only the layers that they need are listed.

    Raises InvalidModelError and FileError. An unsupported model is no error here, but has no gradients.
    """
    built = build(read(source, weights, outputs=outputs, input_shape=input_shape), custom, check_defines(defines))
    summary = summarize(built)
    if gradients is None or built.problems:
        return summary
    return replace(summary, gradients=step_cost(gradients.plan(built, built.bind(), LEVEL)))
