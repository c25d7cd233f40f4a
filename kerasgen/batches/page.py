"""index.html: a batch as one table, whose style and script its own policy allows by hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jinja2

import kerasgen
from kerasgen.emit.templates import TEMPLATES
from kerasgen.names import printable
from kerasgen.reporting.render import policy

if TYPE_CHECKING:
    from kerasgen.batches.result import BatchResult

FOLDER = "report"


def render(result: BatchResult) -> str:
    """The HTML."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, autoescape=True, trim_blocks=True)
    environment.filters["printable"] = printable
    css, script = (loader.get_source(environment, f"{FOLDER}/index.{kind}")[0] for kind in ("css", "js"))
    return environment.get_template(f"{FOLDER}/index.html.jinja").render(
        result=result, css=css, script=script, policy=policy([css], [script]), version=kerasgen.__version__
    )
