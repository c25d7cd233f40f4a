"""`kerasgen export`."""

from __future__ import annotations

import enum
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputGradients,
    InputShape,
    Keep,
    LabelFile,
    MaxLoss,
    Outputs,
    Preprocess,
    RunLambdas,
    StoredDtype,
    Theano,
    Trainable,
    Weights,
    WeightsDtype,
    app,
    architecture_options,
    functions,
    gradient_options,
    new_names,
    progress,
    report,
    say,
    values,
)
from kerasgen.hdf5 import process
from kerasgen.names import module_name, printable

if TYPE_CHECKING:
    from kerasgen.config import ConfiguredModel
    from kerasgen.emit.staleness import Changes


class Store(str, enum.Enum):
    """Where the weights go."""

    embedded = "embedded"
    sidecar = "sidecar"


class Target(str, enum.Enum):
    """What the module needs."""

    numpy = "numpy"
    pure = "pure"


@app.command()
def export(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="A .h5, .keras or JSON file, or the folder of an unzipped .keras. [default: all models of "
            "[tool.kerasgen] in pyproject.toml]",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The module; - is stdout. [default: MODEL with .py]")
    ] = None,
    weights: Weights = None,
    outputs: Outputs = "",
    input_shape: InputShape = "",
    target: Annotated[
        Target, typer.Option(help="A module with NumPy, or without: for CPython, PyPy and MicroPython.")
    ] = Target.numpy,
    store: Annotated[Store, typer.Option(help="Weights in the module, or in a file beside it.")] = Store.embedded,
    weights_dtype: StoredDtype = WeightsDtype.float32,
    keep: Keep = None,
    max_loss: MaxLoss = None,
    activations: Annotated[
        bool, typer.Option("--activations", help="Add activations(): every layer's output by the layer's name.")
    ] = False,
    custom: Custom = None,
    define: Define = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OLD=NEW",
            help="Another name for an input or an output; may be given several times.",
            show_default=False,
        ),
    ] = None,
    tiled: Annotated[
        bool, typer.Option("--tiled", help="Add predict_tiled(): images of any size in bounded memory, tile by tile.")
    ] = False,
    minimal: Annotated[bool, typer.Option("--minimal", help="Leave out the command line and the self-test.")] = False,
    optimize: Annotated[
        int,
        typer.Option(
            "--optimize",
            "-O",
            min=0,
            max=2,
            help="0: textbook kernels. 1: fast ones that keep each layer's arithmetic. 2: all that keeps the answers.",
        ),
    ] = 2,
    max_memory: Annotated[
        str,
        typer.Option(
            help="What the arrays of a call on one sample may take, as 8MB; with less, calls are slower.",
            show_default=False,
        ),
    ] = "",
    tune: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use the fastest kernel for each layer, as FILE names it; if there is none, measure and write FILE.",
            show_default=False,
        ),
    ] = None,
    tune_batch: Annotated[
        int | None, typer.Option(min=1, help="Samples in a call that --tune measures. [default: 1]", show_default=False)
    ] = None,
    tunable: Annotated[
        bool, typer.Option("--tunable", help="Let the module write such a FILE: python model.py --tune FILE.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")] = False,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare with Keras before writing. [default: if TensorFlow is installed]",
            show_default=False,
        ),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Inputs to compare with Keras on: an .npy file, or an .npz file by input name. [default: random]",
            show_default=False,
        ),
    ] = None,
    run_lambdas: RunLambdas = False,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Write the module even where it differs from Keras.")
    ] = False,
    streaming: Annotated[
        bool, typer.Option("--streaming", help="Add start() and step(): sequences a few steps at a time.")
    ] = False,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Add forward() and backward(): the gradients of a loss.")
    ] = False,
    trainable: Trainable = None,
    input_gradients: InputGradients = None,
    loss: Annotated[str, typer.Option(help="Add train_step(), with this loss of Keras.", show_default=False)] = "",
    from_logits: Annotated[bool, typer.Option("--from-logits", help="The model answers with logits.")] = False,
    optimizer: Annotated[
        str, typer.Option(help="sgd, adam or rmsprop, as 'sgd(learning_rate=0.01)'.", show_default=False)
    ] = "",
    explain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METHOD",
            help="Add saliency, integrated_gradients or grad_cam=LAYER; may be given several times.",
            show_default=False,
        ),
    ] = None,
    theano_kernels: Theano = False,
    labels: LabelFile = None,
    preprocess: Preprocess = "",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse weights that are NaN or infinite.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: exit code 1 unless the module is there and current.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As --check, and print what an export would change.")] = False,
) -> None:
    """Write MODEL as a Python module that needs only NumPy."""
    if model is None:
        _only_of_all(context)
        with_all = {"force": force, "keep_failed": keep_failed, "strict": strict}
        raise typer.Exit(_export_all(verify, with_all) if not (check or diff) else _check_all(diff))
    from kerasgen.config import size_in_bytes

    module = output or Path(module_name(model))
    stdout = str(module) == "-"
    options: dict[str, Any] = {
        "weights": weights,
        "target": target.value,
        "store": store.value,
        "weights_dtype": weights_dtype.value,
        "keep": keep or (),
        "max_loss": max_loss,
        "activations": activations,
        "custom": functions(custom),
        "defines": values(define),
        "rename": new_names(rename),
        "tiled": tiled,
        "minimal": minimal,
        "streaming": streaming,
        "theano_kernels": theano_kernels,
        "optimize": optimize,
        "max_memory": size_in_bytes(max_memory, "--max-memory") if max_memory else None,
        "gradients": None,
        "labels": labels,
        "preprocess": preprocess,
        "tune": tune,
        "tune_batch": tune_batch,
        "tunable": tunable,
        **architecture_options(outputs, input_shape),
    }
    if gradients or trainable or loss or optimizer or explain:
        only_explained = bool(explain) and not (gradients or trainable or loss)
        options["gradients"] = gradient_options(
            [] if only_explained else trainable,
            input_gradients,
            loss=loss,
            from_logits=from_logits,
            optimizer=optimizer,
            explain=explain or (),
        )
    process.start()
    if check or diff:
        if stdout:
            raise kerasgen.UsageError("--check compares files: give the module's name to -o")
        with progress(f"{model} -> {module}"):
            changes = kerasgen.check(model, module, **options)
        raise typer.Exit(_tell(changes, diff))
    with progress(f"{model} -> {module}") as on_step:
        result = kerasgen.export(
            model,
            sys.stdout.buffer if stdout else module,
            force=force,
            verify=verify,
            keep_failed=keep_failed,
            strict=strict,
            inputs=inputs,
            on_step=on_step,
            run_lambdas=run_lambdas,
            **options,
        )
    _say(result)


