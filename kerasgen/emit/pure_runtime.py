"""What a module without NumPy needs beside its kernels: weights, nested lists, the self-test, and running from a shell.

These functions are copied into the modules as they stand: CPython from 3.6 on, PyPy and MicroPython, which has a small
part of the standard library.
"""

import binascii
import hashlib
import json
import math
import sys
from array import array

from kerasgen.pure_kernels.lists import floats, product


def read_weights(file, table):
    """The weights by name: lists of numbers, or of rows of them, read row by row so that little memory is needed.

    In MicroPython they are arrays, with a quarter of a list's memory or less.
    """
    weights = {}
    for name, code, rows, count in table:
        lists = [read_row(file, code, count) for _ in range(rows or 1)]
        weights[name] = lists if rows else lists[0]
    return weights


def read_row(file, code, count):
    """So many numbers of a type, little-endian."""
    row = array(code, range(count))  # filled in place: what is allocated between rows would leave holes in the memory
    if file.readinto(row) != count * (8 if code == "d" else 4):
        raise OSError("the weights are cut off")
    if sys.byteorder == "big":
        row.byteswap()
    return row if sys.implementation.name == "micropython" else row.tolist()


def read_sidecar(module, name, sha256, table):
    """The weights in the file beside a module, after a check that it is the one which the module was written with."""
    folder, slash, _ = module.replace("\\", "/").rpartition("/")
    digest = hashlib.sha256()
    with open(folder + slash + name, "rb") as file:
        block = file.read(1024)
        while block:
            digest.update(block)
            block = file.read(1024)
        if binascii.hexlify(digest.digest()).decode() != sha256:
            raise OSError(name + " does not belong to this module: its SHA-256 differs")
        file.seek(0)
        return read_weights(file, table)


def is_number(x):
    """Whether this is a number, not a list."""
    return isinstance(x, (int, float, bool))


def flatten(x, shape):
    """The numbers of a nested list of this shape in order. Raises ValueError for another one."""
    if is_number(x) != (not shape) or (shape and len(x) != shape[0]):
        raise ValueError
    if not shape:
        return [x]
    return [number for part in x for number in flatten(part, shape[1:])]


def nested(numbers, shape, dtype):
    """A nested list of this shape, of numbers in order."""
    if not shape:
        number = numbers[0]
        return number if "float" in dtype else bool(number) if dtype == "bool" else int(number)
    size = len(numbers) // shape[0] if shape[0] else 0
    return [nested(numbers[i * size : (i + 1) * size], shape[1:], dtype) for i in range(shape[0])]


def plain(x):
    """An array as nested lists."""
    return x.tolist() if hasattr(x, "tolist") else x


def as_samples(x, name, shape, dtype):
    """The samples of an argument, each a list of numbers. Raises ValueError that names the input."""
    samples = []
    try:
        for sample in map(plain, plain(x)):
            if not is_number(sample) and len(sample) == product(shape[1:]) and is_number(sample[0]):
                samples.append(floats(sample))  # in order already
            else:
                samples.append(floats(flatten(sample, shape[1:])))
    except (IndexError, TypeError, ValueError) as error:
        message = "input {!r} takes {} of the shape {}, the batch first".format(name, dtype, shape)
        raise ValueError(message) from error
    return samples


def answer(predict_sample, inputs, outputs, *arguments):
    """What `predict` returns: the answers to the samples of the arguments, as nested lists."""
    batches = [as_samples(x, *row) for x, row in zip(arguments, inputs)]
    if len(set(map(len, batches))) > 1:
        sizes = ", ".join("{!r} has {}".format(row[0], len(x)) for row, x in zip(inputs, batches))
        raise ValueError("the inputs differ in their number of samples: " + sizes)
    results = [[] for _ in outputs]
    for sample in zip(*batches):
        lists = predict_sample(*sample)
        for result, (_, shape, dtype), numbers in zip(results, outputs, [lists] if len(outputs) == 1 else lists):
            result.append(nested(numbers, shape[1:], dtype))
    return results


def hashed(n, seed=0):
    """A whole number of 32 bits for each whole number that looks random: MurmurHash3's last steps."""
    n = n + seed * 0x9E3779B9 & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):
        n ^= n >> shift
        n = n * factor & 0xFFFFFFFF
    return n


def make_sample(number, shape, low, high, whole, seed):
    """Sample `number` of an input that looks like data and is the same everywhere.

    The samples take turns: even noise from `low` to `high`; waves between them; normal noise of mean 0 and deviation 1;
    one cell in eight `high`, all others `low`; and even noise upon waves that are eight times as high. Both limits are
    numbers, or one for each cell of the last axis. Where numbers are whole, what would be normal noise is even, and
    from the fifth sample on they count from `low` to `high`, over and over.
    """
    cells = product(shape)
    width = shape[-1] if shape else 1
    waves = input_waves(shape, seed + number) if number % 5 in (1, 4) else None
    y = []
    for cell in range(cells):
        bottom, top = (x if is_number(x) else x[cell % width] for x in (low, high))
        if whole and number > 3:
            y.append(bottom + (cell + (number - 4) * cells) % (top - bottom + 1))
            continue
        n = hashed(cell + number * cells, seed)
        part = n / 2.0**32
        if waves:
            wave = waves(cell)
            part = wave if number % 5 == 1 else 8 * (wave - 0.5) + part
        elif number % 5 == 2 and not whole:  # the sum of the four bytes, which has a deviation of 148
            part = (sum(n >> shift & 255 for shift in (0, 8, 16, 24)) - 510.0) / 148
        elif number % 5 == 3:
            part = float(n % 8 == 0)
        if whole:
            y.append(min(math.floor(bottom + part * (top - bottom + 1)), top))
        else:
            y.append(part if number % 5 == 2 else bottom + part * (top - bottom))
    return floats(y)


