"""`kerasgen export`."""

from __future__ import annotations

import enum
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputGradients,
    Model,
    RunLambdas,
    Theano,
    Trainable,
    Weights,
    app,
    functions,
    gradient_options,
    progress,
    say,
    values,
)
from kerasgen.hdf5 import process
from kerasgen.names import module_name, printable

if TYPE_CHECKING:
    from kerasgen.emit.staleness import Changes


class Store(str, enum.Enum):
    """Where the weights go."""

    embedded = "embedded"
    sidecar = "sidecar"


@app.command()
def export(
    model: Model,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The module; - is stdout. [default: MODEL with .py]")
    ] = None,
    weights: Weights = None,
    store: Annotated[Store, typer.Option(help="Weights in the module, or in an .npz file beside it.")] = Store.embedded,
    activations: Annotated[
        bool, typer.Option("--activations", help="Add activations(): every layer's output by the layer's name.")
    ] = False,
    custom: Custom = None,
    define: Define = None,
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
    strict: Annotated[bool, typer.Option("--strict", help="Refuse weights that are NaN or infinite.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing: exit code 1 unless the module is there and current.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="As --check, and print what an export would change.")] = False,
) -> None:
    """Write MODEL as a Python module that needs only NumPy."""
    module = output or Path(module_name(model))
    stdout = str(module) == "-"
    options: dict[str, Any] = {
        "weights": weights,
        "store": store.value,
        "activations": activations,
        "custom": functions(custom),
        "defines": values(define),
        "theano_kernels": theano_kernels,
        "optimize": optimize,
        "max_memory": _bytes(max_memory) if max_memory else None,
        "gradients": None,
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
    with progress(f"{model} -> {module}"):
        if check or diff:
            if stdout:
                raise kerasgen.UsageError("--check compares files: give the module's name to -o")
            return _tell(kerasgen.check(model, module, **options), diff)
        result = kerasgen.export(
            model,
            sys.stdout.buffer if stdout else module,
            force=force,
            verify=verify,
            keep_failed=keep_failed,
            strict=strict,
            inputs=inputs,
            run_lambdas=run_lambdas,
            **options,
        )
    for written in filter(None, (result.sidecar, result.module)):
        print(written)
    if result.warning:
        say(f"warning: {result.warning}")
    if result.unverified:
        say(f"not verified: {result.unverified}")
    else:
        worst = max(result.outputs, key=lambda report: report.relative)
        say(f"verified against Keras: largest error {worst.relative:.1e} of the largest output")
    if result.unread:
        names = ", ".join(map(printable, result.unread))
        say(f"not compared: the reading of {names}, whose code Keras did not run (`run_lambdas=True` lets it)")
    if result.advice:
        say(result.advice)


def _tell(changes: Changes, diff: bool) -> None:
    """Print what an export would change, if anything; exit code 1 then."""
    for line in (*changes.code, *changes.weights) if diff else ():
        print(printable(line))
    if not changes:
        say(str(changes))
        return
    hint = "" if diff or changes.missing else " (--diff shows how)"
    print(f"kerasgen: {changes}{hint}", file=sys.stderr)
    raise typer.Exit(1)


def _bytes(size: str) -> int:
    """What a size such as 8MB means."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMG]?)B?", size, re.IGNORECASE)
    if found is None:
        raise kerasgen.UsageError(f"--max-memory is a size as 8MB, not {printable(size)}")
    return int(float(found[1]) * 1000 ** " KMG".index(found[2].upper() or " "))
