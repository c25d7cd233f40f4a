"""Which models fit a module without NumPy. Raises what names every layer in the way."""

from __future__ import annotations

from collections.abc import Mapping

from kerasgen.builder.problems import summarized
from kerasgen.errors import UnsupportedModelError
from kerasgen.lowering import Lowered

MOST_MACS = 50_000_000  # multiply-adds for one sample: about a second in CPython 3.13, a minute in MicroPython
MOST_BYTES = 8_000_000  # of the weights


def check_limits(lowered: Lowered, source: str, kinds: Mapping[str, str]) -> None:
    """Raise UnsupportedModelError, naming the layers, if a graph cannot be computed without NumPy, or not in good time.

    `kinds` are those of the layers by name.
    """
    if lowered.problems:
        found = summarized((name or "the model", kinds.get(name, ""), text) for name, text in lowered.problems)
        raise UnsupportedModelError(f"{source}: unsupported without NumPy: {'; '.join(found).replace(' ()', '')}")
    weights: dict[str, int] = {}
    arrays = lowered.graph.weights
    for node in lowered.graph.nodes:
        own = sum(arrays[name].nbytes for name in node.reads if name in arrays)
        weights[node.layer] = weights.get(node.layer, 0) + own
    total = sum(array.nbytes for array in arrays.values())
    for sizes, size, most, what in (
        (lowered.macs, sum(lowered.macs.values()), MOST_MACS, "multiply-adds for one sample"),
        (weights, total, MOST_BYTES, "bytes of weights"),
    ):
        if size > most:
            name = max(sizes, key=lambda layer: sizes[layer])
            raise UnsupportedModelError(
                f"{source}: too large without NumPy: {size:,} {what}, {most:,} at most; "
                f"{sizes[name]:,} of them in {name} ({kinds.get(name, 'layer')})"
            )
