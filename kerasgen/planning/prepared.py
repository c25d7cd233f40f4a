"""A model that is ready to be planned: read, built, and with its weights bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kerasgen.builder import Built, build
from kerasgen.builder.defines import check as check_defines
from kerasgen.emit.tiles import Tiling, tiling
from kerasgen.errors import InvalidModelError, UsageError
from kerasgen.graph.ir import Graph
from kerasgen.passes import PIPELINES
from kerasgen.planning.options import Options
from kerasgen.readers.fingerprint import fingerprint
from kerasgen.readers.model import ModelFile
from kerasgen.verification.inputs import Recipe, recipes


class Prepared(NamedTuple):
    """A model that was read and built: its graph with the weights, the module's header, and a warning or ""."""

    file: ModelFile
    built: Built
    graph: Graph
    header: Mapping[str, Any]
    recipes: Sequence[Recipe]
    warning: str
    tiling: Tiling | None = None


def prepare(file: ModelFile, options: Options, *, strict: bool = False) -> Prepared:
    """Build a model that was read and bind its weights. Raises as `generate` does."""
    if options.level not in PIPELINES:
        levels = ", ".join(map(str, PIPELINES))
        raise UsageError(f"the level of optimisation is one of {levels}, not {options.level!r}")
    options.check_compact()
    defines = check_defines(options.defines)
    built = build(file, options.custom, defines, any_size=options.tiled).renamed(options.rename)
    kinds = {layer.name: layer.kind for layer in built.layers}
    tiles = tiling(built.graph, file.source, kinds) if options.tiled else None
    graph = built.bind()
    if options.processing:
        try:
            options.processing.check(graph)
        except UsageError as error:
            raise UsageError(f"{file.source}: {error}") from error
    weights = {variable.key: graph.weights[variable.key] for variable in built.variables}
    warning = _not_finite(weights)
    if warning and strict:
        raise InvalidModelError(f"{file.source}: {warning}")
    header: dict[str, Any] = {
        "name": file.model.name,
        "sha256": fingerprint(file.model, weights),
        "keras": file.keras_version,
    }
    if built.notes:
        header["lambdas"] = built.notes
    with np.errstate(all="ignore"):  # of weights that are not finite
        wanted = recipes(built.as_recorded(graph), file.model)
    return Prepared(file, built, graph, header, wanted, warning, tiles)


def _not_finite(weights: Mapping[str, np.ndarray]) -> str:
    """A warning about NaN or infinite weights, or "": with such weights, most answers are NaN."""
    names = [name for name, array in weights.items() if not np.isfinite(array).all()]
    return f"NaN or infinite numbers among the weights of {', '.join(names)}" if names else ""
