"""Runs one layer by itself: `python reproduce.py` exits with 1 as long as the layer's answer is wrong.

`layer.py` is its code. `layer.npz` has its config, inputs, weights, the right outputs and those that it gave.
"""

import importlib
import sys
from pathlib import Path

import numpy as np


def main() -> int:
    """Run the layer on its inputs and print how far its outputs are from the right ones."""
    with np.load(Path(__file__).with_name("layer.npz"), allow_pickle=False) as npz:
        arrays = {name: npz[name] for name in npz.files}
    layer = importlib.import_module("layer")
    for name in ("layer", "fault", "config"):
        print(f"{name}: {str(arrays[name])!a}")
    results = layer.predict(*(arrays[f"input/{name}"] for name, _, _ in layer.INPUTS))
    results = results if isinstance(results, tuple) else (results,)
    errors = [error(got, arrays[f"expected/{name}"]) for got, (name, _, _) in zip(results, layer.OUTPUTS, strict=True)]
    print(f"error {max(errors):.2g} of the largest number ({arrays['tolerance']:g} allowed)")
    return int(max(errors) > arrays["tolerance"])


def error(got: np.ndarray, expected: np.ndarray) -> float:
    """The largest error, as a fraction of the largest finite expected number."""
    if got.shape != expected.shape:
        return float("inf")
    scale = np.max(abs(expected[np.isfinite(expected)]), initial=0) or 1
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    wide = np.result_type(expected, "float64")
    difference = abs(np.where(same, 0, got).astype(wide) - np.where(same, 0, expected).astype(wide))
    return float(np.nan_to_num(difference, nan=np.inf).max(initial=0) / scale)


if __name__ == "__main__":
    sys.exit(main())
