"""Merge steps into samples once before a chain of layers that are applied to each step, and split them once after it.

merge_steps(split_steps(y, like)) = y
split_steps(merge_steps(x), like) = x, where x has as many steps as `like`
split_steps(y, split_steps(z, like)) = split_steps(y, like)
f(split_steps(y, like)) = split_steps(f(y), like), for an elementwise f or one along the last axis; likewise for
f(split_steps(y, like), split_steps(z, like)), for example the sum of two branches

The layers of the chain are then adjacent, and are fused, folded and computed by blocks like any others.

Declines to move f where a split has another reader, and where f may mix steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kerasgen import kernels
from kerasgen.graph.facts import facts
from kerasgen.graph.ir import Graph, Node


def cancel_step_splits(graph: Graph) -> Graph:
    """The graph without the merges and splits that undo each other, every other split as late as possible."""
    return _Chains(graph).run()


class _Chains:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.readers = graph.readers()
        self.specs = dict(graph.specs)
        self.nodes: dict[str, Node] = {}  # by their first output, in order
        self.renamed: dict[str, str] = {}
        self.moved: set[str] = set()

    def run(self) -> Graph:
        for node in self.graph.nodes:
            reads = tuple(self.renamed.get(i, i) if isinstance(i, str) else i for i in node.inputs)
            self._add(replace(node, inputs=reads))
        graph = replace(self.graph, specs=self.specs)
        return graph.rewrite(self.nodes.values(), self.renamed, changed=self.moved)

    def _add(self, node: Node) -> None:
        if node.kernel is kernels.split_steps:
            self._add_split(node)
        elif node.kernel is kernels.merge_steps and self._is(node.reads[0], kernels.split_steps):
            self._rename(node, self.nodes[node.reads[0]].reads[0])
        elif self._moves(node):
            self._move(node)
        else:
            self.nodes[node.outputs[0]] = node

    def _add_split(self, node: Node) -> None:
        x, like = node.reads
        if self._is(like, kernels.split_steps):
            early = self.nodes[like].reads[1]
            self.readers[early] += 1
            self._release(like)
            node = replace(node, inputs=(x, early))
        if self._is(x, kernels.merge_steps) and self._same_steps(self.nodes[x].reads[0], node.reads[1]):
            self._rename(node, self.nodes[x].reads[0])
        else:
            self.nodes[node.output] = node

    def _is(self, name: str, kernel: object) -> bool:
        return name in self.nodes and self.nodes[name].kernel is kernel

    def _same_steps(self, x: str, like: str) -> bool:
        """Whether both have the same number of steps, and so of samples."""
        steps = {self.specs[name].shape[1] if name in self.specs else None for name in (x, like)}
        return x == like or (len(steps) == 1 and None not in steps)

    def _rename(self, node: Node, name: str) -> None:
        """Let the readers of a node read another value instead, and drop the node."""
        self.renamed[node.output] = name
        self.readers[name] += self.readers[node.output]
        for read in node.reads:
            self._release(read)

    def _release(self, name: str) -> None:
        """Remove a reader of a value; a merge or split without readers is dropped."""
        self.readers[name] -= 1
        if not self.readers[name] and (self._is(name, kernels.merge_steps) or self._is(name, kernels.split_steps)):
            for read in self.nodes.pop(name).reads:
                self._release(read)

    def _moves(self, node: Node) -> bool:
        """Whether the node computes the same before the splits that it reads as after, and nothing else reads them."""
        arrays = [name for name in node.reads if name not in self.graph.arrays]
        if not arrays or len(node.outputs) > 1 or node.output not in self.specs:
            return False
        if not all(self._is(a, kernels.split_steps) and self.readers[a] == arrays.count(a) for a in arrays):
            return False
        merged, likes = zip(*(self.nodes[name].reads for name in arrays), strict=True)
        ranks = {len(self.specs[name].shape) if name in self.specs else 0 for name in merged}
        if len(ranks) > 1 or len(set(likes)) > 1 or min(ranks) < 2:
            return False
        if isinstance(node.kernel, np.ufunc):
            weights = [self.graph.arrays[name].ndim for name in node.reads if name in self.graph.arrays]
            return node.kernel.signature is None and all(ndim < min(ranks) for ndim in weights)
        return facts(node.kernel).by_cell and arrays == [node.inputs[0]] and node.attrs.get("axis", -1) == -1

    def _move(self, node: Node) -> None:
        """Put the node before the splits that it reads, under the name of the first, and one split after it."""
        name, *others = dict.fromkeys(read for read in node.reads if read in self.nodes)
        splits = {each: self.nodes.pop(each).reads for each in (name, *others)}
        (merged, like), spec = splits[name], self.specs[node.output]
        inputs = tuple(splits[i][0] if isinstance(i, str) and i in splits else i for i in node.inputs)
        for each in node.reads:
            if each in splits:
                self.readers[splits[each][0]] += 1
        for x, _ in splits.values():
            self.readers[x] -= 1
        self.readers[like] -= len(others)
        self.readers[name] = 1
        self.specs[name] = replace(spec, name=name, shape=(None, *spec.shape[2:]), rows=self.specs[merged].rows)
        self.nodes[name] = replace(node, outputs=(name,), inputs=inputs)
        self.nodes[node.output] = Node((node.output,), kernels.split_steps, (name, like), {}, node.layer)
        self.moved.update(splits)
