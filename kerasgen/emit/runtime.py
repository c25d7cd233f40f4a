"""What a module needs beside its kernels: finding its weights, and running from a shell.

Like the kernels, these functions are copied into the modules as they stand: Python 3.7, NumPy 1.17.
"""

import binascii
import hashlib
import io
import os

import numpy as np

MARKER = b"# weights: the bytes of an .npz file in base64\n"


class EmbeddedFile(io.RawIOBase):
    """The file whose base64 stands in the comment lines that follow MARKER in another file.

    Bytes are decoded when they are read, so that an array is never in memory twice.
    """

    def __init__(self, lines):
        """Find the first comment line in `lines`, an open binary file."""
        for line in lines:
            if line.replace(b"\r\n", b"\n") == MARKER:
                break
        self.start = lines.tell()
        first = lines.readline()
        if not first:
            raise OSError("the comment lines that hold them are gone")
        self.lines = lines
        self.step = len(first)
        self.width = len(binascii.a2b_base64(first))
        whole = (lines.seek(0, io.SEEK_END) - self.start - 1) // self.step
        lines.seek(self.start + whole * self.step)
        self.size = whole * self.width + len(binascii.a2b_base64(lines.read()))
        self.position = 0

    def readable(self):
        """As io.RawIOBase has it."""
        return True

    def seekable(self):
        """As io.RawIOBase has it."""
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        """As io.RawIOBase has it."""
        position = offset + (0, self.position, self.size)[whence]
        if position < 0:
            raise OSError("a seek before the start")
        self.position = position
        return position

    def tell(self):
        """As io.RawIOBase has it."""
        return self.position

    def readinto(self, buffer):
        """Decode the lines that hold the next bytes."""
        count = max(0, min(len(buffer), self.size - self.position))
        line, skip = divmod(self.position, self.width)
        self.lines.seek(self.start + line * self.step)
        text = self.lines.read(((skip + count - 1) // self.width + 1) * self.step if count else 0)
        buffer[:count] = binascii.a2b_base64(text)[skip : skip + count]
        self.position += count
        return count


def read_embedded(path, loader):
    """The arrays of the .npz file inside the module at `path`; a loader knows modules that are inside an archive."""
    try:
        file = io.FileIO(path) if os.path.isfile(path) else io.BytesIO(loader.get_data(path))
        with io.BufferedReader(file) as lines, np.load(EmbeddedFile(lines), allow_pickle=False) as npz:
            return {name: npz[name] for name in npz.files}
    except Exception as error:  # of many kinds, where the lines were cut or edited
        raise OSError(f"{path}: cannot read the weights at its end: {error}") from error


def read_sidecar(path, sha256):
    """The arrays of an .npz file, after a check that it is the one which the module was written with."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise OSError(path + " does not belong to this module: its SHA-256 differs")
    with np.load(path, allow_pickle=False) as npz:
        return {name: npz[name] for name in npz.files}


def write_weights(path, weights):
    """Write arrays by name to an .npz file."""
    with open(path, "wb") as file:
        np.savez(file, **weights)


def read_weights(path, weights):
    """Replace the numbers in these arrays by those in an .npz file, all or none of them."""
    with np.load(path, allow_pickle=False) as npz:
        arrays = {name: npz[name] for name in npz.files}
    for name in sorted({*weights, *arrays}):
        mine, read = (str((a[name].shape, a[name].dtype.name)) if name in a else "none" for a in (weights, arrays))
        if mine != read:
            raise ValueError("{}: {} is {} in the file, {} in the module".format(path, name, read, mine))
    for name, array in arrays.items():
        weights[name][...] = array


def hashed(start, stop, seed=0):
    """A whole number of 32 bits for each position from `start` on that looks random: MurmurHash3's last steps."""
    n = np.arange(start, stop).astype(np.uint32) + np.uint32(seed * 0x9E3779B9 % 2**32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        n ^= n >> np.uint32(shift)
        n *= np.uint32(factor)
    return n


def make_input(shape, dtype, low, high, whole=False, seed=0):
    """An array that looks like data and is the same everywhere, for nothing in it is rounded by a library's choice.

    The samples take turns: even noise from `low` to `high`; waves between them, smooth along every axis as images and
    signals are; normal noise of mean 0 and deviation 1; one cell in eight `high`, all others `low`; and even noise upon
    waves that are eight times as high. Both limits are numbers, or one for each cell of the last axis. Where numbers
    are whole, what would be normal noise is even, and from the fifth sample on they count from `low` to `high`, over
    and over.
    """
    y = np.empty(shape, dtype)
    if not y.size:
        return y
    whole = whole or y.dtype.kind in "biu"
    width = shape[-1] if len(shape) > 1 else 1
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    for sample, cells in enumerate(y.reshape(len(y), -1, width)):
        step = max(1, 2**15 // width)
        for row in range(0, len(cells), step):
            block = cells[row : row + step]
            start, stop = row * width, row * width + block.size
            if whole and sample > 3:
                count = np.arange(start, stop).reshape(block.shape) + (sample - 4) * cells.size
                block[...] = low + count % (high - low + 1)
                continue
            part = input_noise(shape[1:], whole, seed, sample, start, stop).reshape(block.shape)
            if whole:
                block[...] = np.minimum(np.floor(low + part * (high - low + 1)), high)
            else:
                block[...] = part if sample % 5 == 2 else low + part * (high - low)
    return y


def input_noise(sizes, whole, seed, sample, start, stop):
    """The cells of a sample of `make_input`, most from 0 to 1; the third of five is normal unless `whole`."""
    n = hashed(start + sample * int(np.prod(sizes)), stop + sample * int(np.prod(sizes)), seed)
    if sample % 5 in (1, 4):
        waves = input_waves(sizes, seed + sample, np.arange(start, stop))
        return waves if sample % 5 == 1 else 8 * (waves - 0.5) + n / 2.0**32
    if sample % 5 == 2 and not whole:  # the sum of the four bytes, which has a deviation of 148
        return (np.sum(n.view(np.uint8).reshape(-1, 4), axis=1) - 510.0) / 148
    return n % 8 == 0 if sample % 5 == 3 else n / 2.0**32


def input_waves(sizes, seed, cells):
    """Three waves through an array of these sizes, 0 to 3 of them along each axis, at these cells: from 0 to 1."""
    y = np.full(len(cells), 0.5)
    for wave, height in enumerate((0.25, 0.15, 0.1)):
        phase, *counts = hashed(wave << 8, (wave << 8) + len(sizes) + 1, seed).tolist()
        t, stride = np.full(len(cells), phase / 2.0**32), 1
        for size, count in zip(reversed(sizes), counts):
            t += cells // stride % size * (count % 4 / size)
            stride *= size
        t -= np.floor(t) + 0.5
        y += height * 8 * t * (1 - 2 * np.abs(t))  # a parabola for each half, close to a sine
    return y


def factors(count, seed):
    """Numbers that look random, from 0.5 to 1.5 or from -1.5 to -0.5, so that no term of a sum is lost in it."""
    n = hashed(0, count, seed)
    return (0.5 + n / 2.0**32) * np.where(n & 1, 1.0, -1.0)


def weighted_sum(y):
    """The sum of all samples of an array, each cell of it times a factor of its row and one of its column."""
    y = np.asarray(y)
    if not y.size:
        return 0.0
    y = y.reshape(len(y) if y.ndim > 1 else y.size, -1, y.shape[-1] if y.ndim > 1 else 1)
    y = y.sum(axis=0, dtype=np.result_type(y, np.float64))
    total = factors(y.shape[0], 1) @ y @ factors(y.shape[1], 2)
    return float(total.real + total.imag)


def numbers(y):
    """What is kept of an output: a sum of all cells by the root of their number, and six cells, evenly spaced."""
    if not y.size:
        return []
    cells = y.ravel()[[i * (y.size - 1) // 5 for i in range(6)]]
    return [weighted_sum(y) / y.size**0.5] + [float(cell.real + cell.imag) for cell in cells]


def watch(predict, arrays, names):
    """What `predict` answers, and of each call of a function with one of these `names` in it: name, sum and cells.

    Python's hook for profilers tells what they return, even where a module has no source. Samples that are answered a
    few at a time have their sums added up.
    """
    import sys

    code, calls, batch = predict.__code__, [], []

    def look(frame, event, result):
        name = frame.f_code.co_name
        if event == "call" and frame.f_code is code:
            batch.clear()
        elif event == "return" and name in names and frame.f_back.f_code is code:
            if frame.f_code.co_filename != code.co_filename:
                return  # a function of NumPy's
            results = result if isinstance(result, (list, tuple)) else [result]
            place = len(batch)
            before = calls[place] if place < len(calls) else (name, 0.0, 0)
            batch.append((name, before[1] + sum(map(weighted_sum, results)), before[2] + sum(map(np.size, results))))
            calls[place : place + 1] = batch[place:]

    profiler = sys.getprofile()
    sys.setprofile(look)
    try:
        return predict(*arrays), calls
    finally:
        sys.setprofile(profiler)


def blas():
    """The BLAS that NumPy was built with, as far as it tells."""
    try:
        built = np.__config__.CONFIG["Build Dependencies"]["blas"]
        return "{name} {version}".format(**built)
    except (AttributeError, KeyError):  # before NumPy 1.26
        pass
    try:
        return " ".join(np.__config__.blas_opt_info["libraries"])
    except (AttributeError, KeyError):
        return "unknown"


def selftest(predict, inputs, outputs, recorded, reset=None):
    """Whether `predict` answers inputs that it makes as it did when they were recorded; prints what it finds."""
    import platform

    arrays = [
        make_input(shape, dtype, low, high, whole, number)
        for number, ((shape, low, high, whole), (_, _, dtype)) in enumerate(zip(recorded["inputs"], inputs))
    ]
    if reset is not None:
        reset()
    with np.errstate(all="ignore"):  # of inputs that nobody has seen
        result, calls = watch(predict, arrays, {name for name, _, _ in recorded["calls"]})
    if reset is not None:
        reset()
    results = list(result.values()) if isinstance(result, dict) else [result] if len(outputs) == 1 else result
    wrong = 0
    for got, (name, _, _), (shape, allowed, expected) in zip(results, outputs, recorded["outputs"]):
        error = difference(numbers(got), expected) if got.shape == shape else float("inf")
        wrong += not error <= allowed
        print(f"{'ok' if error <= allowed else 'WRONG'} {name!a}: off by {error:.2g}, {allowed:.2g} allowed")
    wrong += not same_calls(calls, recorded["calls"])
    print(f"compared with answers recorded when the module was written, {recorded['by']}")
    print("Python", platform.python_version(), "NumPy", np.__version__, "BLAS", blas(), platform.machine())
    return not wrong


def same_calls(calls, recorded):
    """Whether calls inside of `predict` gave what they should; prints the first that did not."""
    if recorded and not calls:
        print("nothing is known of what is inside of predict: no profiler can look into it")
        return True
    for number, ((name, total, cells), (expected, allowed, right)) in enumerate(zip(calls, recorded), 1):
        error = difference([total / max(cells, 1) ** 0.5], [right]) if name == expected else float("inf")
        if not error <= allowed:
            print(f"WRONG inside, call {number}, {name}: off by {error:.2g}, {allowed:.2g} allowed")
            return False
    if recorded:
        print(f"{'ok' if len(calls) == len(recorded) else 'WRONG'} inside: {len(calls)} calls of {len(recorded)}")
    return len(calls) == len(recorded)


def difference(got, expected):
    """The largest difference of two lists of numbers; those that are not finite are strings in the second."""
    largest = 0.0
    for a, b in zip(got, map(float, expected)):
        if a != b and (a == a or b == b):  # NaN alone is not itself
            largest = max(largest, abs(a - b)) if abs(a - b) < float("inf") else float("inf")
    return largest


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
        "--selftest", action="store_true", help="compare the answer to a made input with a recorded one"
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
