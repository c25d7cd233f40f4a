"""The result of an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from kerasgen.display import Display, Displayed
from kerasgen.emit.load import load_module
from kerasgen.errors import UsageError
from kerasgen.verification.compare import OutputReport
from kerasgen.verification.lambdas import not_compared
from kerasgen.verification.loss import Loss

LARGE = 16_000_000  # bytes of weights from which on a sidecar is suggested


@dataclass(frozen=True)
class ExportResult(Displayed):
    """What was written, and how it compares with Keras.

    `module` is None if the module was written to a stream. If nothing was compared, `outputs` is empty and `unverified`
    says why. `warning` is a warning about the model, or "". `unread` names the Lambda layers whose code Keras did not
    run: it got what kerasgen had read there, so the reading itself was not compared. `loss` is the loss from storing
    weights in fewer bytes; None if they are not stored so, or if nothing could be compared.
    """

    module: Path | None
    sidecar: Path | None
    weight_bytes: int
    outputs: tuple[OutputReport, ...]
    unverified: str
    warning: str = ""
    unread: tuple[str, ...] = ()
    loss: Loss | None = None

    def load(self) -> ModuleType:
        """The module, imported.

        Raises UsageError if it was written to a stream, FileError if it is no longer there, ParityError if it does not
        run.
        """
        if self.module is None:
            raise UsageError(
                "the module went into a stream, not a file: `kerasgen.load` converts and imports in memory"
            )
        return load_module(self.module)

    def display(self) -> Display:
        """The files and the messages."""
        return Display(sentences=[*(str(file) for file in (self.sidecar, self.module) if file), *self.messages])

    @property
    def messages(self) -> list[str]:
        """Sentences about the result: a warning, how it compares with Keras or why that is unknown, and advice."""
        messages = [f"warning: {self.warning}"] if self.warning else []
        if self.unverified:
            messages.append(f"not verified: {self.unverified}")
        else:
            worst = max(report.relative for report in self.outputs)
            messages.append(f"verified against Keras: largest error {worst:.1e} of the largest output")
        if self.loss is not None:
            messages.append(str(self.loss))
        if self.unread:
            messages.append(not_compared(self.unread))
        return messages + ([self.advice] if self.advice else [])

    @property
    def advice(self) -> str:
        """A suggestion if the embedded weights are large, or ""."""
        if self.sidecar is not None or self.weight_bytes < LARGE:
            return ""
        size = self.weight_bytes / 1e6
        return (
            f"{size:.0f} MB of weights are embedded, {size * 4 / 3:.0f} MB as text: "
            f"`store='sidecar'` would save {size / 3:.0f} MB of disk and most of the time to start"
        )
