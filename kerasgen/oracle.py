"""Keras itself, asked for the right answer. The only module that imports TensorFlow, and only when it is called."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kerasgen.errors import ParityError, UsageError
from kerasgen.names import printable
from kerasgen.parity import Answer, flat


def available() -> bool:
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def oracle(source: Any, weights: Any, keras_version: str) -> Answer:
    """A function that answers as the original model does.

    A file of Keras 1 or 2 is loaded by tf_keras where that is installed, for Keras 3 changed what some settings mean.
    Raises UsageError where TensorFlow is missing, ParityError where Keras cannot load the model.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _answer(source, "the model")
    if not available():
        raise UsageError("verification needs TensorFlow: pip install 'kerasgen-numpy[verify]'")
    name = printable(str(source))
    library = _library(keras_version)
    try:
        with _silence():
            keras = importlib.import_module(library)
            if weights is None:
                model = keras.models.load_model(os.fspath(source), compile=False)
            else:
                model = keras.models.model_from_json(Path(source).read_text(encoding="utf-8"))
                model.load_weights(os.fspath(weights))
    except Exception as error:
        raise ParityError(f"{name}: {library} cannot load the model: {_reason(error)}") from error
    return _answer(model, name)


def _library(keras_version: str) -> str:
    old = keras_version.split(".")[0] in ("1", "2") and importlib.util.find_spec("tf_keras") is not None
    return "tf_keras" if old else "keras"


@contextmanager
def _silence() -> Iterator[None]:
    """Keep TensorFlow's logs and Keras's warnings off stderr: nothing in them is about the user's model.

    The C++ part writes past `sys.stderr`, and before it reads its settings. TF_CPP_MIN_LOG_LEVEL=0 lets all through.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            os.dup2(nowhere.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _answer(model: Any, name: str) -> Answer:
    def answer(arrays: Any) -> list[np.ndarray]:
        struct = getattr(model, "_inputs_struct", getattr(model, "_nested_inputs", None))  # Keras 3, Keras 2
        try:
            if isinstance(struct, dict):
                batch: Any = dict(zip(struct, arrays, strict=True))
            else:
                batch = list(arrays) if len(arrays) > 1 else arrays[0]
            with _silence():
                return [np.asarray(array) for array in flat(_predict(model, batch, len(arrays[0])))]
        except Exception as error:
            raise ParityError(
                f"{name}: Keras cannot answer inputs of shape {[a.shape for a in arrays]}: {_reason(error)}"
            ) from error

    return answer


def _predict(model: Any, batch: Any, size: int) -> Any:
    """The model's answer as its users get it.

    Called directly, Keras 3.15 adds a channels-first bias along the width where that has as many cells as there are
    filters; `predict` does not, but refuses models whose names TensorFlow cannot use.
    """
    try:
        return model.predict(batch, size, verbose=0)
    except ValueError:
        return model(batch, training=False)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
