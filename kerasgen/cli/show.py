"""`kerasgen inspect`, `kerasgen scan` and `kerasgen layers`."""

from __future__ import annotations

from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputGradients,
    InputShape,
    Json,
    Model,
    Outputs,
    Trainable,
    Weights,
    app,
    architecture_options,
    functions,
    gradient_options,
    values,
)
from kerasgen.cli.flags import flags_in
from kerasgen.hdf5 import process


@app.command()
def inspect(
    model: Model,
    weights: Weights = None,
    outputs: Outputs = "",
    input_shape: InputShape = "",
    custom: Custom = None,
    define: Define = None,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Tell what a step of training takes, too: memory and multiply-adds.")
    ] = False,
    trainable: Trainable = None,
    input_gradients: InputGradients = None,
    json: Json = False,
) -> None:
    """Show the layers of MODEL: kind, output shape, parameters, multiply-adds, and what is unsupported."""
    process.start()
    wanted = gradient_options(trainable, input_gradients) if gradients or trainable else None
    architecture = architecture_options(outputs, input_shape)
    options = {"custom": functions(custom), "defines": values(define), **architecture}
    summary = kerasgen.inspect(model, weights=weights, gradients=wanted, **options)
    if json:
        import json as encoder

        print(encoder.dumps(flags_in(summary.to_dict(), ("problem", "problems")), indent=2))
    else:
        from kerasgen.cli.tables import print_result

        print_result(summary)
    if summary.problems:
        raise typer.Exit(kerasgen.UnsupportedModelError.exit_code)


@app.command()
def scan(model: Model, json: Json = False) -> None:
    """Report what is dangerous in MODEL, without loading it. Exit code 1 if anything is."""
    process.start()
    result = kerasgen.scan(model)
    if json:
        import json as encoder

        print(encoder.dumps(flags_in(result.to_dict(), ("advice",)), indent=2))
    else:
        from kerasgen.cli.tables import print_result

        print_result(result)
    if result.dangerous:
        raise typer.Exit(1)


@app.command()
def layers(json: Json = False) -> None:
    """List the layers and operations that are supported, and those that are not, with the reason."""
    from kerasgen.layers import UNSUPPORTED
    from kerasgen.layers.registry import families

    if json:
        import json as encoder

        print(encoder.dumps({"supported": families(), "unsupported": UNSUPPORTED}, indent=2))
    else:
        from kerasgen.cli.tables import print_layers

        print_layers(families(), UNSUPPORTED)
