"""What a module needs besides its kernels: its weights, a team of processes, a self-test, and a command line.

Like the kernels, these functions are copied into the modules unchanged: Python 3.7, NumPy 1.17.
"""

from kerasgen.emit.runtime.dtypes import decode_weights
from kerasgen.emit.runtime.program import main
from kerasgen.emit.runtime.streaming import with_steps
from kerasgen.emit.runtime.tiles import check_tiles
from kerasgen.emit.runtime.tuning import tune_main
from kerasgen.emit.runtime.weights import read_embedded, read_sidecar, read_weights, write_weights
from kerasgen.emit.runtime.workers import in_team, processes

__all__ = [
    "check_tiles",
    "decode_weights",
    "in_team",
    "main",
    "processes",
    "read_embedded",
    "read_sidecar",
    "read_weights",
    "tune_main",
    "with_steps",
    "write_weights",
]
