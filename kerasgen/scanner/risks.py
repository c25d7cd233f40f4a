"""What can be dangerous in a model file: one table, and the findings that refer to it."""

from __future__ import annotations

from typing import NamedTuple


class Risk(NamedTuple):
    """Whether it is a danger or merely odd, what it does where Keras loads the file, and what to do instead."""

    danger: bool
    effect: str
    advice: str


RISKS = {
    "code": Risk(
        True,
        "Keras runs it when it loads the file or calls the model (CVE-2024-3660, CVE-2025-9905)",
        "do not load it with Keras; give kerasgen a function of your own: `custom={'NAME': function}`",
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
        "loading needs Python code of the author's, which runs",
        "read that code first, or give kerasgen a rule of your own: `custom={'NAME': function}`",
    ),
    "pickle": Risk(
        True,
        "whoever unpickles it runs whatever it says",
        "do not load it; ask for weights in HDF5",
    ),
    "path": Risk(
        True,
        "Keras reads what lies there, a file of yours or an address on the network (CVE-2025-12058)",
        "do not load it with Keras; ask for a model that holds its vocabularies itself",
    ),
    "elsewhere": Risk(
        True,
        "HDF5 reads something else in its place, other files of yours, too (CVE-2026-1669)",
        "do not load it with Keras; ask for the model to be saved again",
    ),
    "escape": Risk(
        True,
        "Keras writes or reads outside of the folder that it unpacks to (CVE-2026-12479)",
        "do not unpack it, nor load it with Keras",
    ),
    "bomb": Risk(
        True,
        "loading takes all the memory that there is (CVE-2026-0897)",
        "do not load it with Keras",
    ),
    "ambiguous": Risk(
        True,
        "programs differ in what they take it for: what one has checked, another does not load",
        "ask for the model to be saved again",
    ),
    "damage": Risk(
        True,
        "Keras does not write this; what reads it may crash or misread it",
        "ask for the model to be saved again",
    ),
    "name": Risk(
        False,
        "a terminal, a log or an editor shows something else than what is there",
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
        """The same, its place told without the name of the model."""
        return self._replace(where=self.where.removeprefix(source).removeprefix(": "))