def input_waves(shape, seed):
    """A function of a cell: three waves through an array, 0 to 3 of them along each axis, from 0 to 1."""
    waves = []
    for wave, height in enumerate((0.25, 0.15, 0.1)):
        phase = hashed(wave << 8, seed) / 2.0**32
        counts = [hashed((wave << 8) + axis + 1, seed) % 4 / size for axis, size in enumerate(reversed(shape))]
        waves.append((height, phase, counts))

    def at(cell):
        y = 0.5
        for height, t, counts in waves:
            stride = 1
            for size, count in zip(reversed(shape), counts):
                t += cell // stride % size * count
                stride *= size
            t -= math.floor(t) + 0.5
            y += height * 8 * t * (1 - 2 * abs(t))  # a parabola for each half, close to a sine
        return y

    return at


def factor(n, seed):
    """A number that looks random, from 0.5 to 1.5 or from -1.5 to -0.5."""
    n = hashed(n, seed)
    return (0.5 + n / 2.0**32) * (1.0 if n & 1 else -1.0)


def numbers_of(samples, shape):
    """What is kept of an output: a sum of all cells by the root of their number, and six cells, evenly spaced."""
    size = len(samples) * len(samples[0]) if samples else 0
    if not size:
        return []
    width = shape[-1] if shape else 1
    if shape:
        columns = [factor(column, 2) for column in range(width)]
        cells = ((cell, factor(cell // width, 1) * columns[cell % width]) for cell in range(len(samples[0])))
        total = sum(by * sum(sample[cell] for sample in samples) for cell, by in cells)
    else:
        total = factor(0, 2) * sum(factor(row, 1) * sample[0] for row, sample in enumerate(samples))
    places = [divmod(i * (size - 1) // 5, len(samples[0])) for i in range(6)]
    return [total / size**0.5] + [float(samples[sample][cell]) for sample, cell in places]


def selftest(predict_sample, inputs, outputs, recorded):
    """Whether `predict_sample` answers inputs that it makes as was recorded; prints what it finds."""
    lists = [[] for _ in outputs]
    count = recorded["inputs"][0][0][0]
    for number in range(count):
        sample = [
            make_sample(number, shape[1:], low, high, whole or "float" not in dtype, seed)
            for seed, ((shape, low, high, whole), (_, _, dtype)) in enumerate(zip(recorded["inputs"], inputs))
        ]
        results = predict_sample(*sample)
        for result, kept in zip([results] if len(outputs) == 1 else results, lists):
            kept.append(result)
    wrong = 0
    for kept, (name, _, _), (shape, allowed, expected) in zip(lists, outputs, recorded["outputs"]):
        fits = len(kept) == shape[0] and all(len(y) == product(shape[1:]) for y in kept)
        error = difference(numbers_of(kept, shape[1:]), expected) if fits else float("inf")
        wrong += not error <= allowed
        verdict = "ok" if error <= allowed else "WRONG"
        print("{} {!r}: off by {:.2g}, {:.2g} allowed".format(verdict, name, error, allowed))
    print("compared with answers recorded when the module was written, " + recorded["by"])
    print(sys.implementation.name, ".".join(map(str, sys.implementation.version[:3])), sys.platform)
    return not wrong


def difference(got, expected):
    """The largest difference of two lists of numbers; those that are not finite are strings in the second."""
    largest = 0.0
    for a, b in zip(got, map(float, expected)):
        if a != b and (a == a or b == b):  # NaN alone is not itself
            largest = max(largest, abs(a - b)) if abs(a - b) < float("inf") else float("inf")
    return largest


def main(predict, predict_sample, inputs, outputs, recorded=None):
    """Run `predict` on JSON and print what it returns as JSON: `python model.py in.json`, or from stdin with `-`."""
    program, arguments = sys.argv[0], sys.argv[1:]
    takes, gives = (", ".join("{!r} {} {}".format(*row) for row in rows) for rows in (inputs, outputs))
    usage = "usage: {0} in.json, {0} - for stdin, or {0} --selftest\nTakes {1}; gives {2}. None is any size."
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print(usage.format(program, takes, gives), file=sys.stderr if len(arguments) != 1 else sys.stdout)
        sys.exit(0 if len(arguments) == 1 else 2)
    if arguments[0] == "--selftest":
        if recorded is None:
            print(program + ": no answers were recorded when the module was written", file=sys.stderr)
            sys.exit(77)
        sys.exit(0 if selftest(predict_sample, inputs, outputs, recorded) else 1)
    try:
        if arguments[0] == "-":
            values = json.load(sys.stdin)
        else:
            with open(arguments[0]) as file:
                values = json.load(file)
        if isinstance(values, dict):
            values = [values[name] for name, _, _ in inputs]
        elif len(inputs) == 1:
            values = [values]
        results = predict(*values)
        if len(outputs) > 1 and not isinstance(results, dict):
            results = {row[0]: result for row, result in zip(outputs, results)}
        print(json.dumps(results))
    except (KeyError, OSError, TypeError, ValueError) as error:
        print("{}: {}: {}".format(program, type(error).__name__, error), file=sys.stderr)
        sys.exit(1)
