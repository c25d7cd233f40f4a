"""Runs generated modules for other processes: started by tests/pairs.py in Pythons as old as 3.7, warnings are errors.

Each line on stdin is JSON: the paths of the module, of an .npz file of inputs and of one for the outputs, and whether
to try a batch of no samples. Each line on stdout is what went wrong, or "".
"""

import importlib.util
import json
import sys

import numpy as np


def flat(result):
    if isinstance(result, dict):
        return list(result.values())
    return list(result) if isinstance(result, tuple) else [result]


def load(path):
    spec = importlib.util.spec_from_file_location("generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def arrays_of(path):
    with np.load(path, allow_pickle=False) as npz:
        return [npz[f"arr_{i}"] for i in range(len(npz.files))]


def run(path, inputs, outputs, empty):
    """Predict on arrays that cannot be written to, with weights that cannot be either; then on no samples at all."""
    module, arrays = load(path), arrays_of(inputs)
    weights = list(getattr(module, "W", {}).values())
    for array in arrays + weights:
        array.setflags(write=False)
    results = flat(module.predict(*arrays))
    np.savez(outputs, *results)
    assert not any(np.may_share_memory(result, weight) for result in results for weight in weights), "W is handed out"
    if empty and all(shape[:1] == (None,) for _, shape, _ in module.OUTPUTS):
        getattr(module, "reset_states", dict)()
        for none, some in zip(flat(module.predict(*[array[:0] for array in arrays])), results):
            assert none.shape == (0,) + some.shape[1:], f"of no samples: {none.shape}"


def blas():
    """The library that multiplies matrices, as far as Linux shows."""
    try:
        with open("/proc/self/maps") as maps:
            names = {line.rstrip().rpartition("/")[2] for line in maps}
    except OSError:
        return ""
    return " ".join(sorted(name for name in names if "blas" in name))


print(json.dumps([sys.version.split()[0], np.__version__, blas()]), flush=True)
for line in sys.stdin:
    problem = ""
    try:
        run(*json.loads(line))
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    print(json.dumps(problem), flush=True)