def _say(result: kerasgen.ExportResult) -> None:
    """The files that were written, and what to know about them."""
    for written in filter(None, (result.sidecar, result.module)):
        print(written)
    for message in result.messages:
        say(message)


def _tell(changes: Changes, diff: bool) -> int:
    """Print what an export would change, if anything; the exit code, 1 then."""
    for line in (*changes.code, *changes.weights) if diff else ():
        print(printable(line))
    if not changes:
        say(str(changes))
        return 0
    hint = "" if diff or changes.missing else " (--diff shows how)"
    print(f"kerasgen: {changes}{hint}", file=sys.stderr)
    return 1


OF_ALL = frozenset("model force verify keep_failed strict check diff".split())  # what goes with all models of a project


def _only_of_all(context: typer.Context) -> None:
    """Raise UsageError for an option that belongs to a single model."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in OF_ALL and source is not None and source.name == "COMMANDLINE":
            raise kerasgen.UsageError(f"{parameter.opts[0]} goes with a MODEL; for all, pyproject.toml has the options")


def _export_all(verify: bool | None, options: dict[str, bool]) -> int:
    """Export each model of the project; the worst exit code."""
    from kerasgen.jobs.options import arguments

    def export_one(model: ConfiguredModel) -> int:
        settings = {**arguments(model.options), **{key: True for key, value in options.items() if value}}
        result = kerasgen.export(
            model.model,
            model.output,
            weights=model.weights,
            verify=model.verify if verify is None else verify,
            **settings,
        )
        _say(result)
        return 0

    return _each(export_one)


def _check_all(diff: bool) -> int:
    """Check each module of the project; the worst exit code."""
    from kerasgen.jobs.options import arguments

    def check_one(model: ConfiguredModel) -> int:
        options = arguments(model.options, check=True)
        return _tell(kerasgen.check(model.model, model.output, weights=model.weights, **options), diff)

    return _each(check_one)


def _each(act: Callable[[ConfiguredModel], int]) -> int:
    """Do this with every model of the project, whether or not others fail; the worst exit code."""
    from kerasgen import config
    from kerasgen.errors import worst

    codes = []
    for model in config.load().listed():
        try:
            with progress(f"{model.model} -> {model.output}"):
                codes.append(act(model))
        except kerasgen.KerasgenError as error:
            codes.append(report(error))
    return worst(codes)
