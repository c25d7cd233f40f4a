"""The engines to compare a module with."""

from __future__ import annotations

import importlib.util
import math
import sys
from dataclasses import dataclass

MODULE = "kerasgen"
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True)
class Engine:
    """One way to run a model.

    `runner` names the function of `kerasgen.bench.worker` that loads it; `packages` are those that it imports. `format`
    is the extension of the file that the model is first converted to; `level` is the optimisation level of one of our
    modules, None for the default. `processes` lets as many processes as threads run the module, each with one. A slow
    engine has at most `rounds` rounds, and is skipped where a call takes more than `patience` seconds.
    """

    name: str
    runner: str
    packages: tuple[str, ...] = ()
    format: str = ""
    level: int | None = None
    processes: bool = False
    rounds: int = sys.maxsize
    patience: float = math.inf

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)

    def threads(self, count: int) -> dict[str, str]:
        """The environment variables that give this engine this many threads."""
        processes = str(count if self.processes else 1)
        return {**dict.fromkeys(BLAS_THREADS, str(count)), "KERASGEN_THREADS": "", "KERASGEN_PROCESSES": processes}


OWN = Engine(MODULE, "module")
PROCESSES = Engine(f"{MODULE}, processes", "module", processes=True)
OTHERS = (
    Engine("Keras predict", "predict", ("tensorflow",)),
    Engine("tf.function", "function", ("tensorflow",)),
    Engine("ONNX Runtime", "onnx", ("onnxruntime", "onnx", "tf2onnx", "tensorflow"), format="onnx"),
    Engine("LiteRT", "litert", ("ai_edge_litert", "tensorflow"), format="tflite"),
)
# ONNX's own implementation of its operations, in NumPy alone as our modules, made to be read: 50 to 100 times slower.
REFERENCE = Engine(
    "ONNX reference", "reference", ("onnx", "tf2onnx", "tensorflow"), format="onnx", rounds=3, patience=5.0
)


def at_level(level: int) -> Engine:
    """Our module at a level of optimisation."""
    return Engine(f"{MODULE} -O{level}", "module", level=level)
