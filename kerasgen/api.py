"""The public functions export, check and inspect; `kerasgen.verification.verify` has verify."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from kerasgen.builder import build
from kerasgen.builder.custom import Rules
from kerasgen.builder.summary import Summary, summarize
from kerasgen.emit.load import load_module
from kerasgen.emit.memory import within
from kerasgen.emit.module import Module, Origin, emit
from kerasgen.emit.publish import check_target, staged, streamed
from kerasgen.emit.staleness import Changes, changes
from kerasgen.errors import InvalidModelError, UsageError
from kerasgen.names import module_name, printable
from kerasgen.passes import LEVEL, PIPELINES, only_outputs, optimize
from kerasgen.readers import read
from kerasgen.readers.fingerprint import fingerprint
from kerasgen.readers.model import ModelFile
from kerasgen.verification.compare import OutputReport
from kerasgen.verification.inputs import recipes
from kerasgen.verification.selftest import Proof
from kerasgen.verification.verify import Verification, compared

STORES = ("embedded", "sidecar")
LARGE = 16_000_000  # bytes of weights from which a sidecar is worth a word


@dataclass(frozen=True)
class ExportResult:
    """What was written, and how it compares with Keras.

    `module` is None where a stream took the module. Where nothing was compared, `outputs` is empty and `unverified`
    says why. `warning` is a word on what is odd about the model, or nothing.
    """

    module: Path | None
    sidecar: Path | None
    weight_bytes: int
    outputs: tuple[OutputReport, ...]
    unverified: str
    warning: str = ""

    @property
    def advice(self) -> str:
        """A word on embedded weights that are large, or nothing."""
        if self.sidecar is not None or self.weight_bytes < LARGE:
            return ""
        size = self.weight_bytes / 1e6
        return (
            f"{size:.0f} MB of weights are embedded, {size * 4 / 3:.0f} MB as text: "
            f"`store='sidecar'` would save {size / 3:.0f} MB of disk and most of the time to start"
        )


def generate(
    file: ModelFile,
    *,
    sidecar: str = "",
    activations: bool = False,
    custom: Rules | None = None,
    strict: bool = False,
    level: int = LEVEL,
    max_memory: int | None = None,
    theano_kernels: bool = False,
    proof: Proof | None = None,
) -> Module:
    """The module of a model that was read: its text and its weights, not written anywhere.

    `sidecar` names the .npz file that holds the weights, instead of the module. `strict` raises InvalidModelError where
    there would be a warning. `max_memory` are the bytes that a call may take. `theano_kernels` is how the file was
    read. `proof` has what the module compares its answers with: see `kerasgen.verification.selftest`.
    """
    if level not in PIPELINES:
        raise UsageError(f"the level of optimisation is one of {', '.join(map(str, PIPELINES))}, not {level!r}")
    built = build(file, custom)
    graph, full = built.bind(), None
    weights = {variable.key: graph.weights[variable.key] for variable in built.variables}
    warning, digest = _not_finite(weights), fingerprint(file.model, weights)
    if warning and strict:
        raise InvalidModelError(f"{file.source}: {warning}")
    wanted = recipes(graph, file.model) if proof else ()
    if activations:
        full = optimize(graph.with_every_layer(), PIPELINES[level])
        plan = only_outputs(full, len(graph.outputs))
    else:
        plan = optimize(graph, PIPELINES[level])
    del graph, weights  # the weights before folding are gone when the folded are packed
    record = proof and proof.record(wanted, plan)
    options = {
        "store": "sidecar" if sidecar else "",
        "activations": activations,
        "custom": sorted(custom or ()),
        "theano_kernels": theano_kernels,
        "max_memory": max_memory,
    }
    origin = Origin(
        {"name": file.model.name, "sha256": digest, "keras": file.keras_version},
        {name: option for name, option in options.items() if option},
        proof.verified if proof else None,
    )
    make = partial(emit, sidecar=sidecar, activations=full, level=level, selftest=record, origin=origin)
    if max_memory is None:
        return replace(make(plan), warning=warning)
    try:
        return replace(within(max_memory, plan, make, sidecar), warning=warning)
    except UsageError as error:
        raise UsageError(f"{file.source}: {error}") from error


def _not_finite(weights: Mapping[str, np.ndarray]) -> str:
    """A word on weights that are NaN or infinite, if there are any: the model answers NaN, or nearly does."""
    names = [name for name, array in weights.items() if not np.isfinite(array).all()]
    return f"NaN or infinite numbers among the weights of {', '.join(names)}" if names else ""


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
    weights; with less than the fastest way takes, blocks are smaller and calls slower.

    Raises InvalidModelError, UnsupportedModelError, ParityError (the module is then not written, unless `keep_failed`),
    FileError and UsageError.
    """
    output = module_name(source) if output is None else output
    target = Path(output) if isinstance(output, (str, os.PathLike)) else None
    sidecar = _sidecar(target, store)
    for path in filter(None, (target, sidecar)):
        check_target(path, sources=(source, weights), force=force)
    file = read(source, weights, theano_kernels=theano_kernels)
    proof = Proof(source, weights, file, verify)
    module = generate(
        file,
        sidecar=sidecar.name if sidecar else "",
        activations=activations,
        custom=custom,
        strict=strict,
        level=optimize,
        max_memory=max_memory,
        theano_kernels=theano_kernels,
        proof=proof,
    )
    if isinstance(output, (str, os.PathLike)):
        first = {sidecar: lambda f: f.write(module.npz)} if sidecar else {}
        publication: AbstractContextManager[Path | BytesIO] = staged({**first, Path(output): module.write}, force=force)
    else:
        publication = streamed(module.write, output)
    with publication as candidate:
        verification = _verified(proof, candidate, custom)
        if verification and not keep_failed:
            verification.raise_if_wrong()
        if verification and not verification.ok:
            _write_again(module.with_constants(VERIFIED=None, SELFTEST=proof.of_keras()), candidate)
        elif verification and (met := proof.met(verification.tolerance)) != proof.verified:
            _write_again(module.with_constants(VERIFIED=met), candidate)
    if verification:
        verification.raise_if_wrong()
    outputs = verification.outputs if verification else ()
    return ExportResult(target, sidecar, len(module.npz), outputs, proof.unverified, module.warning)


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
) -> Changes:
    """What an export with these options would change in a module that was written before; nothing is written.

    Raises InvalidModelError, UnsupportedModelError, FileError and UsageError.
    """
    target = Path(module)
    sidecar = _sidecar(target, store)
    file = read(source, weights, theano_kernels=theano_kernels)
    new = generate(
        file,
        sidecar=sidecar.name if sidecar else "",
        activations=activations,
        custom=custom,
        level=optimize,
        max_memory=max_memory,
        theano_kernels=theano_kernels,
    )
    return changes(new, target, sidecar)


