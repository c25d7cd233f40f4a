"""A report on a model: one HTML file that shows its layers, weights, code, costs and how it compares with Keras."""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from kerasgen.builder.custom import Rules
from kerasgen.emit.publish import check_target, staged
from kerasgen.names import module_name
from kerasgen.reporting.data import collect
from kerasgen.reporting.render import render

__all__ = ["Report", "report"]


@dataclass(frozen=True)
class Report:
    """A report that was written: its file, the data that it shows (see docs/report.md), and its size in bytes."""

    path: Path
    data: Mapping[str, Any] = field(repr=False)
    size: int

    @property
    def ok(self) -> bool:
        """Whether the model is supported and nothing in it differs from Keras, as far as that was compared."""
        verification = self.data["verification"]
        return bool(self.data["supported"] and (verification["ok"] or not verification["compared"]))

    @property
    def summary(self) -> str:
        """The model in one line."""
        model, verification = self.data["model"], self.data["verification"]
        if not self.data["supported"]:
            verdict = f"unsupported: {len(self.data['problems'])} problems"
        elif verification["compared"]:
            verdict = "answers as Keras does" if verification["ok"] else "differs from Keras"
        else:
            verdict = f"not verified: {verification['reason']}"
        return f"{model['name']}: {len(self.data['layers'])} layers, {model['parameters']:,} parameters; {verdict}"

    def _repr_html_(self) -> str:
        """The summary, and the page in a frame that can neither reach the notebook nor the network."""
        page = html.escape(render(self.data))
        return (
            f"<p>{html.escape(self.summary)}</p>"
            f'<iframe sandbox="allow-scripts" srcdoc="{page}" title="Report" width="100%" height="700" '
            'style="border: 1px solid #ccc"></iframe>'
        )


def report(
    source: Any,
    output: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    custom: Rules | None = None,
    inputs: Any = None,
    verify: bool | None = None,
    theano_kernels: bool = False,
    outputs: Sequence[str] | None = None,
    input_shape: Sequence[int | None] | None = None,
    defines: Mapping[str, Any] | None = None,
    force: bool = False,
    on_step: Callable[[str], object] = lambda step: None,
    reworded: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data,
) -> Report:
    """Write a report on a model as one HTML file that loads nothing.

    `output` is by default the model's name with .html, in the current folder; `force` replaces a file. `inputs` are
    arrays, or an .npy or .npz file, whose first sample is shown on its way through the layers, instead of a random one;
    the first few are compared with Keras. `on_step` is called with the name of each step, `reworded` returns the
    data as it is to be shown. The other arguments are those of `kerasgen.export`.

    An unsupported model is no error, nor is one that differs from Keras: the report tells. Raises InvalidModelError,
    FileError and UsageError, and ParityError where `verify` is True and Keras cannot answer.
    """
    target = Path(PurePath(module_name(source)).with_suffix(".html") if output is None else output)
    check_target(target, sources=(source, weights, inputs), force=force)
    data = collect(
        source,
        weights=weights,
        custom=custom,
        inputs=inputs,
        verify=verify,
        theano_kernels=theano_kernels,
        outputs=outputs,
        input_shape=input_shape,
        defines=defines,
        on_step=on_step,
    )
    data = reworded(data)
    page = render(data).encode()
    with staged({target: lambda file: file.write(page)}, force=force):
        pass
    return Report(target, data, len(page))
