"""The folder that `model.save(..., zipped=False)` of Keras 3 writes: the files of a `.keras` archive, unzipped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from kerasgen.errors import FileError, InvalidModelError, UnsupportedModelError
from kerasgen.readers import content
from kerasgen.readers.content import MAX_TEXT, Content


@dataclass(frozen=True)
class Folder:
    """A folder as a `keras_files.Container`. Files may be symbolic links: caches of downloaded models use them."""

    folder: Content

    def __post_init__(self) -> None:
        if self._file("config.json") is None:
            if self._file("saved_model.pb") is not None:
                raise UnsupportedModelError(
                    f"{self.name}: a SavedModel of TensorFlow: load it with tf_keras.models.load_model and save the "
                    "model as .keras or .h5"
                )
            raise FileError(f"{self.name}: is a directory without a config.json; give a model (.keras, .h5 or .json)")

    @property
    def name(self) -> str:
        """The name used in messages."""
        return self.folder.name

    def names(self) -> list[str]:
        """The names of the files."""
        assert isinstance(self.folder.data, Path)
        return [path.name for path in self.folder.data.iterdir()]

    def text(self, name: str) -> bytes | None:
        """The contents of a text file, or None."""
        file = self._file(name)
        if file is None:
            return None
        data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise InvalidModelError(f"{file.name}: is too large for what it is")
        return data

    def place(self, name: str) -> tuple[str, int, Iterable[bytes]] | None:
        """A file's path, 0 and (); None if there is no such file."""
        file = self._file(name)
        return None if file is None else file.place()

    def _file(self, name: str) -> Content | None:
        """A file in the folder, or None. Names of assets come from the model: they must not lead out of the folder."""
        assert isinstance(self.folder.data, Path)
        path = self.folder.data / name
        if ".." in PurePath(name).parts or PurePath(name).is_absolute() or not path.exists():
            return None
        return content.on_disk(path)
