"""What can be dangerous in a model file: a table of risks, and the findings that refer to it."""

from __future__ import annotations

from typing import NamedTuple


class Risk(NamedTuple):
    """Whether it is a danger or merely odd, what happens when Keras loads the file, and what to do instead."""

    danger: bool
    effect: str
    advice: str


RISKS = {
    "code": Risk(
        True,
        "Keras runs it when it loads the file or calls the model (CVE-2024-3660, CVE-2025-9905)",
        "do not load it with Keras; kerasgen reads it without running it, or takes a function of yours: "
        "`custom={'NAME': function}`",
    ),
    "import": Risk(
        True,
        "Keras imports and calls what the config names (CVE-2025-1550, CVE-2025-8747, CVE-2025-9906)",
        "do not load it with Keras, and distrust its origin: no layer needs this",
    ),
    "program": Risk(
        True,
        "Keras runs a program of another library, past its safe mode (CVE-2026-1462)",
        "do not load it with Keras; ask for a model of plain layers",
    ),
    "function": Risk(
        True,
        "TensorFlow calls it when it loads the file; some of its functions read and write files",
        "do not load it with Keras before you know what the function does",
    ),
    "class": Risk(
        True,
        "loading runs the author's Python code",
        "read that code first, or give kerasgen your own rule: `custom={'NAME': function}`",
    ),
    "pickle": Risk(
        True,
        "unpickling it can run any code",
        "do not load it; ask for weights in HDF5",
    ),
    "path": Risk(
        True,
        "Keras reads it, a local file or a network address (CVE-2025-12058)",
        "do not load it with Keras; ask for a model that holds its vocabularies itself",
    ),
    "elsewhere": Risk(
        True,
        "HDF5 reads something else in its place, even other local files (CVE-2026-1669)",
        "do not load it with Keras; ask for the model to be saved again",
    ),
    "escape": Risk(
        True,
        "Keras writes or reads outside the folder that it unpacks to (CVE-2026-12479)",
        "do not unpack it or load it with Keras",
    ),
    "bomb": Risk(
        True,
        "loading exhausts the memory (CVE-2026-0897)",
        "do not load it with Keras",
    ),
    "ambiguous": Risk(
        True,
        "programs read it differently: one may load what another did not check",
        "ask for the model to be saved again",
    ),
    "damage": Risk(
        True,
        "Keras does not write this; a reader may crash on it or misread it",
        "ask for the model to be saved again",
    ),
    "name": Risk(
        False,
        "a terminal, a log or an editor does not show what is really there",
        "do not copy it; kerasgen escapes it",
    ),
    "stranger": Risk(
        False,
        "nothing: Keras neither writes nor reads it",
        "ask what it is for",
    ),
}


class Finding(NamedTuple):
    """A row of `RISKS`, where in the model it is, and what it is."""

    risk: str
    where: str
    what: str

    def inside(self, source: str) -> Finding:
        """The same, with the model's name removed from `where`."""
        return self._replace(where=self.where.removeprefix(source).removeprefix(": "))
