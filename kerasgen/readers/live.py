"""A model in memory, saved by its own Keras and read back from the file."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

from kerasgen.errors import UnsupportedModelError
from kerasgen.names import printable
from kerasgen.readers.content import Content, reason

_KERAS_2 = ("tf_keras", "tensorflow.python.keras", "keras.engine", "keras.src.engine")


def saved(model: Any) -> Content:
    """The bytes of the model's file: `.keras` of a Keras 3 model, legacy HDF5 of an older one."""
    name = printable(str(getattr(model, "name", "model")))
    old = any(base.__module__.startswith(_KERAS_2) for base in type(model).__mro__)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the user need not hear that HDF5 is legacy
        path = Path(folder, "model.h5" if old else "model.keras")
        try:
            model.save(str(path))
            return Content(name, path.read_bytes())
        except Exception as error:  # a model's own code runs here: anything can happen
            raise UnsupportedModelError(f"{name}: Keras cannot save this model: {reason(error)}") from error
