"""`[tool.kerasgen]` in pyproject.toml: the models of a project, where their modules go, and with which options.

    [tool.kerasgen]
    optimize = 1                                            # for every model that does not say otherwise
    models = [
        "models/digits.h5",                                 # becomes digits.py
        {model = "models/big.keras", output = "src/big.py", store = "sidecar"},
    ]

Paths are those from the folder of pyproject.toml.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasgen.errors import FileError, UsageError
from kerasgen.names import module_name, printable

if sys.version_info >= (3, 11):
    import tomllib
else:  # black, a dependency, brings it there
    import tomli as tomllib

FILE = "pyproject.toml"
FOLDER = "build/kerasgen"  # where `kerasgen batch` puts its results if nothing is said

# What a value of each key is: the types, and how a message calls them.
_FLAG, _TEXT, _NUMBER = ((bool,), "true or false"), ((str,), "a text"), ((int, float), "a number")
_OPTIONS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "store": _TEXT,
    "weights_dtype": _TEXT,
    "keep": ((list,), "a list of patterns"),
    "max_loss": _NUMBER,
    "target": _TEXT,
    "activations": _FLAG,
    "custom": ((list,), "a list of NAME=MODULE:FUNCTION"),
    "optimize": ((int,), "0, 1 or 2"),
    "max_memory": ((str, int), "a size such as '8MB'"),
    "minimal": _FLAG,
    "streaming": _FLAG,
    "tiled": _FLAG,
    "strict": _FLAG,
    "theano_kernels": _FLAG,
    "gradients": ((bool, dict), "true or a table"),
    "verify": _FLAG,
    "defines": ((dict,), "a table of values by name"),
    "labels": ((str, list), "a file of names or a list of them"),
    "preprocess": ((str, list), "a text such as 'tf' or '1/255,0'"),
    "tunable": _FLAG,
}
_MODEL = {
    "model": _TEXT,
    "weights": _TEXT,
    "output": _TEXT,
    "inputs": _TEXT,
    "outputs": ((list,), "a list of layers"),
    "input_shape": ((str,), "sizes such as '64x64x3'"),
    "rename": ((dict,), "a table of new names by the old ones"),
    "tune": _TEXT,
    "tune_batch": ((int,), "a whole number"),
    **_OPTIONS,
}
_BATCH = {
    "output": _TEXT,
    "jobs": ((int,), "a whole number"),
    "report": _FLAG,
    "timeout": _NUMBER,
    "memory": ((str, int), "a size such as '2GB'"),
    "scheduler": _TEXT,
}
_GRADIENTS = {
    "trainable": ((list,), "a list of patterns"),
    "inputs": _FLAG,
    "loss": _TEXT,
    "from_logits": _FLAG,
    "optimizer": _TEXT,
    "explain": ((list,), "a list of methods"),
}
_ALL = {**_OPTIONS, "models": ((list,), "a list"), "batch": ((dict,), "a table")}


@dataclass(frozen=True)
class ConfiguredModel:
    """A model of the project: its file, its module, and the options of `kerasgen.export` that are plain data."""

    model: Path
    output: Path
    weights: Path | None = None
    verify: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """The section of `file`. `batch` are the arguments of `kerasgen batch`, by the names of its options."""

    file: Path
    models: tuple[ConfiguredModel, ...]
    batch: Mapping[str, Any]

    def listed(self) -> tuple[ConfiguredModel, ...]:
        """The models. Raises UsageError if there are none."""
        if not self.models:
            raise UsageError(f"{self.file}: tool.kerasgen lists no `models`")
        return self.models


def load(folder: Path | None = None) -> Config:
    """The configuration of the project around `folder`, by default the current one.

    It is in the nearest pyproject.toml, there or above, that has the section. Raises UsageError where there is none, or
    where it is wrong, and FileError where a file cannot be read.
    """
    start = (folder or Path()).resolve()
    for place in (start, *start.parents):
        file = place / FILE
        if file.is_file():
            section = _section(file)
            if section is not None:
                shown = Path(os.path.relpath(place, start)) if folder is None else place
                return _config(shown / FILE, section)
    raise UsageError(f"no model is given, and no {FILE} here or above has a section [tool.kerasgen]")


def size_in_bytes(size: str | int, key: str) -> int:
    """The bytes of a size such as 8MB. Raises UsageError, which names `key`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kMG]?)B?", str(size), re.IGNORECASE)
    if found is None:
        raise UsageError(f"{key} is a size as 8MB, not {printable(str(size))}")
    return int(float(found[1]) * 1000 ** " KMG".index(found[2].upper() or " "))


