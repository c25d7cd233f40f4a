"""Which models a batch has, and what each is called."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasgen.errors import UsageError
from kerasgen.names import Namespace, module_name, printable

SUFFIXES = (".h5", ".hdf5", ".keras")  # of models in a folder


@dataclass(frozen=True)
class Task:
    """A model of a batch, the name of its module and of its folder, and options of its own."""

    model: Path
    name: str
    weights: Path | None = None
    verify: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def find(patterns: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The models that are meant by files, folders and patterns, each once, in this order.

    In a folder all files count that end as models do, those in its folders too; a folder with a config.json is a model
    itself, unzipped. Raises UsageError where there is nothing.
    """
    models: dict[Path, Path] = {}
    for given in patterns:
        pattern = os.fspath(given)
        paths = [Path(pattern)] if os.path.exists(pattern) else list(map(Path, glob.glob(pattern, recursive=True)))
        found = [model for path in sorted(paths) for model in _within(path)]
        if not found:
            what = "holds no models" if os.path.exists(pattern) else "there is no such model"
            raise UsageError(f"{printable(pattern)}: {what}")
        for model in found:
            models.setdefault(model.resolve(), model)
    return list(models.values())


def _within(path: Path) -> list[Path]:
    if not path.is_dir() or (path / "config.json").exists():
        return [path]
    files = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sorted(file for file in files if file.suffix.lower() in SUFFIXES)


def names(models: Sequence[Path]) -> list[str]:
    """A distinct name for each model: its stem, or, where several have that, its path below their common folder.

    Names that differ only in case are the same: some file systems take them so.
    """
    return distinct([model.with_name(module_name(model)) for model in models], models)


def distinct(modules: Sequence[Path], models: Sequence[Path] | None = None) -> list[str]:
    """As `names`, for modules that have a path already; those of one stem are called as their models are."""
    paths = [path.resolve() for path in models or modules]
    stems = [Namespace().new(module.stem) for module in modules]
    counts = Counter(stem.lower() for stem in stems)
    common = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    namespace = Namespace([stem.lower() for stem in stems if counts[stem.lower()] == 1])
    return [
        stem if counts[stem.lower()] == 1 else namespace.new(str(path.relative_to(common)).lower())
        for stem, path in zip(stems, paths, strict=True)
    ]
