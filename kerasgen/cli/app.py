"""The application that the commands enter themselves into, and what they share: messages, exit codes, arguments."""

from __future__ import annotations

import enum
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

import kerasgen
from kerasgen.cli.flags import flags
from kerasgen.display import STEPS
from kerasgen.errors import KerasgenError
from kerasgen.names import printable


class Settings:
    """The global options."""

    debug = False
    quiet = False


class Commands(typer.core.TyperGroup):
    """The commands, with our exit codes in place of typer's."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """--quiet and --debug may follow the command, too."""
        try:
            return super().parse_args(ctx, sorted(args, key=lambda word: word not in ("--quiet", "-q", "--debug")))
        except OSError as error:  # from printing --help; typer has another exit code for a closed pipe
            raise typer.Exit(report(error)) from error

    def invoke(self, ctx: Any) -> Any:
        """Run the command; any error becomes one line and a code."""
        try:
            super().invoke(ctx)
            sys.stdout.flush()
        except typer.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(report(error)) from error


app = typer.Typer(
    name="kerasgen",
    cls=Commands,
    help="Take a trained Keras network out of Keras: one readable Python module that needs only NumPy.",
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog=(
        "Exit codes: 0 ok, 1 a check failed, 2 usage, 3 invalid file, 4 unsupported model, 5 a file cannot be read or "
        "written, 70 a bug in kerasgen, 130 interrupted, 141 stdout is a pipe that was closed."
    ),
)


class WeightsDtype(str, enum.Enum):
    """How weights are stored."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"
    int8 = "int8"


