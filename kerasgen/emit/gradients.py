"""The lines of `forward` and of `backward`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from kerasgen.backward.differentiate import leading_to
from kerasgen.backward.plans import TrainingPlan
from kerasgen.emit.body import Body
from kerasgen.emit.target import Target
from kerasgen.graph.ir import Node, Operand
from kerasgen.graph.plan import Plan


class FreeingBody(Body):
    """Lines that free each array after its last reader, unless its name is given to the next one anyway."""

    answers = False

    def __init__(self, plan: Plan, target: Target) -> None:
        super().__init__(plan, target)
        self.last = {name: index for index, node in enumerate(self.graph.nodes) for name in node.reads}
        self.last.update(dict.fromkeys(self.graph.results, len(self.graph.nodes)))
        self.index = {node.outputs: index for index, node in enumerate(self.graph.nodes)}
        self.own = {name for node in self.graph.nodes for name in node.outputs}

    def _lines(self, node: Node) -> Iterator[str]:
        yield self._line(node)
        index = self.index[node.outputs]
        names = dict.fromkeys(n for n in node.reads if n in self.own and self.last[n] == index)
        dead = [name for name in map(self._name, names) if len(name) > 1 and name.isidentifier()]
        if dead and index < len(self.graph.nodes) - 1:
            yield f"del {', '.join(dead)}"


class ForwardBody(FreeingBody):
    """The lines of `forward`: those of `predict`, and the values that `backward` reads."""

    def __init__(self, training: TrainingPlan, target: Target) -> None:
        super().__init__(training.forward, target)
        self.saved = dict(zip(training.saved, self.graph.outputs[len(self.graph.output_names) :], strict=True))

    def _returns_last_node(self, results: list[str]) -> bool:
        return False

    def results(self) -> str:
        """The model's answer, and what is saved."""
        count = len(self.graph.output_names)
        outputs = [self._operand(name) for name in self.graph.outputs[:count]]
        answer = self._dict() if self.graph.keyed else ", ".join(outputs)
        saved = ", ".join(f"{name!a}: {self._operand(value)}" for name, value in self.saved.items())
        return f"{f'({answer})' if count > 1 and not self.graph.keyed else answer}, {{{saved}}}"


class BackwardBody(FreeingBody):
    """The lines of `backward`, from the gradients of the outputs to those of the weights, then of the inputs.

    A value of the forward pass is read as `saved["name"]`, and taken out of `saved` by its last reader. A gradient that
    nothing reads after the next one is computed is called `d`; any other has the name of what it is the gradient of.
    """

    def __init__(self, training: TrainingPlan, target: Target) -> None:
        super().__init__(Plan(training.backward.graph), target)
        self.training = training
        self.printed = {}
        self.saved = set(training.backward.saved)
        self.left = Counter(name for node in self.graph.nodes for name in node.reads)
        self.left.update(training.layers.values())  # these stay
        gradients = training.backward.gradients
        self.after: dict[str, list[str]] = defaultdict(list)  # the lines that follow the one that computes a value
        for name in training.trainable:
            place, known = f"d_weights[{name!a}]", self._name(gradients[name])
            if known.startswith("d_weights"):
                self.after[gradients[name]].append(f"{place} = {known}")
            else:
                self.printed[gradients[name]] = place
        self._name_chains()
        for value in training.layers.values():
            self.after[gradients[value]].append(f"saved[{'d_' + value!a}] = {self._name(gradients[value])}")

    def _name_chains(self) -> None:
        """Call a gradient `d` where its last reader comes no later than the node that computes the next one."""
        following = len(self.graph.nodes)
        for index, node in reversed([*enumerate(self.graph.nodes)]):
            if all(name in self.printed for name in node.outputs):
                continue  # gradients of weights
            for name in node.outputs[:1]:
                if (
                    name not in self.graph.outputs
                    and self.last.get(name, index) <= following
                    and len(node.outputs) == 1
                ):
                    self.printed[name] = "d"
            following = index

    @property
    def parameters(self) -> str:
        """What `backward` takes."""
        return ", ".join(["saved", *self.training.d_outputs, *(["inputs=True"] if self.training.both else [])])

    def lines(self) -> list[str]:
        """One line for each node, and the return."""
        training, gradients = self.training, self.training.backward.gradients
        first = {gradient for name, gradient in gradients.items() if name not in training.inputs}
        count = len(leading_to(self.graph.nodes, first))
        lines = ["d_weights = {}"] if training.trainable else []
        lines += [line for name in filter(None, training.backward.d_outputs) for line in self._given(name)]
        lines += self._block(self.graph.nodes[:count])
        if training.both:
            lines += ["if not inputs:", "    return None, d_weights"]
        lines += self._block(self.graph.nodes[count:])
        inputs = [self._operand(gradients[name]) for name in training.inputs] or ["None"]
        weights = "d_weights" if training.trainable else "{}"
        return [*lines, f"return {inputs[0] if len(inputs) == 1 else '(' + ', '.join(inputs) + ')'}, {weights}"]

    def _given(self, name: str) -> list[str]:
        """What is done with the gradient of an output that is wanted as it is."""
        place = self._name(name)
        first = [f"{place} = {name}"] if place.startswith("d_weights") else []
        return [*first, *self.after[name]]

    def _block(self, nodes: Sequence[Node]) -> list[str]:
        return [line for n in nodes for line in (*self._lines(n), *(a for name in n.outputs for a in self.after[name]))]

    def _operand(self, operand: Operand) -> str:
        if operand not in self.saved:
            return super()._operand(operand)
        assert isinstance(operand, str)
        self.left[operand] -= 1
        return f"saved[{operand!a}]" if self.left[operand] else f"saved.pop({operand!a})"
