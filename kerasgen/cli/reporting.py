"""`kerasgen report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputShape,
    Model,
    Outputs,
    Theano,
    Weights,
    app,
    architecture_options,
    functions,
    progress,
    say,
    values,
)
from kerasgen.cli.flags import flags_in
from kerasgen.hdf5 import process


@app.command()
def report(
    model: Model,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page. [default: MODEL with .html]", show_default=False)
    ] = None,
    weights: Weights = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Inputs to run it on: an .npy file, or an .npz file by input name. [default: random]",
            show_default=False,
        ),
    ] = None,
    custom: Custom = None,
    outputs: Outputs = "",
    input_shape: InputShape = "",
    define: Define = None,
    verify: Annotated[
        bool | None,
        typer.Option(
            "--verify/--no-verify",
            help="Compare with Keras. [default: if TensorFlow is installed]",
            show_default=False,
        ),
    ] = None,
    theano_kernels: Theano = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that exists.")] = False,
) -> None:
    """Write a page about MODEL: layers, weights, code, costs, and how each layer compares with Keras."""
    process.start()
    with progress(f"{model}: report") as on_step:
        result = kerasgen.report(
            model,
            output,
            weights=weights,
            custom=functions(custom),
            inputs=inputs,
            verify=verify,
            theano_kernels=theano_kernels,
            defines=values(define),
            force=force,
            on_step=on_step,
            **architecture_options(outputs, input_shape),
            reworded=lambda data: flags_in(data, ("advice", "problem", "reason", "summary", "warning")),
        )
    print(result.path)
    say(result.summary)
    if result.data["warning"]:
        say(f"warning: {result.data['warning']}")
    if result.data["supported"] and not result.ok:
        raise typer.Exit(kerasgen.ParityError.exit_code)