def _sidecar(target: Path | None, store: str) -> Path | None:
    """The file beside the module that holds the weights, if there is to be one."""
    if store not in STORES:
        raise UsageError(f"store is one of {', '.join(STORES)}, not {store!r}")
    if store == "embedded":
        return None
    if target is None:
        raise UsageError("a sidecar stands beside the module: give the module a file name")
    if target.suffix == ".npz":
        raise UsageError(f"{printable(str(target))}: is the sidecar's name; give the module another one")
    return target.with_suffix(".npz")


def _write_again(module: Module, candidate: Path | BytesIO) -> None:
    """Put another module in the place of one that is not published yet."""
    if isinstance(candidate, Path):
        with open(candidate, "wb") as file:
            module.write(file)
    else:
        candidate.seek(0)
        candidate.truncate()
        module.write(candidate)


def _verified(proof: Proof, candidate: Path | BytesIO, custom: Rules | None) -> Verification | None:
    """The comparison of a module that is not published yet with Keras, if Keras has answered."""
    if proof.truth is None:
        return None
    given, expected = {"": proof.arrays}, {"": proof.expected}
    module = load_module(candidate if isinstance(candidate, Path) else candidate.getvalue())
    return compared(build(proof.file, custom), module, given, expected, proof.truth)


def inspect(source: Any, *, weights: str | os.PathLike[str] | None = None, custom: Rules | None = None) -> Summary:
    """What is in a model: layers, shapes, parameters, multiplications, and everything unsupported with the reason.

    Raises InvalidModelError and FileError. An unsupported model is no error here.
    """
    return summarize(build(read(source, weights), custom))
