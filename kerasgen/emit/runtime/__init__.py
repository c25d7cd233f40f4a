"""What a module needs beside its kernels: finding its weights, testing itself, and running from a shell.

Like the kernels, these functions are copied into the modules as they stand: Python 3.7, NumPy 1.17.
"""

from kerasgen.emit.runtime.dtypes import decode_weights
from kerasgen.emit.runtime.program import main
from kerasgen.emit.runtime.streaming import with_steps
from kerasgen.emit.runtime.tiles import check_tiles
from kerasgen.emit.runtime.tuning import tune_main
from kerasgen.emit.runtime.weights import read_embedded, read_sidecar, read_weights, write_weights

__all__ = [
    "check_tiles",
    "decode_weights",
    "main",
    "read_embedded",
    "read_sidecar",
    "read_weights",
    "tune_main",
    "with_steps",
    "write_weights",
]
