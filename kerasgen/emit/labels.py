"""The names of a model's classes, from a file or from Python."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError, UsageError
from kerasgen.names import printable

Labels = str | os.PathLike[str] | Sequence[str] | Mapping[str, int]


def read_labels(labels: Labels) -> tuple[str, ...]:
    """The classes in the order of the model's output.

    A text file has one class per line. JSON, in a file called .json, is a list of names; or an object from index to
    name, from name to index as Keras's `class_indices`, or from index to [id, name] as its imagenet_class_index.json.
    From Python, a list or such a mapping will do.

    Raises FileError where the file cannot be read, UsageError where it holds something else.
    """
    if not isinstance(labels, (str, os.PathLike)):
        return _checked(_in_order(labels), "labels")
    path, where = Path(labels), printable(str(labels))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise FileError(f"{where}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{where}: not UTF-8: {error}") from error
    if path.suffix.lower() != ".json":
        return _checked([line.strip() for line in text.split("\n") if line.strip()], where)
    try:
        return _checked(_in_order(json.loads(text)), where)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON: {error}") from error


def _in_order(labels: Any) -> list[Any]:
    """The names in the order of their indices; none if these are not 0, 1, 2 and so on."""
    if not isinstance(labels, Mapping):
        return list(labels) if isinstance(labels, Iterable) and not isinstance(labels, str) else []
    if all(type(index) is int for index in labels.values()):
        names = {str(index): name for name, index in labels.items()}
    else:
        names = {str(index): _name(value) for index, value in labels.items()}
    indices = [str(index) for index in range(len(labels))]
    return [names[index] for index in indices] if names.keys() == set(indices) else []


def _name(value: Any) -> Any:
    """The name of a class that stands alone or in an [id, name]."""
    return value[1] if isinstance(value, (list, tuple)) and len(value) == 2 else value


def _checked(labels: list[Any], where: str) -> tuple[str, ...]:
    if not labels:
        raise UsageError(
            f"{where}: has no labels: one a line, or in JSON a list, or an object with the indices 0, 1, ..."
        )
    for number, label in enumerate(labels):
        if not isinstance(label, str) or not label.strip() or not label.isprintable():
            raise UsageError(f"{where}: label {number} must be text that can be printed, not {ascii(label)[:80]}")
    return tuple(map(str, labels))
