"""The public functions: export, inspect, verify."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.build import build
from kerasgen.emit import Module, emit
from kerasgen.errors import ParityError, UsageError
from kerasgen.model import ModelFile
from kerasgen.oracle import available, oracle
from kerasgen.parity import Answer, OutputReport, compare, flat, load_arrays, load_module, random_inputs
from kerasgen.passes import CLEANING, optimize
from kerasgen.publish import check_target, staged
from kerasgen.readers import read
from kerasgen.summary import Summary, summarize

STORES = ("embedded", "sidecar")
LARGE = 16_000_000  # bytes of weights from which a sidecar is worth a word


@dataclass(frozen=True)
class ExportResult:
    """What was written, and how it compares with Keras.

    Where nothing was compared, `outputs` is empty and `unverified` says why.
    """

    module: Path
    sidecar: Path | None
    weight_bytes: int
    outputs: tuple[OutputReport, ...]
    unverified: str

    @property
    def advice(self) -> str:
        """A word on embedded weights that are large, or nothing."""
        if self.sidecar is not None or self.weight_bytes < LARGE:
            return ""
        size = self.weight_bytes / 1e6
        return (
            f"{size:.0f} MB of weights are embedded, {size * 4 / 3:.0f} MB as text: "
            f"--store sidecar would save {size / 3:.0f} MB of disk and most of the time to start"
        )


def generate(file: ModelFile, *, sidecar: str = "", activations: bool = False) -> Module:
    """The module of a model that was read: its text and its weights, not written anywhere.

    `sidecar` names the .npz file that holds the weights, instead of the module.
    """
    graph = build(file).bind()
    if not activations:
        return emit(optimize(graph), sidecar=sidecar)
    full = optimize(graph.with_every_layer())
    predict = optimize(replace(full, outputs=full.outputs[: len(graph.outputs)]), CLEANING)
    return emit(predict, sidecar=sidecar, activations=full)


def export(
    source: Any,
    output: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    store: str = "embedded",
    activations: bool = False,
    force: bool = False,
    verify: bool | None = None,
    keep_failed: bool = False,
) -> ExportResult:
    """Write a model as a NumPy module.

    `source` is the path of a model file, or a live keras.Model; `weights` the file with the weights where `source` is
    an architecture in JSON. `store` puts the weights into the module ("embedded") or into an .npz file beside it
    ("sidecar"). `activations` adds a function that returns every layer's output. `verify` compares the module with
    Keras before it is published: True insists on it, False leaves it out, None does it where TensorFlow is installed.

    Raises InvalidModelError, UnsupportedModelError, ParityError (the module is then not written, unless `keep_failed`),
    FileError and UsageError.
    """
    target = Path(output)
    if store not in STORES:
        raise UsageError(f"store is one of {', '.join(STORES)}, not {store!r}")
    check_target(target, source=source, force=force)
    sidecar = target.with_suffix(".npz") if store == "sidecar" else None
    if sidecar is not None:
        check_target(sidecar, source=source, force=force)
    file = read(source, weights)
    module = generate(file, sidecar=sidecar.name if sidecar else "", activations=activations)
    files: dict[Path, Any] = {sidecar: lambda f: f.write(module.npz)} if sidecar else {}
    files[target] = module.write
    with staged(files, keep=keep_failed) as stage:
        outputs, unverified = _verify_staged(source, weights, file.keras_version, stage, verify)
        _raise_if_wrong(source, outputs)
    return ExportResult(target, sidecar, len(module.npz), outputs, unverified)


def _verify_staged(
    source: Any, weights: Any, keras_version: str, stage: Path, wanted: bool | None
) -> tuple[tuple[OutputReport, ...], str]:
    """The comparison with Keras, or why there is none."""
    if wanted is False:
        return (), "it was not asked for"
    if wanted is None and not available():
        return (), "TensorFlow is not installed"
    try:
        answer = oracle(source, weights, keras_version)
    except ParityError as error:
        if wanted:
            raise
        return (), str(error)
    module = load_module(stage)
    return _compare(module, answer, random_inputs(module.INPUTS), None), ""


def verify(
    source: Any,
    module: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    inputs: str | os.PathLike[str] | None = None,
    seed: int = 0,
    tolerance: float | None = None,
) -> tuple[OutputReport, ...]:
    """Compare a module with the model that it was made from, by Keras; one report for each output.

    The inputs are random, drawn by `seed`, or come from an .npy or .npz file. `tolerance` bounds the error as a part of
    the largest number in an output; by default 1e-4 for float32 (see `kerasgen.parity.TOLERANCES`).

    Raises UsageError where TensorFlow is missing, ParityError where Keras cannot load the model.
    """
    loaded = load_module(Path(module))
    answer = oracle(source, weights, read(source, weights).keras_version)
    names = [name for name, _, _ in loaded.INPUTS]
    arrays = random_inputs(loaded.INPUTS, seed) if inputs is None else load_arrays(Path(inputs), names)
    return _compare(loaded, answer, arrays, tolerance)


def _compare(
    module: Any, answer: Answer, arrays: Sequence[np.ndarray], tolerance: float | None
) -> tuple[OutputReport, ...]:
    expected = answer(arrays)
    got = flat(module.predict(*arrays))
    if len(got) != len(expected):
        raise ParityError(f"the module has {len(got)} outputs, Keras {len(expected)}")
    names = [name for name, _, _ in module.OUTPUTS]
    return tuple(compare(n, g, e, tolerance=tolerance) for n, g, e in zip(names, got, expected, strict=True))


def _raise_if_wrong(source: Any, outputs: Sequence[OutputReport]) -> None:
    wrong = [report for report in outputs if not report.ok]
    if wrong:
        worst = max(wrong, key=lambda report: report.relative)
        raise ParityError(
            f"{_name(source)}: the module differs from Keras: output {worst.name!a} is off by {worst.relative:.2g} "
            f"of its largest number at {worst.worst}, {worst.tolerance:g} is allowed"
        )


def _name(source: Any) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else "the model"


def inspect(source: Any, *, weights: str | os.PathLike[str] | None = None) -> Summary:
    """What is in a model: layers, shapes, parameters, multiplications, and everything unsupported with the reason.

    Raises InvalidModelError and FileError. An unsupported model is no error here.
    """
    return summarize(build(read(source, weights)))
