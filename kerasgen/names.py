"""The only sanitiser: text from a model becomes a Python identifier, or does not reach the output at all."""

from __future__ import annotations

import builtins
import keyword
import os
import re
import sys
import unicodedata
from collections.abc import Container, Iterable
from pathlib import PurePath
from typing import Any

LONGEST = 80  # characters of a model's name to keep
PYTHON = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins)])  # not for variables

# Defined by every module; `x` is a value that only the next line reads.
RESERVED = frozenset(
    "np math x d W MODEL VERIFIED EXPORT INPUTS OUTPUTS STATES SELFTEST predict activations reset_states main NPZ "
    "TRAINABLE OPTIMIZER forward backward saved d_weights train_step save_weights load_weights write_weights "
    "read_weights decode_weights saliency integrated_gradients grad_cam LABELS preprocess classify top fit_images "
    "top_classes "
    "Base64File read_embedded read_sidecar open_sidecar hashed make_input input_noise input_waves factors weighted_sum "
    "numbers watch selftest same_calls difference blas read_inputs read_input read_file read_text read_image in_order "
    "fit_input format_of save_arrays parser_of print_arrays print_classes write_arrays "
    "complete_windows conv_steps conv_each over_windows repeat_state check_steps with_steps same_steps "
    "answer predict_sample TABLE WEIGHTS PROCESSES TEAM THREADS in_team elementwise join_rows "
    "predict_tiled TILES in_tiles parts_of listed outputs_for check_tiles".split()
)


def identifier(text: str) -> str:
    """An ASCII identifier that resembles `text`: accents dropped, all but letters, digits and `_` replaced."""
    plain = unicodedata.normalize("NFKD", text[: 4 * LONGEST]).encode("ascii", "ignore").decode()
    name = re.sub(r"\W+", "_", plain)[:LONGEST].strip("_") or "layer"
    return f"layer_{name}" if name[0].isdigit() else name


def is_identifier(name: str) -> bool:
    """Whether a name may appear in the output."""
    return name.isidentifier() and name.isascii() and not keyword.iskeyword(name)


def printable(text: str) -> str:
    """The text on one line, with everything that a terminal would act on escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def module_name(source: Any) -> str:
    """The file name for a model's module: an identifier that shadows no standard module and not NumPy.

    `source` is the path of the model, or a live model, which has a name.
    """
    is_path = isinstance(source, (str, os.PathLike))
    stem = PurePath(source).stem if is_path else str(getattr(source, "name", "model"))
    return f"{Namespace([*PYTHON, *sys.stdlib_module_names, 'numpy']).new(stem)}.py"


def path_name(path: Iterable[str]) -> str:
    """One name for the path of names to a layer; a name that already begins with its model's is not prefixed again."""
    name = ""
    for part in path:
        name = part if part.startswith(name) else f"{name}_{part}"
    return name


def snake_case(kind: str) -> str:
    """The name of a class as Keras spells it in paths."""
    name = re.sub(r"\W+", "", kind.rpartition(">")[2])
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()


def unused(name: str, taken: Container[str]) -> str:
    """This name for a new weight or value, or a similar one if it is taken."""
    while name in taken:
        name += "_folded"
    return name


class Namespace:
    """Hands out unique identifiers. `reserved` ones are taken; a numbered name is never one of `expected`."""

    def __init__(self, reserved: Iterable[str] = (), expected: Iterable[str] = ()) -> None:
        self._taken = set(reserved)
        self._expected = set(expected)
        self._counts: dict[str, int] = {}  # the last number used, by stem

    def new(self, text: str) -> str:
        """An unused identifier made from `text`, numbered if it is taken."""
        stem = name = identifier(text)
        count = self._counts.get(stem, 1)
        while name in self._taken or (count > 1 and name in self._expected):
            count += 1
            name = f"{stem}_{count}"
        self._taken.add(name)
        self._counts[stem] = count
        return name
