"""A page that runs the model in the browser, in Pyodide: a folder for any web server."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.names import printable
from kerasgen.packaging.subject import Subject, plain, python, rendered
from kerasgen.reporting.render import embedded

VERSION = "0.27.7"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"
CHANNELS = (1, 3, 4)  # of what can be an image: grey, colours, colours with their opacity
OPEN_SIZE = 224  # pixels of an image whose size the model leaves open
GUESS = (-2.0, 2.0)  # what an export tries on an input of which nothing is known


def prepare(pyodide: str = CDN) -> str:
    """The address that Pyodide is loaded from, unless it stands beside the page."""
    address = pyodide if pyodide.endswith("/") else f"{pyodide}/"
    if not re.fullmatch(r"https?://[A-Za-z0-9._~:/@+-]+", address):
        raise UsageError(f"the address of Pyodide is as {CDN}, not {printable(pyodide)}")
    return address


def build(subject: Subject, stage: Path, settings: str) -> tuple[Path, list[str]]:
    """Write the folder of the page."""
    module = subject.loaded
    data = {
        "files": [*subject.files, "bridge.py"],
        "inputs": [[name, shape, dtype] for name, shape, dtype in module.INPUTS],
        "image": image(module.INPUTS, module.SELFTEST),
        "preprocess": hasattr(module, "preprocess"),
    }
    contents = {
        "index.html": rendered(
            "page/index.html.jinja",
            subject=subject,
            policy=policy(settings),
            data=embedded(data),
            inputs=[(name, samples(shape), dtype) for name, shape, dtype in module.INPUTS],
            image=data["image"],
            preprocess=data["preprocess"],
            verified=module.VERIFIED,
            kerasgen=module.EXPORT["kerasgen"],
        ),
        "page.css": plain("theme.css", "package/page/page.css"),
        "page.js": plain("package/page/page.js"),
        "worker.js": plain("package/page/worker.js"),
        "bridge.py": python("page/bridge.py.jinja", subject=subject),
    }
    folder = subject.file.parent
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder, ["serve it over HTTP, as `python -m http.server` does: a browser runs no such page from a file"]


def policy(pyodide: str) -> str:
    """The Content-Security-Policy of the page, which is where the page knows the address of Pyodide from.

    The worker is made of a blob: so it is under this policy, too.
    """
    return (
        f"default-src 'none'; script-src 'self' 'wasm-unsafe-eval' {pyodide}; connect-src 'self' {pyodide}; "
        "style-src 'self'; img-src blob: data:; worker-src blob:; base-uri 'none'; form-action 'none'"
    )


def image(inputs: Sequence[Any], selftest: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The only input as an image: its sizes, and the numbers for black and white; None if it cannot be one."""
    _, shape, dtype = inputs[0]
    grey = len(shape) == 3
    if len(inputs) > 1 or not (grey or (len(shape) == 4 and shape[3] in CHANNELS)) or dtype in ("bool", "str"):
        return None
    height, width = (OPEN_SIZE if size is None else size for size in shape[1:3])
    if min(height, width) < 2:
        return None
    black, white = _range(selftest) or ((0.0, 255.0) if dtype.startswith(("int", "uint")) else (0.0, 1.0))
    return {
        "height": height,
        "width": width,
        "channels": 1 if grey else shape[3],
        "black": f"{black:g}",
        "white": f"{white:g}",
    }


def _range(selftest: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """The numbers that the model expects, where the export has found them."""
    if selftest is None or not selftest["inputs"]:
        return None
    low, high = selftest["inputs"][0][1:3]
    if isinstance(low, tuple) or isinstance(high, tuple) or (low, high) == GUESS:
        return None
    return low, high


def samples(shape: Sequence[int | None]) -> str:
    """How people write the shape of a sample."""
    return " \N{MULTIPLICATION SIGN} ".join("any" if size is None else str(size) for size in shape[1:]) or "one number"
