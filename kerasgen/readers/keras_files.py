"""The files that `model.save` of Keras 3 writes to an archive or a folder: config, metadata, weights and assets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from kerasgen.errors import InvalidModelError, UnsupportedModelError
from kerasgen.readers import foreign, jsonfile

_WEIGHTS, _PICKLED = "model.weights.h5", "model.weights.npz"


class Container(Protocol):
    """An archive or a folder."""

    @property
    def name(self) -> str:
        """The name used in messages."""
        ...

    def names(self) -> list[str]:
        """The names of the files."""
        ...

    def text(self, name: str) -> bytes | None:
        """The contents of a text file, or None. InvalidModelError beyond MAX_TEXT bytes."""
        ...

    def place(self, name: str) -> tuple[str, int, Iterable[bytes]] | None:
        """A file's path, 0 and (), or "", the size in bytes and the bytes in blocks; None if there is no such file."""
        ...


def config(container: Container) -> Any:
    """The architecture."""
    text = container.text("config.json")
    if text is None:
        other = foreign.of_archive(container.names()) or "not a Keras model: it holds no config.json"
        raise InvalidModelError(f"{container.name}: {other}")
    return jsonfile.loads(text, f"{container.name}: config.json")


def version(container: Container) -> str:
    """The Keras version that wrote it, "" if not recorded."""
    text = container.text("metadata.json")
    metadata = {} if text is None else jsonfile.loads(text, f"{container.name}: metadata.json")
    return str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


@dataclass(frozen=True)
class StoredWeights:
    """The HDF5 file of weights."""

    container: Container

    @property
    def name(self) -> str:
        """The name used in messages: the container's."""
        return self.container.name

    def place(self) -> tuple[str, int, Iterable[bytes]]:
        """The file's path, 0 and (), or "", the size in bytes and the bytes in blocks."""
        place = self.container.place(_WEIGHTS)
        if place is None and self.container.place(_PICKLED) is not None:
            raise UnsupportedModelError(
                f"{self.name}: its weights are pickled Python objects, {_PICKLED}, which Keras itself refuses to load; "
                "save the model again, without weights_format"
            )
        if place is None:
            raise InvalidModelError(f"{self.name}: it holds no {_WEIGHTS}; save the model again")
        return place
