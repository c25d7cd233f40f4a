"""Weights that are stored in fewer bytes."""

import numpy as np


def decode_weights(arrays):
    """The weights in float32: w.float16, w.bfloat16 (upper halves of float32), or w.int8 times w.scale become w."""
    weights = {}
    for key, array in arrays.items():
        name, dot, dtype = key.rpartition(".")
        if dot + dtype == ".float16":
            weights[name] = array.astype(np.float32)
        elif dot + dtype == ".bfloat16":
            weights[name] = (array.astype(np.uint32) << 16).view(np.float32)
        elif dot + dtype == ".int8":
            weights[name] = array * arrays[name + ".scale"]
        elif dot + dtype != ".scale":
            weights[key] = array
    return weights