Model = Annotated[
    Path, typer.Argument(help="A .h5, .keras or JSON file, or the folder of an unzipped .keras.", show_default=False)
]
Weights = Annotated[Path | None, typer.Option(help="The weights, if MODEL is an architecture in JSON.")]
Custom = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=MODULE:FUNCTION",
        help="Your own function for the layer or the class NAME; may be given several times.",
        show_default=False,
    ),
]
Define = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=LITERAL",
        help="The value of a global that the function of a Lambda layer reads; may be given several times.",
        show_default=False,
    ),
]
RunLambdas = Annotated[
    bool,
    typer.Option(
        "--run-lambdas",
        help="Let Keras run the Python code of MODEL's Lambda layers, to compare with it. That code may do anything. "
        "Otherwise Keras gets the expressions that were read, and the reading is not compared.",
    ),
]
Theano = Annotated[
    bool, typer.Option("--theano-kernels", help="MODEL, a Keras 1 file, was trained with Theano but does not say so.")
]
Outputs = Annotated[
    str,
    typer.Option(
        metavar="NAME[,NAME]",
        help="End the module at these layers, as inspect names them; what they do not need is left out.",
        show_default=False,
    ),
]
InputShape = Annotated[
    str,
    typer.Option(
        metavar="SHAPE",
        help="The shape of a sample, as 64x64x3 or ?x8, for a Sequential that does not record it.",
        show_default=False,
    ),
]
Trainable = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="The weights or layers whose gradients are wanted, as 'dense*'; may be given several times. [default: "
        "those that are trainable]",
        show_default=False,
    ),
]
InputGradients = Annotated[
    bool | None,
    typer.Option(
        "--input-gradients/--no-input-gradients",
        help="Gradients of the inputs. [default: unless --trainable is given]",
        show_default=False,
    ),
]
StoredDtype = Annotated[
    WeightsDtype, typer.Option(help="Store weights in fewer bytes; they become float32 when the module is loaded.")
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Weights or layers that --weights-dtype leaves alone, as 'dense*'; may be given several times.",
        show_default=False,
    ),
]
MaxLoss = Annotated[
    float | None,
    typer.Option(
        help="Largest error that --weights-dtype may cause, as a part of the largest output. [default: 0.01 "
        "for float16, 0.03 for bfloat16, 0.1 for int8]",
        show_default=False,
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Names of the classes, one a line or in JSON: adds classify(), which answers with the most probable.",
        show_default=False,
    ),
]
Preprocess = Annotated[
    str,
    typer.Option(
        metavar="MODE",
        help="Add preprocess(), from images of any size to the input, with pixels as tf, torch or caffe of "
        "keras.applications scale them, or times SCALE plus OFFSET, as 1/255,0.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _version(value: bool) -> None:
    if value:
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


def say(text: str) -> None:
    """A message for people, on stderr, unless --quiet."""
    if not Settings.quiet:
        print(flags(text), file=sys.stderr)


@contextmanager
def progress(title: str) -> Iterator[Callable[[str], object]]:
    """A line on stderr about what is being done, on a terminal only. The block tells each step to what it is given.

    Another file descriptor is written to, for 2 is on /dev/null while Keras is asked.
    """
    if Settings.quiet or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with (
        open(os.dup(sys.stderr.fileno()), "w", encoding=sys.stderr.encoding, errors="backslashreplace") as terminal,
        Progress(*columns, console=Console(file=terminal), redirect_stdout=False, transient=True) as shown,
    ):
        task = shown.add_task(printable(title))
        yield lambda step: shown.update(task, description=printable(f"{title}: {STEPS.get(step, step)}"), refresh=True)


def functions(assignments: list[str] | None) -> dict[str, Any]:
    """The functions that --custom names."""
    if not assignments:
        return {}
    from kerasgen.builder.custom import load

    return load(assignments)


def architecture_options(outputs: str, input_shape: str) -> dict[str, Any]:
    """The options that --outputs and --input-shape stand for."""
    from kerasgen.config import sizes

    shape = sizes(input_shape, "--input-shape") if input_shape else None
    return {"outputs": outputs.split(",") if outputs else None, "input_shape": shape}


def values(assignments: list[str] | None) -> dict[str, Any]:
    """The values that --define names."""
    if not assignments:
        return {}
    from kerasgen.builder.defines import load

    return load(assignments)


def new_names(assignments: list[str] | None) -> dict[str, str]:
    """The names that --rename gives."""
    pairs = [text.partition("=") for text in assignments or ()]
    for old, equals, new in pairs:
        if not (old and equals and new):
            raise kerasgen.UsageError(f"--rename takes OLD=NEW, not {old}{equals}{new}")
    return {old: new for old, _, new in pairs}


def gradient_options(
    trainable: list[str] | None, inputs: bool | None, *, explain: Sequence[str] = (), **options: Any
) -> Any:
    """The options of the gradients; those of the inputs are wanted unless some weights are chosen."""
    from kerasgen.backward.options import GradientOptions

    return GradientOptions(
        trainable=None if trainable is None else tuple(trainable),
        inputs=bool(not trainable or explain) if inputs is None else inputs,
        explain=tuple(explain),
        **options,
    )


def report(error: BaseException) -> int:
    """Print one line about an error; returns its exit code.

    A closed pipe, as in `| head`, is not reported; its exit code is that of a shell for SIGPIPE. What a signal raises
    while Python makes a class is, before Python 3.12, only the cause of a RuntimeError.
    """
    if isinstance(error.__cause__, SystemExit):
        return int(error.__cause__.code or 0)
    if isinstance(error.__cause__, KeyboardInterrupt):
        error = error.__cause__
    if isinstance(error, BrokenPipeError):
        _drop_stdout()
        return 141
    if Settings.debug:
        traceback.print_exception(error)
    text, code = _explain(error)
    print(f"kerasgen: {printable(text)}", file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[str, int]:
    if isinstance(error, KerasgenError):
        return flags(str(error)), error.exit_code
    if hasattr(error, "format_message"):  # typer's own errors; the module of their class depends on its version
        return f"{' '.join(error.format_message().split())} (--help tells more)", kerasgen.UsageError.exit_code
    if isinstance(error, (KeyboardInterrupt, typer.Abort)):
        return "interrupted", 130
    if isinstance(error, OSError):  # errors about files are FileErrors
        _drop_stdout()
        return f"stdout: cannot be written: {error.strerror or error}", kerasgen.FileError.exit_code
    return f"a bug in kerasgen: {type(error).__name__}: {' '.join(str(error).split())}", KerasgenError.exit_code


def _drop_stdout() -> None:
    """Discard unwritten output; otherwise Python retries at exit."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
