"""Files in the same folder that the user may have meant, for messages."""

from __future__ import annotations

import difflib
import os
from itertools import islice
from pathlib import Path

from kerasgen.errors import KerasgenError
from kerasgen.names import printable
from kerasgen.readers import content, graph_config, jsonfile
from kerasgen.readers.model import WeightStore

_MOST_FILES = 1000  # of a folder
_MOST_JSON = 20  # that are read


def similar(path: Path) -> str:
    """The name of the file in the folder of `path` that is most like its own, "" if none is."""
    return next(iter(difflib.get_close_matches(path.name, _names(path.parent), 1, 0.75)), "")


def architecture(path: Path, weights: WeightStore) -> str:
    """The name of a JSON file beside the weights at `path` whose layers fit, "" if there is none."""
    names = [name for name in _names(path.parent) if name.endswith(".json")]
    stem = path.name.partition(".")[0]
    for name in sorted(names, key=lambda name: (not name.startswith(stem), name))[:_MOST_JSON]:
        try:
            file = content.on_disk(path.with_name(name))
            model = graph_config.parse(jsonfile.document(file.read(content.MAX_TEXT), name), name)
            if weights.fits(model):
                return name
        except KerasgenError:  # not a model, or not of these weights
            continue
    return ""


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [printable(entry.name) for entry in islice(entries, _MOST_FILES)]
    except OSError:
        return []
