"""Let the kernel that computes an array apply the activation that follows.

activation(dense(x, W, b)) = dense(x, W, b, activation=activation), likewise for all kernels with that setting.

Declines where the array has another reader, and where the activation has settings of its own or changes the shape.
"""

from __future__ import annotations

from kerasgen.graph.facts import facts, setting
from kerasgen.graph.ir import Graph, Node


def fuse_activation(graph: Graph) -> Graph:
    """The graph with every activation fused that can be."""
    readers = graph.readers()
    makers = graph.makers()
    fused: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        maker = makers.get(str(node.inputs[0])) if facts(node.kernel).activation and _plain(node) else None
        if maker is None or not _takes_activation(maker) or maker.output in fused or readers[maker.output] > 1:
            continue
        fused[maker.output] = maker.with_attrs(activation=node.kernel)
        renamed[node.output] = maker.output
    return graph.substitute(fused, renamed, changed=fused.keys())


def _plain(node: Node) -> bool:
    """Whether every setting of the activation is the kernel's default."""
    parameters = ((setting(node.kernel, name), value) for name, value in node.attrs.items())
    return len(node.inputs) == 1 and all(p is not None and p.default == value for p, value in parameters)


def _takes_activation(node: Node) -> bool:
    """Whether it can apply one to its result, and does not yet; recurrent kernels use theirs inside."""
    parameter = setting(node.kernel, "activation")
    return parameter is not None and parameter.default is None and node.attrs.get("activation") is None
