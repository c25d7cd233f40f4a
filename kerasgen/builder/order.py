"""The order in which the calls of a model's layers are built."""

from __future__ import annotations

from collections.abc import Container, Iterator
from heapq import heappop, heappush

from kerasgen.readers.model import LayerSpec, ModelSpec, leaves


def in_order(model: ModelSpec, tensors: Container[tuple[str, int]]) -> Iterator[tuple[LayerSpec, int]]:
    """The calls of a model's layers in topological order, otherwise in the file's order, in repeated passes.

    Calls whose outputs are in `tensors` are left out, and so are those that read a tensor that no call produces.
    """
    calls = [(layer, index) for layer in model.layers for index in range(len(layer.calls))]
    calls = [(layer, index) for layer, index in calls if (layer.name, index) not in tensors]
    missing = []
    readers: dict[tuple[str, int], list[int]] = {}
    for position, (layer, index) in enumerate(calls):
        call = layer.calls[index]
        reads = {(ref.layer, ref.call) for ref in leaves((call.args, call.kwargs))}
        reads = {read for read in reads if read not in tensors}
        missing.append(len(reads))
        for read in reads:
            readers.setdefault(read, []).append(position)
    ready = [(0, position) for position, count in enumerate(missing) if not count]
    while ready:
        turn, position = heappop(ready)
        layer, index = calls[position]
        yield layer, index
        for reader in readers.get((layer.name, index), ()):
            missing[reader] -= 1
            if not missing[reader]:
                heappush(ready, (turn + (reader < position), reader))
