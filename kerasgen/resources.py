"""Files that come with the package: the templates."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
# In the wheel the folder is inside of the package, in a checkout beside it.
TEMPLATES = (_PACKAGE / "templates", _PACKAGE.parent / "templates")
