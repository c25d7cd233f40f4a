"""What a module needs beside its kernels: finding its weights, running in several processes, testing itself, and running from a shell.

Like the kernels, these functions are copied into the modules as they stand: Python 3.7, NumPy 1.17.
"""

from kerasgen.emit.runtime.dtypes import decode_weights
from kerasgen.emit.runtime.workers import in_processes, processes
from kerasgen.emit.runtime.program import main
from kerasgen.emit.runtime.weights import read_embedded, read_sidecar, read_weights, write_weights

__all__ = ["decode_weights", "in_processes", "main", "processes", "read_embedded", "read_sidecar", "read_weights", "write_weights"]
