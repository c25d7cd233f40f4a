"""A module as a program: `python model.py in.npy -o out.npy`."""

import io

import numpy as np

from kerasgen.emit.runtime.files import format_of, read_inputs, save_arrays
from kerasgen.emit.runtime.selftest import selftest


def main(predict, inputs, outputs, recorded=None, reset=None, preprocess=None, classify=None, arguments=None):
    """Run `predict` on files and save or print what it returns: `python model.py in.npy -o out.npy`.

    Source that `exec` runs in a program or a notebook is no program itself: the arguments are not for it.
    """
    import signal

    if arguments is None and main.__code__.co_filename in ("<string>", "<exec>"):  # the latter is Pyodide's
        return
    if hasattr(signal, "SIGPIPE"):  # end as other programs do where nobody reads on, as in `| head`
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    parser = parser_of(inputs, outputs)
    options = parser.parse_args(arguments)
    if options.selftest:
        if recorded is None:
            parser.exit(77, f"{parser.prog}: no answers were recorded when the module was written\n")
        parser.exit(0 if selftest(predict, inputs, outputs, recorded, reset) else 1)
    usage = f"takes {len(inputs)} files, one for each input, not {len(options.files)}"
    if not options.files or (len(inputs) > 1 and len(options.files) not in (1, len(inputs))):
        parser.error(usage)
    try:
        kind = format_of(options.output or "", outputs)
    except ValueError as error:
        parser.error(str(error))
    try:
        arrays = read_inputs(options.files, inputs, preprocess)
        if len(arrays) < len(inputs):
            parser.error(usage)
        if classify is not None and options.output is None:
            print_classes(options.files if len(inputs) == 1 else [], classify(*arrays))
            return
        result = predict(*arrays)
        if not isinstance(result, dict):
            results = [result] if len(outputs) == 1 else result
            result = dict(zip([name for name, _, _ in outputs], results))
        if options.output is None:
            print_arrays(result)
        else:
            write_arrays(options.output, result, kind)
    except (OSError, TypeError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def parser_of(inputs, outputs):
    """The parser of the command line."""
    import argparse

    takes, gives = (", ".join(f"{name!a} {shape} {dtype}" for name, shape, dtype in side) for side in (inputs, outputs))
    parser = argparse.ArgumentParser(
        description=f"Takes {takes}; gives {gives}. None is any size.",
        epilog="Exit codes: 0 ok, 1 an error or a wrong answer, 2 usage, 77 nothing was recorded that --selftest could "
        "compare, 141 stdout is a pipe that was closed.",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="in.npy",
        help="one file for each input, in this order, or an .npz or JSON file with all; several files of a single "
        "input are one batch; .npy, .npz, .csv, .json, or images where Pillow is installed; - is stdin",
    )
    parser.add_argument(
        "-o", "--output", metavar="out.npy", help="where to save, as .npy, .npz, .csv or .json; - is stdout"
    )
    parser.add_argument(
        "--selftest", action="store_true", help="compare the answer to generated inputs with a recorded one"
    )
    return parser


def print_arrays(arrays):
    """Print arrays by name, long ones shortened."""
    for name, array in arrays.items():
        print(f"{name!a} {array.shape} {array.dtype}")
        print(np.array2string(array, threshold=1000, max_line_width=120))


def print_classes(paths, classes):
    """Print a line for each sample: its file if it has one, else its number, and the most probable classes."""
    for number, best in enumerate(classes):
        sample = paths[number] if len(paths) == len(classes) else number
        print(f"{sample}: " + ", ".join(f"{label} {probability:.3g}" for label, probability in best))


def write_arrays(path, arrays, kind):
    """Write arrays to a file of this kind; - is stdout."""
    if path != "-":
        with open(path, "wb") as file:
            save_arrays(file, arrays, kind)
        return
    packed = io.BytesIO()  # np.save wants a file that it can seek in
    save_arrays(packed, arrays, kind)
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(packed.getbuffer())
