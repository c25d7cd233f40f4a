"""The loss of accuracy from storing weights in fewer bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from kerasgen.verification.compare import compare

KERAS, FLOAT32 = "Keras", "the same graph with float32 weights"


@dataclass(frozen=True)
class Loss:
    """How far off the answers are with weights of this dtype.

    `error` is the largest error, as a fraction of the largest number in an output; `limit` is the error allowed. Of
    `classified` samples (or cells, if each has an answer), `same` have their largest output in the same place. Both
    are 0 if no output has several floats along its last axis. `reference` names what gave the right answers. The error
    is NaN if the model is too large to run, or fails.
    """

    weights_dtype: str
    error: float
    limit: float
    same: int
    classified: int
    reference: str

    @property
    def ok(self) -> bool:
        """Whether the error is within the limit, as far as it is known."""
        return not self.error > self.limit

    @property
    def agreement(self) -> float | None:
        """The share of samples with the same top class; None if there are no classes."""
        return self.same / self.classified if self.classified else None

    def __str__(self) -> str:
        """One readable sentence."""
        if math.isnan(self.error):
            return f"weights as {self.weights_dtype}: their loss was not measured, for the model is too large, or fails"
        classes = f", the same top class in {self.same} of {self.classified}" if self.classified else ""
        return (
            f"weights as {self.weights_dtype}: error {self.error:.2g} of the largest output ({self.limit:.2g} allowed)"
            f"{classes}, compared with {self.reference}"
        )

    def joined(self, other: Loss | None) -> Loss:
        """The combined loss on the inputs of both, as far as it is known."""
        if other is None or math.isnan(other.error):
            return self
        return replace(
            self,
            error=max(self.error, other.error),
            same=self.same + other.same,
            classified=self.classified + other.classified,
            reference=f"{self.reference} and {other.reference}",
        )

    @property
    def hint(self) -> str:
        """What to do if the loss is too large."""
        enough = float(f"{self.error * 1.5:.1g}")
        return f"allow more with `max_loss={enough}`, or keep layers in float32 with `keep=['NAME']`"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        error = self.error if math.isfinite(self.error) else None
        return {**asdict(self), "error": error, "agreement": self.agreement, "ok": self.ok}


def measure(
    weights_dtype: str,
    limit: float,
    answers: Iterable[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]],
    reference: str = KERAS,
) -> Loss:
    """The loss over batches; each pair holds the module's outputs for one batch and the right ones."""
    error, same, classified = math.nan, 0, 0
    for outputs, expected in answers:
        for got, right in zip(outputs, expected, strict=True):
            error = max(0.0 if math.isnan(error) else error, compare("", got, right).relative)
            if right.dtype.kind == "f" and right.ndim > 1 and right.shape[-1] > 1 and np.shape(got) == right.shape:
                equal = np.argmax(got, -1) == np.argmax(right, -1)
                same, classified = same + int(equal.sum()), classified + equal.size
    return Loss(weights_dtype, error, limit, same, classified, reference)
