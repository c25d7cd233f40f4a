"""`kerasgen export`."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import Custom, Model, Theano, Weights, app, functions, progress, say


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
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace files that exist.")] = False,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare with Keras before writing. [default: if TensorFlow is installed]",
            show_default=False,
        ),
    ] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Write the module even where it differs from Keras.")
    ] = False,
    theano_kernels: Theano = False,
) -> None:
    """Write MODEL as a Python module that needs only NumPy."""
    stdout = output is not None and str(output) == "-"
    target = sys.stdout.buffer if stdout else output or _module_name(model)
    with progress(f"{model} -> {output or target}"):
        result = kerasgen.export(
            model,
            target,
            weights=weights,
            store=store.value,
            activations=activations,
            custom=functions(custom),
            force=force,
            verify=verify,
            keep_failed=keep_failed,
            theano_kernels=theano_kernels,
        )
    for written in filter(None, (result.sidecar, result.module)):
        print(written)
    if result.unverified:
        say(f"not verified: {result.unverified}")
    else:
        worst = max(result.outputs, key=lambda report: report.relative)
        say(f"verified against Keras: largest error {worst.relative:.1e} of the largest output")
    if result.advice:
        say(result.advice)


def _module_name(model: Path) -> Path:
    """The model's name as a module's, in the current folder: an identifier that hides no module of Python or NumPy."""
    from kerasgen.names import PYTHON, Namespace

    return Path(f"{Namespace([*PYTHON, *sys.stdlib_module_names, 'numpy']).new(model.stem)}.py")
