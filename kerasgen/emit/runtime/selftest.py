"""The self-test: checks that a module answers as it did when it was written."""

import numpy as np

from kerasgen.emit.runtime.inputs import hashed, make_input


def factors(count, seed):
    """Numbers that look random, from 0.5 to 1.5 or from -1.5 to -0.5, so that every term of a sum counts."""
    n = hashed(0, count, seed)
    return (0.5 + n / 2.0**32) * np.where(n & 1, 1.0, -1.0)


def weighted_sum(y):
    """The sum over all samples of an array, each cell times a factor of its row and a factor of its column."""
    y = np.asarray(y)
    if not y.size:
        return 0.0
    y = y.reshape(len(y) if y.ndim > 1 else y.size, -1, y.shape[-1] if y.ndim > 1 else 1)
    y = y.sum(axis=0, dtype=np.result_type(y, np.float64))
    total = factors(y.shape[0], 1) @ y @ factors(y.shape[1], 2)
    return float(total.real + total.imag)


def numbers(y):
    """The record of an output: the sum of all cells by the root of their number, and six evenly spaced cells."""
    if not y.size:
        return []
    cells = y.ravel()[[i * (y.size - 1) // 5 for i in range(6)]]
    return [weighted_sum(y) / y.size**0.5] + [float(cell.real + cell.imag) for cell in cells]


def watch(predict, arrays, names):
    """What `predict` returns; and for each call inside it to one of the functions `names`, its name, sum and cells.

    Python's profiling hook sees what they return, even if a module has no source. If `predict` runs a few samples at a
    time, their sums are added up.
    """
    import sys

    code, calls, batch = predict.__code__, [], []

    def look(frame, event, result):
        name = frame.f_code.co_name
        if event == "call" and frame.f_code is code:
            batch.clear()
        elif event == "return" and name in names and frame.f_back.f_code is code:
            if frame.f_code.co_filename != code.co_filename:
                return  # a NumPy function
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
    """The BLAS that NumPy was built with, as far as NumPy says."""
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
    """Whether `predict` still gives the recorded answers to generated inputs; prints what it finds."""
    import platform

    arrays = [
        make_input(shape, dtype, low, high, whole, number)
        for number, ((shape, low, high, whole), (_, _, dtype)) in enumerate(zip(recorded["inputs"], inputs))
    ]
    if reset is not None:
        reset()
    with np.errstate(all="ignore"):  # the inputs are random
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
    """Whether the calls inside `predict` gave the recorded results; prints the first that did not."""
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
    """The largest difference between two lists of numbers; in the second, numbers that are not finite are strings."""
    largest = 0.0
    for a, b in zip(got, map(float, expected)):
        if a != b and (a == a or b == b):  # NaN alone is not itself
            largest = max(largest, abs(a - b)) if abs(a - b) < float("inf") else float("inf")
    return largest
