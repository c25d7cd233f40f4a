"""The text of a module in colours."""

from __future__ import annotations

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def highlighted(source: str) -> list[str]:
    """HTML for each line of Python source: spans with the short classes of Pygments, everything else escaped."""
    html = highlight(source, PythonLexer(stripnl=False, ensurenl=False), HtmlFormatter(nowrap=True))
    lines = html.split("\n")
    count = source.count("\n") + 1
    return [*lines, *[""] * (count - len(lines))][:count]
