"""What a module for images of any size has beside `predict`: `predict_tiled`, and what its tiles must see."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kerasgen.errors import UnsupportedModelError
from kerasgen.graph.ir import Graph
from kerasgen.graph.plan import Plan
from kerasgen.graph.receptive_field import Obstacle, ReceptiveField, receptive_field


@dataclass(frozen=True)
class Tiling:
    """The parts of an image that the outputs see, for a module with `predict_tiled`."""

    field: ReceptiveField

    def constant(self, plan: Plan) -> dict[str, object]:
        """The settings of `kerasgen.kernels.tiles.in_tiles`.

        In all parts, the tiles of Winograd's convolutions lie as in the whole image; others would round differently.
        """
        field = self.field
        cells = math.lcm(*(m for _, settings in plan.layouts.values() for m in np.ravel(settings.get("m", 1)).tolist()))
        return {
            **{"axes": field.axes, "step": tuple(step * cells for step in field.step)},
            **{"before": field.before, "after": field.after, "least": field.least},
            "strides": tuple(
                tuple((axis, stride.numerator, stride.denominator) for axis, stride in output)
                for output in field.outputs
            ),
        }


def tiling(graph: Graph, source: str, kinds: Mapping[str, str]) -> Tiling | None:
    """The tiling of a graph as built, with open sizes; `kinds` are those of the layers by name.

    None where there is nothing to tile: other layers could not be built.

    Raises UnsupportedModelError, naming all layers in the way, where a cell may depend on the whole image.
    """
    field = receptive_field(graph)
    if isinstance(field, ReceptiveField):
        return Tiling(field)
    if not field:
        return None
    found = "; ".join(dict.fromkeys(_line(obstacle, kinds) for obstacle in field))
    raise UnsupportedModelError(f"{source}: cannot be computed in tiles: {found}")


def _line(obstacle: Obstacle, kinds: Mapping[str, str]) -> str:
    if not obstacle.layer:
        return obstacle.reason
    kind = kinds.get(obstacle.layer, "")
    advice = f"; to end before it: `outputs={[obstacle.before]!r}`" if obstacle.before in kinds else ""
    return f"{obstacle.layer!a} ({kind}): {obstacle.reason}{advice}"
