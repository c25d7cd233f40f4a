"""Finds the fastest kernel for each layer on this machine: `python model.py --tune FILE`.

A work is the computation of a layer, or of several equal layers: (description, layers, ways by name, the default way
first). A way to compute it is (kernel, shapes of its arrays, settings), with None for the batch in a shape.
"""

import os
import time

import numpy as np

from kerasgen.emit.runtime.selftest import blas
from kerasgen.kernels.threads import BLOCK, THREADS, Buffer, own_threads, set_block

FORMAT = "kerasgen tuning 1"
BLOCKS = (262_144, 1_048_576, 4_194_304)  # bytes, the default among them
CLEARLY = 0.97  # of the default's time
ROUNDS = 24
LEAST_ROUNDS = 4  # with all ways, however long they take
SECONDS = 1.0  # for each work
TOO_SLOW = 1.5  # of the default's time: not tried again after the first rounds


def seconds_of(kernel, arrays, settings):
    """The time of one call."""
    start = time.perf_counter()
    kernel(*arrays, **settings)
    return time.perf_counter() - start


def filled(shape, batch):
    """An array of this shape, with numbers that keep a layer's results near 1; None for no array."""
    if shape is None:
        return None
    if shape[0] is None:
        return np.full((batch,) + shape[1:], 0.5, np.float32)
    return np.full(shape, 1.0 if len(shape) == 1 else shape[-1] / float(np.prod(shape)), np.float32)


def measure(works, batch, timer=None):
    """The times of each way to compute each work with each size of blocks: {(bytes, index of the work, name): [...]}.

    All take turns (works within ways within block sizes), so a disturbance affects all of them alike, and the caches
    are in the same state as when the model runs.
    """
    timer = seconds_of if timer is None else timer
    arrays, memory, calls = {}, Buffer(), []
    for index, (_, _, ways) in enumerate(works):
        for rank, (name, (kernel, shapes, settings)) in enumerate(ways.items()):
            arrays.update((shape, filled(shape, batch)) for shape in shapes if shape not in arrays)
            settings = dict(settings, **({"out": memory} if "out" in settings else {}))
            calls.append((rank, index, name, kernel, [arrays[shape] for shape in shapes], settings))
    calls.sort(key=lambda call: call[:2])
    for _, _, _, kernel, operands, settings in calls:  # warms up
        kernel(*operands, **settings)
    defaults = [next(iter(ways)) for _, _, ways in works]
    times = {(block, index, name): [] for block in BLOCKS for _, index, name, _, _, _ in calls}
    end = time.perf_counter() + SECONDS * len(works)
    try:
        for number in range(ROUNDS):
            if number >= LEAST_ROUNDS and time.perf_counter() > end:
                break
            for block in BLOCKS:
                set_block(block)
                for _, index, name, kernel, operands, settings in calls:
                    mine, usual = times[block, index, name], times[block, index, defaults[index]]
                    if number < LEAST_ROUNDS or name == defaults[index] or min(mine) < TOO_SLOW * min(usual):
                        mine.append(timer(kernel, operands, settings))
    finally:
        set_block(BLOCK)
    return times


def halves(times):
    """The shortest time of the even rounds, and that of the odd ones."""
    return [min(times[::2]), min(times[1::2])]


def is_clearly_faster(mine, other):
    """Whether the slower half of one is at least 3 % faster than the faster half of the other: more than noise."""
    return max(mine) < CLEARLY * min(other)


def choose(works, times):
    """The block size, and the name of the way to compute each work: the default unless another is clearly faster."""
    best = None
    for block in sorted(BLOCKS, key=lambda block: block != BLOCK):  # the default first
        names, total = [], [0.0, 0.0]
        for index, (_, layers, ways) in enumerate(works):
            default, *others = ways
            usual = halves(times[block, index, default])
            faster = [name for name in others if is_clearly_faster(halves(times[block, index, name]), usual)]
            names.append(min(faster or [default], key=lambda name: min(times[block, index, name])))
            total = [a + len(layers) * b for a, b in zip(total, halves(times[block, index, names[-1]]))]
        if best is None or is_clearly_faster(total, best[0]):
            best = total, block, names
    return best[1:]


def noise_of(works, times):
    """The relative difference between the two halves of the default's times, as the median over the works."""
    both = [halves(times[BLOCK, index, next(iter(ways))]) for index, (_, _, ways) in enumerate(works)]
    return float(np.median([max(pair) / min(pair) - 1 for pair in both])) if both else 0.0


def machine():
    """What times depend on: the processor, its cores, NumPy, and the BLAS with its threads and kernels."""
    settings = ("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "KERASGEN_THREADS")
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "blas": blas(),
        "numpy": np.__version__,
        "settings": {name: os.environ[name] for name in settings if os.environ.get(name)},
    }


def processor():
    """The name of the processor, as far as the system says."""
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = [line.partition(":") for line in file]
    except OSError:
        lines = []
    names = [value.strip() for key, _, value in lines if key.strip() in ("model name", "Model")]
    return (names or [platform.processor()])[0] or platform.machine()


def tuning_of(works, batch, max_batch=None, timer=None):
    """The text of a tuning file: the machine, and for each layer its kernel and the times of all kernels.

    A model runs a larger `batch` in parts of `max_batch` samples, so layers are timed with `max_batch` samples.
    """
    import json

    times = measure(works, min(batch, max_batch or batch), timer)
    block, names = choose(works, times)
    layers = {}
    for index, ((work, same, ways), chosen) in enumerate(zip(works, names)):
        found = {name: round(1e3 * min(times[block, index, name]), 4) for name in ways}
        layers.update((layer, {"work": work, "kernel": chosen, "ms": found}) for layer in same)
    noise = round(noise_of(works, times), 4)
    about = {"format": FORMAT, "machine": machine(), "noise": noise, "batch": batch, "block": block}
    head = json.dumps(about, indent=2)
    lines = ",\n".join(f"    {json.dumps(layer)}: {json.dumps(entry)}" for layer, entry in layers.items())
    return f'{head[:-2]},\n  "layers": {{\n{lines}\n  }}\n}}\n'


def tune_main(works, max_batch, arguments=None):
    """Write the file if this is `python model.py --tune FILE [--batch N]`; returns whether it is."""
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--tune", metavar="FILE", help="time the ways to compute each layer, and write the fastest")
    parser.add_argument("--batch", metavar="N", type=int, default=1, help="how many samples a call has")
    options, others = parser.parse_known_args(arguments)
    if options.tune is None:
        if {"-h", "--help"} & set(others):
            parser.print_usage()
        return False
    if others:
        parser.error(f"--tune takes no other arguments, as {others[0]}")
    if options.batch < 1:
        parser.error("--batch is 1 or more")
    if os.path.exists(options.tune):
        parser.error(f"{options.tune} exists")
    with own_threads(THREADS):
        text = tuning_of(works, options.batch, max_batch)
    try:
        with open(options.tune, "x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        parser.exit(1, f"{parser.prog}: {options.tune}: {error.strerror}\n")
    return True
