"""The card of a model: what it is, what it takes and gives, how it was verified and how to run it, in Markdown."""

from __future__ import annotations

import re
from typing import Any

from kerasgen.names import printable
from kerasgen.packaging.subject import Subject, rendered


def card(subject: Subject, imported: str, command: str) -> bytes:
    """The card of a module that Python imports as `imported` and a shell runs with `command`."""
    module = subject.loaded
    return rendered(
        "MODEL.md.jinja",
        subject=subject,
        model={key: code(value) for key, value in module.MODEL.items() if isinstance(value, str)},
        lambdas=[text(str(note)) for note in module.MODEL.get("lambdas", ())],
        export={code(key): code(value) for key, value in module.EXPORT.items() if key != "kerasgen"},
        verified=module.VERIFIED,
        unverified=text(subject.unverified),
        rows=[
            (kind, code(name), code(shape), code(dtype))
            for kind, side in (("input", module.INPUTS), ("output", module.OUTPUTS))
            for name, shape, dtype in side
        ],
        kerasgen=module.EXPORT["kerasgen"],
        selftest=module.SELFTEST is not None,
        imported=imported,
        command=command,
    )


def code(value: Any) -> str:
    """A value of the model as code, also in a table: nothing in it is Markdown."""
    shown = printable(str(value)).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if "`" in shown or not shown.strip() else ""
    return f"{fence}{space}{shown or ' '}{space}{fence}"


def text(value: str) -> str:
    """A sentence that may hold names of the model: nothing in it is Markdown or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|&!])", r"\\\1", printable(value))
