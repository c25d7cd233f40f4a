"""Zip archives that are the same bytes each time."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

OLDEST = (1980, 1, 1, 0, 0, 0)  # the first moment that a zip has a date for


def write_zip(path: Path, members: Mapping[str, bytes | Path], *, start: bytes = b"", compress: bool = False) -> None:
    """Write an archive of these members, contents or files by name, after the bytes `start`."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with open(path, "wb") as file:
        file.write(start)
        with zipfile.ZipFile(file, "w", method) as archive:
            for name in sorted(members):
                content = members[name]
                info = zipfile.ZipInfo(name, OLDEST)
                info.compress_type = method
                info.create_system = 3  # Unix, which has the mode below
                info.external_attr = 0o100755 << 16
                archive.writestr(info, content.read_bytes() if isinstance(content, Path) else content)
