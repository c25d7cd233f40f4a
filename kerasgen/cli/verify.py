"""`kerasgen verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen import child
from kerasgen.cli.app import Json, Model, Theano, Weights, app, progress


@app.command()
def verify(
    model: Model,
    module: Annotated[Path, typer.Argument(help="The module that was exported from it.", show_default=False)],
    weights: Weights = None,
    inputs: Annotated[
        Path | None, typer.Option(help="Inputs: an .npy file, or an .npz file by input name. [default: random]")
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of random inputs.", min=0, max=2**32 - 1)] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest error, as a part of the largest output. [default: 1e-4 for float32]", min=0.0),
    ] = None,
    theano_kernels: Theano = False,
    json: Json = False,
) -> None:
    """Compare MODULE with MODEL, answered by Keras itself. Exit code 1 where they differ."""
    child.start()
    with progress(f"{module} against {model}"):
        reports = kerasgen.verify(
            model,
            module,
            weights=weights,
            inputs=inputs,
            seed=seed,
            tolerance=tolerance,
            theano_kernels=theano_kernels,
        )
    if json:
        import json as encoder

        print(encoder.dumps([report.to_dict() for report in reports], indent=2))
    else:
        for report in reports:
            print(report)
    if not all(report.ok for report in reports):
        raise typer.Exit(kerasgen.ParityError.exit_code)
