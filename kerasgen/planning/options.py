"""The options of an export that the module's text depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kerasgen.backward.options import GradientOptions
from kerasgen.builder.custom import Rules
from kerasgen.emit.processing import Processing
from kerasgen.emit.quantize import DTYPES, MAX_LOSS
from kerasgen.errors import UsageError
from kerasgen.passes import LEVEL
from kerasgen.tuning import Tuned, check_settings


@dataclass(frozen=True)
class Options:
    """The options of `export` that the module's text depends on. `sidecar` is the weights' file beside it, or ""."""

    sidecar: str = ""
    activations: bool = False
    custom: Rules = field(default_factory=dict)
    theano_kernels: bool = False
    level: int = LEVEL
    max_memory: int | None = None
    gradients: GradientOptions | None = None
    outputs: tuple[str, ...] = ()
    input_shape: tuple[int | None, ...] | None = None
    defines: Mapping[str, Any] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)
    minimal: bool = False
    target: str = "numpy"
    processing: Processing | None = None
    weights_dtype: str = DTYPES[0]
    keep: tuple[str, ...] = ()
    max_loss: float | None = None
    streaming: bool = False
    tiled: bool = False
    tunable: bool = False
    tuned: Tuned | None = None

    def header(self) -> dict[str, Any]:
        """The options recorded in the module: those that are not the default."""
        options = {
            "store": "sidecar" if self.sidecar else "",
            "activations": self.activations,
            "custom": sorted(self.custom),
            "theano_kernels": self.theano_kernels,
            "max_memory": self.max_memory,
            "gradients": self.gradients.header() if self.gradients else {},
            "outputs": list(self.outputs),
            "input_shape": list(self.input_shape or ()),
            "defines": dict(self.defines),
            "preprocess": self.processing.scaling if self.processing else None,
            "rename": dict(self.rename),
            "minimal": self.minimal,
            "target": "" if self.target == "numpy" else self.target,
            "weights_dtype": self.weights_dtype if self.compact else "",
            "keep": list(self.keep),
            "max_loss": self.max_loss,
            "streaming": self.streaming,
            "tiled": self.tiled,
            "tunable": self.tunable,
            "tune": self.tuned.header if self.tuned else {},
        }
        return {name: option for name, option in options.items() if option}

    @property
    def compact(self) -> bool:
        """Whether weights are stored in fewer bytes."""
        return self.weights_dtype != DTYPES[0]

    def check_compact(self) -> None:
        """Raise UsageError if the settings of weights in fewer bytes are wrong, or cannot be combined with others."""
        if self.weights_dtype not in DTYPES:
            raise UsageError(f"weights_dtype is one of {', '.join(DTYPES)}, not {self.weights_dtype!r}")
        if not self.compact and (self.keep or self.max_loss is not None):
            raise UsageError("`keep` and `max_loss` go with a `weights_dtype` other than float32")
        if self.max_loss is not None and not self.max_loss > 0:
            raise UsageError(f"max_loss is a number above 0, not {self.max_loss!r}")
        if self.compact and (self.gradients is not None or self.target == "pure"):
            other = "gradients" if self.gradients is not None else "target='pure'"
            raise UsageError(f"a module with `{other}` has float32 weights: leave out `weights_dtype`")

    def check_tuning(self, tune: Any, batch: int | None) -> None:
        """Raise UsageError if the settings of a tuning cannot be combined with others."""
        if batch is not None and tune is None:
            raise UsageError("`tune_batch` goes with the file of `tune`")
        if tune is not None or self.tunable:
            check_settings(
                "tunable=True" if self.tunable else "tune",
                {
                    "gradients": self.gradients,
                    "max_memory": self.max_memory,
                    "minimal": self.minimal and self.tunable,
                    "streaming": self.streaming,
                },
                self.target,
            )

    @property
    def loss_limit(self) -> float:
        """The largest error that weights in fewer bytes may cause, as a fraction of the largest output."""
        return MAX_LOSS[self.weights_dtype] if self.max_loss is None else self.max_loss
