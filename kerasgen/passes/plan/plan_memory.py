"""Give each large result a buffer that is no longer in use, so that every call reuses the same few.

A value lives from the node that computes it to the last reader of it or a view of it: see `kerasgen.graph.liveness`.
Buffers are shared by linear scan: a node takes one whose value is dead, else a new one. A sum or product of a value
that nothing else needs is written over it. Results of the model are never put into a buffer, all others of kernels that
go by blocks are: processes that share the blocks then have no other arrays in common.
"""

from __future__ import annotations

from dataclasses import replace

from kerasgen.graph.facts import facts, setting
from kerasgen.graph.ir import Graph, Node
from kerasgen.graph.liveness import last_reads
from kerasgen.graph.plan import Plan
from kerasgen.names import Namespace

LARGE = 1 << 17  # bytes per sample; NumPy's allocator serves smaller ones well
LETTERS = "abcdefghijklmnop"


class _Buffers:
    """The buffers, and until which node each holds its value."""

    def __init__(self, names: Namespace) -> None:
        self.names = names
        self.all: list[str] = []
        self.free: list[str] = []
        self.until: dict[str, int] = {}
        self.holder: dict[str, str] = {}  # the buffer of each value

    def release(self, index: int) -> None:
        """Free the buffers whose values are dead before this node."""
        dead = [buffer for buffer, until in self.until.items() if until < index]
        self.free += dead
        for buffer in dead:
            del self.until[buffer]

    def take(self) -> str:
        """A free buffer."""
        if not self.free:
            self.all.append(self.names.new(LETTERS[len(self.all) % len(LETTERS)]))
            self.free.append(self.all[-1])
        return self.free.pop()

    def put(self, value: str, place: str, until: int) -> None:
        """Let a value live in a buffer, or over another value in that one's buffer."""
        self.holder[value] = self.holder.get(place, place)
        self.until[self.holder[value]] = until


def plan_memory(plan: Plan, *, large: int = LARGE) -> Plan:
    """The plan with a buffer for every value whose kernel can use one: made by blocks, or of `large` bytes a sample."""
    graph = plan.graph
    last = last_reads(graph)
    names = (name for node in graph.nodes for name in (*node.reads, *node.outputs, node.kernel.__name__))
    buffers = _Buffers(Namespace(names))
    out: dict[str, str] = {}
    for index, node in enumerate(graph.nodes):
        buffers.release(index)
        name = node.outputs[0]
        if last[name] == len(graph.nodes):
            continue
        if facts(node.kernel).in_place:
            place = _overwritten(node, graph, {value for value in node.reads if _dies(value, buffers, index)})
        else:
            fits = graph.sample_bytes(name) >= large or setting(node.kernel, "border") is not None
            place = buffers.take() if fits and _takes_out(node) else ""
        if place:
            buffers.put(name, place, last[name])
            out[name] = place
    return replace(plan, buffers=tuple(buffers.all), out=out)


def _dies(value: str, buffers: _Buffers, index: int) -> bool:
    """Whether a value is in a buffer, and this node is the last to need it."""
    return value in buffers.holder and buffers.until.get(buffers.holder[value]) == index


def _overwritten(node: Node, graph: Graph, dead: set[str]) -> str:
    """The operand that the result may be written over, "" if there is none."""
    return next((name for name in node.reads if name in dead and graph.same_form(name, node.output)), "")


def _takes_out(node: Node) -> bool:
    """Whether the kernel can write its result into a buffer."""
    parameter = setting(node.kernel, "out")
    return parameter is not None and parameter.kind is parameter.KEYWORD_ONLY
