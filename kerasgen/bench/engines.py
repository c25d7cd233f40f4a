"""The engines that a module is compared with."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

MODULE = "kerasgen"


@dataclass(frozen=True)
class Engine:
    """One way to run a model.

    `runner` names the function of `kerasgen.bench.worker` that loads it; `packages` is what it imports. `format` is
    the ending of the file that the model is first converted to; `level` the optimisation of a module of our own.
    """

    name: str
    runner: str
    packages: tuple[str, ...] = ()
    format: str = ""
    level: int | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages that are not installed."""
        return tuple(name for name in self.packages if importlib.util.find_spec(name) is None)


OWN = Engine(MODULE, "module")
OTHERS = (
    Engine("Keras predict", "predict", ("tensorflow",)),
    Engine("tf.function", "function", ("tensorflow",)),
    Engine("ONNX Runtime", "onnx", ("onnxruntime", "onnx", "tf2onnx", "tensorflow"), format="onnx"),
    Engine("LiteRT", "litert", ("ai_edge_litert", "tensorflow"), format="tflite"),
)
