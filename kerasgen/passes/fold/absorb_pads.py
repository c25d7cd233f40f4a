"""Let a convolution surround its input with zeros itself.

conv(pad(x, p), pad=None) = conv(x, pad=p), for zeros.

Declines where the padded array has another reader, and where the convolution has a pad of its own.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen import kernels
from kerasgen.graph.ir import Graph, Node
from kerasgen.passes.fold.fold_batch_norm import OUTPUT_AXES


def absorb_pads(graph: Graph) -> Graph:
    """Every pad that a convolution can do is its own setting."""
    readers = graph.readers()
    makers = {name: node for node in graph.nodes for name in node.outputs}
    nodes, gone = [], set()
    for node in graph.nodes:
        pad = makers.get(str(node.inputs[0])) if node.inputs and _pads(node) else None
        if pad is not None and pad.kernel is kernels.pad and not pad.attrs.get("value") and readers[pad.output] == 1:
            gone.add(pad.output)
            node = replace(
                node, inputs=(pad.inputs[0], *node.inputs[1:]), attrs={**node.attrs, "pad": pad.attrs["pads"]}
            )
        nodes.append(node)
    return graph.rewrite((node for node in nodes if node.outputs[0] not in gone), {})


def _pads(node: Node) -> bool:
    """Whether it is a convolution that has a pad, and none so far."""
    return node.kernel in OUTPUT_AXES and "pad" in node.attrs and node.attrs["pad"] is None
