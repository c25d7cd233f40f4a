"""The page of a report: one HTML file that loads nothing, whose scripts and style its own policy allows by hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import jinja2

from kerasgen.emit.templates import TEMPLATES
from kerasgen.names import printable

FOLDER = "report/"
# The page's own script, in parts: each one uses those before it.
SCRIPT = "elements numbers model layout graph moving keys details activations overview plots table source start".split()
# What would end the script element that holds the data, or a line of it; JSON may spell any character like this.
ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"}


def render(data: Mapping[str, Any]) -> str:
    """The page of this data, which is as `kerasgen.reporting.data.collect` makes it.

    The template gets the `data` as JSON text that is safe in a script element, the page's `script` and `css`, the
    `libraries` (texts of scripts that come before it), its `title`, and its `policy`, the content of a CSP.
    """
    css = _file("theme.css") + _file(f"{FOLDER}report.css")
    script = "\n".join(_file(f"{FOLDER}script/{name}.js") for name in SCRIPT)
    libraries = [_file(name) for name in _names() if name.endswith(".min.js")]
    return (
        _environment()
        .get_template(f"{FOLDER}report.html.jinja")
        .render(
            title=f"{printable(str(data['model']['name']))} - kerasgen",
            data=embedded(data),
            css=css,
            script=script,
            libraries=libraries,
            policy=policy([css], [*libraries, script]),
        )
    )


def embedded(data: Any) -> str:
    """The data as JSON in ASCII that no HTML parser takes for anything else.

    Raises ValueError for numbers that JSON does not have.
    """
    return json.dumps(data, allow_nan=False, separators=(",", ":")).translate(ESCAPES)


def policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """The Content-Security-Policy of a page with these inline styles and scripts, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hashes(styles)}; script-src {_hashes(scripts)}; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, autoescape=True
    )


def _names() -> list[str]:
    """The files of the page."""
    return _environment().list_templates(filter_func=lambda name: name.startswith(FOLDER))


@cache
def _file(name: str) -> str:
    """The text of a file of the page as it is; it is put between tags, which it must not end."""
    environment = _environment()
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, name)
    assert "</script" not in text.lower(), f"{name} ends its element"
    assert "</style" not in text.lower(), f"{name} ends its element"
    return text
