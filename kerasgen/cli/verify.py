"""`kerasgen verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputShape,
    Json,
    Model,
    Outputs,
    RunLambdas,
    Theano,
    Weights,
    app,
    architecture_options,
    functions,
    progress,
    values,
)
from kerasgen.cli.flags import flags
from kerasgen.hdf5 import process


@app.command()
def verify(
    model: Model,
    module: Annotated[Path, typer.Argument(help="The module that was exported from it.", show_default=False)],
    weights: Weights = None,
    outputs: Outputs = "",
    input_shape: InputShape = "",
    inputs: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|edge",
            help="An .npy file, or an .npz file by input name; `edge`: zeros, ones, negative, large and small numbers. "
            "[default: random]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of random inputs.", min=0, max=2**32 - 1)] = 0,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Largest error, as a part of the largest output. [default: 1e-4 for float32]", min=0.0),
    ] = None,
    gradients: Annotated[
        bool, typer.Option("--gradients", help="Compare backward() with TensorFlow's gradients, too.")
    ] = False,
    custom: Custom = None,
    define: Define = None,
    run_lambdas: RunLambdas = False,
    theano_kernels: Theano = False,
    repro: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where they differ, put the first wrong layer into a new folder.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report, too.")] = None,
    json: Json = False,
) -> None:
    """Compare MODULE with MODEL, answered by Keras itself. Exit code 1 where they differ, and why."""
    process.start()
    try:
        with progress(f"{module} against {model}") as on_step:
            verified = kerasgen.verify(
                model,
                module,
                weights=weights,
                inputs=inputs,
                seed=seed,
                tolerance=tolerance,
                custom=functions(custom),
                defines=values(define),
                run_lambdas=run_lambdas,
                theano_kernels=theano_kernels,
                gradients=gradients,
                on_step=on_step,
                **architecture_options(outputs, input_shape),
            )
    except kerasgen.ParityError as error:
        _report(junit, module, flags(str(error)))
        raise
    _report(junit, module, verified)
    if json:
        import json as encoder

        print(encoder.dumps(verified.to_dict(), indent=2))
    else:
        print(flags(str(verified)))
    if repro is not None and verified.divergence is not None:
        from kerasgen.verification.reproduce import reproduce

        reproduce(verified.divergence, repro)
    if not verified.ok:
        raise typer.Exit(kerasgen.ParityError.exit_code)


def _report(path: Path | None, module: Path, verified: kerasgen.Verification | str) -> None:
    """Write the JUnit report, if there is to be one."""
    if path is None:
        return
    from kerasgen.emit.publish import check_target, staged
    from kerasgen.verification.junit import junit

    check_target(path, sources=(module,), force=True)
    with staged({path: lambda file: file.write(junit(module, verified))}):
        pass
