"""Options as plain data become the arguments of `kerasgen.export`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kerasgen.errors import UsageError

# `gradients` is True or the settings of GradientOptions, `custom` assignments as the command line has them:
# NAME=MODULE:FUNCTION; `inputs` and `tune` are paths of files, `labels` one or a list of names.
OPTIONS = frozenset("""
    activations custom defines gradients input_shape inputs keep keep_failed labels max_loss max_memory minimal
    optimize outputs preprocess rename store streaming strict target theano_kernels tiled tunable tune tune_batch
    weights_dtype
    """.split())
READING = frozenset("defines input_shape outputs".split())  # what `inspect` and `report` have as well
ONLY_EXPORT = frozenset("strict keep_failed inputs".split())  # what `kerasgen.check` does not have


def arguments(options: Mapping[str, Any], *, check: bool = False) -> dict[str, Any]:
    """The arguments of `kerasgen.export`, or of `kerasgen.check`.

    Raises UsageError for settings of gradients that do not exist, and for functions that cannot be imported.
    """
    from kerasgen.backward.options import GradientOptions
    from kerasgen.builder.custom import load

    found = {key: value for key, value in options.items() if not (check and key in ONLY_EXPORT)}
    found["custom"] = load(options.get("custom", ()))
    gradients = found.pop("gradients", None)
    if isinstance(gradients, Mapping):
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in gradients.items()}
        try:
            found["gradients"] = GradientOptions(**settings)
        except TypeError as error:
            raise UsageError(f"gradients: {error}") from error
    elif gradients:
        found["gradients"] = GradientOptions()
    return found
