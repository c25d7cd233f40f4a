"""The command line: arguments, messages and exit codes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import enum
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import kerasgen
from kerasgen.errors import KerasgenError

if TYPE_CHECKING:
    from kerasgen.parity import OutputReport

app = typer.Typer(
    name="kerasgen",
    help="Take a trained Keras network out of Keras: one readable Python module that needs only NumPy.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 invalid file, 4 unsupported model, 5 a file cannot be read or "
        "written, 70 a bug in kerasgen, 130 interrupted."
    ),
)


class Store(str, enum.Enum):
    """Where the weights go."""

    embedded = "embedded"
    sidecar = "sidecar"


class Settings:
    """What the options before the command say."""

    debug = False
    quiet = False


Model = Annotated[Path, typer.Argument(help="A .h5, .keras or JSON file.", show_default=False)]
Weights = Annotated[Path | None, typer.Option(help="The weights, where MODEL is an architecture in JSON.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _say(text: str) -> None:
    if not Settings.quiet:
        print(text, file=sys.stderr)


@contextmanager
def _progress(text: str) -> Iterator[None]:
    """A spinner on stderr while a long step runs, on a terminal only."""
    if Settings.quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kerasgen {kerasgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages, only results and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    Settings.quiet, Settings.debug = quiet, debug


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
) -> None:
    """Write MODEL as a Python module that needs only NumPy."""
    from kerasgen import api
    from kerasgen.readers import read

    if output is not None and str(output) == "-":
        if store is Store.sidecar:
            raise kerasgen.UsageError("a sidecar needs a file beside it: give -o a name")
        api.generate(read(model, weights), activations=activations).write(sys.stdout.buffer)
        _say("not verified: the module went to stdout")
        return
    target = output or _module_name(model)
    with _progress(f"{model} -> {target}"):
        result = api.export(
            model,
            target,
            weights=weights,
            store=store.value,
            activations=activations,
            force=force,
            verify=verify,
            keep_failed=keep_failed,
        )
    for written in filter(None, (result.sidecar, result.module)):
        print(written)
    if result.unverified:
        _say(f"not verified: {result.unverified}")
    else:
        worst = max(result.outputs, key=lambda report: report.relative)
        _say(f"verified against Keras: largest error {worst.relative:.1e} of the largest output")
    if result.advice:
        _say(result.advice)


def _module_name(model: Path) -> Path:
    """The model's name as a module's: in the current folder, a valid identifier."""
    from kerasgen.names import identifier

    return Path(f"{identifier(model.stem)}.py")


@app.command()
def inspect(model: Model, weights: Weights = None, json: Json = False) -> None:
    """Show the layers of MODEL: kind, output shape, parameters, multiply-adds, and what is unsupported."""
    summary = kerasgen.inspect(model, weights=weights)
    if json:
        import json as encoder

        print(encoder.dumps(summary.to_dict(), indent=2))
    else:
        from kerasgen.tables import print_summary

        print_summary(summary)
    if summary.problems:
        raise typer.Exit(kerasgen.UnsupportedModelError.exit_code)


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
    json: Json = False,
) -> None:
    """Compare MODULE with MODEL, answered by Keras itself. Exit code 1 where they differ."""
    with _progress(f"{module} against {model}"):
        reports = kerasgen.verify(model, module, weights=weights, inputs=inputs, seed=seed, tolerance=tolerance)
    if json:
        import json as encoder
        from dataclasses import asdict

        print(encoder.dumps([{**asdict(report), "ok": report.ok} for report in reports], indent=2))
    else:
        for report in reports:
            print(_line(report))
    if not all(report.ok for report in reports):
        raise typer.Exit(kerasgen.ParityError.exit_code)


def _line(report: OutputReport) -> str:
    verdict = "ok" if report.ok else "DIFFERS"
    return (
        f"{verdict} {ascii(report.name)[1:-1]}: error {report.relative:.2g} of the largest output "
        f"({report.tolerance:g} allowed), worst at {report.worst}: {report.got:.7g}, Keras has {report.expected:.7g}"
    )


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code."""
    try:
        code = app(arguments, standalone_mode=False)
        sys.stdout.flush()
    except KerasgenError as error:
        code = _fail(error, error.exit_code)
    except typer.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 5
    except Exception as error:
        import click

        if isinstance(error, click.ClickException):
            error.show()
            code = error.exit_code
        else:
            code = _fail(error, 70)
    sys.exit(code or 0)


def _fail(error: Exception, code: int) -> int:
    if Settings.debug:
        traceback.print_exc()
    what = str(error) if isinstance(error, KerasgenError) else f"a bug in kerasgen: {type(error).__name__}: {error}"
    print(f"kerasgen: {' '.join(what.split())}", file=sys.stderr)
    return code
