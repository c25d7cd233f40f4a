"""`kerasgen package`."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

import kerasgen
from kerasgen.cli.app import (
    Custom,
    Define,
    InputShape,
    Keep,
    LabelFile,
    MaxLoss,
    Model,
    Outputs,
    Preprocess,
    RunLambdas,
    StoredDtype,
    Theano,
    Weights,
    WeightsDtype,
    app,
    architecture_options,
    functions,
    new_names,
    progress,
    say,
    values,
)
from kerasgen.hdf5 import process


class Form(str, enum.Enum):
    """What becomes of the module; the names are those of `kerasgen.packaging.FORMS`."""

    wheel = "wheel"
    aws_lambda = "lambda"
    zipapp = "zipapp"
    pyodide = "pyodide"
    folder = "folder"


@app.command()
def package(
    model: Model,
    form: Annotated[
        Form,
        typer.Option(
            "--as",
            help="A wheel to install; a zip for AWS Lambda; a .pyz file to run; a web page; a folder to hand over.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="WHERE",
            help="The file or the folder to write, or the folder that a wheel goes to. [default: named as MODEL, here]",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(help="The name of the package. [default: that of MODEL's file]", show_default=False)
    ] = "",
    version: Annotated[
        str | None, typer.Option(help="The version of a wheel. [default: 0.1.0]", show_default=False)
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="For AWS Lambda: x86_64 or arm64. [default: x86_64]", show_default=False)
    ] = None,
    python: Annotated[
        str | None, typer.Option(help="For AWS Lambda: its Python. [default: 3.12]", show_default=False)
    ] = None,
    numpy: Annotated[
        Path | None,
        typer.Option(
            metavar="WHEEL", help="For AWS Lambda: NumPy for it. [default: fetched by pip]", show_default=False
        ),
    ] = None,
    pyodide: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="For a page: where Pyodide is if no folder pyodide/ is beside it. [default: its CDN]",
            show_default=False,
        ),
    ] = None,
    weights: Weights = None,
    outputs: Outputs = "",
    input_shape: InputShape = "",
    custom: Custom = None,
    define: Define = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="OLD=NEW", help="As for export.", show_default=False)
    ] = None,
    activations: Annotated[bool, typer.Option("--activations", help="As for export.")] = False,
    weights_dtype: StoredDtype = WeightsDtype.float32,
    keep: Keep = None,
    max_loss: MaxLoss = None,
    labels: LabelFile = None,
    preprocess: Preprocess = "",
    optimize: Annotated[int, typer.Option("--optimize", "-O", min=0, max=2, help="As for export.")] = 2,
    max_memory: Annotated[
        str, typer.Option(help="As for export: what a call of the module may take.", show_default=False)
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
        Path | None, typer.Option(metavar="FILE", help="As for export: inputs to compare on.", show_default=False)
    ] = None,
    run_lambdas: RunLambdas = False,
    theano_kernels: Theano = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse weights that are NaN or infinite.")] = False,
) -> None:
    """Export MODEL and package it: as a wheel, a zip for AWS Lambda, a zipapp, a web page or a folder."""
    from kerasgen.config import size_in_bytes

    process.start()
    with progress(f"{model}: {form.value}") as on_step:
        result = kerasgen.package(
            model,
            form.value,
            output,
            name=name,
            version=version,
            arch=arch,
            python=python,
            numpy=numpy,
            pyodide=pyodide,
            weights=weights,
            custom=functions(custom),
            defines=values(define),
            rename=new_names(rename),
            activations=activations,
            weights_dtype=weights_dtype.value,
            keep=keep or (),
            max_loss=max_loss,
            labels=labels,
            preprocess=preprocess,
            optimize=optimize,
            max_memory=size_in_bytes(max_memory, "--max-memory") if max_memory else None,
            force=force,
            verify=verify,
            inputs=inputs,
            run_lambdas=run_lambdas,
            theano_kernels=theano_kernels,
            strict=strict,
            on_step=on_step,
            **architecture_options(outputs, input_shape),
        )
    print(result.path)
    for message in result.messages:
        say(message)
