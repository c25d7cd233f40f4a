"""A module as a program: `python model.py in.npy -o out.npy`."""

import io

import numpy as np

from kerasgen.emit.runtime.selftest import selftest


def save_arrays(file, arrays):
    """Write one array as .npy, several as .npz, by their names."""
    import zipfile

    if len(arrays) == 1:
        np.save(file, *arrays.values())
        return
    with zipfile.ZipFile(file, "w") as archive:  # np.savez cannot name an array `file`
        for name, array in arrays.items():
            with archive.open(name + ".npy", "w", force_zip64=True) as member:
                np.save(member, array)


def main(predict, inputs, outputs, recorded=None, reset=None, arguments=None):
    """Run `predict` on .npy files and save what it returns: `python model.py in.npy -o out.npy`."""
    import argparse
    import signal

    if hasattr(signal, "SIGPIPE"):  # end as other programs do where nobody reads on, as in `| head`
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    takes, gives = (", ".join(f"{name!a} {shape} {dtype}" for name, shape, dtype in side) for side in (inputs, outputs))
    parser = argparse.ArgumentParser(
        description=f"Takes {takes}; gives {gives}. None is any size.",
        epilog="Exit codes: 0 ok, 1 an error or a wrong answer, 2 usage, 77 nothing was recorded that --selftest could "
        "compare, 141 stdout is a pipe that was closed.",
    )
    parser.add_argument("files", nargs="*", metavar="in.npy", help="one array for each input, in this order")
    parser.add_argument(
        "-o", "--output", metavar="out.npy", help="where to save, - is stdout; several outputs make an .npz file"
    )
    parser.add_argument(
        "--selftest", action="store_true", help="compare the answer to generated inputs with a recorded one"
    )
    options = parser.parse_args(arguments)
    if options.selftest:
        if recorded is None:
            parser.exit(77, f"{parser.prog}: no answers were recorded when the module was written\n")
        parser.exit(0 if selftest(predict, inputs, outputs, recorded, reset) else 1)
    if len(options.files) != len(inputs):
        parser.error(f"takes {len(inputs)} files, one for each input, not {len(options.files)}")
    arrays = []
    for path in options.files:
        try:
            with open(path, "rb") as file:
                arrays.append(np.lib.format.read_array(file, allow_pickle=False))
        except (OSError, ValueError) as error:
            parser.exit(1, f"{parser.prog}: {path}: cannot be read as .npy: {error}\n")
    try:
        result = predict(*arrays)
        if not isinstance(result, dict):
            results = [result] if len(outputs) == 1 else result
            result = dict(zip([name for name, _, _ in outputs], results))
        if options.output is None:
            for name, array in result.items():
                print(f"{name!a} {array.shape} {array.dtype}")
                print(np.array2string(array, threshold=1000, max_line_width=120))
        elif options.output == "-":
            packed = io.BytesIO()  # np.save wants a file that it can seek in
            save_arrays(packed, result)
            with open(1, "wb", closefd=False) as stdout:
                stdout.write(packed.getbuffer())
        else:
            with open(options.output, "wb") as file:
                save_arrays(file, result)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
