"""The command line: arguments, messages and exit codes. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import enum
import io
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

import kerasgen
from kerasgen.errors import KerasgenError
from kerasgen.names import printable


class _Commands(typer.core.TyperGroup):
    """The commands, with our exit codes: some errors typer would answer with its own."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """--quiet and --debug may stand behind the command, too."""
        return super().parse_args(ctx, sorted(args, key=lambda word: word not in ("--quiet", "-q", "--debug")))

    def invoke(self, ctx: Any) -> Any:
        """Run the command; any error becomes one line and a code."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(_report(error)) from error


app = typer.Typer(
    name="kerasgen",
    cls=_Commands,
    help="Take a trained Keras network out of Keras: one readable Python module that needs only NumPy.",
    invoke_without_command=True,
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
Custom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=MODULE:FUNCTION",
        help="A function of yours for the layer or the class NAME; may be given several times.",
        show_default=False,
    ),
]
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
    from rich.text import Text

    with Console(stderr=True).status(Text(printable(text))):
        yield


def _version(wanted: bool) -> None:
    if wanted:
        print(f"kerasgen {kerasgen.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages, only results and errors.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback with an error.")] = False,
) -> None:
    Settings.quiet, Settings.debug = quiet, debug
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(kerasgen.UsageError.exit_code)


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
    theano_kernels: Annotated[
        bool, typer.Option("--theano-kernels", help="Theano trained MODEL, a file of Keras 1, which does not say so.")
    ] = False,
) -> None:
    """Write MODEL as a Python module that needs only NumPy."""
    stdout = output is not None and str(output) == "-"
    target = sys.stdout.buffer if stdout else output or _module_name(model)
    with _progress(f"{model} -> {output or target}"):
        result = kerasgen.export(
            model,
            target,
            weights=weights,
            store=store.value,
            activations=activations,
            custom=_functions(custom),
            force=force,
            verify=verify,
            keep_failed=keep_failed,
            theano_kernels=theano_kernels,
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


def _functions(assignments: list[str] | None) -> dict[str, Any]:
    """The functions that --custom names."""
    if not assignments:
        return {}
    from kerasgen.custom import load

    return load(assignments)


def _module_name(model: Path) -> Path:
    """The model's name as a module's, in the current folder: an identifier that hides no module of Python or NumPy."""
    from kerasgen.names import PYTHON, Namespace

    return Path(f"{Namespace([*PYTHON, *sys.stdlib_module_names, 'numpy']).new(model.stem)}.py")


@app.command()
def inspect(model: Model, weights: Weights = None, custom: Custom = None, json: Json = False) -> None:
    """Show the layers of MODEL: kind, output shape, parameters, multiply-adds, and what is unsupported."""
    summary = kerasgen.inspect(model, weights=weights, custom=_functions(custom))
    if json:
        import json as encoder

        print(encoder.dumps(summary.to_dict(), indent=2))
    else:
        from kerasgen.tables import print_summary

        print_summary(summary)
    if summary.problems:
        raise typer.Exit(kerasgen.UnsupportedModelError.exit_code)


@app.command()
def layers(json: Json = False) -> None:
    """List the layers and operations that are supported, and those that are not, with the reason."""
    from kerasgen.layers import UNSUPPORTED
    from kerasgen.layers.registry import families

    if json:
        import json as encoder

        print(encoder.dumps({"supported": families(), "unsupported": UNSUPPORTED}, indent=2))
    else:
        from kerasgen.tables import print_layers

        print_layers(families(), UNSUPPORTED)


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

        print(encoder.dumps([report.to_dict() for report in reports], indent=2))
    else:
        for report in reports:
            print(report)
    if not all(report.ok for report in reports):
        raise typer.Exit(kerasgen.ParityError.exit_code)


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line and exit with its code."""
    signal.signal(signal.SIGTERM, _terminated)
    if sys.stdout is None:
        sys.exit(_report(kerasgen.FileError("stdout: is closed")))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal has no letters for
    try:
        code = app(arguments, standalone_mode=False)
    except Exception as error:  # of the options before the command
        code = _report(error)
    sys.exit(code or 0)


def _terminated(*_: Any) -> None:
    """End by an exception, so that what is half written is removed."""
    sys.exit(128 + signal.SIGTERM)


def _report(error: BaseException) -> int:
    """One line about an error; the exit code that goes with it."""
    if Settings.debug:
        traceback.print_exception(error)
    text, code = _explain(error)
    print(f"kerasgen: {printable(text)}", file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KerasgenError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # typer's own errors; where their class lives depends on its version
        return f"{' '.join(error.format_message().split())} (--help tells more)", kerasgen.UsageError.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted", 130
    if isinstance(error, OSError):  # of files, FileError tells
        _drop_stdout()
        return f"stdout: cannot be written: {error.strerror or error}", kerasgen.FileError.exit_code
    return f"a bug in kerasgen: {type(error).__name__}: {' '.join(str(error).split())}", KerasgenError.exit_code


def _drop_stdout() -> None:
    """What could not be written goes nowhere, else Python tries again when it ends."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