def sizes(shape: str, key: str) -> tuple[int | None, ...]:
    """The sizes of a shape such as 64x64x3, None for ?. Raises UsageError, which names `key`."""
    parts = shape.lower().split("x")
    if not all(part == "?" or (part.isdigit() and part.isascii() and int(part)) for part in parts):
        raise UsageError(f"{key} is sizes as 64x64x3, ? for an open one, not {printable(shape)}")
    return tuple(None if part == "?" else int(part) for part in parts)


def _section(file: Path) -> Any:
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # of TOML and of UTF-8
        raise UsageError(f"{file}: not TOML: {error}") from error
    tool = data.get("tool", {})
    return tool.get("kerasgen") if isinstance(tool, dict) else None


def _config(file: Path, section: Any) -> Config:
    where = f"{file}: tool.kerasgen"
    _check(section, _ALL, where)
    defaults = {key: section[key] for key in section if key in _OPTIONS}
    models = [
        _model(file.parent, entry, defaults, f"{where}.models[{index}]")
        for index, entry in enumerate(section.get("models", ()))
    ]
    _check_distinct((model.output for model in models), where)
    batch = dict(section.get("batch", {}))
    _check(batch, _BATCH, f"{where}.batch")
    if "memory" in batch:
        batch["memory"] = size_in_bytes(batch["memory"], f"{where}.batch.memory")
    return Config(file, tuple(models), {**batch, "output": file.parent / batch.get("output", FOLDER)})


def _model(folder: Path, entry: Any, defaults: Mapping[str, Any], where: str) -> ConfiguredModel:
    if isinstance(entry, str):
        entry = {"model": entry}
    _check(entry, _MODEL, where)
    if "model" not in entry:
        raise UsageError(f"{where}: has no model")
    options = {**defaults, **{key: entry[key] for key in entry if key in _OPTIONS}}
    if isinstance(options.get("gradients"), dict):
        _check(options["gradients"], _GRADIENTS, f"{where}.gradients")
    verify = options.pop("verify", None)
    if "max_memory" in options:
        options["max_memory"] = size_in_bytes(options["max_memory"], f"{where}.max_memory")
    if isinstance(options.get("labels"), str):
        options["labels"] = str(folder / options["labels"])
    options.update((key, entry[key]) for key in ("outputs", "rename", "tune_batch") if key in entry)
    if "input_shape" in entry:
        options["input_shape"] = sizes(entry["input_shape"], f"{where}.input_shape")
    options.update((key, str(folder / entry[key])) for key in ("inputs", "tune") if key in entry)
    model = folder / entry["model"]
    weights = folder / entry["weights"] if "weights" in entry else None
    return ConfiguredModel(model, folder / entry.get("output", module_name(model)), weights, verify, options)


def _check(table: Any, keys: Mapping[str, tuple[tuple[type, ...], str]], where: str) -> None:
    """Raise UsageError for a key that does not exist, or whose value is of another type."""
    if not isinstance(table, dict):
        raise UsageError(f"{where}: is a table, not {table!r}")
    for key, value in table.items():
        if key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(keys)}"
            raise UsageError(f"{where}: has no key {key!r}; {hint}")
        types, name = keys[key]
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            raise UsageError(f"{where}.{key}: is {name}, not {value!r}")


def _check_distinct(outputs: Iterable[Path], where: str) -> None:
    seen: set[Path] = set()
    for output in outputs:
        if output in seen:
            raise UsageError(f"{where}: two models become {output}; give one of them another `output`")
        seen.add(output)
