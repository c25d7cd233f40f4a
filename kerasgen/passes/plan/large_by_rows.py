"""Pool, normalise, project and resize large arrays a few rows at a time, which then stay in the cache.

| layer                                       | kernel             | why                                            |
|---------------------------------------------|--------------------|------------------------------------------------|
| pooling of more than SMALL bytes            | pool_by_rows       | what is pooled stays in the cache              |
| layer normalisation of so many, over the    | layer_norm_by_rows | the same                                       |
| last axis alone                             |                    |                                                |
| a projection to heads, or back, of more     | project_by_rows    | what is added to it is in the cache            |
| than FEW products                           |                    |                                                |
| bilinear resizing to so many bytes, from    | bilinear_by_rows,  | two products for each number, not one for each |
| rows of WIDE cells on, without antialiasing | upsample_by_rows   | cell of a row or column                        |
| repeating the cells of so many bytes        | upsample_nearest_  | rows are written once, inside a border         |
|                                             | by_rows            |                                                |

Processes share the rows. The sums stay the same, but for rounding. A size that is known only at run time counts as
large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from kerasgen import kernels
from kerasgen.graph.facts import multiply_adds
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.large import FEW, SMALL

WIDE = 48  # cells of a row


class Limits(NamedTuple):
    """From which sizes on layers are large: bytes, multiplications, and cells of a row."""

    small: int
    few: int
    wide: int


def large_by_rows(graph: Graph, *, small: int = SMALL, few: int = FEW, wide: int = WIDE) -> Graph:
    """The graph with every such layer by rows."""
    limits = Limits(small, few, wide)
    chosen: dict[str, Node] = {}
    for node in graph.nodes:
        rule = RULES.get(node.kernel)
        if rule is not None and graph.specs.keys() >= {str(node.inputs[0]), node.output}:
            by_rows = rule(node, graph, limits)
            chosen.update({} if by_rows is None else {node.output: by_rows})
    return graph.substitute(chosen)


def _pool(node: Node, graph: Graph, limits: Limits) -> Node | None:
    if graph.sample_bytes(node.reads[0]) <= limits.small:
        return None
    attrs = {"pads" if key == "pad" else key: value for key, value in node.attrs.items()}
    return replace(node, kernel=kernels.pool_by_rows, attrs={"pool": node.kernel, **attrs})


def _layer_norm(node: Node, graph: Graph, limits: Limits) -> Node | None:
    over_channels = node.attrs.get("axis") == (-1,) and len(graph.specs[node.reads[0]].shape) > 2
    if not over_channels or graph.sample_bytes(node.reads[0]) <= limits.small:
        return None
    attrs = {key: value for key, value in node.attrs.items() if key != "axis"}
    return replace(node, kernel=kernels.layer_norm_by_rows, attrs=attrs)


def _project(node: Node, graph: Graph, limits: Limits) -> Node | None:
    """Of sequences, with a bias for each number that is made of a step."""
    axes: int = node.attrs.get("axes", 1)
    values: dict[str, Any] = {**graph.specs, **graph.arrays}
    x, kernel, *bias = (values[name].shape for name in node.reads)
    if len(x) < axes + 2 or any(shape != kernel[axes:] for shape in bias):
        return None
    products = multiply_adds(node, values)
    many = products is None or products > limits.few
    return replace(node, kernel=kernels.project_by_rows) if many else None


def _resize(node: Node, graph: Graph, limits: Limits) -> Node | None:
    """Bilinear, by the distances of the cells' centres."""
    by_centres = node.attrs.get("half_pixel_centers", True) and not node.attrs.get("antialias", False)
    if node.attrs.get("interpolation", "bilinear") != "bilinear" or not by_centres:
        return None
    x, width = graph.specs[node.reads[0]], graph.specs[node.reads[0]].shape[2]
    wide = width is None or width >= limits.wide
    if not wide or x.dtype not in ("float32", "float64") or graph.sample_bytes(node.output) <= limits.small:
        return None
    by_rows = kernels.upsample_by_rows if node.kernel is kernels.upsample else kernels.bilinear_by_rows
    return replace(node, kernel=by_rows, attrs={"size": node.attrs["size"]})


def _repeat(node: Node, graph: Graph, limits: Limits) -> Node | None:
    large = graph.sample_bytes(node.output) > limits.small
    return replace(node, kernel=kernels.upsample_nearest_by_rows) if large else None


RULES: Mapping[Any, Callable[[Node, Graph, Limits], Node | None]] = {
    kernels.average_pool: _pool,
    kernels.layer_norm: _layer_norm,
    kernels.max_pool: _pool,
    kernels.project: _project,
    kernels.resize: _resize,
    kernels.upsample: _resize,
    kernels.upsample_nearest: _repeat,
}
